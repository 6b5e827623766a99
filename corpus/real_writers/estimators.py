"""scikit-learn and its neighbours: estimators by pickle, joblib and skops."""
import pickle

from . import writer


def data():
    """A small regression and classification problem, the same on each run."""
    import numpy as np

    rng = np.random.default_rng(7)
    x = rng.normal(size=(60, 4))
    return x, (x[:, 0] + x[:, 1] > 0).astype(int), x @ rng.normal(size=4)


# One constructor call a line, evaluated in `build`: what a version of scikit-learn lacks is left out.
CLASSIFIERS = """
linear_model.LogisticRegression()
linear_model.SGDClassifier()
linear_model.Perceptron()
linear_model.RidgeClassifierCV()
linear_model.PassiveAggressiveClassifier()
linear_model.LogisticRegressionCV(cv=3)
svm.SVC(probability=True)
svm.LinearSVC()
svm.NuSVC()
tree.DecisionTreeClassifier(max_depth=3)
tree.ExtraTreeClassifier(max_depth=3)
ensemble.RandomForestClassifier(5, max_depth=3)
ensemble.ExtraTreesClassifier(4, max_depth=3)
ensemble.GradientBoostingClassifier(n_estimators=4)
ensemble.HistGradientBoostingClassifier(max_iter=3)
ensemble.AdaBoostClassifier(n_estimators=3)
ensemble.BaggingClassifier(n_estimators=2)
ensemble.VotingClassifier([("a", linear_model.LogisticRegression()), ("b", naive_bayes.GaussianNB())])
ensemble.StackingClassifier([("a", tree.DecisionTreeClassifier(max_depth=2)), ("b", naive_bayes.GaussianNB())], cv=2)
neighbors.KNeighborsClassifier(3)
neighbors.KNeighborsClassifier(3, algorithm="ball_tree")
neighbors.RadiusNeighborsClassifier(9.0)
neighbors.NearestCentroid()
naive_bayes.GaussianNB()
naive_bayes.BernoulliNB()
gaussian_process.GaussianProcessClassifier()
neural_network.MLPClassifier(hidden_layer_sizes=(5, 3), max_iter=20)
neural_network.BernoulliRBM(2, n_iter=2)
discriminant_analysis.LinearDiscriminantAnalysis()
discriminant_analysis.QuadraticDiscriminantAnalysis()
dummy.DummyClassifier()
calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=2)
calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), method="isotonic", cv=2)
multiclass.OneVsRestClassifier(linear_model.LogisticRegression())
multiclass.OneVsOneClassifier(svm.LinearSVC())
multiclass.OutputCodeClassifier(linear_model.LogisticRegression())
semi_supervised.LabelPropagation()
semi_supervised.SelfTrainingClassifier(linear_model.LogisticRegression())
feature_selection.SelectKBest(feature_selection.f_classif, k=2)
feature_selection.RFE(linear_model.LogisticRegression(), n_features_to_select=2)
feature_selection.SelectFromModel(linear_model.LogisticRegression())
"""
REGRESSORS = """
linear_model.LinearRegression()
linear_model.Ridge()
linear_model.Lasso()
linear_model.ElasticNet()
linear_model.BayesianRidge()
linear_model.HuberRegressor()
linear_model.Lars()
linear_model.TheilSenRegressor(max_subpopulation=50)
linear_model.RANSACRegressor()
linear_model.QuantileRegressor()
linear_model.PoissonRegressor()
svm.SVR()
tree.DecisionTreeRegressor(max_depth=3)
ensemble.RandomForestRegressor(4, max_depth=3)
ensemble.GradientBoostingRegressor(n_estimators=3)
ensemble.HistGradientBoostingRegressor(max_iter=3, loss="poisson")
neighbors.KNeighborsRegressor()
neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=20)
gaussian_process.GaussianProcessRegressor(gaussian_process.kernels.RBF() + gaussian_process.kernels.WhiteKernel())
kernel_ridge.KernelRidge(kernel="rbf")
multioutput.MultiOutputRegressor(linear_model.Ridge())
compose.TransformedTargetRegressor(linear_model.Ridge(), func=np.log1p, inverse_func=np.expm1)
"""
OTHERS = """
cluster.KMeans(3, n_init=1)
cluster.MiniBatchKMeans(3, n_init=1)
cluster.DBSCAN()
cluster.AgglomerativeClustering(2)
cluster.MeanShift()
cluster.Birch(n_clusters=2)
cluster.HDBSCAN()
mixture.GaussianMixture(2)
mixture.BayesianGaussianMixture(n_components=2)
decomposition.PCA(2)
decomposition.TruncatedSVD(2)
decomposition.FastICA(2)
decomposition.KernelPCA(2, kernel="rbf")
decomposition.IncrementalPCA(2)
decomposition.FactorAnalysis(2)
manifold.Isomap(n_components=2)
ensemble.IsolationForest(n_estimators=5)
ensemble.RandomTreesEmbedding(4, max_depth=2)
svm.OneClassSVM()
neighbors.LocalOutlierFactor(n_neighbors=5)
neighbors.KernelDensity()
neighbors.NearestNeighbors(n_neighbors=3)
covariance.EllipticEnvelope()
covariance.LedoitWolf()
preprocessing.StandardScaler()
preprocessing.MinMaxScaler()
preprocessing.RobustScaler()
preprocessing.QuantileTransformer(n_quantiles=10)
preprocessing.PowerTransformer()
preprocessing.PolynomialFeatures(2)
preprocessing.KBinsDiscretizer(n_bins=3, encode="ordinal")
preprocessing.SplineTransformer()
preprocessing.Normalizer()
preprocessing.Binarizer()
preprocessing.FunctionTransformer(np.log1p)
impute.SimpleImputer()
impute.KNNImputer()
random_projection.GaussianRandomProjection(2)
kernel_approximation.RBFSampler(n_components=5)
kernel_approximation.Nystroem(n_components=5)
"""


