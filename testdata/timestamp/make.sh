#!/usr/bin/env bash
# Makes time stamps with `openssl ts` under throw-away authorities.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

key() { openssl genpkey "${@:2}" -out "$1.key" 2>/dev/null; }
# issue NAME ISSUER EXTENSIONS
issue() {
    openssl req -new -key "$1.key" -subj "/O=Test stamps/CN=$1" -out csr
    printf '%s\n' "$3" >ext
    openssl x509 -req -in csr -CA "$2.pem" -CAkey "$2.key" -set_serial "0x$(openssl rand -hex 8)" -days 7300 -sha256 \
        -extfile ext -out "$1.pem" 2>/dev/null
}
stamping=$'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping'
ec=(-algorithm EC -pkeyopt)

key root "${ec[@]}" ec_paramgen_curve:P-256
openssl req -x509 -new -key root.key -sha256 -subj "/O=Test stamps/CN=root" -days 7300 \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -out root.pem
key between "${ec[@]}" ec_paramgen_curve:P-384
issue between root $'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign'
key tsa-p256 "${ec[@]}" ec_paramgen_curve:P-256
issue tsa-p256 root "$stamping"
key tsa-rsa -algorithm RSA -pkeyopt rsa_keygen_bits:2048
issue tsa-rsa root "$stamping"
key tsa-p384 "${ec[@]}" ec_paramgen_curve:P-384
issue tsa-p384 between "$stamping"
key web "${ec[@]}" ec_paramgen_curve:P-256
issue web root $'basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth'

# stamp NAME SIGNER HASH NAME-HASH DIGITS [-cert]
stamp() {
    cat >tsa.cnf <<END
[tsa]
default_tsa = one
[one]
serial = $work/serial
crypto_device = builtin
signer_cert = $work/$2.pem
certs = $work/between.pem
signer_key = $work/$2.key
signer_digest = $3
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
clock_precision_digits = $5
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = $4
END
    openssl ts -query -data "$here/message.bin" "-$3" ${6:+$6} -out query 2>/dev/null
    openssl ts -reply -queryfile query -config tsa.cnf -out "$here/$1.tsr" 2>/dev/null
}
printf 'what is stamped\n' >"$here/message.bin"
stamp p256 tsa-p256 sha256 sha256 0 -cert
stamp rsa tsa-rsa sha256 sha1 3 -cert
stamp p384 tsa-p384 sha384 sha384 0 -cert
stamp bare tsa-p256 sha256 sha256 0
openssl ts -query -data "$here/message.bin" -sha1 -out query 2>/dev/null
openssl ts -reply -queryfile query -config tsa.cnf -out "$here/refused.tsr" 2>/dev/null || true
cp root.pem between.pem tsa-p256.pem web.pem "$here"
