"""What is observed of data and of the layers that depend on their batches, put together."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import nn

from relume.observe.compiled import CompiledRegions
from relume.observe.evaluations import Evaluations
from relume.observe.evaluations_by_hand import EvaluationsByHand
from relume.observe.hidden_states import HiddenStates
from relume.observe.model_calls import ModelCalls
from relume.observe.norms import Norms
from relume.observe.tap import ArmedTap

if TYPE_CHECKING:
    from relume.observe.observer import Observer


class DataWatch:
    """Sees inputs, rows, batch norm and recurrent layers on armed steps, and evaluations beside.

    Args:
        tap: Follows the calls of armed steps.
        steps: Returns how many steps have ended.
        compiled: Knows whether ``torch.compile`` was called.
        fail: Told of a fault of ours.
        by_hand: Follows what is computed from what models return.

    Attributes:
        observers: What hands out facts.
    """

    def __init__(
        self,
        tap: ArmedTap,
        steps: Callable[[], int],
        compiled: CompiledRegions,
        fail: Callable[[Exception], None],
        by_hand: EvaluationsByHand,
    ) -> None:
        calls, names = tap.calls, tap.names

        def step() -> int:
            return steps() + 1

        self._models = ModelCalls(step)
        self._by_hand = by_hand

        def name(module: nn.Module) -> str:
            return names.of_module(module) or self._models.name_within(module)

        norms, hidden_states = Norms(step, name), HiddenStates(lambda: calls.number, name)
        calls.on_pass.append(self._models.see)
        by_hand.follow(calls)
        calls.visitors += [norms, hidden_states]

        def is_barred() -> bool:
            return calls.number_of_hooks > 0 or compiled.is_used

        self._evaluations = Evaluations(self._models, [norms], is_barred, fail, by_hand)
        self.observers: tuple[Observer, ...] = (self._models, norms, hidden_states)

    def begin_evaluation(self) -> None:
        """Take note that a model was put into eval mode."""
        self._models.begin_evaluation()
        self._evaluations.begin_if_in_eval_mode()

    def begin_scoring(self, model: nn.Module, copy: nn.Module) -> None:
        """Take note that a copy of a model, or the model itself, is about to be scored."""
        self._models.stand_in(copy, model)
        self._models.begin_evaluation()
        self._evaluations.begin()

    def begin_reading(self, loader: object) -> None:
        """Take note that a loader is read from its start."""
        self._models.begin_reading(loader)
        self._by_hand.end()
        self._evaluations.begin()

    def end_evaluation(self) -> None:
        """Leave no hook of an evaluation."""
        self._evaluations.end()
