#!/usr/bin/env python3
"""Imported contracts against the tools that they come from: one verdict and the same failing counts for every rule.

    python3 tests/interop/contract.py PROGRAM

Needs great_expectations 1.x, pandera, pandas, pyarrow and numpy. Tables with known faults are made by
corpus/make_tables.py. Compared are a suite in the 1.x and the 0.x shape and a schema as Pandera's to_yaml and to_json write it.
"""
import contextlib, io, json, pathlib, subprocess, sys, tempfile, warnings

warnings.filterwarnings("ignore")
import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
import pandera.pandas as pa
import pyarrow.parquet as pq

program = sys.argv[1]
root = pathlib.Path(__file__).resolve().parents[2]
FAULTS = "nulls,age_range,label_flip,pii,secrets,duplicates,near_dups,consent,outliers,shift"
PLANS, COUNTRIES = ["basic", "plus", "pro", "family"], ["DE", "FR", "GB", "PL", "ES", "IT", "NL", "SE", "AT", "CZ", "RO", "PT"]
failures = []


def expectations():
    """Name of our rule (column and key, or our own count) to the expectation."""
    return [
        ("age.range", gxe.ExpectColumnValuesToBeBetween(column="age", min_value=18, max_value=90)),
        ("monthly_charge.exclusive_range", gxe.ExpectColumnValuesToBeBetween(column="monthly_charge", min_value=10, max_value=75, strict_min=True, strict_max=True)),
        ("age.nullable", gxe.ExpectColumnValuesToNotBeNull(column="age", mostly=0.98)),
        ("plan.nullable", gxe.ExpectColumnValuesToNotBeNull(column="plan", mostly=0.9)),
        ("consent.nullable", gxe.ExpectColumnValuesToNotBeNull(column="consent")),
        ("customer_id.nullable", gxe.ExpectColumnValuesToNotBeNull(column="customer_id")),
        ("customer_id.unique", gxe.ExpectColumnValuesToBeUnique(column="customer_id")),
        ("plan.allowed", gxe.ExpectColumnValuesToBeInSet(column="plan", value_set=PLANS[:3])),
        ("country.allowed", gxe.ExpectColumnValuesToBeInSet(column="country", value_set=COUNTRIES)),
        ("device.forbidden", gxe.ExpectColumnValuesToNotBeInSet(column="device", value_set=["settop"], mostly=0.9)),
        ("notes.contains", gxe.ExpectColumnValuesToMatchRegex(column="notes", regex="^[a-z ]+$", mostly=0.9)),
        ("notes.not_contains", gxe.ExpectColumnValuesToNotMatchRegex(column="notes", regex="@example")),
        ("gender.length", gxe.ExpectColumnValueLengthsToEqual(column="gender", value=1)),
        ("notes.length", gxe.ExpectColumnValueLengthsToBeBetween(column="notes", min_value=20, max_value=60)),
        ("total_charges.mean", gxe.ExpectColumnMeanToBeBetween(column="total_charges", min_value=1, max_value=1000)),
        ("total_charges.max", gxe.ExpectColumnMaxToBeBetween(column="total_charges", max_value=10000)),
        ("data_gb.stdev", gxe.ExpectColumnStdevToBeBetween(column="data_gb", min_value=5, max_value=20)),
        ("calls.sum", gxe.ExpectColumnSumToBeBetween(column="calls", min_value=1)),
        ("session_minutes.quantiles", gxe.ExpectColumnMedianToBeBetween(column="session_minutes", min_value=50, max_value=65)),
        ("country.distinct", gxe.ExpectColumnUniqueValueCountToBeBetween(column="country", min_value=12, max_value=12)),
        ("late_payments.monotone", gxe.ExpectColumnValuesToBeIncreasing(column="tenure_months", mostly=0.4)),
        ("pair", gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="total_charges", column_B="monthly_charge", or_equal=True, mostly=0.9)),
        ("compound", gxe.ExpectCompoundColumnsToBeUnique(column_list=["customer_id", "signup_date"])),
        ("when", gxe.ExpectColumnValuesToBeBetween(column="tickets", max_value=3, row_condition='device=="ios"', condition_parser="pandas")),
        ("rows", gxe.ExpectTableRowCountToBeBetween(min_value=1, max_value=10_000_000)),
        ("columns", gxe.ExpectTableColumnCountToEqual(value=20)),
    ]


def run(*arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"{arguments}: exit {done.returncode}: {done.stderr}")
    return done


def ours(work, contract_text, table):
    contract, results = work / "contract.yaml", work / "results.json"
    contract.write_text(contract_text)
    done = run("data", "contract", table, "--contract", contract, "--results", results, "--format", "json")
    report = json.loads(done.stdout)["reports"][0]
    return done.returncode, json.loads(results.read_text())["rules"], report


def same(what, here, there):
    if here != there:
        failures.append(f"{what}: here {here}, there {there}")


