"""A perceptron by lbfgs: its probabilities and the shapes of its weights."""

# ruff: noqa: T201
import numpy as np
from sklearn.datasets import load_iris
from sklearn.neural_network import MLPClassifier

X, y = load_iris(return_X_y=True)
names = np.array(["setosa", "versicolor", "virginica"])[y]
clf = MLPClassifier(
    solver="lbfgs", alpha=1e-3, hidden_layer_sizes=(8, 4), random_state=1, max_iter=2000
)
clf.fit(X, names)

print("classes", *clf.classes_)
print("shapes", [coef.shape for coef in clf.coefs_], [b.shape for b in clf.intercepts_])
print("layers", clf.n_layers_, clf.n_outputs_, clf.out_activation_)

activation = X
for weights, bias in zip(clf.coefs_[:-1], clf.intercepts_[:-1], strict=True):
    activation = np.maximum(activation @ weights + bias, 0)
logits = activation @ clf.coefs_[-1] + clf.intercepts_[-1]
assert (clf.classes_[logits.argmax(axis=1)] == clf.predict(X)).all()
assert np.allclose(clf.predict_proba(X).sum(axis=1), 1)
print("accuracy", clf.score(X, names))
