"""What every activation and its derivative are at zeros, infinities, nan and the smallest numbers.

``observe`` asks torch; the answers of record lie in ``activation_special_values.json``. To write
them anew after a change of torch, run ``python -m tests.oracles.special_values`` and read the
difference: a nan that turned into a number is a change of behaviour for every user.
"""

import json
import math
from pathlib import Path

import torch

from relume.nn.facts import Kind
from relume.nn.registry import activations, get_activation

TABLE = Path(__file__).with_name("activation_special_values.json")
DTYPES = {"float32": torch.float32, "float64": torch.float64}
COPIES = (1, 67)  # one number runs the scalar code, many run the vector lanes and their remainder
COMPLEX_POINTS = (
    (0.0, 0.0), (-0.0, 0.0), (0.0, -0.0), (-1.0, -0.0), (1.0, -0.0), (0.0, 1.0), (5e-324, 0.0),
    (0.0, -5e-324), (math.inf, 0.0), (-math.inf, 0.0), (math.inf, math.inf), (-1.0, -math.inf),
    (math.nan, 0.0), (math.nan, -1.0), (-1.0, math.nan),
)  # fmt: skip

# What a reader would not expect, with the reason. All of it is torch's own, but the last three.
SURPRISES = {
    "elu": "the gradient at nan is 1 in scalar code, nan in vector lanes; so for selu and celu",
    "relu6": "the gradient at nan is 1 in scalar code, 0 in vector lanes",
    "hardswish": "-inf gives nan (-inf * 0); x * 6 overflows at the largest number",
    "hardsigmoid": "the gradient is 1/6 rounded to float32 in float64 too; at nan it is 0",
    "relu": "-0 stays -0; nan passes with gradient 1",
    "silu": "-inf gives nan (-inf / inf), though the limit is 0; so for mish, gelu, geglu, swiglu",
    "gelu": "in float32 vector lanes x (1 + erf) overflows at the largest number",
    "softsign": "both infinities give nan (inf / inf), though the limits are -1 and 1",
    "selu": "the scale 1.05 takes the largest number to inf",
    "softmax": "inf gives nan (inf - inf), though the limit is 1",
    "maxout": "the sign of max(-0, 0) is left to the machine; the tie splits the gradient",
    "z_relu": "nan in either part passes, so that it is seen; -1 - 0i counts as outside",
    "mod_relu": "denormal numbers count as 0, value and gradient; infinite ones have no phase: nan",
    "phase_relu": "-1 - 0i counts as the upper half plane: the sign of zero is not read",
}


def points(dtype):
    """Return the special numbers of a dtype: infinities, largest, smallest, zeros, nan."""
    limits = torch.finfo(dtype)
    denormal = limits.smallest_normal * limits.eps
    sizes = [math.inf, limits.max, limits.smallest_normal, denormal, 0.0]
    return [*(-size for size in sizes), *reversed(sizes), math.nan]


def along_a_line(entry, x):
    """Return one output of one number, whatever the activation reads."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    if entry.name == "maxout":
        return entry.function(torch.stack([x, zero], -1)).squeeze(-1)
    if entry.kind is Kind.GATED:
        return entry.function(torch.stack([one, x], -1)).squeeze(-1)
    if entry.kind is Kind.VECTOR:
        return entry.function(torch.stack([x, zero, zero], -1))[:, 0]
    if entry.kind is Kind.DOUBLING:
        return entry.function(x[:, None])[:, 0]
    return entry.function(x)


def observe(name, dtype, copies):
    """Return value and derivative at every special number, as text, from ``copies`` of it at once.

    Of the complex ones: the value, and the gradient of real plus imaginary part.
    """
    entry = get_activation(name)
    rows = {"value": [], "slope": []}
    if entry.kind is Kind.COMPLEX:
        for real, imaginary in COMPLEX_POINTS:
            z = torch.complex(*(torch.full((copies,), v, dtype=dtype) for v in (real, imaginary)))
            value, slope = evaluate(lambda z: torch.view_as_real(entry.function(z)), z)
            rows["value"].append(text(value[0].tolist()))
            rows["slope"].append(text([slope[0].real.item(), slope[0].imag.item()]))
        return rows
    for number in points(dtype):
        x = torch.full((copies,), number, dtype=dtype)
        value, slope = evaluate(lambda x: along_a_line(entry, x), x)
        rows["value"].append(text([value[0].item()]))
        rows["slope"].append(text([slope[0].item()]))
    return rows


def evaluate(function, x):
    y = function(x.requires_grad_())
    return y.detach(), torch.autograd.grad(y.sum(), x)[0]


def text(numbers):
    """Write numbers with nine digits, signed zeros and all."""
    return " ".join(f"{number:.9g}" for number in numbers)


def collect():
    """Return the table; an entry that depends on the lane names both answers."""
    table = {}
    for label, dtype in DTYPES.items():
        for entry in activations():
            seen = [observe(entry.name, dtype, copies) for copies in COPIES]
            table.setdefault(label, {})[entry.name] = {
                what: [
                    " or ".join(sorted(set(at)))
                    for at in zip(*(s[what] for s in seen), strict=True)
                ]
                for what in ("value", "slope")
            }
    return table


if __name__ == "__main__":
    parts = [
        f'"{label}": {{\n' + ",\n".join(f' "{k}": {json.dumps(v)}' for k, v in rows.items()) + "\n}"
        for label, rows in collect().items()
    ]
    TABLE.write_text("{\n" + ",\n".join(parts) + "\n}\n")
