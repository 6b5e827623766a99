"""Writers with one or two formats each: GGUF, JAX, Core ML, Paddle, R, PMML, spaCy, MLflow, archives, layouts."""
import gzip
import hashlib
import io
import json
import os
import pickle
import subprocess
import tarfile
import zipfile

from . import writer
from .estimators import data

CHAT = ("{%- if messages[0]['role'] == 'system' %}{{- '<|system|>\\n' + messages[0]['content'] }}{%- endif %}{%- for message in messages if message.role != 'system' %}{{- '<|' + message.role + '|>\\n' }}"
        "{%- if message.content is string %}{{- message.content | trim }}{%- else %}{%- for part in message.content %}{{- part.text }}{%- endfor %}{%- endif %}{{- eos_token }}{%- endfor %}"
        "{%- if tools is defined and tools %}{{- tools | tojson(indent=2) }}{%- endif %}{%- if add_generation_prompt %}{{- '<|assistant|>\\n' }}{%- endif %}")


@writer("gguf", "gguf", "numpy")
def gguf_files(out):
    import gguf
    import numpy as np

    rng = np.random.default_rng(2)

    def write(name, note, order=gguf.GGUFEndian.LITTLE, chat=CHAT, quantise=None, tensors=3):
        w = gguf.GGUFWriter(out.file(f"gguf/{name}.gguf", "gguf", note), "llama", endianess=order)
        w.add_name("tiny")
        w.add_description("random weights")
        w.add_license("apache-2.0")
        w.add_context_length(64)
        w.add_embedding_length(32)
        w.add_block_count(1)
        w.add_feed_forward_length(32)
        w.add_head_count(2)
        w.add_layer_norm_rms_eps(1e-5)
        w.add_rope_freq_base(10000.0)
        w.add_tags(["tests", "tiny"])
        w.add_tokenizer_model("llama")
        w.add_token_list([f"<{i}>".encode() for i in range(40)])
        w.add_token_scores([0.0] * 40)
        w.add_token_types([1] * 40)
        w.add_bos_token_id(1)
        w.add_add_bos_token(True)
        if chat:
            w.add_chat_template(chat)
        for i in range(tensors):
            weight = rng.normal(size=(32, 32)).astype(np.float32)
            if quantise:
                w.add_tensor(f"blk.{i}.attn_q.weight", gguf.quantize(weight, quantise), raw_dtype=quantise)
            else:
                w.add_tensor(f"blk.{i}.attn_q.weight", weight.astype(np.float16) if i % 2 else weight)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()

    kinds = gguf.GGMLQuantizationType
    write("plain", "float weights and a chat template")
    write("big_endian", "big-endian", gguf.GGUFEndian.BIG)
    write("vocabulary", "no tensor", tensors=0)
    write("several_templates", "named chat templates", chat=[{"name": "default", "template": CHAT}, {"name": "tool_use", "template": CHAT}])
    for kind in ("Q8_0", "Q4_0", "Q5_1", "BF16"):
        write(kind.lower(), f"quantised {kind}", quantise=getattr(kinds, kind))


@writer("flax", "flax", "jax")
def flax_files(out):
    import flax.serialization
    import jax
    import jax.numpy as jnp
    import msgpack

    tree = {"params": {"dense": {"kernel": jnp.ones((3, 4)), "bias": jnp.zeros(4, jnp.bfloat16)}, "step": 3, "rng": jax.random.PRNGKey(0)}, "names": {"0": "a", "1": "b"}}
    out.put("flax/params.msgpack", flax.serialization.to_bytes(tree), "flax", "flax.serialization.to_bytes")
    out.put("flax/flax_model.msgpack", flax.serialization.msgpack_serialize({"w": jnp.ones(5), "c": 1 + 2j, "t": [1, 2.5, None, True]}), "flax", "msgpack_serialize")
    out.put("flax/plain.msgpack", msgpack.packb({"a": [1, 2, 3], "b": b"x" * 40, "s": "text"}), "flax", "plain msgpack")


