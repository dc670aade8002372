"""Slopes of a PReLU below zero: its function folds back instead of rising.

What it detects
    A parametric ReLU of which slopes lie below zero, in the last window that was measured.

Why it matters
    Below zero it is no longer monotone: rows left and right of zero are sent to the same output,
    and gradients change their sign there.

What else it could be
    Slopes just below zero, or a few that learned to fold: training does allow it (a note).

Remedies, with safety
    Start the slopes at 0.25 (changes training); keep them above zero by clamping after each step
    (changes training); use leaky ReLU, of which the slope is fixed (changes model).

Options
    ``LEAST`` -0.01: nearer to zero is rounding about ReLU itself. A warning where the mean slope
    of the layer lies below ``MEAN`` -0.1 and already did in the first window, as by their
    initialisation, or where the training does poorly.

References:
    He et al., "Delving deep into rectifiers", ICCV 2015, section 2.1 (slopes start at 0.25).
"""

from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.records import Moments
from relume.runs.wording import at_place, short

LEAST = -0.01
MEAN = -0.1

REMEDIES = (
    Advice("start the slopes at 0.25", Safety.CHANGES_TRAINING),
    Advice("clamp the slopes at zero after each step", Safety.CHANGES_TRAINING),
    Advice("use leaky ReLU, of which the slope is fixed", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each layer with slopes below zero."""
    for index, layer in enumerate(reading.run.layers):
        seen = [
            (window.first_step, window.layers[index].slope)
            for window in reading.windows
            if window.layers[index].slope.count
        ]
        if not seen or not seen[-1][1].least < LEAST:
            continue
        slopes = [slope for _, slope in seen]
        yield Finding(
            code=Code.NEGATIVE_SLOPES,
            severity=_severity(reading, slopes),
            message=f"slopes of {layer.name} lie below zero: down to {short(slopes[-1].least)}, "
            f"on average {short(slopes[-1].mean)}",
            where=at_place(layer.name, layer.place),
            first_step=next(step for step, slope in seen if slope.least < LEAST),
            evidence={
                "least_slope": slopes[-1].least,
                "mean_slope": slopes[-1].mean,
                "mean_slope_at_first": slopes[0].mean,
                "threshold": LEAST,
            },
            cause="they began below zero" if slopes[0].greatest < 0 else "",
            strength=slopes[-1].least / LEAST,
            remedies=REMEDIES,
        )


def _severity(reading: Reading, slopes: list[Moments]) -> Severity:
    if slopes[-1].mean >= MEAN:
        return Severity.NOTE
    return severity(reading, is_structural=slopes[0].mean < MEAN)


RULE = Rule(
    Code.NEGATIVE_SLOPES,
    "negative-slopes",
    __doc__ or "",
    check,
    explains=frozenset({Code.NOT_DECREASING, Code.PLATEAU}),
)
