#!/usr/bin/env python3
"""Small model files written by the real frameworks, with labels.

    python3 make_real.py OUTDIR [--only sklearn,torch] [--require sklearn,torch] [--list]

Every writer in `real_writers/` is run whose packages are installed; the others
are reported as skipped with what they miss. `--require a,b` turns a skip of
those into an error, and a writer that breaks is always an error. Frameworks that cannot
live in one environment are covered by running the script once for each
environment into the same OUTDIR: rows of earlier runs are kept, rows of a
writer that runs again are replaced. `--tag old` keeps the files of another
version of the same frameworks apart, in the subfolder `old`.

Nothing is downloaded. OUTDIR then holds
    labels.csv   path, scope, label, family, technique, reference
                 (the columns of make_models.py; a few files run custom code
                 when loaded, and are labelled so)
    writers.csv  path, writer, versions: what wrote each file
    README       the same in prose, one line for each writer
"""
import argparse
import csv
import importlib
import importlib.metadata
import os
import pkgutil
import platform
import shutil
import subprocess
import sys
import time
import traceback
import warnings

import real_writers

LABEL_FIELDS = ["path", "scope", "label", "family", "technique", "reference"]
WRITER_FIELDS = ["path", "writer", "versions"]


class Output:
    """Where one writer puts its files; collects a row for each."""

    def __init__(self, root, tag=""):
        self.root, self.rows = os.path.join(root, tag), []
        self.tag = tag

    def file(self, path, family, technique, label="benign"):
        """Registers a file and returns the full path to write it to."""
        return self._row(path, "file", family, technique, label)

    def folder(self, path, family, technique, label="benign"):
        """Registers a folder whose files belong together; it is emptied first."""
        full = self._row(path, "dir", family, technique, label)
        shutil.rmtree(full, ignore_errors=True)
        os.makedirs(full)
        return full

    def put(self, path, data, family, technique, label="benign"):
        """Writes bytes or text as one registered file."""
        with open(self.file(path, family, technique, label), "wb") as f:
            f.write(data.encode() if isinstance(data, str) else data)

    def drop(self, path):
        """Forgets a file that the framework turned out not to write."""
        self.rows = [row for row in self.rows if row[0] != os.path.join(self.tag, path)]

    def _row(self, path, scope, family, technique, label):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        self.rows.append([os.path.join(self.tag, path), scope, label, family, technique, ""])
        return full


def version_of(need):
    """The version of a package, of one of `a|b`, or of a program when the name starts with `!`."""
    if "|" in need:
        return next((v for v in map(version_of, need.split("|")) if v), None)
    if need.startswith("!"):
        program = need[1:]
        return program if shutil.which(program) else None
    try:
        return importlib.metadata.version(need)
    except importlib.metadata.PackageNotFoundError:
        return None


def program_version(program):
    """First line of `program --version`, or of the bare program where that is no option."""
    got = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if got.returncode:
        got = subprocess.run([program], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return ((got.stdout + got.stderr).strip().splitlines() or [""])[0]


def read_rows(path):
    if not os.path.exists(path):
        return []
    with open(path, newline="") as f:
        return list(csv.reader(f))[1:]


def write_rows(path, fields, rows):
    with open(path, "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(fields)
        out.writerows(sorted(rows))


def merge(root, labels, writers, done):
    """Adds the rows of this run; a writer that ran again replaces its own old rows."""
    label_path, writer_path = os.path.join(root, "labels.csv"), os.path.join(root, "writers.csv")
    old_writers = read_rows(writer_path)
    new = {row[0] for row in labels}
    gone = {row[0] for row in old_writers if row[1] in done or row[0] in new}
    old_labels = [row for row in read_rows(label_path) if row[0] not in gone]
    writers = [row for row in old_writers if row[0] not in gone] + writers
    labels = old_labels + labels
    labels = [row for row in labels if os.path.exists(os.path.join(root, row[0]))]
    write_rows(label_path, LABEL_FIELDS, labels)
    write_rows(writer_path, WRITER_FIELDS, writers)
    by_writer = {}
    for path, writer, versions in writers:
        by_writer.setdefault((writer, versions), []).append(path)
    with open(os.path.join(root, "README"), "w") as f:
        f.write("Model files written by the real frameworks (corpus/make_real.py); labels.csv has the labels.\n\n")
        for (writer, versions), paths in sorted(by_writer.items()):
            f.write(f"{writer}: {len(paths)} files or folders, by {versions}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("outdir", nargs="?")
    parser.add_argument("--only", default="", help="comma-separated writers to run")
    parser.add_argument("--require", default="", help="comma-separated writers that must not be skipped")
    parser.add_argument("--tag", default="", help="subfolder of OUTDIR for another environment, such as old versions")
    parser.add_argument("--list", action="store_true", help="list the writers and what they need")
    args = parser.parse_args()
    for module in pkgutil.iter_modules(real_writers.__path__):
        importlib.import_module(f"real_writers.{module.name}")
    known = real_writers.WRITERS
    only, required = ({w for w in text.split(",") if w} for text in (args.only, args.require))
    if unknown := (only | required) - known.keys():
        parser.error(f"unknown writers: {', '.join(sorted(unknown))}")
    if args.list:
        for name, (needs, _) in sorted(known.items()):
            print(f"{name:24} {', '.join(needs)}")
        return 0
    if not args.outdir:
        parser.error("OUTDIR is missing")
    os.makedirs(args.outdir, exist_ok=True)
    root = os.path.abspath(args.outdir)
    warnings.simplefilter("ignore")
    python = platform.python_version()
    labels, writers, done, failed = [], [], set(), []
    for name, (needs, function) in sorted(known.items()):
        if only and name not in only:
            continue
        missing = [need for need in needs if version_of(need) is None]
        if missing:
            print(f"skipped {name}: {', '.join(missing)} not installed")
            if name in required:
                failed.append(name)
            continue
        out, start = Output(root, args.tag), time.monotonic()
        try:
            function(out)
        except Exception:  # one broken framework must not hide the others; it fails the run at the end
            traceback.print_exc()
            print(f"FAILED  {name} after {len(out.rows)} files")
            failed.append(name)
        versions = " ".join([f"python {python}"] + [
            program_version(n[1:]) if n.startswith("!") else f"{n} {version_of(n)}" for n in needs])
        shown = f"{name}@{args.tag}" if args.tag else name
        done.add(shown)
        labels += out.rows
        writers += [[row[0], shown, versions] for row in out.rows]
        print(f"wrote   {name}: {len(out.rows)} in {time.monotonic() - start:.1f} s", flush=True)
        merge(root, labels, writers, done)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