@writer("jax-pickle", "jax", "numpy")
def jax_pickle(out):
    import jax.numpy as jnp

    out.put("flax/jax_arrays.pkl", pickle.dumps({"w": jnp.ones((2, 2)), "b": jnp.zeros(3, jnp.bfloat16)}), "pickle", "JAX arrays by pickle")


@writer("orbax", "orbax-checkpoint", "jax")
def orbax_files(out):
    import jax.numpy as jnp
    import orbax.checkpoint as ocp

    folder = out.folder("flax/orbax", "flax", "orbax checkpoint")
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(os.path.join(folder, "step_1"), {"w": jnp.ones((2, 3)), "b": jnp.zeros(3)})


@writer("coremltools", "coremltools", "numpy")
def coreml_files(out):
    import coremltools as ct
    import numpy as np
    from coremltools.converters.mil import Builder as mb
    from coremltools.models import datatypes, neural_network as nn

    b = nn.NeuralNetworkBuilder([("x", datatypes.Array(4))], [("y", datatypes.Array(2))])
    b.add_inner_product("line", np.ones((2, 4)), np.zeros(2), 4, 2, True, "x", "m")
    b.add_activation("act", "RELU", "m", "y")
    b.spec.description.metadata.author = "tests"
    ct.models.utils.save_spec(b.spec, out.file("coreml/network.mlmodel", "coreml", "neural network"))

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 4))])
    def program(x):
        return mb.relu(x=mb.linear(x=x, weight=np.ones((300, 4), np.float32), bias=np.zeros(300, np.float32)))

    try:
        model = ct.convert(program, convert_to="mlprogram", skip_model_load=True, minimum_deployment_target=ct.target.iOS15)
        model.save(out.folder("coreml/program.mlpackage", "coreml", "ML program package"))
    except Exception as error:
        print(f"  left out: program.mlpackage: {error}")
        out.drop("coreml/program.mlpackage")
    from sklearn.linear_model import LogisticRegression, LinearRegression
    x, y, t = data()
    for name, model, target in (("logistic", LogisticRegression(), y), ("linear", LinearRegression(), t)):
        try:
            ct.converters.sklearn.convert(model.fit(x, target), ["a", "b", "c", "d"], "out").save(out.file(f"coreml/{name}.mlmodel", "coreml", f"from scikit-learn, {name}"))
        except Exception as error:
            print(f"  left out: {name}.mlmodel: {error}")
            out.drop(f"coreml/{name}.mlmodel")


@writer("paddle", "paddlepaddle")
def paddle_files(out):
    import paddle

    net = paddle.nn.Sequential(paddle.nn.Linear(4, 3), paddle.nn.ReLU(), paddle.nn.Linear(3, 2))
    paddle.save(net.state_dict(), out.file("paddle/model.pdparams", "paddle", "state dict (pickle)"))
    optimizer = paddle.optimizer.Adam(parameters=net.parameters())
    net(paddle.ones([1, 4])).sum().backward()
    optimizer.step()
    paddle.save(optimizer.state_dict(), out.file("paddle/model.pdopt", "paddle", "optimizer state (pickle)"))
    net.eval()
    paddle.jit.save(net, os.path.join(out.folder("paddle/inference", "paddle", "jit.save inference model"), "model"), input_spec=[paddle.static.InputSpec([None, 4])])
    paddle.enable_static()
    try:
        main, start = paddle.static.Program(), paddle.static.Program()
        with paddle.static.program_guard(main, start):
            x = paddle.static.data("x", [None, 4])
            y = paddle.static.nn.fc(x, 2)
        run = paddle.static.Executor(paddle.CPUPlace())
        run.run(start)
        model = os.path.join(out.folder("paddle/static", "paddle", "static inference model"), "model")
        paddle.static.save_inference_model(model, [x], [y], run, program=main)
        if hasattr(main, "desc"):  # up to 2.6: once more without the call stacks, which name this machine's folders
            bare = paddle.static.normalize_program(main, [x], [y])
            for block in bare.blocks:
                for op in block.ops:
                    op._remove_attr("op_callstack")
            paddle.static.save_to_file(model + ".pdmodel", bare.desc.serialize_to_string())
    finally:
        paddle.disable_static()


