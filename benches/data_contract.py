#!/usr/bin/env python3
"""Measures a contract of 20 rules over the churn table against Pandera (Polars) and Great Expectations.

    benches/data_contract.py [--gauntlet PROGRAM] [--tables DIR] [--rows 1000000] [--python PYTHON] [--peers pandera,gx] [--runs 3]

Makes DIR/t<millions>m.parquet with corpus/make_tables.py when it is not there. PYTHON has numpy, pyarrow, pandas, pandera[polars] and
great_expectations. Prints CPU seconds (user and system), wall seconds and peak memory of each process: the median of the runs.
"""
import argparse, os, pathlib, statistics, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[1]
FAULTS = "nulls,age_range,label_flip,pii,secrets,duplicates,near_dups,consent,outliers,shift"
CONTRACT = """contract: 1
extra_columns: error
columns:
  customer_id: {type: integer, nullable: false, unique: true}
  signup_date: {type: date, range: ['2016-01-01', '2026-01-01']}
  age: {type: integer, range: [18, 90], max_null_share: 0.05}
  gender: {type: string, allowed: [f, m, x]}
  country: {type: string, allowed: [DE, FR, GB, PL, ES, IT, NL, SE, AT, CZ, RO, PT]}
  plan: {type: string, allowed: [basic, plus, pro, family]}
  tenure_months: {type: integer, range: [1, 120]}
  monthly_charge: {type: float, range: [0, 100]}
  total_charges: {type: float, range: [0, 15000]}
  data_gb: {type: float, range: [0, null]}
  calls: {type: integer, range: [0, 60]}
  tickets: {type: integer, range: [0, 30]}
  late_payments: {type: integer, range: [0, 30]}
  nps: {type: float, range: [0, 10]}
  auto_pay: {type: boolean, nullable: false}
  device: {type: string, allowed: [android, ios, web, settop]}
  session_minutes: {type: float, range: [0, 1000]}
  consent: {type: string, allowed: [granted, withdrawn], max_null_share: 0.01}
  notes: {type: string, length: [5, 200]}
  churn: {type: integer, allowed: [0, 1]}
"""
PANDERA = """
import sys, polars as pl, pandera.polars as pa
C = pa.Check
S = pa.DataFrameSchema({
  "customer_id": pa.Column(pl.Int64, unique=True), "signup_date": pa.Column(pl.Date), "age": pa.Column(pl.Int32, C.in_range(18, 90), nullable=True),
  "gender": pa.Column(pl.String, C.isin(["f", "m", "x"])), "country": pa.Column(pl.String, C.isin("DE FR GB PL ES IT NL SE AT CZ RO PT".split())),
  "plan": pa.Column(pl.String, C.isin(["basic", "plus", "pro", "family"]), nullable=True), "tenure_months": pa.Column(pl.Int32, C.in_range(1, 120)),
  "monthly_charge": pa.Column(pl.Float64, C.in_range(0, 100), nullable=True), "total_charges": pa.Column(pl.Float64, C.in_range(0, 15000)),
  "data_gb": pa.Column(pl.Float64, C.ge(0)), "calls": pa.Column(pl.Int32, C.in_range(0, 60)), "tickets": pa.Column(pl.Int32, C.in_range(0, 30)),
  "late_payments": pa.Column(pl.Int32, C.in_range(0, 30)), "nps": pa.Column(pl.Float32, C.in_range(0, 10), nullable=True), "auto_pay": pa.Column(pl.Boolean),
  "device": pa.Column(pl.String, C.isin(["android", "ios", "web", "settop"])), "session_minutes": pa.Column(pl.Float64, C.in_range(0, 1000)),
  "consent": pa.Column(pl.String, C.isin(["granted", "withdrawn"]), nullable=True), "notes": pa.Column(pl.String, C.str_length(5, 200)),
  "churn": pa.Column(pl.Int8, C.isin([0, 1]))}, strict=True)
try:
    S.validate(pl.read_parquet(sys.argv[1]), lazy=True)
except pa.errors.SchemaErrors as error:
    print(len(error.failure_cases), "failure cases")
"""
GX = """
import sys, pandas as pd, great_expectations as gx, great_expectations.expectations as e
frame = pd.read_parquet(sys.argv[1])
B, S = e.ExpectColumnValuesToBeBetween, e.ExpectColumnValuesToBeInSet
suite = gx.ExpectationSuite(name="s", expectations=[e.ExpectColumnValuesToBeUnique(column="customer_id"), e.ExpectColumnValuesToNotBeNull(column="customer_id"),
  B(column="age", min_value=18, max_value=90), S(column="gender", value_set=["f", "m", "x"]), S(column="country", value_set="DE FR GB PL ES IT NL SE AT CZ RO PT".split()),
  S(column="plan", value_set=["basic", "plus", "pro", "family"]), B(column="tenure_months", min_value=1, max_value=120), B(column="monthly_charge", min_value=0, max_value=100),
  B(column="total_charges", min_value=0, max_value=15000), B(column="data_gb", min_value=0), B(column="calls", min_value=0, max_value=60), B(column="tickets", min_value=0, max_value=30),
  B(column="late_payments", min_value=0, max_value=30), B(column="nps", min_value=0, max_value=10), e.ExpectColumnValuesToNotBeNull(column="auto_pay"),
  S(column="device", value_set=["android", "ios", "web", "settop"]), B(column="session_minutes", min_value=0, max_value=1000), S(column="consent", value_set=["granted", "withdrawn"]),
  e.ExpectColumnValueLengthsToBeBetween(column="notes", min_value=5, max_value=200), S(column="churn", value_set=[0, 1])])
context = gx.get_context(mode="ephemeral")
batch = context.data_sources.add_pandas("p").add_dataframe_asset("t").add_batch_definition_whole_dataframe("b").get_batch({"dataframe": frame})
print(batch.validate(suite, result_format="SUMMARY").success)
"""


def measure(name, command, runs):
    rows = []
    for _ in range(runs):
        started = time.perf_counter()
        # In a process of its own, so that its peak memory is its own.
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        error = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code not in (0, 1):
            sys.exit(f"{name}: exit {code}: {error.decode()[-500:]}")
        rows.append((usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / 1024))
    cpu, wall, memory = (statistics.median(column) for column in zip(*rows))
    print(f"{name:32} {cpu:8.2f} CPU-s {wall:8.2f} s {memory:8.0f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gauntlet", default="target/release/gauntlet")
    parser.add_argument("--tables", default=os.path.expanduser("~/.cache/gauntlet/bench/tables"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--peers", default="pandera,gx")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    tables = pathlib.Path(given.tables)
    name = f"t{given.rows // 1_000_000}m"
    table = tables / f"{name}.parquet"
    if not table.exists():
        subprocess.run([given.python, ROOT / "corpus/make_tables.py", "--out", tables, "--name", name, "--rows", str(given.rows), "--seed", "2", "--faults", FAULTS], check=True)
    with tempfile.TemporaryDirectory() as work:
        contract = pathlib.Path(work) / "contract.yaml"
        contract.write_text(CONTRACT)
        measure(f"gauntlet, {given.rows} rows", [os.path.abspath(given.gauntlet), "data", "contract", table, "--contract", contract, "--quiet"], given.runs)
        for peer, script in (("pandera", PANDERA), ("gx", GX)):
            if peer in given.peers.split(","):
                measure(f"{peer}, {given.rows} rows", [given.python, "-c", script, table], given.runs)


if __name__ == "__main__":
    main()
