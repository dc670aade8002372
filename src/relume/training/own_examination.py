"""How a model is called for its examination, where only a step of one's own knows how to call it.

The first step shows it: if it called the whole model on its batch, or on the batch's first tensor,
so can we. Where it called parts of the model, or on something else (noise), we cannot know.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from torch import Tensor, nn

from relume.observe.passes import leading_rows
from relume.remedies.patient import Sample

MOST_ROWS = 65_536


@dataclass(slots=True)
class Call:
    """Whether the whole model was called on a batch, or on the batch's first tensor."""

    on_batch: bool = False
    on_first: bool = False

    def on(self, model: Callable[[Any], object]) -> Callable[[Any], object] | None:
        """Return what calls the model on a batch in the same way; ``None`` where not known."""
        if self.on_batch:
            return model
        return (lambda batch: model(batch[0])) if self.on_first else None

    def sample(self, batch: Any) -> Sample | None:
        """Return what the model was called with of a batch; ``None`` where not known."""
        if self.on_batch:
            return Sample((batch,))
        return Sample((batch[0],)) if self.on_first else None


@contextmanager
def noting_call(model: nn.Module, batch: Any) -> Iterator[Call]:
    """Note how the code inside the block calls the model; no hook is left after it."""
    call = Call()
    parts = batch if isinstance(batch, tuple | list) and batch else (None,)

    def see(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        if len(inputs) == 1:
            call.on_batch = call.on_batch or inputs[0] is batch
            call.on_first = call.on_first or (
                inputs[0] is parts[0] and isinstance(parts[0], Tensor)
            )

    hook = model.register_forward_pre_hook(see)
    try:
        yield call
    finally:
        hook.remove()


def bounded(batches: Iterator[Any], most: int = MOST_ROWS) -> Iterator[Any]:
    """Return the batches until so many rows are reached."""
    rows = 0

    def is_wanted(batch: Any) -> bool:
        nonlocal rows
        rows += leading_rows(batch) or 1
        return rows <= most

    return takewhile(is_wanted, batches)
