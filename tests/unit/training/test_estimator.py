"""The estimators themselves: numbers against NumPy, torch, least squares and scikit-learn's own."""

import copy
import inspect
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import expit, softmax, xlogy
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss, mean_poisson_deviance
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import nn

from relume import ReLUClassifier, ReLURegressor
from relume.errors import SettingsError
from relume.nn.networks import build_network
from relume.training.estimator_fitting import (
    Choices,
    PenalisedLoss,
    build_optimizer,
    row_losses,
)
from relume.training.estimator_rows import counted_rows
from relume.training.estimator_scaling import Scaling, StandardisedRows, folded

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)) * [1, 10, 0.1, 3] + [0, 500, 2, -1]
SCORE = (X[:, 0] + (X[:, 1] - 500) / 10) / 2
Y = np.array(["no", "yes"])[(SCORE > 0).astype(int)]
IRIS_X, IRIS_Y = load_iris(return_X_y=True)
HIDDEN = {
    "identity": lambda z: z,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
}
unfinished = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
pytestmark = unfinished


def forward(model, x):
    """What coefs_ and intercepts_ say, in NumPy alone."""
    a = np.asarray(x, dtype=np.float64)
    for weights, bias in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        a = HIDDEN[model.activation](a @ weights + bias)
    return a @ model.coefs_[-1] + model.intercepts_[-1]


@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize("hidden", [(), 7, (8, 5)])
def test_raw_inputs_through_the_weights_give_the_predictions(activation, hidden):
    classes = ReLUClassifier(hidden, activation, max_iter=4, random_state=0).fit(IRIS_X, IRIS_Y)
    np.testing.assert_allclose(
        classes.predict_proba(IRIS_X), softmax(forward(classes, IRIS_X), axis=1), atol=1e-9
    )
    binary = ReLUClassifier(hidden, activation, max_iter=4, random_state=0).fit(X, Y)
    np.testing.assert_allclose(
        binary.predict_proba(X)[:, 1], expit(forward(binary, X))[:, 0], atol=1e-9
    )
    targets = 1000 + 50 * np.column_stack([SCORE, -SCORE])
    values = ReLURegressor("squared_error", hidden, activation, max_iter=4, random_state=0)
    values.fit(X, targets)
    np.testing.assert_allclose(values.predict(X), forward(values, X), rtol=1e-10)
    counts = ReLURegressor("poisson", hidden, activation, max_iter=4, random_state=0)
    counts.fit(X, np.exp(SCORE) * 100)
    np.testing.assert_allclose(counts.predict(X), np.exp(forward(counts, X))[:, 0], rtol=1e-9)


@pytest.mark.parametrize(("solver", "nearness"), [("lbfgs", 0.02), ("adam", 0.5)])
def test_a_linear_model_is_ridge_regression(solver, nearness):
    """Targets lie between 25 and 346; Adam stops a little before the minimum."""
    x, y = load_diabetes(return_X_y=True)
    z, t = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    model = ReLURegressor(
        hidden_layer_sizes=(), alpha=30.0, solver=solver, max_iter=400, tol=1e-7, max_fun=10**5,
        learning_rate_init=0.03, batch_size=len(x), random_state=0, weight_decay=0.0,
    ).fit(x, y)  # fmt: skip
    expected = Ridge(alpha=30.0).fit(z, t).predict(z) * y.std() + y.mean()
    np.testing.assert_allclose(model.predict(x), expected, atol=nearness)


def test_sgd_follows_scikit_learns_own_steps():
    """From the same weights, a full batch and constant rate, both walk the same way."""
    z = (X - X.mean(0)) / X.std(0)
    for momentum, nesterov in [(0.0, False), (0.9, False), (0.9, True)]:
        common = {
            "hidden_layer_sizes": (6,), "solver": "sgd", "learning_rate": "constant",
            "learning_rate_init": 0.1, "batch_size": len(X), "alpha": 2.0, "random_state": 0,
            "momentum": momentum, "nesterovs_momentum": nesterov,
        }  # fmt: skip
        peer = MLPClassifier(max_iter=1, **common).partial_fit(z, Y, classes=["no", "yes"])
        ours = ReLUClassifier(max_iter=20, dropout=0.0, warm_start=True, **common)
        ours.partial_fit(z, Y, classes=["no", "yes"])
        layers = [m for m in ours.network_.modules() if isinstance(m, nn.Linear)]
        with torch.no_grad():
            for layer, weights, bias in zip(layers, peer.coefs_, peer.intercepts_, strict=True):
                layer.weight.copy_(torch.from_numpy(weights.T))
                layer.bias.copy_(torch.from_numpy(bias))
        peer.set_params(max_iter=20, warm_start=True).fit(z, Y)
        ours.fit(z, Y)
        np.testing.assert_allclose(ours.loss_curve_[1:], peer.loss_curve_[1:], rtol=1e-6)
        np.testing.assert_allclose(ours.predict_proba(z), peer.predict_proba(z), atol=1e-6)