@writer("mxnet", "mxnet")
def mxnet_files(out):
    import mxnet as mx

    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(3, activation="relu"), mx.gluon.nn.BatchNorm(), mx.gluon.nn.Dense(2))
    net.initialize()
    net.hybridize()
    net(mx.nd.ones((1, 4)))
    net.export(os.path.join(out.folder("mxnet/net", "mxnet", "symbol and parameters by export"), "net"))
    net.save_parameters(out.file("mxnet/gluon.params", "mxnet", "save_parameters"))
    mx.nd.save(out.file("mxnet/arrays.nd", "mxnet", "nd.save"), {"w": mx.nd.ones((2, 2)), "i": mx.nd.zeros(3, dtype="int32")})


@writer("r", "!Rscript")
def r_files(out):
    """saveRDS and save of data, models and functions in every packing."""
    script = ["set.seed(1)", "d <- data.frame(x = 1:20, y = rnorm(20), f = factor(rep(c('a', 'b'), 10)), s = I(as.character(1:20)), stringsAsFactors = FALSE)"]

    def rds(name, value, note, **options):
        target = out.file(f"r/{name}.rds", "r", note)
        extra = "".join(f", {k} = {v}" for k, v in options.items())
        script.append(f"saveRDS({value}, {json.dumps(target)}{extra})")

    rds("vectors", "list(1:3, c(1.5, NA), 'text', TRUE, NULL, 1i, as.raw(1:3), as.Date('2024-01-01'))", "vectors of all kinds")
    rds("frame", "d", "data frame")
    rds("lm", "lm(y ~ x + f, d)", "linear model")
    rds("glm", "glm(f ~ x, binomial, d)", "logistic model")
    rds("kmeans", "kmeans(d[, 1:2], 2)", "k-means")
    rds("prcomp", "prcomp(d[, 1:2])", "principal components")
    rds("loess", "loess(y ~ x, d)", "local regression")
    rds("nls", "nls(y ~ a + b * x, d, start = list(a = 0, b = 0))", "nonlinear model")
    rds("function", "function(x, n = 2) { x ^ n + 1 }", "a function")
    rds("compiled", "compiler::cmpfun(function(x) { s <- 0; for (i in x) s <- s + i; s })", "a compiled function")
    rds("closure", "local({ k <- 3; function(x) x * k })", "a closure with its environment")
    rds("environment", "list2env(list(a = 1, b = 'x'))", "an environment")
    rds("s4", "{ setClass('P', representation(x = 'numeric')); new('P', x = 1) }", "an S4 object")
    rds("altrep", "list(1:1000000, as.character(1:50))", "compact sequences")
    rds("ascii", "d", "text form", ascii="TRUE")
    rds("version2", "d", "serialisation version 2", version="2")
    for packing in ("gzip", "bzip2", "xz"):
        rds(f"packed_{packing}", "d", f"packed by {packing}", compress=f"'{packing}'")
    rds("plain", "d", "not packed", compress="FALSE")
    for name, options, note in (("workspace", "", "two objects"), ("workspace_xz", ", compress = 'xz'", "packed by xz"), ("workspace_ascii", ", ascii = TRUE", "text form"), ("workspace_v2", ", version = 2", "version 2")):
        target = out.file(f"r/{name}.RData", "r", f"save(), {note}")
        script += ["m <- lm(y ~ x, d)", f"save(d, m, file = {json.dumps(target)}{options})"]
    script.append(f"con <- file({json.dumps(out.file('r/serialize.bin', 'r', 'serialize() to a connection'))}, 'wb'); serialize(d, con); close(con)")
    subprocess.run(["Rscript", "--vanilla", "-e", "\n".join(script)], check=True)


