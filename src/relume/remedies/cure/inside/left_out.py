"""Parameters that a loss depends on and that no optimizer holds, found on the autograd graph."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

FIRST_STEPS, EVERY = 3, 10
MOST_NODES = 20_000


def is_looked_at(step: int) -> bool:
    """Whether the graph of a step is walked: the first ones, then every tenth."""
    return step < FIRST_STEPS or step % EVERY == 0


def parameters_left_out(loss: Tensor, optimizers: Iterable[Optimizer]) -> list[Tensor]:
    """Return the leaves that a loss depends on and that no optimizer holds, in no certain order.

    Cost: one walk over the graph.

    Example:
        >>> import torch
        >>> first, second = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
        >>> optimizer = torch.optim.SGD(first.parameters(), lr=0.1)
        >>> loss = second(first(torch.ones(1, 1))).sum()
        >>> [each is second.weight for each in parameters_left_out(loss, [optimizer])]
        [True]
    """
    held = {id(p) for each in optimizers for group in each.param_groups for p in group["params"]}
    found: dict[int, Tensor] = {}
    seen: set[Any] = set()
    waiting: list[Any] = [loss.grad_fn]
    while waiting and len(seen) < MOST_NODES:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in held and isinstance(leaf, Tensor):
            found[id(leaf)] = leaf
        waiting.extend(next_node for next_node, _ in node.next_functions)
    return list(found.values())
