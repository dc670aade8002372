"""Where a training runs, and how it leaves torch's random state and threads as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from relume.errors import SettingsError


def find_device(name: str) -> torch.device:
    """Return the device of that name; ``auto`` is a CUDA device where there is one.

    Raises:
        SettingsError: It cannot be used here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"device {name!r} cannot be used here: {reason}") from error
    return device


@contextmanager
def isolated(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from a seeded random state, and leave the caller's state and threads as they were."""
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
