"""Proposals for the model: its start, its activations, its norms, its mode."""

from collections.abc import Iterator, Mapping
from typing import Any

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Safety
from relume.remedies.cure.case import Case
from relume.remedies.cure.proposals.of_heads import BOUNDED, swap
from relume.remedies.cure.treatment import Kind, Treatment

LABELS = {
    "he": "He initialisation",
    "lecun": "LeCun initialisation",
    "default": "torch's own initialisation",
    "slopes": "slopes of 0.25",
}
DEEP = 3
"""Hidden layers from which on gradients through sigmoids, a quarter each at most, fade."""
USUAL_MOMENTUM = 0.1
"""Of batch norm, as torch has it."""


def draw_anew(case: Case) -> Iterator[Treatment]:
    """Propose the initialisation that suits the activations, then torch's own."""
    hidden = {str(each["function"]) for each in case.hidden}
    is_lecun = "selu" in hidden or (bool(hidden) and hidden <= BOUNDED)
    yield _initialise("lecun" if is_lecun else "he")
    yield _initialise("default")


def reset(case: Case) -> Iterator[Treatment]:
    """Propose torch's own initialisation, then the one that suits the activations."""
    yield from reversed(list(draw_anew(case)))


def lecun(case: Case) -> Iterator[Treatment]:
    """Propose what SELU is made for, and ReLU, which asks for less."""
    yield _initialise("lecun")
    yield from swap(case, frozenset({"selu"}), "relu")


def dropout(case: Case) -> Iterator[Treatment]:
    """Propose alpha dropout, which SELU is made for, then none."""
    modules = case.survey.get("modules", {}).values()
    if any(made["kind"] == "Dropout" for made in modules):
        yield Treatment(
            kind=Kind.DROPOUT,
            label="alpha dropout in place of dropout",
            numbers={"share": None},
            safety=Safety.CHANGES_MODEL,
        )
        yield Treatment(kind=Kind.DROPOUT, label="no dropout", numbers={"share": 0.0})


def slopes(case: Case) -> Iterator[Treatment]:
    """Propose the slopes that PReLU usually starts with."""
    yield _initialise("slopes")


def _initialise(scheme: str) -> Treatment:
    return Treatment(kind=Kind.INITIALISE, label=LABELS[scheme], numbers={"scheme": scheme})


def unbounded(case: Case) -> Iterator[Treatment]:
    """Propose ReLU for hidden activations that saturate."""
    yield from swap(case, BOUNDED, "relu")


def deep_sigmoid(case: Case) -> Iterator[Treatment]:
    """Propose ReLU where three or more hidden layers are all followed by a sigmoid."""
    hidden = [str(each["function"]) for each in case.hidden]
    if len(hidden) >= DEEP and set(hidden) == {"sigmoid"}:
        yield from swap(case, frozenset(hidden), "relu")


def leaky(case: Case) -> Iterator[Treatment]:
    """Propose leaky ReLU for hidden ReLUs."""
    yield from swap(case, frozenset({"relu"}), "leaky_relu")


def insert(case: Case) -> Iterator[Treatment]:
    """Propose a ReLU between layers that have nothing between them."""
    layers = [str(each.evidence["first"]) for each in case.faults if each.code == Code.LINEAR_STACK]
    yield Treatment(
        kind=Kind.INSERT,
        label=f"ReLU after {', '.join(layers)}",
        numbers={"layers": layers},
        safety=Safety.CHANGES_MODEL,
    )


def recurrent_tanh(case: Case) -> Iterator[Treatment]:
    """Propose tanh in recurrent layers of ReLU."""
    yield from _nonlinearity(case, "relu", "tanh")


def recurrent_relu(case: Case) -> Iterator[Treatment]:
    """Propose ReLU in recurrent layers of tanh."""
    yield from _nonlinearity(case, "tanh", "relu")


def _nonlinearity(case: Case, present: str, to: str) -> Iterator[Treatment]:
    modules = case.survey.get("modules", {}).items()
    names = [name for name, made in modules if made.get("nonlinearity") == present]
    if names:
        yield Treatment(
            kind=Kind.NONLINEARITY,
            label=f"{to} in {', '.join(names)}",
            numbers={"layers": names, "to": to},
            safety=Safety.CHANGES_MODEL,
        )


def batch_norm(case: Case) -> Iterator[Treatment]:
    """Propose how batch norm follows its batches: as usual, faster, or not at all."""
    yield from usual_batch_norm(case)
    if _norms(case):
        yield _batch_norm(0.5)
        yield _batch_norm(None)


def usual_batch_norm(case: Case) -> Iterator[Treatment]:
    """Propose the momentum that torch gives batch norm, where there is another."""
    if any(made.get("momentum", USUAL_MOMENTUM) != USUAL_MOMENTUM for made in _norms(case)):
        yield _batch_norm(USUAL_MOMENTUM)


def _norms(case: Case) -> list[Mapping[str, Any]]:
    modules = case.survey.get("modules", {}).values()
    return [made for made in modules if made["kind"].startswith("BatchNorm")]


def _batch_norm(momentum: float | None) -> Treatment:
    how = "by the batch alone" if momentum is None else f"with momentum {momentum:g}"
    return Treatment(
        kind=Kind.BATCH_NORM, label=f"batch norm {how}", numbers={"momentum": momentum}
    )


def train_mode(case: Case) -> Iterator[Treatment]:
    """Propose ``train()`` before each step."""
    place = case.survey.get("model", {}).get("call")
    if place is not None:
        yield Treatment(
            kind=Kind.TRAIN_MODE, label="train() before each step", numbers={"place": place}
        )
