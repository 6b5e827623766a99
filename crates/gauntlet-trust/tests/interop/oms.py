#!/usr/bin/env python3
"""Checks model signatures in both directions against PyPI's model-signing.

    oms.py --ours 'target/debug/gauntlet' [--dot-flag=--dot]

`--ours` is a command that takes `sign MODEL --key KEY [--certificate PEM [--chain PEM]...] [--signature FILE]` and
`verify MODEL --signature FILE (--key PUB | --ca PEM)`.
Run it with the Python that has `model-signing` (and `pyOpenSSL`, which it imports without asking for it) installed.
Exit 0 when every check holds; every check that does not is named.
"""

import argparse
import datetime
import pathlib
import shlex
import subprocess
import sys
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
import model_signing

CURVES = {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1}


class Checks:
    def __init__(self, ours):
        self.ours = shlex.split(ours)
        self.held = 0
        self.failed = []

    def run(self, name, command, expected):
        """Runs `command`; `expected` is an exit status, or "not 0"."""
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120)
        right = done.returncode != 0 if expected == "not 0" else done.returncode == expected
        if right:
            self.held += 1
        else:
            self.failed.append(f"{name}: exit {done.returncode}, expected {expected}\n{done.stdout}{done.stderr}")

    def we_sign(self, name, model, key, signature, *more):
        self.run(name, [*self.ours, "sign", model, "--key", key, "--signature", signature, *more], 0)

    def we_verify(self, name, model, public, signature, expected):
        self.run(name, [*self.ours, "verify", model, "--signature", signature, "--key", public], expected)

    def they_sign(self, name, model, key, signature, *more):
        self.run(name, [*REFERENCE, "sign", "key", model, "--private_key", key, "--signature", signature, *more], 0)

    def they_verify(self, name, model, public, signature, expected):
        command = [*REFERENCE, "verify", "key", model, "--public_key", public, "--signature", signature]
        self.run(name, command, expected)


REFERENCE = [sys.executable, "-m", "model_signing"]


def write_keys(folder):
    keys = {}
    for name, curve in CURVES.items():
        key = ec.generate_private_key(curve())
        private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
        private.touch(mode=0o600)
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        public.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        keys[name] = (private, public)
    return keys


def write_model(folder):
    """Names whose order differs between the whole string and its parts, dot files, empty files, git files, letters
    outside ASCII: everything on which two implementations may disagree."""
    for name, content in {
        "config.json": b'{"a": 1}\n',
        "model.safetensors": bytes(range(256)) * 5000,
        "model/part-0.bin": b"p" * 70_000,
        "model-extra/part-1.bin": b"q" * 3,
        "model.d/x/y.bin": b"",
        ".hidden": b"h",
        "\u00e9t\u00e9 \u2014 a:b.txt": b"e",
        ".git/config": b"[core]\n",
        ".gitattributes": b"*\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def certify(folder, name, subject_key, issuer, *, ca, days=3650, usage=True, path_length=None):
    """Writes `name`.crt.pem for `subject_key`, issued by `issuer` (certificate, key) or by itself."""
    now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=30)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(subject_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    )
    if usage:
        names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                 "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
        bits = {one: one == ("key_cert_sign" if ca else "digital_signature") for one in names}
        builder = builder.add_extension(x509.KeyUsage(**bits), critical=True)
    elif not ca:
        code = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        builder = builder.add_extension(code, critical=False)
    certificate = builder.sign(issuer[1] if issuer else subject_key, hashes.SHA256())
    path = folder / f"{name}.crt.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, path


def certificates(checks, keys, top):
    """Chains over one intermediate, under roots of several kinds, both directions, and what must not pass."""
    folder = top / "pki"
    folder.mkdir()
    model = top / "certified"
    write_model(model)
    load = lambda path: serialization.load_pem_private_key(path.read_bytes(), None)
    roots = {
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "p521": ec.generate_private_key(ec.SECP521R1()),
        "rsa": rsa.generate_private_key(65537, 2048),
    }
    ours, theirs = top / "certified.ours.sig", top / "certified.theirs.sig"

    def we_verify(name, ca, signature, expected, *more):
        checks.run(name, [*checks.ours, "verify", model, "--signature", signature, "--ca", ca, *more], expected)

    def they_verify(name, ca, signature, expected):
        command = [*REFERENCE, "verify", "certificate", model, "--certificate_chain", ca, "--signature", signature]
        checks.run(name, command, expected)

    for kind, root_key in roots.items():
        root, root_path = certify(folder, f"{kind} root", root_key, None, ca=True)
        between_key = ec.generate_private_key(ec.SECP384R1())
        between, between_path = certify(folder, f"{kind} between", between_key, (root, root_key), ca=True, path_length=0)
        other, other_path = certify(folder, f"{kind} other", ec.generate_private_key(ec.SECP256R1()), None, ca=True)
        for curve, (private, _) in keys.items():
            for usage in (True, False):
                name = f"certificate: {kind} root, {curve}, {'key usage' if usage else 'code signing'}"
                leaf, leaf_path = certify(folder, "leaf", load(private), (between, between_key), ca=False, usage=usage)
                command = ["sign", model, "--key", private, "--certificate", leaf_path, "--chain", between_path]
                checks.run(f"{name}: we sign", [*checks.ours, *command, "--signature", ours], 0)
                they_verify(f"{name}: they verify ours", root_path, ours, 0)
                we_verify(f"{name}: we verify ours", root_path, ours, 0)
                they_verify(f"{name}: they refuse another root", other_path, ours, "not 0")
                we_verify(f"{name}: we refuse another root", other_path, ours, 1)
                command = [*REFERENCE, "sign", "certificate", model, "--private_key", private, "--signing_certificate"]
                command += [leaf_path, "--certificate_chain", between_path, "--signature", theirs]
                checks.run(f"{name}: they sign", command, 0)
                we_verify(f"{name}: we verify theirs", root_path, theirs, 0)
                we_verify(f"{name}: we refuse another root for theirs", other_path, theirs, 1)
    we_verify("certificate: later than it holds", root_path, theirs, 1, "--at", "2100-01-01T00:00:00Z")
    private = keys["p256"][0]
    _, short_path = certify(folder, "short", load(private), (between, between_key), ca=False, days=1)
    command = ["sign", model, "--key", private, "--certificate", short_path, "--signature", ours]
    checks.run("certificate: we do not sign with an ended one", [*checks.ours, *command], 2)
    command = [*REFERENCE, "sign", "certificate", model, "--private_key", private, "--signing_certificate", short_path]
    checks.run("certificate: they do", [*command, "--certificate_chain", between_path, "--signature", theirs], 0)
    they_verify("certificate: and take it", root_path, theirs, 0)
    we_verify("certificate: which we refuse", root_path, theirs, 1)
    checks.we_verify("certificate: a bare key is no certificate", model, keys["p256"][1], theirs, 1)


