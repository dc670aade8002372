"""Edits of what a loss is given: shapes, scales, class weights, and rows without values."""

import math
from collections.abc import Mapping, Sequence

import libcst as cst

from relume.remedies.cure.edits.arguments import argument, with_argument
from relume.remedies.cure.edits.calls import last_name, prefix
from relume.remedies.cure.edits.of_models import place_of_model
from relume.remedies.cure.edits.source import NotLiteralError, Source
from relume.remedies.cure.edits.sources import Edits, Sources, place_in
from relume.remedies.cure.edits.statements import name_of_made
from relume.remedies.cure.edits.written import Written
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Treatment


def squeeze(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Take the axis of length 1 away from whichever side of the loss has it."""
    source, call = _call(sources, survey)
    shapes = [list(treatment.numbers[name]) for name in ("prediction", "target")]
    index = 0 if len(shapes[0]) > len(shapes[1]) else 1
    axis = _extra_axis(shapes[index], shapes[1 - index])
    value = _side(source, call, index)
    text = f"{source.operand(value)}.squeeze({axis})"
    return [(source.path, source.replace(value, text))]


def difference(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Take the axis of length 1 away from whichever side of a subtraction has it."""
    edits: Edits = []
    for said in treatment.numbers["differences"]:
        place = CodePlace.from_json(said["place"])
        source = sources.at(place)
        node = source.subtraction_at(place)
        sides, shapes = (node.left, node.right), (said["left"], said["right"])
        index = 0 if len(shapes[0]) > len(shapes[1]) else 1
        axis = _extra_axis(shapes[index], shapes[1 - index])
        text = f"{source.operand(sides[index])}.squeeze({axis})"
        edits.append((source.path, source.replace(sides[index], text)))
    return edits


def log_softmax(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write a logarithm around probabilities, else cross-entropy, which takes scores."""
    if treatment.numbers["of_probabilities"]:
        source, call = _call(sources, survey)
        value = _side(source, call, 0)
        logarithm = source.replace(value, f"torch.log({source.operand(value)} + 1e-9)")
        return [(source.path, each) for each in (*source.import_of_torch(), logarithm)]
    names = {"NLLLoss": "CrossEntropyLoss", "nll_loss": "cross_entropy"}
    return _other_loss(sources, survey, names)


def one_logit(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write binary cross-entropy with logits for cross-entropy."""
    names = {
        "CrossEntropyLoss": "BCEWithLogitsLoss",
        "cross_entropy": "binary_cross_entropy_with_logits",
    }
    return _other_loss(sources, survey, names)


def _other_loss(sources: Sources, survey: Written, names: Mapping[str, str]) -> Edits:
    source, call = _loss(sources, survey)
    name = last_name(source, call)
    if name not in names or not prefix(source, call):
        raise NotLiteralError(f"line {source.line_of(call)} makes its loss indirectly")
    return [(source.path, source.replace(call.func, prefix(source, call) + names[name]))]


def class_weights(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write weights of the classes where the loss is made."""
    source, call = _loss(sources, survey)
    weights = treatment.numbers["weights"]
    name, value = "weight", f"torch.tensor([{', '.join(f'{each:g}' for each in weights)}])"
    if survey["loss"]["function"] == "binary_cross_entropy_with_logits":
        name, value = "pos_weight", f"torch.tensor({weights[1] / weights[0]:g})"
    added = [*source.import_of_torch(), with_argument(source, call, name, value)]
    return [(source.path, each) for each in added]


def scale(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write hooks that standardise what the model is given and gives, and scale the loss."""
    place = place_of_model(survey)
    source = sources.at(place)
    making = source.call_at(place)
    model = name_of_made(source, making)
    inputs, targets = treatment.numbers.get("inputs"), treatment.numbers.get("targets")
    lines, edits = [], [(source.path, each) for each in source.import_of_torch()]
    if inputs is not None:
        mean, deviation = (_constant(each) for each in inputs)
        lines.append(
            f"{model}.register_forward_pre_hook("
            f"lambda _, values: ((values[0] - {mean}) / {deviation}, *values[1:]))"
        )
    if targets is not None:
        mean, deviation = (f"{each:g}" for each in targets)
        lines.append(
            f"{model}.register_forward_hook("
            f"lambda _, values, output: output * {deviation} + {mean})"
        )
        losing, call = _call(sources, survey)
        for index in (0, 1):
            value = _side(losing, call, index)
            text = f"{losing.operand(value)} / {deviation}"
            edits.append((losing.path, losing.replace(value, text)))
    return [*edits, (source.path, source.after(source.statement(making), *lines))]


def drop_rows(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write, at the head of the loop over batches, that rows with missing values are left out."""
    place = place_in(survey.get("loader"), "the loop over batches")
    source = sources.at(place)
    start, end = source.bytes_of(place)
    for loop in source.all_of(cst.For):
        first, last = source.span(loop.iter)
        is_meant = source.span(loop)[0] == start or (first <= start and end <= last)
        if is_meant and isinstance(loop.body, cst.IndentedBlock):
            names = _names(source, loop.target)
            break
    else:
        raise NotLiteralError(f"{place.short} is no plain loop over batches")
    dimensions = treatment.numbers["dimensions"]
    if len(names) != len(dimensions):
        raise NotLiteralError(f"{place.short} does not name all parts of a batch")
    tests = [
        f"{name}.isfinite()" + ".flatten(1).all(1)" * (dimension > 1)
        for name, dimension in zip(names, dimensions, strict=True)
    ]
    kept = ", ".join(f"{name}[finite]" for name in names)
    lines = [f"finite = {' & '.join(tests)}", f"{', '.join(names)} = {kept}"]
    lines += ["if not finite.any():", "    continue"]
    return [(source.path, source.before(loop.body.body[0], *lines))]


def _names(source: Source, target: cst.BaseExpression) -> list[str]:
    """Return the names that a loop gives the parts of a batch."""
    if isinstance(target, cst.Tuple):
        last = target.elements[-1].value
        if isinstance(last, cst.Tuple):  # of enumerate
            return _names(source, last)
        values = [each.value for each in target.elements]
        if all(isinstance(each, cst.Name) for each in values):
            return [source.code(each) for each in values]
    return []


def _loss(sources: Sources, survey: Written) -> tuple[Source, cst.Call]:
    """Return the call that makes the loss, or that computes it."""
    made = survey["loss"]["made"]
    place = place_in(made["place"] if made else survey["loss"]["place"], "the loss")
    source = sources.at(place)
    call = source.call_at(place)
    wanted = made["kind"] if made else survey["loss"]["function"]
    if last_name(source, call) != wanted:
        raise NotLiteralError(f"{place.short} makes its loss indirectly")
    return source, call


def _call(sources: Sources, survey: Written) -> tuple[Source, cst.Call]:
    place = place_in(survey["loss"]["place"], "the loss")
    source = sources.at(place)
    return source, source.call_at(place)


def _side(source: Source, call: cst.Call, index: int) -> cst.BaseExpression:
    """Return the prediction (0) or the target (1) of the call of a loss."""
    found = argument(call, ("input", "target")[index], index)
    if found is None or len(call.args) < 2:
        raise NotLiteralError(f"line {source.line_of(call)} calls its loss indirectly")
    return found.value


def _extra_axis(longer: Sequence[int], shorter: Sequence[int]) -> int:
    for axis in range(len(longer)):
        if longer[axis] == 1 and [*longer[:axis], *longer[axis + 1 :]] == list(shorter):
            return axis
    raise NotLiteralError(f"shapes {longer} and {shorter} differ by more than an axis of length 1")


def _constant(values: Sequence[float]) -> str:
    if len(values) == 1 or max(values) - min(values) < 1e-9 * math.fabs(max(values)):
        return f"{values[0]:g}" if values[0] >= 0 else f"({values[0]:g})"
    return f"torch.tensor([{', '.join(f'{each:g}' for each in values)}])"
