"""Edits of the optimizer's part: rate, warm-up, clipping, zeroing, schedules, what it holds."""

import libcst as cst

from relume.remedies.cure.case import short
from relume.remedies.cure.edits.arguments import argument, with_argument
from relume.remedies.cure.edits.source import NotLiteralError, Source
from relume.remedies.cure.edits.sources import Edits, Sources, place_in
from relume.remedies.cure.edits.statements import (
    innermost_loop,
    name_of_made,
    receiver,
    removal,
)
from relume.remedies.cure.edits.written import Written
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Treatment


def rate(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write another rate where the optimizer is made."""
    edits: Edits = []
    factor = treatment.numbers["factor"]
    for said in survey["optimizers"]:
        source, call = _made(sources, said)
        given = argument(call, "lr", 1)
        if given is None and said["rate"] is None:
            raise NotLiteralError(f"line {source.line_of(call)} names no rate")
        value = f"{short((said['rate'] or 0.0) * factor):g}"
        if given is not None and not isinstance(given.value, (cst.Float, cst.Integer)):
            value = f"{source.operand(given.value)} * {factor:g}"
        edits.append((source.path, with_argument(source, call, "lr", value, 1)))
    return edits


def warm_up(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write a linear schedule after the optimizer, and its step after each update."""
    steps = treatment.numbers["steps"]
    edits: Edits = []
    for index, said in enumerate(survey["optimizers"]):
        source, call = _made(sources, said)
        optimizer = name_of_made(source, call)
        stepping, step = _step(sources, said)
        if source is not stepping:
            raise NotLiteralError("the optimizer is made and stepped in two files")
        name = "warm_up" + (str(index + 1) if index else "")
        made = (
            f"{name} = torch.optim.lr_scheduler.LinearLR("
            f"{optimizer}, 1 / {steps}, total_iters={steps - 1})"
        )
        edits += [(source.path, each) for each in source.import_of_torch()]
        edits.append((source.path, source.after(source.statement(call), made)))
        edits.append((source.path, source.after(source.statement(step), f"{name}.step()")))
    return edits


def clip(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write the clipping before each update."""
    edits: Edits = []
    for said in survey["optimizers"]:
        source, step = _step(sources, said)
        held = _parameters(sources, said, source, receiver(source, step))
        line = f"torch.nn.utils.clip_grad_norm_({held}, {treatment.numbers['norm']:g})"
        edits += [(source.path, each) for each in source.import_of_torch()]
        edits.append((source.path, source.before(source.statement(step), line)))
    return edits


def zero_gradients(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write ``zero_grad()`` before the backward pass."""
    place = place_in(survey.get("backward"), "the backward pass")
    source = sources.at(place)
    backward = source.statement(source.call_at(place))
    lines = []
    for said in survey["optimizers"]:
        stepping, step = _step(sources, said)
        if stepping is not source:
            raise NotLiteralError("the backward pass and the update are in two files")
        lines.append(f"{receiver(source, step)}.zero_grad()")
    return [(source.path, source.before(backward, *lines))]


def schedule(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Take the step of a schedule out of the loop over batches, or out of the program."""
    edits: Edits = []
    for said in treatment.numbers["places"]:
        place = CodePlace.from_json(said)
        source = sources.at(place)
        call = source.call_at(place)
        statement = source.statement(call)
        edits.append((source.path, removal(source, statement)))
        if treatment.numbers["when"] == "epoch":
            loop = innermost_loop(source, statement)
            edits.append((source.path, source.after(loop, source.code(call))))
    return edits


def _made(sources: Sources, said: Written) -> tuple[Source, cst.Call]:
    place = place_in(said["place"], "the optimizer")
    source = sources.at(place)
    call = source.call_at(place)
    if said["kind"] not in source.code(call.func):
        raise NotLiteralError(f"{place.short} makes its {said['kind']} indirectly")
    if call.args and '"lr"' in source.code(call.args[0].value).replace("'", '"'):
        raise NotLiteralError(f"{place.short} gives rates to groups")
    return source, call


def _step(sources: Sources, said: Written) -> tuple[Source, cst.Call]:
    place = place_in(said["step"], "the update")
    source = sources.at(place)
    call = source.call_at(place)
    if not source.code(call.func).endswith(".step") or call.args:
        raise NotLiteralError(f"{place.short} is no plain optimizer.step()")
    return source, call


def _parameters(sources: Sources, said: Written, source: Source, optimizer: str) -> str:
    """Return an expression for what an optimizer holds."""
    try:
        making, call = _made(sources, said)
        first = making.code(call.args[0].value) if call.args else ""
    except NotLiteralError:
        first = ""
    if first.endswith(".parameters()") and first.count("(") == 1 and making is source:
        return first
    return f'[p for group in {optimizer}.param_groups for p in group["params"]]'
