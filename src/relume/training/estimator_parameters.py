"""The parameters of the estimators: what each may be, checked when ``fit`` is called."""

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

from relume.errors import SettingsError
from relume.nn.init import scheme_names

SOLVERS = ("adam", "sgd", "lbfgs")
RATES = ("cosine", "constant", "invscaling", "adaptive")


class InvalidParameterError(SettingsError, ValueError, TypeError):
    """A parameter of an estimator that makes no sense; a ValueError, as scikit-learn has it."""


def check_parameters(estimator: str, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that make no sense.

    Args:
        estimator: Name of its class, for the message.
        parameters: What ``get_params(deep=False)`` returned.

    Raises:
        InvalidParameterError: With the parameter's name, what is allowed and what was given.

    Example:
        >>> check_parameters("ReLUClassifier", {"alpha": -1})
        Traceback (most recent call last):
        relume.training.estimator_parameters.InvalidParameterError: The 'alpha' parameter of \
ReLUClassifier must be a number of at least 0. Got -1 instead.
    """
    for name, value in parameters.items():
        if name in _DEMANDS:
            demand, is_allowed = _DEMANDS[name]
            if not is_allowed(value):
                where = f"The {name!r} parameter of {estimator}"
                raise InvalidParameterError(f"{where} must be {demand}. Got {value!r} instead.")


def layer_widths(hidden_layer_sizes: Any) -> tuple[int, ...]:
    """Return the widths that ``hidden_layer_sizes`` stands for: one number, or several.

    Raises:
        InvalidParameterError: They are not whole numbers above 0.

    Example:
        >>> layer_widths(100), layer_widths([64, 32]), layer_widths(())
        ((100,), (64, 32), ())
    """
    given = hidden_layer_sizes
    widths = [given] if not hasattr(given, "__iter__") else list(given)
    if not all(_is_integer(width) and width > 0 for width in widths):
        raise InvalidParameterError(
            f"hidden_layer_sizes must be whole numbers > 0, got {hidden_layer_sizes!r}."
        )
    return tuple(int(width) for width in widths)


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not _is_flag(value)


def _is_flag(value: Any) -> bool:
    return type(value).__name__ in ("bool", "bool_")


def _is_count(value: Any) -> bool:
    return _is_integer(value) and value >= 1


def _is_patience(value: Any) -> bool:
    return _is_count(value) or (isinstance(value, float) and value == math.inf)


def _is_batch_size(value: Any) -> bool:
    return _is_count(value) or (isinstance(value, str) and value == "auto")


def _is_verbose(value: Any) -> bool:
    return _is_flag(value) or (_is_integer(value) and value >= 0)


def _is_image_shape(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, tuple | list) and len(value) == 3 and all(map(_is_count, value))


Demand = tuple[str, Callable[[Any], bool]]


def _above(least: float) -> Demand:
    return f"a number above {least:g}", lambda value: _is_number(value) and value > least


def _at_least(least: float) -> Demand:
    return f"a number of at least {least:g}", lambda value: _is_number(value) and value >= least


def _one_of(*known: str | None) -> Demand:
    return (
        f"one of {', '.join(map(repr, known))}",
        lambda value: (value is None or isinstance(value, str)) and value in known,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not _is_flag(value) and math.isfinite(value)


def _is_amount(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_share(value: Any) -> bool:
    return _is_amount(value) and value < 1


_SHARE: Demand = ("a number in the range [0, 1)", _is_share)
_COUNT: Demand = ("a whole number of at least 1", _is_count)
_FLAG: Demand = ("True or False", _is_flag)
_DEMANDS: Mapping[str, Demand] = {
    "activation": ("a name of the catalogue", lambda value: isinstance(value, str)),
    "solver": _one_of(*SOLVERS),
    "alpha": _at_least(0),
    "batch_size": ("'auto' or a whole number of at least 1", _is_batch_size),
    "learning_rate": _one_of(*RATES),
    "learning_rate_init": _above(0),
    "weight_decay": ("None or a number of at least 0", lambda v: v is None or _is_amount(v)),
    "label_smoothing": (
        "None or a number in the range [0, 1)",
        lambda v: v is None or _is_share(v),
    ),
    "power_t": _at_least(0),
    "max_iter": ("None or a whole number of at least 1", lambda v: v is None or _is_count(v)),
    "shuffle": _FLAG,
    "tol": _at_least(0),
    "verbose": ("True, False or a whole number of at least 0", _is_verbose),
    "warm_start": _FLAG,
    "momentum": (
        "a number in the range [0, 1]",
        lambda value: _is_number(value) and 0 <= value <= 1,
    ),
    "nesterovs_momentum": _FLAG,
    "early_stopping": _FLAG,
    "validation_fraction": _SHARE,
    "beta_1": _SHARE,
    "beta_2": _SHARE,
    "epsilon": _above(0),
    "n_iter_no_change": ("a whole number of at least 1, or numpy.inf", _is_patience),
    "max_fun": _COUNT,
    "loss": _one_of("squared_error", "poisson"),
    "network": _one_of("mlp", "cnn", "resnet"),
    "image_shape": ("None, or channels, height and width", _is_image_shape),
    "init": _one_of(*scheme_names()),
    "norm": _one_of(None, "batch", "layer"),
    "dropout": _SHARE,
    "repair": _FLAG,
    "device": ("the name of a device, or 'auto'", lambda value: isinstance(value, str)),
}
