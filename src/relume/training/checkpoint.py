"""Where an unfinished training stands: everything needed to go on as if it had never stopped."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from relume.errors import ModelFormatError
from relume.files import whole_file
from relume.runs.records import Lifetimes
from relume.training.loop import Loop, Progress

VERSION = 1


def save_checkpoint(
    loop: Loop, lifetimes: Sequence[Lifetimes], about: dict[str, Any], path: Path
) -> None:
    """Write a checkpoint at the end of an epoch, atomically.

    Args:
        loop: The training.
        lifetimes: What is known of the units.
        about: What else must be there to go on; JSON data.
        path: The file, replaced whole.

    Raises:
        OutputError: If it cannot be written; the old checkpoint stays.

    Cost: writes five numbers a parameter, six with averaging.
    """
    from safetensors.torch import save

    tensors = {f"model.{k}": v for k, v in loop.model.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in loop.best_weights.items()}
    if loop.averaged is not None:
        tensors |= {f"averaged.{k}": v for k, v in loop.averaged.state_dict().items()}
    for index, state in loop.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
    for index, life in enumerate(lifetimes):
        parts = (life.last_fired, life.first_silent, life.silent_rows)
        tensors |= {f"life.{index}.{k}": torch.tensor(part) for k, part in enumerate(parts)}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    about = {"version": VERSION, "progress": loop.progress.to_json(), "about": about}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with whole_file(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={"relume": json.dumps(about)}))


def read_about(path: Path) -> dict[str, Any]:
    """Return the ``about`` of a checkpoint.

    Raises:
        ModelFormatError: If there is none, or it is not one of ours.
    """
    return dict(_read_header(path)["about"])


def read_progress(path: Path) -> Progress:
    """Return where the training stood.

    Raises:
        ModelFormatError: If there is no checkpoint, or it is not one of ours.
    """
    return Progress.from_json(_read_header(path)["progress"])


def restore_checkpoint(loop: Loop, path: Path) -> tuple[Lifetimes, ...]:
    """Bring a fresh loop, and torch's random state, to where the checkpoint was written.

    Returns:
        The lifetimes of the units, layer by layer.

    Raises:
        ModelFormatError: If the checkpoint is damaged or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    progress = read_progress(path)
    try:
        tensors = load_file(path)
        loop.model.load_state_dict(_part(tensors, "model."))
        loop.best_weights = _part(tensors, "best.")
        if loop.averaged is not None:
            loop.averaged.load_state_dict(_part(tensors, "averaged."))
        _restore_optimizer(loop.optimizer, _part(tensors, "optimizer."))
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])
        lifetimes = _restore_lifetimes(_part(tensors, "life."))
    except (SafetensorError, RuntimeError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelFormatError(f"the checkpoint {path} does not fit: {reason}") from error
    loop.progress = progress
    return lifetimes


def _read_header(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelFormatError(f"there is no checkpoint at {path}; there is nothing to resume")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["relume"])
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise ModelFormatError(f"{path} is not a checkpoint of this Relume: {error}") from error
    if header.get("version") != VERSION:
        raise ModelFormatError(f"{path} has checkpoint version {header.get('version')!r}")
    return dict(header)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def _restore_lifetimes(tensors: dict[str, Tensor]) -> tuple[Lifetimes, ...]:
    layers = {int(name.split(".")[0]) for name in tensors}
    return tuple(
        Lifetimes(*(tensors[f"{layer}.{part}"].numpy() for part in range(3)))
        for layer in sorted(layers)
    )
