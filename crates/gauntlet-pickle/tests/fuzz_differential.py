#!/usr/bin/env python3
"""Compares the pickle machine with CPython on streams that nobody wrote.

    python3 fuzz_differential.py FRAMES_BINARY [--count 100000] [--seed 1] [--jobs 2]

FRAMES_BINARY is the example `globals` of this crate, called with `--frames`: length-prefixed streams on its standard
input, one JSON object a line on its standard output. Streams are assembled at random from opcodes with operands that
mostly make sense, spliced from such streams, or mutated (bytes flipped, cut, inserted, doubled). Each is loaded by both
of CPython's unpicklers, the C one and the pure Python one, with a `find_class` that records the name and hands out an
inert object: nothing is imported and nothing of the stream is called. Required, with no exception:

* every global that either unpickler reaches is among our imports of any stream, unless we say that the stream splits a
  frame: there the C unpickler reads other bytes from a file than from memory;
* what either unpickler loads to its STOP does not end in an error for us, with the same exception;
* where `pickletools` walks to the STOP and we stop, too, the number of opcodes and the length are equal.

Exit code 1 on any difference. The same seed gives the same streams.
"""
import argparse
import concurrent.futures
import io
import json
import os
import pickle
import pickletools
import random
import re
import resource
import struct
import subprocess
import sys
import _compat_pickle

WORDS = [b"os", b"system", b"a", b"b.c", b"builtins", b"__builtin__", b"commands", b"getoutput", b"copyreg", b"x", b"",
         b"itertools", b"imap", b"\xc3\xa9", b"eval", b"list", b"exceptions", b"ValueError"]


class Meta(type):
    """Inert as a class, too."""

    def __call__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __iter__(cls):
        return iter(())


