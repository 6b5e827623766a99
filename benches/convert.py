#!/usr/bin/env python3
"""Rate and memory of `gauntlet convert` on a large PyTorch zip, beside a plain copy and sha256sum of the same file.

    python3 benches/convert.py PROGRAM FOLDER [MIB]

The zip is assembled here, as torch.save lays it out (stored members, 64-byte alignment left out), from one block of
noise; torch is not needed.
"""
import os, pathlib, shutil, subprocess, sys, time, zipfile

program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
mib = int(sys.argv[3]) if len(sys.argv) > 3 else 2048
folder.mkdir(parents=True, exist_ok=True)
model = folder / f"convert-{mib}.pt"
TENSOR = 64  # MiB each


def text(value):
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def tensor(key):
    rows, columns = TENSOR * 256, 1024  # floats
    size = b"M" + columns.to_bytes(2, "little")
    return (b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu")
            + b"J" + (rows * columns).to_bytes(4, "little") + b"tQK\0J" + rows.to_bytes(4, "little") + size + b"\x86" + size
            + b"K\x01\x86\x89ccollections\nOrderedDict\n)RtR")


def generate():
    count = mib // TENSOR
    pickle = b"\x80\x02}(" + b"".join(text(f"layer.{n}.weight") + tensor(str(n)) for n in range(count)) + b"u."
    block = os.urandom(TENSOR << 20)
    with zipfile.ZipFile(model, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("model/data.pkl", pickle)
        archive.writestr("model/byteorder", b"little")
        for n in range(count):
            archive.writestr(f"model/data/{n}", block)
        archive.writestr("model/version", b"3\n")


# In a process of its own: the peak that the system reports for a child starts at what its parent held.
if sys.argv[4:] == ["generate"]:
    generate()
    sys.exit()
if not model.exists():
    subprocess.run([sys.executable, __file__, program, folder, str(mib), "generate"], check=True)
size = model.stat().st_size
out = folder / "convert-out.safetensors"
with open(model, "rb") as file:  # into the page cache
    while file.read(1 << 20):
        pass


def timed(what, run):
    out.unlink(missing_ok=True)
    before = time.perf_counter()
    note = run() or ""
    wall = time.perf_counter() - before
    print(f"{what:42} {wall:6.2f} s  {size / wall / 1e6:7.0f} MB/s  {note}", flush=True)


def convert():
    process = subprocess.Popen([program, "convert", model, "-o", out], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit("convert failed")
    return f"{usage.ru_maxrss / 1024:.0f} MB peak"


def plain():
    shutil.copyfile(model, out)
    with open(out, "rb") as file:
        os.fsync(file.fileno())
    subprocess.run(["sha256sum", model, out], check=True, stdout=subprocess.DEVNULL)


timed("copy, sync, sha256sum of both", plain)
timed("gauntlet convert (three digests a byte)", convert)
out.unlink(missing_ok=True)
