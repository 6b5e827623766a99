#!/usr/bin/env bash
# Training runs, real and hostile, each held by the mechanism that it names. Needs Linux and python3, and bubblewrap for one
# part (installed when apt is there). Usage: tests/interop/train.sh [PROGRAM]
#
# A mechanism that this machine refuses fails the script: a test that did not run has shown nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/gauntlet}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GAUNTLET_CONFIG_DIR=$work/config
python=/usr/bin/python3
[ -x "$python" ] || { echo "no $python: install python3" >&2; exit 1; }
# Always low: what is not contained must not hurt.
limits="wall=30s,cpus=1,memory=256MiB,processes=64,disk=32MiB"
mkdir "$work/p"
fail() { echo "FAIL: $*" >&2; [ -z "${result:-}" ] || cat "$result" >&2; exit 1; }

# train NAME [OPTIONS...] -- COMMAND...: runs in a fresh folder with what lies in $work/files, result in $result.
train() {
    name=$1; shift
    folder=$work/p/$name; mkdir "$folder"; cp -r "$work/files/." "$folder/" 2>/dev/null || true
    result=$work/$name.json
    status=0
    timeout 120 "$program" train --quiet --dir "$folder" --limits "$limits" --format json -o "$result" "$@" 2>"$work/$name.err" || status=$?
    [ -s "$result" ] || { cat "$work/$name.err" >&2; fail "$name gave no result (status $status)"; }
    for mechanism in user-namespace pid-namespace mount-namespace network-namespace ipc-namespace read-only-root scratch-tmpfs \
        own-proc no-capabilities no-new-privileges seccomp; do
        ! says "$mechanism was not in force" || fail "$name: $mechanism was refused here"
    done
}
says() { grep -qF -- "$1" "$result"; }
expect() { [ "$status" = "$1" ] || { cat "$work/$name.err" >&2; fail "$name: status $status, not $1"; }; shift; for text; do says "$text" || fail "$name: \`$text\` is not said"; done; }
held_by() { says "held by $1" || { [ "${2:-}" ] && says "held by $2"; } || fail "$name: not held by $1"; }
mkdir "$work/files"

echo "== a real run: admitted, recorded, taken over, replayed"
cp -r examples/scorecard "$work/scorecard"; rm -rf "$work/scorecard/.gauntlet" "$work/scorecard/models"
"$program" train --dir "$work/scorecard" --provenance "$work/provenance.json" --format json -o "$work/real.json" 2>"$work/real.err" \
    || { cat "$work/real.err" "$work/real.json" >&2; fail "the scorecard was not trained"; }
[ -s "$work/scorecard/models/scorecard.json" ] || fail "no model came back"
grep -q 'loss=0.44' "$work/real.err" || fail "the run's output was not shown"
"$program" train --quiet --dir "$work/scorecard" --replay "$work/provenance.json" --format json -o "$work/replay.json" \
    || { cat "$work/replay.json" >&2; fail "the replay differs"; }
grep -q 'same-bytes' "$work/replay.json" || fail "the replay did not say that the bytes are the same"
sed -i 's/RATE = 0.3/RATE = 0.29/' "$work/scorecard/train.py"
status=0; "$program" train --quiet --dir "$work/scorecard" --replay "$work/provenance.json" --format json -o "$work/replay2.json" || status=$?
{ [ "$status" = 1 ] && grep -q 'train/replay/changed-input' "$work/replay2.json" && grep -q 'train/replay/other-numbers' "$work/replay2.json"; } \
    || fail "a replay of other source is not refused"
sed 's/"payload":"\(....\)/"payload":"AAAA/' "$work/provenance.json" >"$work/forged.json"
status=0; "$program" train --quiet --dir "$work/scorecard" --replay "$work/forged.json" 2>/dev/null || status=$?
[ "$status" = 1 ] || fail "forged provenance was replayed (status $status)"

echo "== the churn model, by scikit-learn, with the versions that it pins"
venv=${XDG_CACHE_HOME:-$HOME/.cache}/gauntlet/train-venv
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || { echo "no venv: install python3-venv" >&2; exit 1; }
grep -v onnxruntime examples/churn/requirements.txt >"$work/requirements.txt"
"$venv/bin/pip" install --quiet -r "$work/requirements.txt"
cp -r examples/churn "$work/churn"; rm -rf "$work/churn/.gauntlet"
PATH=$venv/bin:$PATH "$program" train --quiet --dir "$work/churn" --provenance "$work/churn.json" --format json -o "$work/churn-run.json" 2>"$work/churn.err" \
    || { cat "$work/churn.err" "$work/churn-run.json" >&2; fail "churn was not trained"; }
