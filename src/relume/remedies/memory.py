"""How much memory is free, as far as it can be known."""

import os
from pathlib import Path

import torch

_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def free_bytes(device: torch.device) -> float:
    """Return the bytes that are free on a device; infinity where it does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(free + unused)
    if device.type == "cpu":
        return min(_of_machine(), _of_group())
    return float("inf")


def _of_machine() -> float:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = next(line for line in lines if line.startswith("MemAvailable:"))
        return float(found.split()[1]) * 1024
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError):
        return float("inf")


def _of_group() -> float:
    """Return what is left of the limit that a container sets."""
    for limit, usage in _CGROUPS:
        try:
            return float(limit.read_text()) - float(usage.read_text())
        except (OSError, ValueError):  # no such limit: "max"
            continue
    return float("inf")
