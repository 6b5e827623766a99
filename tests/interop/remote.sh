#!/usr/bin/env bash
# Verifies models in a real S3 server (moto) and on a plain web server, good ones and tampered ones.
# Usage: tests/interop/remote.sh [PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/gauntlet}")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gauntlet
venv=$cache/remote-venv
work=$(mktemp -d)
servers=()
trap 'for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT
export GAUNTLET_CONFIG_DIR=$work/config
[ -x "$venv/bin/moto_server" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet 'moto[server]==5.*' boto3; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
s3_port=$(free_port)
web_port=$(free_port)
"$venv/bin/moto_server" -H 127.0.0.1 -p "$s3_port" >"$work/moto.log" 2>&1 &
servers+=($!)
mkdir "$work/web"
python3 -m http.server --bind 127.0.0.1 --directory "$work/web" "$web_port" >"$work/web.log" 2>&1 &
servers+=($!)
for port in "$s3_port" "$web_port"; do
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
        sleep 0.2
    done
done

export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_ALLOW_HTTP=true
export AWS_ENDPOINT_URL=http://127.0.0.1:$s3_port

"$program" key generate k --no-passphrase >/dev/null
key=$work/config/keys/k.pem
public=$work/config/keys/k.pub.pem
mkdir -p "$work/model/sub"
head -c 3000000 /dev/urandom >"$work/model/weights.safetensors"
echo '{"a": 1}' >"$work/model/config.json"
echo 'two words' >"$work/model/sub/a b+c#d.txt"
"$program" sign "$work/model" --key "$key" >/dev/null

s3() { # python statements with `s3` and `put`
    "$venv/bin/python" - "$work" <<PYTHON
import os, pathlib, sys, boto3
s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
work = pathlib.Path(sys.argv[1])
def put(key, body): s3.put_object(Bucket="models", Key=key, Body=body)
def upload(prefix):
    for path in sorted((work / "model").rglob("*")):
        if path.is_file():
            put(prefix + str(path.relative_to(work / "model")), path.read_bytes())
$1
PYTHON
}

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

s3 '
s3.create_bucket(Bucket="models")
upload("good/")
put("good/sub/", b"")
upload("changed/"); body = bytearray((work / "model/weights.safetensors").read_bytes()); body[1500000] ^= 1; put("changed/weights.safetensors", bytes(body))
upload("cut/"); put("cut/weights.safetensors", bytes(body[:1000]))
upload("extra/"); put("extra/evil.py", b"import os")
upload("missing/"); s3.delete_object(Bucket="models", Key="missing/config.json")
upload("deep/er/")
put("single.bin", b"one file")
'
echo "== buckets"
expect 0 verify s3://models/good/ --key "$public"
expect 0 verify s3://models/good --key "$public"
expect 0 verify s3://models/deep/er/ --key "$public"
expect 0 verify s3://models/good/ --key "$public" --install-to "$work/installed"
diff -r "$work/model" "$work/installed"
for bad in changed cut extra missing; do
    expect 1 verify "s3://models/$bad/" --key "$public"
    expect 1 verify "s3://models/$bad/" --key "$public" --install-to "$work/bad"
    [ ! -e "$work/bad" ] || { echo "$bad was installed"; exit 1; }
done
[ -z "$(find "$work" -maxdepth 1 -name '.gauntlet-*')" ] || { echo "a temporary folder stayed"; exit 1; }
expect 0 verify s3://models/good/ --key "$public" --only config.json --format json
python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); assert d["verdict"] == "partial" and "reports" not in d, d' "$work/out"
expect 3 verify s3://models/nothing/ --key "$public" --signature "$work/model/model.sig"
expect 3 verify s3://no-such-bucket/x/ --key "$public" --signature "$work/model/model.sig"
printf 'one file' >"$work/single.bin"
"$program" sign "$work/single.bin" --key "$key" >/dev/null
expect 0 verify s3://models/single.bin --key "$public" --signature "$work/single.bin.sig"
expect 0 verify s3://models/single.bin --key "$public" --signature "$work/single.bin.sig" --install-to -
cmp "$work/out" "$work/single.bin"

echo "== a web server"
cp -r "$work/model" "$work/web/m"
expect 0 verify "http://127.0.0.1:$web_port/m/" --key "$public"
expect 0 verify "http://127.0.0.1:$web_port/m/" --key "$public" --install-to "$work/from-web"
diff -r "$work/model" "$work/from-web"
printf 'x' | dd of="$work/web/m/weights.safetensors" bs=1 seek=2999999 conv=notrunc status=none
expect 1 verify "http://127.0.0.1:$web_port/m/" --key "$public" --install-to "$work/bad"
[ ! -e "$work/bad" ] || { echo "a changed model was installed"; exit 1; }

echo "== stdin"
expect 0 verify - --signature "$work/single.bin.sig" --key "$public" --install-to - <"$work/single.bin"
cmp "$work/out" "$work/single.bin"
expect 1 verify - --signature "$work/single.bin.sig" --key "$public" --install-to - <"$work/model/config.json"
[ ! -s "$work/out" ] || { echo "wrong bytes were handed over"; exit 1; }
echo "remote: all as expected"
