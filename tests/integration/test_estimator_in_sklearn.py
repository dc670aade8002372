"""The estimators where scikit-learn's users put them: its checks, searches, workers, scripts."""

import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import check_estimator

from relume import ReLUClassifier, ReLURegressor

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
THEIR_IMPORT = "from sklearn.neural_network import MLPClassifier"
OUR_IMPORT = "from relume import ReLUClassifier as MLPClassifier"
X, Y = load_iris(return_X_y=True)


def outcomes(estimator):
    """Return the names of the checks that pass, and of those that do not with how they end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    passed = {result["check_name"] for result in results if result["status"] == "passed"}
    rest = {(r["check_name"], r["status"]) for r in results if r["status"] != "passed"}
    return passed, rest


@pytest.mark.parametrize(
    ("ours", "theirs"), [(ReLUClassifier, MLPClassifier), (ReLURegressor, MLPRegressor)]
)
def test_no_check_is_skipped_that_scikit_learns_own_passes(ours, theirs):
    """scikit-learn's own checks: none of ours fails, and it passes all that theirs does."""
    short = ours(max_iter=6, learning_rate_init=0.01)  # the checks are of the contract
    (our_passed, our_rest), (their_passed, their_rest) = map(outcomes, (short, theirs(max_iter=25)))
    assert their_passed <= our_passed
    assert our_rest <= their_rest
    assert {status for _, status in our_rest} <= {"skipped"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("whose", ["scikit-learn's", "ours"])
def test_a_script_for_mlp_classifier_runs_with_its_import_replaced(script, whose, tmp_path):
    text = script.read_text(encoding="utf-8")
    assert text.count(THEIR_IMPORT) == 1
    if whose == "ours":
        text = text.replace(THEIR_IMPORT, OUR_IMPORT)
    copied = tmp_path / script.name
    copied.write_text(text, encoding="utf-8")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", str(copied)],
        capture_output=True, text=True, check=False, timeout=300, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *_, said = done.stdout.splitlines()
    assert said.startswith("accuracy ")
    assert float(said.split()[1]) > 0.93


def test_there_are_three_scripts():
    assert [path.stem for path in SCRIPTS] == ["curves", "search", "weights"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_search_by_workers_finds_what_one_process_finds():
    model = ReLUClassifier((12,), max_iter=40, learning_rate_init=0.05, random_state=0)
    grid = {"alpha": [1e-4, 50.0], "activation": ["relu", "elu"]}
    alone, together = (GridSearchCV(model, grid, cv=2, n_jobs=n) for n in (1, 2))
    alone.fit(X, Y)
    with joblib.parallel_config("loky", n_jobs=2):
        together.fit(X, Y)
    np.testing.assert_array_equal(
        alone.cv_results_["mean_test_score"], together.cv_results_["mean_test_score"]
    )
    assert alone.best_params_["alpha"] == 1e-4
    assert alone.best_score_ > 0.93


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_pipelines_are_cloned_scored_and_kept(tmp_path):
    pipeline = make_pipeline(
        PolynomialFeatures(include_bias=False), ReLURegressor(max_iter=40, random_state=0)
    )
    x, y = load_diabetes(return_X_y=True)
    scores = cross_val_score(clone(pipeline), x, y, cv=3)
    np.testing.assert_array_equal(scores, cross_val_score(pipeline, x, y, cv=3))
    pipeline.fit(x, y)
    joblib.dump(pipeline, tmp_path / "model.joblib")
    for restored in (
        joblib.load(tmp_path / "model.joblib"),
        pickle.loads(pickle.dumps(pipeline)),  # noqa: S301 (our own bytes)
    ):
        np.testing.assert_array_equal(restored.predict(x), pipeline.predict(x))


def test_feature_names_are_remembered_and_compared():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(X, schema=list("abcd"))
    model = ReLUClassifier((5,), solver="lbfgs", max_iter=500, random_state=0).fit(frame, Y)
    assert list(model.feature_names_in_) == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename({"a": "z"}))


@pytest.mark.parametrize(
    ("ours", "theirs"), [(ReLUClassifier, MLPClassifier), (ReLURegressor, MLPRegressor)]
)
def test_raw_features_need_no_scaler(ours, theirs):
    """One column a million times the others: what scikit-learn's own cannot learn without one."""
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3)) * [1, 1, 1e6] + [0, 0, 1e7]
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    scores = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for build in (ours, theirs):
            scores[build] = cross_val_score(build(random_state=0), x, y, cv=3).mean()
    assert scores[ours] > max(0.6, scores[theirs] + 0.2)
