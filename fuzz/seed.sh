#!/bin/sh
# Fills fuzz/corpus/<target>/ with seeds from testdata/. More folders may be named; their files go to the targets by suffix.
set -eu
cd "$(dirname "$0")"
targets=$(basename -s .rs fuzz_targets/*.rs)
for target in $targets; do
    mkdir -p "corpus/$target"
done

# Named by content, so that running it twice adds nothing.
put() {
    for file in "$@"; do
        [ -f "$file" ] || continue
        cp "$file" "$seeds/$(sha256sum "$file" | cut -c1-40)"
    done
}

# find folder, name pattern
put_all() {
    find "$1" -type f -name "$2" -size -64k >"$list"
    while IFS= read -r file; do
        put "$file"
    done <"$list"
}

list=$(mktemp)
trap 'rm -f "$list"' EXIT

for folder in ../testdata "$@"; do
    seeds=corpus/pickle
    for suffix in pkl pickle joblib pt pth ckpt bin dat; do
        put_all "$folder" "*.$suffix"
    done
    seeds=corpus/profile
    put_all "$folder" "*.profile"
    seeds=corpus/zip
    for suffix in zip pt pth npz keras mar skops ptl; do
        put_all "$folder" "*.$suffix"
    done
    seeds=corpus/tar
    for suffix in tar gz bz2 xz nemo z joblib; do
        put_all "$folder" "*.$suffix"
    done
    seeds=corpus/card
    put_all "$folder" '*.md'
    # The first byte chooses the format.
    seeds=corpus/tables
    for pair in csv:000 tsv:001 jsonl:002 parquet:003 arrow:004 arrows:005 avro:006 npy:007 png:012; do
        find "$folder" -type f -name "*.${pair%:*}" -size -64k >"$list"
        while IFS= read -r file; do
            { printf "\\${pair#*:}"; cat "$file"; } >"$seeds/$(sha256sum "$file" | cut -c1-40)"
        done <"$list"
    done
    # The first byte chooses the reader.
    seeds=corpus/import
    for pair in xml:0 sarif:1; do
        find "$folder" -type f -name "*.${pair%:*}" -size -64k >"$list"
        while IFS= read -r file; do
            { printf "\\00${pair#*:}"; cat "$file"; } >"$seeds/$(sha256sum "$file" | cut -c1-40)"
        done <"$list"
    done
    seeds=corpus/sevenz
    put_all "$folder" '*.7z'
    seeds=corpus/documents
    for suffix in rds RData pmml xml t7 ser cfg pbtxt prototxt; do
        put_all "$folder" "*.$suffix"
    done
    # The stream target wants a byte in front that names the compression.
    seeds=corpus/streams
    for pair in zst:0 lz4:1 gz:2 bz2:3 xz:4 lzma:5; do
        find "$folder" -type f -name "*.${pair%:*}" -size -64k >"$list"
        while IFS= read -r file; do
            { printf "\\00${pair#*:}"; cat "$file"; } >"$seeds/$(sha256sum "$file" | cut -c1-40)"
        done <"$list"
    done
    seeds=corpus/safetensors
    put_all "$folder" '*.safetensors'
    seeds=corpus/template
    for suffix in jinja jinja2 j2 txt; do
        put_all "$folder" "*.$suffix"
    done
    seeds=corpus/gguf
    put_all "$folder" '*.gguf'
    seeds=corpus/tflite
    put_all "$folder" '*.tflite'
    seeds=corpus/models
    for suffix in ubj cbm msgpack skops pb json yaml mlmodel pdmodel meta pbtxt pt2; do
        put_all "$folder" "*.$suffix"
    done
    seeds=corpus/convert
    for suffix in pt pth npz npy pkl; do
        put_all "$folder" "*.$suffix"
    done
    for seeds in corpus/onnx corpus/gradients; do
        put_all "$folder" '*.onnx'
    done
    for seeds in corpus/protobuf corpus/tensorflow; do
        for suffix in pb pbtxt meta mlmodel pdmodel; do
            put_all "$folder" "*.$suffix"
        done
    done
    seeds=corpus/hdf5
    for suffix in h5 hdf5 keras weights; do
        put_all "$folder" "*.$suffix"
    done
    seeds=corpus/dsse
    put_all "$folder" '*.sig'
    seeds=corpus/bundle
    put_all "$folder" '*.sig'
    seeds=corpus/timestamp
    put_all "$folder" '*.tsr'
    seeds=corpus/certificates
    put_all "$folder" '*.pem'
    seeds=corpus/python
    for suffix in py ipynb; do
        put_all "$folder" "*.$suffix"
    done
    seeds=corpus/patterns
    for suffix in py csv txt yaml yml env json md ipynb; do
        put_all "$folder" "*.$suffix"
    done
done

seeds=corpus/facts
put ../testdata/facts/*.parquet
for seeds in corpus/sigstore corpus/attestation; do
    put ../testdata/sigstore/bundles/*.json
done
seeds=corpus/trusted_root
put ../testdata/sigstore/roots/*.json

seeds=corpus/data_descriptions
put ../testdata/data/manifest/*
seeds=corpus/project
put ../testdata/project/*.yaml
seeds=corpus/trust_policy
put ../testdata/trust/*.yaml
seeds=corpus/judge
put ../testdata/trust/*.gauntlet-bundle
seeds=corpus/evidence_bundle
put ../testdata/trust/*.gauntlet-bundle
seeds=corpus/python
put ../crates/gauntlet-pickle/tests/*.py
# What broke a target once. The area of a target is its crate's folder in testdata.
for target in $targets; do
    seeds=corpus/$target
    case $target in
    zip | tar | sevenz) area=archive ;;
    safetensors | convert) area=artifact ;;
    *) area=$target ;;
    esac
    put "../testdata/$area/crashes"/*
done

# Texts and payloads inside JSON.
python3 - <<'PYTHON'
import base64, glob, hashlib, json, zipfile

def put(target, data):
    with open(f"corpus/{target}/{hashlib.sha256(data).hexdigest()[:40]}", "wb") as seed:
        seed.write(data)

with open("../testdata/vectors/tlog/vectors.json", encoding="utf-8") as file:
    vectors = json.load(file)
notes = [*vectors["checkpoints"].values(), *(case["note"] for case in vectors["must_fail"] if "note" in case)]
for text in [*notes, *(note.split("\n\n")[0] + "\n" for note in notes), vectors["tlog_proof_300_of_600"],
             vectors["log_vkey"], vectors["witness_vkey"], "tile/0/x001/067.p/12", "tile/entries/000"]:
    put("checkpoint", text.encode())
entries = [entry.encode() for entry in vectors["entries_0_3"]]
put("checkpoint", b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries))
for folder in ("tiles",):
    put(folder, b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries))
    for name in ("tile/0/x001/067.p/12", "tile/entries/000", "tile/7/000"):
        put(folder, name.encode())
for note in vectors["checkpoints"].values():
    put("witness", b"old 0\n\n" + note.encode())
    put("witness", b"old 5\n" + base64.b64encode(bytes(32)) + b"\n\n" + note.encode())
record = {"kind": "report", "envelope": "sha256:" + "0" * 64, "key": "SHA256:" + "A" * 43,
          "predicateType": "https://in-toto.io/attestation/test-result/v0.1", "subject": {"sha256": "1" * 64},
          "time": "2026-01-31T12:00:00Z"}
record = json.dumps(record, sort_keys=True, separators=(",", ":"))
put("checkpoint", record.encode())
put("tiles", len(record).to_bytes(2, "big") + record.encode())
checkpoint = vectors["checkpoints"][max(vectors["checkpoints"], key=len)]
log = {"origin": checkpoint.split("\n")[0], "checkpoint": checkpoint,
       "entries": [{"index": 0, "entry": record, "proof": [base64.b64encode(bytes(32)).decode()]}]}
bundle = {"mediaType": "application/vnd.gauntlet.bundle.v1+json", "logs": [log], "envelopes": ["e30="],
          "certificates": ["MAA="], "timestamps": [{"envelope": hashlib.sha256(b"{}").hexdigest(), "signature": 0,
                                                    "token": "MAA="}], "reports": ["e30="]}
put("evidence_bundle", json.dumps(bundle, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")

with open("../testdata/artifact/template/attacks.txt", encoding="utf-8") as file:
    for line in file:
        put("template", line.encode())
with open("../testdata/artifact/template/chat.txt", encoding="utf-8") as file:
    for template in file.read().split("##### ")[1:]:
        put("template", template.split("\n", 1)[1].encode())
for path in glob.glob("../testdata/artifact/convert/*.pt"):
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith("/data.pkl"):
                put("convert", archive.read(name))

for path in glob.glob("../testdata/**/*.pem", recursive=True):
    with open(path, encoding="utf-8") as file:
        for block in file.read().split("-----BEGIN CERTIFICATE-----")[1:]:
            put("certificates", base64.b64decode(block.split("-----END")[0]))

for path in glob.glob("../testdata/vectors/oms/bundles/*.sig"):
    with open(path, "rb") as file:
        data = file.read()
    try:
        envelope = json.loads(data)["dsseEnvelope"]
        put("dsse", json.dumps(envelope).encode())
        put("dsse", base64.b64decode(envelope["payload"]))
    except (ValueError, KeyError, TypeError):
        pass
for number, suffix in enumerate(["safetensors", "npy", "onnx", "json"]):
    for path in glob.glob(f"../testdata/**/*.{suffix}", recursive=True):
        with open(path, "rb") as file:
            data = file.read()
        if len(data) <= 1 << 16:
            put("training", bytes([number]) + data)
put("training", b"\x03epoch 1: train_loss=0.25, 'eval_loss': nan\n")
PYTHON

# Digest lists and manifests are short: written here.
python3 - <<'PYTHON'
import hashlib, json

def put(target, text):
    data = text.encode()
    with open(f"corpus/{target}/{hashlib.sha256(data).hexdigest()[:40]}", "wb") as seed:
        seed.write(data)

digest = hashlib.sha256(b"1").hexdigest()
for text in (f"{digest}  a\n{digest} *b/c\n", f"\\{digest}  a\\nb\n", f"SHA256 (a) = {digest}\n",
             json.dumps({"a": f"sha256:{digest}"}), json.dumps([{"name": "a", "sha256": digest}]),
             f"outs:\n- sha256: {digest}\n  path: a\n", "outs:\n- md5: c4ca4238a0b923820dcc509a6f75849b\n  path: a\n"):
    put("digests", text)
blob = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{digest}", "size": 1,
        "annotations": {"org.cncf.model.filepath": "a"}}
for document in ({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [blob]},
                 {"schemaVersion": 2, "artifactType": "t", "config": blob, "layers": [blob], "subject": blob, "annotations": None}):
    put("oci", json.dumps(document))
put("oci", f"sha256:{digest}")
put("contract", "contract: 1\ncolumns:\n  a: {type: integer, range: [1, null], mostly: 0.9}\n  b: {type: string, pattern: '[a-z]+'}\n"
    "rules:\n  - {expression: 'a > 1 and length(b) < 3', when: \"b = 'x'\"}\n  - {column: a, quantiles: {0.5: [1, 2]}}\n")
put("contract_import", json.dumps({"expectations": [{"type": "expect_column_values_to_be_between",
    "kwargs": {"column": "a", "min_value": 1, "row_condition": 'b=="x"', "condition_parser": "pandas"}}]}))
put("contract_import", "schema_type: dataframe\ncolumns:\n  a:\n    dtype: int64\n    isin: [1, 2]\n")
PYTHON

for target in $targets; do
    echo "$target: $(find "corpus/$target" -type f | wc -l) seeds"
done