def great_expectations(work, table, frame):
    batch = gx.get_context(mode="ephemeral").data_sources.add_pandas("p").add_dataframe_asset("t").add_batch_definition_whole_dataframe("b").get_batch({"dataframe": frame})
    for name, expectation in expectations():
        # A contract names at least one column.
        suite = gx.ExpectationSuite(name="churn", expectations=[gxe.ExpectColumnToExist(column="customer_id"), expectation])
        newer = suite.to_json_dict()
        older = {"expectation_suite_name": "churn", "expectations": [
            {"expectation_type": e["type"], "kwargs": e["kwargs"], "meta": {}} for e in newer["expectations"]]}
        texts = []
        for shape, document in (("1.x", newer), ("0.x", older)):
            file = work / "suite.json"
            file.write_text(json.dumps(document))
            done = run("data", "contract", "--import", file)
            if "not translated" in done.stderr:
                failures.append(f"{name} ({shape}): {done.stderr}")
            texts.append(done.stdout)
        if texts[0].replace("severity: warn", "") != texts[1]:
            failures.append(f"{name}: the shapes give different contracts:\n{texts[0]}\n{texts[1]}")
        code, rules, _ = ours(work, texts[0], table)
        with contextlib.redirect_stderr(io.StringIO()):  # progress bars
            there = batch.validate(expectation, result_format="COMPLETE")
        same(f"{name}: passes", code == 0, bool(there.success))
        result = there.result
        if "unexpected_count" in result and rules:
            rule = rules[-1]
            same(f"{name}: failing", rule["failing"], result["unexpected_count"])
            if name.endswith(".nullable"):
                same(f"{name}: judged", rule["evaluated"], result["element_count"])
            elif name not in ("pair", "compound", "late_payments.monotone"):
                same(f"{name}: judged", rule["evaluated"], result["element_count"] - result.get("missing_count", 0))
        elif rules and rules[-1].get("measured", {}).get("value") is not None:
            value, other = rules[-1]["measured"]["value"], float(result["observed_value"])
            if abs(value - other) > 1e-9 * max(1.0, abs(other)):
                failures.append(f"{name}: here {value!r}, there {other!r}")


def schema():
    check = pa.Check
    return pa.DataFrameSchema({
        "customer_id": pa.Column("int64", unique=True),
        "age": pa.Column("float64", check.in_range(18, 90), nullable=False, coerce=True),
        "gender": pa.Column(str, [check.isin(["f", "m", "x"]), check.str_length(1, 1)]),
        "plan": pa.Column(str, [check.isin(PLANS[:2]), check.notin(["pro"])], nullable=True),
        "monthly_charge": pa.Column("float64", [check.gt(10), check.le(75)], nullable=True),
        "total_charges": pa.Column("float64", check.lt(20000)),
        "notes": pa.Column(str, [check.str_matches("[a-z ]+$"), check.str_contains("a"), check.str_startswith("a")]),
        "consent": pa.Column(str, check.ne("withdrawn"), nullable=False),
        "device": pa.Column(str, check.str_endswith("s")),
        "calls": pa.Column("int32", check.in_range(0, 20, include_min=True, include_max=False)),
        "tickets": pa.Column("int32", check.ge(0)),
    })


# The name of a check in Pandera's failure cases to the key of our rule.
KEYS = {"not_nullable": "nullable", "field_uniqueness": "unique", "isin": "allowed", "notin": "forbidden", "str_length": "length",
        "greater_than": "exclusive_range", "less_than": "exclusive_range", "less_than_or_equal_to": "range", "greater_than_or_equal_to": "range",
        "str_matches": "contains", "str_contains": "contains", "str_startswith": "expression", "str_endswith": "expression", "not_equal_to": "forbidden"}


def pandera(work, table, frame):
    expected = {}
    try:
        schema().validate(frame, lazy=True)
        passes = True
    except pa.errors.SchemaErrors as error:
        passes = False
        for (column, check), cases in error.failure_cases.groupby(["column", "check"]):
            expected[(column, str(check).split("(")[0])] = len(cases)
    if not expected:
        sys.exit("the table breaks no check of the schema: nothing was compared")
    texts = []
    for name, text in (("schema.yaml", schema().to_yaml()), ("schema.json", schema().to_json())):
        file = work / name
        file.write_text(text)
        done = run("data", "contract", "--import", file)
        if "not translated" in done.stderr:
            failures.append(f"{name}: {done.stderr}")
        texts.append(done.stdout)
    same("pandera: YAML and JSON", texts[0], texts[1])
    # The whole schema has one verdict; its columns were converted there, which a file never is here.
    text = texts[0].replace('"age": {type: float, nullable', '"age": {nullable')
    code, rules, _ = ours(work, text, table)
    same("pandera: passes", code == 0, passes)
    counts = {}
    for rule in rules:
        if rule["failing"]:
            counts.setdefault(rule["rule"], []).append(rule["failing"])
    wanted = {}
    for (column, check), count in expected.items():
        key = "expression" if check == "in_range" and column == "calls" else KEYS.get(check, "range")
        wanted.setdefault(key, []).append(count)
    for key in sorted(set(counts) | set(wanted)):
        same(f"pandera: {key}", sorted(counts.get(key, [])), sorted(wanted.get(key, [])))


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for name, faults in (("clean", "none"), ("faulty", FAULTS)):
            subprocess.run([sys.executable, root / "corpus/make_tables.py", "--out", work, "--rows", "20000", "--seed", "3",
                            "--faults", faults, "--name", name], check=True)
            table = work / f"{name}.parquet"
            frame = pq.read_table(table).to_pandas()
            before = len(failures)
            great_expectations(work, table, frame)
            if name == "faulty":
                pandera(work, table, frame)
            print(f"{name}: {len(expectations())} expectations compared, {len(failures) - before} differ")
    for failure in failures:
        print(failure, file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
