"""Trains in one framework, and prints what came of it as one line of JSON.

``drive.py NAME end`` trains bare, watched, under another watch, after a training that failed, and
with a fault of ours; ``raise`` and ``interrupt`` end in the midst.
"""

import hashlib
import importlib
import json
import sys
from contextlib import suppress

import torch

import relume
from relume.integrations import INTEGRATIONS
from relume.observe.recorder import Recorder

AT_BATCH = 5


def functions():
    return torch.relu, torch.nn.functional.relu, torch.Tensor.backward


BARE = functions()


class Counter:
    """Raises at one batch."""

    def __init__(self, error=None):
        self.error = error
        self.batches = 0

    def __call__(self):
        self.batches += 1
        if self.error is not None and self.batches == AT_BATCH:
            raise self.error


def fault(*args, **kwargs):
    raise RuntimeError("a fault of Relume")


def adapter_of(name, **settings):
    integration = next(each for each in INTEGRATIONS if each.name == name)
    return getattr(importlib.import_module(integration.module), integration.adapter)(
        **{"every": 1, "quiet": True, **settings}
    )


def digest(arrays):
    found = hashlib.sha256(torch.get_rng_state().numpy().tobytes())
    for array in arrays:
        found.update(array.tobytes())
    return found.hexdigest()


def trained(train, adapter):
    """Train to the end; return a digest of the weights, and whether torch is as it was."""
    weights = digest(train(adapter, Counter()))
    return weights if functions() == BARE else "not cleaned up"


def to_the_end(name, train):
    """Train under every condition in which a training ends well."""
    said = {"bare": trained(train, None), "watched": trained(train, adapter_of(name))}
    with relume.watch(out="outer", every=1) as outer:
        weights = digest(train(adapter_of(name, out="never"), Counter()))
    said |= {"outer": weights, "metrics": sorted({each.name for each in outer.run.metrics})}
    with suppress(ValueError):
        train(adapter_of(name, out="first"), Counter(ValueError("yours")))
    said["again"] = trained(train, adapter_of(name, out="second"))
    Recorder.start = fault
    said["faulty"] = trained(train, adapter_of(name, out="faulty"))
    return said


def main(name, condition):
    train = importlib.import_module(f"train_{name}").train
    if condition == "end":
        print(json.dumps(to_the_end(name, train)))
    else:
        error = KeyboardInterrupt() if condition == "interrupt" else ValueError("yours")
        train(adapter_of(name), Counter(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
