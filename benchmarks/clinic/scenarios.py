"""What is trained where nothing is wrong: data set x network, by group.

The groups share no data set, no network and no seed, and so do the two parts that they make up.
Thresholds are chosen on ``tuning``; figures are reported on ``validation``.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from benchmarks.clinic.recipe import Option, Recipe


class Part(StrEnum):
    """Which half of the clinic a training belongs to."""

    TUNING = "tuning"
    VALIDATION = "validation"


class Group(StrEnum):
    """What was drawn up at one time; the value begins the ids of its cases.

    The second group was the validation part until its figures had been looked at too often. It is
    one to tune on since then; its cases kept their names.
    """

    FIRST = "tuning"
    SECOND = "validation"
    THIRD = "validation2"

    @property
    def part(self) -> Part:
        """To what its cases are used."""
        return Part.VALIDATION if self is Group.THIRD else Part.TUNING


SEEDS = {
    Group.FIRST: (11, 12, 13, 14, 15),
    Group.SECOND: (21, 22, 23, 24, 25),
    Group.THIRD: (31, 32, 33, 34, 35),
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A data set, a network, and a recipe with which it learns.

    Args:
        name: ``data/network``.
        group: With what it was drawn up.
        data: Name in ``data.py``.
        network: Name in ``networks.py``.
        tags: What faults and controls ask for: the kind of task (``classes``, ``binary``,
            ``amounts``, ``rebuilt``, ``generated``), what the network takes as options
            (``mlp``: activation, depth, width, detach, gate; ``head``: the last operation), and
            what it has (``relu``, ``norm``, ``norm2d``, ``dropout``, ``prelu``, ``selu``,
            ``smooth``, ``bounded``, ``recurrent``, ``rnn``, ``images``, ``vae``, ``latent``).
        good: The score that a healthy training reaches.
        recipe: How it is trained.
    """

    name: str
    group: Group
    data: str
    network: str
    tags: frozenset[str]
    good: float
    recipe: Recipe


def _scenario(group: Group, name: str, tags: str, good: float, recipe: Recipe) -> Scenario:
    data, network = name.split("/")
    return Scenario(name, group, data, network, frozenset(tags.split()), good, recipe)


def _given(**options: Option) -> tuple[tuple[str, Option], ...]:
    return tuple(options.items())


_ADAM = Recipe(rate=2e-3, batch=32)
_SGD = Recipe(rate=0.05, optimizer="sgd", momentum=0.9, batch=16)

_FIRST = (
    ("digits/functional", "classes mlp head relu table", 0.92,
     replace(_ADAM, batch=50, epochs=10)),
    ("wine/tower", "classes mlp head relu dropout table", 0.9,
     replace(_SGD, rate=0.02, epochs=30, options=_given(dropout=0.2))),
    ("moons/tower", "binary mlp head relu dropout", 0.9,
     replace(_ADAM, rate=5e-3, epochs=15, options=_given(dropout=0.1))),
    ("friedman1/functional", "amounts mlp head relu", 0.8,
     replace(_ADAM, rate=5e-3, epochs=15)),
    ("blobs/gelu", "classes smooth head", 0.9, replace(_ADAM, epochs=10)),
    ("digit_images/bn_cnn", "classes head relu norm norm2d images", 0.93,
     replace(_ADAM, batch=40, epochs=6)),
    ("diabetes/residual", "amounts head relu norm table", 0.25,
     replace(_ADAM, rate=1e-3, epochs=12)),
    ("digits/bn_tower", "classes mlp head relu norm table", 0.92,
     replace(_ADAM, batch=50, epochs=10)),
    ("moons/functional", "binary mlp head relu", 0.9, replace(_ADAM, rate=1e-2, epochs=15)),
    ("friedman1/tanh_net", "amounts mlp head bounded", 0.8,
     replace(_ADAM, rate=5e-3, epochs=15)),
    ("digits/tanh_net", "classes mlp head bounded", 0.92, replace(_ADAM, batch=50, epochs=10)),
    ("digits/prelu_net", "classes prelu head", 0.92, replace(_ADAM, batch=50, epochs=10)),
    ("friedman1/prelu_net", "amounts prelu head", 0.8, replace(_ADAM, rate=5e-3, epochs=15)),
    ("blobs/selu_net", "classes selu", 0.9, replace(_ADAM, epochs=10)),
    ("friedman1/selu_net", "amounts selu", 0.75, replace(_ADAM, epochs=18)),
    ("adding/elman", "amounts recurrent rnn", 0.6, replace(_ADAM, rate=3e-3, epochs=15)),
    ("sine/gru", "amounts recurrent", 0.8, replace(_ADAM, rate=5e-3, epochs=10)),
    ("sine/elman", "amounts recurrent rnn", 0.8, replace(_ADAM, rate=2e-3, epochs=10)),
    ("digits/autoencoder", "rebuilt relu latent", 0.4,
     replace(_ADAM, rate=3e-3, batch=50, epochs=12)),
    ("digits/vae", "rebuilt vae latent", 0.2, replace(_ADAM, rate=3e-3, batch=50, epochs=12)),
    ("ring/gan", "generated", 0.6, replace(_ADAM, rate=2e-3, batch=64, epochs=60)),
)  # fmt: skip

