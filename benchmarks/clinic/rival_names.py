"""Who the rivals are, and which of our codes each of their reports may stand for.

Generously: a report names a fault rightly if any of its codes does; where a tool prints likely
causes or repairs, these count. So that a report counts once, the truth of a case is told in the
rival's own words (``in_words_of``), and the clinic's figures are made of those.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.clinic.cases import Case
from benchmarks.clinic.data import SOURCES
from benchmarks.clinic.networks import REBUILDING
from benchmarks.clinic.rebuilt_autotrainer import Autotrainer
from benchmarks.clinic.rebuilt_deepdiagnosis import Deepdiagnosis
from benchmarks.clinic.rebuilt_sagemaker import Sagemaker
from benchmarks.clinic.rival_installed import Neuraldbg, Torchdiag
from benchmarks.clinic.rival_watching import Watcher
from relume.diagnosis.codes import Code

Codes = tuple[Code, ...]

DEAD = (
    Code.DEAD_UNITS, Code.DYING_UNITS, Code.DEAD_AT_START, Code.DEAD_LAYER, Code.DORMANT_UNITS,
    Code.DEAD_LATENTS,
)  # fmt: skip
SATURATED = (Code.SATURATED_UNITS,)
VANISHING = (
    Code.VANISHING_GRADIENT, Code.STARVED_LAYER, Code.NO_GRADIENT, Code.DEAD_LAYER,
    Code.SATURATED_UNITS,
)  # fmt: skip
EXPLODING = (
    Code.EXPLODING_GRADIENT, Code.NONFINITE_GRADIENT, Code.DIVERGING, Code.RATE_TOO_HIGH,
    Code.RECURRENT_GROWTH,
)  # fmt: skip
NOT_FINITE = (
    Code.NONFINITE_INPUT, Code.MISSING_TARGET, Code.NONFINITE_GRADIENT, Code.DIVERGING,
    Code.LOGITS_AS_PROBABILITIES,
)  # fmt: skip
STUCK = (
    Code.NOT_DECREASING, Code.PLATEAU, Code.RATE_TOO_LOW, Code.STILL_IMPROVING,
    Code.CLASS_NEVER_PREDICTED,
)  # fmt: skip
UNTRAINED = (Code.NOT_OPTIMISED, Code.NO_GRADIENT)
HEAD = (
    Code.ONE_OUTPUT, Code.SOFTMAX_TWICE, Code.SIGMOID_TWICE, Code.LOGITS_AS_PROBABILITIES,
    Code.NLL_WITHOUT_LOG, Code.BOUNDED_LOGITS, Code.BOUNDED_REGRESSION, Code.RELU_ON_OUTPUT,
)  # fmt: skip
OVERFIT = (Code.OVER_FITTING, Code.OVER_TRAINING, Code.MEMORISING, Code.TRAIN_EVAL_GAP)

_TORCHDIAG: Mapping[str, Codes] = {
    "no_grad": UNTRAINED,
    "EXPLODE": EXPLODING,
    "VANISH": VANISHING,
    "dead neurons": (*DEAD, Code.RATE_TOO_HIGH, Code.UNSCALED_INPUT),
    "loss not finite": NOT_FINITE,
    "no parameters changed": (*UNTRAINED, Code.RATE_TOO_LOW),
}
_NEURALDBG: Mapping[str, Codes] = {
    "gradient_vanishing": VANISHING,
    "gradient_saturated": VANISHING,
    "gradient_exploding": EXPLODING,
    "activation_dead": DEAD,
    "activation_saturated": SATURATED,
    "activation_anomalous": NOT_FINITE,
    "optimizer_loss_plateau": STUCK,
    "optimizer_loss_spike": (Code.OSCILLATING, Code.DIVERGING, Code.RATE_TOO_HIGH),
    "optimizer_diverging": EXPLODING,
    "data_nan_detected": NOT_FINITE,
    "data_inf_detected": NOT_FINITE,
    "data_distribution_shift": (
        Code.UNSCALED_INPUT, Code.CHANNEL_DRIFT, Code.TRAIN_EVAL_GAP, Code.CONSTANT_INPUT,
    ),
}  # fmt: skip
_SAGEMAKER: Mapping[str, Codes] = {
    "DeadRelu": DEAD,
    "VanishingGradient": VANISHING,
    "PoorWeightInitialization": (
        Code.DEAD_AT_START, Code.FIRST_LOSS, Code.IDENTICAL_UNITS, Code.SELU_SETUP, *VANISHING,
        Code.EXPLODING_GRADIENT,
    ),
    "WeightUpdateRatio": (
        Code.UPDATE_RATIO, Code.RATE_TOO_HIGH, Code.RATE_TOO_LOW, *UNTRAINED,
    ),
    "Overfit": OVERFIT,
}  # fmt: skip
_AUTOTRAINER: Mapping[str, Codes] = {
    "data": (Code.UNSCALED_INPUT, Code.UNSCALED_TARGET, Code.NONFINITE_INPUT),
    "activation": HEAD,
    "loss": (Code.SQUARED_ERROR_ON_CLASSES, Code.NLL_WITHOUT_LOG, Code.LOGITS_AS_PROBABILITIES),
    "explode": EXPLODING,
    "vanish": VANISHING,
    "relu": DEAD,
    "not_converge": STUCK,
    "unstable": (Code.OSCILLATING, Code.RATE_TOO_HIGH),
}
_DEEPDIAGNOSIS: Mapping[str, Codes] = {
    "out of range": (*HEAD, Code.UNSCALED_TARGET, Code.FIRST_LOSS),
    "numerical error": (*NOT_FINITE, *DEAD, Code.NO_GRADIENT, Code.UNSCALED_INPUT),
    "dead node": (*DEAD, Code.UNSCALED_INPUT, Code.RATE_TOO_HIGH),
    "saturated activation": (*SATURATED, Code.UNSCALED_INPUT),
    "vanishing gradient": VANISHING,
    "unchanged tensor": (*UNTRAINED, *DEAD, Code.RATE_TOO_LOW),
    "loss not decreasing": (*STUCK, *UNTRAINED, Code.RATE_TOO_HIGH, Code.UNSCALED_INPUT),
    "accuracy not increasing": (*STUCK, *UNTRAINED, Code.RATE_TOO_HIGH, Code.UNSCALED_INPUT),
    "invalid loss": NOT_FINITE,
    "invalid accuracy": (*STUCK, *NOT_FINITE),
}


@dataclass(frozen=True, slots=True)
class Rival:
    """One rival.

    Args:
        key: Of its reports in the cache.
        label: As it is shown.
        package: That has to be installed; empty: rebuilt here.
        words: Codes that each of its reports may stand for.
        make: A watcher of one training; of a script, None, if it is installed.
    """

    key: str
    label: str
    package: str
    words: Mapping[str, Codes]
    make: Callable[[Case | None], Watcher]

    @property
    def is_rebuilt(self) -> bool:
        """Whether its rules are ours, with its thresholds."""
        return not self.package

    def label_without(self, words: Sequence[str]) -> str:
        """Return its label, with the reports that are left out."""
        return f"{self.label} without {', '.join(words)}" if words else self.label


def _are_classes(case: Case) -> bool:
    return SOURCES[case.data][0] in {"classes", "binary"} and case.network not in REBUILDING


RIVALS = (
    Rival("torchdiag", "torchdiag 0.1.0", "torchdiag", _TORCHDIAG, lambda _: Torchdiag()),
    Rival("neuraldbg", "neuraldbg 1.3.2", "neuraldbg", _NEURALDBG, lambda _: Neuraldbg()),
    Rival(
        "sagemaker", "SageMaker Debugger (rebuilt)", "", _SAGEMAKER, lambda _: Sagemaker()
    ),
    Rival(
        "autotrainer", "AutoTrainer (rebuilt)", "", _AUTOTRAINER,
        lambda case: Autotrainer(case.recipe.epochs, are_classes=_are_classes(case)),
    ),
    Rival(
        "deepdiagnosis", "DeepDiagnosis (rebuilt)", "", _DEEPDIAGNOSIS,
        lambda case: Deepdiagnosis(case.recipe.epochs, are_classes=_are_classes(case)),
    ),
)  # fmt: skip

WITHOUT: Mapping[str, tuple[tuple[str, ...], ...]] = {each.key: ((),) for each in RIVALS} | {
    "neuraldbg": ((), ("data_distribution_shift",)),
}
"""The rows of each rival: which reports are left out of it, as they come in nearly every run."""


def meaning(rival: Rival, codes: tuple[Code, ...]) -> tuple[str, ...]:
    """Return the reports of a rival that may stand for any of these codes."""
    return tuple(word for word, meant in rival.words.items() if set(meant) & set(codes))


def in_words_of(rival: Rival, case: Case) -> Case:
    """Return a case whose truth is told in the words of a rival."""
    true, expected = meaning(rival, case.true_codes), meaning(rival, case.expected)
    return replace(case, true_codes=true, expected=expected)
