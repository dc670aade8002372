"""Seeing the losses of a training: which calls are looked at, and what each was for.

Looked at are the losses of armed steps, the first of a run, and the first of an evaluation: what is
computed without gradients or in eval mode between two steps. A loss that asks for gradients counts
for the training once a gradient reaches it; what none has reached by the next update was scored.
"""

import math
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from relume.observe.calls import Calls, caller_of, place_of, user_line
from relume.observe.graph import head_of, is_marked
from relume.observe.loss_by_hand import Written, read_loss
from relume.observe.loss_facts import LossTotals
from relume.observe.loss_values import Look, broadcast_shape, see, width_of
from relume.observe.losses import Form, Given, LossContext, LossFunction, read_call
from relume.observe.naming import Names
from relume.observe.plain import has_values, is_plain, oddity
from relume.observe.scores import Scores
from relume.observe.unobserved import Unobserved
from relume.observe.written import WrittenLosses, given_by, look_at_loss, seed_of
from relume.runs.facts import LossFacts, Phase
from relume.runs.records import Score

MOST_BATCHES = 20
"""Losses of an evaluation that are looked at."""
FIRST_LOSSES = 3
"""Losses of the training that are always looked at."""
MOST_PENDING = 64
MOST_LOSSES = 200
FULL_LOOKS, FULL_EVERY = 8, 16
"""Ranges and kinds are looked at in the first calls, and then rarely."""
WALKS, WALK_EVERY = 3, 64
MOST_PASSES = 20
"""Evaluations that are looked at wherever they come; later ones keep a distance that grows."""

_MARK = "relume"
_GENERATED = "<eval_with_key>"  # what torch.compile makes of a program


@dataclass(slots=True, eq=False)
class _Pending:
    """A look whose use is still to come."""

    look: Look
    seed: LossTotals
    step: int
    result: "weakref.ref[Tensor]"
    is_learned: bool = False

    def receive(self, *_: object) -> None:
        """Take note that a gradient has come."""
        self.is_learned = True


