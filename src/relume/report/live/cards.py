"""A run in one line, for the list of several."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from relume.report.parts import Document
from relume.report.views import shown_metric
from relume.report.wording import count, number

_TONES = {"running": "plain", "finished": "good", "failed": "bad"}


@dataclass(frozen=True, slots=True)
class Card:
    """What the list says of a run; what was not observed is a dash.

    Args:
        name: What the run is called.
        key: Its place in addresses.
        status: running, finished, interrupted or failed.
        tone: How that is coloured.
        steps: How far it is.
        loss: Of its last steps.
        score: The last one, and of what.
        dead: How many units are dead, of how many.
        findings: How many errors and warnings.
        gravest: The first of them, in a sentence.
        written_at_s: When it was last written to, in seconds since 1970.
    """

    name: str
    key: str
    status: str = "not read yet"
    tone: str = "plain"
    steps: str = "—"
    loss: str = "—"
    score: str = "—"
    dead: str = "—"
    findings: str = "—"
    gravest: str = ""
    written_at_s: float = 0.0


def card_of(document: Document, *, name: str, key: str, written_at_s: float) -> Card:
    """Return a run in one line."""
    grave = [each for each in document.findings if each.severity != "note"]
    errors = sum(each.severity == "error" for each in grave)
    counts = [
        count(how_many, what)
        for how_many, what in ((errors, "error"), (len(grave) - errors, "warning"))
        if how_many
    ]
    units = document.units
    return Card(
        name=name,
        key=key,
        status=document.status,
        tone=_TONES.get(document.status, "warn"),
        steps=f"{document.steps:,}",
        loss=_last(document.window_curves.loss),
        score=_score(document),
        dead="—" if units is None else f"{units.dead:,} of {units.units:,}",
        findings=", ".join(counts) or "none",
        gravest=grave[0].said if grave else "",
        written_at_s=written_at_s,
    )


def _score(document: Document) -> str:
    if document.result is not None:
        return f"{number(document.result.score)} {document.result.metric}"
    scores = document.epoch_curves.validation_score
    if _finite(scores):
        return f"{_last(scores)} validation {shown_metric(document)}"
    curve = next(iter(document.metrics), None)
    return "—" if curve is None else f"{number(curve.value[-1])} {curve.name}"


def _last(values: Sequence[float]) -> str:
    known = _finite(values)
    return number(known[-1]) if known else "—"


def _finite(values: Sequence[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]