def test_the_rate_falls_as_it_is_asked_to():
    def last_step(model):
        return model._optimizer.param_groups[0]["lr"]

    common = {"hidden_layer_sizes": (3,), "batch_size": 60, "random_state": 0, "tol": 0.0}
    given = {**common, "learning_rate_init": 0.3, "max_iter": 5, "n_iter_no_change": 50}
    for solver in ("sgd", "adam"):
        cosine = ReLUClassifier(solver=solver, **given).fit(X, Y)
        assert last_step(cosine) == pytest.approx(0.0, abs=1e-9)
        constant = ReLUClassifier(solver=solver, learning_rate="constant", **given).fit(X, Y)
        assert last_step(constant) == 0.3
    scaled = ReLUClassifier(solver="sgd", learning_rate="invscaling", **given).fit(X, Y)
    assert last_step(scaled) == pytest.approx(0.3 / math.sqrt(4 * len(X) + 1))
    ignored = ReLUClassifier(solver="adam", learning_rate="invscaling", **given).fit(X, Y)
    assert last_step(ignored) == 0.3
    given |= {"tol": 1e9, "n_iter_no_change": 1, "max_iter": 400}
    adaptive = ReLUClassifier(solver="sgd", learning_rate="adaptive", **given).fit(X, Y)
    assert adaptive.n_iter_ < 400
    assert 1e-7 < last_step(adaptive) <= 1e-6


def test_the_losses_are_those_of_scikit_learn():
    output = RNG.normal(size=(30, 3))
    tensor = torch.from_numpy(output)
    classes = RNG.integers(0, 3, 30)
    one_hot = np.eye(3)[classes]
    mean = row_losses("softmax", tensor, torch.from_numpy(one_hot)).mean().item()
    assert mean == pytest.approx(log_loss(classes, softmax(output, axis=1)))
    labels = RNG.integers(0, 2, (30, 3)).astype(float)
    mean = row_losses("logistic", tensor, torch.from_numpy(labels)).mean().item()
    expected = sum(log_loss(labels[:, k], expit(output[:, k])) for k in range(3))
    assert mean == pytest.approx(expected)
    mean = row_losses("identity", tensor, torch.from_numpy(labels)).mean().item()
    assert mean == pytest.approx(((output - labels) ** 2).mean() / 2)
    mean = row_losses("exp", tensor, torch.from_numpy(labels)).mean().item()
    deviance = mean_poisson_deviance(labels.ravel(), np.exp(output).ravel())
    assert mean == pytest.approx(deviance / 2)
    assert xlogy(0.0, 0.0) == 0.0


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_first_loss_is_loss_and_penalty_of_the_first_weights(smoothing):
    """A rate of nearly nothing leaves the network as it was drawn."""
    weights = RNG.uniform(0.5, 2, len(IRIS_X))
    still = {"learning_rate_init": 1e-12, "max_iter": 1, "dropout": 0.0, "batch_size": 150}
    model = ReLUClassifier((6,), alpha=3.0, random_state=0, label_smoothing=smoothing, **still)
    model.fit(IRIS_X, IRIS_Y, weights)
    squares = sum(p.square().sum().item() for p in model.network_.parameters() if p.ndim == 2)
    row_losses = torch.nn.functional.cross_entropy(
        torch.from_numpy(model.predict_log_proba(IRIS_X)),
        torch.from_numpy(IRIS_Y),
        label_smoothing=smoothing,
        reduction="none",
    )
    expected = np.average(row_losses.numpy(), weights=weights)
    assert model.loss_ == pytest.approx(expected + 1.5 * squares / weights.sum(), rel=1e-6)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(2, 30), st.integers(0, 2**20), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_scaling_adds_and_reads_sparse_as_dense(rows, seed, offset, spread):
    random = np.random.default_rng(seed)
    x = np.where(random.random((rows, 3)) < 0.5, 0.0, random.normal(offset, spread, (rows, 3)))
    x[:, 2] = offset
    weights = random.uniform(0.1, 2, rows)
    whole, loose = Scaling.of(x, weights), Scaling.of(sparse.csc_array(x), weights)
    cut = rows // 2
    parts = Scaling.of(x[:cut], weights[:cut]) + Scaling.of(x[cut:], weights[cut:])
    size = 1 + np.square(x).max()
    mean = np.average(x, axis=0, weights=weights)
    variance = np.average((x - mean) ** 2, axis=0, weights=weights)
    for other in (whole, loose, parts):
        np.testing.assert_allclose(other.mean, mean, atol=1e-12 * size)
        np.testing.assert_allclose(other.variance, variance, atol=1e-12 * size)
    assert whole.scale[2] == 1.0
    rows_of = {"dtype": torch.float64, "device": torch.device("cpu")}
    dense = StandardisedRows(x, whole, **rows_of)[:]
    lazy = StandardisedRows(sparse.csr_array(x), whole, **rows_of)[torch.arange(rows)]
    assert torch.equal(dense, lazy)


