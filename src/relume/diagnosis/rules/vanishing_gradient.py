"""Gradients that fade on their way back: the first layers get next to nothing.

What it detects
    A network of at least four weight matrices of which the first one's relative gradient (norm of
    the gradient over norm of the weight, median over the run's windows) is under a thousandth of
    the greatest, and that fades over at least half of the way: the median of the first half lies
    below the median of the second half by the root of that. Or a network in which that ratio, of
    the least gradients of the first window, was under 3e-4, and that has not learned nearly all
    there is.

Why it matters
    Layers without gradient stay as they were initialised: the network learns on random features,
    or not at all. Sigmoid and tanh layers, small weights and many layers are the usual causes.

What else it could be
    A deep network that trains all the same, for instance as Adam makes small gradients into usual
    updates: a note, and only from ``NOTE_RATIO`` on. A plateau that ends: likewise.

Remedies, with safety
    ReLU and He's scheme in the place of sigmoid or tanh (changes model); a norm layer between
    layers (changes model); shortcuts around layers (changes model).

Options
    ``WARNING_RATIO`` 1e-3 where the training does poorly, or the first layers move by less than
    ``UPDATE_RATIO`` 1e-3 of what the last do: a thousandth of the gradient means that the last
    layers are done before the first have begun. ``NOTE_RATIO`` 1e-4 otherwise. ``FIRST_RATIO``
    3e-4: networks that are initialised as usual begin at a hundredth or more; a warning, an error
    where the training does poorly, and nothing from ``LEARNED`` 0.9 of the loss of guessing on.
    The least gradients count, since Adam makes up for small ones within a few dozen steps; where
    they are exactly zero, as beneath an output layer that starts at zero, the means do.
    ``FEWEST_MATRICES`` 4: in a shallower network a single starved layer is told by its own rule.

References:
    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010; Bengio et al., "Learning long-term dependencies with gradient descent is
    difficult", IEEE Trans. Neural Netw. 5(2), 1994.
"""

import math
from collections.abc import Iterator, Sequence
from statistics import median

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.flow import FEWEST_STEPS, Flow, first_flow, flows
from relume.diagnosis.progress import does_poorly, severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import OptimizerFacts
from relume.runs.wording import short

WARNING_RATIO = 1e-3
NOTE_RATIO = 1e-4
FIRST_RATIO = 3e-4
LEARNED = 0.9
UPDATE_RATIO = 1e-3
FEWEST_MATRICES = 4

REMEDIES = (
    Advice("use ReLU with He's scheme instead of sigmoid or tanh", Safety.CHANGES_MODEL),
    Advice("put a norm layer between the layers", Safety.CHANGES_MODEL),
    Advice("put shortcuts around the layers", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding if gradients fade towards the first layer."""
    if not reading.run.weights:
        yield NotJudged(Code.VANISHING_GRADIENT, "the gradients of weights were not recorded")
        return
    if len(reading.run.of(OptimizerFacts)) > 1:
        yield NotJudged(Code.VANISHING_GRADIENT, "several optimizers: there is no single depth")
        return
    chain = flows(reading)
    if len(chain) < FEWEST_MATRICES:
        return
    if min(flow.steps for flow in chain) < FEWEST_STEPS:
        yield NotJudged(Code.VANISHING_GRADIENT, f"fewer than {FEWEST_STEPS} armed steps")
        return
    found = _judge(reading, chain)
    if found is not None:
        yield found


def _judge(reading: Reading, chain: Sequence[Flow]) -> Finding | None:
    first = _fading_at_first(reading, chain)
    ratio = fading([flow.gradient for flow in chain])
    moves = _relative_update(chain)
    grade = _severity(reading, ratio, first, moves)
    if grade is None:
        return None
    is_faded = ratio < WARNING_RATIO
    said = f"is {short(ratio)}" if is_faded else f"began at {short(first)}"
    return Finding(
        code=Code.VANISHING_GRADIENT,
        severity=grade,
        message=f"gradients fade towards the input: that of {chain[0].name}, by the size of the "
        f"weight, {said} of the greatest",
        where=chain[0].name,
        first_step=_since(reading, chain),
        evidence={
            "ratio": ratio,
            "ratio_at_first": first,
            "update_ratio": moves,
            "matrices": len(chain),
            "relative_gradients": tuple(flow.gradient for flow in chain),
            "threshold": WARNING_RATIO,
        },
        strength=WARNING_RATIO / max(ratio if is_faded else first, 1e-30),
        remedies=REMEDIES,
    )


def _severity(reading: Reading, ratio: float, first: float, moves: float) -> Severity | None:
    if first < FIRST_RATIO and reading.learned < LEARNED:
        return Severity.ERROR if does_poorly(reading) else Severity.WARNING
    if not ratio < WARNING_RATIO:
        return None
    grade = severity(reading, is_structural=moves < UPDATE_RATIO)
    return None if grade is Severity.NOTE and ratio >= NOTE_RATIO else grade


def fading(gradients: Sequence[float]) -> float:
    """Return the first relative gradient over the greatest, nan where it does not fade in depth.

    It fades in depth if the first half of the layers lies below the second by the root of that.
    """
    if not max(gradients) > 0:
        return math.nan
    ratio = gradients[0] / max(gradients)
    half = len(gradients) // 2
    front, back = median(gradients[:half]), median(gradients[-half:])
    return ratio if front <= math.sqrt(ratio) * back else math.nan


def _fading_at_first(reading: Reading, chain: Sequence[Flow]) -> float:
    """Return the same at the least of the first window; nan where the first steps were not seen."""
    if reading.windows[0].first_step > 1:
        return math.nan
    seen = [first_flow(reading, flow.name) for flow in chain]
    if not all(norm > 0 for _, norm in seen):
        return math.nan
    least = [reading.least_first_gradient(flow.name) for flow in chain]
    is_known = all(math.isfinite(each) and each > 0 for each in least)
    gradients = least if is_known else [gradient for gradient, _ in seen]
    return fading([each / norm for each, (_, norm) in zip(gradients, seen, strict=True)])


def _since(reading: Reading, chain: Sequence[Flow]) -> int:
    """Return the first step of the first window in which the first matrix got so little."""
    relative = [reading.gradient_norms(flow.name) for flow in chain]
    sizes = [reading.norms(flow.name) for flow in chain]
    for place, window in enumerate(reading.windows):
        seen = [g[place] / n[place] for g, n in zip(relative, sizes, strict=True)
                if place < min(len(g), len(n)) and n[place] > 0]  # fmt: skip
        if len(seen) == len(chain) and seen[0] < WARNING_RATIO * max(seen):
            return window.first_step
    return reading.windows[0].first_step


def _relative_update(chain: Sequence[Flow]) -> float:
    """Return how far the first matrix moves beside the one that moves most; nan if not known."""
    updates = [flow.update for flow in chain if math.isfinite(flow.update)]
    greatest = max(updates, default=0.0)
    return chain[0].update / greatest if greatest > 0 else math.nan


RULE = Rule(
    Code.VANISHING_GRADIENT,
    "vanishing-gradient",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.STARVED_LAYER,
            Code.DEAD_UNITS,
            Code.DEAD_LAYER,
            Code.UPDATE_RATIO,
            Code.NOT_DECREASING,
            Code.PLATEAU,
            Code.RATE_TOO_HIGH,
            Code.RATE_TOO_LOW,
            Code.STILL_IMPROVING,
            Code.CLASS_NEVER_PREDICTED,
        }
    ),
)
