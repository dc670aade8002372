"""All the state of a training as bytes, written again for the tests, without the snapshot."""

import random

import numpy as np
import torch
from torch import nn


def trained(model, optimizer, *, steps, scheduler=None, rows=12, inputs=(6,), hooks=None):
    """Train some steps on noise drawn from torch's global numbers."""
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        x = torch.randn(rows, *inputs)
        loss = nn.functional.cross_entropy(model(x), torch.randint(0, 3, (rows,)))
        loss.backward()
        if hooks is not None:
            hooks.before_update()
        optimizer.step()
        if hooks is not None:
            hooks.after_update()
        if scheduler is not None:
            scheduler.step()


def plain(value):
    """A value as what compares bitwise."""
    if isinstance(value, torch.Tensor):
        whole = value.detach().cpu().contiguous()
        return (str(whole.dtype), tuple(whole.shape), whole.view(-1).numpy().tobytes())
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def state_of(patient):
    """Everything that an undo has to bring back."""
    model = patient.model
    optimizers = []
    for optimizer in patient.optimizers:
        groups = [
            {k: plain(v) for k, v in group.items() if k != "params"}
            | {"params": [id(p) for p in group["params"]]}
            for group in optimizer.param_groups
        ]
        state = {id(key): plain(value) for key, value in optimizer.state.items()}
        optimizers.append((groups, state))
    legacy = np.random.get_state()  # noqa: NPY002
    return {
        "modules": [(name, id(each), each.training) for name, each in model.named_modules()],
        "settings": [
            {k: v for k, v in vars(m).items() if isinstance(v, int | float | str)}
            for m in model.modules()
        ],
        "parameters": [(n, id(p), p.requires_grad, plain(p)) for n, p in model.named_parameters()],
        "buffers": [(name, plain(buffer)) for name, buffer in model.named_buffers()],
        "optimizers": optimizers,
        "schedulers": [plain(each.state_dict()) for each in patient.schedulers],
        "random": (plain(torch.get_rng_state()), random.getstate(), plain(legacy[1].tolist())),
        "step": patient.step,
        "standings": [(id(each), each.updates) for each in patient.standings],
    }