@writer("nyoka", "nyoka", "scikit-learn")
def nyoka_files(out):
    from nyoka import skl_to_pmml
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    x, y, _ = data()
    model = Pipeline([("s", StandardScaler()), ("m", LogisticRegression())]).fit(x, y)
    skl_to_pmml(model, ["a", "b", "c", "d"], "y", out.file("pmml/nyoka.pmml", "pmml", "nyoka of a pipeline"))


@writer("sklearn2pmml", "sklearn2pmml", "scikit-learn", "!java")
def jpmml_files(out):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn2pmml import sklearn2pmml
    from sklearn2pmml.pipeline import PMMLPipeline
    import pandas as pd

    x, y, _ = data()
    model = PMMLPipeline([("m", RandomForestClassifier(2, max_depth=2))]).fit(pd.DataFrame(x, columns=list("abcd")), pd.Series(y, name="y"))
    sklearn2pmml(model, out.file("pmml/jpmml.pmml", "pmml", "sklearn2pmml of a forest"))


@writer("spacy", "spacy")
def spacy_folder(out):
    import spacy

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "ORG", "pattern": "Acme"}])
    nlp.to_disk(out.folder("spacy/blank_en", "spacy", "to_disk of a small pipeline"))
    out.put("spacy/pipeline.bin", nlp.to_bytes(), "flax", "to_bytes (msgpack)")
    out.put("spacy/nlp.pkl", pickle.dumps(nlp.vocab.strings), "pickle", "string store by pickle")
    from spacy.tokens import DocBin
    DocBin(docs=[nlp("A short text.")]).to_disk(out.file("spacy/docs.spacy", "raw", "DocBin"))


@writer("gensim", "gensim")
def gensim_files(out):
    from gensim.corpora import Dictionary
    from gensim.models import LdaModel, TfidfModel, Word2Vec, FastText

    texts = [["red", "fast", "train"], ["blue", "slow", "bus"], ["red", "bus"]] * 5
    words = Word2Vec(texts, vector_size=6, min_count=1, workers=1)
    words.save(out.file("gensim/word2vec.model", "pickle", "Word2Vec"))
    words.wv.save(out.file("gensim/vectors.kv", "pickle", "KeyedVectors"))
    words.wv.save_word2vec_format(out.file("gensim/vectors.bin", "raw", "word2vec binary"), binary=True)
    FastText(texts, vector_size=4, min_count=1, workers=1, bucket=50).save(out.file("gensim/fasttext.model", "pickle", "FastText"))
    names = Dictionary(texts)
    names.save(out.file("gensim/dictionary.dict", "pickle", "Dictionary"))
    rows = [names.doc2bow(t) for t in texts]
    TfidfModel(rows).save(out.file("gensim/tfidf.model", "pickle", "TfidfModel"))
    LdaModel(rows, 2, names).save(os.path.join(out.folder("gensim/lda", "pickle", "LdaModel with side files"), "lda.model"))


@writer("nltk", "nltk")
def nltk_files(out):
    import nltk

    model = nltk.NaiveBayesClassifier.train([({"w": "a"}, "x"), ({"w": "b"}, "y")])
    out.put("nltk/bayes.pkl", pickle.dumps(model), "pickle", "NaiveBayesClassifier")
    out.put("nltk/tagger.pkl", pickle.dumps(nltk.UnigramTagger([[("a", "DT"), ("cat", "NN")]])), "pickle", "UnigramTagger")


@writer("tokenizers", "tokenizers")
def tokenizer_files(out):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    for name, model, trainer in (("bpe", models.BPE(unk_token="[U]"), trainers.BpeTrainer(vocab_size=60, special_tokens=["[U]"])), ("unigram", models.Unigram(), trainers.UnigramTrainer(vocab_size=40, unk_token="[U]", special_tokens=["[U]"]))):
        t = Tokenizer(model)
        t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        t.pre_tokenizer = pre_tokenizers.ByteLevel()
        t.decoder = decoders.ByteLevel()
        t.train_from_iterator(["small text for a vocabulary", "more small text"], trainer)
        t.save(out.file(f"tokenizers/{name}/tokenizer.json", "hf-config", f"tokenizer.json, {name}"))


