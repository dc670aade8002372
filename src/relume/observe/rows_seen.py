"""Rows that are learned from and rows that are scored, by their hashes: which are both."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from relume.observe.call_arguments import Argument
from relume.observe.row_hashes import MOST_WORDS, Hashes, HashSet, row_hashes, words_of
from relume.runs.facts import OverlapFacts

MOST_TRAINING_ROWS = 200_000
MOST_EVALUATION_ROWS = 20_000
MOST_WAITING, MOST_WAITING_ON_CPU = 50_000, 4096
"""Rows that wait to be sorted in; on other devices than the CPU, more are left out."""
FEWEST_TOLD = 8
"""Rows of a batch from which on it is told what data it is of."""
_TARGETS = frozenset({"label", "labels", "target", "targets", "y"})


@dataclass(frozen=True, slots=True, eq=False)
class RowLook:
    """The hashes of the rows of one call.

    Args:
        hashes: Of the rows looked at.
        is_whole: Whether these are all.
        is_learned_data: Whether they are known to be read from the data that are learned from.
        has_epochs: Whether it is known where passes over the data begin.
    """

    hashes: Tensor
    is_whole: bool
    is_learned_data: bool = False
    has_epochs: bool = False


def look_at_rows(arguments: Sequence[Argument], salt: int, turn: int) -> tuple[Tensor, bool] | None:
    """Hash the rows of a call over all of its arguments but targets; None where there are none.

    Args:
        arguments: Of the call.
        salt: Of the model: rows of different models are never equal.
        turn: Number of the look: those beyond the cost of one look are left out in turn.

    Returns:
        Hashes on the device of the arguments, and whether all rows are among them.
    """
    kept = [each for each in arguments if _is_hashed(each)]
    kept = [each for each in kept if each.rows == kept[0].rows and _is_beside(each, kept[0])]
    if not kept:
        return None
    each_row = sum(words_of(argument.values[:1].detach()).shape[1] for argument in kept)
    stride = -(-kept[0].rows * each_row // MOST_WORDS)
    given = [(zlib.crc32(argument.name.encode()), argument.values) for argument in kept]
    hashes = row_hashes(given, turn % stride, stride)
    return hashes + (salt << 32), stride == 1


class RowsSeen:
    """Remembers hashes of rows, and counts the scored ones that had been learned from before.

    A training may also be scored on its own data, which is no fault. So batches that are known to
    be of them are counted apart: read from the same data set, or all of their rows learned from, or
    all that was learned from among them. They stand for the evaluation only where nothing else was
    scored.
    """

    def __init__(self) -> None:
        self._training = HashSet(MOST_TRAINING_ROWS)
        self._epoch = HashSet(MOST_TRAINING_ROWS)
        self._others, self._learned = _Scored(), _Scored()
        self._waiting: list[tuple[RowLook | None, bool]] = []
        self._waiting_rows = 0
        self._epoch_rows = self._epoch_repeats = 0

    def begin_epoch(self) -> None:
        """Take note that the data are read from their start."""
        self._waiting.append((None, True))

    def add(self, look: RowLook, *, is_training: bool) -> None:
        """Take in the rows of a call; values on other devices are read when facts are asked for."""
        rows = len(look.hashes)
        most = MOST_WAITING_ON_CPU if look.hashes.is_cpu else MOST_WAITING
        if self._waiting_rows + rows > most:
            if not look.hashes.is_cpu:
                return
            self._settle()
        self._waiting.append((look, is_training))
        self._waiting_rows += rows

    def facts(self) -> Iterator[OverlapFacts]:
        """Return what is known so far."""
        self._settle()
        if not len(self._training):
            return
        scored = self._others if len(self._others.rows) else self._learned
        repeats = self._epoch_repeats / self._epoch_rows if self._epoch_rows else float("nan")
        yield OverlapFacts(
            training_rows=len(self._training),
            evaluation_rows=len(scored.rows),
            shared_rows=len(scored.shared),
            training_repeats=repeats,
        )

    def _settle(self) -> None:
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        learned: list[Hashes] = []
        for look, is_training in waiting:
            if look is None:
                self._learn(learned)
                self._epoch.clear()
                continue
            hashes: Hashes = look.hashes.cpu().numpy()
            if not is_training:
                self._learn(learned)
                self._score(hashes, look)
            elif look.has_epochs:
                learned.append(hashes)
            else:  # only rows of one batch are known to be of one pass over the data
                self._epoch_rows += len(hashes)
                self._epoch_repeats += len(hashes) - len(np.unique(hashes))
                self._training.add(hashes)
        self._learn(learned)

    def _learn(self, learned: list[Hashes]) -> None:
        """Add rows of one pass over the data, and empty the list."""
        if not learned:
            return
        hashes = np.concatenate(learned)
        learned.clear()
        distinct = np.unique(hashes)
        new = distinct[~self._epoch.has(distinct)]
        self._epoch_rows += len(hashes)
        self._epoch_repeats += len(hashes) - len(new)
        self._epoch.add(new)
        self._training.add(distinct)

    def _score(self, hashes: Hashes, look: RowLook) -> None:
        is_shared = self._training.has(hashes)
        is_learned = look.is_learned_data
        if not is_learned and len(hashes) >= FEWEST_TOLD and len(self._training) >= FEWEST_TOLD:
            is_own = bool(is_shared.all()) or (look.is_whole and self._is_among(hashes))
            is_learned = is_own and not self._others.rows.has(hashes).any()
        (self._learned if is_learned else self._others).add(hashes, is_shared)

    def _is_among(self, hashes: Hashes) -> bool:
        """Whether nearly all that was learned from is among some rows."""
        if len(hashes) < len(self._training):
            return False
        return self._training.count_in(hashes) >= 0.99 * len(self._training)


class _Scored:
    """Distinct rows that were scored, and those of them that had been learned from."""

    def __init__(self) -> None:
        self.rows = HashSet(MOST_EVALUATION_ROWS)
        self.shared = HashSet(MOST_EVALUATION_ROWS)

    def add(self, hashes: Hashes, is_shared: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> None:
        self.rows.add(hashes)
        shared = hashes[is_shared]
        self.shared.add(shared[self.rows.has(shared)])


def _is_hashed(argument: Argument) -> bool:
    last = argument.name.rpartition(".")[2]
    is_row = argument.values.ndim > 1 or not torch.is_floating_point(argument.values)
    return argument.packed_rows is None and last not in _TARGETS and is_row


def _is_beside(argument: Argument, first: Argument) -> bool:
    return argument.values.device == first.values.device
