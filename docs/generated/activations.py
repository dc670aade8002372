"""The pages of the activations: their facts, and their curve."""

import math

from docs.generated.activation_plot import plot
from relume.nn.curve import sample_curve
from relume.nn.facts import Activation, Kind, Paper, Saturation
from relume.nn.registry import activations

KINDS = {
    Kind.ELEMENTWISE: "one number in, one number out",
    Kind.GATED: "several features make one",
    Kind.DOUBLING: "one feature makes two",
    Kind.VECTOR: "every output reads the whole axis",
    Kind.COMPLEX: "complex numbers in, complex numbers out",
}


def activations_index() -> str:
    """Return the catalogue."""
    lines = [
        "# Activations",
        "",
        (
            "Gain: the factor on the weights that keeps the second moment of the pre-activations. "
            "Dies: a unit can sit where its output is constant and its gradient exactly zero. "
            "`relume activations NAME` shows everything known of one of them, with a plot; every "
            "name here is one for `relume fit --activation`, where the network takes it."
        ),
        "",
        "| name | formula | range | slopes left, right | gain | dies | saturates | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for entry in activations():
        facts = entry.facts
        cells = (
            f"[{entry.name}](activations/{entry.name}.md)",
            f"`{facts.plain}`".replace("|", "\\|"),
            _range(facts.range),
            f"{facts.left_slope:.3g}, {facts.right_slope:.3g}",
            _gain(facts.gain),
            "yes" if facts.can_die else "no",
            facts.saturates.value,
            f"{facts.paper.authors} {facts.paper.year}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def activation_pages() -> dict[str, str]:
    """Return the page of each activation by its path."""
    return {f"activations/{entry.name}.md": _page(entry) for entry in activations()}


def _page(entry: Activation) -> str:
    facts = entry.facts
    curve = sample_curve(entry, points=241)
    lines = [f"# {entry.name}", "", f"`{facts.plain}`", "", plot(curve), ""]
    if curve.line:
        lines += [f"The plot shows one line through it: {curve.line}.", ""]
    if facts.note:
        lines += [_sentence(facts.note), ""]
    lines += ["## Facts", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |".replace("\n", " ") for name, value in _facts(entry) if value]
    lines += ["", "## What follows from them", "", *(f"- {each}" for each in _advice(entry)), ""]
    lines += ["## Source", "", _citation(facts.paper)]
    if facts.earlier:
        lines += ["", "Before it:", "", *(f"- {_citation(paper)}" for paper in facts.earlier)]
    return "\n".join(lines) + "\n"


def _facts(entry: Activation) -> list[tuple[str, str]]:
    facts = entry.facts
    return [
        ("also called", ", ".join(f"`{alias}`" for alias in entry.aliases)),
        ("reads", KINDS[entry.kind]),
        ("parameters", ", ".join(f"`{key}={value}`" for key, value in entry.defaults.items())),
        ("learns", ", ".join(f"`{name}`" for name in facts.learnable)),
        ("range", _range(facts.range)),
        ("slope far left, far right", f"{facts.left_slope:.6g}, {facts.right_slope:.6g}"),
        ("derivative jumps at", ", ".join(f"{knot:.6g}" for knot in facts.knots) or "no point"),
        ("monotone", _yes(facts.monotone)),
        ("continuously differentiable", _yes(facts.smooth)),
        ("f(c x) = c f(x) for c > 0", _yes(facts.homogeneous)),
        ("Lipschitz constant", f"{facts.lipschitz:.6g}"),
        ("gain", _gain(facts.gain)),
        ("saturates", facts.saturates.value),
        ("can die", _death(facts.fires_above)),
    ]


def _advice(entry: Activation) -> list[str]:
    """Return what a person who chooses has to know, each from one fact."""
    facts = entry.facts
    said = [
        (
            "Its units can die: watch them, and keep the rate in check "
            "([RLM101](../rules/RLM101.md), [RLM304](../rules/RLM304.md))."
            if facts.can_die
            else "Its units cannot die: nowhere is the output constant over a half-line."
        )
    ]
    if facts.saturates is Saturation.BOTH:
        said.append(
            "It is flat on both sides: units can saturate ([RLM106](../rules/RLM106.md)), and in "
            "deep networks gradients vanish ([RLM201](../rules/RLM201.md))."
        )
    if not math.isnan(facts.gain):
        said.append(
            f"Initialise with a gain of {facts.gain:.4f}: a layer before it keeps its scale with "
            f"weights of deviation {facts.gain:.4f} / √fan_in."
        )
    if facts.homogeneous:
        said.append(
            "It is positively homogeneous: scaling a unit's weights scales its output, so the "
            "scale can move between layers without changing the network."
        )
    if not math.isinf(facts.range[0]) and not math.isinf(facts.range[1]):
        said.append("Its output is bounded: at a head it can reach no target outside its range.")
    return said


def _gain(gain: float) -> str:
    return "depends on the width" if math.isnan(gain) else f"{gain:.4f}"


def _range(bounds: tuple[float, float]) -> str:
    return " to ".join(f"{bound:.3g}" for bound in bounds)


def _yes(truth: bool) -> str:  # noqa: FBT001
    return "yes" if truth else "no"


def _death(edge: float | None) -> str:
    if edge is None:
        return "no"
    return f"yes: at or below {edge:g} it is constant, with gradient exactly 0"


def _sentence(note: str) -> str:
    return note[0].upper() + note[1:] + ("" if note.endswith(".") else ".")


def _citation(paper: Paper) -> str:
    return f"{paper.authors} ({paper.year}). {paper.title}. {paper.where}."
