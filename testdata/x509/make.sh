#!/usr/bin/env bash
# Makes chains in every algorithm that may sign a certificate, with OpenSSL: one file each, leaf first, then its root.
# The keys are thrown away. Also a few that must be refused.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# chain NAME HASH GENPKEY-OPTIONS... [-- SIGNING-OPTIONS...]
chain() {
    local name=$1 hash=$2 key=() sign=()
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do key+=("$1"); shift; done
    [ $# -eq 0 ] || { shift; sign=("$@"); }
    openssl genpkey "${key[@]}" -out "$work/root.key" 2>/dev/null
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/leaf.key" 2>/dev/null
    openssl req -x509 -new -key "$work/root.key" $hash "${sign[@]}" -subj "/CN=root $name" -days 7300 \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -out "$work/root.pem"
    openssl req -new -key "$work/leaf.key" -subj "/CN=leaf $name" -out "$work/leaf.csr"
    printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n' >"$work/ext"
    openssl x509 -req -in "$work/leaf.csr" -CA "$work/root.pem" -CAkey "$work/root.key" -set_serial 7 -days 7300 \
        $hash "${sign[@]}" -extfile "$work/ext" -out "$work/leaf.pem" 2>/dev/null
    cat "$work/leaf.pem" "$work/root.pem" >"$name.pem"
}

for curve in 256 384 521; do
    for bits in 256 384 512; do
        chain "ecdsa-p$curve-sha$bits" "-sha$bits" -algorithm EC -pkeyopt "ec_paramgen_curve:P-$curve"
    done
done
chain ed25519 "" -algorithm ED25519
for bits in 256 384 512; do
    chain "rsa-sha$bits" "-sha$bits" -algorithm RSA -pkeyopt rsa_keygen_bits:2048
    chain "rsa-pss-sha$bits" "-sha$bits" -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -- \
        -sigopt rsa_padding_mode:pss -sigopt "rsa_pss_saltlen:$((bits / 8))" -sigopt "rsa_mgf1_md:sha$bits"
done
# To be refused: a hash that can be forged, a key that can be factored, a curve that is not handled.
chain refused-rsa-sha1 -sha1 -algorithm RSA -pkeyopt rsa_keygen_bits:2048
chain refused-rsa-1024 -sha256 -algorithm RSA -pkeyopt rsa_keygen_bits:1024
chain refused-secp256k1 -sha256 -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1
