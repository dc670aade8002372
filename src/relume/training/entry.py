"""``relume.fit``: a table or images by name, or a model of one's own with a step of one's own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import nn

from relume.errors import SettingsError
from relume.training.fit import Audience, FitResult
from relume.training.fit import fit as fit_data
from relume.training.own_loop import Step, Watcher
from relume.training.own_steps import OwnResult, fit_own

if TYPE_CHECKING:
    import polars as pl


@overload
def fit(
    data: "str | Path | pl.DataFrame | None" = None,
    *,
    out: Path | str | None = None,
    overwrite: bool = False,
    resume: Path | str | None = None,
    audience: Audience | None = None,
    **options: Any,
) -> FitResult: ...


@overload
def fit(
    model: nn.Module | Sequence[nn.Module],
    data: Any,
    *,
    step: Step,
    out: Path | str | None = None,
    overwrite: bool = False,
    optimizer: torch.optim.Optimizer | None = None,
    validate: Callable[[Any], Any] | None = None,
    validation: Any = None,
    examine: Callable[[Any, Any], object] | None = None,
    audience: Watcher | None = None,
    **options: Any,
) -> OwnResult: ...


def fit(*given: Any, **options: Any) -> FitResult | OwnResult:
    """Train a network, watch its units, and keep a record of it.

    **fit(data, ...)** trains a ReLU network on a table or images and scores it beside baselines:
    ``relume.training.fit.fit`` has its options.

    **fit(model, data, step=step, ...)** trains a model of one's own, in place, with a step of one's
    own. ``step(model, batch)`` either returns its loss, a scalar tensor, or a dict with a tensor
    called ``loss``, and Relume goes backward and updates; or it steps optimizers itself, and
    returns a number, a dict of named losses, or None. Which of the two is found out: once an
    optimizer has stepped inside the step, Relume updates nothing. Watching changes no weight and no
    random number; modules stay in the mode (train, eval) in which they were given.

    Args:
        *given: The data; or the model (a module, or a tuple or list of them) and the data: a tensor
            or array, a tuple of them, or a Dataset, which are shuffled and cut into batches; or
            anything that gives batches, such as a DataLoader, an epoch being one pass.
        **options: With a model:

            - ``step``: what happens with a batch.
            - ``out``: folder for run file and weights; ``relume-CLASS`` by default, numbered if
              that exists. ``overwrite``: whether an earlier fit there may be replaced.
            - ``optimizer``: updates instead of AdamW with warm-up and cosine (a constant rate where
              the number of batches is not known); its rate stays its own.
            - ``validate(model)``: a score after each epoch, higher is better, in eval mode without
              gradients; the weights of the best epoch are kept.
            - ``validation``: data that are not learned from, as ``data``; ``step`` gives their loss
              after each epoch, in eval mode without gradients, and without ``validate`` the weights
              of the epoch with the least are kept. With it, faults that the rules find are repaired
              as in ``fit(data)``: ``step`` is then called more often, and must do the same twice
              from the same weights, batches and random numbers, which is tried out. A step that
              updates by itself can have none, and is never repaired.
            - ``examine(model, batch)``: calls the model for the examination of its units at the
              final weights; needed where the step does not call the whole model on its batch.
            - ``audience``: an object whose ``step`` and ``epoch`` are called as it goes.
            - the fields of ``OwnSettings``: ``epochs``, ``batch_size``, ``lr``, ``weight_decay``,
              ``warmup``, ``clip``, ``seed``, ``every``, ``repair``.

    Returns:
        A ``FitResult``, or with a model an ``OwnResult``: folder, status, losses, the run.

    Raises:
        UserError: If anything given cannot be used. What a step raises comes out unchanged.

    Example:
        >>> import tempfile, torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> def step(model, x):
        ...     return (model(x) - x.prod(1, keepdim=True)).abs().mean()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = fit(model, x, step=step, out=folder, epochs=3, clip=1.0)
        ...     len(result.losses["loss"]), result.run.examination[0].rows
        (3, 4)
    """
    first = given[0] if given else options.get("model", options.get("data"))
    if _is_model(first):
        if "step" not in options:
            raise SettingsError(
                "a model of your own needs a step: fit(model, data, step=...), where "
                "step(model, batch) returns the loss; for a table or images leave the model out"
            )
        if len(given) + ("model" in options) + ("data" in options) != 2:
            raise SettingsError(
                "a step of your own takes a model and data: fit(model, data, step=)"
            )
        return fit_own(*given, **options)
    if "step" in options:
        raise SettingsError(
            "step= goes with a model of your own, a torch module or several: "
            f"fit(model, data, step=...); got a {type(first).__name__} first"
        )
    return fit_data(*given, **options)


def _is_model(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return bool(value) and all(isinstance(part, nn.Module) for part in value)
    return isinstance(value, nn.Module)
