"""A stand-in for torch that is imported in no time: a training step is a call."""

is_stand_in = True
hooks = []


def train_step():
    for hook in hooks:
        hook()


def relu(x):
    if isinstance(x, str):
        raise TypeError(f"relu of {x!r}")
    return max(x, 0)
