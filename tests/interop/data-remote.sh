#!/usr/bin/env bash
# Reads datasets from real servers: S3 (moto), Azure Blob Storage (azurite), a web server with ranges. Good ones, missing ones.
# Google Cloud Storage is not tested: no emulator of the registries answers its list requests.
# Usage: tests/interop/data-remote.sh [PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/gauntlet}")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gauntlet
venv=$cache/data-remote-venv
work=$(mktemp -d)
servers=()
trap 'for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT
export GAUNTLET_CONFIG_DIR=$work/config

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet 'moto[server]==5.*' boto3 pyarrow 'azure-storage-blob==12.*'
if ! command -v npm >/dev/null; then
    root=$([ "$(id -u)" = 0 ] || echo sudo)
    $root apt-get update -qq
    $root apt-get install -y -qq npm >/dev/null
fi
[ -x "$cache/azurite/node_modules/.bin/azurite-blob" ] || npm install --silent --no-audit --no-fund --prefix "$cache/azurite" azurite@3 >/dev/null

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_for() { # port
    for _ in $(seq 150); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.2
    done
    echo "nothing listens on port $1" >&2
    exit 1
}
s3_port=$(free_port)
az_port=10000 # the emulator's well-known port, which clients assume
"$venv/bin/moto_server" -H 127.0.0.1 -p "$s3_port" >"$work/moto.log" 2>&1 &
servers+=($!)
"$cache/azurite/node_modules/.bin/azurite-blob" --silent --skipApiVersionCheck --location "$work/az" --blobPort "$az_port" >"$work/az.log" 2>&1 &
servers+=($!)
wait_for "$s3_port"
wait_for "$az_port"

export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_ALLOW_HTTP=true
export AWS_ENDPOINT_URL=http://127.0.0.1:$s3_port
export AZURE_STORAGE_USE_EMULATOR=true

"$venv/bin/python" - "$work" <<'PYTHON'
import os, pathlib, sys
import boto3, pyarrow as pa, pyarrow.parquet as pq
from azure.storage.blob import BlobServiceClient

work = pathlib.Path(sys.argv[1])
def table(start, rows):
    return pa.table({"id": pa.array(range(start, start + rows), pa.int64()), "plan": [["basic", "pro"][i % 2] for i in range(rows)],
                     "charge": [i / 8 for i in range(rows)]})
pq.write_table(table(0, 50_000), work / "a.parquet", row_group_size=10_000, write_page_checksum=True)
pq.write_table(table(50_000, 20_000), work / "b.parquet", row_group_size=5_000)
(work / "c.csv").write_text("id,plan,charge\n" + "".join(f"{i},pro,1.5\n" for i in range(200_000)))
files = {"t/year=2025/a.parquet": "a.parquet", "t/year=2026/b.parquet": "b.parquet", "csv/c.csv": "c.csv"}

s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
s3.create_bucket(Bucket="data")
service = BlobServiceClient.from_connection_string("UseDevelopmentStorage=true")
container = service.create_container("data")
for key, name in files.items():
    body = (work / name).read_bytes()
    s3.put_object(Bucket="data", Key=key, Body=body)
    container.upload_blob(key, body)
PYTHON

mkdir "$work/project" && cd "$work/project"
printf 'contract: 1\nextra_columns: allow\ncolumns:\n  id: {type: integer, unique: true}\n  plan: {type: string, allowed: [basic, pro]}\n  charge: {type: float, range: [0, null]}\n' >c.yaml
mkdir src

run() { # exit status, address
    printf 'version: 1\nproject: p\nkind: tabular\nrisk: minimal\nsource: {paths: [src]}\ndatasets:\n  train: {path: "%s", contract: c.yaml}\n' "$2" >gauntlet.yaml
    local status=0
    "$program" run --stage data --format json --no-progress >"$work/out" 2>"$work/err" || status=$?
    if [ "$status" != "$1" ]; then
        echo "$2: exit $status, expected $1" >&2
        head -c 3000 "$work/out" "$work/err" >&2
        exit 1
    fi
}
# The contract passes over as many files; the run as a whole fails for want of a manifest.
passes() { # files
    python3 - "$work/out" "$1" <<'PYTHON'
import json, sys
reports = {r["check"]: r for r in json.load(open(sys.argv[1]))["reports"]}
contract = reports["data/contract"]
assert contract["verdict"] == "pass", contract
assert contract["coverage"]["looked_at"] == int(sys.argv[2]), contract["coverage"]
PYTHON
}
for place in s3://data az://data; do
    echo "== $place"
    run 1 "$place/t/"
    passes 2
    run 1 "$place/t/year=*/*.parquet"
    passes 2
    run 1 "$place/csv/c.csv"
    passes 1
    run 3 "$place/nothing/here.csv"
    grep -q "nothing/here.csv" "$work/err" || { echo "the missing object is not named" >&2; exit 1; }
done
run 3 s3://no-such-bucket/t/

echo "== a web server"
web_port=$(free_port)
"$venv/bin/python" - "$work" "$web_port" <<'PYTHON' >"$work/web.log" 2>&1 &
import http.server, pathlib, re, sys
root = pathlib.Path(sys.argv[1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self): self.answer(False)
    def do_GET(self): self.answer(True)
    def answer(self, body):
        path = root / self.path.strip("/")
        if not path.is_file():
            self.send_error(404); return
        data, span = path.read_bytes(), re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        piece = data[int(span[1]):int(span[2]) + 1] if span else data
        self.send_response(206 if span else 200)
        if span: self.send_header("Content-Range", f"bytes {span[1]}-{span[2]}/{len(data)}")
        self.send_header("Content-Length", str(len(piece)))
        self.send_header("ETag", f'"{hash(data)}"')
        self.send_header("Last-Modified", "Sat, 21 Nov 2026 00:00:00 GMT")
        self.end_headers()
        if body: self.wfile.write(piece)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
PYTHON
servers+=($!)
wait_for "$web_port"
run 1 "http://127.0.0.1:$web_port/a.parquet"
passes 1
grep -q "data/protection/plain-http-source" "$work/out" || { echo "plain http is no finding" >&2; exit 1; }
run 3 "http://127.0.0.1:$web_port/none.parquet"
run 3 "http://127.0.0.1:$web_port/"
echo "data-remote: all as expected"
