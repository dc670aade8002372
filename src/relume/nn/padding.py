"""Sequences whose steps tell themselves whether they are there or padding."""

from torch import Tensor


def without_padding_mark(x: Tensor) -> tuple[Tensor, Tensor]:
    """Take the last number of each step as what tells whether it is there.

    Args:
        x: (N, T, features + 1), whose last number is 1 where a step is there and 0 in the padding.

    Returns:
        The features (N, T, features), and the mask (N, T), true where a step is there.

    Example:
        >>> import torch
        >>> features, mask = without_padding_mark(torch.tensor([[[5.0, 1.0], [0.0, 0.0]]]))
        >>> features.tolist(), mask.tolist()
        ([[[5.0], [0.0]]], [[True, False]])
    """
    return x[..., :-1], x[..., -1] > 0
