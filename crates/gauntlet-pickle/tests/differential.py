#!/usr/bin/env python3
"""Compares the pickle machine with CPython on a folder of files.

    python3 differential.py GLOBALS_BINARY FILE_OR_FOLDER...

GLOBALS_BINARY is the example `globals` of this crate. For each file whose first stream CPython's `pickletools`
can walk and which ends with STOP for us, the number of opcodes and the end of the stream must be equal. A stubbed unpickler then loads the
stream with a `find_class` that records names and hands out inert objects; every global which it records must be
among our imports. Nothing is imported and nothing of the files is called. Exit code 1 on any difference.
"""
import io
import json
import os
import pickle
import pickletools
import subprocess
import sys


class Inert:
    """Stands for any object: accepts calls, state, items and attributes, and does nothing."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return Inert()

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def __hash__(self):
        return 1

    def append(self, item):
        pass

    def extend(self, items):
        pass

    def add(self, item):
        pass


class Recorder(pickle._Unpickler):
    """The pure Python unpickler, recording what it would import."""

    def __init__(self, file):
        super().__init__(file, buffers=iter(lambda: b"", None))
        self.seen = set()

    def find_class(self, module, name):
        self.seen.add((module, name))
        return type("Inert", (Inert,), {})

    def get_extension(self, code):
        # The process-wide registry is not consulted: nothing was registered, as no call is made.
        self.stack.append(Inert())

    def persistent_load(self, pid):
        return Inert()


def cpython(data):
    """(opcodes, length or None when the walk ends in an error, globals, whether a load reaches STOP)."""
    count, end = 0, None
    try:
        for op, _, position in pickletools.genops(data):
            count += 1
            if op.name == "STOP":
                end = position + 1
    except Exception:
        pass
    recorder = Recorder(io.BytesIO(data))
    try:
        recorder.load()
        loaded = True
    except Exception:
        loaded = False
    return count, end, recorder.seen, loaded


def ours(binary, paths):
    """Facts by path; the same binary is asked in portions."""
    out = {}
    for i in range(0, len(paths), 200):
        run = subprocess.run([binary, *paths[i:i + 200]], capture_output=True, text=True, check=True)
        for line in filter(None, run.stdout.split("\n")):
            entry = json.loads(line)
            out[entry["path"]] = entry["facts"]
    return out


def compare(data, facts):
    """Differences, as text."""
    if not facts["streams"]:
        return ["no stream"] if data else []
    stream = facts["streams"][0]
    count, end, seen, loaded = cpython(data)
    found = []
    inline = stream["inline_arrays"]["count"]
    stopped = stream["end"]["kind"] == "stop"
    if loaded and not stopped and not inline:
        found.append("CPython loads it, ours ends with %s" % stream["end"])
    # `pickletools` has no stack of values: where ours ends early, the counts may differ.
    if end is not None and stopped and not inline:
        if stream["opcodes"] != count:
            found.append("opcodes %d, CPython %d" % (stream["opcodes"], count))
        if stream["len"] != end:
            found.append("length %d, CPython %d" % (stream["len"], end))
    known = set()
    for i in stream["imports"]:
        known.add((i["module"], i["name"]))
        if i["modern"]:
            known.add(tuple(i["modern"]))
    for module, name in sorted(seen):
        if not isinstance(module, str) or (module, name) not in known:
            found.append("global %s.%s is missing" % (module, name))
    return found


def main():
    binary, roots = sys.argv[1], sys.argv[2:]
    paths = []
    for root in roots:
        if os.path.isfile(root):
            paths.append(root)
        for folder, _, names in os.walk(root):
            paths += [os.path.join(folder, n) for n in sorted(names)]
    facts = ours(binary, paths)
    checked = names = bad = 0
    for path in paths:
        with open(path, "rb") as f:
            data = f.read()
        checked += 1
        names += sum(len(s["imports"]) for s in facts[path]["streams"])
        for difference in compare(data, facts[path]):
            bad += 1
            print("%s: %s" % (path, difference))
    print("%d files compared, %d imports seen, %d differences" % (checked, names, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
