"""Changes of the rows: what a person got wrong about the data, or what the data are like."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from benchmarks.clinic.data import Rows, Task

EditRows = Callable[[Task, float, torch.Generator], Task]


def _inputs(task: Task, change: Callable[[Tensor], Tensor]) -> Task:
    """Change the inputs of all parts alike; what is rebuilt keeps its target."""
    return task.with_parts(*(Rows(change(part.x), part.y) for part in task.parts))


def _targets(task: Task, change: Callable[[Tensor], Tensor]) -> Task:
    return task.with_parts(*(Rows(part.x, change(part.y)) for part in task.parts))


def _learned(task: Task, change: Callable[[Rows], Rows]) -> Task:
    """Change the rows that the script has, and not those that the outcome is scored on."""
    return task.with_parts(change(task.train), change(task.valid), task.test)


def _scale_inputs(task: Task, size: float, _: torch.Generator) -> Task:
    return _inputs(task, lambda x: x * size)


def _uneven_inputs(task: Task, size: float, _: torch.Generator) -> Task:
    scales = torch.logspace(0, math.log10(size), task.train.x[0].numel())
    return _inputs(task, lambda x: x * scales.reshape(x.shape[1:]))


def _offset_inputs(task: Task, size: float, _: torch.Generator) -> Task:
    return _inputs(task, lambda x: x + size)


def _hole(value: float) -> EditRows:
    def edit(task: Task, share: float, draw: torch.Generator) -> Task:
        x = task.train.x.clone()
        rows = torch.randperm(len(x), generator=draw)[: max(1, round(share * len(x)))]
        x[rows, 0] = value
        return task.with_parts(Rows(x, task.train.y), task.valid, task.test)

    return edit


def _constant_inputs(task: Task, share: float, draw: torch.Generator) -> Task:
    count = task.train.x[0].numel()
    chosen = torch.randperm(count, generator=draw)[: round(share * count)]

    def zero(x: Tensor) -> Tensor:
        flat = x.flatten(1).clone()
        flat[:, chosen] = 0.0
        return flat.reshape(x.shape)

    return _inputs(task, zero)


def _constant_targets(task: Task, _: float, __: torch.Generator) -> Task:
    return _learned(task, lambda rows: Rows(rows.x, torch.ones_like(rows.y)))


def _missing_targets(task: Task, share: float, draw: torch.Generator) -> Task:
    y = task.train.y.clone()
    rows = torch.randperm(len(y), generator=draw)[: max(1, round(share * len(y)))]
    y[rows] = -100 if task.kind == "classes" else torch.nan
    return task.with_parts(Rows(task.train.x, y), task.valid, task.test)


def _imbalance(task: Task, ratio: float, _: torch.Generator) -> Task:
    """Keep one class whole, and one row in so many of the others, two at least."""

    def thin(rows: Rows) -> Rows:
        labels = rows.y.flatten()
        kept = [torch.nonzero(labels == 0).flatten()]
        for label in range(1, max(2, task.outputs)):
            of_it = torch.nonzero(labels == label).flatten()
            kept.append(of_it[: max(2, round(len(of_it) / ratio))])
        return _rows(rows, torch.cat(kept).sort().values)

    return _learned(task, thin)


def _drop_class(task: Task, count: float, _: torch.Generator) -> Task:
    least = max(2, task.outputs - round(count))

    def drop(rows: Rows) -> Rows:
        return _rows(rows, torch.nonzero(rows.y.flatten() < least).flatten())

    return _learned(task, drop)


def _scale_targets(task: Task, size: float, _: torch.Generator) -> Task:
    return _targets(task, lambda y: y * size)


def _offset_targets(task: Task, size: float, _: torch.Generator) -> Task:
    return _targets(task, lambda y: y + size)


def _few_rows(task: Task, share: float, _: torch.Generator) -> Task:
    count = max(8, round(share * len(task.train.x)))
    return task.with_parts(Rows(*(part[:count] for part in task.train)), task.valid, task.test)


def _label_noise(task: Task, share: float, draw: torch.Generator) -> Task:
    """Exchange the targets of a share of the rows among one another."""

    def shuffle(rows: Rows) -> Rows:
        chosen = torch.randperm(len(rows.y), generator=draw)[: round(share * len(rows.y))]
        y = rows.y.clone()
        y[chosen] = rows.y[chosen[torch.randperm(len(chosen), generator=draw)]]
        return Rows(rows.x, y)

    return _learned(task, shuffle)


def _leak(task: Task, share: float, _: torch.Generator) -> Task:
    count = round(share * len(task.valid.x))
    both = (torch.cat([a, b[:count]]) for a, b in zip(task.train, task.valid, strict=True))
    return task.with_parts(Rows(*both), task.valid, task.test)


def _sort(task: Task, _: float, __: torch.Generator) -> Task:
    order = task.train.y.flatten().argsort(stable=True)
    return task.with_parts(_rows(task.train, order), task.valid, task.test)


def _drift(task: Task, size: float, _: torch.Generator) -> Task:
    x = task.train.x
    shift = torch.linspace(-size / 2, size / 2, len(x)).reshape(-1, *[1] * (x.ndim - 1))
    return task.with_parts(Rows(x + shift, task.train.y), task.valid, task.test)


def _sparse_inputs(task: Task, share: float, _: torch.Generator) -> Task:
    """Cut off what lies under a quantile, so that most inputs are zero."""
    flat = task.train.x.flatten()
    cut = flat.kthvalue(max(1, round(share * 0.8 * len(flat)))).values
    return _inputs(task, lambda x: (x - cut).clamp(min=0.0))


def _raw(task: Task, _: float, __: torch.Generator) -> Task:
    parts = zip(task.raw, task.parts, strict=True)
    return task.with_parts(*(Rows(x, part.y) for x, part in parts))


def _unit_inputs(task: Task, _: float, __: torch.Generator) -> Task:
    least, most = task.train.x.min(), task.train.x.max()
    return _inputs(task, lambda x: (x - least) / (most - least))


def _positive_targets(task: Task, _: float, __: torch.Generator) -> Task:
    least = task.train.y.min()
    return _targets(task, lambda y: y - least + 0.1)


def _unit_targets(task: Task, _: float, __: torch.Generator) -> Task:
    least, most = task.train.y.min(), task.train.y.max()
    return _targets(task, lambda y: 0.05 + 0.9 * (y - least) / (most - least))


def _repeat(task: Task, times: float, _: torch.Generator) -> Task:
    again = Rows(*(torch.cat([part] * (1 + round(times))) for part in task.train))
    return task.with_parts(again, task.valid, task.test)


def _rounded(task: Task, step: float, _: torch.Generator) -> Task:
    return _inputs(task, lambda x: (x / step).round() * step)


def _rows(rows: Rows, chosen: Tensor) -> Rows:
    return Rows(rows.x[chosen], rows.y[chosen])


DATA_EDITS: Mapping[str, EditRows] = {
    "scale inputs": _scale_inputs,
    "uneven inputs": _uneven_inputs,
    "offset inputs": _offset_inputs,
    "nan inputs": _hole(torch.nan),
    "inf inputs": _hole(torch.inf),
    "constant inputs": _constant_inputs,
    "constant targets": _constant_targets,
    "missing targets": _missing_targets,
    "imbalance": _imbalance,
    "drop class": _drop_class,
    "scale targets": _scale_targets,
    "offset targets": _offset_targets,
    "few rows": _few_rows,
    "label noise": _label_noise,
    "leak": _leak,
    "sort": _sort,
    "drift": _drift,
    "sparse inputs": _sparse_inputs,
    "raw": _raw,
    "unit inputs": _unit_inputs,
    "positive targets": _positive_targets,
    "unit targets": _unit_targets,
    "repeat": _repeat,
    "rounded": _rounded,
}


def edited(task: Task, edits: tuple[tuple[str, float], ...], seed: int) -> Task:
    """Return a task with changes, in their order; random choices come from the seed."""
    draw = torch.Generator().manual_seed(seed)
    for name, size in edits:
        task = DATA_EDITS[name](task, size, draw)
    return task
