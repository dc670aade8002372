"""Fresh seeds for programs that fix theirs: every seed that is set is offset.

A program that sets no seed gets one, so that its runs can be told apart and repeated. What a
generator object is given (``torch.Generator().manual_seed``) stays, as it often makes the data.
"""

import functools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

FIRST_SEED = 20_240
MOST = 2**32


def shifted(seed: Any, offset: int) -> Any:
    """Return a seed moved by an offset; None, and what is no integer, stays.

    Example:
        >>> shifted(7, 2), shifted(2**32 - 1, 2), shifted(None, 2)
        (9, 1, None)
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        return seed
    return (int(seed) + offset) % MOST


class Seeds:
    """Offsets the seeds of Python, NumPy and torch.

    Args:
        offset: What is added; 0 leaves what the program sets.
    """

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._patches: list[tuple[Any, str, Any]] = []

    def install(self) -> None:
        """Seed everything once, and offset what the program sets."""
        first = FIRST_SEED + self._offset
        random.seed(first)
        np.random.seed(first)  # noqa: NPY002 (the program may draw from it)
        torch.manual_seed(first)
        if not self._offset:
            return
        for holder, name in (
            (random, "seed"),
            (np.random, "seed"),
            (np.random, "default_rng"),
            (torch, "manual_seed"),
            (torch.random, "manual_seed"),
            (torch.cuda, "manual_seed"),
            (torch.cuda, "manual_seed_all"),
        ):
            original = getattr(holder, name)
            self._patches.append((holder, name, original))
            setattr(holder, name, self._around(original))

    def remove(self) -> None:
        """Put everything back."""
        while self._patches:
            holder, name, original = self._patches.pop()
            setattr(holder, name, original)

    def _around(self, original: Callable[..., Any]) -> Callable[..., Any]:
        offset = self._offset

        @functools.wraps(original)
        def seeded(*args: Any, **named: Any) -> Any:
            moved = tuple(shifted(each, offset) for each in args)
            return original(*moved, **{k: shifted(v, offset) for k, v in named.items()})

        return seeded
