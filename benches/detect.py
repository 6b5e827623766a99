#!/usr/bin/env python3
"""Detection side by side: Gauntlet and its peers over one labelled folder, or over real files.

    python3 detect.py --labels DIR --gauntlet PATH [--peers VENV] [--by-family] [--misses]
    python3 detect.py --real DIR   --gauntlet PATH [--peers VENV] [--findings]

DIR/labels.csv is that of corpus/make_models.py or corpus/make_real.py: a row
names a file, or a folder whose files count together. VENV is a virtual
environment with picklescan, modelscan, fickling and modelaudit from PyPI (the
last with the packages its readers ask for: h5py, onnx, tflite, py7zr, lz4,
msgpack); a peer that cannot run gives no answer for any file. Each tool reads all files in one
process, by the way in that suits it best (below), so that start-up counts once.

What `flagged` means for each tool (medium or above, in its own words):
    gauntlet    finding of severity medium, high or critical; a lower one, or a
                coverage gap that is no plain `ignored`, is `noted`; the gap
                alone makes the file inconclusive. `scan DIR --format json`.
    picklescan  issues_count > 0 (a dangerous import); suspicious_count > 0 is
                `noted`; scan_err is inconclusive. In process, file by file
                (its folder mode would pass over files by their ending).
    modelscan   an issue of severity MEDIUM or above; LOW is `noted`; errors and
                skipped files are inconclusive. In process, file by file.
    fickling    severity LIKELY_UNSAFE or above; POSSIBLY_UNSAFE and SUSPICIOUS
                are `noted` (its exit status fails on those too); what it cannot
                parse is inconclusive. In process; of a zip, every `.pkl` member
                (its own reader of PyTorch archives needs torch).
    modelaudit  issue of severity warning or critical; info is `noted`; a file it
                failed to read is inconclusive. CLI on the folder,
                `--no-whitelist --no-cache`, since the list trusts publishers by name.
"""
import argparse
import collections
import csv
import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile

PEERS = ("picklescan", "modelscan", "fickling", "modelaudit")
CLEAN, NOTED, FLAGGED = 0, 1, 2


# ------------------------------------------------------------ one tool, one process
def measured(command, timeout, **options):
    """Runs a process; its exit status, wall seconds, CPU seconds and peak MB (its children included)."""
    start = time.monotonic()
    process = subprocess.Popen(command, **options)
    deadline = start + timeout
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline:
            process.kill()
            _, status, usage = os.wait4(process.pid, 0)
            break
        time.sleep(0.005)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, {"wall": time.monotonic() - start, "cpu": usage.ru_utime + usage.ru_stime, "mb": usage.ru_maxrss / 1024}


