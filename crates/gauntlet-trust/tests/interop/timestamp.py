#!/usr/bin/env python3
"""Time-stamps model signatures at an authority made of `openssl ts`, and checks the stamps with both.

    timestamp.py --ours 'target/debug/gauntlet'

Needs the `openssl` program. Run it with the Python that has `model-signing` installed. Exit 0 when every check holds; every check that does not is named.
"""

import argparse
import base64
import http.server
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
import threading

CONFIG = """[tsa]
default_tsa = one
[one]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = {digest}
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
clock_precision_digits = {digits}
ess_cert_id_chain = no
ess_cert_id_alg = {named}
"""


def openssl(*arguments, expect=0):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    if done.returncode != expect:
        raise SystemExit(f"openssl {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


class Authority:
    """A throw-away root, a stamping unit under it, and its HTTP server."""

    def __init__(self, folder, kind, digest, named, digits):
        self.folder = folder
        folder.mkdir()
        self.root = folder / "root.pem"
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", folder / "root.key")
        openssl("req", "-x509", "-new", "-key", folder / "root.key", "-subj", f"/CN=stamps {kind}", "-days", "3650",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
                "-out", self.root)
        key = {"rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}
        curve = ["-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{kind}"]
        openssl("genpkey", *key.get(kind, curve), "-out", folder / "tsa.key")
        openssl("req", "-new", "-key", folder / "tsa.key", "-subj", f"/CN=unit {kind}", "-out", folder / "csr")
        (folder / "ext").write_text("keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n")
        openssl("x509", "-req", "-in", folder / "csr", "-CA", self.root, "-CAkey", folder / "root.key",
                "-set_serial", "5", "-days", "3650", "-extfile", folder / "ext", "-out", folder / "tsa.pem")
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder, digest=digest, named=named, digits=digits))
        authority = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                query, reply = folder / "query", folder / "reply"
                query.write_bytes(self.rfile.read(int(self.headers["content-length"])))
                openssl("ts", "-reply", "-queryfile", query, "-config", folder / "tsa.cnf", "-out", reply)
                authority.asked += 1
                self.send_response(200)
                self.send_header("content-type", "application/timestamp-reply")
                self.end_headers()
                self.wfile.write(reply.read_bytes())

            def log_message(self, *_):
                pass

        self.asked = 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--ours", required=True, help="command of the program under test")
    ours = shlex.split(arguments.parse_args().ours)
    held, failed = 0, []

    def check(name, command, expected, contains=""):
        nonlocal held
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120)
        if done.returncode == expected and contains in done.stdout + done.stderr:
            held += 1
        else:
            failed.append(f"{name}: exit {done.returncode}, expected {expected} {contains}\n{done.stdout}{done.stderr}")

    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        model = top / "model"
        model.mkdir()
        (model / "weights.bin").write_bytes(b"w" * 5000)
        # The signer's certificate ends tomorrow; what is judged later needs the stamp.
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", top / "ca.key")
        openssl("req", "-x509", "-new", "-key", top / "ca.key", "-subj", "/CN=signers", "-days", "3650",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
                "-out", top / "ca.pem")
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", top / "key.pem")
        (top / "key.pem").chmod(0o600)
        openssl("req", "-new", "-key", top / "key.pem", "-subj", "/CN=signer", "-out", top / "csr")
        (top / "ext").write_text("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n")
        openssl("x509", "-req", "-in", top / "csr", "-CA", top / "ca.pem", "-CAkey", top / "ca.key", "-set_serial", "3",
                "-days", "1", "-extfile", top / "ext", "-out", top / "leaf.pem")
        later = ["--at", "2030-01-01T00:00:00Z"]
        authorities = [
            Authority(top / "one", "P-256", "sha256", "sha256", 0),
            Authority(top / "two", "P-384", "sha384", "sha512", 0),
            Authority(top / "three", "rsa", "sha512", "sha1", 3),
        ]
        for at, authority in enumerate(authorities):
            name = authority.folder.name
            signature = top / f"{name}.sig"
            sign = [*ours, "sign", model, "--key", top / "key.pem", "--certificate", top / "leaf.pem"]
            sign += ["--signature", signature, "--timestamp", authority.url]
            check(f"{name}: sign", [*sign, "--tsa", authority.root], 0)
            verify = [*ours, "verify", model, "--signature", signature, "--ca", top / "ca.pem"]
            check(f"{name}: now", verify, 0)
            they = [sys.executable, "-m", "model_signing", "verify", "certificate", model, "--signature", signature]
            check(f"{name}: the reference passes over the stamp", [*they, "--certificate_chain", top / "ca.pem"], 0)
            check(f"{name}: later", [*verify, *later], 1, "trust/signature/expired")
            check(f"{name}: later, with the authority", [*verify, *later, "--tsa", authority.root], 0, "time stamp")
            other = authorities[at - 1].root
            check(f"{name}: later, another authority", [*verify, *later, "--tsa", other], 1, "trust/signature/expired")
            check(f"{name}: not stamped under the wrong one", [*sign, "--tsa", other], 3)
            # What we stored is what OpenSSL calls a stamp over the signature.
            bundle = json.loads(signature.read_text())
            stamps = bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
            (top / "stamp").write_bytes(base64.b64decode(stamps[0]["signedTimestamp"]))
            (top / "signed").write_bytes(base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"]))
            command = ["openssl", "ts", "-verify", "-data", top / "signed", "-in", top / "stamp"]
            check(f"{name}: openssl agrees", [*command, "-CAfile", authority.root], 0)
            # The twin: the same stamp over another signature.
            (model / "more.bin").write_bytes(b"m")
            check(f"{name}: sign more", sign, 0)
            changed = json.loads(signature.read_text())
            changed["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] = stamps
            signature.write_text(json.dumps(changed))
            check(f"{name}: a stamp of another signature", [*verify, *later, "--tsa", authority.root], 1, "something else")
            (model / "more.bin").unlink()
            if not authority.asked:
                failed.append(f"{name}: nobody asked the authority")
        dead = [*ours, "sign", model, "--key", top / "key.pem", "--signature", top / "dead.sig"]
        check("nobody answers", [*dead, "--timestamp", "http://127.0.0.1:1/"], 3, "127.0.0.1")
        if (top / "dead.sig").exists():
            failed.append("a signature was written without the stamp that was asked for")
    for failure in failed:
        print(failure, file=sys.stderr)
    print(f"{held} checks hold, {len(failed)} do not")
    return 1 if failed or not held else 0


if __name__ == "__main__":
    sys.exit(main())
