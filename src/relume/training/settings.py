"""The choices of a training: one flat record, the same names on the command line and in a file."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from relume.errors import SettingsError, UnknownNameError

NETWORKS = ("mlp", "cnn", "resnet", "rnn", "transformer", "bag", "autoencoder")
NORMS = ("none", "batch", "layer")


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """Every choice of ``relume fit``; ``None`` means: chosen from the data, and said.

    Args:
        target: Column to predict, or several with commas between them: one head each.
        task: ``classification`` or ``regression``; of several targets one each, with commas.
        test: File with an own test part.
        drop: Columns to leave out.
        categorical: Columns to read as categories.
        text: Columns to read as text, word by word, however short.
        missing: Further texts that mean a missing value.
        validation_fraction: Share of the rows that chooses the best epoch.
        test_fraction: Share of the rows that is scored at the very end.
        network: ``mlp``; ``cnn`` or ``resnet`` where the rows are images; ``rnn`` or
            ``transformer`` where they are sequences; ``bag`` (the words in any order),
            ``transformer`` or ``rnn`` where columns hold text. Left out: ``mlp`` for tables,
            ``cnn`` for images, ``rnn`` for sequences, ``bag`` for tables with texts (``mlp``
            leaves texts out). ``autoencoder`` rebuilds the features and needs no target; a
            ``target`` is a column that it does not see.
        hidden: Widths of the hidden layers (channels for the convolutional networks; for sequences
            one width as many times as there are layers; of an autoencoder those of the encoder).
        code: Width of an autoencoder's code.
        bins: Quantile bins of each number, whose places in them an ``mlp`` takes beside it; 0 for
            none; left out: 8 for tables, fewer or none where they would be very many inputs.
        activation: Name in the catalogue.
        norm: ``none``, ``batch`` or ``layer``; left out: none for mlp, batch for images.
        dropout: Share of hidden units dropped in training, in [0, 1); left out: 0.3, or 0 for an
            autoencoder.
        init: Name of an initialisation; left out: ``identity`` for ``rnn``, ``he`` for the others.
        lr: Peak learning rate.
        clip: Largest norm of the gradient, which is scaled down to it, 0 for none; left out: 1 for
            ``rnn`` and ``transformer``, none for the others.
        weight_decay: Decoupled decay of the weights (not of biases, norms and slopes); left out:
            0.1 for an ``mlp`` on a table, 0.01 for the others.
        epochs: Most passes over the training part.
        averaging: Over how many epochs, about, the weights that are scored and kept are means; 0
            for the last ones; left out: 1 for an ``mlp`` on a table, 0 for the others.
        patience: Epochs without a better validation loss before it stops.
        batch_size: Rows a step.
        warmup: Share of the steps over which the rate rises to its peak.
        label_smoothing: Share of the target's mass spread over all classes, in [0, 1).
        class_weights: ``auto`` (when imbalanced), ``balanced`` or ``none``.
        seed: Of the split, the weights, the order of rows and the dropout.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``, ``cuda:1`` ...
        threads: Threads of one operation on the CPU; the weights repeat bitwise at the same number.
        every: Every how many steps the units are measured.
        repair: Whether cures are tried where the rules find a fault on the way, and the one that
            is measurably better on the validation part is kept.

    Raises:
        SettingsError: With the option's name, what was given and what is allowed.
    """

    target: str | None = None
    task: str | None = None
    test: str | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    network: str | None = None
    hidden: tuple[int, ...] | None = None
    code: int | None = None
    bins: int | None = None
    activation: str = "relu"
    norm: str | None = None
    dropout: float | None = None
    init: str | None = None
    lr: float = 2e-3
    clip: float | None = None
    weight_decay: float | None = None
    epochs: int | None = None
    averaging: float | None = None
    patience: int = 20
    batch_size: int | None = None
    warmup: float = 0.05
    label_smoothing: float = 0.1
    class_weights: str = "auto"
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    every: int = 10
    repair: bool = True

    def __post_init__(self) -> None:
        for name, (is_allowed, demand) in _DEMANDS.items():
            value = getattr(self, name)
            if value is not None and not is_allowed(value):
                raise SettingsError(f"{name} must {demand}; got {value}")
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            for part in [] if value is None else _parts(value) if name == "task" else [value]:
                if part not in known:
                    raise UnknownNameError(name, str(part), known)
        if self.code is not None and not self.is_autoencoder:
            raise SettingsError(
                f"code {self.code} is for --network autoencoder; name that network or leave it out"
            )
        if self.task is not None and self.is_autoencoder:
            raise SettingsError(
                f"task {self.task}: an autoencoder predicts no target; leave it out"
            )

    @property
    def is_autoencoder(self) -> bool:
        """Whether the features are rebuilt and nothing is predicted."""
        return self.network == "autoencoder"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that were given, in the order of the targets."""
        return () if self.task is None else _parts(self.task)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; ``from_mapping`` reads it back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any], where: str = "the settings") -> "FitSettings":
        """Return settings from named values, each checked for its name and type.

        Args:
            given: Option names to values; dashes count as underscores, a single value counts as
                a list of one where a list is wanted.
            where: What to call the source in an error.

        Raises:
            SettingsError: On an unknown name (the nearest are offered) or a wrong type.
        """
        known = {field.name: _wording(field.type) for field in fields(cls)}
        values: dict[str, Any] = {}
        for given_name, value in given.items():
            name = given_name.replace("-", "_")
            if name not in known:
                raise UnknownNameError(f"option in {where}", given_name, known)
            values[name] = _checked(name, value, known[name], where)
        return cls(**values)