grep -q '"train/record"' "$work/churn-run.json" || fail "churn has no record"
PATH=$venv/bin:$PATH "$program" train --quiet --dir "$work/churn" --replay "$work/churn.json" --format json -o "$work/churn-replay.json" \
    || { cat "$work/churn-replay.json" >&2; fail "churn's replay differs"; }

echo "== consent that does not cover the purpose is refused before anything runs"
status=0; "$program" train --quiet --dir "$work/scorecard" --purpose sell-to-others --format json -o "$work/purpose.json" || status=$?
{ [ "$status" = 1 ] && grep -q 'policy/train/check-failed' "$work/purpose.json"; } || fail "the purpose was not refused"

echo "== fork bomb: the processes of a control group"
cat >"$work/files/bomb.py" <<'PY'
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.1)
PY
train bomb -- "$python" bomb.py
expect 1 train/confinement/over-limit "limit of processes"; held_by "cgroup-v1 pids.max" "cgroup-v2 pids.max"
! pgrep -f bomb.py >/dev/null || fail "the bomb is still there"

echo "== memory hog: the memory of a control group"
cat >"$work/files/hog.py" <<'PY'
held = []
while True:
    held.append(bytearray(8 << 20))
PY
train hog -- "$python" hog.py
expect 1 "limit of memory"; held_by "cgroup-v1 memory.limit_in_bytes" "cgroup-v2 memory.max"

echo "== disk fillers: the size of scratch, bytes and files"
train disk -- sh -c 'cat /dev/zero > /work/big; sleep 9'
expect 1 "limit of disk"; held_by "tmpfs size"
train shm -- sh -c 'cat /dev/zero > /dev/shm/big; exit 0'
expect 1 "limit of disk"; held_by "tmpfs size"
train files -- "$python" -c 'for n in range(10**6): open(f"/tmp/{n}", "w").close()'
expect 1 "limit of disk"; held_by "tmpfs size"

echo "== endless: the timer; and the timer of money"
train endless --limits wall=1s -- sleep 100
expect 1 "limit of wall"; held_by "timer"
cat >"$work/files/gauntlet.yaml" <<'YAML'
version: 1
project: dear
kind: tabular
risk: minimal
environments: {local: {}}
training: {command: [sleep, "100"], limits: {cost: 0.0005 EUR}, prices: {core_hour: 1 EUR}}
YAML
train dear
expect 1 "limit of cost"; held_by "timer at the given prices"
rm "$work/files/gauntlet.yaml"

echo "== network: none, and only the declared host through the proxy"
cat >"$work/files/net.py" <<'PY'
import socket
for family, address in ((socket.AF_INET, ("1.1.1.1", 53)), (socket.AF_INET6, ("2606:4700:4700::1111", 53))):
    try:
        socket.socket(family).connect(address)
        raise SystemExit("connected")
    except OSError as error:
        assert error.errno == 101, error  # ENETUNREACH: there is no other network here
for family in (17, 38, 40):  # packets, the kernel's ciphers, the machine's host
    try:
        socket.socket(family, socket.SOCK_STREAM if family != 17 else socket.SOCK_RAW)
        raise SystemExit(f"family {family}")
    except PermissionError:
        pass
PY
train net -- "$python" net.py
expect 0
cat >"$work/serve.py" <<'PY'
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "5"); self.end_headers(); self.wfile.write(b"hello")
    def log_message(self, *arguments): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
"$python" "$work/serve.py" >"$work/port" & server=$!
trap 'kill $server 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 50); do [ -s "$work/port" ] && break; sleep 0.1; done
port=$(cat "$work/port")
cat >"$work/files/fetch.py" <<'PY'
import sys, urllib.error, urllib.request
assert urllib.request.urlopen(f"http://localhost:{sys.argv[1]}/").read() == b"hello"
try:
    urllib.request.urlopen(f"http://example.org:{sys.argv[1]}/")
    raise SystemExit("reached an undeclared host")
except urllib.error.HTTPError as error:
    assert error.code == 403, error
PY
# Python never asks a proxy about localhost unless it is told so.
train proxied --network "localhost:$port" --env no_proxy=none -- "$python" fetch.py "$port"
expect 1 train/confinement/undeclared-host example.org
! says train/record/command-failed || fail "the declared host was not reached"

echo "== undeclared data: not there, and known"
mkdir -p "$work/files/data"; echo 1 >"$work/files/data/train.csv"; echo 2 >"$work/files/data/secret.csv"
cat >"$work/files/read.py" <<'PY'
import pathlib
assert pathlib.Path("data/train.csv").read_text() == "1\n"
for path in ("data/secret.csv", "/work/../work/data/secret.csv"):
    try:
        open(path)
        raise SystemExit("read")
    except FileNotFoundError:
        pass
