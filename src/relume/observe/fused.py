"""The fused operations of torch that hide activations, and the encoder layer's in particular.

In eval mode without gradients ``nn.TransformerEncoderLayer`` is one operation. It stays so: on
armed steps its hidden layer is computed again beside it, by the same fused attention.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from relume.observe.aside import Aside, Fused, Part
from relume.observe.rectifiers import GELU, RELU
from relume.observe.recurrent import RECURRENT


def hidden_weights(module: nn.Module | None) -> tuple[Tensor, ...]:
    """Return what feeds the activation of torch's own transformer layers; empty for others."""
    if not isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
        return ()
    return tuple(module.linear1.parameters(recurse=False))


def _see_encoder_layer(
    aside: Aside,
    _original: Callable[..., Any],
    args: Sequence[Any],
    named: Mapping[str, Any],
    _output: Any,
) -> None:
    if named or len(args) < 18:
        aside.miss("given named arguments")
        return
    src, is_gelu = args[0], args[7]
    x = _attended(args)
    if args[8]:  # norm_first
        x = functional.layer_norm(x, args[12].shape, args[12].detach(), args[13].detach(), args[9])
    if src.is_nested:  # no padding in it
        x = torch.cat(x.unbind()).unsqueeze(0)
    z = functional.linear(x, args[14].detach(), args[15].detach())
    a = functional.gelu(z) if is_gelu else functional.relu(z)
    reading, weights = GELU if is_gelu else RELU, (args[14], args[15])
    called = getattr(aside.module, "activation", None)
    module = called if isinstance(called, nn.Module) else None
    aside.add(Part(None, reading, weights, module=module), a, src.size(0))


def _attended(args: Sequence[Any]) -> Tensor:
    """Return what enters the feed-forward block, before its own norm if that comes first."""
    src, units, heads, w_in, b_in, w_out, b_out = (
        part.detach() if isinstance(part, Tensor) else part for part in args[:7]
    )
    norm = (args[10].shape, args[10].detach(), args[11].detach(), args[9])
    mask, mask_type = (*args[18:20], None, None)[:2]
    x = functional.layer_norm(src, *norm) if args[8] else src
    attend: Any = torch._native_multi_head_attention  # noqa: SLF001
    x = attend(
        x, x, x, units, heads, w_in, b_in, w_out, b_out, mask,
        need_weights=False, average_attn_weights=True, mask_type=mask_type,
    )[0]  # fmt: skip
    x = x + src
    return x if args[8] else functional.layer_norm(x, *norm)


FUSED: tuple[Fused, ...] = (
    *RECURRENT,
    Fused(
        "TransformerEncoderLayer",
        (("torch", "_transformer_encoder_layer_fwd"),),
        _see_encoder_layer,
    ),
)
"""Every fused operation whose parts are observed."""
