#!/usr/bin/env python3
"""Manifests against the tools whose formats they are read from and written to: mlcroissant, huggingface_hub and datasets,
DVC, Feast, MLflow, TensorFlow's schema messages. Then what is found of personal data and secrets, against known truth.

Usage: manifest.py PROGRAM   (in an environment with those packages, NumPy and pyarrow)
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.argv[1]).resolve()
AT = "2026-11-21"
ROWS = "id,age,plan,churn\n" + "".join(f"{i},{20 + i % 50},{'basic' if i % 2 else 'pro'},{i % 2}\n" for i in range(200))
FILLED = {
    "uri": "https://example.org/people", "collected": "[2026-01-01, 2026-02-01]", "method": "made up",
    "spdx": "CC-BY-4.0", "basis": "consent", "record": "urn:r", "purposes": "[train]", "expires": "2028-12-31",
}


def gauntlet(*args, cwd, expect=0):
    env = {**os.environ, "GAUNTLET_CONFIG_DIR": str(cwd / ".config")}
    done = subprocess.run([PROGRAM, *args], cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode != expect:
        sys.exit(f"gauntlet {' '.join(map(str, args))}: exit {done.returncode}, expected {expect}\n{done.stdout}{done.stderr}")
    return done


def run(*args, cwd):
    done = subprocess.run(args, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{args}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def manifest(folder, data="people.csv", out="people.manifest.yaml", more=""):
    """A filled-in manifest of a file."""
    (folder / out).unlink(missing_ok=True)
    gauntlet("data", "manifest", data, "-o", out, cwd=folder)
    lines = []
    for line in (folder / out).read_text().splitlines():
        key = line.strip().split(":")[0]
        lines.append(f"{line.split(':')[0]}: {FILLED.get(key, 'people')}" if "FILL-IN" in line and key in FILLED else line)
    (folder / out).write_text("\n".join(lines) + "\n" + more)
    return folder / out


def flip(path):
    """The same file with one byte changed."""
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


def croissant(work):
    import mlcroissant as mlc

    (work / "people.csv").write_text(ROWS)
    manifest(work, more="label: {column: churn, classes: ['0', '1']}\nids: [id]\n")
    gauntlet("data", "manifest", "people.manifest.yaml", "--to", "croissant", "-o", "croissant.json", cwd=work)
    dataset = mlc.Dataset(jsonld=str(work / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    assert not issues.errors, issues.errors
    records = [row for _, row in zip(range(5), dataset.records("rows"))]
    assert [int(row["rows/age"]) for row in records] == [20, 21, 22, 23, 24], records
    print("  mlcroissant reads ours, and the records through it")
    file = mlc.FileObject(id="people.csv", name="people.csv", content_url="people.csv", encoding_formats=["text/csv"],
                          sha256=sha256(work / "people.csv"), content_size=f"{len(ROWS)} B")
    fields = [mlc.Field(id=f"r/{c}", name=c, data_types=[mlc.DataType.INTEGER],
                        source=mlc.Source(file_object="people.csv", extract=mlc.Extract(column=c))) for c in ("id", "age")]
    for version in (mlc.CroissantVersion.V_1_0, mlc.CroissantVersion.V_1_1) if hasattr(mlc, "CroissantVersion") else (None,):
        ctx = mlc.Context(conforms_to=version) if version else mlc.Context()
        theirs = mlc.Metadata(ctx=ctx, name="people", description="d", license=["https://creativecommons.org/licenses/by/4.0/"],
                              url="https://example.org", version="1.0.0", distribution=[file],
                              record_sets=[mlc.RecordSet(id="r", name="r", fields=fields)])
        (work / "theirs.json").write_text(json.dumps(theirs.to_json(), default=str))
        out = gauntlet("data", "manifest", "--from", "theirs.json", cwd=work).stdout
        assert 'spdx: "CC-BY-4.0"' in out and sha256(work / "people.csv") in out, out
    flip(work / "people.csv")
    gauntlet("data", "manifest", "--from", "theirs.json", cwd=work, expect=1)
    print("  ours reads mlcroissant's, and refuses a file with one flipped bit")


def sha256(path):
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def hub(work):
    import datasets
    from huggingface_hub import DatasetCard, DatasetCardData

    (work / "people.csv").write_text(ROWS)
    manifest(work, more="label: {column: churn, classes: ['0', '1']}\n")
    text = (work / "people.manifest.yaml").read_text().replace("    rows: 200", "    rows: 200\n    split: train")
    (work / "people.manifest.yaml").write_text(text)
    gauntlet("data", "manifest", "people.manifest.yaml", "--to", "hf", "-o", "README.md", cwd=work)
    card = DatasetCard.load(work / "README.md")
    assert card.data.license == "cc-by-4.0" and card.data.to_dict()["configs"][0]["data_files"][0]["split"] == "train"
    os.environ["HF_HUB_OFFLINE"] = "1"
    loaded = datasets.load_dataset(str(work), cache_dir=str(work / ".cache"))
    assert loaded["train"].num_rows == 200, loaded
    assert loaded["train"].features["churn"].names == ["0", "1"], loaded["train"].features
    print("  huggingface_hub reads our card, datasets loads the files and the classes through it")
    data = DatasetCardData(pretty_name="People", license="odbl", configs=[
        {"config_name": "d", "data_files": [{"split": "train", "path": ["people.csv"]}]}])
    (work / "THEIRS.md").write_text(f"---\n{data.to_yaml()}\n---\n\n# People\n")
    done = gauntlet("data", "manifest", "--from", "THEIRS.md", cwd=work)
    assert 'spdx: "ODbL-1.0"' in done.stdout and "unverifiable: people.csv" in done.stderr, done.stdout + done.stderr
    assert "sha256: FILL-IN" in done.stdout
    print("  ours reads a card of huggingface_hub and calls its files unverifiable")


def dvc(work):
    tool = Path(sys.executable).parent / "dvc"
    run("git", "init", "-q", ".", cwd=work)
    run(tool, "init", "-q", cwd=work)
    run(tool, "config", "core.analytics", "false", cwd=work)
    (work / "d" / "sub").mkdir(parents=True)
    (work / "d" / "x.csv").write_bytes(b"a,b\r\n1,2\r\n")
    (work / "d" / "sub" / "ü \"q\".txt").write_text("z")
    (work / "d" / "sub-1").write_text("q")
    (work / "people.csv").write_text(ROWS)
    run(tool, "add", "-q", "d", "people.csv", cwd=work)
    for file in ("d.dvc", "people.csv.dvc"):
        done = gauntlet("data", "manifest", "--from", file, cwd=work)
        assert "weak: " in done.stderr and "FILL-IN" in done.stdout, done.stderr
    (work / "people.csv.dvc").unlink()
    manifest(work)
    gauntlet("data", "manifest", "people.manifest.yaml", "--to", "dvc", "-o", "people.csv.dvc", cwd=work)
    said = run(tool, "status", "people.csv.dvc", "--json", cwd=work)
    assert json.loads(said) == {}, said
    print("  DVC finds our file up to date; ours finds its files and folders as they were")
    flip(work / "people.csv")
    said = run(tool, "status", "people.csv.dvc", "--json", cwd=work)
    assert json.loads(said) != {}, said
    gauntlet("data", "manifest", "--from", "people.csv.dvc", cwd=work, expect=1)
    (work / "d" / "sub-1").write_text("r")
    gauntlet("data", "manifest", "--from", "d.dvc", cwd=work, expect=1)
    # As DVC 2 wrote it: no `hash`, and CRLF of texts hashed as LF.
    from dvc_data.hashfile.hash import file_md5
    from dvc_objects.fs import LocalFileSystem

    crlf = work / "crlf.csv"
    crlf.write_bytes(b"a,b\r\n" + b"1,2\r\n" * 300_000)
    old = file_md5(str(crlf), LocalFileSystem(), name="md5-dos2unix")
    (work / "crlf.csv.dvc").write_text(f"outs:\n- md5: {old}\n  size: {crlf.stat().st_size}\n  path: crlf.csv\n")
    gauntlet("data", "manifest", "--from", "crlf.csv.dvc", cwd=work)
    (work / "crlf.csv.dvc").write_text(f"outs:\n- md5: {old}\n  size: {crlf.stat().st_size}\n  hash: md5\n  path: crlf.csv\n")
    gauntlet("data", "manifest", "--from", "crlf.csv.dvc", cwd=work, expect=1)
    print("  changed files, changed folders and the old rule of line ends are told apart as by DVC")


def declared(work):
    """Rules that a definition of columns gives against the table."""
    import mlflow
    import pandas as pd
    from google.protobuf import text_format
    from mlflow.models import Model, infer_signature
    from tensorflow_metadata.proto.v0 import schema_pb2

    (work / "people.csv").write_text(ROWS)
    manifest(work)

    def rules(schema, expect):
        args = ("data", "manifest", "people.csv", "--check", "people.manifest.yaml", "--at", AT, "--schema", schema)
        report = json.loads(gauntlet(*args, "--format", "json", cwd=work, expect=expect).stdout)
        return sorted({f["rule"].rsplit("/", 1)[1] for r in report["reports"] for f in r["findings"]})

    table = pd.read_csv(work / "people.csv")
    signature = infer_signature(table[["id", "age", "plan"]], table[["churn"]])
    Model(signature=signature).save(str(work / "MLmodel"))
    assert rules("MLmodel", 0) == []
    Model(signature=infer_signature(table.rename(columns={"age": "income"}), table[["churn"]])).save(str(work / "MLmodel"))
    assert rules("MLmodel", 1) == ["schema-mismatch"]
    print(f"  MLflow {mlflow.__version__}: a signature that fits, and one that does not")

    schema = schema_pb2.Schema()
    for name in ("id", "age"):
        feature = schema.feature.add(name=name, type=schema_pb2.INT)
        feature.presence.min_fraction = 1.0
        if name == "age":
            feature.annotation.tag.append("classification:personal")
    (work / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    assert rules("schema.pbtxt", 0) == ["weaker-class"]
    schema.feature.add(name="income", type=schema_pb2.FLOAT).presence.min_fraction = 1.0
    (work / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    assert rules("schema.pbtxt", 1) == ["schema-mismatch", "weaker-class"]
    print("  TFX: a schema printed by protobuf's own text format, fitting and not")

    run(Path(sys.executable).parent / "feast", "init", "repo", cwd=work)
    found = rules("repo/feature_repo", 1)
    assert found == ["schema-mismatch"], found
    print("  Feast: its own template is read without running it, and does not fit our table")


def truth_of_tables(work):
    """Rows with secrets and personal data in one text column, against what was injected."""
    run(sys.executable, REPO / "corpus" / "make_tables.py", "--out", work, "--rows", "100000", "--seed", "2",
        "--faults", "pii,secrets", "--name", "t", cwd=work)
    truth = json.loads((work / "t.truth.json").read_text())["faults"]
    counts, rows = scan(work, "t.parquet")
    want = truth["pii"]["detail"]
    for kind, metric in {"email": "email", "phone": "phone", "card": "card", "iban": "iban", "ip": "ip"}.items():
        got = counts.get((f"{metric}-share", "notes"), 0) * rows
        report(f"make_tables {kind}", got, want[kind])
    report("make_tables secrets", sum(n for (kind, _), n in counts.items() if kind == "secret"), truth["secrets"]["count"])


def truth_of_pii(work):
    run(sys.executable, REPO / "corpus" / "make_pii.py", work / "p.csv", work / "labels.csv", "--rows", "20000", cwd=work)
    wanted = {}
    with open(work / "labels.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["label"] == "1":
                key = (row["type"], row["column"])
                wanted[key] = wanted.get(key, 0) + 1
    counts, _ = scan(work, "p.csv")
    with open(work / "p.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    metric = {"email": "email", "phone": "phone", "card": "card", "iban": "iban", "ssn": "national-id", "nhs": "national-id",
              "passport": "passport", "ip": "ip", "crypto": "crypto-address"}
    merged = {}
    for (kind, column), n in wanted.items():
        if kind in metric:
            merged[(metric[kind], column)] = merged.get((metric[kind], column), 0) + n
    for (kind, column), want in sorted(merged.items()):
        values = sum(1 for row in table if row[column] != "")
        report(f"make_pii {kind} in {column}", counts.get((f"{kind}-share", column), 0) * values, want)
    for (name, column), value in counts.items():
        if name.endswith("-share") and (name.removesuffix("-share"), column) not in merged and value > 0:
            sys.exit(f"make_pii: {name} in {column} was found, and there is none")
    secrets = sum(n for (kind, _), n in counts.items() if kind == "secret")
    report("make_pii credentials", secrets, sum(n for (kind, _), n in wanted.items() if kind == "key"))


def scan(work, data):
    """Shares by kind and column, rows with secrets, and the rows of the table."""
    (work / "gauntlet.yaml").write_text(
        f"version: 1\nproject: p\nkind: tabular\nrisk: minimal\nenvironments: {{local: {{}}}}\ndatasets: {{t: {{path: {data}}}}}\n")
    env = {**os.environ, "GAUNTLET_CONFIG_DIR": str(work / ".config")}
    done = subprocess.run([PROGRAM, "run", "--stage", "data", "--format", "json", "--quiet", work], env=env, capture_output=True, text=True)
    result = json.loads(done.stdout)
    counts = {}
    rows = 0
    for entry in result["reports"]:
        for metric in entry["metrics"]:
            counts[(metric["name"], metric["field"])] = metric["value"]
        if entry["check"] == "data/secrets":
            for finding in entry["findings"]:
                hits = int(finding["message"].split(" in ", 1)[1].split(" of ", 1)[0].replace(",", ""))
                counts[("secret", finding["message"])] = hits
                rows = int(finding["message"].split(" of ", 1)[1].split(" ", 1)[0].replace(",", ""))
    return counts, rows


def report(what, got, want):
    got = round(got)
    # Every wrong hit and every miss moves the count: their difference bounds both from below, silence of decoys is asked above.
    low = min(got, want) / max(got, want, 1)
    print(f"  {what}: {got} rows found, {want} there")
    if low < 0.95:
        sys.exit(f"{what}: fewer than 95 % agree")


def main():
    for title, job in [
        ("Croissant", croissant), ("Hugging Face", hub), ("DVC", dvc), ("definitions of columns", declared),
        ("personal data and secrets of make_tables", truth_of_tables), ("personal data of make_pii", truth_of_pii),
    ]:
        print(title)
        with tempfile.TemporaryDirectory() as folder:
            job(Path(folder))
    print("all agree")


if __name__ == "__main__":
    main()
