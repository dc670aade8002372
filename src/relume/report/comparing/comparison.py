"""Two runs compared, as plain data: differences, losses, scores, units, findings, cost."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from relume.diagnosis.engine import diagnose
from relume.diagnosis.finding import Finding
from relume.report.comparing.courses import LossPair, ScorePair, loss_pairs, score_pairs
from relume.report.comparing.differences import Differences, differences
from relume.report.parts import plain
from relume.runs.query import Run
from relume.runs.summary import LayerSummary, summarise_layers
from relume.runs.wording import count

FORMAT, VERSION = "relume-diff", 1


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs, in a line; ``measured_share`` of its time went into watching it."""

    path: str
    kind: str
    name: str
    status: str
    steps: int
    armed_steps: int
    processes: int
    measured_share: float | None
    repairs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnitStates:
    """How many units of a layer are in which state; None where that cannot be or was not seen."""

    units: int
    rows: int
    dead: int | None
    dying: int | None
    saturated: int | None
    dormant: int | None
    at_final_weights: bool


@dataclass(frozen=True, slots=True)
class LayerPair:
    """A layer by its name; None: the run has no such layer."""

    name: str
    a: UnitStates | None
    b: UnitStates | None


@dataclass(frozen=True, slots=True)
class ComparedFinding:
    """A finding of one of the two runs."""

    code: str
    severity: str
    where: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs held against one another.

    ``gained`` are findings that only the second run has, ``lost`` those that only the first one
    has, by code and place. ``caveats`` say what cannot be concluded.
    """

    a: Side
    b: Side
    differences: tuple[Differences, ...]
    losses: tuple[LossPair, ...]
    scores: tuple[ScorePair, ...]
    layers: tuple[LayerPair, ...]
    gained: tuple[ComparedFinding, ...]
    lost: tuple[ComparedFinding, ...]
    findings_in_both: int
    caveats: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return one versioned object of plain JSON data."""
        data: dict[str, Any] = plain(asdict(self))
        return {"format": FORMAT, "version": VERSION, **data}


def compare_runs(a: Run, b: Run) -> Comparison:
    """Hold two runs against one another.

    Cost: linear in the size of both records; the rules are asked of each.
    """
    found = [_by_place(diagnose(run).findings) for run in (a, b)]
    differing = differences(a, b)
    return Comparison(
        a=_side(a),
        b=_side(b),
        differences=differing,
        losses=loss_pairs(a, b),
        scores=score_pairs(a, b),
        layers=_layer_pairs(summarise_layers(a), summarise_layers(b)),
        gained=tuple(each for key, each in found[1].items() if key not in found[0]),
        lost=tuple(each for key, each in found[0].items() if key not in found[1]),
        findings_in_both=len(found[0].keys() & found[1].keys()),
        caveats=tuple(_caveats(a, b, differing)),
    )


def _side(run: Run) -> Side:
    share = run.info.overhead.get("measured_share")
    return Side(
        path=str(run.path),
        kind=run.info.kind,
        name=str(run.info.data.get("name") or ""),
        status=run.info.status,
        steps=run.last_step,
        armed_steps=sum(window.armed_steps for window in run.windows),
        processes=run.shards,
        measured_share=float(share) if isinstance(share, int | float) else None,
        repairs=tuple(
            f"step {each.step:,}: {each.action}, {_KEPT[each.is_kept]}"
            + (f" ({each.verdict})" if each.verdict else "")
            for each in run.remedies
        ),
    )


_KEPT = {True: "kept", False: "undone", None: "not judged"}


def _layer_pairs(a: Sequence[LayerSummary], b: Sequence[LayerSummary]) -> tuple[LayerPair, ...]:
    ours, theirs = _by_name(a), _by_name(b)
    return tuple(
        LayerPair(name, _states(ours.get(name)), _states(theirs.get(name)))
        for name in dict.fromkeys((*ours, *theirs))
    )


def _by_name(layers: Sequence[LayerSummary]) -> dict[str, LayerSummary]:
    """Return layers by name; those of one name are told apart by their order."""
    found: dict[str, LayerSummary] = {}
    for layer in layers:
        name, number = layer.name, 2
        while name in found:
            name, number = f"{layer.name} #{number}", number + 1
        found[name] = layer
    return found


def _states(layer: LayerSummary | None) -> UnitStates | None:
    if layer is None:
        return None
    return UnitStates(
        layer.units,
        layer.rows,
        _number_of(layer.dead_units),
        _number_of(layer.dying_units),
        _number_of(layer.saturated_units),
        _number_of(layer.dormant_units),
        layer.at_final_weights,
    )


def _number_of(units: tuple[int, ...] | None) -> int | None:
    return None if units is None else len(units)


def _by_place(findings: Sequence[Finding]) -> dict[tuple[str, str | None], ComparedFinding]:
    return {
        (str(each.code), each.where): ComparedFinding(
            str(each.code), each.severity.value, each.where, each.message
        )
        for each in _with_consequences(findings)
    }


def _with_consequences(findings: Sequence[Finding]) -> Iterator[Finding]:
    for each in findings:
        yield each
        yield from _with_consequences(each.consequences)


def _caveats(a: Run, b: Run, differing: Sequence[Differences]) -> Iterator[str]:
    yield (
        "These are two single trainings: with other seeds either may come out ahead. Train each "
        "with several seeds before you call one of them better."
    )
    # What a fit does follows from its settings; of a script only what was seen is known.
    telling = "settings" if a.info.kind == b.info.kind == "fit" else "training"
    changed = sum(len(each.differing) for each in differing if each.what == telling)
    if changed > 1:
        yield (
            f"{changed:,} things differ in what was chosen or seen: what came of it cannot be put "
            "down to one of them."
        )
    prints = [run.info.data.get("fingerprint") for run in (a, b)]
    if all(prints) and prints[0] != prints[1]:
        yield "The data differ: the scores are not of the same rows."
    if a.last_step != b.last_step:
        yield (
            f"The first made {count(a.last_step, 'step')}, the second {b.last_step:,}: compare "
            "them at equal steps."
        )
    yield (
        "Intervals (95 %) are of the difference by chance in the rows that were scored, as if "
        "these were other rows for each run; they know nothing of seeds."
    )
    if any(run.info.status == "running" for run in (a, b)):
        yield "One of them has not said that it ended: it still goes on, or it was killed."
