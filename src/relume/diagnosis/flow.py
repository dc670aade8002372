"""How gradients and updates flow through the weight matrices of a network, in their depth."""

import math
from dataclasses import dataclass

import numpy as np

from relume.diagnosis.reading import Reading
from relume.runs.facts import WeightFacts
from relume.runs.records import Moments, Sums

FEWEST_STEPS = 20
"""Armed steps below which gradients and updates are not judged."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One trained weight matrix: typical values over the run, so that scale and length cancel.

    Args:
        fact: What is known of the weight.
        gradient: Norm of its gradient over its own norm.
        update: Norm of its update over its own norm; nan where not measured.
        steps: Armed steps that these rest on.
    """

    fact: WeightFacts
    gradient: float
    update: float
    steps: int

    @property
    def name(self) -> str:
        """Qualified name of the weight."""
        return self.fact.name


def flows(reading: Reading) -> tuple[Flow, ...]:
    """Return the trained matrices that got gradients, in the order in which data meets them.

    Embeddings are left out: their rows get gradients rarely. So are vectors (biases, norms).
    """
    order = {
        name: place
        for place, (name, _) in enumerate(
            sorted(reading.modules.items(), key=lambda item: item[1].order % _LAST)
        )
    }
    found = [
        _flow(reading, fact)
        for fact in reading.matrices
        if len(fact.shape) >= 2
        and not fact.kind.startswith("Embedding")
        and fact.nonzero_gradient_steps > 0
    ]
    known = [flow for flow in found if flow.steps and math.isfinite(flow.gradient)]
    return tuple(sorted(known, key=lambda flow: order.get(flow.name.rpartition(".")[0], _LAST)))


_LAST = 1 << 30


def first_flow(reading: Reading, name: str) -> tuple[float, float]:
    """Return the mean gradient norm and norm of a weight in the first window; nan if unseen."""
    gradients, norms = reading.gradient_norms(name), reading.norms(name)
    if not len(gradients) or not len(norms):
        return math.nan, math.nan
    return float(gradients[0]), float(norms[0])


def typical(values: Sums) -> float:
    """Return the median over windows, without the first of several: training starts off-scale."""
    kept = values[1:] if len(values) > 2 else values
    return float(np.median(kept)) if len(kept) else math.nan


def rest(moments: Moments) -> float:
    """Return the mean of all values but the greatest; nan where there is only one."""
    if moments.count < 2:
        return math.nan
    return (moments.total - moments.greatest) / (moments.count - 1)


def _flow(reading: Reading, fact: WeightFacts) -> Flow:
    size = typical(reading.norms(fact.name))
    gradient = typical(reading.gradient_norms(fact.name))
    return Flow(
        fact,
        gradient / size if size > 0 else math.nan,
        typical(reading.update_ratios(fact.name)),
        reading.total(fact.name, "gradient_norm").count,
    )
