#!/usr/bin/env python3
"""The ledger before an implementation that shares nothing with ours: aics-tlog reads our checkpoint, tiles, entries and proofs, our
log collects a cosignature from aics-witness, and its client gets one from our witness. Each is shown something false, too.

Usage: tlog.py GAUNTLET APPENDER WORK   (needs aics-tlog and aics-witness, Python 3.12)
"""

import base64
import os
import pathlib
import shutil
import subprocess
import sys
import time

from aics_tlog import (
    FileSystemTileReader,
    TileVerificationError,
    audit_tiles,
    consistency_proof_from_tiles,
    inclusion_proof_from_tiles,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    read_entry,
    tree_root_from_tiles,
    verify_checkpoint,
    verify_consistency,
    verify_leaf_inclusion,
)
from aics_witness.feeder import WitnessClient, WitnessRejected

gauntlet, appender, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
project, config = work / "project", work / "config"
log = project / ".gauntlet" / "ledger"
os.environ["NO_PROXY"] = "127.0.0.1"


def run(*arguments, ok=(0,)):
    done = subprocess.run([gauntlet, "--config-dir", config, *arguments], capture_output=True, text=True)
    if done.returncode not in ok:
        sys.exit(f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def append(name, count):
    state = project / ".gauntlet"
    state.mkdir(parents=True, exist_ok=True)
    subprocess.run([appender, state, config, name, str(count)], check=True, stdout=subprocess.DEVNULL)


def must_fail(what, call):
    try:
        if call() is False:
            return
    except (TileVerificationError, WitnessRejected, ValueError, KeyError):
        return
    sys.exit(f"{what} was accepted")


def note(path):
    return parse_note(path.read_bytes())


def tree(path):
    return parse_checkpoint(note(path).text)


append("first", 700)
vkey = run("ledger", "key", "-C", project).strip()
key = parse_vkey(vkey)
shutil.copy(log / "checkpoint", work / "old")
append("second", 77)

# 1. The checkpoint, every tile and every entry.
result = verify_checkpoint(note(log / "checkpoint"), key, expected_origin=key.name)
assert result.ok, result
head, old = tree(log / "checkpoint"), tree(work / "old")
assert (old.size, head.size) == (700, 777), (old, head)
reader = FileSystemTileReader(log)
assert tree_root_from_tiles(reader, head.size) == head.root
report = audit_tiles(reader, head.size, head.root)
print(f"audited: {report}")
copy = work / "copy"
for name in ["tile/0/001", "tile/entries/000", "tile/entries/003.p/9"]:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(log, copy)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    must_fail(f"a changed {name}", lambda: audit_tiles(FileSystemTileReader(copy), head.size, head.root))

# 2. Their proofs over our tiles, and our proofs in their verifier.
for index in [0, 255, 256, 511, 700, 776]:
    entry = read_entry(reader, index, head.size)
    proof = inclusion_proof_from_tiles(reader, index, head.size)
    assert verify_leaf_inclusion(entry, index, head.size, proof, head.root)
    run("ledger", "prove", str(index), "-o", work / "proof", "-C", project)
    lines = (work / "proof").read_text().split("\n\n")[0].split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", f"index {index}"], lines[:2]
    ours = [base64.b64decode(line) for line in lines[2:]]
    assert ours == proof
    must_fail("a proof of another entry", lambda: verify_leaf_inclusion(entry + b" ", index, head.size, ours, head.root))
theirs = consistency_proof_from_tiles(reader, old.size, head.size)
ours = run("ledger", "consistency", work / "old", "-C", project).strip().split("\n")[1:]
assert [base64.b64decode(line) for line in ours] == theirs
assert verify_consistency(old.size, head.size, old.root, head.root, theirs)
must_fail("a false consistency proof", lambda: verify_consistency(old.size, head.size, head.root, head.root, theirs))

# 3. Our log before their witness.
services = []


def serve(arguments):
    server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    services.append(server)
    return server


def until(check, what):
    for _ in range(100):
        if check():
            return
        time.sleep(0.1)
    sys.exit(f"{what} does not answer")


def reachable(port):
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


try:
    witness = pathlib.Path(sys.executable).with_name("aics-witness")
    settings = work / "witness.json"
    port = 17380
    done = subprocess.run(
        [witness, "init", "-c", settings, "--name", "their.example/w", "--listen", f"127.0.0.1:{port}"],
        capture_output=True, text=True, check=True,
    )
    their_key = next(word for word in (done.stdout + done.stderr).split() if word.startswith("their.example/w+"))
    subprocess.run([witness, "add-log", "-c", settings, "--origin", key.name, "--vkey", vkey], check=True,
                   stdout=subprocess.DEVNULL)
    serve([witness, "serve", "-c", settings])
    until(lambda: reachable(port), "aics-witness")
    asked = ["ledger", "cosign", "--witness", f"http://127.0.0.1:{port}", "--witness-key", their_key, "-C", project]
    run(*asked)
    append("third", 5)
    run(*asked)
    result = verify_checkpoint(note(log / "cosigned"), key, [parse_vkey(their_key)], 1, expected_origin=key.name)
    assert result.ok, result
    assert tree(log / "cosigned").size == 782
    run("ledger", "verify", "-C", project)
    # A copy from before that is continued in another way gets nothing: exit 1.
    fork, fork_config = work / "fork", work / "fork-config"
    shutil.copytree(project, fork)
    shutil.copytree(config, fork_config)
    append("fourth", 3)
    run(*asked)
    project, config = fork, fork_config
    append("fork", 3)
    run(*asked[:-1], fork, ok=(1,))
    append("fork-more", 9)
    run(*asked[:-1], fork, ok=(1,))
    project, config = work / "project", work / "config"

    # 4. Their log's client before our witness.
    run("key", "generate", "w", "--algorithm", "ed25519", "--no-passphrase", "-o", work / "w.pem")
    server = serve([gauntlet, "--config-dir", config, "ledger", "witness", "--listen", "127.0.0.1:0", "--key",
                    work / "w.pem", "--name", "our.example/w", "--log", vkey, "--state", work / "witness-state"])
    our_key = server.stderr.readline().split("witness key: ")[1].strip()
    url = server.stderr.readline().split("listening on ")[1].strip()
    until(lambda: reachable(int(url.rsplit(":", 1)[1])), "our witness")
    reader = FileSystemTileReader(log)

    def proofs(old_size, new_size):
        return consistency_proof_from_tiles(reader, old_size, new_size)

    with WitnessClient(url, our_key) as client:
        first = client.submit((work / "old").read_bytes(), lambda old_size, new_size: consistency_proof_from_tiles(
            reader, old_size, new_size, tree(log / "checkpoint").size))
        assert first.startswith("\u2014 our.example/w "), first
        client.submit((log / "checkpoint").read_bytes(), proofs)
        forged = fork / ".gauntlet" / "ledger"
        must_fail("a fork before our witness", lambda: client.submit(
            (forged / "checkpoint").read_bytes(),
            lambda old_size, new_size: consistency_proof_from_tiles(FileSystemTileReader(forged), old_size, new_size)))
finally:
    for server in services:
        server.terminate()
        server.wait()
print("tlog: all agree")
