#!/usr/bin/env bash
# Runs the examples through the built program, as a user would, and compares exit statuses and the heart of the output.
# Usage: tests/examples.sh [PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-${CARGO_TARGET_DIR:-target}/debug/gauntlet}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GAUNTLET_CONFIG_DIR=$work/config

expect() { # exit-status folder text...
    local want=$1 folder=$2 got=0
    shift 2
    cp -r "examples/$folder" "$work/project"
    rm -rf "$work/project/.gauntlet"
    "$program" run "$work/project" >"$work/out" 2>"$work/err" || got=$?
    if [ "$got" != "$want" ]; then
        echo "examples/$folder: exit $got, expected $want" >&2
        cat "$work/out" "$work/err" >&2
        exit 1
    fi
    for text in "$@"; do
        grep -qF -- "$text" "$work/out" || { echo "examples/$folder: does not say '$text'" >&2; cat "$work/out" >&2; exit 1; }
    done
    "$program" ledger verify -C "$work/project" >/dev/null
    echo "examples/$folder: exit $got, as expected"
    rm -rf "$work/project"
}

expect 0 churn "ALLOWED for staging" "production: refused"
expect 1 pretrained-image-classifier/as-found "REFUSED for staging" "posix.system" "e-mail"
expect 0 pretrained-image-classifier/fixed "ALLOWED for staging"