def folders(checks, keys, top):
    for name, (private, public) in keys.items():
        model = top / name / "model"
        write_model(model)
        inside, outside = model / "model.sig", top / name / "outside.sig"
        for place, signature in {"inside": inside, "outside": outside}.items():
            checks.we_sign(f"{name}: we sign, {place}", model, private, signature)
            checks.they_verify(f"{name}: they verify ours, {place}", model, public, signature, 0)
            checks.we_verify(f"{name}: we verify ours, {place}", model, public, signature, 0)
            signature.unlink()
            checks.they_sign(f"{name}: they sign, {place}", model, private, signature)
            checks.we_verify(f"{name}: we verify theirs, {place}", model, public, signature, 0)
            signature.unlink()


def changes(checks, keys, top):
    private, public = keys["p256"]
    wrong = keys["p384"][1]
    model = top / "changed"
    write_model(model)
    ours, theirs = top / "ours.sig", top / "theirs.sig"
    checks.we_sign("changes: we sign", model, private, ours)
    checks.they_sign("changes: they sign", model, private, theirs)
    checks.we_verify("changes: a wrong key", model, wrong, theirs, 1)

    def both(what, expected_here, expected_there):
        checks.we_verify(f"changes: {what}, theirs by us", model, public, theirs, expected_here)
        checks.we_verify(f"changes: {what}, ours by us", model, public, ours, expected_here)
        checks.they_verify(f"changes: {what}, ours by them", model, public, ours, expected_there)

    (model / ".git/config").write_text("changed")
    both("a git file changes", 0, 0)
    (model / "empty").mkdir()
    both("an empty folder comes", 0, 0)
    (model / "extra").write_text("x")
    both("a file comes", 1, "not 0")
    (model / "extra").unlink()
    (model / "config.json").write_text("{}")
    both("a file changes", 1, "not 0")
    (model / "config.json").unlink()
    both("a file goes", 1, "not 0")


def single_files(checks, keys, top, dot_flag):
    private, public = keys["p256"]
    model = top / "weights.gguf"
    model.write_bytes(b"GGUF" + bytes(1000))
    theirs, ours = top / "weights.theirs.sig", top / "weights.ours.sig"
    checks.they_sign("single file: they sign", model, private, theirs)
    checks.we_verify("single file: we verify theirs", model, public, theirs, 0)
    checks.we_sign("single file: we sign", model, private, ours)
    checks.we_verify("single file: we verify ours", model, public, ours, 0)
    if dot_flag:
        # They name the only file `.`, against the specification, and take nothing else.
        checks.we_sign("single file: we sign their way", model, private, ours, dot_flag)
        checks.they_verify("single file: they verify ours", model, public, ours, 0)


def library(checks, keys, top):
    """What only their library can write: other hashes, shards, ignored paths."""
    private, public = keys["p256"]
    model = top / "library"
    write_model(model)
    hashing = model_signing.hashing
    for name, config in {
        "blake3": hashing.Config().use_file_serialization(hashing_algorithm="blake3"),
        "shards": hashing.Config().use_shard_serialization(hashing_algorithm="sha256", shard_size=65_536),
        "ignored": hashing.Config().set_ignored_paths(paths=[model / "model"], ignore_git_paths=True),
    }.items():
        signature = top / f"library-{name}.sig"
        signer = model_signing.signing.Config().use_elliptic_key_signer(private_key=private)
        signer.set_hashing_config(config).sign(model, signature)
        checks.we_verify(f"library: {name}", model, public, signature, 0)
    (model / "model/part-0.bin").write_bytes(b"changed")
    for name, expected in {"blake3": 1, "shards": 1, "ignored": 0}.items():
        checks.we_verify(f"library: {name}, changed", model, public, top / f"library-{name}.sig", expected)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--ours", required=True, help="command of the program under test")
    arguments.add_argument("--dot-flag", help="its flag that names a single file `.` when signing")
    chosen = arguments.parse_args()
    checks = Checks(chosen.ours)
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder).resolve()
        keys = write_keys(top)
        folders(checks, keys, top)
        changes(checks, keys, top)
        single_files(checks, keys, top, chosen.dot_flag)
        library(checks, keys, top)
        certificates(checks, keys, top)
    for failure in checks.failed:
        print(failure, file=sys.stderr)
    print(f"{checks.held} checks hold, {len(checks.failed)} do not")
    return 1 if checks.failed or not checks.held else 0


if __name__ == "__main__":
    sys.exit(main())
