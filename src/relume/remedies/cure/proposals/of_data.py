"""Proposals for what a model is given: scales, and rows without values."""

from collections.abc import Iterator, Mapping

from relume.diagnosis.codes import Code
from relume.remedies.cure.case import Case
from relume.remedies.cure.treatment import Kind, Treatment


def scale(case: Case) -> Iterator[Treatment]:
    """Propose to standardise what a finding calls unscaled: both sides, then each."""
    inputs, targets = case.input_scale(), case.target_scale()
    if Code.UNSCALED_INPUT not in case.codes:
        inputs = None
    if Code.UNSCALED_TARGET not in case.codes:
        targets = None
    sides = [("inputs", inputs), ("targets", targets)]
    wanted = {name: scale for name, scale in sides if scale is not None}
    if len(wanted) == 2:
        yield _scaling(wanted)
    for name, each in wanted.items():
        yield _scaling({name: each})


def _scaling(scales: Mapping[str, object]) -> Treatment:
    return Treatment(
        kind=Kind.SCALE,
        label=f"{' and '.join(scales)} standardised",
        numbers={name: _plain(each) for name, each in scales.items()},
        changes_loss="targets" in scales,
    )


def _plain(scale: object) -> object:
    return [_plain(each) for each in scale] if isinstance(scale, (tuple, list)) else scale


def drop_seen_rows(case: Case) -> Iterator[Treatment]:
    """Propose it where a batch had such rows, be it one that no finding could see."""
    if case.survey.get("has_missing"):
        yield from drop_rows(case)


def drop_rows(case: Case) -> Iterator[Treatment]:
    """Propose to leave out rows with missing values."""
    if case.survey.get("batch"):
        yield Treatment(
            kind=Kind.DROP_ROWS,
            label="rows with missing values left out",
            numbers={"dimensions": case.survey["batch"]},
        )