_SECOND = (
    ("rings/listed", "classes mlp head relu", 0.9, replace(_ADAM, rate=5e-3, epochs=15)),
    ("fashion/listed", "classes mlp head relu", 0.75, replace(_ADAM, rate=1e-3, epochs=6)),
    ("cancer/listed", "binary mlp head relu table", 0.93, replace(_ADAM, epochs=15)),
    ("waves/listed", "amounts mlp head relu", 0.8, replace(_ADAM, rate=5e-3, epochs=15)),
    ("fashion/strided_cnn", "classes head relu norm norm2d images", 0.72,
     replace(_ADAM, batch=32, rate=4e-3, epochs=5)),
    ("hastie/dropped", "binary mlp head relu dropout", 0.8,
     replace(_ADAM, epochs=12, options=_given(dropout=0.2))),
    ("clusters/dropped", "classes mlp head relu dropout", 0.8,
     replace(_SGD, rate=0.03, batch=32, epochs=12, options=_given(dropout=0.2))),
    ("friedman2/dense_skip", "amounts head relu", 0.9, replace(_ADAM, rate=3e-3, epochs=15)),
    ("clusters/blocked", "classes mlp head relu norm", 0.8, replace(_ADAM, epochs=10)),
    ("waves/blocked", "amounts mlp head relu norm", 0.75, replace(_ADAM, rate=5e-3, epochs=15)),
    ("iris/squashed", "classes mlp head bounded table", 0.88,
     replace(_ADAM, rate=1e-2, batch=16, epochs=25)),
    ("waves/squashed", "amounts mlp head bounded", 0.75, replace(_ADAM, rate=5e-3, epochs=18)),
    ("clusters/leaky", "classes smooth head", 0.8, replace(_ADAM, epochs=10)),
    ("rings/sliding", "classes prelu head", 0.88, replace(_ADAM, rate=5e-3, epochs=15)),
    ("friedman2/sliding", "amounts prelu head", 0.9, replace(_ADAM, rate=3e-3, epochs=15)),
    ("clusters/selu_stack", "classes selu", 0.78, replace(_ADAM, epochs=10)),
    ("friedman2/selu_stack", "amounts selu", 0.85, replace(_ADAM, epochs=18)),
    ("recall/plain_rnn", "classes recurrent rnn", 0.8, replace(_ADAM, rate=3e-3, epochs=18)),
    ("echo/plain_rnn", "amounts recurrent rnn", 0.6, replace(_ADAM, rate=4e-3, epochs=24)),
    ("majority/lstm", "binary recurrent", 0.85, replace(_ADAM, rate=5e-3, epochs=8)),
    ("recall/encoder", "classes dropout_inside", 0.8, replace(_ADAM, rate=3e-3, epochs=6)),
    ("fashion/tied", "rebuilt relu latent", 0.4, replace(_ADAM, epochs=8)),
    ("fashion/deep_vae", "rebuilt vae latent", 0.25, replace(_ADAM, epochs=8)),
    ("grid/small_gan", "generated", 0.6, replace(_ADAM, rate=2e-3, batch=64, epochs=60)),
)  # fmt: skip

_NADAM = replace(_ADAM, optimizer="nadam")
_RADAM = replace(_ADAM, optimizer="radam", rate=4e-3)
_NESTEROV = Recipe(rate=0.03, optimizer="nesterov", momentum=0.9, batch=24)
_BY_INDEX = ("batches by index", "zeroed after the step", "validated at once")

