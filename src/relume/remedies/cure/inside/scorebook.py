"""The records of a trial: its losses, and every score there is, by steps.

Beside the program's own losses, two scores are kept that no treatment changes the meaning of: the
share of rows whose class was predicted, and the mean squared error of amounts, both of what the
program itself holds in its hands, before a treatment touches it.
"""

import json
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from relume.remedies.cure.inside.listener import Listener, LossCall
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Orders

STOPPED = 93
"""Exit code of a trial that was ended early."""
PRINTED = "printed"
METRIC = "metric "
MOST_LOSSES = 20_000
EVERY = 20
"""Steps between those at which the scores of training are taken down."""
MOST_NONFINITE = 50
"""Losses in a row that are no number, after which a treated trial is lost."""


class Scorebook(Listener):
    """Keeps scores, writes them at the end, and ends a trial that has fallen behind.

    Args:
        orders: What this process was told.
        leave: Ends the process at once, with an exit code.
    """

    def __init__(self, orders: Orders, leave: Callable[[int], None] = os._exit) -> None:
        self.steps = 0
        self.stopped_at: int | None = None
        self._orders = orders
        self._leave = leave
        self._leader: Optimizer | None = None
        self._losses: list[Tensor | float] = []
        self._nonfinite = 0
        self._series: dict[str, list[tuple[int, float]]] = {}
        self._sums: dict[str, list[float]] = {}
        self._evaluated_at = 0
        self._pattern = re.compile(orders.pattern) if orders.pattern else None
        self._line = ""
        self._has_ended = False

    def install(self) -> None:
        """Read along what the program prints, where a pattern is looked for there."""
        out = sys.stdout
        if self._pattern is None or out is None:
            return
        write = out.write

        def reading(text: str) -> int:
            self._read(text)
            return write(text)

        out.write = reading  # type: ignore[method-assign]

    def record(self, name: str, value: float) -> None:
        """Take down a score at the present step."""
        self._series.setdefault(name, []).append((self.steps, float(value)))

    def forget(self) -> None:
        """Begin anew, in a forked process."""
        self.steps, self._leader = 0, None
        self._losses.clear()
        self._series.clear()
        self._sums.clear()

    def before_backward(self, loss: Tensor | None, place: CodePlace | None) -> None:
        """Take down a loss that is learned from."""
        if loss is not None and loss.numel() == 1:
            self._losses.append(loss.detach())

    def loss_done(self, given: LossCall, loss: Tensor) -> None:
        """Add a loss, and the two scores that every treatment leaves comparable."""
        phase = "training" if given.is_training else "held-back"
        if phase == "held-back":
            self._close("held-back", unless=self.steps)
            self._evaluated_at = self.steps
        with torch.no_grad():
            rows = max(1, given.target.shape[0] if given.target.ndim else 1)
            if loss.numel() == 1 and phase == "held-back":
                self._add("held-back loss", float(loss) * rows, rows)
            for name, total, count in _judged(given):
                self._add(f"{phase} {name}", total, count)

    def after_update(self, optimizer: Optimizer) -> None:
        """Count a step, and end the trial where it has fallen behind."""
        if self._leader is None:
            self._leader = optimizer
        if optimizer is not self._leader:
            return
        self._close("held-back")
        self.steps += 1
        if len(self._losses) >= 50 and isinstance(self._losses[-50], Tensor):
            self._settle()
        if self.steps % EVERY == 0:
            self._take_on_the_way()
        mark = self._orders.marks.get(self.steps)
        if mark is not None and self._is_behind(mark):
            self._stop()
        if self._nonfinite >= MOST_NONFINITE and self._orders.treatments:
            self._stop()

    def end(self) -> None:
        """Write the records."""
        if self._has_ended or not self.steps:
            return
        self._has_ended = True
        self._close("held-back")
        self._settle()
        self._take_training()
        path = Path(self._orders.folder) / f"scores-{os.getpid()}.json"
        said = {
            "steps": self.steps,
            "stopped_at": self.stopped_at,
            "series": self._series,
            "last_loss": self._recent_loss(),
        }
        path.write_text(json.dumps(said), encoding="utf-8")

    def _stop(self) -> None:
        self.stopped_at = self.steps
        self.end()
        sys.stdout.flush()
        self._leave(STOPPED)

    def _is_behind(self, mark: float) -> bool:
        value = self._latest()
        if value is None:
            return False
        if not math.isfinite(value):
            return True
        return value > mark if self._orders.is_less_better else value < mark

    def _latest(self) -> float | None:
        name = self._orders.score
        if name == "training loss":
            self._settle()
            return self._recent_loss()
        if name.startswith("training "):
            total, count = self._sums.get(name, [0.0, 0.0])
            return total / count if count else None
        series = self._series.get(name)
        return series[-1][1] if series else None

    def _recent_loss(self) -> float:
        recent = self._losses[-max(1, len(self._losses) // 10) :]
        return sum(map(float, recent)) / len(recent) if recent else math.nan

    def _settle(self) -> None:
        """Turn losses into numbers: once in a while, since a device would have to be waited for."""
        for index in range(len(self._losses) - 1, -1, -1):
            loss = self._losses[index]
            if not isinstance(loss, Tensor):
                break
            self._losses[index] = float(loss)
        recent = self._losses[-MOST_NONFINITE:]
        self._nonfinite = sum(not math.isfinite(each) for each in recent)
        if len(self._losses) > MOST_LOSSES:
            del self._losses[: MOST_LOSSES // 2]

    def _add(self, name: str, total: float, count: float) -> None:
        sums = self._sums.setdefault(name, [0.0, 0.0])
        if name.startswith("training"):  # of late counts: the past fades over about fifty steps
            sums[:] = [0.98 * each for each in sums]
        sums[0] += total
        sums[1] += count

    def _close(self, phase: str, unless: int | None = None) -> None:
        """Take down the scores of an evaluation that has ended."""
        if unless == self._evaluated_at:
            return
        for name in [each for each in self._sums if each.startswith(phase)]:
            total, count = self._sums.pop(name)
            self._series.setdefault(name, []).append((self._evaluated_at, total / count))

    def _take_on_the_way(self) -> None:
        self._settle()
        self.record("training loss", self._recent_loss())
        for name, (total, count) in self._sums.items():
            if name.startswith("training"):
                self.record(name, total / count)

    def _take_training(self) -> None:
        self._close("training")
        self.record("training loss", self._recent_loss())

    def _read(self, text: str) -> None:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            found = self._pattern.search(line) if self._pattern is not None else None
            value = number_in(found)
            if value is not None:
                self.record(PRINTED, value)


def number_in(found: "re.Match[str] | None") -> float | None:
    """Return the number that a pattern has found: its first group, else all of it."""
    if found is None:
        return None
    text = found.group(1) if found.re.groups else found.group(0)
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _judged(given: LossCall) -> list[tuple[str, float, float]]:
    """Return ``accuracy`` or ``squared error`` of a loss: name, sum and count."""
    prediction, target = given.prediction.detach(), given.target.detach()
    if given.function in {"cross_entropy", "nll_loss"}:
        return _classes(prediction, target, given.options)
    if prediction.numel() != target.numel():
        return []
    prediction, target = prediction.reshape(-1).float(), target.reshape(-1).float()
    if given.function.startswith("binary_cross_entropy"):
        threshold = 0.0 if given.function.endswith("logits") else 0.5
        right = ((prediction > threshold) == (target > 0.5)).sum()
        return [("accuracy", float(right), target.numel())]
    kept = target.isfinite()
    error = (prediction[kept] - target[kept]).double().square().sum()
    return [("squared error", float(error), float(kept.sum()))] if bool(kept.any()) else []


def _classes(
    prediction: Tensor, target: Tensor, options: dict[str, Any]
) -> list[tuple[str, float, float]]:
    axis = 1 if prediction.ndim > 1 else 0
    if target.is_floating_point():
        target = target.argmax(axis)
    guessed = prediction.argmax(axis)
    if guessed.shape != target.shape:
        return []
    kept = target != options.get("ignore_index", -100)
    right = (guessed == target)[kept].sum()
    return [("accuracy", float(right), float(kept.sum()))] if bool(kept.any()) else []