PY
train undeclared --input data/train.csv -- "$python" read.py
expect 1 train/record/undeclared-read data/secret.csv
! says train/record/command-failed || fail "it was there"
! says train/record/not-traced || fail "opens were not traced"

echo "== writers outside of scratch: read-only mounts, and nothing of the machine"
cat >"$work/files/write.py" <<'PY'
import errno, os
for path in ("/usr/x", "/etc/x", "/x", "/work/data/train.csv", "/proc/sys/kernel/core_pattern", "/dev/x"):
    try:
        open(path, "w")
        raise SystemExit(f"wrote {path}")
    except OSError as error:
        assert error.errno == errno.EROFS, (path, error)
for path in ("/root", "/var", "/sys", "/boot", "/etc/shadow", "/dev/sda", "/dev/vda", "/dev/kmsg", "/dev/mem", "/dev/tty"):
    assert not os.path.exists(path), path
assert open("/proc/kallsyms").read() == ""
PY
train write --input data/train.csv -- "$python" write.py
expect 0
[ "$(cat "$work/p/write/data/train.csv")" = 1 ] || fail "the input was changed"

echo "== system calls: the filter"
cat >"$work/files/calls.py" <<'PY'
import ctypes, errno, platform
assert platform.machine() == "x86_64"
libc = ctypes.CDLL(None, use_errno=True)
NOT_PERMITTED = {
    "ptrace": (101, 0, 1), "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0), "kexec_load": (246, 0, 0, 0), "keyctl": (250, 0, -3, 0),
    "add_key": (248, b"user", b"x", b"y", 1, -3), "unshare": (272, 0x10000000), "setns": (308, 3, 0), "bpf": (321, 0, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0), "io_uring_setup": (425, 1, 0), "userfaultfd": (323, 0), "open_by_handle_at": (304, 0, 0, 0),
    "seccomp": (317, 0, 0, 0), "process_vm_writev": (311, 1, 0, 0, 0, 0, 0), "init_module": (175, 0, 0, 0), "pivot_root": (155, b".", b"."),
    "reboot": (169, 0, 0, 0, 0), "settimeofday": (164, 0, 0), "clone into a user namespace": (56, 0x10000011, 0, 0, 0, 0), "chroot": (161, b"/tmp"),
}
NOT_THERE = {"clone3": (435, 0, 0), "the other table (x32)": (0x40000000 + 39,), "a call of tomorrow": (999,)}
for calls, wanted in ((NOT_PERMITTED, errno.EPERM), (NOT_THERE, errno.ENOSYS)):
    for name, call in calls.items():
        result = libc.syscall(*call)
        assert (result, ctypes.get_errno()) == (-1, wanted), (name, result, ctypes.get_errno())
for path in ("/proc/1/mem", "/proc/1/environ"):
    try:
        open(path, "rb").read(1)
        raise SystemExit(f"read {path}")
    except PermissionError:
        pass
PY
if [ "$(uname -m)" = x86_64 ]; then train calls -- "$python" calls.py; expect 0; fi

echo "== privileges: none, and none to be had"
cat >"$work/files/privileges.py" <<'PY'
import os
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
    assert int(status[name], 16) == 0, (name, status[name])
assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
try:
    os.chown("/work", 1, 1)
    raise SystemExit("chown")
except OSError:
    pass
PY
train privileges -- "$python" privileges.py
expect 0

echo "== signals and survivors: the process id namespace"
sleep 300 & victim=$!
cat >"$work/files/kill.py" <<PY
import os, signal, subprocess
assert os.getpid() < 10
for pid in ($victim, $$):
    try:
        os.kill(pid, signal.SIGKILL)
        raise SystemExit("killed")
    except ProcessLookupError:
        pass
daemon = os.fork()
if daemon == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "4242"])
    os._exit(0)
os.waitpid(daemon, 0)
PY
train kill -- "$python" kill.py
expect 0 train/confinement/left-behind
kill -0 $victim || fail "a process outside was killed"
kill $victim
! pgrep -f 'sleep 4242' >/dev/null || fail "the daemon survived"

echo "== outputs: only what was declared, links not followed, nothing of a failed run"
cat >"$work/files/outputs.py" <<'PY'
import os, pathlib
pathlib.Path("models").mkdir()
pathlib.Path("models/m.json").write_text("{}")
os.symlink("/etc/passwd", "models/link")
os.mkfifo("models/pipe")
pathlib.Path("other.json").write_text("{}")
PY
train outputs --input data/train.csv --output models -- "$python" outputs.py
expect 1 train/record/missing-output models/link models/pipe
[ -f "$work/p/outputs/models/m.json" ] || fail "the declared output is not there"
[ ! -e "$work/p/outputs/models/link" ] && [ ! -e "$work/p/outputs/other.json" ] || fail "more came out than was declared"
train failed --output models -- sh -c 'mkdir -p models; echo x > models/m; exit 3'
expect 1 train/record/command-failed "exit code 3"
[ ! -e "$work/p/failed/models" ] || fail "something of a failed run was taken over"

