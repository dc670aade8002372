"""What a training left behind, in one printed line each: weights, and states of random numbers."""

import hashlib
import random

import numpy as np
import torch

random.seed(0)  # a script that seeds them itself does so later
np.random.seed(0)  # noqa: NPY002


def print_fingerprint(*models):
    """Print hashes of all tensors of some models and of the global random states."""
    weights = hashlib.sha256()
    for model in models:
        tensors = model.state_dict() if isinstance(model, torch.nn.Module) else model
        for name in sorted(tensors):
            tensor = tensors[name].detach().contiguous()
            weights.update(name.encode() + tensor.flatten().view(torch.uint8).numpy().tobytes())
    print("weights", weights.hexdigest())
    states = hashlib.sha256(torch.get_rng_state().numpy().tobytes())
    states.update(np.random.get_state()[1].tobytes())  # noqa: NPY002
    states.update(repr(random.getstate()).encode())
    print("random states", states.hexdigest(), flush=True)
