"""A pipeline searched over a grid by two workers, kept in a file and read back."""

# ruff: noqa: T201
import tempfile
import warnings
from pathlib import Path

import joblib
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

warnings.simplefilter("ignore", ConvergenceWarning)
X, y = load_wine(return_X_y=True, as_frame=False)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
pipeline = Pipeline([("scale", StandardScaler()), ("mlp", MLPClassifier(random_state=0))])
grid = {
    "mlp__hidden_layer_sizes": [(20,), (20, 10)],
    "mlp__activation": ["relu", "tanh"],
    "mlp__learning_rate_init": [0.02],
    "mlp__max_iter": [25],
}
search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2)
search.fit(X_train, y_train)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "model.joblib"
    joblib.dump(search.best_estimator_, path)
    restored = joblib.load(path)
assert (restored.predict(X_test) == search.predict(X_test)).all()
print("parameters", sorted(search.best_params_))
print("candidates", len(search.cv_results_["params"]))
print("accuracy", search.score(X_test, y_test))