class Inert(metaclass=Meta):
    """Stands for any object: accepts calls, state, items and attributes, and does nothing."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __call__(self, *args, **kwargs):
        return Inert()

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def __iter__(self):
        return iter(())

    def append(self, item):
        pass

    def extend(self, items):
        pass

    def add(self, item):
        pass


class Recording:
    def __init__(self, data):
        super().__init__(io.BytesIO(data), encoding="latin1", buffers=[b"buffer"] * 8)
        self.seen = set()

    def find_class(self, module, name):
        # Both unpicklers map the names of Python 2 in `find_class` itself, so what comes here is as written.
        self.seen.add((module, name))
        return type(Inert)("Found", (Inert,), {})

    def persistent_load(self, pid):
        return Inert()


class ByC(Recording, pickle.Unpickler):
    pass


class ByPython(Recording, pickle._Unpickler):
    def get_extension(self, code):
        # No extension is registered, since no call is made: the lookup fails as it does in the C unpickler.
        raise ValueError("unregistered extension code %d" % code)


assert pickle.Unpickler is not pickle._Unpickler, "this Python has no C unpickler"


def load(kind, data):
    """(globals reached, whether it came to STOP)"""
    try:
        unpickler = kind(data)
    except Exception:
        return set(), False
    try:
        unpickler.load()
        return unpickler.seen, True
    except (Exception, MemoryError):
        return unpickler.seen, False


# === generator ===

def text(rng):
    return rng.choice(WORDS)


def line(rng):
    return text(rng).replace(b"\n", b"") + b"\n"


def number(rng):
    return rng.choice([b"0", b"1", b"2", b"7", b"00", b"01", b"-1", b"1L", b"0x10", b" 3", b"99999999999", b"1_0", b"", b"x"]) + b"\n"


def small(rng):
    return rng.choice([0, 0, 1, 1, 2, 3, 4, 255])


def counted(rng, width):
    body = text(rng)
    length = len(body)
    if rng.random() < 0.01:
        length = rng.choice([length + 1, 1 << (8 * width - 1), (1 << (8 * width)) - 1])
    return (length & ((1 << (8 * width)) - 1)).to_bytes(width, "little") + body


def operand(rng, op):
    """Bytes for the operand of an opcode; mostly valid."""
    name = op.name
    if name in ("GLOBAL", "INST"):
        return line(rng) + line(rng)
    if name in ("STRING",):
        quote = rng.choice([b"'", b'"', b""])
        return quote + text(rng) + rng.choice([quote, quote, b""]) + b"\n"
    if name in ("UNICODE", "PERSID"):
        return line(rng)
    if name in ("INT", "LONG", "GET", "PUT"):
        return number(rng)
    if name == "FLOAT":
        return rng.choice([b"1.5\n", b"nan\n", b"x\n", b"\n", b"1e400\n"])
    if name in ("BINGET", "BINPUT"):
        return bytes([small(rng)])
    if name in ("LONG_BINGET", "LONG_BINPUT"):
        return struct.pack("<I", rng.choice([0, 1, 2, 3, 300, 70000]))
    if name == "PROTO":
        return bytes([rng.choice([0, 1, 2, 3, 4, 4, 5, 5, 6])])
    if name == "FRAME":
        return struct.pack("<Q", rng.choice([0, 1, 5, 10, 30, 100, 1 << 62]))
    if name in ("EXT1", "EXT2", "EXT4"):
        width = {"EXT1": 1, "EXT2": 2, "EXT4": 4}[name]
        return rng.choice([0, 1, 240]).to_bytes(width, "little")
    if name == "LONG1":
        body = rng.randbytes(rng.choice([0, 1, 4, 9]))
        return bytes([len(body)]) + body
    if name == "LONG4":
        body = rng.randbytes(rng.choice([0, 1, 4]))
        return struct.pack("<i", rng.choice([len(body)] * 9 + [-1])) + body
    argument = op.arg
    if argument is None:
        return b""
    if argument.n >= 0:
        return rng.randbytes(argument.n)
    width = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4: 4,
             pickletools.TAKEN_FROM_ARGUMENT4U: 4, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(argument.n)
    return counted(rng, width) if width else line(rng)


OPCODES = list(pickletools.opcodes)
BY_NAME = {op.name: op for op in OPCODES}
NAMES = [BY_NAME[n] for n in ("SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINSTRING", "BINSTRING", "UNICODE", "STRING")]


def emit(rng, op):
    return op.code.encode("latin1") + operand(rng, op)


def names(rng):
    """Two texts and STACK_GLOBAL, with memo and stack play between."""
    out = emit(rng, rng.choice(NAMES)) + play(rng) + emit(rng, rng.choice(NAMES)) + play(rng)
    return out + b"\x93"


def play(rng):
    roll = rng.random()
    if roll < 0.5:
        return b""
    if roll < 0.6:
        return b"\x94"
    if roll < 0.7:
        return b"q" + bytes([small(rng)])
    if roll < 0.78:
        return b"20"
    if roll < 0.86:
        return b"(" + emit(rng, rng.choice(NAMES)) + b"1"
    if roll < 0.93:
        slot = bytes([small(rng)])
        return b"q" + slot + b"0h" + slot
    return b"(0"


# (opcode, values taken, values left, marks taken): enough to keep most streams alive.
def assemble(rng):
    out = bytearray()
    if rng.random() < 0.7:
        out += b"\x80" + bytes([rng.choice([0, 1, 2, 3, 4, 5])])
    height, marks = 0, []
    for _ in range(rng.randrange(2, 40)):
        roll = rng.random()
        if roll < 0.18:
            out += names(rng)
            height += 1
            continue
        if roll < 0.28:
            out += emit(rng, BY_NAME["GLOBAL"])
            height += 1
            continue
        if roll < 0.4 and height:
            # A call, an object or a state of what is on the stack.
            out += rng.choice([b")R", b")\x81", b")}\x92", b"}b", b"K\x01\x85R", b"]R", b"}R", b"X\x01\0\0\0ka", b"K\x01K\x02s"])
            continue
        op = rng.choice(OPCODES)
        takes = len([x for x in op.stack_before if x not in (pickletools.markobject, pickletools.stackslice)])
        if op.name == "STOP" or (op.name == "PROTO" and rng.random() < 0.7):
            continue
        if pickletools.markobject in op.stack_before:
            if not marks and rng.random() < 0.95:
                out += b"("
                marks.append(height)
                continue
            if marks and (height - marks[-1]) % 2 and op.name in ("DICT", "SETITEMS"):
                out += b"N"
            height = marks.pop() if marks else height
        elif height - (marks[-1] if marks else 0) < takes and rng.random() < 0.97:
            out += emit(rng, rng.choice(NAMES))
            height += 1
            continue
        else:
            height = max(0, height - takes)
        if op.name == "MARK":
            marks.append(height)
        else:
            height += len(op.stack_after)
        out += emit(rng, op)
    if rng.random() < 0.85:
        while marks and rng.random() < 0.9:
            out += b"t"
            marks.pop()
        out += b"N." if rng.random() < 0.3 else b"."
    if rng.random() < 0.1:
        out += assemble(rng)
    return bytes(out)


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        if not data:
            break
        at = rng.randrange(len(data))
        roll = rng.random()
        if roll < 0.3:
            data[at] = rng.randrange(256)
        elif roll < 0.5:
            data[at:at] = emit(rng, rng.choice(OPCODES))
        elif roll < 0.65:
            del data[at:at + rng.randrange(1, 5)]
        elif roll < 0.75:
            del data[at:]
        elif roll < 0.9:
            end = min(len(data), at + rng.randrange(1, 12))
            data[at:at] = data[at:end]
        else:
            data[at] ^= 1 << rng.randrange(8)
    return bytes(data)


def streams(seed, count):
    rng = random.Random(seed)
    pool = []
    for _ in range(count):
        roll = rng.random()
        if roll < 0.5 or len(pool) < 10:
            data = assemble(rng)
        elif roll < 0.85:
            data = mutate(rng, rng.choice(pool))
        else:
            left, right = rng.choice(pool), rng.choice(pool)
            data = left[:rng.randrange(len(left) + 1)] + right[rng.randrange(len(right) + 1):]
        data = data[:2000]
        if len(pool) < 500:
            pool.append(data)
        else:
            pool[rng.randrange(500)] = data
        yield data


# === comparison ===

def opcodes(data):
    count = 0
    try:
        for op, _, position in pickletools.genops(data):
            count += 1
            if op.name == "STOP":
                return count, position + 1
    except Exception:
        pass
    return count, None


def modern(module, name):
    """The name that Python 3 looks up below protocol 3."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[(module, name)]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


