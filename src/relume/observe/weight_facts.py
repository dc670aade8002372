"""What every parameter is, was given, and has become."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from relume.observe.spreads import repeated, row_hashes, spread_of, to_spread
from relume.observe.weight_book import Weight, WeightBook
from relume.observe.weight_flows import NOT_YET, WeightFlows
from relume.runs.facts import Fact, Spread, WeightFacts

MOST_HASHED = 1 << 25
"""Numbers whose rows are compared at one look; matrices beyond these are left out."""

UNKNOWN = -1  # where rows were not compared
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class WeightObserver:
    """The facts of every parameter.

    Args:
        book: The parameters.
        flows: Their sums.
    """

    def __init__(self, book: WeightBook, flows: WeightFlows) -> None:
        self._book = book
        self._flows = flows
        self._initial: dict[int, Tensor] = {}  # spreads, as they were before the first update
        self._initial_hashes: dict[int, Tensor] = {}
        self._is_trainable: dict[int, bool] = {}
        self._groups: dict[int, tuple[float, float]] = {}  # rate and weight decay
        self._bystanders: list[int] = []
        self._known_groups: dict[int, int] = {}

    def refresh(self) -> None:
        """Take up what is new among the parameters, with its values now."""
        places = self._book.refresh()
        if not places:
            return
        self._flows.take_up(places)
        for place in places:
            weight = self._book.weights[place]
            self._initial[place] = spread_of(weight.tensor)
            self._is_trainable[place] = weight.tensor.requires_grad
            self._groups.pop(place, None)
        self._initial_hashes.update(self._hashes(places))
        self._find_bystanders()

    def places_of(self, optimizer: torch.optim.Optimizer) -> list[int]:
        """Return the places of what an optimizer holds, of which it has taken note."""
        ids = [id(weight) for group in optimizer.param_groups for weight in group["params"]]
        places = [self._book.place_of(each) for each in ids]
        if None in places and self._known_groups.get(id(optimizer)) != len(ids):
            self._known_groups[id(optimizer)] = len(ids)
            self.refresh()  # parameters that were added to a model later
            places = [self._book.place_of(each) for each in ids]
        found = [place for place in places if place is not None]
        if any(place not in self._groups for place in found):
            self._note_groups(optimizer)
        return found

    @property
    def bystanders(self) -> Sequence[int]:
        """Places of the parameters that no optimizer holds that has stepped."""
        return self._bystanders

    def _note_groups(self, optimizer: torch.optim.Optimizer) -> None:
        new: list[int] = []
        for group in optimizer.param_groups:
            values = (number_of(group.get("lr")), number_of(group.get("weight_decay")))
            for weight in group["params"]:
                place = self._book.place_of(id(weight))
                if place is not None and place not in self._groups:
                    self._groups[place] = values
                    new.append(place)
        self._flows.begin_anew(new)  # what others updated before is not held against them
        self._find_bystanders()

    def _find_bystanders(self) -> None:
        everyone = range(len(self._book.weights))
        self._bystanders = [place for place in everyone if place not in self._groups]

    def _hashes(self, places: Iterable[int]) -> dict[int, Tensor]:
        """Return a hash of each row of those matrices that are small enough."""
        found, room = {}, MOST_HASHED
        for place in places:
            parts = rows_of(self._book.weights[place])
            size = sum(part.numel() for part in parts)
            hashes = row_hashes(parts) if 0 < size <= room else None
            if hashes is not None:
                room -= size
                found[place] = hashes
        return found

    def facts(self) -> Iterable[Fact]:
        """Return the facts as of now; cost: a few passes over the weights."""
        self.refresh()
        self._flows.settle()
        places = range(len(self._book.weights))
        initial = _read(self._initial[place] for place in places)
        final = _read(spread_of(self._book.weights[place].tensor) for place in places)
        before = _repeats(self._initial_hashes)
        after = _repeats(self._hashes(places))
        for place in places:
            units = (before.get(place, UNKNOWN), after.get(place, UNKNOWN))
            yield self._fact(place, (initial[place], final[place]), units)

    def _fact(
        self, place: int, spreads: tuple[Spread, Spread], identical: tuple[int, int]
    ) -> WeightFacts:
        weight, sums = self._book.weights[place], self._flows.sums[place]
        rate, decay = self._groups.get(place, (math.nan, math.nan))
        first = int(sums["first_nonfinite"])
        return WeightFacts(
            name=weight.name,
            kind=type(weight.module).__name__,
            shape=tuple(weight.tensor.shape),
            is_trainable=self._is_trainable[place],
            is_optimised=place in self._groups,
            weight_decay=decay,
            rate=rate,
            armed_steps=int(sums["armed_steps"]),
            gradient_steps=int(sums["gradient_steps"]),
            nonzero_gradient_steps=int(sums["nonzero_steps"]),
            left_over_steps=int(sums["left_over_steps"]),
            first_nonfinite_step=None if first == NOT_YET else first,
            initial=spreads[0],
            fan_in=fan_in(weight),
            identical_units=identical,
            final=spreads[1],
        )


def number_of(value: object) -> float:
    """Return a setting of an optimizer as a number; nan for what is none, or lies elsewhere."""
    if isinstance(value, Tensor):
        return value.item() if value.is_cpu and value.numel() == 1 else math.nan
    return float(value) if isinstance(value, (int, float)) else math.nan


def fan_in(weight: Weight) -> int:
    """Return the inputs of each unit; 0 for vectors and embeddings.

    Example:
        >>> layer = nn.Conv2d(6, 4, 3, groups=2)
        >>> fan_in(Weight("weight", layer.weight, layer, "weight"))
        27
    """
    tensor, module = weight.tensor, weight.module
    if tensor.ndim < 2 or isinstance(module, _EMBEDDINGS):
        return 0
    if isinstance(module, _TRANSPOSED):
        return tensor.shape[0] // module.groups * math.prod(tensor.shape[2:])
    return math.prod(tensor.shape[1:])


def rows_of(weight: Weight) -> list[Tensor]:
    """Return what comes into each unit, row by row, as parts side by side; nothing for no matrix.

    To a weight belongs its bias, and in a recurrent layer all four that make its gates.
    """
    tensor, module, name = weight.tensor, weight.module, weight.own_name
    if tensor.ndim < 2 or isinstance(module, _EMBEDDINGS) or not tensor.numel():
        return []
    if isinstance(module, _RECURRENT):
        if not name.startswith("weight_ih"):
            return []
        kin = ("weight_hh", "bias_ih", "bias_hh")
        others = [getattr(module, name.replace("weight_ih", other), None) for other in kin]
    else:
        others = [getattr(module, "bias", None)] if name == "weight" else []
    if isinstance(module, _TRANSPOSED):
        if module.groups > 1:
            return []
        tensor = tensor.transpose(0, 1)
    rows = len(tensor)
    fitting = [o for o in others if isinstance(o, Tensor) and o.ndim and len(o) == rows]
    return [tensor, *fitting]


def _repeats(hashes: dict[int, Tensor]) -> dict[int, int]:
    return {place: repeated(each.cpu().numpy()) for place, each in hashes.items()}


def _read(spreads: Iterable[Tensor]) -> list[Spread]:
    """Read spreads, those of each device at once."""
    waiting = list(spreads)
    known: dict[int, Spread] = {}
    for device in {each.device for each in waiting}:
        mine = [i for i, each in enumerate(waiting) if each.device == device]
        numbers = torch.stack([waiting[i] for i in mine]).tolist()
        known.update(zip(mine, map(to_spread, numbers), strict=True))
    return [known[i] for i in range(len(waiting))]