echo "== anomalies: no number; stopped when told so"
train nan --stop-on-anomaly -- sh -c 'echo loss=0.5; echo loss=nan; sleep 20'
expect 1 train/anomaly/not-a-number
cat >"$work/files/mlflow.py" <<'PY'
import pathlib
metrics = pathlib.Path("mlruns/0/0123456789abcdef/metrics")
metrics.mkdir(parents=True)
(metrics / "loss").write_text("".join(f"1700000000000 {value} {step}\n" for step, value in enumerate([1 / (n + 1) for n in range(40)] + [9.0])))
parameters = metrics.parent / "params"
parameters.mkdir()
(parameters / "lr").write_text("0.1")
PY
cat >"$work/files/gauntlet.yaml" <<'YAML'
version: 1
project: flow
kind: tabular
risk: minimal
environments: {local: {}}
training: {command: [/usr/bin/python3, mlflow.py], metrics: {mlflow: mlruns}}
YAML
train mlflow
says train/anomaly/loss-jump || fail "the jump in the file store was not seen"
rm "$work/files/gauntlet.yaml"

echo "== admissions: for this run alone, signed by the key that is named"
"$program" key generate org --no-passphrase --output "$work/org.pem" >/dev/null
mkdir "$work/adm"; echo 'print(1)' >"$work/adm/a.py"
"$program" train --quiet --dir "$work/adm" --key "$work/org.pem" --admit "$work/admission.json" --limits "$limits" -- "$python" a.py >/dev/null
admitted() { "$program" train --quiet --dir "$work/adm" --admission "$work/admission.json" --admission-key "$1" --limits "$limits" -- "$python" a.py >/dev/null 2>"$work/adm.err"; }
admitted "$work/org.pub.pem" || { cat "$work/adm.err" >&2; fail "the admission was not taken"; }
"$program" key generate other --no-passphrase --output "$work/other.pem" >/dev/null
! admitted "$work/other.pub.pem" || fail "an admission by another key was taken"
echo 'print(2)' >"$work/adm/a.py"
! admitted "$work/org.pub.pem" || fail "an admission of other source was taken"
grep -q 'changed since' "$work/adm.err" || fail "the reason is not said"

echo "== without root: the same mechanisms, limits by what a user may"
if [ "$(id -u)" = 0 ]; then
    mkdir "$work/nobody" "$work/nobody-config"; cp "$work/files/bomb.py" "$work/files/hog.py" "$work/nobody/"
    chown -R 65534:65534 "$work/nobody" "$work/nobody-config"; chmod 755 "$work"
    install -m 755 "$program" "$work/gauntlet"
    as_user() {
        name=$1; shift; result=$work/nobody-config/$name.json; status=0
        setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$work/nobody" GAUNTLET_CONFIG_DIR="$work/nobody-config" timeout 120 \
            "$work/gauntlet" train --quiet --dir "$work/nobody" --limits "wall=5s,cpus=1,memory=256MiB,processes=16,disk=32MiB" --format json -o "$result" "$@" 2>"$work/$name.err" || status=$?
        [ -s "$result" ] || { cat "$work/$name.err" >&2; fail "$name gave no result: user namespaces may be refused here"; }
    }
    as_user plain -- sh -c 'echo ok'
    expect 0 "held by rlimit RLIMIT_NPROC"
    as_user user-bomb -- "$python" bomb.py
    expect 1 "limit of wall" "held by rlimit RLIMIT_NPROC"
    as_user user-hog -- "$python" hog.py
    expect 1 "rlimit RLIMIT_AS"
fi

echo "== bubblewrap"
if ! command -v bwrap >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then apt-get -qq update && apt-get -qq install -y bubblewrap >/dev/null; fi
command -v bwrap >/dev/null || fail "bubblewrap is not installed"
train wrapped --runner bubblewrap -- "$python" privileges.py
expect 0 train/record/not-traced
train wrapped-net --runner bubblewrap -- "$python" net.py
expect 0
train wrapped-bomb --runner bubblewrap -- "$python" bomb.py
expect 1 "limit of processes"; held_by "cgroup-v1 pids.max" "cgroup-v2 pids.max"
train wrapped-disk --runner bubblewrap -- sh -c 'cat /dev/zero > /work/big; exit 0'
expect 1 "limit of disk"

echo "train: all held"