def run_gauntlet(binary, root, files, timeout):
    """{path: (level, inconclusive, [findings])} from one scan of the whole folder."""
    with tempfile.TemporaryDirectory() as work:
        report = os.path.join(work, "report.json")
        code, cost = measured([binary, "scan", root, "--format", "json", "--output", report, "--no-progress"], timeout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with open(report) as f:
                document = json.load(f)
        except (OSError, ValueError) as error:
            raise SystemExit(f"gauntlet ended with status {code} and no report: {error}")
    result = {path: [CLEAN, False, []] for path in files}
    for check in document["reports"]:
        for finding in check["findings"]:
            if finding.get("suppressed"):
                continue
            entry = result.get(os.path.relpath(finding["location"]["path"], root))
            if entry is not None:
                level = FLAGGED if finding["severity"] in ("medium", "high", "critical") else NOTED
                entry[0] = max(entry[0], level)
                entry[2].append((finding["severity"], finding["rule"], finding["message"]))
        if not check["check"].startswith("artifact/"):
            continue
        for gap in check["coverage"]["skipped"]:
            entry = result.get(os.path.relpath(gap["path"], root))
            if entry is not None and not gap["reason"].startswith("ignored"):
                entry[1] = True
                entry[2].append(("gap", check["check"], gap["reason"]))
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return result, cost, version


def run_peer(name, venv, root, files, timeout):
    """The same for a peer; its process is this script again, in the environment of the peer."""
    python = os.path.join(venv, "bin", "python")
    with tempfile.TemporaryDirectory() as work:
        listing, answer = os.path.join(work, "files"), os.path.join(work, "answer")
        with open(listing, "w") as f:
            json.dump({"root": root, "files": files}, f)
        environment = os.environ | {"PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
        command = [python, os.path.abspath(__file__), "--child", name, listing, answer]
        code, cost = measured(command, timeout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd=work)
        lines = []
        if os.path.exists(answer):
            with open(answer) as f:
                lines = [json.loads(line) for line in f]
    result, version = {path: [CLEAN, True, [("gap", name, f"no answer, status {code}")]] for path in files}, name
    for line in lines:
        if "version" in line:
            version = f"{name} {line['version']}"
        elif line["path"] in result:
            result[line["path"]] = [line["level"], line["unknown"], [("", name, note) for note in line["notes"]]]
    return result, cost, version


# ------------------------------------------------------------ inside a peer's environment
def child(name, listing, answer):
    """Writes one JSON line for each file; runs with the peer importable."""
    with open(listing) as f:
        work = json.load(f)
    with open(answer, "w") as out:
        def tell(**line):
            out.write(json.dumps(line) + "\n")
            out.flush()

        tell(version=importlib.metadata.version(name))
        if name == "modelaudit":
            for path, verdict in child_modelaudit(work["root"], work["files"]):
                tell(path=path, **verdict)
            return
        judge = {"picklescan": child_picklescan, "modelscan": child_modelscan, "fickling": child_fickling}[name]()
        for path in work["files"]:
            try:
                level, unknown, notes = judge(os.path.join(work["root"], path))
            except BaseException as error:  # a peer that breaks on a file has not judged it
                if isinstance(error, KeyboardInterrupt):
                    raise
                level, unknown, notes = CLEAN, True, [f"{type(error).__name__}: {error}"]
            tell(path=path, level=level, unknown=unknown, notes=[note[:200] for note in notes])


def child_picklescan():
    from picklescan.scanner import scan_file_path

    def judge(path):
        found = scan_file_path(path)
        level = FLAGGED if found.issues_count else NOTED if found.suspicious_count else CLEAN
        return level, found.scan_err or not found.scanned_files, [f"{g.module} {g.name}: {g.safety.value}" for g in found.globals if g.safety.value != "innocuous"]

    return judge


def child_modelscan():
    from modelscan.modelscan import ModelScan

    def judge(path):
        result = ModelScan().scan(path)
        levels = [issue["severity"] for issue in result["issues"]]
        level = FLAGGED if any(s in ("MEDIUM", "HIGH", "CRITICAL") for s in levels) else NOTED if levels else CLEAN
        unread = bool(result["errors"]) or result["summary"]["scanned"]["total_scanned"] == 0
        return level, unread, [f"{i['severity']}: {i['description']}" for i in result["issues"]]

    return judge


def child_fickling():
    from fickling.analysis import Severity, check_safety
    from fickling.fickle import StackedPickle

    def judge(path):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                pickles = [p for name in archive.namelist() if name.endswith(".pkl") for p in StackedPickle.load(io.BytesIO(archive.read(name)))]
        else:
            with open(path, "rb") as f:
                pickles = list(StackedPickle.load(f))
        results = [check_safety(pickled, json_output_path=os.devnull) for pickled in pickles]
        worst = max((r.severity for r in results), default=Severity.LIKELY_SAFE)
        level = FLAGGED if worst >= Severity.LIKELY_UNSAFE else NOTED if worst > Severity.LIKELY_SAFE else CLEAN
        return level, not results, [worst.name]

    return judge


def child_modelaudit(root, files):
    with tempfile.TemporaryDirectory() as work:
        report = os.path.join(work, "report.json")
        subprocess.run([os.path.join(os.path.dirname(sys.executable), "modelaudit"), "scan", root, "--format", "json", "--no-cache", "--no-whitelist", "--timeout", "3600", "--output", report], check=False)
        with open(report) as f:
            document = json.load(f)
    verdicts = {path: {"level": CLEAN, "unknown": False, "notes": []} for path in files}
    longest = sorted(files, key=len, reverse=True)

    def place(location):
        """The file an issue belongs to: `file`, `file:member`, `file (pos 7)`."""
        where = (location or "").removeprefix(root + os.sep)  # no relpath: a member may be named ../x
        if where in verdicts:
            return where
        return next((p for p in longest if where.startswith(p) and not re.match(r"[\w.-]", where[len(p):])), None)

    seen = set()
    for asset in document.get("assets") or []:
        seen.add(place(asset.get("path")))
    for issue in document["issues"]:
        path = place(issue.get("location"))
        if path is None:
            continue
        seen.add(path)
        entry = verdicts[path]
        text = f"{issue['severity']}: {issue['message']}"
        entry["level"] = max(entry["level"], FLAGGED if issue["severity"] in ("warning", "critical") else NOTED)
        entry["notes"].append(text[:200])
    for path, meta in (document.get("file_metadata") or {}).items():
        path = place(path)
        if path and (meta.get("scan_outcome") or meta.get("operational_error") and "inconclusive") in ("inconclusive", "error"):
            verdicts[path]["unknown"] = True
    for path in files:
        if path not in seen:
            verdicts[path]["unknown"] = True
    yield from verdicts.items()


# ------------------------------------------------------------ tables
def read_rows(root):
    """Label rows, each with the files that belong to it."""
    with open(os.path.join(root, "labels.csv"), newline="") as f:
        rows = list(csv.DictReader(f))
    for row in rows:
        full = os.path.join(root, row["path"])
        row["files"] = walk(root, full) if row["scope"] == "dir" else [row["path"]]
    return rows


def walk(root, folder):
    return sorted(os.path.relpath(os.path.join(base, name), root) for base, _, names in os.walk(folder) for name in names)


def judged(rows, result):
    """(row, level, inconclusive): the worst of a row's files."""
    for row in rows:
        entries = [result[path] for path in row["files"] if path in result]
        yield row, max((e[0] for e in entries), default=CLEAN), any(e[1] for e in entries)


def share(part, whole):
    return f"{part}/{whole} {100 * part / whole:5.1f} %" if whole else "-"


def print_labelled(tools, rows, args):
    print(f"{'tool':22} {'malicious flagged':>18} {'suspicious noted':>18} {'or inconclusive':>18} {'benign flagged':>16} {'benign inconcl.':>16} {'wall':>8} {'CPU':>8} {'peak':>8}")
    for version, (result, cost) in tools.items():
        counts = collections.Counter()
        for row, level, unknown in judged(rows, result):
            counts[row["label"]] += 1
            counts[row["label"], "flagged"] += level == FLAGGED
            counts[row["label"], "noted"] += level >= NOTED
            counts[row["label"], "gap"] += level >= NOTED or unknown
            counts[row["label"], "unknown"] += unknown and level < FLAGGED
        print(f"{version:22} {share(counts['malicious', 'flagged'], counts['malicious']):>18} {share(counts['suspicious', 'noted'], counts['suspicious']):>18} {share(counts['suspicious', 'gap'], counts['suspicious']):>18} "
              f"{share(counts['benign', 'flagged'], counts['benign']):>16} {share(counts['benign', 'unknown'], counts['benign']):>16} {cost['wall']:6.2f} s {cost['cpu']:6.2f} s {cost['mb']:5.0f} MB")
    print("\n`noted`: a finding of any severity; `or inconclusive`: that, or a file the tool says it could not judge; `benign inconcl.`: such files without a flag.")
    if args.by_family:
        families = sorted({row["family"] for row in rows})
        for version, (result, _) in tools.items():
            table = collections.defaultdict(collections.Counter)
            for row, level, unknown in judged(rows, result):
                table[row["family"]][row["label"]] += 1
                hit = level == FLAGGED if row["label"] != "suspicious" else level >= NOTED or unknown
                table[row["family"]][row["label"], "hit"] += hit
            print(f"\n{version}: hits by family (malicious flagged, suspicious noted, benign flagged)")
            for family in families:
                c = table[family]
                print(f"  {family:16} " + "  ".join(f"{label[:3]} {c[label, 'hit']:3}/{c[label]:<3}" for label in ("malicious", "suspicious", "benign")))
    if args.misses:
        for version, (result, _) in tools.items():
            print(f"\n{version}: what it got wrong")
            for row, level, unknown in judged(rows, result):
                wrong = {"malicious": level < FLAGGED, "suspicious": level < NOTED and not unknown, "benign": level == FLAGGED}[row["label"]]
                if wrong:
                    notes = [n for path in row["files"] for n in result.get(path, [0, 0, []])[2]][:2]
                    print(f"  {row['label']:10} {row['path']:44} {row['technique']}" + "".join(f"\n{'':13}{' '.join(n)[:150]}" for n in notes))


def print_real(tools, files, rows, args):
    """Counts over files that are all harmless, except those labelled otherwise."""
    excluded = {path for row in rows if row["label"] != "benign" for path in row["files"]}
    files = [path for path in files if path not in excluded]
    print(f"{len(files)} files ({len(excluded)} left out: labelled as not benign)")
    print(f"{'tool':22} {'critical':>14} {'high':>14} {'medium':>14} {'flagged':>16} {'inconclusive':>16} {'wall':>8} {'CPU':>8} {'peak':>8}")
    for version, (result, cost) in tools.items():
        worst = collections.Counter()
        for path in files:
            severities = {note[0] for note in result[path][2]}
            worst[next((s for s in ("critical", "high", "medium") if s in severities), "none")] += 1
        flagged, unknown = sum(result[p][0] == FLAGGED for p in files), sum(result[p][1] and result[p][0] < FLAGGED for p in files)
        graded = version.startswith("gauntlet")
        cells = [share(worst[s], len(files)) if graded else "-" for s in ("critical", "high", "medium")]
        print(f"{version:22} {cells[0]:>14} {cells[1]:>14} {cells[2]:>14} {share(flagged, len(files)):>16} {share(unknown, len(files)):>16} {cost['wall']:6.2f} s {cost['cpu']:6.2f} s {cost['mb']:5.0f} MB")
    if args.findings:
        for version, (result, _) in tools.items():
            print(f"\n{version}: flagged real files")
            for path in files:
                if result[path][0] == FLAGGED:
                    print(f"  {path}")
                    for note in sorted(set(result[path][2]))[:4]:
                        if note[0] != "gap":
                            print(f"      {' '.join(note)[:170]}")
    if args.gaps:
        for version, (result, _) in tools.items():
            reasons = collections.Counter(note[2] for path in files for note in result[path][2] if note[0] == "gap")
            print(f"\n{version}: gaps")
            for reason, count in reasons.most_common(40):
                print(f"  {count:5} {reason[:150]}")


def main():
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:5])
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--labels", metavar="DIR", help="labelled folder")
    source.add_argument("--real", metavar="DIR", help="folder of real files")
    parser.add_argument("--gauntlet", metavar="PATH", help="the program to measure")
    parser.add_argument("--peers", metavar="VENV", help="virtual environment with the peers")
    parser.add_argument("--tools", default=",".join(PEERS), help="which peers")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds for one tool")
    parser.add_argument("--by-family", action="store_true")
    parser.add_argument("--misses", action="store_true", help="list what each tool got wrong")
    parser.add_argument("--findings", action="store_true", help="with --real: list flagged files")
    parser.add_argument("--gaps", action="store_true", help="with --real: list reasons of inconclusive files")
    args = parser.parse_args()
    root = os.path.abspath(args.labels or args.real)
    rows = read_rows(root) if os.path.exists(os.path.join(root, "labels.csv")) else []
    if args.labels and not rows:
        parser.error("no labels.csv in the folder")
    files = sorted({p for row in rows for p in row["files"]}) if args.labels else [p for p in walk(root, root) if p not in ("labels.csv", "writers.csv", "README")]
    tools = {}
    if args.gauntlet:
        result, cost, version = run_gauntlet(os.path.abspath(args.gauntlet), root, files, args.timeout)
        tools[version] = (result, cost)
    for name in [n for n in args.tools.split(",") if n] if args.peers else []:
        if name not in PEERS:
            parser.error(f"unknown peer {name}")
        result, cost, version = run_peer(name, os.path.abspath(args.peers), root, files, args.timeout)
        tools[version] = (result, cost)
    print(f"{time.strftime('%Y-%m-%d')}, {len(files)} files, Python {sys.version.split()[0]}, {os.cpu_count()} cores\n")
    if args.labels:
        print_labelled(tools, rows, args)
    else:
        print_real(tools, files, rows, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
