"""Edits of a model: its mode, its initialisation, its batch norms."""

from relume.remedies.cure.edits.arguments import with_argument
from relume.remedies.cure.edits.calls import last_name
from relume.remedies.cure.edits.source import NotLiteralError
from relume.remedies.cure.edits.sources import Edits, Sources, place_in
from relume.remedies.cure.edits.statements import name_of_made
from relume.remedies.cure.edits.written import Written
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Treatment

WEIGHTED = ("Linear", "Conv1d", "Conv2d", "Conv3d")
HE = (
    "for module in {model}.modules():",
    f"    if isinstance(module, ({', '.join(f'torch.nn.{name}' for name in WEIGHTED)})):",
    '        torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")',
    "        if module.bias is not None:",
    "            torch.nn.init.zeros_(module.bias)",
)


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
    """Write He initialisation after the model is made."""
    place = place_of_model(survey)
    source = sources.at(place)
    call = source.call_at(place)
    lines = [line.format(model=name_of_made(source, call)) for line in HE]
    added = [*source.import_of_torch(), source.after(source.statement(call), *lines)]
    return [(source.path, each) for each in added]


def batch_norm(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write how each batch norm follows its batches, where it is made."""
    momentum = treatment.numbers["momentum"]
    edits: Edits = []
    for made in survey["modules"].values():
        if not made["kind"].startswith("BatchNorm"):
            continue
        place = CodePlace.from_json(made["place"])
        source = sources.at(place)
        call = source.call_at(place)
        if last_name(source, call) != made["kind"]:
            raise NotLiteralError(f"{place.short} makes its batch norm indirectly")
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
