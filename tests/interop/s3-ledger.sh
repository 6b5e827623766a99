#!/usr/bin/env bash
# A team's ledger in an S3 server (PyPI moto): two machines write at once, one of them is killed again and again, nothing that was
# acknowledged is lost, nothing forks, and every changed object is found. Usage: tests/interop/s3-ledger.sh PROGRAM APPENDER
set -euo pipefail
program=$(realpath "$1")
appender=$(realpath "$2")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gauntlet
venv=$cache/s3-venv
[ -x "$venv/bin/python" ] || { mkdir -p "$cache"; python3 -m venv "$venv"; }
"$venv/bin/python" -c 'import boto3, moto.server' 2>/dev/null || "$venv/bin/pip" install --quiet 'moto[server]>=5.1' boto3
work=$(mktemp -d)
port=${S3_PORT:-15566}
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_ALLOW_HTTP=true NO_PROXY=127.0.0.1
export AWS_ENDPOINT=http://127.0.0.1:$port AWS_VIRTUAL_HOSTED_STYLE_REQUEST=false
export AWS_REQUEST_CHECKSUM_CALCULATION=when_required AWS_RESPONSE_CHECKSUM_VALIDATION=when_required
"$venv/bin/moto_server" -H 127.0.0.1 -p "$port" >"$work/moto.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true; rm -rf "$work"' EXIT

# The server has to honour conditional writes, or everything below would prove nothing.
"$venv/bin/python" - "$port" <<'PYTHON'
import sys, time
import boto3, botocore
client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}")
started = time.monotonic()
while True:
    try:
        client.create_bucket(Bucket="team")
        break
    except botocore.exceptions.EndpointConnectionError:
        if time.monotonic() - started > 120:
            sys.exit("the S3 server does not answer")
        time.sleep(0.2)

def refused(**conditions):
    try:
        client.put_object(Bucket="team", Key="probe", Body=b"2", **conditions)
    except botocore.exceptions.ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    return False

first = client.put_object(Bucket="team", Key="probe", Body=b"1")
assert refused(IfNoneMatch="*"), "the server overwrites in spite of If-None-Match"
assert refused(IfMatch='"00000000000000000000000000000000"'), "the server ignores If-Match"
client.put_object(Bucket="team", Key="probe", Body=b"3", IfMatch=first["ETag"])
client.delete_object(Bucket="team", Key="probe")
PYTHON

url=s3://team/a/ledger
one=$work/one two=$work/two
"$appender" "$url" "$one" start 1 >"$work/start"
# The second machine has the log's key, and nothing else of the first.
for home in "$one"/ledgers/*/; do
    target=$two/ledgers/$(basename "$home")
    mkdir -p "$target"
    chmod 700 "$target"
    cp -p "$home/log.pem" "$home/log.vkey" "$target/"
done

echo "== two writers at once"
"$appender" "$url" "$one" one 25 >"$work/a1" 2>"$work/e1" &
first=$!
"$appender" "$url" "$two" two 25 >"$work/a2" 2>"$work/e2"
wait $first || { cat "$work/e1"; exit 1; }

echo "== one of two is killed, again and again"
"$appender" "$url" "$one" steady 60 >"$work/a3" 2>"$work/e3" &
steady=$!
for round in 1 2 3 4 5 6; do
    "$appender" "$url" "$two" "killed$round" 1000 >"$work/k$round" 2>>"$work/ek" &
    victim=$!
    # It dies at some moment after its first entry: inside a commit, most likely.
    until grep -q acknowledged "$work/k$round" 2>/dev/null; do
        kill -0 $victim 2>/dev/null || { cat "$work/ek"; exit 1; }
        sleep 0.1
    done
    sleep "0.$((round * 137 % 10))"
    kill -9 $victim
    wait $victim 2>/dev/null || true
done
wait $steady || { cat "$work/e3"; exit 1; }

echo "== nothing is lost, nothing is forked"
for config in "$one" "$two"; do
    "$program" --config-dir "$config" ledger verify -C "$work" --ledger "$url"
done
"$program" --config-dir "$one" ledger log -C "$work" --ledger "$url" --json >"$work/log"
cat "$work"/start "$work"/a? "$work"/k? | grep '^acknowledged' >"$work/acknowledged"
"$venv/bin/python" - "$work" <<'PYTHON'
import json, pathlib, sys
work = pathlib.Path(sys.argv[1])
entries = {entry["index"]: entry["key"] for entry in map(json.loads, (work / "log").open())}
acknowledged = [line.split() for line in (work / "acknowledged").open()]
indices = [int(index) for _, index, _ in acknowledged]
assert len(indices) == len(set(indices)), "an index was given twice"
for _, index, key in acknowledged:
    assert entries[int(index)] == key, (index, key, entries.get(int(index)))
killed = sum(1 for _, _, key in acknowledged if key.startswith("killed"))
assert killed >= 6, f"the killed writer hardly wrote: {killed}"
print(f"{len(acknowledged)} acknowledged of {len(entries)} entries, {killed} by a writer that was killed")
PYTHON

echo "== a changed object is found, and so is a deleted one"
"$venv/bin/python" - "$port" "$program" "$work" "$url" <<'PYTHON'
import subprocess, sys
import boto3
port, program, work, url = sys.argv[1:]
client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")
names = [item["Key"] for page in client.get_paginator("list_objects_v2").paginate(Bucket="team") for item in page["Contents"]]
verify = [program, "--config-dir", f"{work}/one", "ledger", "verify", "-C", work, "--ledger", url]
chosen = [name for name in names if name.endswith(("/checkpoint", "/origin", ".dsse.json"))]
chosen += [name for name in names if "/tile/" in name][-3:] + [name for name in names if "/journal/" in name][1:3]
assert len(chosen) >= 8, chosen
for name in chosen:
    whole = client.get_object(Bucket="team", Key=name)["Body"].read()
    changed = bytearray(whole)
    changed[len(changed) // 2] ^= 1
    client.put_object(Bucket="team", Key=name, Body=bytes(changed))
    status = subprocess.run(verify, capture_output=True).returncode
    assert status != 0, f"{name}: not noticed"
    client.put_object(Bucket="team", Key=name, Body=whole)
assert subprocess.run(verify, capture_output=True).returncode == 0
print(f"{len(chosen)} changed objects noticed")
PYTHON
echo "s3-ledger: sound"