def test_folding_is_the_algebra_it_claims():
    network = build_network("mlp", {"inputs": 4, "hidden": [5], "outputs": 2}).double()
    inputs, outputs = Scaling.of(X, np.ones(120)), Scaling(1.0, np.array([3.0, -1]), np.ones(2) * 4)
    weights, biases = folded(network, inputs, outputs)
    with torch.no_grad():
        expected = network(torch.from_numpy(inputs.apply(X))).numpy() * 2 + [3.0, -1]
    found = np.maximum(X @ weights[0] + biases[0], 0) @ weights[1] + biases[1]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sparse_input_learns_the_same_network(solver):
    x = np.where(np.abs(X) < 1, 0, X)
    dense = ReLUClassifier((6,), solver=solver, max_iter=5, random_state=0).fit(x, Y)
    for form in (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array):
        loose = ReLUClassifier((6,), solver=solver, max_iter=5, random_state=0).fit(form(x), Y)
        np.testing.assert_allclose(loose.predict_proba(form(x)), dense.predict_proba(x), atol=1e-6)


def test_a_weight_counts_as_that_many_rows():
    counts = RNG.integers(0, 3, len(X))
    counts[:4] = 1
    given = {"hidden_layer_sizes": (5,), "solver": "lbfgs", "random_state": 0, "max_iter": 50}
    weighted = ReLUClassifier(**given).fit(X, Y, sample_weight=counts)
    repeated = ReLUClassifier(**given).fit(np.repeat(X, counts, 0), np.repeat(Y, counts))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-6)
    for wrong, message in [
        (np.zeros(len(X)), "non-zero|all are 0"),
        (-np.ones(len(X)), "negative"),
    ]:
        with pytest.raises(ValueError, match=message):
            ReLUClassifier().fit(X, Y, sample_weight=wrong)