@writer("sentencepiece", "sentencepiece")
def sentencepiece_files(out):
    import sentencepiece

    buffer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["small text for a model", "more small text"] * 9), model_writer=buffer, vocab_size=17, normalization_rule_name="identity", minloglevel=2)
    out.put("sentencepiece/tokenizer.model", buffer.getvalue(), "raw", "SentencePiece model")


@writer("mlflow", "mlflow-skinny", "scikit-learn")
def mlflow_folders(out):
    import mlflow.pyfunc
    import mlflow.sklearn
    from sklearn.linear_model import LogisticRegression

    x, y, _ = data()
    mlflow.sklearn.save_model(LogisticRegression().fit(x, y), out.folder("mlflow/sklearn", "mlflow", "scikit-learn flavour"), input_example=x[:2], pip_requirements=["scikit-learn"], serialization_format="cloudpickle")

    class Doubles(mlflow.pyfunc.PythonModel):
        """Travels inside python_model.pkl, code and all."""

        def predict(self, context, model_input, params=None):
            return [2 * row for row in model_input]

    mlflow.pyfunc.save_model(out.folder("mlflow/own_class", "mlflow", "own class by cloudpickle: code inside", label="suspicious"), python_model=Doubles(), pip_requirements=["mlflow"])
    source = os.path.join(out.folder("mlflow/source", "raw", "source of the model from code"), "model.py")
    with open(source, "w") as f:
        f.write("import mlflow\n\n\nclass Doubles(mlflow.pyfunc.PythonModel):\n    def predict(self, context, model_input, params=None):\n        return [2 * row for row in model_input]\n\n\nmlflow.models.set_model(Doubles())\n")
    mlflow.pyfunc.save_model(out.folder("mlflow/from_code", "mlflow", "model from code", label="suspicious"), python_model=source, pip_requirements=["mlflow"])


@writer("py7zr", "py7zr")
def seven_zip(out):
    import py7zr

    text = os.path.join(out.root, "standard/vocabulary.p2.pkl")
    for name, filters in (("lzma2", None), ("lzma", [{"id": py7zr.FILTER_LZMA}]), ("bzip2", [{"id": py7zr.FILTER_BZIP2}]), ("deflate", [{"id": py7zr.FILTER_DEFLATE}]), ("zstd", [{"id": py7zr.FILTER_ZSTD}]), ("copy", [{"id": py7zr.FILTER_COPY}])):
        with py7zr.SevenZipFile(out.file(f"archive/py7zr_{name}.7z", "archive", f"py7zr, {name}"), "w", filters=filters) as z:
            z.write(text, "model/vocabulary.pkl")
            z.writestr("notes", "model/README.txt")


