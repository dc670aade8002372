"""The reference of the public names, from their docstrings."""

import importlib
import inspect
from dataclasses import is_dataclass
from typing import Any

import relume
from docs.generated.docstrings import to_markdown

OUTCOMES = {
    "fit": "relume.training.fit",
    "FitResult": "relume.training.fit",
    "OwnResult": "relume.training.own_steps",
    "Predictions": "relume.training.predict",
    "Watch": "relume.watching",
    "WatchSettings": "relume.watching",
    "Examination": "relume.observe.examine",
    "ExaminedLayer": "relume.observe.examine",
    "Revival": "relume.remedies.revive",
    "BatchNormRepair": "relume.remedies.repair_batch_norm",
    "Verdict": "relume.remedies.verdict",
    "Run": "relume.runs.run_file",
}
NETWORKS = {
    "build_network": "relume.nn.networks",
    "network_names": "relume.nn.networks",
    "build_activation": "relume.nn.registry",
    "get_activation": "relume.nn.registry",
    "activation_of": "relume.nn.registry",
    "activation_names": "relume.nn.registry",
    "initialise_": "relume.nn.init",
    "draw_": "relume.nn.init",
    "lsuv_": "relume.nn.init",
    "identity_recurrent_": "relume.nn.init",
    "scheme_names": "relume.nn.init",
    "Facts": "relume.nn.facts",
}
MODULES = ("__version__", "nn")


def api_page() -> str:
    """Return the public names, what they return, and the networks beside them."""
    names = [name for name in relume.__all__ if name not in MODULES]
    lines = [
        "# Python",
        "",
        (
            "Every public name, from its docstring. Names are imported when first used: "
            "`import relume` alone imports no torch."
        ),
        "",
        "## relume",
        *(part for name in names for part in _entry(f"relume.{name}", getattr(relume, name))),
        "",
        "## What they return and take",
        *_entries(OUTCOMES, with_module=False),
        "",
        "## relume.nn",
        "",
        (
            "Networks, activations and initialisation. Activations are functions in "
            "`relume.nn.functional` and modules in `relume.nn.modules`, under the names of the "
            "[catalogue](activations.md)."
        ),
        *_entries(NETWORKS, with_module=True),
        "",
        "## Errors",
        "",
        to_markdown(inspect.getdoc(importlib.import_module("relume.errors")) or ""),
    ]
    return "\n".join(lines) + "\n"


def _entries(homes: dict[str, str], *, with_module: bool) -> list[str]:
    found = []
    for name, home in homes.items():
        title = f"{home}.{name}" if with_module else name
        found += _entry(title, getattr(importlib.import_module(home), name))
    return found


def _entry(title: str, value: Any) -> list[str]:
    lines = ["", f"### {title}", "", *_signature(title, value)]
    lines += [to_markdown(inspect.getdoc(value) or "")]
    if inspect.isclass(value):
        lines += [part for name, member in _members(value) for part in _member(name, member)]
    return lines


def _signature(title: str, value: Any) -> list[str]:
    if inspect.isclass(value) and not is_dataclass(value):
        return []
    name = title.rpartition(".")[2]
    arguments = [_argument(each) for each in inspect.signature(value).parameters.values()]
    return ["```text", f"{name}({', '.join(arguments)})", "```", ""]


def _argument(parameter: inspect.Parameter) -> str:
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return f"*{parameter.name}"
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        return f"**{parameter.name}"
    if parameter.default is inspect.Parameter.empty:
        return parameter.name
    return f"{parameter.name}={parameter.default!r}"


def _members(value: type) -> list[tuple[str, Any]]:
    """Return public methods and properties that the class itself documents."""
    return [
        (name, member)
        for name, member in vars(value).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, property))
        and inspect.getdoc(member)
    ]


def _member(name: str, member: Any) -> list[str]:
    call = "" if isinstance(member, property) else "()"
    first = (inspect.getdoc(member) or "").splitlines()[0]
    return ["", f"- `.{name}{call}`: {first}".replace("``", "`")]