def test_the_seed_decides_and_the_callers_state_is_left_alone():
    torch.manual_seed(5)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    one, two, three = (
        ReLUClassifier((9,), max_iter=3, dropout=0.2, random_state=seed).fit(X, Y)
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert (one.predict_proba(X) == two.predict_proba(X)).all()
    assert (one.predict_proba(X) != three.predict_proba(X)).any()


def test_parts_add_up():
    model = ReLUClassifier((16,), learning_rate_init=0.02, random_state=0)
    for _ in range(30):
        for rows in np.array_split(np.arange(150), 5):
            model.partial_fit(IRIS_X[rows], IRIS_Y[rows], classes=[0, 1, 2])
    assert model.score(IRIS_X, IRIS_Y) > 0.93
    assert (model.t_, model.n_iter_, len(model.loss_curve_)) == (30 * 150, 1, 150)
    np.testing.assert_allclose(model._scaling.mean, IRIS_X.mean(0))
    np.testing.assert_allclose(model._scaling.scale, IRIS_X.std(0))
    copied = pickle.loads(pickle.dumps(model))  # noqa: S301 (our own bytes)
    for each in (model, copied):
        each.partial_fit(IRIS_X, IRIS_Y)
    np.testing.assert_array_equal(model.predict_proba(IRIS_X), copied.predict_proba(IRIS_X))
    with pytest.raises(ValueError, match="classes not in"):
        model.partial_fit(IRIS_X[:2], [0, 7])
    with pytest.raises(ValueError, match="not the same as on last call"):
        model.partial_fit(IRIS_X, IRIS_Y, classes=[0, 1])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        ReLUClassifier().partial_fit(IRIS_X, IRIS_Y)
    with pytest.raises(ValueError, match="early_stopping"):
        ReLURegressor(early_stopping=True).partial_fit(X, SCORE)
    assert not hasattr(ReLUClassifier(solver="lbfgs"), "partial_fit")


def test_a_regressor_in_parts_finds_the_units_of_its_target():
    model = ReLURegressor(
        hidden_layer_sizes=(16,), learning_rate_init=0.02, dropout=0.0, random_state=0
    )
    for _ in range(40):
        for rows in np.array_split(np.arange(len(X)), 3):
            model.partial_fit(X[rows], 1e4 + 300 * SCORE[rows])
    assert model.score(X, 1e4 + 300 * SCORE) > 0.9


def test_warm_start_goes_on_and_refuses_other_classes():
    model = ReLUClassifier((8,), warm_start=True, max_iter=5, random_state=0).fit(X, Y)
    first = model.loss_
    model.fit(X, Y)
    assert model.n_iter_ == 5
    assert len(model.loss_curve_) == 10
    assert model.loss_ < first
    with pytest.raises(ValueError, match="warm_start can only be used"):
        model.fit(X, np.where(Y == "no", "maybe", Y))
    model.set_params(warm_start=False).fit(X, Y)
    assert len(model.loss_curve_) == 5


def test_early_stopping_keeps_the_best_epoch():
    model = ReLUClassifier(
        (32,), early_stopping=True, n_iter_no_change=4, max_iter=300, random_state=3, tol=0.0
    ).fit(IRIS_X, IRIS_Y)
    scores = model.validation_scores_
    assert model.best_validation_score_ == max(scores)
    assert model.best_loss_ is None
    assert len(scores) == model.n_iter_
    with pytest.raises(ValueError, match="validation set is too small"):
        ReLURegressor(early_stopping=True).fit(X[:6], SCORE[:6])


def test_multi_label_and_several_outputs():
    x, labels = make_multilabel_classification(200, random_state=0)
    model = ReLUClassifier((50,), learning_rate_init=0.02, random_state=0).fit(x, labels)
    assert model.predict(x).shape == labels.shape
    assert model.predict_proba(x).shape == labels.shape
    assert ((model.predict_proba(x) > 0.5) == model.predict(x)).all()
    assert model.score(x, labels) > 0.7
    assert model.out_activation_ == "logistic"
    with pytest.raises(ValueError, match="[Mm]ultioutput"):
        ReLUClassifier().fit(X, np.column_stack([SCORE > 0, np.arange(120) % 3]))


@pytest.mark.parametrize("build", [ReLUClassifier, MLPClassifier])
def test_one_class_is_predicted_as_scikit_learn_does(build):
    model = build(max_iter=3, random_state=0).fit(X, np.full(len(X), "only"))
    assert set(model.predict(X)) == {"only"}
    assert model.predict_proba(X).shape == (120, 2)


def test_what_users_are_warned_of():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\)"):
        ReLUClassifier(max_iter=2, n_iter_no_change=10).fit(X, Y)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"):
        ReLUClassifier(solver="lbfgs", max_iter=2).fit(X, Y)
    with pytest.warns(DataConversionWarning, match="column-vector"):
        ReLUClassifier(max_iter=2).fit(X, Y[:, None])
    with pytest.warns(UserWarning, match="clipped"):
        ReLUClassifier(max_iter=2, batch_size=10_000).fit(X, Y)
    with pytest.raises(NotFittedError):
        ReLUClassifier().predict(X)
    with pytest.raises(ValueError, match="non-finite"), np.errstate(all="ignore"):
        ReLURegressor(
            solver="sgd", learning_rate="constant", learning_rate_init=1e30, repair=False
        ).fit(X, SCORE)


