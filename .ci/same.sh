#!/usr/bin/env bash
# Says which of our copies differ from their origin; fails when one does or when the origin is not there.
set -euo pipefail
cd "$(dirname "$0")/.."
shared=${1:-../shared}
[ -d "$shared" ] || { echo "no folder $shared to compare with" >&2; exit 1; }
status=0
compare() { # ours theirs
    while IFS= read -r -d '' file; do
        relative=${file#"$1"/}
        # Ours says where the copies come from.
        [ "$relative" != README.md ] || continue
        if [ ! -e "$2/$relative" ]; then
            continue
        fi
        cmp -s "$file" "$2/$relative" || { echo "differs: $file" >&2; status=1; }
    done < <(find "$1" -type f -print0)
}
compare corpus "$shared/corpus"
compare testdata/vectors "$shared/vectors"
[ -d testdata/models ] && compare testdata/models "$shared/models"
missing=$(cd "$shared/vectors" && find oms tlog -type f | while read -r f; do [ -e "$OLDPWD/testdata/vectors/$f" ] || echo "$f"; done)
[ -z "$missing" ] || { echo "missing in testdata/vectors: $missing" >&2; status=1; }
exit $status
