#!/usr/bin/env bash
# Packages that skopeo reads and copies, and images that skopeo wrote, signed in cosign's way by openssl.
# Usage: tests/interop/oci.sh [PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/gauntlet}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GAUNTLET_CONFIG_DIR=$work/config
command -v skopeo >/dev/null || { apt-get update -qq && apt-get install -y -qq skopeo; } >/dev/null

expect() { # exit status, then arguments of gauntlet
    local status=0 want=$1
    shift
    "$program" "$@" >"$work/out" 2>"$work/err" || status=$?
    if [ "$status" != "$want" ]; then
        echo "gauntlet $*: exit $status, expected $want"
        cat "$work/out" "$work/err"
        exit 1
    fi
}

"$program" key generate k --no-passphrase >/dev/null
public=$work/config/keys/k.pub.pem
mkdir -p "$work/model/sub"
head -c 100000 /dev/urandom >"$work/model/weights.safetensors"
echo '{}' >"$work/model/config.json"
echo '# m' >"$work/model/sub/README.md"
"$program" sign "$work/model" --key "$work/config/keys/k.pem" >/dev/null
echo '{"bomFormat": "CycloneDX", "specVersion": "1.6"}' >"$work/m.cdx.json"

echo "== our package, read and copied by skopeo"
SOURCE_DATE_EPOCH=1767225600 "$program" package "$work/model" -o "$work/layout" --bom "$work/m.cdx.json" --tag v1 --format json >"$work/package.json"
digest=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["package"]["digest"])' "$work/package.json")
skopeo inspect --raw "oci:$work/layout:v1" >"$work/raw.json"
[ "sha256:$(sha256sum <"$work/raw.json" | cut -d' ' -f1)" = "$digest" ] || { echo "skopeo sees another manifest"; exit 1; }
skopeo copy --quiet "oci:$work/layout:v1" "dir:$work/copied"
python3 - "$work" <<'PYTHON'
import hashlib, json, pathlib, sys
work = pathlib.Path(sys.argv[1])
manifest = json.load(open(work / "copied/manifest.json"))
for layer in manifest["layers"]:
    name = layer["annotations"]["org.cncf.model.filepath"]
    data = (work / "copied" / layer["digest"].removeprefix("sha256:")).read_bytes()
    assert data == (work / "model" / name).read_bytes(), name
assert len(manifest["layers"]) == 3, manifest
PYTHON
expect 0 verify "$work/layout" --key "$public"
SOURCE_DATE_EPOCH=1767225600 "$program" package "$work/model" -o "$work/again" --bom "$work/m.cdx.json" --tag v1 >/dev/null
diff -r "$work/layout" "$work/again"

echo "== a layout that skopeo wrote from our package: the model alone, its signature given"
skopeo copy --quiet "oci:$work/layout:v1" "oci:$work/theirs:v1"
expect 0 verify "$work/theirs" --key "$public" --signature "$work/model/model.sig"
expect 1 verify "$work/theirs" --key "$public"
blob=$(find "$work/theirs/blobs/sha256" -size +50k | head -1)
printf 'x' | dd of="$blob" bs=1 seek=5000 conv=notrunc status=none
expect 1 verify "$work/theirs" --key "$public" --signature "$work/model/model.sig"

echo "== an image, signed in cosign's way by openssl"
mkdir "$work/root" && echo hello >"$work/root/hello"
python3 - "$work" <<'PYTHON'
import gzip, hashlib, io, json, pathlib, sys, tarfile
work = pathlib.Path(sys.argv[1])
# An image of one layer in the layout of `docker save`, which skopeo turns into an OCI layout.
layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as tar:
    tar.add(work / "root/hello", "hello")
layer = layer.getvalue()
config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/hello"]},
                     "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
name = hashlib.sha256(config).hexdigest() + ".json"
with tarfile.open(work / "image.tar", "w") as tar:
    def add(path, data):
        info = tarfile.TarInfo(path); info.size = len(data); tar.addfile(info, io.BytesIO(data))
    add(name, config); add("layer.tar", layer)
    add("manifest.json", json.dumps([{"Config": name, "RepoTags": ["train:latest"], "Layers": ["layer.tar"]}]).encode())
PYTHON
skopeo copy --quiet "docker-archive:$work/image.tar" "oci:$work/train:image"
image=sha256:$(skopeo inspect --raw "oci:$work/train:image" | sha256sum | cut -d' ' -f1)
openssl ecparam -name prime256v1 -genkey -noout -out "$work/cosign.key"
openssl ec -in "$work/cosign.key" -pubout -out "$work/cosign.pub" 2>/dev/null
printf '{"critical":{"identity":{"docker-reference":"registry.example/train"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}' "$image" >"$work/payload.json"
openssl dgst -sha256 -sign "$work/cosign.key" -out "$work/payload.sig" "$work/payload.json"
add_signature() { # payload: adds `sha256-….sig` to the layout as `skopeo copy` of the tag does
    python3 - "$work" "$image" "$1" <<'PYTHON'
import base64, hashlib, json, pathlib, sys
work, image, payload = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]).read_bytes()
blobs = work / "train/blobs/sha256"
def blob(data, kind):
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}
layer = blob(payload, "application/vnd.dev.cosign.simplesigning.v1+json")
layer["annotations"] = {"dev.cosignproject.cosign/signature": base64.b64encode((work / "payload.sig").read_bytes()).decode()}
config = blob(json.dumps({"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}).encode(),
              "application/vnd.oci.image.config.v1+json")
kind = "application/vnd.oci.image.manifest.v1+json"
manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}).encode(), kind)
manifest["annotations"] = {"org.opencontainers.image.ref.name": image.replace(":", "-") + ".sig"}
index = json.load(open(work / "train/index.json"))
index["manifests"] = [entry for entry in index["manifests"] if not entry["annotations"]["org.opencontainers.image.ref.name"].endswith(".sig")] + [manifest]
json.dump(index, open(work / "train/index.json", "w"))
PYTHON
}
expect 1 verify "$work/train" --image-digest "$image" --key "$work/cosign.pub"
add_signature "$work/payload.json"
expect 0 verify "$work/train" --image-digest "$image" --key "$work/cosign.pub" --format json
python3 - "$work/out" "$image" <<'PYTHON'
import json, sys
document = json.load(open(sys.argv[1]))
reports = {report["check"]: report for report in document["reports"]}
assert document["verdict"] == "pass" and reports["trust/image"]["verdict"] == "pass", document
assert reports["trust/image"]["subject"]["digest"]["sha256"] == sys.argv[2].removeprefix("sha256:"), document
PYTHON
expect 1 verify "$work/train" --image-digest "$image" --key "$public"
rm -r "$work/train" && skopeo copy --quiet "docker-archive:$work/image.tar" "oci:$work/train:image"
sed 's/registry.example/registry.evil/' "$work/payload.json" >"$work/edited.json"
add_signature "$work/edited.json"
expect 1 verify "$work/train" --image-digest "$image" --key "$work/cosign.pub"
echo "oci: all as expected"
