"""Writes the joblib seeds: `python3 make_joblib.py` with joblib 1.6.0 and numpy 2.4.6 installed."""
import joblib
import numpy as np

floats = np.arange(12, dtype="<f8").reshape(3, 4)
joblib.dump({"coef_": floats, "n": 3}, "array_c.joblib")
joblib.dump({"a": np.asfortranarray(floats), "b": np.arange(5, dtype="<i2")}, "array_f_two.joblib")
joblib.dump([np.array(["x", {"k": 1}, None], dtype=object), np.float32([1, 2])], "array_objects.joblib")
joblib.dump({"s": np.zeros(3, dtype=[("a", "<f4"), ("b", "<i8")]), "u": np.array(["ab", "c"]), "e": np.zeros((0, 7))}, "array_structured_empty.joblib")
joblib.dump({"z": np.array(7.5), "t": np.array(["2024-01-01"], dtype="M8[D]"), "m": np.ones((2, 2), bool)}, "array_scalar_time_bool.joblib")
joblib.dump({"coef_": floats}, "array_proto2.joblib", protocol=2)
joblib.dump({"coef_": floats}, "array_proto0.joblib", protocol=0)
