#!/usr/bin/env bash
# Signs with keys in a software token (SoftHSM2) and verifies with ourselves, with OpenSSL and with PyPI's model-signing.
#
#     pkcs11.sh PROGRAM PYTHON        PYTHON has model-signing installed
#
# Needs softhsm2, opensc and openssl (Debian package names); fails when one is missing.
set -euo pipefail
program=$1
python=$2
for tool in softhsm2-util pkcs11-tool openssl; do
    command -v "$tool" >/dev/null || { echo "pkcs11.sh: $tool is missing" >&2; exit 1; }
done
module=
for path in /usr/lib/softhsm /usr/lib/*/softhsm /usr/lib64/softhsm /usr/local/lib/softhsm; do
    if [ -z "$module" ] && [ -e "$path/libsofthsm2.so" ]; then module=$path/libsofthsm2.so; fi
done
[ -n "$module" ] || { echo "pkcs11.sh: libsofthsm2.so is missing" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir tokens model
printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$work" >softhsm2.conf
export SOFTHSM2_CONF=$work/softhsm2.conf GAUNTLET_CONFIG_DIR=$work/config
export TOKEN_PIN WRONG_PIN=0000
TOKEN_PIN=$(openssl rand -hex 8)
softhsm2-util --init-token --free --label 'release keys' --so-pin "$(openssl rand -hex 8)" --pin "$TOKEN_PIN" >/dev/null
printf '%s\n' "$TOKEN_PIN" >pin
chmod 600 pin
head -c 5000 /dev/urandom >model/weights.bin

held=0
fail() { echo "pkcs11.sh: $*" >&2; exit 1; }
# expect NAME STATUS TEXT COMMAND...: the exit status, and a text that must be in the output
expect() {
    local name=$1 status=$2 text=$3 got=0
    shift 3
    "$@" >out 2>&1 || got=$?
    [ "$got" = "$status" ] || fail "$name: exit $got, expected $status: $(cat out)"
    grep -qF -- "$text" out || fail "$name: no \`$text\` in: $(cat out)"
    if grep -qF "$TOKEN_PIN" out; then fail "$name: the PIN is in the output"; fi
    held=$((held + 1))
}
token() { pkcs11-tool --module "$module" --token-label 'release keys' "$@" 2>/dev/null; }
# The public key that pkcs11-tool lists, as PEM; its own export fails for P-384 in OpenSC 0.23.
public_key() {
    "$python" -c 'if True:
    import re, sys
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    objects = sys.stdin.read().split("Public Key Object")
    named = next(one for one in objects if re.search(rf"label:\s+{sys.argv[1]}\n", one))
    listed = bytes.fromhex(re.search(r"EC_POINT:\s+([0-9a-f]+)", named)[1])
    curve = getattr(ec, sys.argv[1].upper())()
    point = listed[-(2 * ((curve.key_size + 7) // 8) + 1):]
    key = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    print(key.public_bytes(serialization.Encoding.PEM, form).decode(), end="")' "$1"
}
uri() { echo "pkcs11:token=release%20keys;object=$1"; }

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key 2>/dev/null
openssl req -x509 -new -key ca.key -subj /CN=root -days 30 -addext basicConstraints=critical,CA:TRUE \
    -addext keyUsage=critical,keyCertSign -out ca.pem
printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' >ext

number=0
for curve in secp256r1 secp384r1 secp521r1; do
    number=$((number + 1))
    token --login --pin "$TOKEN_PIN" --keypairgen --key-type "EC:$curve" --label "$curve" --id "0$number" >/dev/null
    token --list-objects --type pubkey | public_key "$curve" >"$curve.pem"
    sign=("$program" sign model --pkcs11 "$(uri $curve)" --pkcs11-module "$module" --signature "$curve.sig")
    expect "$curve: sign" 0 Signed "${sign[@]}" --pin-env TOKEN_PIN
    expect "$curve: verify" 0 PASS "$program" verify model --signature "$curve.sig" --key "$curve.pem"
    expect "$curve: they verify" 0 '' "$python" -m model_signing verify key model --public_key "$curve.pem" \
        --signature "$curve.sig"
    expect "$curve: PIN from a file" 0 Signed "${sign[@]}" --pin-file pin
    # With a certificate for the token's key.
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj "/CN=$curve" -out csr 2>/dev/null
    openssl x509 -req -in csr -force_pubkey "$curve.pem" -CA ca.pem -CAkey ca.key -set_serial $number -days 30 \
        -extfile ext -out leaf.pem 2>/dev/null
    expect "$curve: sign with a certificate" 0 "CN=$curve" "${sign[@]}" --pin-env TOKEN_PIN --certificate leaf.pem
    expect "$curve: verify the chain" 0 PASS "$program" verify model --signature "$curve.sig" --ca ca.pem
    expect "$curve: they verify the chain" 0 '' "$python" -m model_signing verify certificate model \
        --certificate_chain ca.pem --signature "$curve.sig"
    printf x >>model/weights.bin
    expect "$curve: changed" 1 digest-mismatch "$program" verify model --signature "$curve.sig" --ca ca.pem
done

sign=("$program" sign model --pkcs11-module "$module" --signature x.sig)
expect 'by identifier' 0 Signed "$program" sign model --signature x.sig --pin-env TOKEN_PIN \
    --pkcs11 "pkcs11:id=%02?module-path=$module"
expect 'it is that key' 0 PASS "$program" verify model --signature x.sig --key secp384r1.pem
expect 'a certificate of another key' 2 'another key' "${sign[@]}" --pkcs11 "$(uri secp256r1)" --pin-env TOKEN_PIN \
    --certificate leaf.pem
expect 'a wrong PIN' 2 'is wrong' "${sign[@]}" --pkcs11 "$(uri secp256r1)" --pin-env WRONG_PIN
expect 'no PIN' 2 'holds no passphrase' "${sign[@]}" --pkcs11 "$(uri secp256r1)" --pin-env NOT_SET
expect 'a PIN in the URI' 2 '--pin-env' "${sign[@]}" --pkcs11 "$(uri secp256r1)?pin-value=123456"
expect 'no such key' 2 'fits the URI' "${sign[@]}" --pkcs11 "$(uri nobody)" --pin-env TOKEN_PIN
expect 'several keys' 2 '3 private keys' "${sign[@]}" --pkcs11 'pkcs11:token=release%20keys' --pin-env TOKEN_PIN
expect 'no such token' 2 'release keys' "${sign[@]}" --pkcs11 'pkcs11:token=other' --pin-env TOKEN_PIN
expect 'no module' 2 '--pkcs11-module' "$program" sign model --pkcs11 "$(uri secp256r1)" --pin-env TOKEN_PIN
expect 'not a module' 2 'cannot load' "$program" sign model --pkcs11 "$(uri secp256r1)" --pkcs11-module "$work/pin"
# A public key object that does not belong to the private one with the same name.
openssl pkey -pubin -in secp256r1.pem -outform DER -out other.der
token --login --pin "$TOKEN_PIN" --keypairgen --key-type EC:secp256r1 --label mixed --id 0a >/dev/null
token --login --pin "$TOKEN_PIN" --delete-object --type pubkey --label mixed >/dev/null
token --login --pin "$TOKEN_PIN" --write-object other.der --type pubkey --label mixed --id 0a >/dev/null
expect 'a public key of another key' 3 'does not fit' "${sign[@]}" --pkcs11 "$(uri mixed)" --pin-env TOKEN_PIN
# RSA is not among the algorithms of the format.
token --login --pin "$TOKEN_PIN" --keypairgen --key-type RSA:2048 --label rsa --id 0b >/dev/null
expect 'an RSA key' 2 'no elliptic-curve' "${sign[@]}" --pkcs11 "$(uri rsa)" --pin-env TOKEN_PIN

# The prompt, on a terminal of its own.
"$python" - "${sign[@]}" --pkcs11 "$(uri secp256r1)" <<'PYTHON'
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
shown = b""
while b": " not in shown:
    shown += os.read(terminal, 1000)
os.write(terminal, os.environ["TOKEN_PIN"].encode() + b"\n")
try:
    while more := os.read(terminal, 1000):
        shown += more
except OSError:
    pass
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
if status or b"Signed" not in shown or os.environ["TOKEN_PIN"].encode() in shown:
    sys.exit(f"the prompt: exit {status}: {shown.decode()}")
PYTHON
held=$((held + 1))

# Evidence signed in the token.
mkdir project
printf 'x = 1\n' >project/train.py
(cd project && "$program" init . >/dev/null)
token_uri="$(uri secp256r1)?module-path=$module"
# Nobody answers for this project yet, so the decision is no; that it was signed is what counts here.
expect 'evidence' 1 REFUSED "$program" run --stage source project --key "$token_uri" --passphrase-env TOKEN_PIN
id=$(openssl pkey -pubin -in secp256r1.pem -outform DER | sha256sum | cut -d' ' -f1)
expect 'evidence names the key of the token' 0 "$id" "$program" ledger show 0 -C project
echo "$held checks hold"
