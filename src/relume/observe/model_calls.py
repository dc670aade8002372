"""Calls of models: which phase each belongs to, and what one look at it gives.

A pass with gradients through a model in training mode is of the training, one without gradients of
an evaluation. One with gradients through a model in eval mode may be either, since ``eval()`` may
have been left on: it counts as of the training if an update came of it, and otherwise as of an
evaluation; where several such passes came before an update, only the last is told.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler

from relume.observe.call_arguments import (
    Argument,
    Signature,
    arguments_of,
    named_arguments,
    unwrapped,
)
from relume.observe.inputs import InputLook, Inputs
from relume.observe.pending import Source
from relume.observe.rows_seen import RowLook, RowsSeen, look_at_rows
from relume.runs.facts import Fact, Phase

_BATCHES = (BatchSampler,)
_IN_ANY_ORDER = (RandomSampler, SequentialSampler)

FIRST_LOOKS, EVERY = 10, 10
"""The values of the first passes of a model in training are looked at, then of every tenth."""
FIRST_EVALUATIONS, EVERY_EVALUATION = 10, 10
MOST_EVALUATION_BATCHES = 20
"""Of each of the first evaluations, and then of every tenth; of each loader anew."""
MOST_BATCHES = 5 * MOST_EVALUATION_BATCHES
"""Between two steps, of all loaders."""
MOST_MODELS, MOST_MODELS_EVER = 16, 64
MOST_SOURCES = 8
MOST_VIEWED = 64


class _Model:
    """A model that is called from outside of all modules."""

    def __init__(self, module: nn.Module, label: str, number: int) -> None:
        self.module = weakref.ref(module)
        self.label = label
        self.number = number
        self.signature = Signature.of(module)
        self.passes = 0
        self.training_passes = 0
        self.learned_in_eval_mode = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What a look at one call of a model gave."""

    model: _Model
    step: int
    inputs: list[InputLook]
    rows: RowLook | None
    reading: Source | None


