import numpy as np

def add(
    sums: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    work: int,
    address: int,
    element: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    axis: int,
    low: float,
    high: float,
    /,
) -> int: ...
