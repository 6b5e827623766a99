#!/usr/bin/env bash
# Reads tables of a real PostgreSQL server of its own: types, queries, TLS, changes between the passes, what must be refused.
# Usage: tests/interop/data-postgres.sh [PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/gauntlet}")
work=$(mktemp -d)
chmod 755 "$work"
export GAUNTLET_CONFIG_DIR=$work/config
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    root=$([ "$(id -u)" = 0 ] || echo sudo)
    $root apt-get update -qq
    $root apt-get install -y -qq postgresql openssl >/dev/null
fi
bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | tail -1)")
# The server refuses to run as root.
as_user() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
if [ "$(id -u)" = 0 ]; then install -d -o postgres "$work/db"; else mkdir "$work/db"; fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
password=$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')
trap 'as_user "$bin/pg_ctl" -D "$work/db" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
(
    cd "$work/db"
    printf '%s' "$password" >"$work/password"
    chmod 644 "$work/password"
    as_user "$bin/initdb" -D "$work/db" -U admin -A scram-sha-256 --pwfile="$work/password" -E UTF8 >/dev/null
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
        -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -addext 'basicConstraints=critical,CA:FALSE' -keyout "$work/db/server.key" -out "$work/db/server.crt" 2>/dev/null
    cp "$work/db/server.crt" "$work/root.crt"
    [ "$(id -u)" != 0 ] || chown postgres "$work/db/server.key" "$work/db/server.crt"
    chmod 600 "$work/db/server.key"
    printf "port = %s\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nssl = on\nfsync = off\n" "$port" >>"$work/db/postgresql.conf"
    as_user "$bin/pg_ctl" -D "$work/db" -w -l "$work/db/log" start >/dev/null
)
export PGPASSWORD=$password
sql() { "$bin/psql" -q -X -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U admin -d postgres -c "$1"; }
sql "CREATE TABLE customers AS SELECT i AS id, (i % 80)::smallint AS age, CASE i % 2 WHEN 0 THEN 'basic' ELSE 'pro' END AS plan,
        (i / 8.0)::numeric(12,3) AS charge, i / 8.0::float8 AS score, i % 3 = 0 AS active, DATE '2020-01-01' + i % 1000 AS since,
        TIMESTAMPTZ '2020-01-01 00:00Z' + i * interval '1 minute' AS seen, CASE WHEN i % 10 = 0 THEN NULL ELSE 'n' || i END AS note,
        ARRAY[i, i + 1] AS pair FROM generate_series(1, 100000) AS i"
sql "CREATE TABLE wrong AS SELECT 1 AS id, 'infinity'::timestamptz AS seen"
sql "CREATE TABLE \"Odd Name\" AS SELECT 1 AS \"the id\""

mkdir "$work/project" && cd "$work/project" && mkdir src
export WAREHOUSE="host=localhost hostaddr=127.0.0.1 port=$port user=admin dbname=postgres password=$password sslmode=require"
export PGSSLROOTCERT=$work/root.crt
cat >c.yaml <<'YAML'
contract: 1
extra_columns: allow
rows: {min: 100000, max: 100000}
columns:
  id: {type: integer, exact_type: Int32, unique: true}
  age: {type: integer, exact_type: Int16, range: [0, 79]}
  plan: {type: string, allowed: [basic, pro]}
  charge: {type: float, range: [0, 12500]}
  score: {type: float, range: [0, 12500]}
  active: {type: boolean}
  since: {type: date, range: [2020-01-01, 2022-12-31]}
  seen: {type: timestamp}
  note: {type: string, max_null_share: 0.1}
YAML
run() { # exit status, address, contract
    printf 'version: 1\nproject: p\nkind: tabular\nrisk: minimal\nsource: {paths: [src]}\ndatasets:\n  train:\n    path: >-\n      %s\n    contract: %s\n' "$2" "${3:-c.yaml}" >gauntlet.yaml
    local status=0
    "$program" run --stage data --format json --no-progress >"$work/out" 2>"$work/err" || status=$?
    if [ "$status" != "$1" ]; then
        echo "$2: exit $status, expected $1" >&2
        head -c 3000 "$work/out" "$work/err" >&2
        exit 1
    fi
    ! grep -q "$password" "$work/out" "$work/err" || { echo "$2: the password is printed" >&2; exit 1; }
}
verdict() { # check, verdict
    python3 - "$work/out" "$@" <<'PYTHON'
import json, sys
report = next(r for r in json.load(open(sys.argv[1]))["reports"] if r["check"] == sys.argv[2])
assert report["verdict"] == sys.argv[3], report
PYTHON
}
printf 'contract: 1\nextra_columns: allow\ncolumns:\n  id: {type: integer}\n' >id.yaml
echo "== a table, over TLS"
run 1 sql://WAREHOUSE/public.customers
verdict data/contract pass
cp "$work/out" "$work/first"
run 1 sql://WAREHOUSE/public.customers
python3 - "$work/first" "$work/out" <<'PYTHON'
import json, sys
digests = [json.load(open(name))["reports"][0]["subject"]["digest"] for name in sys.argv[1:]]
assert digests[0] == digests[1], digests
PYTHON
echo "== a query"
run 1 'sql://WAREHOUSE?SELECT id, plan FROM customers WHERE id > 50 -- and no more' id.yaml
verdict data/contract pass
echo "== the bad twin: one row out of range"
sql "UPDATE customers SET age = 999 WHERE id = 77"
run 1 sql://WAREHOUSE/public.customers
verdict data/contract fail
echo "== what must be refused"
run 3 sql://WAREHOUSE/public.nothing id.yaml
grep -q 'nothing' "$work/err"
run 3 'sql://WAREHOUSE?DELETE FROM customers RETURNING id' id.yaml
run 3 'sql://WAREHOUSE?SELECT 1 AS id) AS x; DROP TABLE customers; SELECT (1' id.yaml
run 3 "sql://WAREHOUSE?SELECT id, pg_advisory_lock(1), (SELECT count(*) FROM set_config('x.y', 'z', false)) FROM nothing" id.yaml
run 3 sql://WAREHOUSE/wrong id.yaml
grep -q 'infinity is no moment' "$work/err"
[ "$(PGPASSWORD=$password "$bin/psql" -X -A -t -h 127.0.0.1 -p "$port" -U admin -d postgres -c 'SELECT count(*) FROM customers')" = 100000 ]
WAREHOUSE="host=127.0.0.1 port=$port user=admin dbname=postgres password=wrong-$password sslmode=require" run 3 sql://WAREHOUSE/customers id.yaml
PGSSLROOTCERT=/etc/ssl/certs/ca-certificates.crt run 3 sql://WAREHOUSE/customers id.yaml
WAREHOUSE="host=127.0.0.1 port=1 user=admin dbname=postgres" run 3 sql://WAREHOUSE/customers id.yaml
echo "data-postgres: all as expected"
