"""PyTorch: state dicts, whole modules, TorchScript, exports, packages and archives."""
import collections
import io
import os
import pickle
import tarfile

from . import writer


def modules():
    """Small modules of the usual kinds, by name."""
    import torch
    from torch import nn

    torch.manual_seed(1)
    tied = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
    tied["b"].weight = tied["a"].weight
    found = {"sequential": nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Dropout(0.1), nn.Linear(4, 2), nn.Softmax(-1)),
             "conv": nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
             "conv1d": nn.Sequential(nn.Conv1d(2, 3, 3), nn.GroupNorm(1, 3), nn.ConvTranspose1d(3, 2, 2), nn.SiLU(), nn.Upsample(scale_factor=2)),
             "lstm": nn.LSTM(4, 3, 2, bidirectional=True), "gru": nn.GRU(4, 3), "rnn_cell": nn.LSTMCell(3, 3), "embedding": nn.Sequential(nn.Embedding(20, 4, padding_idx=0), nn.LayerNorm(4)), "bag": nn.EmbeddingBag(9, 3),
             "transformer": nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1), "full_transformer": nn.Transformer(8, 2, 1, 1, 16), "attention": nn.MultiheadAttention(8, 2),
             "lists": nn.ModuleDict({"l": nn.ModuleList([nn.Linear(2, 2), nn.Identity()]), "p": nn.ParameterList([nn.Parameter(torch.ones(2))]), "act": nn.ModuleDict({"r": nn.LeakyReLU(), "e": nn.ELU()})}),
             "tied": tied, "losses": nn.ModuleList([nn.CrossEntropyLoss(weight=torch.ones(3)), nn.BCEWithLogitsLoss(), nn.TripletMarginLoss(), nn.HuberLoss()])}
    if hasattr(nn.utils.parametrizations, "weight_norm"):  # from 2.0 on
        found["parametrized_state"] = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    return found


PLAIN = """import torch


class Plain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(4, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x @ self.w) if self.training else x @ self.w
"""


def plain_module():
    """A module whose source has the bare name `plain.py`, as exporters record where a node came from."""
    import linecache

    linecache.cache["plain.py"] = (len(PLAIN), None, PLAIN.splitlines(True), "plain.py")
    space = {"__name__": "plain"}
    exec(compile(PLAIN, "plain.py", "exec"), space)  # the text above, nothing from outside
    import sys
    import types
    sys.modules["plain"] = types.ModuleType("plain")
    sys.modules["plain"].__dict__.update(space, __file__="plain.py")
    return space["Plain"]()


def tensors():
    """Tensors of all dtypes and layouts."""
    import torch

    base = torch.arange(24.0).reshape(4, 6)
    found = {}
    for name in ("float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 bool complex64 complex128 float8_e4m3fn float8_e5m2 uint16 uint32 uint64").split():
        if hasattr(torch, name):
            found[name] = lambda name=name: torch.zeros(3, dtype=getattr(torch, name))
    found.update({"view": lambda: base[1:3, ::2], "transpose": lambda: base.t(), "shared": lambda: [base, base[0], base.view(-1)], "expanded": lambda: torch.ones(1).expand(5), "scalar": lambda: torch.tensor(3.0), "empty": lambda: torch.empty(0, 3),
                  "parameter": lambda: torch.nn.Parameter(base), "buffer": lambda: torch.nn.Buffer(base), "sparse_coo": lambda: base.to_sparse(), "conj": lambda: (base + 1j).conj(), 
                  "storage": lambda: base.untyped_storage(), "quantized": lambda: torch.quantize_per_tensor(base, 0.1, 3, torch.qint8), "quantized_channel": lambda: torch.quantize_per_channel(base, torch.ones(4), torch.zeros(4), 0, torch.quint8),
                  "with_grad": lambda: base.clone().requires_grad_(), "nested": lambda: torch.nested.nested_tensor([base[0], base[1, :2]]), "size": lambda: torch.Size([2, 3]), "dtype": lambda: [torch.float32, torch.device("cpu")], "generator": torch.get_rng_state})
    if torch.__version__ >= "2":  # older versions crash on saving these
        found["sparse_csr"] = lambda: base.to_sparse_csr()
        found["complex32"] = lambda: torch.zeros(3, dtype=torch.complex32)
        found["meta"] = lambda: torch.empty(3, device="meta")
    made = {}
    for name, make in found.items():
        try:
            made[name] = make()
        except (AttributeError, RuntimeError, TypeError) as error:
            print(f"  left out: tensor {name}: {error}")
    return made


