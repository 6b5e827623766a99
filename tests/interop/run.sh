#!/usr/bin/env bash
# Checks against other people's tools: the OpenSSF reference signer, OpenSSL, SoftHSM, CPython's pickle and the safetensors
# library. Installs Python packages into a virtual environment in the user's cache directory, SoftHSM with apt-get. Usage: tests/interop/run.sh [PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/gauntlet}")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gauntlet
venv=$cache/interop-venv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GAUNTLET_CONFIG_DIR=$work/config

# As the tests build them: `cargo build` would choose other features and compile the tables anew.
cargo test --quiet --workspace --examples --no-run

mkdir -p "$cache"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet 'model-signing==1.1.1' pyOpenSSL numpy safetensors

echo "== OpenSSF model signing, both directions"
"$venv/bin/python" crates/gauntlet-trust/tests/interop/oms.py --ours "$program" --dot-flag=--dot

echo "== time stamps, by an authority made of OpenSSL"
"$venv/bin/python" crates/gauntlet-trust/tests/interop/timestamp.py --ours "$program"

echo "== keys in a software token"
if ! command -v softhsm2-util >/dev/null || ! command -v pkcs11-tool >/dev/null; then
    root=$([ "$(id -u)" = 0 ] || echo sudo)
    $root apt-get update -qq
    $root apt-get install -y -qq softhsm2 opensc >/dev/null
fi
crates/gauntlet-trust/tests/interop/pkcs11.sh "$program" "$venv/bin/python"

echo "== Sigstore: verdicts on genuine and broken bundles, and signing for each other"
"$venv/bin/pip" install --quiet 'sigstore==4.5.1'
"$venv/bin/python" tests/interop/sigstore_bundles.py "$program" "${CARGO_TARGET_DIR:-target}/debug/examples/sigstore_stand_in"

echo "== pickles: which globals are reached, against CPython"
python3 corpus/make_models.py "$work/models" >/dev/null
"$venv/bin/python" crates/gauntlet-pickle/tests/differential.py \
    "${CARGO_TARGET_DIR:-target}/debug/examples/globals" "$work/models/pickle" "$work/models/joblib"

echo "== pickles: 100,000 streams that nobody wrote, against both unpicklers of CPython"
python3 crates/gauntlet-pickle/tests/fuzz_differential.py \
    "${CARGO_TARGET_DIR:-target}/debug/examples/globals" --seed 1 --count 100000

echo "== conversions, read by the safetensors library"
"$venv/bin/python" tests/interop/convert.py "$program"

echo "== contracts, against Great Expectations and Pandera"
"$venv/bin/pip" install --quiet 'great_expectations==1.24.1' 'pandera[io]==0.35.0' pyarrow
"$venv/bin/python" tests/interop/contract.py "$program"

echo "== the ledger: an independent implementation, an S3 server, a full disk"
appender=${CARGO_TARGET_DIR:-target}/debug/examples/appender
bash tests/interop/tlog.sh "$program" "$appender"
bash tests/interop/s3-ledger.sh "$program" "$appender"
bash tests/interop/full-disk.sh "$program" "$appender"
echo "== models in buckets and on web servers, with a real S3 server"
tests/interop/remote.sh "$program"

echo "== packages and images, with skopeo and openssl"
tests/interop/oci.sh "$program"
echo "== bills of materials, against the schemas of CycloneDX and the model of SPDX"
"$venv/bin/pip" install --quiet 'cyclonedx-python-lib[json-validation]==11.12.0' 'spdx-python-model==0.0.6'
"$venv/bin/python" tests/interop/bom.py "$program"

echo "== manifests: Croissant, dataset cards, DVC, Feast, MLflow, TFX; what is found of people and secrets"
data_venv=$cache/data-venv
[ -x "$data_venv/bin/python" ] || python3 -m venv "$data_venv"
"$data_venv/bin/pip" install --quiet numpy pyarrow 'mlcroissant==1.1.1' 'huggingface_hub==2.4.0' 'datasets==5.2.0' 'dvc==3.67.1' \
    'feast==0.67.0' 'mlflow-skinny==3.17.2' pandas 'tensorflow-metadata==1.21.0'
"$data_venv/bin/python" tests/interop/manifest.py "$program"

echo "== training runs, real and hostile"
tests/interop/train.sh "$program"

echo "== data in buckets, on web servers and in a database"
tests/interop/data-remote.sh "$program"
tests/interop/data-postgres.sh "$program"

echo "== data files before a virus scanner"
tests/interop/clamav.sh "$program"
echo "== drift, against SciPy and river"
"$venv/bin/pip" install --quiet pyarrow scipy 'river==0.26.1' scikit-learn
"$venv/bin/python" tests/interop/drift.py "$program"
echo "== poisoned tables, against their truth and cleanlab"
"$venv/bin/pip" install --quiet numpy pyarrow scikit-learn cleanlab
"$venv/bin/python" tests/interop/poisoning.py "$program"

echo "== gradient graphs, on ONNX Runtime"
"$venv/bin/pip" install --quiet 'onnxruntime==1.31.1'
mkdir "$work/graphs"
GAUNTLET_GRAPHS=$work/graphs cargo test --quiet --workspace --test gradients -- --ignored
"$venv/bin/python" tests/interop/gradients.py "$work/graphs"
