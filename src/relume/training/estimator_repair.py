"""Repairs inside the fit of an estimator: looked for at little cost, then done as in ``fit``.

An estimator records nothing. After 1, 2, 4, 8, … epochs one look says whether the training may have
collapsed: its loss is no number or far above that of guessing, or half the units of a layer put out
the same for every row. Only then it begins again, bitwise the same but recorded, and is repaired as
``relume fit`` repairs (``repairs.py``). Trials learn from four fifths of the rows and are judged on
the last fifth, or on the rows that early stopping holds out; what stays goes on with all rows. The
rows held out for a trial had been learned from before it, by all candidates but the restart, which
so has the harder stand.

Cost: of a healthy fit the looks, each a forward pass of at most 128 rows.
"""

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from relume.nn.registry import activation_of
from relume.observe.modes import evaluating
from relume.training.estimator_fitting import EstimatorLoop
from relume.training.loop import Loop
from relume.training.recording import Recorder
from relume.training.trial import trial_epochs

FEWEST_ROWS = 50
LOOK_ROWS = 128
SILENT_SHARE = 0.5
"""Of the units of a layer: more than penalties silence in trainings that do well."""
USUAL_RATES = {"adam": 2e-3, "sgd": 1e-2}
"""Rates that usually train well on standardised inputs."""

Story = tuple[str, ...]


class Look:
    """Says after an epoch whether a training may have collapsed, and then ends it.

    Args:
        loop: The training.

    Attributes:
        has_collapsed: Whether it may have.
    """

    def __init__(self, loop: EstimatorLoop) -> None:
        self.has_collapsed = False
        self._loop = loop
        self._x = loop.rows.x[:LOOK_ROWS]
        self._guessing = loop.objective.guessing_loss(loop.rows.y)

    def __call__(self, _: Loop) -> None:
        """Look, where it is time."""
        loop, epoch = self._loop, self._loop.progress.epoch
        epochs = loop.numbers.epochs
        if not epoch or epoch + trial_epochs(epochs, epoch) > epochs:
            return
        loss = loop.history.losses[-1]
        is_time = epoch & (epoch - 1) == 0 or not math.isfinite(loss)
        if is_time and (self._is_poor(loss) or silent_share(loop.model, self._x) >= SILENT_SHARE):
            self.has_collapsed = True
            loop.progress.stopped = loop.progress.stopped or "it may have collapsed"

    def _is_poor(self, loss: float) -> bool:
        return not loss <= 2 * self._guessing + 0.5


@torch.no_grad()
def silent_share(model: nn.Module, x: Tensor) -> float:
    """Return the largest share of the units of a layer that put out the same for every row.

    Example:
        >>> layers = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
        >>> _ = nn.init.ones_(layers[0].weight)
        >>> layers[0].bias = nn.Parameter(torch.tensor([0.0, -10.0]))
        >>> silent_share(layers, torch.tensor([[1.0], [2.0]]))
        0.5
    """
    shares = [0.0]

    def see(_: nn.Module, __: object, output: Tensor) -> None:
        units = output.movedim(1, -1).flatten(0, -2)
        shares.append((units.amax(0) == units.amin(0)).float().mean().item())

    handles = [
        module.register_forward_hook(see)
        for module in model.modules()
        if activation_of(module) is not None
    ]
    try:
        with evaluating(model):
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return max(shares)


def train_repairing(
    loop: EstimatorLoop,
    begin: Callable[[Recorder], EstimatorLoop],
    redraw: Callable[[bool], nn.Module],
    solver: str,
) -> tuple[EstimatorLoop, list[Story]]:
    """Train; where it may have collapsed, again from the start, recorded and repaired.

    Args:
        loop: The training before its first step.
        begin: Returns the same once more, told to a recorder.
        redraw: Returns the network with fresh weights; by the usual scheme, if that is asked for.
        solver: ``adam`` or ``sgd``.

    Returns:
        What trained to the end, and what was found, tried and kept.
    """
    if len(loop.rows) < FEWEST_ROWS or not isinstance(loop.rows.x, Tensor):
        loop.train()
        return loop, []
    start, random, look = loop.best_weights, torch.get_rng_state(), Look(loop)
    loop.train(look)
    if not look.has_collapsed:
        return loop, []
    from relume.remedies.story import stories
    from relume.training.estimator_recorded import train_recorded

    loop.model.load_state_dict(start)
    torch.set_rng_state(random)
    again, remedies = train_recorded(loop, begin, redraw, USUAL_RATES[solver])
    for kept in (each for each in remedies if each.is_kept):
        warnings.warn(
            f"The training broke down and was repaired after step {kept.step}: "
            f"{kept.plan['said']} (repairs_ tells the story; repair=False trains as it is)",
            stacklevel=6,
        )
    return again, list(stories(remedies))