_THIRD = (
    ("galaxies/funnel", "classes mlp head relu table", 0.92,
     replace(_ADAM, batch=48, epochs=10, habits=_BY_INDEX)),
    ("clothes/in_place", "classes mlp head relu", 0.74,
     replace(_NESTEROV, epochs=8, schedule="steps", weights=(("orthogonal", 1.0),))),
    ("shop/funnel", "amounts mlp head relu table", 0.9, replace(_NADAM, epochs=12)),
    ("roll/in_place", "amounts mlp head relu", 0.93,
     replace(_ADAM, epochs=15, schedule="by hand", habits=_BY_INDEX)),
    ("terrain/in_place", "amounts mlp head relu", 0.6,
     replace(_ADAM, rate=4e-3, batch=40, epochs=14)),
    ("loans/funnel", "binary mlp head relu table", 0.86, replace(_RADAM, epochs=10)),
    ("checkers/in_place", "binary mlp head relu", 0.88, replace(_ADAM, rate=5e-3, epochs=15)),
    ("circles/shared", "binary mlp head relu dropout", 0.92,
     replace(_NADAM, rate=4e-3, epochs=10, options=_given(dropout=0.15), habits=_BY_INDEX)),
    ("quantiles/shared", "classes mlp head relu dropout", 0.84,
     replace(_NESTEROV, epochs=15, options=_given(dropout=0.1))),
    ("quantiles/after_norm", "classes mlp head relu norm", 0.84,
     replace(_ADAM, rate=4e-3, epochs=12)),
    ("shop/after_norm", "amounts mlp head relu norm table", 0.92,
     replace(_ADAM, rate=4e-3, epochs=14, schedule="steps")),
    ("galaxies/logistic", "classes mlp head bounded table", 0.92,
     replace(_ADAM, rate=1e-2, epochs=14)),
    ("roll/logistic", "amounts mlp head bounded", 0.92, replace(_ADAM, rate=2e-2, epochs=20)),
    ("spirals/swish", "classes smooth head", 0.93, replace(_RADAM, rate=6e-3, epochs=18)),
    ("galaxies/swish", "classes smooth head", 0.92,
     replace(_NADAM, epochs=10, habits=_BY_INDEX)),
    ("spirals/sloped", "classes prelu head", 0.93, replace(_ADAM, rate=6e-3, epochs=18)),
    ("roll/sloped", "amounts prelu head", 0.93, replace(_NADAM, rate=3e-3, epochs=15)),
    ("quantiles/selu_taper", "classes selu", 0.82, replace(_ADAM, epochs=12)),
    ("shop/selu_taper", "amounts selu", 0.86, replace(_ADAM, epochs=16)),
    ("clothes/residual_cnn", "classes head relu norm norm2d images", 0.68,
     replace(_ADAM, rate=4e-3, batch=32, epochs=8, schedule="by hand")),
    ("shapes/residual_cnn", "classes head relu norm norm2d images", 0.88,
     replace(_ADAM, rate=4e-3, epochs=8, habits=_BY_INDEX)),
    ("shapes/lenet", "classes head relu images", 0.88, replace(_ADAM, epochs=8)),
    ("photos/lenet", "binary head relu", 0.78, replace(_NADAM, rate=2e-3, epochs=8)),
    ("order/stacked_rnn", "classes recurrent rnn", 0.92, replace(_ADAM, rate=2e-3, epochs=15)),
    ("pulses/stacked_rnn", "amounts recurrent rnn", 0.93, replace(_ADAM, epochs=12)),
    ("pulses/cell_rnn", "amounts recurrent rnn", 0.93,
     replace(_ADAM, epochs=10, habits=(*_BY_INDEX, "clipped"))),
    ("peaks/two_lstms", "amounts recurrent", 0.9, replace(_ADAM, rate=8e-3, epochs=12)),
    ("languages/both_ways", "classes recurrent", 0.9, replace(_ADAM, rate=5e-3, epochs=8)),
    ("gestures/attention", "classes dropout_inside", 0.8,
     replace(_ADAM, optimizer="adamw", weight_decay=0.01, epochs=10, schedule="warm up")),
    ("gestures/time_cnn", "classes head relu norm", 0.94, replace(_NESTEROV, epochs=8)),
    ("photos/deep_autoencoder", "rebuilt relu latent", 0.85, replace(_ADAM, epochs=15)),
    ("shapes/wide_vae", "rebuilt vae latent", 0.28, replace(_ADAM, epochs=15)),
    ("crescents/leaky_gan", "generated", 0.75, replace(_ADAM, rate=1e-3, batch=64, epochs=50)),
)  # fmt: skip

SCENARIOS = tuple(
    _scenario(group, *row)
    for group, rows in zip(Group, (_FIRST, _SECOND, _THIRD), strict=True)
    for row in rows
)
