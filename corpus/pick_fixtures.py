#!/usr/bin/env python3
"""Copies the smallest telling files of a make_real.py folder to testdata/real, with a README.

    python3 pick_fixtures.py REAL_DIR ../testdata/real
"""
import csv
import os
import shutil
import sys

MAX_FILE, MAX_TOTAL = 60_000, 1_200_000

# folder in testdata/real, then paths below REAL_DIR: a file, or a folder copied whole
PICKS = {
    "pickle": ["sklearn/pickle/LogisticRegression.*", "sklearn/protocols/Pipeline.p2.pkl", "sklearn/pickle/RandomForestClassifier.*", "sklearn/pickle/GridSearchCV.*", "pandas/frame.p5.pkl", "scipy/csr.pkl", "standard/mixed.p0.pkl", "standard/mixed.p4.pkl",
               "xgboost/booster.pkl", "lightgbm/booster.pkl", "catboost/regressor.pkl", "statsmodels/ols_nodata.pickle", "numpy/pickle/rng.pkl", "torch/pickle/float32.pkl", "standard/packed.pkl.z",
               "old/sklearn/pickle/LogisticRegression.*", "old/pandas/frame.p5.pkl"],
    "joblib": ["sklearn/joblib/KMeans.joblib", "sklearn/joblib/ColumnTransformer.joblib", "sklearn/joblib/DecisionTreeClassifier.joblib", "sklearn/packed/Pipeline.joblib.*", "old/sklearn/joblib/Ridge.joblib"],
    "numpy": ["numpy/f32.npy", "numpy/record.npy", "numpy/object_mixed.npy", "numpy/version3.npy", "numpy/objects.npz", "numpy/compressed.npz", "scipy/csr.npz"],
    "skops": ["skops/LogisticRegression.skops", "skops/Pipeline.skops"],
    "xgboost": ["xgboost/linear.json", "xgboost/ranker.ubj", "old/xgboost/old.deprecated"],
    "lightgbm": ["lightgbm/regressor.txt"],
    "catboost": ["catboost/regressor.cbm", "catboost/regressor.json"],
    "torch-zip": ["torch/state/sequential.pt", "torch/tensor/shared.pt", "torch/tensor/sparse_csr.pt", "torch/tensor/bfloat16.pt", "torch/checkpoint/Adam.ckpt", "torch/module/sequential.pt", "torch/checkpoint/namespace.pt"],
    "torch-legacy": ["torch/legacy/sequential.pth", "torch/legacy/tensor_shared.pt"],
    "torchscript": ["torchscript/plain.pt", "torchscript/plain.ptl"],
    "torch-export": ["torch-export/plain.pt2"],
    "torch-package": ["torch-package/tensors.pt"],
    "safetensors": ["safetensors/sequential.safetensors", "safetensors/all_dtypes.safetensors", "safetensors/empty.safetensors"],
    "gguf": ["gguf/plain.gguf", "gguf/q4_0.gguf", "gguf/big_endian.gguf"],
    "onnx": ["onnx/dense.onnx", "onnx/if.onnx", "onnx/loop.onnx", "onnx/function.onnx", "onnx/sparse.onnx", "onnx/strings.onnx", "onnx/skl2onnx_RandomForestClassifier.onnx", "onnx/torch_plain.onnx", "onnx/external_one", "onnx/optimised.ort"],
    "savedmodel": ["savedmodel/plain", "savedmodel/lookup"],
    "tf-graph": ["tf-graph/frozen_v1.pb", "tf-graph/frozen_v2.pb", "tf-checkpoint/v1"],
    "tflite": ["tflite/dense.tflite", "tflite/branch.tflite", "tflite/int8.tflite", "tflite/signatures.tflite"],
    "keras": ["keras/functional.keras", "keras/attention.keras", "keras/cells.keras", "keras/nested.keras", "keras/string_lookup.keras", "keras/custom_layer.keras", "keras/lambda.keras"],
    "keras-h5": ["keras/operators.h5", "keras/sequence.h5", "keras/siamese.weights.h5", "keras2/sequence.h5"],
    "keras-json": ["keras/functional.json", "keras2/functional.json"],
    "hdf5": ["hdf5/earliest_v108.h5", "hdf5/latest_latest.h5", "hdf5/v110_v110.h5", "hdf5/compact.h5", "hdf5/user_block.h5"],
    "flax": ["flax/params.msgpack", "flax/flax_model.msgpack"],
    "coreml": ["coreml/network.mlmodel", "coreml/program.mlpackage", "paddle2/coreml/linear.mlmodel"],
    "openvino": ["openvino/dense"],
    "paddle": ["paddle/model.pdparams", "paddle/inference", "paddle2/paddle/static"],
    "pmml": ["pmml/nyoka.pmml", "paddle2/pmml/jpmml.pmml"],
    "r": ["r/lm.rds", "r/packed_xz.rds", "r/packed_bzip2.rds", "r/ascii.rds", "r/closure.rds", "r/compiled.rds", "r/vectors.rds", "r/workspace.RData", "r/s4.rds"],
    "spacy": ["spacy/docs.spacy", "spacy/blank_en"],
    "mlflow": ["mlflow/sklearn"],
    "mar": ["mar/script_builtin.mar"],
    "nemo": ["nemo/tiny.nemo", "nemo/packed.nemo"],
    "hf": ["hf/bert"],
    "tfjs": ["tfjs/layers"],
    "mxnet": ["old/mxnet/net", "old/mxnet/gluon.params"],
    "executorch": ["executorch/sequential.pte"],
    "sentencepiece": ["sentencepiece/tokenizer.model"],
    "triton": ["triton/repository"],
    "archive": ["archive/py7zr_lzma2.7z", "archive/py7zr_bzip2.7z", "archive/py7zr_zstd.7z", "archive/py7zr_copy.7z", "archive/p7zip.7z", "archive/p7zip.zip", "archive/python.zip", "archive/pax.tar", "archive/gnu.tar", "archive/model.txz",
                "archive/weights.pkl.zst", "archive/weights.pkl.lz4", "archive/weights.pkl.xz", "archive/weights.pkl.lzma", "archive/weights.pkl.bz2", "archive/weights.pkl.gz"],
}
# Whole folders hold more than a test needs: these endings stay behind.
LEFT_OUT = ("pytorch_model.bin", "optimizer.pt", "training_args.bin", "tokenizer", "sentencizer.json", "patterns.jsonl", "cfg", "key2row",
            "vectors", "vectors.cfg", "strings.json", "lookups.bin")


