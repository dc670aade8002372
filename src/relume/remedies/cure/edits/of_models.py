"""Edits of a model: its mode, its initialisation, its dropout and batch norms, what it gives."""

from collections.abc import Mapping
from pathlib import Path

import libcst as cst

from relume.remedies.cure.edits.arguments import with_argument
from relume.remedies.cure.edits.calls import last_name, prefix
from relume.remedies.cure.edits.source import NotLiteralError, Source
from relume.remedies.cure.edits.sources import Edits, Sources, place_in
from relume.remedies.cure.edits.statements import name_of_made
from relume.remedies.cure.edits.written import Written
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Treatment

WEIGHTED = ("Linear", "Conv1d", "Conv2d", "Conv3d")
RESET = (
    'if hasattr(module, "reset_parameters"):',
    "    module.reset_parameters()",
)
DRAW = (
    f"if isinstance(module, ({', '.join(f'torch.nn.{name}' for name in WEIGHTED)})):",
    '    torch.nn.init.kaiming_normal_(module.weight, nonlinearity="{nonlinearity}")',
    "    if module.bias is not None:",
    "        torch.nn.init.zeros_(module.bias)",
)
DRAW_RECURRENT = (
    "if isinstance(module, torch.nn.RNNBase):",
    "    for name, parameter in module.named_parameters():",
    '        if name.startswith("weight_hh"):',
    "            torch.nn.init.orthogonal_(parameter)",
    '        if name.startswith("bias"):',
    "            torch.nn.init.zeros_(parameter)",
)
SLOPES = (
    "if isinstance(module, torch.nn.PReLU):",
    "    torch.nn.init.constant_(module.weight, 0.25)",
)
SCHEMES: Mapping[str, tuple[str, ...]] = {
    "he": (*RESET, *DRAW, *DRAW_RECURRENT),
    "lecun": (*RESET, *DRAW, *DRAW_RECURRENT),
    "default": RESET,
    "slopes": SLOPES,
}


def train_mode(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write ``train()`` before the call by which the model is trained."""
    place = CodePlace.from_json(treatment.numbers["place"])
    source = sources.at(place)
    call = source.call_at(place)
    model = source.code(call.func)
    if not model.replace(".", "").isidentifier():
        raise NotLiteralError(f"{place.short} calls a model that has no name")
    return [(source.path, source.before(source.statement(call), f"{model}.train()"))]


def initialise(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write an initialisation where the model is about to be trained, else after it is made."""
    place = place_of_model(survey)
    source = sources.at(place)
    call = source.call_at(place)
    scheme = treatment.numbers["scheme"]
    nonlinearity = "relu" if scheme == "he" else "linear"
    lines = [
        f"for module in {name_of_made(source, call)}.modules():",
        *(f"    {line.format(nonlinearity=nonlinearity)}" for line in _lines(survey, scheme)),
    ]
    statement = source.statement(call)
    following = _first_use(source, statement, survey)
    added = (
        source.before(following, *lines)
        if following is not None
        else source.after(statement, *lines)
    )
    return [(source.path, each) for each in (*source.import_of_torch(), added)]


def _first_use(
    source: Source, making: cst.SimpleStatementLine, survey: Written
) -> cst.CSTNode | None:
    """Return the statement beside that of a model in which it is trained, or its optimizer made.

    What the program writes into the weights in between is overwritten as in the trial.
    """
    block = source.parent(making)
    if not isinstance(block, (cst.Module, cst.IndentedBlock)):
        return None
    index = next(i for i, each in enumerate(block.body) if each is making)
    places = [
        survey["model"].get("call"),
        *(each["place"] for each in survey.get("optimizers", ())),
    ]
    for said in filter(None, places):
        place = CodePlace.from_json(said)
        if Path(place.file).resolve() != source.path:
            continue
        start, end = source.bytes_of(place)
        for each in block.body[index + 1 :]:
            first, last = source.span(each)
            if first <= start and end <= last:
                return each
    return None


def _lines(survey: Written, scheme: str) -> tuple[str, ...]:
    """Return the lines of a scheme, without those for layers that the model has none of."""
    kinds = {made["kind"] for made in survey.get("modules", {}).values()}
    lines = SCHEMES[scheme]
    is_recurrent = not kinds or kinds & {"RNN", "LSTM", "GRU"}
    return lines if is_recurrent else tuple(each for each in lines if each not in DRAW_RECURRENT)


def dropout(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write alpha dropout, or another share, where each dropout is made."""
    share = treatment.numbers["share"]
    edits: Edits = []
    for made in survey["modules"].values():
        if made["kind"] != "Dropout":
            continue
        source, call = _making(sources, made)
        if share is not None:
            edits.append((source.path, with_argument(source, call, "p", f"{share:g}", 0)))
        else:
            name = f"{prefix(source, call) or 'torch.nn.'}AlphaDropout"
            edits += [(source.path, each) for each in source.import_of_torch()]
            edits.append((source.path, source.replace(call.func, name)))
    return list(dict.fromkeys(edits))


def probabilities(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write a hook after the model is made, by which it gives probabilities."""
    place = place_of_model(survey)
    source = sources.at(place)
    call = source.call_at(place)
    function = treatment.numbers["function"]
    applied = "output.sigmoid()" if function == "sigmoid" else "output.softmax(1)"
    line = (
        f"{name_of_made(source, call)}.register_forward_hook(lambda _, values, output: {applied})"
    )
    return [(source.path, source.after(source.statement(call), line))]


def _making(sources: Sources, made: Written) -> tuple[Source, cst.Call]:
    place = CodePlace.from_json(made["place"])
    source = sources.at(place)
    call = source.call_at(place)
    if last_name(source, call) != made["kind"]:
        raise NotLiteralError(f"{place.short} makes its {made['kind']} indirectly")
    return source, call


def batch_norm(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write how each batch norm follows its batches, where it is made."""
    momentum = treatment.numbers["momentum"]
    edits: Edits = []
    for made in survey["modules"].values():
        if not made["kind"].startswith("BatchNorm"):
            continue
        source, call = _making(sources, made)
        option = ("track_running_stats", "False", 4)
        if momentum is not None:
            option = ("momentum", f"{momentum:g}", 2)
        edits.append((source.path, with_argument(source, call, *option)))
    return edits


def place_of_model(survey: Written) -> CodePlace:
    """Return where the model is made.

    Raises:
        NotLiteralError: If that was not seen.
    """
    made = survey.get("model", {}).get("made")
    return place_in(made["place"] if made is not None else None, "the model")
