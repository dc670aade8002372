"""A run as the rules read it: what several of them derive from its records, computed once."""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from relume.diagnosis.deaths import DeathGroup, death_groups
from relume.diagnosis.loss_reading import chance_loss
from relume.runs.facts import (
    InputFacts,
    LossFacts,
    ModuleFacts,
    OptimizerFacts,
    Phase,
    WeightFacts,
)
from relume.runs.records import Layer, Moments, Score, Sums, UnitActivity, Window
from relume.runs.run_file import Run
from relume.runs.summary import LayerSummary, falling_trend, last_seen, summarise_layers

MOST_POINTS = 64
LAST_PASSES = 3


class Reading:
    """What rules ask of a run.

    Args:
        run: The records.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def steps(self) -> int:
        """Steps on record."""
        return self.run.last_step

    @cached_property
    def armed_steps(self) -> int:
        """Steps that were measured."""
        return sum(window.armed_steps for window in self.run.windows)

    @cached_property
    def layers(self) -> tuple[LayerSummary, ...]:
        """How the units of each layer stand at the end, in the order of the run's layers."""
        return summarise_layers(self.run)

    @cached_property
    def deaths(self) -> tuple[DeathGroup, ...]:
        """Which units died together, when and why, the largest group first."""
        return death_groups(self.run, self.layers)

    @cached_property
    def deaths_of_layers(self) -> dict[str, list[DeathGroup]]:
        """The same by the name of the layer."""
        groups: dict[str, list[DeathGroup]] = {layer.name: [] for layer in self.layers}
        for group in self.deaths:
            groups[group.layer].append(group)
        return groups

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """The windows in which a step was measured."""
        return tuple(window for window in self.run.windows if window.armed_steps)

    @cached_property
    def inputs(self) -> tuple[InputFacts, ...]:
        """What the models were called with in training."""
        return tuple(fact for fact in self.run.of(InputFacts) if fact.phase == Phase.TRAINING)

    @cached_property
    def modules(self) -> dict[str, ModuleFacts]:
        """The modules of the watched models, by qualified name."""
        return {fact.name: fact for fact in self.run.of(ModuleFacts)}

    @cached_property
    def weights(self) -> dict[str, WeightFacts]:
        """The parameters of the watched models, by qualified name."""
        return {fact.name: fact for fact in self.run.of(WeightFacts)}

    @cached_property
    def matrices(self) -> tuple[WeightFacts, ...]:
        """The trained weight matrices that windows follow, in the order of being met."""
        known = (self.weights.get(name) for name in self.run.weights)
        return tuple(fact for fact in known if fact is not None and fact.is_trainable)

    @cached_property
    def training_losses(self) -> tuple[LossFacts, ...]:
        """The losses that were learned from, the one of most rows first."""
        return self._losses(Phase.TRAINING)

    @cached_property
    def evaluation_losses(self) -> tuple[LossFacts, ...]:
        """The losses of evaluation passes, the one of most rows first."""
        return self._losses(Phase.EVALUATION)

    @property
    def loss(self) -> LossFacts | None:
        """The loss that was learned from on most rows; None where none was observed."""
        return self.training_losses[0] if self.training_losses else None

    @cached_property
    def training_scores(self) -> tuple[Score, ...]:
        """Scores on training rows, in the order of steps."""
        return self.run.scores_of(Phase.TRAINING)

    @cached_property
    def evaluation_scores(self) -> tuple[Score, ...]:
        """Scores of evaluation passes, in the order of steps."""
        return self.run.scores_of(Phase.EVALUATION)

    @cached_property
    def last_training_score(self) -> Score | None:
        """What the last fifth of the training scored on the rows that were looked at, together.

        Of the training up to the weights that were kept. A single score may rest on one short
        batch. None where none was seen.
        """
        kept = self.kept_step
        known = [score for score in self.training_scores if score.step <= kept]
        known = known or list(self.training_scores[:1])
        return pooled([score for score in known if score.step > 0.8 * kept] or known[-1:])

    @cached_property
    def last_evaluation_loss(self) -> float:
        """Median loss of the last three evaluation passes of ``kept_evaluation_scores``; or nan."""
        known = [score.loss for score in self.kept_evaluation_scores if math.isfinite(score.loss)]
        return float(np.median(known[-LAST_PASSES:])) if known else math.nan

    @cached_property
    def losses(self) -> Sums:
        """Mean loss of each bucket of the curve in which it was finite, float64."""
        values = self.run.curve.losses
        return np.asarray(values[np.isfinite(values)])

    @cached_property
    def loss_steps(self) -> Sums:
        """The last step of each bucket of ``losses``."""
        curve = self.run.curve
        return np.asarray(curve.steps[np.isfinite(curve.losses)], float)

    @cached_property
    def early_loss(self) -> float:
        """Mean loss over the first tenth of the training, or its first one if that is less.

        The first tenth may hold a spike, to fall from which is nothing learned. nan without losses.
        """
        if not len(self.losses):
            return math.nan
        return float(min(self.losses[0], self.losses[: self._tenth].mean()))

    @cached_property
    def late_loss(self) -> float:
        """Mean loss over the last tenth of the training; nan without losses."""
        return float(self.losses[-self._tenth :].mean()) if len(self.losses) else math.nan

    @cached_property
    def noise(self) -> float:
        """Standard error of the difference between early and late loss, by their scatter."""
        parts = (self.losses[: self._tenth], self.losses[-self._tenth :])
        if self._tenth < 2:
            changes = np.diff(self.losses)
            return float(np.median(np.abs(changes))) if len(changes) else math.nan
        return float(math.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)))

    @cached_property
    def is_falling_late(self) -> bool:
        """Whether the loss has a falling trend over the last half (Mann-Kendall, 1 %)."""
        half = self.losses[len(self.losses) // 2 :]
        size = max(1, len(half) // MOST_POINTS)
        points = half[: len(half) // size * size].reshape(-1, size).mean(axis=1)
        return len(points) > 3 and bool(falling_trend(points[:, None])[0] < 0.01)

    @cached_property
    def rate(self) -> float:
        """The greatest learning rate; nan where none is known."""
        rates = self.run.curve.rates
        return float(np.nanmax(rates)) if np.isfinite(rates).any() else math.nan

    @cached_property
    def usual_update(self) -> float:
        """Median over the weight matrices of their mean update-to-weight ratio; nan if unseen."""
        ratios = [self.total(fact.name, "update_ratio").mean for fact in self.matrices]
        known = [ratio for ratio in ratios if math.isfinite(ratio)]
        return float(np.median(known)) if known else math.nan

    @cached_property
    def path(self) -> float:
        """How far the weights have travelled, in norms of their own: usual update times steps.

        It does not depend on batches, rates or units. Below a half or so, a network is still much
        like the one it began as. nan if updates were not seen.
        """
        return self.usual_update * self.steps

    @cached_property
    def norm_change(self) -> float:
        """Median over the weight matrices of their last norm over their first; nan if unseen.

        Since the last remedy that was kept: before it, the weights were others.
        """
        series = [self.norms(fact.name, since=self.repaired_at) for fact in self.matrices]
        ratios = [norms[-1] / norms[0] for norms in series if len(norms) > 1 and norms[0] > 0]
        return float(np.median(ratios)) if ratios else math.nan

    @cached_property
    def repaired_at(self) -> int:
        """The step after which the last remedy that was kept was applied; 0 where none was."""
        return max((each.step for each in self.run.remedies if each.is_kept), default=0)

    @cached_property
    def greatest_decay(self) -> float:
        """The greatest weight decay of a weight matrix; 0 where none is known."""
        decays = [fact.weight_decay for fact in self.matrices if math.isfinite(fact.weight_decay)]
        return max(decays, default=0.0)

    @cached_property
    def kept_step(self) -> int:
        """The step of the weights that the training kept: of its best epoch, if it says one.

        Else the last one.
        """
        best = self.run.info.result.get("best_epoch") if self.run.info.result else None
        steps = [epoch.step for epoch in self.run.epochs if epoch.epoch == best]
        return steps[0] if steps else self.steps

    @cached_property
    def kept_evaluation_scores(self) -> tuple[Score, ...]:
        """Scores of evaluation passes up to the weights that were kept, and the first in any case.

        A pass that follows the last step counts to it.
        """
        kept, scores = self.kept_step, self.evaluation_scores
        if kept >= self.steps:
            return scores
        return tuple(score for score in scores if score.step <= kept) or scores[:1]

    @cached_property
    def kept_loss(self) -> float:
        """Mean loss over the last tenth of the training up to the weights that were kept."""
        if self.kept_step >= self.steps:
            return self.late_loss
        mine = self.losses[self.loss_steps <= self.kept_step]
        return float(mine[-max(1, len(mine) // 10) :].mean()) if len(mine) else math.nan

    @cached_property
    def best_evaluation_step(self) -> int | None:
        """The step with the least evaluation loss; None without one."""
        known = [score for score in self.evaluation_scores if math.isfinite(score.loss)]
        return min(known, key=lambda score: score.loss).step if known else None

    @cached_property
    def chance(self) -> float:
        """Loss of the best constant prediction, under the loss that was learned from; or nan."""
        return chance_loss(self.loss) if self.loss is not None else math.nan

    @cached_property
    def learned(self) -> float:
        """How much of the loss of the best constant prediction the training took away.

        1 is all of it, 0 nothing, below 0 worse than a constant. Where that loss is not known, the
        loss at first stands in for it; nan where there is none either.
        """
        late, start = self.late_loss, self.chance
        if not math.isfinite(start):
            start = float(self.losses[0]) if len(self.losses) else math.nan
        if late < 0:  # likelihoods of amounts: no such scale
            return math.nan
        return 1.0 - late / start if start > 0 else math.nan

    @cached_property
    def is_adversarial(self) -> bool:
        """Whether several optimizers learn from several losses, which may oppose one another."""
        return len(self.run.of(OptimizerFacts)) > 1 and len(self.training_losses) > 1

    @property
    def _tenth(self) -> int:
        return max(1, len(self.losses) // 10)

    def layer(self, index: int) -> Layer:
        """Return a layer of activations by its index."""
        return self.run.layers[index]

    def activity(self, index: int) -> UnitActivity:
        """Return what the units of a layer did on the last rows: at the final weights if known."""
        if index < len(self.run.examination):
            return self.run.examination[index]
        return last_seen(self.run, index)

    def gradient_norms(self, weight: str) -> Sums:
        """Return the mean gradient norm of a weight in each window that measured it."""
        return self._series(weight, "gradient_norm")

    def update_ratios(self, weight: str) -> Sums:
        """Return the mean update-to-weight ratio of a weight in each window that measured it."""
        return self._series(weight, "update_ratio")

    def least_first_gradient(self, weight: str) -> float:
        """Return the least gradient norm of a weight in the first window; nan if unseen.

        Adam makes up for gradients that fade within a few dozen steps, and their mean hides it.
        """
        moments = self._moments(weight, "gradient_norm")
        return moments[0].least if moments else math.nan

    def norms(self, weight: str, *, since: int = 0) -> Sums:
        """Return the mean norm of a weight in each window after a step that measured it."""
        return np.array([part.mean for part in self._moments(weight, "norm", since=since)])

    def total(self, weight: str, what: str) -> Moments:
        """Return ``gradient_norm``, ``update_ratio`` or ``norm`` of a weight over the whole run."""
        return sum(self._moments(weight, what), Moments())

    def _series(self, weight: str, what: str) -> Sums:
        return np.array([part.mean for part in self._moments(weight, what)])

    def _moments(self, weight: str, what: str, *, since: int = 0) -> list[Moments]:
        if weight not in self._places:
            return []
        place = self._places[weight]
        windows = [window for window in self.windows if window.first_step > since]
        seen = [window.weights[place] for window in windows if place < len(window.weights)]
        parts: list[Moments] = [getattr(each, what) for each in seen]
        return [part for part in parts if part.count]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.run.weights)}

    def _losses(self, phase: Phase) -> tuple[LossFacts, ...]:
        found = [fact for fact in self.run.of(LossFacts) if fact.phase == phase]
        return tuple(sorted(found, key=lambda fact: -fact.rows))


def pooled(scores: Sequence[Score]) -> Score | None:
    """Return scores taken together, each weighted by its rows; None of none."""
    rows = sum(score.rows for score in scores)
    if not rows:
        return None
    losses, rights = (
        sum(getattr(score, what) * score.rows for score in scores) / rows
        for what in ("loss", "right")
    )
    return Score(scores[-1].step, scores[-1].phase, rows, losses, rights)