def compare(data, facts):
    found = []
    known = set()
    for stream in facts["streams"]:
        for entry in stream["imports"]:
            written = (entry["module"], entry["name"])
            known.add(written)
            known.add(ascii_of(*written))
            # An operand that a call computes is not the same for an inert object; ours says that it is unknown.
            if entry["resolved"] == "unresolved":
                known.add(None)
            if entry["modern"]:
                known.add(tuple(entry["modern"]))
                # Of `exceptions` only the names of exceptions are mapped; ours maps all of them.
                if written[0] != "exceptions" and tuple(entry["modern"]) != modern(*written):
                    found.append("%s is %s, ours says %s" % (written, modern(*written), entry["modern"]))
            elif entry["protocol"] < 3 and entry["op"] != "attribute" and modern(*written) != written:
                found.append("%s is %s, ours says nothing" % (written, modern(*written)))
    first = facts["streams"][0] if facts["streams"] else None
    reached = 0
    if first and any(a["kind"] == "split_frame" for a in first["anomalies"]):
        return found, reached
    for kind in (ByC, ByPython):
        seen, loaded = load(kind, data)
        reached += len(seen)
        for module, name in seen:
            # At the end of the input the Python unpickler reads empty lines; no module has an empty name.
            if not module and not name:
                continue
            if (module, name) not in known and ascii_of(module, name) not in known and None not in known:
                found.append("%s reaches %r.%r" % (kind.__name__, module, name))
        if loaded and (first is None or first["end"]["kind"] != "stop"):
            found.append("%s loads it, ours ends with %s" % (kind.__name__, first and first["end"]))
    count, end = opcodes(data)
    if end is not None and first and first["end"]["kind"] == "stop":
        if (first["opcodes"], first["len"]) != (count, end):
            found.append("opcodes %d to %d, CPython %d to %d" % (first["opcodes"], first["len"], count, end))
    return found, reached


def ascii_of(*names):
    """How bytes above 127 are decoded depends on the opcode and on the caller's `encoding`."""
    return tuple(re.sub("[^\x00-\x7f]+", "?", name) for name in names)


def work(job):
    binary, seed, count = job
    # CPython prints errors of its own about buffers that a stream lets go of.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    # The C unpickler makes an array as long as the largest memo index.
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    data = list(streams(seed, count))
    frames = b"".join(struct.pack("<I", len(d)) + d for d in data)
    run = subprocess.run([binary, "--frames"], input=frames, capture_output=True, check=True)
    lines = run.stdout.splitlines()
    assert len(lines) == len(data), "%d answers to %d streams" % (len(lines), len(data))
    found, reached = [], 0
    for stream, answer in zip(data, lines):
        differences, globals_reached = compare(stream, json.loads(answer))
        reached += globals_reached
        found += [(stream, difference) for difference in differences]
    return len(data), reached, found


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--count", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--jobs", type=int, default=2)
    args = arguments.parse_args()
    portion = 2000
    jobs = [(args.binary, args.seed * 1_000_003 + i, min(portion, args.count - at))
            for i, at in enumerate(range(0, args.count, portion))]
    total = reached = bad = 0
    with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        for count, globals_reached, found in pool.map(work, jobs):
            total += count
            reached += globals_reached
            for stream, difference in found:
                bad += 1
                if bad <= 20:
                    print("%s\n    %r" % (difference, stream))
    print("%d streams compared, %d globals reached by CPython, %d differences" % (total, reached, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
