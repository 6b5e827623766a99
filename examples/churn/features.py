"""The model's input columns, in order: what train.py and evaluate.py must agree on.

Left out on purpose: who the customer is (customer_id, notes), consent, and gender and country, which should not decide.
"""
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

NUMBERS = [
    "age",
    "tenure_months",
    "monthly_charge",
    "total_charges",
    "data_gb",
    "calls",
    "tickets",
    "late_payments",
    "nps",
    "session_minutes",
]
PLANS = ["basic", "plus", "pro", "family"]
NAMES = [*NUMBERS, "auto_pay", *(f"plan_{plan}" for plan in PLANS)]

# A customer who was never asked gets the middle answer.
NPS_WHEN_UNKNOWN = 7.0


def load(path):
    """The features (float32, N x 15, unscaled) and the labels of a customer table."""
    table = pq.read_table(path)
    table = table.set_column(table.schema.get_field_index("nps"), "nps", pc.fill_null(table["nps"], NPS_WHEN_UNKNOWN))
    columns = [table[name].to_numpy() for name in [*NUMBERS, "auto_pay"]]
    plan = table["plan"].to_numpy(zero_copy_only=False)
    columns += [plan == name for name in PLANS]
    return np.column_stack(columns).astype(np.float32), table["churn"].to_numpy()
