"""Gradient boosting libraries: native formats, pickle, joblib and exports."""
import pickle

from . import writer
from .estimators import data


@writer("xgboost", "xgboost", "scikit-learn", "joblib")
def xgboost_files(out):
    import joblib
    import numpy as np
    import xgboost as xgb

    x, y, t = data()
    models = {"classifier": xgb.XGBClassifier(n_estimators=4, max_depth=3).fit(x, y), "regressor": xgb.XGBRegressor(n_estimators=3, max_depth=2).fit(x, t), "ranker": xgb.XGBRanker(n_estimators=2).fit(x, y, qid=np.repeat(range(6), 10)),
              "forest": xgb.XGBRFClassifier(n_estimators=3).fit(x, y), "linear": xgb.XGBRegressor(booster="gblinear", n_estimators=3).fit(x, t), "dart": xgb.XGBRegressor(booster="dart", n_estimators=3).fit(x, t)}
    for name, model in models.items():
        for ending in ("json", "ubj"):
            model.save_model(out.file(f"xgboost/{name}.{ending}", "xgboost", f"save_model, {name}"))
        out.put(f"xgboost/{name}.pkl", pickle.dumps(model), "pickle", f"xgboost {name} by pickle")
        joblib.dump(model, out.file(f"xgboost/{name}.joblib", "joblib", f"xgboost {name} by joblib"))
    booster = models["classifier"].get_booster()
    booster.feature_names = ["a", "b", "c", "d"]
    booster.set_attr(best_iteration="3")
    out.put("xgboost/booster.pkl", pickle.dumps(booster), "pickle", "Booster by pickle")
    out.put("xgboost/raw.ubj", bytes(booster.save_raw("ubj")), "xgboost", "save_raw ubj")
    out.put("xgboost/raw.json", bytes(booster.save_raw("json")), "xgboost", "save_raw json")
    booster.dump_model(out.file("xgboost/dump.txt", "raw", "dump_model, text"))
    for ending in ("model", "deprecated"):
        try:
            out.put(f"xgboost/old.{ending}", bytes(booster.save_raw("deprecated")), "xgboost", "the old binary format")
        except Exception:  # dropped in newer versions
            out.drop(f"xgboost/old.{ending}")


@writer("lightgbm", "lightgbm", "scikit-learn", "joblib")
def lightgbm_files(out):
    import joblib
    import lightgbm as lgb
    import pandas as pd

    x, y, t = data()
    frame = pd.DataFrame({"age": x[:, 0], "size": x[:, 1], "kind": pd.Categorical(["u", "v", "w"] * 20)})
    models = {"classifier": lgb.LGBMClassifier(n_estimators=4, num_leaves=4, verbose=-1).fit(x, y), "regressor": lgb.LGBMRegressor(n_estimators=3, num_leaves=4, verbose=-1).fit(x, t),
              "linear_tree": lgb.LGBMRegressor(n_estimators=2, linear_tree=True, verbose=-1).fit(x, t), "categorical": lgb.LGBMClassifier(n_estimators=2, num_leaves=4, min_child_samples=2, verbose=-1).fit(frame, y)}
    for name, model in models.items():
        model.booster_.save_model(out.file(f"lightgbm/{name}.txt", "lightgbm", f"save_model, {name}"))
        out.put(f"lightgbm/{name}.pkl", pickle.dumps(model), "pickle", f"lightgbm {name} by pickle")
        joblib.dump(model, out.file(f"lightgbm/{name}.joblib", "joblib", f"lightgbm {name} by joblib"))
    out.put("lightgbm/booster.pkl", pickle.dumps(models["classifier"].booster_), "pickle", "lightgbm Booster by pickle")
    import json
    out.put("lightgbm/dump.json", json.dumps(models["classifier"].booster_.dump_model()), "raw", "dump_model")


@writer("catboost", "catboost", "joblib")
def catboost_files(out):
    import joblib
    import pandas as pd
    from catboost import CatBoostClassifier, CatBoostRegressor

    x, y, t = data()
    quiet = dict(iterations=4, depth=3, verbose=False, allow_writing_files=False, thread_count=1)
    frame = pd.DataFrame({"a": x[:, 0], "k": ["u", "v", "w"] * 20})
    models = {"classifier": CatBoostClassifier(**quiet).fit(x, y), "regressor": CatBoostRegressor(**quiet).fit(x, t)}
    for name, model in models.items():
        for ending in ("cbm", "json", "onnx", "cpp", "pmml"):
            family = {"cbm": "catboost", "json": "catboost", "onnx": "onnx", "cpp": "raw", "pmml": "pmml"}[ending]
            model.save_model(out.file(f"catboost/{name}.{ending}", family, f"save_model({ending}), {name}"), format=ending)
        out.put(f"catboost/{name}.pkl", pickle.dumps(model), "pickle", f"catboost {name} by pickle")
        joblib.dump(model, out.file(f"catboost/{name}.joblib", "joblib", f"catboost {name} by joblib"))
    cat = CatBoostClassifier(**quiet).fit(frame, y, cat_features=["k"])
    cat.save_model(out.file("catboost/categorical.cbm", "catboost", "categorical features"))
    cat.save_model(out.file("catboost/categorical.json", "catboost", "categorical features"), format="json")