def read_config(path: Path) -> dict[str, Any]:
    """Read a TOML file of option names and values.

    Raises:
        SettingsError: If it is missing or not TOML, with the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"there is no configuration file at {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path} is not a TOML file: {error}") from error


_SHARE = (lambda value: 0 <= value < 1, "be at least 0 and below 1")
_PART = (lambda value: 0 < value < 0.9, "lie between 0 and 0.9")
_COUNT = (lambda value: value >= 1, "be at least 1")
_DEMANDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "validation_fraction": _PART,
    "test_fraction": _PART,
    "hidden": (lambda value: bool(value) and min(value) >= 1, "be widths of at least 1"),
    "code": _COUNT,
    "bins": (lambda value: 0 <= value <= 1024, "be from 0 to 1024"),
    "dropout": _SHARE,
    "lr": (lambda value: 0 < value < 1e6, "be above 0"),
    "clip": (lambda value: 0 <= value < 1e6, "be at least 0"),
    "weight_decay": (lambda value: 0 <= value < 1e6, "be at least 0"),
    "epochs": _COUNT,
    "averaging": (lambda value: 0 <= value < 1e6, "be at least 0"),
    "patience": _COUNT,
    "batch_size": _COUNT,
    "warmup": _SHARE,
    "label_smoothing": _SHARE,
    "seed": (lambda value: 0 <= value < 2**63, "be at least 0"),
    "threads": _COUNT,
    "every": _COUNT,
}
_CHOICES = {
    "network": NETWORKS,
    "norm": NORMS,
    "task": ("classification", "regression"),
    "class_weights": ("auto", "balanced", "none"),
}


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _wording(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _checked(name: str, value: Any, annotation: str, where: str) -> Any:
    """Return a value in the type of its field; refuse what would have to be guessed."""
    if value is None and "None" in annotation:
        return None
    if annotation == "bool" and isinstance(value, bool):
        return value
    if annotation.startswith("tuple"):
        items = value if isinstance(value, list | tuple) else [value]
        kind: type = int if "int" in annotation else str
        if all(_is(item, kind) for item in items):
            return tuple(items)
    elif "float" in annotation and _is(value, float):
        return float(value)
    elif ("int" in annotation and _is(value, int)) or ("str" in annotation and _is(value, str)):
        return value
    wanted = annotation.replace(" | None", "").replace("tuple[", "list of ").replace(", ...]", "")
    raise SettingsError(f"{name} in {where} must be {wanted}; got {value!r}")


def _is(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float if kind is float else kind)
