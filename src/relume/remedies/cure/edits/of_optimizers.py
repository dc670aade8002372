"""Edits of the optimizer's part: rate, warm-up, clipping, zeroing, schedules, what it holds."""

from collections.abc import Mapping

import libcst as cst

from relume.remedies.cure.case import short
from relume.remedies.cure.edits.arguments import argument, with_argument
from relume.remedies.cure.edits.source import NotLiteralError, Replacement, Source
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

DECAY = "weight_decay"
DECAY_AT: Mapping[str, int] = {"Adagrad": 3}
"""Position of the weight decay, where it is not the fourth after the parameters."""
MOMENTUM_AT: Mapping[str, int] = {"SGD": 2, "RMSprop": 5}


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


def one_rate(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Say where the groups are given their rates."""
    for said in survey["optimizers"]:
        _made(sources, said)
    place = place_in(survey["optimizers"][0]["place"], "the optimizer")
    raise NotLiteralError(f"{place.short} is given groups with rates from elsewhere")


def hold_rate(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Say which optimizer's rate is changed on the way."""
    said = next(each for each in survey["optimizers"] if each["is_rate_written"])
    place = place_in(said["place"], "the optimizer")
    raise NotLiteralError(
        f"the program writes another rate into the groups of the optimizer of {place.short}"
    )


def momentum(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write another momentum where the optimizer is made."""
    edits: Edits = []
    for said in survey["optimizers"]:
        if said["momentum"]:
            source, call = _made(sources, said)
            value, position = f"{treatment.numbers['momentum']:g}", MOMENTUM_AT.get(said["kind"])
            edits.append((source.path, with_argument(source, call, "momentum", value, position)))
    return edits


def weight_decay(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write another weight decay where the optimizer is made, or groups, one without."""
    edits: Edits = []
    for said in survey["optimizers"]:
        if not said["decay"]:
            continue
        source, call = _made(sources, said)
        if treatment.numbers["spares"]:
            edits.append((source.path, _parted(source, call)))
            continue
        if call.args and DECAY in source.code(call.args[0].value):
            raise NotLiteralError(f"line {source.line_of(call)} gives weight decay to groups")
        value = f"{short(said['decay'] * treatment.numbers['factor']):g}"
        position = DECAY_AT.get(said["kind"], 4)
        edits.append((source.path, with_argument(source, call, DECAY, value, position)))
    return edits


def _parted(source: Source, call: cst.Call) -> Replacement:
    """Return the edit that gives an optimizer matrices, and all else without weight decay."""
    held = source.code(call.args[0].value) if call.args else ""
    if not held.endswith(".parameters()") or held.count("(") != 1:
        raise NotLiteralError(f"line {source.line_of(call)} is given its parameters in another way")
    text = (
        f'[{{"params": [p for p in {held} if p.ndim >= 2]}}, '
        f'{{"params": [p for p in {held} if p.ndim < 2], "{DECAY}": 0.0}}]'
    )
    return source.replace(call.args[0].value, text)


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


def finite_gradients(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write, before each update, zeros into gradients that are not finite."""
    edits: Edits = []
    for said in survey["optimizers"]:
        source, step = _step(sources, said)
        lines = (
            f"for parameter in {_parameters(sources, said, source, receiver(source, step))}:",
            "    if parameter.grad is not None:",
            "        torch.nan_to_num_(parameter.grad, 0.0, 0.0, 0.0)",
        )
        edits += [(source.path, each) for each in source.import_of_torch()]
        edits.append((source.path, source.before(source.statement(step), *lines)))
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