@writer("torch", "torch", "numpy")
def torch_files(out):
    import torch

    for name, module in modules().items():
        torch.save(module.state_dict(), out.file(f"torch/state/{name}.pt", "torch-zip", f"state dict, {name}"))
        torch.save(module.state_dict(), out.file(f"torch/legacy/{name}.pth", "torch-legacy", f"state dict, {name}, legacy"), _use_new_zipfile_serialization=False)
        if "parametrized" in name:
            continue
        torch.save(module, out.file(f"torch/module/{name}.pt", "torch-zip", f"whole module, {name}"))
        torch.save(module, out.file(f"torch/legacy/module_{name}.pth", "torch-legacy", f"whole module, {name}, legacy"), _use_new_zipfile_serialization=False)
    for name, tensor in tensors().items():
        try:
            torch.save(tensor, out.file(f"torch/tensor/{name}.pt", "torch-zip", f"tensor, {name}"))
        except Exception as error:  # kinds that older versions cannot save
            print(f"  left out: {name}: {error}")
            out.drop(f"torch/tensor/{name}.pt")
            continue
        if not name.startswith(("nested", "uint16", "uint32", "uint64", "float8")):
            try:
                torch.save({"t": tensor}, out.file(f"torch/legacy/tensor_{name}.pt", "torch-legacy", f"tensor, {name}, legacy"), _use_new_zipfile_serialization=False)
            except Exception as error:
                print(f"  left out: legacy {name}: {error}")
                out.drop(f"torch/legacy/tensor_{name}.pt")
        try:
            out.put(f"torch/pickle/{name}.pkl", pickle.dumps(tensor, 2 + len(name) % 4), "pickle", f"tensor by plain pickle, {name}")
        except Exception as error:
            print(f"  left out: pickle {name}: {error}")
    x, model = torch.randn(4, 8), modules()["sequential"]
    for kind in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad"):
        optimizer = getattr(torch.optim, kind)(model.parameters(), lr=0.1)
        model(x).sum().backward()
        optimizer.step()
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
        torch.save({"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "loss": 0.25, "args": {"lr": 0.1, "name": "run"}},
                   out.file(f"torch/checkpoint/{kind}.ckpt", "torch-zip", f"checkpoint with {kind} and scheduler"))
        torch.save(optimizer, out.file(f"torch/optimizer/{kind}.pt", "torch-zip", f"whole optimizer {kind}"))
    import argparse
    import pathlib
    torch.save({"state_dict": collections.OrderedDict(model.state_dict()), "hyper_parameters": {"lr": 0.1}, "pytorch-lightning_version": "2.4.0", "callbacks": {}, "loops": {}}, out.file("torch/checkpoint/lightning_like.ckpt", "torch-zip", "checkpoint in the layout of Lightning"))
    torch.save({"args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("runs/1")), "model": model.state_dict(), "rng": torch.get_rng_state()}, out.file("torch/checkpoint/namespace.pt", "torch-zip", "argparse namespace and state dict"))
    torch.save(model.state_dict(), out.file("torch/state/protocol4.bin", "torch-zip", "pickle protocol 4"), pickle_protocol=4)
    dataset = torch.utils.data.TensorDataset(x, x)
    torch.save(dataset, out.file("torch/module/dataset.pt", "torch-zip", "TensorDataset"))
    torch.save(torch.distributions.Normal(0.0, 1.0), out.file("torch/module/distribution.pt", "torch-zip", "distribution"))


@writer("torch-quantised", "torch")
def quantised(out):
    import torch

    model = modules()["sequential"].eval()
    dynamic = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    torch.save(dynamic.state_dict(), out.file("torch/quantised/dynamic_state.pt", "torch-zip", "dynamically quantised state dict"))
    torch.save(dynamic, out.file("torch/quantised/dynamic_module.pt", "torch-zip", "dynamically quantised module"))


@writer("torchscript", "torch")
def torchscript(out):
    import torch
    from torch import nn

    class Branches(nn.Module):
        """Control flow, containers and attributes, as a scripted model has them."""

        def __init__(self):
            super().__init__()
            self.line, self.names = nn.Linear(4, 2), ["a", "b"]
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x: torch.Tensor, steps: int = 2) -> torch.Tensor:
            for _ in range(steps):
                x = torch.relu(x) if x.sum() > 0 else x - 1
            found: dict[str, torch.Tensor] = {"x": self.line(x)}
            return found["x"] + self.seen

        @torch.jit.export
        def words(self) -> list[str]:
            return [name.upper() for name in self.names]

    for name, module, example in (("branches", Branches(), torch.randn(1, 4)), ("sequential", modules()["sequential"].eval(), torch.randn(1, 8)), ("conv", modules()["conv"].eval(), torch.randn(1, 3, 8, 8)), ("lstm", modules()["lstm"].eval(), torch.randn(5, 1, 4))):
        scripted = torch.jit.script(module)
        scripted.save(out.file(f"torchscript/{name}_script.pt", "torchscript", f"script, {name}"))
        torch.jit.trace(module, example, check_trace=False).save(out.file(f"torchscript/{name}_trace.pt", "torchscript", f"trace, {name}"))
        if name != "branches" and (name != "lstm" or torch.__version__ >= "2"):
            torch.jit.freeze(scripted.eval()).save(out.file(f"torchscript/{name}_frozen.pt", "torchscript", f"frozen script, {name}"))
        if name != "lstm" or torch.__version__ >= "2":
            scripted._save_for_lite_interpreter(out.file(f"torchscript/{name}.ptl", "torchscript", f"lite interpreter, {name}"))
    torch.jit.script(plain_module()).save(out.file("torchscript/plain.pt", "torchscript", "one parameter and one branch"))
    torch.jit.trace(plain_module().eval(), torch.ones(1, 4)).save(out.file("torchscript/plain_trace.pt", "torchscript", "one parameter, traced"))
    torch.jit.script(plain_module())._save_for_lite_interpreter(out.file("torchscript/plain.ptl", "torchscript", "one parameter, lite interpreter"))
    torch.jit.save(torch.jit.script(Branches()), out.file("torchscript/extra.pt", "torchscript", "with extra files"), _extra_files={"labels.txt": "cat\ndog\n", "metadata.json": "{}"})
    tensors_only = {"w": torch.ones(3)}
    torch.save(tensors_only, out.file("torchscript/plain_neighbour.pt", "torch-zip", "a state dict beside scripts"))


@writer("torch-export", "torch")
def exports(out):
    import torch

    torch.export.save(torch.export.export(plain_module().eval(), (torch.ones(1, 4),)), out.file("torch-export/plain.pt2", "torch-export", "one parameter"))
    for name, example in (("sequential", torch.randn(2, 8)), ("conv", torch.randn(1, 3, 8, 8)), ("transformer", torch.randn(1, 5, 8))):
        program = torch.export.export(modules()[name].eval(), (example,))
        torch.export.save(program, out.file(f"torch-export/{name}.pt2", "torch-export", f"torch.export of {name}"))


@writer("torch-package", "torch")
def packages(out):
    from torch.package import PackageExporter

    with PackageExporter(out.file("torch-package/tensors.pt", "torch-zip", "torch.package with a state dict and text")) as package:
        package.save_pickle("weights", "state.pkl", dict(modules()["sequential"].state_dict()))
        package.save_text("meta", "readme.txt", "weights of a small model")
    with PackageExporter(out.file("torch-package/module.pt", "torch-zip", "torch.package with an external torch module")) as package:
        package.extern("**")
        package.save_pickle("model", "model.pkl", modules()["sequential"])
    with PackageExporter(out.file("torch-package/source.pt", "torch-zip", "torch.package with own source code")) as package:
        package.extern("torch.**")
        package.save_source_string("tiny.net", "import torch\n\n\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.line = torch.nn.Linear(2, 2)\n\n    def forward(self, x):\n        return self.line(x)\n")
        package.save_pickle("weights", "state.pkl", {"w": 1})


@writer("torch-tar", "torch")
def hand_packed(out):
    """Archives people make around checkpoints: a NeMo-like tar and a tar.gz of weights."""
    import torch

    weights = io.BytesIO()
    torch.save(modules()["lstm"].state_dict(), weights)
    config = b"target: nemo.collections.asr.models.EncDecCTCModel\npreprocessor:\n  _target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor\n  sample_rate: 16000\n"
    for path, mode in (("nemo/tiny.nemo", "w"), ("nemo/packed.nemo", "w:gz")):
        with tarfile.open(out.file(path, "nemo", "model_config.yaml and model_weights.ckpt in a tar"), mode) as tar:
            for name, data in (("./model_config.yaml", config), ("./model_weights.ckpt", weights.getvalue())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


@writer("torch-mar", "torch", "torch-model-archiver")
def model_archive(out):
    import subprocess
    import sys
    import tempfile
    import torch

    with tempfile.TemporaryDirectory() as folder:
        weights, handler, labels = (os.path.join(folder, n) for n in ("w.pt", "handler.py", "index_to_name.json"))
        torch.jit.script(plain_module()).save(weights)
        with open(handler, "w") as f:
            f.write("import torch\nfrom ts.torch_handler.base_handler import BaseHandler\n\n\nclass Handler(BaseHandler):\n    def preprocess(self, data):\n        return torch.tensor([row['data'] for row in data])\n\n    def postprocess(self, data):\n        return data.tolist()\n")
        with open(labels, "w") as f:
            f.write('{"0": "cat", "1": "dog"}')
        target = out.file("mar/script_builtin.mar", "torchserve", "TorchScript with the built-in image classifier handler")
        common = ["--version", "1.0", "--serialized-file", weights, "--export-path", os.path.dirname(target), "--extra-files", labels, "--force"]
        run = [os.path.join(os.path.dirname(sys.executable), "torch-model-archiver")]
        subprocess.run([*run, "--model-name", "script_builtin", "--handler", "image_classifier", *common], check=True)
        subprocess.run([*run, "--model-name", "own_handler", "--handler", handler, *common], check=True)
        out.file("mar/own_handler.mar", "torchserve", "TorchScript with a small own handler")


@writer("safetensors", "safetensors", "torch", "numpy")
def safetensors_files(out):
    import numpy as np
    import safetensors.numpy
    import safetensors.torch
    import torch

    for name, module in modules().items():
        if name not in ("tied", "losses", "lists"):
            safetensors.torch.save_file({k: v.contiguous() for k, v in module.state_dict().items()}, out.file(f"safetensors/{name}.safetensors", "safetensors", f"state dict, {name}"), metadata={"format": "pt"})
    if hasattr(safetensors.torch, "save_model"):  # from 0.3.1 on
        safetensors.torch.save_model(modules()["tied"], out.file("safetensors/tied.safetensors", "safetensors", "save_model with tied weights"))
    safetensors.torch.save_file({k: v for k, v in tensors().items() if isinstance(v, torch.Tensor) and v.layout == torch.strided and not v.is_quantized and v.device.type == "cpu" and k != "nested" and v.is_contiguous() and k not in ("complex32", "complex64", "complex128", "buffer", "with_grad") and not v.is_conj()},
                                out.file("safetensors/all_dtypes.safetensors", "safetensors", "tensors of many dtypes"))
    safetensors.numpy.save_file({"a": np.ones((2, 3), "f4"), "b": np.zeros(0, "i8")}, out.file("safetensors/numpy.safetensors", "safetensors", "from numpy, one empty"))
    safetensors.numpy.save_file({}, out.file("safetensors/empty.safetensors", "safetensors", "no tensor"), metadata={"note": "nothing here"})


@writer("transformers", "transformers", "torch")
def transformers_folders(out):
    import json
    import torch
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.train_from_iterator(["small models for tests", "one more line"], trainers.WordPieceTrainer(vocab_size=60, special_tokens=["[UNK]", "[PAD]", "[CLS]", "[SEP]"]))
    template = "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] | trim + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", chat_template=template)
    small = dict(vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    kinds = {"bert": (hf.BertForSequenceClassification, hf.BertConfig(**small, id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})), "llama": (hf.LlamaForCausalLM, hf.LlamaConfig(**small, num_key_value_heads=1)),
             "gpt2": (hf.GPT2LMHeadModel, hf.GPT2Config(vocab_size=60, n_embd=16, n_layer=1, n_head=2, n_positions=32)), "t5": (hf.T5ForConditionalGeneration, hf.T5Config(vocab_size=60, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)),
             "vit": (hf.ViTForImageClassification, hf.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8)), "mixtral": (hf.MixtralForCausalLM, hf.MixtralConfig(**small, num_key_value_heads=1, num_local_experts=2))}
    for name, (kind, config) in kinds.items():
        folder = out.folder(f"hf/{name}", "hf-config", f"save_pretrained of a tiny {name}")
        model = kind(config)
        model.save_pretrained(folder)
        if name != "vit":
            tokenizer.save_pretrained(folder)
        torch.save(model.state_dict(), os.path.join(folder, "pytorch_model.bin"))
        if name == "bert":
            args = hf.TrainingArguments(output_dir="out", report_to=[], learning_rate=1e-4)
            torch.save(args, os.path.join(folder, "training_args.bin"))
            torch.save(torch.optim.AdamW(model.parameters()).state_dict(), os.path.join(folder, "optimizer.pt"))
        if name == "vit":
            try:
                hf.ViTImageProcessor(size=16).save_pretrained(folder)
            except ImportError as error:
                print(f"  left out: image processor: {str(error).strip().splitlines()[0]}")
    folder = out.folder("hf/sharded", "hf-config", "sharded safetensors with an index")
    hf.LlamaForCausalLM(kinds["llama"][1]).save_pretrained(folder, max_shard_size="6KB")
    folder = out.folder("hf/sentence", "hf-config", "layout of a sentence-transformers model")
    hf.BertModel(kinds["bert"][1]).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    pooling = os.path.join(folder, "1_Pooling")
    os.makedirs(pooling)
    for path, content in (("modules.json", [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]),
                          ("1_Pooling/config.json", {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}), ("sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False}), ("config_sentence_transformers.json", {"__version__": {"pytorch": torch.__version__}, "prompts": {}})):
        with open(os.path.join(folder, path), "w") as f:
            json.dump(content, f, indent=2)


@writer("executorch", "executorch", "torch")
def executorch_files(out):
    import torch
    from executorch.exir import to_edge

    program = to_edge(torch.export.export(modules()["sequential"].eval(), (torch.randn(1, 8),))).to_executorch()
    out.put("executorch/sequential.pte", program.buffer, "executorch", "ExecuTorch program")