def main():
    real, target = sys.argv[1:3]
    with open(os.path.join(real, "writers.csv"), newline="") as f:
        rows = list(csv.reader(f))[1:]
    shutil.rmtree(target, ignore_errors=True)
    total, lines = 0, []
    for kind, picks in sorted(PICKS.items()):
        for pick in picks:
            found = [row for row in rows if row[0] == pick or pick.endswith("*") and row[0].startswith(pick[:-1])]
            if not found:
                print(f"absent: {pick}")
            for path, _, versions in found:
                source = os.path.join(real, path)
                prefix = path.split("/")[0] + "-" if path.split("/")[0] in ("old", "paddle2") else ""
                name = prefix + os.path.basename(path)
                if os.path.exists(os.path.join(target, kind, name)):
                    name = path.split("/")[-2] + "-" + name
                for folder, _, files in os.walk(source) if os.path.isdir(source) else [(os.path.dirname(source), [], [os.path.basename(source)])]:
                    for file in files:
                        full = os.path.join(folder, file)
                        size = os.path.getsize(full)
                        if size > MAX_FILE or file in LEFT_OUT:
                            print(f"left behind: {full} ({size} bytes)")
                            continue
                        inner = os.path.join(name, os.path.relpath(full, source)) if os.path.isdir(source) else name
                        place = os.path.join(target, kind, inner)
                        os.makedirs(os.path.dirname(place), exist_ok=True)
                        shutil.copyfile(full, place)
                        total += size
                if os.path.exists(os.path.join(target, kind, name)):
                    lines.append(f"| `{kind}/{name}` | {versions} |")
    with open(os.path.join(target, "README.md"), "w") as f:
        f.write("# Model files of real writers\n\nBenign files written by the frameworks themselves with `corpus/make_real.py` and chosen by `corpus/pick_fixtures.py`;\n"
                "random weights, no third-party data. The exceptions hold code on purpose: `keras/custom_layer.keras` and `keras/lambda.keras`.\n\n"
                "| file | written by |\n| --- | --- |\n" + "\n".join(sorted(lines)) + "\n")
    print(f"{len(lines)} fixtures, {total} bytes")
    return 0 if total <= MAX_TOTAL else 1


if __name__ == "__main__":
    sys.exit(main())
