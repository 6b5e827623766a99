#!/usr/bin/env python3
"""Turns Gauntlet's JSON (stdin) into the columns that score.py reads (stdout).

    gauntlet scan REPO --format json | report_to_csv.py [PREFIX] > findings.csv

PREFIX is cut from paths. The family is that of the corpus: secret for source/secrets, deser for source/deserialization.
Suppressed findings do not count.
"""

import csv
import json
import sys

FAMILIES = {"source/secrets": "secret", "source/deserialization": "deser"}


def main():
    prefix = sys.argv[1].rstrip("/") + "/" if len(sys.argv) > 1 else ""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["path", "line", "family", "rule", "cell", "cell_line"])
    for report in json.load(sys.stdin)["reports"]:
        family = FAMILIES.get(report["check"])
        for finding in report["findings"]:
            if family is None or finding["suppressed"] is not None:
                continue
            at = finding["location"]
            path = at["path"] or ""
            if path.startswith(prefix):
                path = path[len(prefix):]
            # The line of the JSON is exact for outputs too, which have no line in a cell.
            out.writerow([path, at["line"], family, finding["rule"], "", ""])


if __name__ == "__main__":
    main()
