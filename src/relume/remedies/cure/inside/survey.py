"""The places of a program that candidates and diffs need: taken down in the untreated run."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from relume.remedies.cure.inside.left_out import is_looked_at, parameters_left_out
from relume.remedies.cure.inside.listener import ActivationCall, Listener, LossCall
from relume.remedies.cure.inside.made import Makings, key_of
from relume.remedies.cure.inside.options import is_far, options_of
from relume.remedies.cure.place import CodePlace

LOOKS = 3
"""Training losses whose heads are followed."""
WEIGHTED = ("Addmm", "Mm", "Bmm", "Convolution", "Embedding", "Lstm", "Mkldnn", "Cudnn", "Linear")


class Survey(Listener):
    """Takes down where a program makes and calls what trainings are made of.

    Args:
        folder: Where it writes.
        makings: Knows where modules were made.
    """

    def __init__(self, folder: str, makings: Makings) -> None:
        self._folder = folder
        self._makings = makings
        self._said: dict[str, Any] = {
            "optimizers": [], "activations": [], "modules": {}, "left_out": [], "schedules": {},
            "roots": [], "differences": [], "has_missing": False,
        }  # fmt: skip
        self._optimizers: list[Optimizer] = []
        self._rates: dict[int, float | None] = {}
        self._tags: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._models: list[nn.Module] = []
        self._steps = self._looks = self._epochs = 0
        self._given: dict[str, Any] | None = None
        self._last_model: tuple[nn.Module, CodePlace | None] | None = None

    def forget(self) -> None:
        """Begin anew, in a forked process."""
        self._steps = 0

    def optimizer_made(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Take down where an optimizer is made, and its options."""
        self._optimizers.append(optimizer)
        options = options_of(optimizer)
        self._rates[id(optimizer)] = options["rate"]
        self._said["optimizers"].append(
            {
                "kind": type(optimizer).__name__,
                "place": _json(place),
                "step": None,
                "is_rate_written": False,
                **options,
            }
        )

    def before_model(
        self, model: nn.Module, values: tuple[Any, ...], place: CodePlace | None
    ) -> tuple[Any, ...]:
        """Take down what is called as a model, and by which call it is trained."""
        if not any(each is model for each in self._models):
            self._models.append(model)
        if torch.is_grad_enabled():
            self._last_model = (model, place)
        return values

    def after_model(self, model: nn.Module, output: Any) -> Any:
        """Take down the activations before what a model gives: its loss may be one by hand."""
        is_learned = isinstance(output, Tensor) and output.requires_grad
        if self._looks < LOOKS and is_learned and torch.is_grad_enabled():
            self._given = {"prediction_shape": list(output.shape), "head": self._head(output)}
        return output

    def activation_done(self, call: ActivationCall, output: Tensor) -> None:
        """Take down an activation, and mark its output while heads are followed."""
        if self._looks >= LOOKS:
            return
        key = key_of(call.function, call.place, self._makings.of(call.module))
        if key not in self._said["activations"]:
            self._said["activations"].append(key)
        if output.grad_fn is not None:
            self._tags[id(output.grad_fn)] = (output.grad_fn, key)

    def root(self, value: Tensor, place: CodePlace) -> Tensor:
        """Take down where a square root of 0 is differentiated."""
        if _json(place) not in self._said["roots"] and bool((value == 0).any()):
            self._said["roots"].append(_json(place))
        return value

    def difference(self, left: Tensor, right: Tensor, place: CodePlace) -> tuple[Tensor, Tensor]:
        """Take down where (N, 1) and (N,) are subtracted, which gives (N, N)."""
        said = {"place": _json(place), "left": list(left.shape), "right": list(right.shape)}
        known = [each["place"] for each in self._said["differences"]]
        if said["place"] not in known and _is_all_with_all(left, right):
            self._said["differences"].append(said)
        return left, right

    def loss_done(self, given: LossCall, loss: Tensor) -> None:
        """Take down the loss that is trained with, and the activations before it."""
        if self._looks >= LOOKS or not given.is_training:
            return
        self._looks += 1
        self._given = None
        making = self._makings.of(given.module)
        self._said["loss"] = {
            "function": given.function,
            "place": _json(given.place),
            "made": making.to_json() if making is not None else None,
            "prediction_shape": list(given.prediction.shape),
            "target_shape": list(given.target.shape),
            "reduction": given.options.get("reduction", "mean"),
            "head": self._head(given.prediction),
        }
        self._tags.clear()

    def before_backward(self, loss: Tensor | None, place: CodePlace | None) -> None:
        """Take down where a loss is differentiated, and parameters that nothing trains."""
        self._said.setdefault("backward", _json(place))
        self._take_loss_by_hand()
        if self._last_model is not None:
            self._take_model(*self._last_model)
        if loss is None or not is_looked_at(self._steps) or self._said["left_out"]:
            return
        for each in parameters_left_out(loss, self._optimizers):
            owner = self._makings.owner_of(each)
            making = self._makings.of(owner)
            self._said["left_out"].append(
                {
                    "shape": list(each.shape),
                    "made": making.to_json() if making is not None else None,
                    "step": self._steps,
                    "owner": type(owner).__name__ if owner is not None else None,
                    "is_registered": self._is_registered(each),
                }
            )

    def _take_loss_by_hand(self) -> None:
        """Take down what a loss that no function of torch computed is made of."""
        if self._given is None:
            return
        by_hand = {"function": "", "place": None, "made": None, "target_shape": None}
        self._said.setdefault("loss", by_hand | {"reduction": "mean"} | self._given)
        self._looks += 1
        self._given = None
        self._tags.clear()

    def before_update(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Take down where an optimizer steps, and whether its rate was written by hand."""
        for said, each in zip(self._said["optimizers"], self._optimizers, strict=False):
            if each is not optimizer:
                continue
            if said["step"] is None:
                said["step"] = _json(place)
            rate = options_of(optimizer)["rate"]
            said["is_rate_written"] |= is_far(rate, self._rates[id(optimizer)])

    def after_update(self, optimizer: Optimizer) -> None:
        """Count updates."""
        if self._optimizers and optimizer is self._optimizers[0]:
            self._steps += 1

    def begin_epoch(self, loader: Any, place: CodePlace | None) -> None:
        """Take down where the loader that is trained from is read."""
        self._epochs += 1
        if not self._steps:
            self._said["loader"] = _json(place)

    def batch(self, batch: Any) -> Any:
        """Take down what a batch is made of, and whether values are missing in any."""
        if isinstance(batch, (tuple, list)):
            are = all(isinstance(each, Tensor) for each in batch)
            if not self._steps:
                self._said["batch"] = [each.ndim for each in batch] if are else None
            if are and not self._said["has_missing"]:
                self._said["has_missing"] = not all(bool(each.isfinite().all()) for each in batch)
        return batch

    def wants_schedule_step(self, scheduler: Any, place: CodePlace | None) -> bool:
        """Count the steps of schedules."""
        if place is not None:
            said = self._said["schedules"].setdefault(
                place.short, {"place": _json(place), "kind": type(scheduler).__name__, "steps": 0}
            )
            said["steps"] += 1
        return True

    def schedule_stepped(self, optimizer: Optimizer) -> None:
        """Take note of the rate that a schedule has set."""
        self._rates[id(optimizer)] = options_of(optimizer)["rate"]

    def end(self) -> None:
        """Write what was taken down."""
        if not self._steps:
            return
        said = {**self._said, "steps": self._steps, "epochs": self._epochs}
        path = Path(self._folder) / f"survey-{os.getpid()}.json"
        path.write_text(json.dumps(said), encoding="utf-8")

    def _head(self, prediction: Tensor) -> list[dict[str, Any]]:
        """Return the activations between the last weights and a prediction, the last one first."""
        found = []
        node = prediction.grad_fn
        while node is not None and not type(node).__name__.startswith(WEIGHTED):
            if id(node) in self._tags:
                found.append(self._tags[id(node)][1])
            node = node.next_functions[0][0] if node.next_functions else None
        return found

    def _take_model(self, model: nn.Module, place: CodePlace | None) -> None:
        if "model" in self._said:
            return
        making = self._makings.of(model)
        self._said["model"] = {
            "kind": type(model).__name__,
            "call": _json(place),
            "made": making.to_json() if making is not None else None,
        }
        for name, each in model.named_modules():
            made = self._makings.of(each)
            if made is not None:
                self._said["modules"][name] = {
                    **made.to_json(),
                    "made_there": self._makings.made_at(made.place),
                    "nonlinearity": getattr(each, "nonlinearity", None),
                    "momentum": getattr(each, "momentum", None),
                }

    def _is_registered(self, parameter: Tensor) -> bool:
        return any(parameter is each for model in self._models for each in model.parameters())


def _json(place: CodePlace | None) -> dict[str, Any] | None:
    return place.to_json() if place is not None else None


def _is_all_with_all(left: Tensor, right: Tensor) -> bool:
    """Whether two tensors of as many values, one with an axis of length 1 more, give more."""
    if left.ndim == right.ndim or left.numel() != right.numel():
        return False
    longer, shorter = sorted((left.shape, right.shape), key=len, reverse=True)
    fitting = longer[len(longer) - len(shorter) :]
    return longer.count(1) > shorter.count(1) and fitting != shorter