def test_ctrl_c_keeps_what_there_is(monkeypatch):
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) > 4:  # the first one is that of guessing
            raise KeyboardInterrupt
        return row_losses(*arguments)

    monkeypatch.setattr("relume.training.estimator_fitting.row_losses", interrupted)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model = ReLUClassifier(batch_size=len(X)).fit(X, Y)
    assert model.n_iter_ == 3
    assert model.predict(X).shape == (120,)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("solver", "newton"), ("alpha", -1), ("alpha", "big"), ("batch_size", 0),
        ("batch_size", "all"), ("learning_rate", "slow"), ("learning_rate_init", 0),
        ("max_iter", 0), ("max_iter", 2.5), ("shuffle", "yes"), ("tol", -1e-3),
        ("momentum", 1.1), ("beta_1", 1.0), ("beta_2", -0.1), ("epsilon", 0), ("verbose", -1),
        ("validation_fraction", 1.0), ("n_iter_no_change", 0), ("max_fun", 0), ("init", "zero"),
        ("hidden_layer_sizes", (5, 0)), ("hidden_layer_sizes", -1), ("hidden_layer_sizes", "wide"),
        ("activation", "rellu"), ("activation", None), ("network", "gan"), ("norm", "group"),
        ("dropout", 1.0), ("device", "abacus"), ("image_shape", (1, 2)), ("random_state", "x"),
    ],
)  # fmt: skip
def test_a_parameter_that_makes_no_sense_is_named(name, wrong):
    model = ReLUClassifier(**{name: wrong})
    with pytest.raises(ValueError, match=name if name != "random_state" else "seed"):
        model.fit(X, Y)
    if name != "random_state":
        with pytest.raises(SettingsError):
            model.fit(X, Y)


def test_loss_of_the_regressor_is_checked():
    with pytest.raises(ValueError, match="'loss' parameter of ReLURegressor"):
        ReLURegressor("absolute").fit(X, SCORE)
    with pytest.raises(ValueError, match="at least 0"):
        ReLURegressor("poisson").fit(X, SCORE)


def test_every_parameter_of_scikit_learn_is_there():
    for ours, theirs in [(ReLUClassifier, MLPClassifier), (ReLURegressor, MLPRegressor)]:
        own, known = (inspect.signature(each.__init__).parameters for each in (ours, theirs))
        assert list(own)[: len(known)] == list(known)
        assert {name: own[name].kind for name in known} == {n: p.kind for n, p in known.items()}
        fitted = [
            each(max_iter=3, random_state=0).fit(X, Y if each in (ReLUClassifier, MLPClassifier)
            else SCORE) for each in (ours, theirs)
        ]  # fmt: skip
        public = [
            {name for name in vars(each) if name.endswith("_") and not name.startswith("_")}
            for each in fitted
        ]
        assert public[0] == public[1] | {"network_", "repairs_"}


def test_clone_and_deep_copy():
    model = ReLURegressor(hidden_layer_sizes=(4,), random_state=1, max_iter=3).fit(X, SCORE)
    bare = clone(model)
    assert bare.get_params() == model.get_params()
    assert not hasattr(bare, "network_")
    copied = copy.deepcopy(model)
    assert (copied.predict(X) == model.predict(X)).all()


def test_images_and_norms():
    x = RNG.normal(size=(60, 64))
    y = (x[:, :8].sum(1) > 0).astype(int)
    for network in ("cnn", "resnet"):
        model = ReLUClassifier(
            (4,), network=network, image_shape=(1, 8, 8), max_iter=2, dropout=0.0, random_state=0
        ).fit(x, y)
        assert model.predict(x).shape == (60,)
        assert not hasattr(model, "coefs_")
    with pytest.raises(ValueError, match="image_shape"):
        ReLUClassifier(network="cnn").fit(x, y)
    with pytest.raises(ValueError, match="norm"):
        ReLUClassifier(solver="lbfgs", norm="batch").fit(x, y)
    normed = ReLUClassifier((8,), norm="layer", max_iter=2).fit(x, y)
    assert not hasattr(normed, "coefs_")