class LossWatch:
    """Looks at losses, in the thread that trains.

    Args:
        names: How modules are called.
        unobserved: Takes note of what cannot be seen.
        calls: The modules being called, on armed steps.
        steps: Returns how many steps have ended.
        context: What the code around a loss knows of it; None: nothing, its line is found.

    Attributes:
        fault: The first fault of ours; nothing is looked at after it.
        is_armed: Whether the present step is looked at.
        written: The losses that are learned from and were written by hand.
    """

    def __init__(
        self,
        names: Names,
        unobserved: Unobserved,
        calls: Calls,
        steps: Callable[[], int],
        *,
        context: Callable[[], LossContext] | None = None,
    ) -> None:
        self.fault: Exception | None = None
        self.is_armed = False
        self.written = WrittenLosses(steps)
        self._names = names
        self._unobserved = unobserved
        self._calls = calls
        self._steps = steps
        self._context = context
        self._thread = threading.get_ident()
        self._is_busy = False
        self._totals: dict[tuple[Phase, str, str | None], LossTotals] = {}
        self._scores = Scores()
        self._pending: list[_Pending] = []
        self._heads: dict[tuple[str, str | None], tuple[int, Any, str | None]] = {}
        self._first_losses = 0
        self._pass_step = -1
        self._pass_looks = 0
        self._passes = 0
        self._model: weakref.ref[nn.Module] | None = None

    def begin_step(self, *, is_armed: bool) -> None:
        """Begin a step in this thread."""
        self._thread = threading.get_ident()
        self.is_armed = is_armed

    def wants(self) -> bool:
        """Whether the next call is looked at."""
        if self.is_armed or self._first_losses < FIRST_LOSSES:
            return True
        if torch.is_grad_enabled():
            model = self._model
            if model is None or (held := model()) is None or held.training:
                return False
        return self._is_within_pass()

    def _is_within_pass(self) -> bool:
        """Whether the losses of this evaluation are still looked at; it may have just begun."""
        step = self._steps()
        if step != self._pass_step:
            distance = step - self._pass_step
            if not self.is_armed and distance < self._passes // MOST_PASSES:
                return False
            self._pass_step, self._pass_looks = step, 0
            self._passes += 1
        return self._pass_looks < MOST_BATCHES

    def call(
        self,
        function: LossFunction,
        original: Callable[..., Any],
        args: Sequence[Any],
        named: Mapping[str, Any],
    ) -> Any:
        """Call a loss function exactly once, and look at what went in and came out."""
        if self._is_busy or self.fault is not None or threading.get_ident() != self._thread:
            return original(*args, **named)
        self._is_busy = True  # what torch calls inside it is a part of it
        try:
            result = original(*args, **named)
            try:
                self._see(function, args, named, result)
            except Exception as error:  # noqa: BLE001
                self.fault = error
        finally:
            self._is_busy = False
        return result

    def _see(
        self, function: LossFunction, args: Sequence[Any], named: Mapping[str, Any], result: Any
    ) -> None:
        caller = caller_of(3)  # of the patched function
        if caller is not None and caller.f_code.co_filename.startswith(_GENERATED):
            return
        given = read_call(function, args, named)
        if given is None or not isinstance(result, Tensor):
            return
        if not (is_plain(given.prediction) and is_plain(result)):
            if has_values(given.prediction) and not isinstance(given.prediction, FakeTensor):
                what = f"{function.name} of {oddity(given.prediction)}"
                self._unobserved.note(what, self._place())
        elif given.prediction.numel():
            self._see_plain(function, given, result)

    def _see_plain(self, function: LossFunction, given: Given, result: Tensor) -> None:
        if self._pending and self._pending[0].step < self._steps():
            self.settle()
        model = self._find_model()
        asks = result.grad_fn is not None
        is_evaluation = not asks or (model is not None and not model.training)
        if is_evaluation and not self._takes_evaluation():
            return
        seed = self._seed(function, given, self._place())
        with torch.no_grad():
            look = self._look(function, given, result, seed)
        look.is_training = model.training if model is not None else None
        if not asks:
            self._add(Phase.EVALUATION, seed, look, self._steps())
        elif len(self._pending) < MOST_PENDING:
            self._await(seed, look, result)

    def _place(self) -> str | None:
        if self._context is not None:
            return self._context().place
        frame, _ = user_line(caller_of(1), known=self._calls.codes)
        return place_of(frame) if frame is not None else None

    def _takes_evaluation(self) -> bool:
        if not self._is_within_pass():
            return False
        self._pass_looks += 1
        return True

    def _look(self, function: LossFunction, given: Given, result: Tensor, seed: LossTotals) -> Look:
        known = [self._totals.get((phase, seed.function.name, seed.place)) for phase in Phase]
        every = [totals for totals in known if totals is not None]
        calls = sum(totals.calls for totals in every)
        ruled_out = frozenset[str]().union(*(totals.ruled_out() for totals in every))
        is_full = not calls or min(t.calls for t in every) < FULL_LOOKS or calls % FULL_EVERY == 0
        return see(function, given, result, is_full=is_full, ruled_out=ruled_out)

    def _seed(self, function: LossFunction, given: Given, place: str | None) -> LossTotals:
        """Return what is known of a loss before its numbers."""
        prediction, target = given.prediction, given.target
        shape = tuple(target.shape) if target is not None else ()
        seed = LossTotals(
            function, Phase.TRAINING, place, 0, tuple(prediction.shape), shape,
            width_of(function, prediction),
        )  # fmt: skip
        is_weighted = self._context is not None and self._context().is_weighted
        seed.is_weighted = given.is_weighted or is_weighted
        seed.is_index = function.form is Form.CLASSES and (
            target is not None and not target.is_floating_point()
        )
        seed.is_broadcast = function.form is Form.ELEMENTS and _is_broadcast(prediction, target)
        if prediction.grad_fn is not None:
            seed.head, seed.head_layer = self._head(function.name, place, prediction.grad_fn)
        return seed

    def _head(
        self, name: str, place: str | None, node: Any
    ) -> tuple[tuple[str, ...] | None, str | None]:
        """Return the head of a prediction, and its layer; walked back to at first, then rarely."""
        times, head, layer = self._heads.get((name, place), (0, None, None))
        if times < WALKS or times % WALK_EVERY == 0:
            found = head_of(node)
            head = found.operations if found is not None else None
            layer = self._names.of_weights(found.weights) if found is not None else None
        if len(self._heads) < MOST_LOSSES:
            self._heads[name, place] = (times + 1, head, layer)
        return head, layer

    def _find_model(self) -> nn.Module | None:
        """Return the model that was called last, as far as calls are followed."""
        module = self._calls.last_root
        if module is None:
            return None
        if self._model is None or self._model() is not module:
            if module._modules:  # noqa: SLF001 (a lone layer is a part of something)
                self._names.learn(module)
            self._model = weakref.ref(module)
        return module

    def _await(self, seed: LossTotals, look: Look, result: Tensor) -> None:
        """Wait whether a gradient reaches a loss: then it was one of the training."""
        self._first_losses += 1
        pending = _Pending(look, seed, self._steps(), weakref.ref(result))
        node: Any = result.grad_fn
        node.register_prehook(pending.receive)
        node.metadata[_MARK] = True
        self._pending.append(pending)

    def before_backward(self, loss: Tensor | None) -> None:
        """Look at a loss that is about to be differentiated, if no loss function made it."""
        node = loss.grad_fn if loss is not None else None
        if node is None or not self.is_armed or self.fault is not None or self._is_busy:
            return
        try:
            is_known = any(pending.result() is loss for pending in self._pending)
            if not is_known and not (self._pending and is_marked(node, _MARK)):
                self._see_by_hand(loss, node)
        except Exception as error:  # noqa: BLE001
            self.fault = error

    def _see_by_hand(self, loss: Any, node: Any) -> None:
        if not is_plain(loss):
            return
        place, model = self._place(), self._find_model()
        with torch.no_grad():
            written = read_loss(node)
            if written is None:
                return
            seed, look = self._look_at_written(written, loss, place)
        self._first_losses += 1
        look.is_training = model.training if model is not None else None
        self._add(Phase.TRAINING, seed, look, self._steps())
        if seed.function.name == "by hand":
            self.written.note(written)

    def _look_at_written(
        self, written: Written, loss: Tensor, place: str | None
    ) -> tuple[LossTotals, Look]:
        seed = seed_of(written, place, self._names)
        given = given_by(written)
        if given is None:
            return seed, look_at_loss(loss, seed, written.target)
        return seed, self._look(written.function, given, loss, seed)

    def score_written(self, written: Written, loss: Tensor, *, is_training: bool) -> None:
        """Look at a loss that was written by hand and computed without gradients.

        Args:
            written: How it was computed.
            loss: Its value.
            is_training: Whether the model was in training mode.
        """
        seed, look = self._look_at_written(written, loss, self._place())
        seed.head = seed.head_layer = None
        look.is_training = is_training
        self.written.looks += 1
        self._add(Phase.EVALUATION, seed, look, self._steps())

    def _add(self, phase: Phase, seed: LossTotals, look: Look, step: int) -> None:
        key = (phase, seed.function.name, seed.place)
        totals = self._totals.get(key)
        if totals is None:
            if len(self._totals) >= MOST_LOSSES:
                return
            totals = self._totals[key] = seed
            seed.phase, seed.step = phase, step + (phase is Phase.TRAINING)
        else:
            totals.is_broadcast |= seed.is_broadcast
            if seed.head is not None:
                totals.head, totals.head_layer = seed.head, seed.head_layer
        totals.add(look)
        self._scores.add(totals, look, step)

    def settle(self, *, is_between: bool = False) -> None:
        """Give what waited to the phase that it belongs to, as far as that is known by now.

        Args:
            is_between: Whether no loss is under way, so that those in eval mode were scored.
        """
        step, waiting = self._steps(), []
        for pending in self._pending:
            if pending.is_learned:
                self._add(Phase.TRAINING, pending.seed, pending.look, pending.step)
            elif pending.step < step or (is_between and pending.look.is_training is False):
                self._add_scored(pending)
            else:
                waiting.append(pending)
        self._pending = waiting

    def _add_scored(self, pending: _Pending) -> None:
        pending.seed.head = pending.seed.head_layer = None
        self._add(Phase.EVALUATION, pending.seed, pending.look, pending.step)

    def facts(self) -> list[LossFacts]:
        """Return what is known of every loss by now; what lies on other devices is read."""
        self.settle()
        return [totals.fact() for totals in self._totals.values()]

    def evaluation_at(self, step: int) -> Score | None:
        """Return the score of the evaluation since a step; None where there was none."""
        self.settle(is_between=True)
        return self._scores.evaluation_at(step)

    def take_scores(self, step: int, *, is_window_full: bool = False) -> list[Score]:
        """Return the scores that are complete and were not taken before.

        Args:
            step: The last step.
            is_window_full: Whether the training so far is scored too.
        """
        self.settle()
        self._scores.end_pass(step)
        if is_window_full:
            self._scores.end_window(step)
        return self._scores.take()

    def end(self, step: int) -> list[Score]:
        """Return all scores that are left."""
        self.settle(is_between=True)
        self._scores.end(step)
        return self._scores.take()


def _is_broadcast(prediction: Tensor, target: Tensor | None) -> bool:
    """Whether the two were broadcast to more numbers than were predicted."""
    if target is None or target.shape == prediction.shape:
        return False
    both = broadcast_shape(prediction.shape, target.shape)
    return math.prod(both) > prediction.numel()