class ModelCalls:
    """Looks at what models are called with, and hands it on by phase.

    Args:
        step: Returns the number of the step under way.
    """

    def __init__(self, step: Callable[[], int]) -> None:
        self._step = step
        self._inputs, self._rows = Inputs(), RowsSeen()
        self._models: dict[int, _Model] = {}
        self._labels: dict[str, int] = {}
        self._trained: set[str] = set()
        self._undecided: list[_Look] = []
        self._batches = self._all_batches = 0  # of the evaluation under way: of a loader, of all
        self._evaluations = 0
        self._evaluation_step = 0
        self._reading: Source | None = None
        self._is_scoring = False  # whether what is read was scored
        self._is_learning = False  # whether it was learned from
        self._learned: list[Source] = []
        # Of memory of which batches are views, by address and size: from where to where.
        self._viewed: dict[tuple[int, int], tuple[int, int]] = {}

    def begin_evaluation(self) -> None:
        """Take note that a model was put into eval mode."""
        self._count_evaluation()

    def _count_evaluation(self) -> None:
        """Count an evaluation, unless it was: one that follows a step is one."""
        step = self._step()
        if step != self._evaluation_step:
            self._evaluation_step = step
            self._evaluations += 1
            self._batches = self._all_batches = 0

    def stand_in(self, copy: nn.Module, module: nn.Module) -> None:
        """Take a copy of a model, as the one with the means of its weights, for the model."""
        model = self._models.get(id(module))
        if copy is module or model is None or model.module() is not module:
            return
        known = self._models.get(id(copy))
        if known is None or known.module() is not copy:
            self._models[id(copy)] = _Model(copy, model.label, model.number)

    def begin_reading(self, loader: object) -> None:
        """Take note that a loader is read from its start."""
        data = _data_of(loader)
        self._count_evaluation()
        if self._all_batches < MOST_BATCHES:
            self._batches = 0
        self._reading = Source(data)
        self._is_learning = False
        self._is_scoring = not torch.is_grad_enabled()
        if any(known.is_of(data) for known in self._learned) and not self._is_scoring:
            self._rows.begin_epoch()

    def go_on_training(self) -> None:
        """Take note that a model is called to learn: what is read is learned from."""
        self._decide(is_training_seen=True)
        self._is_learning = not self._is_scoring

    @property
    def has_enough(self) -> bool:
        """Whether enough of the evaluation under way, and of those before, was looked at."""
        number = self._evaluations
        is_due = number <= FIRST_EVALUATIONS or number % EVERY_EVALUATION == 0
        return self._batches >= MOST_EVALUATION_BATCHES or not is_due

    def see(self, module: nn.Module, inputs: Sequence[Any]) -> None:
        """Look at an outermost call, from within its pre-hook; waits for no device."""
        if torch._C._current_graph_task_id() != -1:  # noqa: SLF001 (the second run of a checkpoint)
            return
        module = unwrapped(module)
        model = self._model_of(module)
        if model is None:
            return
        has_gradients = torch.is_grad_enabled()
        if has_gradients and module.training:
            self.go_on_training()
        else:
            if not has_gradients:
                self._count_evaluation()
            if self.has_enough:
                return
        given = arguments_of(model.signature, inputs, named_arguments())
        if given:
            with torch.no_grad():
                self._take(model, given, has_gradients=has_gradients, is_training=module.training)

    def name_within(self, module: nn.Module) -> str:
        """Return the name of a module within the first model that has it; empty for none."""
        for model in list(self._models.values()):
            root = model.module()
            found = {} if root is None else {id(part): each for each, part in root.named_modules()}
            name = found.get(id(module))
            if name:
                return name if model.number == 1 else f"{model.label}.{name}"
        return ""

    def facts(self) -> Iterator[Fact]:
        """Return what is known of inputs, and of rows that are in both phases."""
        self._decide(is_training_seen=True)
        for fact in self._inputs.facts():
            is_trained = fact.model in self._trained or not self._trained
            if fact.phase is Phase.TRAINING or is_trained:
                yield fact
        yield from self._rows.facts()

    def _take(
        self, model: _Model, given: list[Argument], *, has_gradients: bool, is_training: bool
    ) -> None:
        if has_gradients and is_training:
            self._note_source(given)
            model.training_passes += 1
            number = model.training_passes
            has_values = number <= FIRST_LOOKS or number % EVERY == 0
            look = self._look(model, given, has_values=has_values)
            self._give(look, Phase.TRAINING)
            return
        self._batches += 1
        self._all_batches += 1
        number = model.learned_in_eval_mode
        look = self._look(
            model,
            given,
            has_values=not has_gradients or number < FIRST_LOOKS or model.passes % EVERY == 0,
            is_scored=not is_training or self._read_to_score() is not None,
        )
        if has_gradients:
            self._decide(is_training_seen=len(self._undecided) >= MOST_BATCHES)
            self._undecided.append(look)
        else:
            self._give(look, Phase.EVALUATION)

    def _look(
        self,
        model: _Model,
        given: list[Argument],
        *,
        has_values: bool = True,
        is_scored: bool = True,
    ) -> _Look:
        module = model.module()
        looks = (
            [InputLook.at(each, module) for each in given]
            if has_values and module is not None
            else []
        )
        model.passes += 1
        found = look_at_rows(given, model.number, model.passes) if is_scored else None
        rows = None
        if found is not None:
            reading = self._read_to_score()
            is_learned = any(known.is_same(reading) for known in self._learned)
            rows = RowLook(
                *found,
                is_learned_data=is_learned or self._is_view_of_learned(given),
                has_epochs=bool(self._learned),
            )
        return _Look(model, self._step(), looks, rows, self._reading)

    def _give(self, look: _Look, phase: Phase) -> None:
        is_training = phase is Phase.TRAINING
        if is_training:
            self._batches = 0
            self._trained.add(look.model.label)
        elif self._trained and look.model.label not in self._trained:
            return  # a teacher, a feature extractor: it is not this one that is scored
        if not is_training and look.reading is self._reading:
            self._is_scoring = True
        if is_training or look.rows is None or not look.rows.is_learned_data:
            self._inputs.add(look.model.label, look.inputs, phase, look.step)
        if look.rows is not None:
            self._rows.add(look.rows, is_training=is_training)

    def _decide(self, *, is_training_seen: bool = False) -> None:
        """Tell what the passes in eval mode with gradients were for, as soon as it is known."""
        looks = self._undecided
        if not looks:
            return
        if self._step() > looks[-1].step:
            looks[-1].model.training_passes += 1
            looks[-1].model.learned_in_eval_mode += 1
            self._give(looks[-1], Phase.TRAINING)
        elif is_training_seen:
            for look in looks:
                self._give(look, Phase.EVALUATION)
        else:
            return
        looks.clear()

    def _read_to_score(self) -> Source | None:
        """Return the data that are read for an evaluation: not those that the training reads."""
        return None if self._is_learning else self._reading

    def _note_source(self, given: Iterable[Argument]) -> None:
        """Note which data are learned from: those read last, unless they were scored."""
        reading = self._reading
        is_new = not any(known.is_same(reading) for known in self._learned)
        if reading is not None and self._is_learning and is_new:
            self._learned = [*self._learned[-MOST_SOURCES + 1 :], reading]
        for memory, first, end in _views(given):
            low, high = self._viewed.pop(memory, (first, end))
            self._viewed[memory] = (min(low, first), max(high, end))
            if len(self._viewed) > MOST_VIEWED:
                del self._viewed[next(iter(self._viewed))]

    def _is_view_of_learned(self, given: Iterable[Argument]) -> bool:
        for memory, first, end in _views(given):
            low, high = self._viewed.get(memory, (end, first))
            if low < end and first < high:
                return True
        return False

    def _model_of(self, module: nn.Module) -> _Model | None:
        known = self._models.get(id(module))
        if known is not None and known.module() is module:
            return known
        if not is_model(module):
            return None
        self._models = {
            key: each for key, each in self._models.items() if each.module() is not None
        }
        if len(self._models) >= MOST_MODELS or sum(self._labels.values()) >= MOST_MODELS_EVER:
            return None
        kind = type(module).__qualname__.rpartition("<locals>.")[2]
        count = self._labels[kind] = self._labels.get(kind, 0) + 1
        model = _Model(
            module, kind if count == 1 else f"{kind}#{count}", sum(self._labels.values())
        )
        self._models[id(module)] = model
        return model


def is_model(module: nn.Module) -> bool:
    """Whether it has something to train: no loss, no augmentation, no score."""
    is_loss = isinstance(module, nn.modules.loss._Loss)  # noqa: SLF001
    return not is_loss and next(module.parameters(), None) is not None


def _data_of(loader: object) -> object:
    """Return what stands for the data that a loader reads: the data set, or what draws from it."""
    for part, plain in (("batch_sampler", _BATCHES), ("sampler", _IN_ANY_ORDER)):
        drawer = getattr(loader, part, None)
        if drawer is not None and type(drawer) not in plain:
            return drawer
    return getattr(loader, "dataset", loader)


def _views(given: Iterable[Argument]) -> Iterator[tuple[tuple[int, int], int, int]]:
    """Yield address and size of the memory that arguments are views of, and from where to where.

    What fills its memory alone says nothing: another batch may get the same address later.
    """
    for argument in given:
        x = argument.values
        memory = x.untyped_storage()
        if memory.nbytes() > x.numel() * x.element_size():
            last = sum(
                (size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True)
            )
            end = x.data_ptr() + (last + 1) * x.element_size()
            yield (memory.data_ptr(), memory.nbytes()), x.data_ptr(), end
