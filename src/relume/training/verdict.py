"""How good a trained network is on the test part, beside simple rivals on the same rows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.training.architecture import text_sizes
from relume.training.baselines import baseline_predictions
from relume.training.data.prepare import Prepared
from relume.training.data.task import Task
from relume.training.objective import in_own_unit
from relume.training.scores import CONFIDENCE, METRICS, Comparison, Score, score_against


@dataclass(frozen=True, slots=True)
class Verdict:
    """A score on the test part, with its interval and its rivals.

    Args:
        metric: What the score counts.
        rows: Rows scored.
        score: Of the network.
        comparisons: The rivals on the same rows and the same resamples.
    """

    metric: str
    rows: int
    score: Score
    comparisons: tuple[Comparison, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; a number that is not finite as None."""
        return {
            "metric": self.metric,
            "score": _finite(self.score.value),
            "interval": [_finite(bound) for bound in self.score.interval],
            "confidence": CONFIDENCE,
            "rows": self.rows,
            "baselines": [
                {
                    "name": each.name,
                    "score": _finite(each.score.value),
                    "interval": [_finite(bound) for bound in each.score.interval],
                    "difference": _finite(each.difference.value),
                    "difference_interval": [_finite(b) for b in each.difference.interval],
                }
                for each in self.comparisons
            ],
        }


def judge(output: NDArray[np.float32], data: Prepared, metric: str, *, seed: int) -> Verdict:
    """Score a network's outputs on the test part beside the baselines.

    Args:
        output: Shape (rows, classes) or (rows, 1), of the test part.
        data: What the network was trained on.
        metric: One of ``METRICS``.
        seed: Of the resampling.
    """
    if data.task is Task.CLASSIFICATION:
        predicted: NDArray[np.generic] = output.argmax(axis=1)
    else:
        predicted = in_own_unit(output[:, 0], data.preprocessing)
    balanced = metric == "balanced accuracy"
    rivals = baseline_predictions(
        data.task,
        data.train,
        data.test,
        balanced=balanced,
        seed=seed,
        texts=text_sizes(data.preprocessing),
    )
    score, comparisons = score_against(METRICS[metric], data.test.y, predicted, rivals, seed=seed)
    return Verdict(metric, len(data.test.y), score, comparisons)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
