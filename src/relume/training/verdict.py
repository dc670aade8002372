"""How good a trained network is on the test part, beside simple rivals on the same rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.training.architecture import text_sizes
from relume.training.baselines import baseline_predictions
from relume.training.data.prepare import Part, Prepared
from relume.training.data.target import Target
from relume.training.scores import CONFIDENCE, METRICS, Comparison, Score, score_against
from relume.training.several import head_columns, predicted_values, target_parts


@dataclass(frozen=True, slots=True)
class Verdict:
    """A score on the test part, with its interval and its rivals.

    Args:
        metric: What the score counts.
        rows: Rows scored.
        score: Of the network.
        comparisons: The rivals on the same rows and the same resamples.
        target: What is predicted, where there are several targets.
    """

    metric: str
    rows: int
    score: Score
    comparisons: tuple[Comparison, ...]
    target: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; a number that is not finite as None."""
        return ({"target": self.target} if self.target else {}) | {
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


def judge(
    output: NDArray[np.float32], data: Prepared, metrics: Sequence[str], *, seed: int
) -> tuple[Verdict, ...]:
    """Score a network's outputs on the test part beside the baselines, target by target.

    Args:
        output: Shape (rows, outputs), of the test part: the columns of each target's head.
        data: What the network was trained on.
        metrics: One of ``METRICS`` for each target.
        seed: Of the resampling.
    """
    targets, texts = data.preprocessing.targets, text_sizes(data.preprocessing)
    trains, tests = target_parts(data.train, targets), target_parts(data.test, targets)
    verdicts = [
        _verdict(target, output[:, columns], (train, test), metric, texts=texts, seed=seed)
        for target, columns, train, test, metric in zip(
            targets, head_columns(targets), trains, tests, metrics, strict=True
        )
    ]
    if len(verdicts) == 1:
        return tuple(verdicts)
    return tuple(
        replace(verdict, target=target.name)
        for verdict, target in zip(verdicts, targets, strict=True)
    )


def result_json(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the result of one target, or of several under ``targets``, as plain JSON data."""
    if len(verdicts) == 1:
        return verdicts[0].to_json()
    return {"targets": [verdict.to_json() for verdict in verdicts]}


def _verdict(
    target: Target,
    output: NDArray[np.float32],
    parts: tuple[Part, Part],
    metric: str,
    *,
    texts: Sequence[Sequence[int]],
    seed: int,
) -> Verdict:
    train, test = parts
    balanced = metric == "balanced accuracy"
    rivals = baseline_predictions(
        target.task,
        train,
        test,
        balanced=balanced,
        seed=seed,
        texts=texts,
    )
    predicted = predicted_values(target, output)
    score, comparisons = score_against(METRICS[metric], test.y, predicted, rivals, seed=seed)
    return Verdict(metric, len(test.y), score, comparisons)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