def build(table, modules):
    """(class name, estimator) for each line of a table that this version knows."""
    for line in table.strip().splitlines():
        try:
            model = eval(line, modules)  # the tables above, nothing from outside
        except (AttributeError, TypeError) as error:
            print(f"  left out: {line}: {error}")
            continue
        yield type(model).__name__, model


def estimators():
    """Fitted estimators of every larger module, by name."""
    import numpy as np
    import sklearn
    from sklearn import (calibration, cluster, compose, covariance, decomposition, discriminant_analysis, dummy, ensemble,
                         feature_extraction, feature_selection, gaussian_process, impute, isotonic, kernel_approximation,
                         kernel_ridge, linear_model, manifold, mixture, model_selection, multiclass, multioutput, naive_bayes,
                         neighbors, neural_network, pipeline, preprocessing, random_projection, semi_supervised, svm, tree)
    from sklearn.metrics import make_scorer, f1_score

    x, y, t = data()
    found, modules = {}, dict(locals())

    def fit(name, model, target=y, rows=x):
        found[name] = model.fit(rows, target) if target is not None else model.fit(rows)

    for name, model in build(CLASSIFIERS, modules):
        fit(name if name not in found else name + "2", model)
    for name, model in build(REGRESSORS, modules):
        target = np.abs(t) if name.startswith(("Hist", "Poisson", "Transformed")) else t
        fit(name, model, np.c_[t, t] if name.startswith("MultiOutput") else target)
    fit("IsotonicRegression", isotonic.IsotonicRegression(), t, x[:, 0])
    for name, model in build(OTHERS, modules):
        fit(name, model, None)
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (makes IterativeImputer importable)
    fit("IterativeImputer", impute.IterativeImputer(max_iter=2), None)
    fit("NMF", decomposition.NMF(2, max_iter=20), None, np.abs(x))
    fit("LatentDirichletAllocation", decomposition.LatentDirichletAllocation(2, max_iter=2), None, np.abs(x))
    words = np.array([["red", "s"], ["blue", "m"], ["red", "l"]] * 20, dtype=object)
    fit("OneHotEncoder", preprocessing.OneHotEncoder(handle_unknown="ignore"), None, words)
    fit("OrdinalEncoder", preprocessing.OrdinalEncoder(), None, words)
    if hasattr(preprocessing, "TargetEncoder"):  # from 1.3 on
        fit("TargetEncoder", preprocessing.TargetEncoder(cv=2), y, words)
    fit("LabelEncoder", preprocessing.LabelEncoder(), None, words[:, 0])
    fit("LabelBinarizer", preprocessing.LabelBinarizer(), None, words[:, 0])
    fit("MultiLabelBinarizer", preprocessing.MultiLabelBinarizer(), None, [("a", "b"), ("c",)])
    fit("DictVectorizer", feature_extraction.DictVectorizer(), None, [{"a": 1, "b": "x"}, {"a": 2}])
    text = feature_extraction.text
    docs, sign = ["good fast train", "bad slow bus", "good bus", "slow bad train"] * 5, [1, 0, 1, 0] * 5
    fit("CountVectorizer", text.CountVectorizer(ngram_range=(1, 2), stop_words="english"), None, docs)
    fit("TfidfVectorizer", text.TfidfVectorizer(), None, docs)
    fit("HashingVectorizer", text.HashingVectorizer(n_features=64), None, docs)
    fit("TextPipeline", pipeline.make_pipeline(text.TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3)), linear_model.SGDClassifier(loss="modified_huber")), sign, docs)
    fit("TextGridSearch", model_selection.GridSearchCV(pipeline.Pipeline([("v", text.TfidfVectorizer(tokenizer=str.split, token_pattern=None)), ("c", linear_model.LogisticRegression())]), {"c__C": [0.1, 1]}, cv=2), sign, docs)
    fit("Pipeline", pipeline.make_pipeline(preprocessing.StandardScaler(), decomposition.PCA(2), svm.SVC()))
    fit("PipelineUnion", pipeline.make_pipeline(pipeline.make_union(decomposition.PCA(2), feature_selection.SelectKBest(k=2)), ensemble.RandomForestClassifier(3, max_depth=3)))
    fit("GridSearchCV", model_selection.GridSearchCV(svm.SVC(), {"C": [1, 10], "kernel": ["linear", "rbf"]}, cv=2, scoring=make_scorer(f1_score)))
    from scipy.stats import uniform, randint
    fit("RandomizedSearchCV", model_selection.RandomizedSearchCV(tree.DecisionTreeClassifier(), {"max_depth": randint(1, 5), "ccp_alpha": uniform(0, 0.1)}, n_iter=3, cv=model_selection.StratifiedKFold(2), random_state=np.random.RandomState(3)))
    fit("ColumnTransformer", compose.make_column_transformer((preprocessing.StandardScaler(), [0, 1]), (preprocessing.KBinsDiscretizer(3), slice(2, 4)), remainder="passthrough"), None)
    fit("WithRandomState", ensemble.RandomForestClassifier(2, max_depth=2, random_state=np.random.RandomState(5)))
    try:
        import pandas as pd
        frame = pd.DataFrame({"age": x[:, 0], "size": x[:, 1], "colour": words[:, 0], "when": pd.Categorical(words[:, 1])})
        column = compose.ColumnTransformer([("n", preprocessing.StandardScaler(), ["age", "size"]), ("c", preprocessing.OneHotEncoder(), compose.make_column_selector(dtype_include=object))])
        fit("PandasColumnPipeline", pipeline.Pipeline([("p", column), ("m", ensemble.RandomForestClassifier(2, max_depth=2))]), y, frame)
    except ImportError:
        pass
    found["untrained"] = [linear_model.LogisticRegression(), cluster.KMeans()]
    found["config"] = {"version": sklearn.__version__, "model": found["Ridge"], "features": ["a", "b"], "threshold": np.float64(0.5)}
    return found


