#!/usr/bin/env python3
"""Holds our bills of materials against the official schemas of CycloneDX (1.5, 1.6, 1.7, strict) and the SPDX 3.0.1 model.

Usage: bom.py PROGRAM. Needs the packages cyclonedx-python-lib[json-validation] and spdx-python-model.
"""

import copy
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_python_model import v3_0_1 as spdx

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSIONS = {"1.5": SchemaVersion.V1_5, "1.6": SchemaVersion.V1_6, "1.7": SchemaVersion.V1_7}
REAL = [
    "testdata/real/hf/bert",
    "testdata/real/gguf/q4_0.gguf",
    "testdata/real/onnx",
    "testdata/real/safetensors",
    "testdata/real/keras/functional.keras",
    "testdata/real/lightgbm/regressor.txt",
    "testdata/real/tflite",
    "testdata/real/xgboost",
]
PROVENANCE = {
    "buildDefinition": {
        "buildType": "https://builds.example/training/v1",
        "externalParameters": {"command": ["python3", "train.py"], "seed": 7, "note": "a | b"},
        "resolvedDependencies": [
            {"uri": "pkg:pypi/numpy@2.1.0", "digest": {"sha256": "11" * 32}},
            {"uri": "git+https://code.example/churn@" + "ab" * 20, "digest": {"gitCommit": "ab" * 20}},
        ],
    },
    "runDetails": {
        "builder": {"id": "https://builds.example/runner"},
        "metadata": {
            "invocationId": "run-17",
            "startedOn": "2026-01-01T00:00:00Z",
            "finishedOn": "2026-01-01T00:10:00Z",
        },
    },
}
VULNERABILITIES = {
    "scanner": {
        "uri": "pkg:pypi/pip-audit@2.9.0",
        "db": {"lastUpdate": "2026-01-01T00:00:00Z"},
        "result": [
            {"id": "CVE-2026-0001", "severity": [{"method": "cvss", "score": "5.2"}, {"method": "nvd", "score": "Medium"}]},
            {"id": "PYSEC-2026-1", "severity": [{"method": "own", "score": "likely"}]},
        ],
    },
    "metadata": {"scanStartedOn": "2026-01-02T00:00:00Z", "scanFinishedOn": "2026-01-02T00:00:01Z"},
}

# A card with something in every place that a document has for cards.
CARD = """---
license: llama3
language: [en, no]
pipeline_tag: tabular-classification
base_model: example-org/base-model
datasets: [imdb]
model-index:
- name: churn
  results:
  - task: {type: tabular-classification}
    dataset: {name: held-out, type: held-out}
    metrics:
    - {type: accuracy, value: 0.8741, args: {low: 0.85, high: 0.9}}
    - {type: auc, value: "0.8971"}
gauntlet:
  approach: supervised
  energy: {kwh: 0.5, activity: training}
  risk_score: {value: 3.5, formula: f, version: "1", evidence: ["sha256:%s"]}
---
# churn

## Intended use
Calling customers | before they leave.
## Out-of-Scope Use
Deciding alone.
## Bias, Risks, and Limitations
Synthetic customers.
## Ethical considerations
None of them exists.
## Known vulnerabilities
Small changes move the answer.
## Mitigations
A person decides.
""" % ("ab" * 32)


def main(program: str) -> None:
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        os.environ["GAUNTLET_CONFIG_DIR"] = str(work / "config")
        churn = work / "churn"
        shutil.copytree(ROOT / "examples/churn", churn, ignore=shutil.ignore_patterns(".gauntlet"))
        run(program, "run", str(churn), allowed=(0, 1))
        predicate = work / "provenance.json"
        predicate.write_text(json.dumps(PROVENANCE))
        model = churn / "models/churn.onnx"
        kind = "https://slsa.dev/provenance/v1"
        run(program, "attest", str(model), "--predicate", str(predicate), "--type", kind, "-C", str(churn))
        report = work / "vulns.json"
        report.write_text(json.dumps(VULNERABILITIES))
        run(program, "attest", str(model), "--vulns", str(report), "-C", str(churn))
        subjects = [(model, ["--requirements", str(churn / "requirements.txt"), "--model-version", "1.0"])]
        card = work / "CARD.md"
        card.write_text(CARD)
        subjects.append((model, ["--card", str(card), "--purl", "pkg:generic/churn@1.0"]))
        subjects += [(ROOT / path, []) for path in REAL]
        for path, options in subjects:
            for version in VERSIONS:
                cyclonedx(program, path, version, options)
            spdx_document(program, path, options)
        print(f"{len(subjects)} models, {len(VERSIONS)} releases of CycloneDX and SPDX 3.0.1: valid, broken twins refused")


def run(program: str, *arguments: str, allowed=(0,)) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        sys.exit(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def cyclonedx(program: str, path: pathlib.Path, version: str, options: list) -> None:
    text = run(program, "bom", str(path), "--spec", version, "--at", "2026-01-02", *options)
    validator = JsonStrictValidator(VERSIONS[version])
    error = validator.validate_str(text)
    if error is not None:
        sys.exit(f"{path}, {version}: {error}")
    document = json.loads(text)
    if document["specVersion"] != version or document["metadata"]["component"]["type"] != "machine-learning-model":
        sys.exit(f"{path}, {version}: not a document about a model")
    again = run(program, "bom", str(path), "--spec", version, "--at", "2026-01-02", *options)
    if again != text:
        sys.exit(f"{path}, {version}: the second document differs from the first")
    # A schema that accepts everything would prove nothing.
    for break_it in (
        lambda d: d["metadata"]["component"].update(type="neural-network"),
        lambda d: d.update(serialNumber="urn:uuid:1"),
        lambda d: d["metadata"]["component"].update(surprise=1),
    ):
        broken = copy.deepcopy(document)
        break_it(broken)
        if validator.validate_str(json.dumps(broken)) is None:
            sys.exit(f"{path}, {version}: the validator accepts a broken twin")


def spdx_document(program: str, path: pathlib.Path, options: list) -> None:
    text = run(program, "bom", str(path), "--format", "spdx", "--at", "2026-01-02", *options)
    problem, found = read_spdx(text)
    if problem:
        sys.exit(f"{path}: {problem}")
    models = [element for element in found.foreach_type(spdx.ai_AIPackage)]
    if not models or not list(found.foreach_type(spdx.SpdxDocument)):
        sys.exit(f"{path}: no AI package, or no document")
    for old, new in (
        ('"relationshipType": "contains"', '"relationshipType": "holds"'),
        ('"software_primaryPurpose": "model"', '"software_primaryPurpose": "brain"'),
        ('"ai_useSensitivePersonalInformation"', '"ai_usePersonalSecrets"'),
    ):
        if old not in text:
            sys.exit(f"{path}: {old} is not in the document")
        if not read_spdx(text.replace(old, new))[0]:
            sys.exit(f"{path}: the reader accepts {new}")


def read_spdx(text: str):
    """The problem, or an empty text and the elements."""
    found = spdx.SHACLObjectSet()
    try:
        spdx.JSONLDDeserializer().read(io.BytesIO(text.encode()), found)
        missing = found.link()
        # Writing enforces what an element must have.
        spdx.JSONLDSerializer().write(found, io.BytesIO())
    except Exception as error:  # the library raises many types
        return f"{type(error).__name__}: {error}", None
    names = {str(name) for name in missing if not str(name).startswith("https://spdx.org/")}
    return (f"names nothing: {sorted(names)[:3]}" if names else ""), found


if __name__ == "__main__":
    main(sys.argv[1])
