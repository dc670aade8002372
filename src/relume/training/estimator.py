"""``ReLUClassifier`` and ``ReLURegressor``: the networks behind scikit-learn's contract."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, column_or_1d

from relume.training.estimator_base import PerceptronEstimator, learns_in_parts, validated
from relume.training.estimator_parameters import InvalidParameterError

Values = NDArray[Any]

LABEL_SMOOTHING = 0.1  # of the solver 'adam'


class ReLUClassifier(ClassifierMixin, PerceptronEstimator):  # type: ignore[misc]
    """A network that tells classes apart, in place of scikit-learn's ``MLPClassifier``.

    Parameters, methods and fitted attributes of the same name mean the same. What differs:

    - The inputs are standardised inside; ``coefs_`` and ``intercepts_`` are those for inputs as
      they came. ``alpha`` is on the weights for standardised inputs.
    - The defaults are wider layers, smaller batches, dropout, and no early end (evidence:
      ``docs/adr/0006``).
    - Where all weights are whole numbers, a row of weight 2 is two rows. The order of the rows does
      not matter, unless ``shuffle=False`` keeps it.
    - ``learning_rate`` has one more value, ``"cosine"``, the default, for either solver: a linear
      warm-up to ``learning_rate_init`` over 5 % of the steps of ``max_iter`` epochs, then half a
      cosine to zero. Under ``partial_fit``, which knows no end, the rate is constant.
    - Predictions are in float64, on the CPU; training is in the precision of ``X`` there, and in
      float32 on other devices.
    - ``warm_start`` keeps the scaling; ``partial_fit`` brings it up to date with every call.

    Args:
        hidden_layer_sizes: Widths of the hidden layers (channels, for ``cnn`` and ``resnet``).
        activation: Any name of the catalogue; ``identity``, ``logistic``, ``tanh``, ``relu`` too.
        solver: ``adam``, ``sgd`` or ``lbfgs`` (all rows at once, without dropout).
        alpha: Strength of the L2 penalty, divided by the rows of the batch as in scikit-learn.
        batch_size: Rows a step; ``auto`` is the power of two nearest to a fortieth of the rows,
            from 16 to 256.
        learning_rate: ``cosine``; with ``sgd``, ``constant``, ``invscaling`` or ``adaptive``,
            which with ``adam`` all mean constant.
        learning_rate_init: The rate, or its peak.
        power_t: Exponent of ``invscaling``.
        max_iter: Most epochs (``lbfgs``: iterations); None is 50 (``lbfgs``: 200).
        shuffle: Whether every epoch has an order of its own.
        random_state: Of the weights, the order, the dropout and the validation part.
        tol: The least improvement that counts.
        verbose: Whether to print every epoch.
        warm_start: Whether ``fit`` goes on from the weights of the last ``fit``.
        momentum: Of ``sgd``.
        nesterovs_momentum: Of ``sgd``.
        early_stopping: Whether a validation part says when to stop, and which epoch is kept.
        validation_fraction: Its share of the rows.
        beta_1: Of ``adam``.
        beta_2: Of ``adam``.
        epsilon: Of ``adam``.
        n_iter_no_change: Epochs without an improvement by ``tol`` after which it stops; ``inf``
            trains all epochs.
        max_fun: Most evaluations of ``lbfgs``.
        network: ``mlp``, ``cnn`` or ``resnet``.
        image_shape: Channels, height and width, for ``cnn`` and ``resnet``.
        init: Name of an initialisation.
        norm: None, ``batch`` or ``layer``; None for ``cnn`` and ``resnet`` is their own.
        dropout: Share of hidden units dropped in training; none with ``lbfgs``.
        weight_decay: Share of the weights taken off in a step of rate 1, beside the gradient
            (Loshchilov & Hutter 2019, arXiv:1711.05101); None is 0.1 with ``adam``, 0 with the
            others.
        label_smoothing: Share of each class that training spreads over all of them; None is 0.1
            with ``adam``, 0 with the others.
        repair: Whether a training that breaks down is begun again and repaired, as ``relume fit``
            does, with a warning that says how; others are as without, bitwise. Not with ``lbfgs``,
            ``partial_fit``, a warm start, sparse inputs, or fewer than 50 rows.
        device: ``auto``, ``cpu``, ``cuda``, ... to train on.

    Attributes:
        classes_: The classes, or for several labels their numbers.
        coefs_: Weights for inputs as they came, (inputs, outputs) for each layer; a ``mlp``
            without norm has them.
        intercepts_: Biases, likewise.
        network_: The trained module, for standardised inputs.
        loss_: Loss of the last epoch.
        loss_curve_: Loss of every epoch.
        best_loss_: The least of them; None with early stopping.
        validation_scores_: Accuracy on the validation part after every epoch, or None.
        best_validation_score_: The best of them, or None.
        n_iter_: Epochs trained.
        repairs_: What was found, tried and kept, three lines each time; empty where nothing was.
        t_: Rows seen.
        n_features_in_: Number of features.
        feature_names_in_: Their names, if they had some.
        n_layers_: Number of layers, the input's and the output's too.
        n_outputs_: Number of outputs.
        out_activation_: ``softmax``, or ``logistic`` for two classes or several labels.

    Raises:
        InvalidParameterError: In ``fit``, for a parameter that makes no sense; a ValueError.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> x, y = load_iris(return_X_y=True)
        >>> model = ReLUClassifier(solver="lbfgs", random_state=0).fit(x, y)
        >>> bool(model.score(x, y) > 0.95)
        True
    """

    _usual_epochs = 50

    def __init__(  # noqa: PLR0913 (scikit-learn's parameters)
        self,
        hidden_layer_sizes: Any = (256, 128),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "cosine",
        learning_rate_init: float = 0.002,
        power_t: float = 0.5,
        max_iter: int | None = None,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = math.inf,
        max_fun: int = 15000,
        network: str = "mlp",
        image_shape: tuple[int, int, int] | None = None,
        init: str = "he",
        norm: str | None = None,
        dropout: float = 0.3,
        weight_decay: float | None = None,
        label_smoothing: float | None = None,
        repair: bool = True,
        device: str = "auto",
    ) -> None:
        given = {k: v for k, v in locals().items() if k not in {"self", "__class__"}}
        for name, value in given.items():
            setattr(self, name, value)

    def predict(self, X: Any) -> Values:
        """Return the most likely class of each row, or which labels it has."""
        check_is_fitted(self)
        return self._labels(self._predictions(X))

    def predict_proba(self, X: Any) -> Values:
        """Return the probability of every class (or label), shape (rows, classes)."""
        check_is_fitted(self)
        predictions = self._predictions(X)
        if self.n_outputs_ == 1:
            return np.hstack([1 - predictions, predictions])
        return predictions

    def predict_log_proba(self, X: Any) -> Values:
        """Return the logarithm of ``predict_proba``."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X)))

    @available_if(learns_in_parts)  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> "ReLUClassifier":
        """Go on for one epoch over the rows given; the first call names all ``classes``.

        Raises:
            ValueError: The first call has no ``classes``, or ``y`` has others.
        """
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            has_labels = type_of_target(y).startswith("multilabel")
            self._set_classes(y if has_labels else unique_labels(classes))
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}"
            )
        self._train(X, y, sample_weight, in_parts=True)
        return self

    def _set_classes(self, y: Any) -> None:
        self._label_binarizer = LabelBinarizer().fit(y)
        self.classes_ = self._label_binarizer.classes_

    def _read(self, X: Any, y: Any, *, fresh: bool, in_parts: bool) -> tuple[Any, Values]:
        X, y = validated(self, X, y, reset=fresh)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or in_parts):
            self._set_classes(y)
        elif self.warm_start and set(unique_labels(y)) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {unique_labels(y)}"
            )
        elif len(np.setdiff1d(unique_labels(y), self.classes_)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {unique_labels(y)}."
            )
        return X, self._label_binarizer.transform(y).astype(np.float64)

    def _link(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _smoothing(self) -> float:
        usual = LABEL_SMOOTHING if self.solver == "adam" else 0.0
        return usual if self.label_smoothing is None else float(self.label_smoothing)

    def _strata(self, targets: Values) -> Values | None:
        """Return what the validation part is stratified by, as scikit-learn's own does."""
        return targets if targets.shape[1] == 1 else None

    def _labels(self, predictions: Values) -> Values:
        one = predictions.ravel() if predictions.shape[1] == 1 else predictions
        return np.asarray(self._label_binarizer.inverse_transform(one))

    def _metric(self, targets: Values, predictions: Values, weights: Values) -> float:
        truth, labels = self._labels(targets), self._labels(predictions)
        return float(accuracy_score(truth, labels, sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class ReLURegressor(RegressorMixin, PerceptronEstimator):  # type: ignore[misc]
    """A network that predicts values, in place of scikit-learn's ``MLPRegressor``.

    What differs from it, the parameters and the attributes are those of ``ReLUClassifier``.
    Besides, the targets are standardised inside (``poisson``: divided by their mean), so that
    losses and ``tol`` are in their units; ``validation_scores_`` are R²; the defaults are half the
    epochs, 25, and less dropout; there is no label smoothing.

    Args:
        loss: ``squared_error``, or ``poisson`` for counts and rates: predictions are then
            exponentials, and no target may be negative.
        hidden_layer_sizes: As in ``ReLUClassifier``, like all that follow.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> x, y = load_diabetes(return_X_y=True)
        >>> model = ReLURegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0).fit(x, y)
        >>> round(model.score(x, y), 3)  # what least squares reaches
        0.518
    """

    _usual_epochs = 25

    def __init__(  # noqa: PLR0913 (scikit-learn's parameters)
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (256, 128),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "cosine",
        learning_rate_init: float = 0.002,
        power_t: float = 0.5,
        max_iter: int | None = None,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = math.inf,
        max_fun: int = 15000,
        network: str = "mlp",
        image_shape: tuple[int, int, int] | None = None,
        init: str = "he",
        norm: str | None = None,
        dropout: float = 0.2,
        weight_decay: float | None = None,
        repair: bool = True,
        device: str = "auto",
    ) -> None:
        given = {k: v for k, v in locals().items() if k not in {"self", "__class__"}}
        for name, value in given.items():
            setattr(self, name, value)

    def predict(self, X: Any) -> Values:
        """Return the predicted values, shape (rows,) or (rows, outputs)."""
        check_is_fitted(self)
        predictions = self._predictions(X)
        return predictions.ravel() if self.n_outputs_ == 1 else predictions

    @available_if(learns_in_parts)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "ReLURegressor":
        """Go on for one epoch over the rows given."""
        self._train(X, y, sample_weight, in_parts=True)
        return self

    def _read(self, X: Any, y: Any, *, fresh: bool, in_parts: bool) -> tuple[Any, Values]:  # noqa: ARG002
        X, y = validated(self, X, y, reset=fresh, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and y.min() < 0:
            raise InvalidParameterError("loss='poisson' needs targets of at least 0; some are not")
        return X, np.asarray(y, dtype=np.float64).reshape(len(y), -1)

    def _link(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _strata(self, targets: Values) -> None:
        """Return nothing: values have no strata."""

    def _metric(self, targets: Values, predictions: Values, weights: Values) -> float:
        return float(r2_score(targets, predictions, sample_weight=weights))