@writer("sklearn", "scikit-learn", "numpy", "scipy", "joblib")
def sklearn_files(out):
    import joblib
    from sklearn.datasets import load_iris

    found = estimators()
    for i, (name, model) in enumerate(found.items()):
        protocol = 2 + i % 4
        out.put(f"sklearn/pickle/{name}.p{protocol}.pkl", pickle.dumps(model, protocol), "pickle", f"scikit-learn {name}, protocol {protocol}")
        joblib.dump(model, out.file(f"sklearn/joblib/{name}.joblib", "joblib", f"scikit-learn {name}"))
    for name in ("RandomForestClassifier", "Pipeline", "TextPipeline", "GridSearchCV"):
        for protocol in range(0, 6):
            out.put(f"sklearn/protocols/{name}.p{protocol}.pkl", pickle.dumps(found[name], protocol), "pickle", f"scikit-learn {name}, protocol {protocol}")
        for how, ending in ((3, "z3"), (("zlib", 9), "zlib"), (("gzip", 3), "gz"), (("bz2", 3), "bz2"), (("xz", 3), "xz"), (("lzma", 3), "lzma")):
            joblib.dump(found[name], out.file(f"sklearn/packed/{name}.joblib.{ending}", "joblib", f"{name}, compress={how}"), compress=how)
        try:
            import lz4  # noqa: F401
            joblib.dump(found[name], out.file(f"sklearn/packed/{name}.joblib.lz4", "joblib", f"{name}, compress=lz4"), compress="lz4")
        except ImportError:
            pass
    joblib.dump(load_iris(), out.file("sklearn/joblib/bunch_iris.joblib", "joblib", "scikit-learn Bunch with a data set"))
    joblib.dump({"m": found["Ridge"], "b": found["KMeans"]}, out.file("sklearn/joblib/model_extension.model", "joblib", "dict of models, odd ending"))
    joblib.dump(found["Ridge"], out.file("sklearn/joblib/protocol2.joblib", "joblib", "joblib with pickle protocol 2"), protocol=2)
    joblib.dump(found["Ridge"], out.file("sklearn/joblib/protocol5.joblib", "joblib", "joblib with pickle protocol 5"), protocol=5)
    with open(out.file("sklearn/pickle/two_dumps.pkl", "pickle", "two pickle.dump into one file"), "wb") as f:
        pickle.dump(found["StandardScaler"], f)
        pickle.dump(found["Ridge"], f)


