#!/usr/bin/env bash
# The ledger before an independent implementation of the same specifications (PyPI aics-tlog and aics-witness, which need Python 3.12
# or later). Usage: tests/interop/tlog.sh PROGRAM APPENDER
set -euo pipefail
cd "$(dirname "$0")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gauntlet
venv=$cache/tlog-venv
python=
for candidate in "${PYTHON312:-}" python3.14 python3.13 python3.12 python3 "$HOME"/.pyenv/versions/3.1[2-9].*/bin/python; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "tlog: no Python 3.12 or later; name one in PYTHON312" >&2; exit 1; }
[ -x "$venv/bin/python" ] || { mkdir -p "$cache"; "$python" -m venv "$venv"; }
"$venv/bin/python" -c 'import aics_tlog, aics_witness' 2>/dev/null || "$venv/bin/pip" install --quiet 'aics-tlog==0.2.1' 'aics-witness==0.1.0'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$venv/bin/python" tlog.py "$(realpath "$1")" "$(realpath "$2")" "$work"