def test_precision_is_that_of_the_inputs():
    for kind in (np.float32, np.float64):
        model = ReLUClassifier((4,), max_iter=2).fit(X.astype(kind), Y)
        dtype = next(model.network_.parameters()).dtype
        assert dtype == (torch.float32 if kind is np.float32 else torch.float64)


def test_verbose_says_every_epoch(capsys):
    ReLUClassifier((4,), verbose=True, max_iter=3, early_stopping=True).fit(X, Y)
    said = capsys.readouterr().out
    assert said.count("Iteration") == said.count("Validation score") == 3
    ReLUClassifier((4,), max_iter=3).fit(X, Y)
    assert capsys.readouterr().out == ""


def test_adam_has_the_parameters_it_is_given():
    names = {name: getattr(ReLUClassifier(), name) for name in Choices.__dataclass_fields__}
    given = {"beta_1": 0.7, "beta_2": 0.8, "epsilon": 1e-5, "weight_decay": 0.3}
    matrices, rest = build_optimizer(nn.Linear(2, 2), Choices(**names | given)).param_groups
    assert (matrices["betas"], matrices["eps"]) == ((0.7, 0.8), 1e-5)
    assert (matrices["weight_decay"], rest["weight_decay"]) == (0.3, 0.0)


def test_the_recipe_belongs_to_adam_unless_it_is_given():
    def chosen(**given):
        choices = ReLUClassifier(**given)._choices()
        return choices.weight_decay, choices.label_smoothing

    assert chosen() == (0.1, 0.1)
    assert chosen(solver="sgd") == chosen(solver="lbfgs") == (0.0, 0.0)
    assert chosen(solver="sgd", weight_decay=1e-3, label_smoothing=0.05) == (1e-3, 0.05)
    with pytest.raises(ValueError, match="lbfgs.*give alpha instead"):
        ReLUClassifier(solver="lbfgs", weight_decay=0.1).fit(X, Y)


def test_labels_of_a_single_output_are_smoothed_as_two_classes_are():
    y = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    output = torch.tensor([[0.7], [-0.2]])
    loss = PenalisedLoss("logistic", 0.0, (), smoothing=0.1).train_loss(output, y)
    two = torch.cat([torch.zeros_like(output), output], dim=1)
    peer = torch.nn.functional.cross_entropy(two, torch.tensor([1, 0]), label_smoothing=0.1)
    torch.testing.assert_close(loss, peer)


@pytest.mark.parametrize("build", [ReLUClassifier, ReLURegressor])
@pytest.mark.parametrize("as_given", [np.asarray, sparse.csr_array])
def test_whole_weights_are_that_many_rows_and_their_order_does_not_matter(build, as_given):
    y = Y if build is ReLUClassifier else SCORE
    counts = RNG.integers(0, 3, len(X))
    counts[:4] = 1
    order = RNG.permutation(len(X))
    given = {"hidden_layer_sizes": (9,), "max_iter": 4, "random_state": 0}  # with its dropout
    weighted = build(**given).fit(as_given(X[order]), y[order], sample_weight=counts[order])
    repeated = build(**given).fit(as_given(np.repeat(X, counts, 0)), np.repeat(y, counts))
    assert np.array_equal(weighted.predict(X), repeated.predict(X))
    for ours, theirs in zip(weighted.coefs_, repeated.coefs_, strict=True):
        assert np.array_equal(ours, theirs)


def test_other_weights_weigh_and_the_order_is_kept_where_asked():
    halves = np.full(len(X), 0.5)
    rows, targets, weights = counted_rows(X, SCORE[:, None], halves, ordered=True)
    assert rows is X
    assert np.array_equal(targets[:, 0], SCORE)
    assert np.array_equal(weights, halves)
    sorted_rows, sorted_targets, _ = counted_rows(X, SCORE[:, None], None, ordered=False)
    assert sorted(map(tuple, sorted_rows)) == sorted(map(tuple, X))
    row = int(np.flatnonzero((sorted_rows[7] == X).all(axis=1))[0])
    assert sorted_targets[7, 0] == SCORE[row]
    many = np.ones(len(X))
    many[0] = 1e9
    assert len(counted_rows(X, SCORE[:, None], many, ordered=True)[0]) == len(X)