@writer("archivers", "!tar", "!gzip", "!xz", "!zstd", "!lz4", "!7z")
def archivers(out):
    """The usual programs around one small pickle folder."""
    import tempfile

    with tempfile.TemporaryDirectory() as work:
        model = os.path.join(work, "model")
        os.makedirs(os.path.join(model, "sub"))
        for path, content in (("weights.pkl", pickle.dumps({"w": list(range(500))})), ("config.json", b'{"layers": 2}\n'), ("sub/" + "long_name_" * 7 + ".txt", b"text\n")):
            with open(os.path.join(model, path), "wb") as f:
                f.write(content)
        os.symlink("config.json", os.path.join(model, "config_link.json"))

        def run(*command):
            subprocess.run(command, check=True, cwd=work, stdout=subprocess.DEVNULL)

        for form in ("gnu", "pax", "ustar", "oldgnu"):
            run("tar", f"--format={form}", "--owner=0", "--group=0", "-cf", out.file(f"archive/{form}.tar", "archive", f"GNU tar, {form}"), "model")
        for flag, ending in (("-z", "tgz"), ("-j", "tbz2"), ("-J", "txz")):
            run("tar", flag, "-cf", out.file(f"archive/model.{ending}", "archive", f"tar {flag}"), "model")
        weights = os.path.join(model, "weights.pkl")
        run("zstd", "-q", "-f", weights, "-o", out.file("archive/weights.pkl.zst", "archive", "zstd"))
        run("lz4", "-q", "-f", weights, out.file("archive/weights.pkl.lz4", "archive", "lz4 frame"))
        for command, ending in ((["gzip", "-k", "-c"], "gz"), (["xz", "-k", "-c"], "xz"), (["xz", "--format=lzma", "-k", "-c"], "lzma"), (["bzip2", "-k", "-c"], "bz2")):
            with open(out.file(f"archive/weights.pkl.{ending}", "archive", command[0]), "wb") as f:
                subprocess.run([*command, weights], check=True, stdout=f)
        for kind in ("7z", "zip", "tar"):
            target = out.file(f"archive/p7zip.{kind}", "archive", f"7z program, {kind}")
            if os.path.exists(target):
                os.remove(target)
            run("7z", "a", f"-t{kind}", target, "model")
    with zipfile.ZipFile(out.file("archive/python.zip", "archive", "Python zipfile, all methods"), "w") as z:
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            z.writestr(f"method{method}.txt", "text " * 50, compress_type=method)
        with z.open("streamed.txt", "w", force_zip64=True) as member:
            member.write(b"streamed")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo("weights.pkl")
        payload = pickle.dumps([1, 2, 3])
        info.size = len(payload)
        tar.addfile(info, io.BytesIO(payload))
    out.put("archive/python.tar.gz", gzip.compress(stream.getvalue(), mtime=0), "archive", "Python tarfile and gzip")


@writer("zz-layouts", "gguf", "onnx")
def layouts(out):
    """Folder layouts that no small writer makes: an Ollama store and a Triton repository around real files."""
    import shutil

    store = out.folder("ollama/models", "ollama", "Ollama store: manifest and blobs")
    with open(os.path.join(out.root, "gguf/plain.gguf"), "rb") as f:
        weights = f.read()
    layers = []
    for kind, blob in (("model", weights), ("template", b"{{ if .System }}{{ .System }}{{ end }}{{ .Prompt }}"), ("params", b'{"stop":["<|user|>"]}'), ("license", b"Apache-2.0\n")):
        digest = hashlib.sha256(blob).hexdigest()
        os.makedirs(os.path.join(store, "blobs"), exist_ok=True)
        with open(os.path.join(store, "blobs", f"sha256-{digest}"), "wb") as f:
            f.write(blob)
        layers.append({"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}", "size": len(blob)})
    config = json.dumps({"model_format": "gguf", "model_family": "llama", "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}}).encode()
    digest = hashlib.sha256(config).hexdigest()
    with open(os.path.join(store, "blobs", f"sha256-{digest}"), "wb") as f:
        f.write(config)
    folder = os.path.join(store, "manifests", "registry.example", "library", "tiny")
    os.makedirs(folder)
    with open(os.path.join(folder, "latest"), "w") as f:
        json.dump({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": f"sha256:{digest}", "size": len(config)}, "layers": layers}, f)
    with open(os.path.join(store, "Modelfile"), "w") as f:
        f.write("FROM ./blobs/model.gguf\nPARAMETER temperature 0.7\nSYSTEM You answer briefly.\n")
    triton = out.folder("triton/repository", "triton", "Triton repository around an ONNX file")
    os.makedirs(os.path.join(triton, "dense", "1"))
    shutil.copy(os.path.join(out.root, "onnx/dense.onnx"), os.path.join(triton, "dense", "1", "model.onnx"))
    with open(os.path.join(triton, "dense", "config.pbtxt"), "w") as f:
        f.write('name: "dense"\nplatform: "onnxruntime_onnx"\nmax_batch_size: 8\ninput [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]\noutput [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] } ]\ninstance_group [ { kind: KIND_CPU count: 1 } ]\n')