@writer("cloudpickle", "cloudpickle", "scikit-learn")
def by_reference(out):
    """cloudpickle on objects that need no code of their own."""
    import cloudpickle

    found = estimators()
    for name in ("LogisticRegression", "RandomForestClassifier", "TextPipeline"):
        out.put(f"sklearn/cloudpickle/{name}.pkl", cloudpickle.dumps(found[name]), "pickle", f"{name} by cloudpickle")


@writer("zz-dill", "dill", "scikit-learn")
def dill_files(out):
    """dill on the same; runs last, since its import changes the pickler of the whole process (and so joblib's)."""
    import dill

    found = estimators()
    for name in ("LogisticRegression", "RandomForestClassifier", "TextPipeline"):
        out.put(f"sklearn/dill/{name}.dill", dill.dumps(found[name]), "pickle", f"{name} by dill")


@writer("skops", "skops", "scikit-learn")
def skops_files(out):
    import skops.io

    found = estimators()
    for name in ("LogisticRegression", "RandomForestClassifier", "Pipeline", "TextPipeline", "GridSearchCV", "ColumnTransformer", "KMeans", "HistGradientBoostingClassifier", "SVC", "TfidfVectorizer"):
        skops.io.dump(found[name], out.file(f"skops/{name}.skops", "skops", f"skops of {name}"))
    from zipfile import ZIP_DEFLATED
    skops.io.dump(found["Pipeline"], out.file("skops/deflated.skops", "skops", "skops, deflated"), compression=ZIP_DEFLATED, compresslevel=9)


@writer("hdbscan", "hdbscan", "scikit-learn", "joblib")
def hdbscan_files(out):
    import hdbscan
    import joblib

    model = hdbscan.HDBSCAN(min_cluster_size=5, prediction_data=True).fit(data()[0])
    joblib.dump(model, out.file("sklearn/joblib/hdbscan.joblib", "joblib", "hdbscan with prediction data"))
    out.put("sklearn/pickle/hdbscan.pkl", pickle.dumps(model), "pickle", "hdbscan")


@writer("statsmodels", "statsmodels", "pandas")
def statsmodels_files(out):
    import numpy as np
    import pandas as pd
    import statsmodels.api as sm
    import statsmodels.formula.api as smf
    from statsmodels.tsa.api import ARIMA, ExponentialSmoothing

    x, y, t = data()
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "t": t, "y": y})
    for name, result in {"ols": sm.OLS(t, sm.add_constant(x)).fit(), "formula": smf.ols("t ~ a + b", frame).fit(), "glm": sm.GLM(np.abs(t), x).fit(),
                         "arima": ARIMA(t, order=(1, 0, 0)).fit(), "holt": ExponentialSmoothing(np.abs(t) + 1).fit()}.items():
        result.save(out.file(f"statsmodels/{name}.pkl", "pickle", f"statsmodels {name} result"))
        if name in ("ols", "glm"):
            result.save(out.file(f"statsmodels/{name}_nodata.pickle", "pickle", f"statsmodels {name}, data removed"), remove_data=True)
