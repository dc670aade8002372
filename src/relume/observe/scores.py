"""Scores: how well the model did over an evaluation pass, and over armed training steps."""

import math
from dataclasses import dataclass, field

from relume.observe.loss_facts import LossTotals
from relume.observe.loss_values import Look, Number, add
from relume.runs.facts import Phase
from relume.runs.records import Score


@dataclass(slots=True, eq=False)
class _Open:
    """What one loss came to since the score before."""

    totals: LossTotals
    rows: int = 0
    sums: dict[str, Number] = field(default_factory=dict)

    def add(self, look: Look) -> None:
        self.rows += look.rows
        names = ("loss", "loss_rows", "right", "judged", "binary right", "binary judged")
        add(self.sums, {name: look.sums[name] for name in names if name in look.sums})

    def score(self, step: int, phase: Phase) -> Score:
        weight = float(self.sums["loss_rows"])
        loss = float(self.sums["loss"]) / weight if weight else math.nan
        names = self.totals.right()
        judged = float(self.sums.get(names[1], 0)) if names is not None else 0.0
        right = float(self.sums[names[0]]) / judged if names is not None and judged else math.nan
        return Score(step, phase.value, self.rows, loss, right)


class Scores:
    """The scores of a run, from the looks at its losses.

    Of several losses in one phase the one counts whose function the training uses first, else the
    one that was seen first: numbers of different losses are never mixed.
    """

    def __init__(self) -> None:
        self._main: str | None = None
        self._open: dict[Phase, dict[int, _Open]] = {Phase.TRAINING: {}, Phase.EVALUATION: {}}
        self._evaluated_at = 0
        self._waiting: list[Score] = []

    def add(self, totals: LossTotals, look: Look, step: int) -> None:
        """Add one look; ``step`` is the last update before."""
        if totals.phase is Phase.TRAINING:
            self._main = self._main or totals.function.name
        elif step != self._evaluated_at or not self._open[Phase.EVALUATION]:
            self.end_pass(step)
            self._close(Phase.TRAINING, step)
            self._evaluated_at = step
        opened = self._open[totals.phase]
        if id(totals) not in opened:
            opened[id(totals)] = _Open(totals)
        opened[id(totals)].add(look)

    def end_pass(self, step: int) -> None:
        """Close the evaluation of an earlier step."""
        if step != self._evaluated_at:
            self._close(Phase.EVALUATION, self._evaluated_at)

    def evaluation_at(self, step: int) -> Score | None:
        """Return the score of the evaluation since this step; None where there was none."""
        chosen = self._chosen(Phase.EVALUATION)
        if chosen is None or self._evaluated_at != step:
            return None
        return chosen.score(step, Phase.EVALUATION)

    def end_window(self, step: int) -> None:
        """Close the training so far."""
        self._close(Phase.TRAINING, step)

    def end(self, step: int) -> None:
        """Close all that is open."""
        self._close(Phase.TRAINING, step)
        self._close(Phase.EVALUATION, self._evaluated_at)

    def take(self) -> list[Score]:
        """Return the scores since the last time."""
        taken, self._waiting = self._waiting, []
        return taken

    def _chosen(self, phase: Phase) -> _Open | None:
        opened = list(self._open[phase].values())
        usual = [each for each in opened if each.totals.function.name == self._main]
        return next(iter(usual or opened), None)

    def _close(self, phase: Phase, step: int) -> None:
        chosen = self._chosen(phase)
        if chosen is not None:
            self._waiting.append(chosen.score(step, phase))
        self._open[phase].clear()
