"""What a run file holds beside its units: facts about data, losses, heads, weights and modes.

A fact is a frozen value under a key of its kind; the last one written stands for all before it, so
that observers keep the running sums and a run file keeps one row a fact. Numbers that were not
observed are nan or None, never 0. No torch here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MOST_FEATURES = 256
"""Features of an input whose moments are kept one by one; beyond, the first ones."""

MOST_CLASSES = 1000


class Phase(StrEnum):
    """What a forward pass was for: its weights were learned from it, or only scored."""

    TRAINING = "training"
    EVALUATION = "evaluation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Count, mean, standard deviation and range of the finite values of a tensor."""

    count: int = 0
    mean: float = math.nan
    deviation: float = math.nan
    least: float = math.nan
    greatest: float = math.nan
    nonfinite: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFacts:
    """What the model was called with in one phase, over the batches that were looked at.

    Args:
        name: Of the argument, for example ``x of Net.forward``.
        phase: Training or evaluation.
        model: Qualified class name of what was called.
        shape: Of one batch, the first that was seen, rows first.
        dtype: As torch writes it, without ``torch.``.
        is_integer: Whether the values are integers: tokens or indices rather than amounts.
        batches: Batches looked at.
        rows: Rows in them.
        values: Over all values.
        feature_axis: Which axis was taken for features: columns, or channels of images.
        feature_means: Of each of the first ``MOST_FEATURES`` features.
        feature_deviations: Likewise, standard deviations over rows and positions.
        constant_features: How many of all features never changed.
        features: How many there are.
        first_nonfinite_step: The step before which a nan or an infinity was first seen.
    """

    name: str
    phase: Phase
    model: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    is_integer: bool = False
    batches: int = 0
    rows: int = 0
    values: Spread = field(default_factory=Spread)
    feature_axis: int = 1
    feature_means: tuple[float, ...] = ()
    feature_deviations: tuple[float, ...] = ()
    constant_features: int = 0
    features: int = 0
    first_nonfinite_step: int | None = None

    @property
    def key(self) -> str:
        """What it replaces an earlier fact by."""
        return f"{self.phase} {self.model} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapFacts:
    """How many evaluation rows were bitwise among the training rows that were looked at.

    Args:
        training_rows: Distinct training rows remembered.
        evaluation_rows: Distinct evaluation rows looked at.
        shared_rows: Of those, the ones that are training rows too.
        training_repeats: Share of training rows that repeat another one within its own pass over
            the data; nan where unknown. Tables of few values repeat by nature.
    """

    training_rows: int
    evaluation_rows: int
    shared_rows: int
    training_repeats: float = math.nan

    @property
    def key(self) -> str:
        """There is one of it."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossFacts:
    """One loss as it is computed from one place, in one phase.

    Args:
        function: ``cross_entropy``, ``mse_loss`` ...; ``by hand`` where the loss was put together
            from other operations and read off the autograd graph.
        phase: Training or evaluation.
        place: ``file:line``; None where not known.
        step: The first step on which it was seen.
        calls: How many calls were looked at.
        rows: Rows in them.
        prediction_shape: Of the first call.
        target_shape: Of the first call; empty where no target is known.
        is_broadcast: Whether prediction and target had different shapes that were broadcast to a
            larger one.
        head: Operations from the prediction back to the weights that made it, the last one first,
            by their plain names: ``softmax``, ``log_softmax``, ``sigmoid``, ``relu``, ``tanh``,
            ``log``, ``dropout``, other; views and reshapes are left out. Empty: straight from the
            weights. None: not known (no graph).
        head_layer: Qualified name of the module whose weights made the prediction; None: unknown.
        head_width: Outputs per row that the loss compares: the class axis, or columns.
        operations: For a loss by hand, all operations from the loss back to those weights.
        prediction: Values of the prediction.
        is_unit_interval: Whether every predicted value lay in [0, 1].
        is_normalised: Whether the predictions of every row summed to 1 (or their exponentials did).
        target: Values of the target.
        target_kind: ``classes`` (integers), ``one hot``, ``binary``, ``probabilities``,
            ``amounts``; empty where no target is known.
        class_counts: Rows of each class, for ``classes``, ``one hot`` and ``binary``.
        predicted_counts: Rows predicted as each class (largest output, or sign of a logit).
        ignored: Targets left out of the loss by ``ignore_index``.
        first_loss: Value at the first call, mean over rows where it can be known.
        is_in_training_mode: Share of the calls with the model in training mode; nan: no model.
        weighted: Whether class weights were given.
    """

    function: str
    phase: Phase
    place: str | None = None
    step: int = 0
    calls: int = 0
    rows: int = 0
    prediction_shape: tuple[int, ...] = ()
    target_shape: tuple[int, ...] = ()
    is_broadcast: bool = False
    head: tuple[str, ...] | None = None
    head_layer: str | None = None
    head_width: int = 0
    operations: tuple[str, ...] = ()
    prediction: Spread = field(default_factory=Spread)
    is_unit_interval: bool = False
    is_normalised: bool = False
    target: Spread = field(default_factory=Spread)
    target_kind: str = ""
    class_counts: tuple[int, ...] = ()
    predicted_counts: tuple[int, ...] = ()
    ignored: int = 0
    first_loss: float = math.nan
    is_in_training_mode: float = math.nan
    weighted: bool = False

    @property
    def key(self) -> str:
        """What it replaces an earlier fact by."""
        return f"{self.phase} {self.function} {self.place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFacts:
    """One module of a watched model, as it was at the first step that saw it.

    Args:
        name: Qualified name; empty for the model itself.
        kind: Name of its class.
        order: Position among the modules that were called, from 0; -1 where it was not.
        details: What its rules need: ``p`` of dropout, ``nonlinearity`` of a recurrent layer,
            ``momentum`` of batch norm, ``is_frozen``.
        follows: Qualified name of the weighted module whose output reaches this weighted module by
            linear operations alone (views, sums, dropout); None where a nonlinearity,
            normalisation or nothing lies between, or it is not known.
        eval_steps: Armed training steps on which it was in eval mode.
        training_steps: Armed training steps on which it was in training mode.
    """

    name: str
    kind: str
    order: int = -1
    details: Mapping[str, Any] = field(default_factory=dict)
    follows: str | None = None
    eval_steps: int = 0
    training_steps: int = 0

    @property
    def key(self) -> str:
        """What it replaces an earlier fact by."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFacts:
    """One parameter of a watched model.

    Args:
        name: Qualified name, ``encoder.0.weight``.
        kind: Class of the module that has it.
        shape: Its shape.
        is_trainable: ``requires_grad`` at the first step.
        is_optimised: Whether an optimizer that has stepped holds it.
        weight_decay: Of its group; nan where it has none.
        rate: Of its group at the first step that saw it; nan where not known.
        armed_steps: Armed steps with an update since it was seen.
        gradient_steps: On how many of them it had a gradient.
        nonzero_gradient_steps: On how many of them any entry of it was not zero.
        left_over_steps: On how many armed steps a gradient of the update before was still there
            when the first backward pass began.
        first_nonfinite_step: First armed step on which its gradient was not finite.
        initial: Its values at the first step.
        fan_in: Inputs of each unit; 0 where that means nothing.
        identical_units: Units whose incoming weights (and bias) equal those of another unit, at
            the first step and at the last look.
        final: Its values at the last look.
    """

    name: str
    kind: str = ""
    shape: tuple[int, ...] = ()
    is_trainable: bool = True
    is_optimised: bool = False
    weight_decay: float = math.nan
    rate: float = math.nan
    armed_steps: int = 0
    gradient_steps: int = 0
    nonzero_gradient_steps: int = 0
    left_over_steps: int = 0
    first_nonfinite_step: int | None = None
    initial: Spread = field(default_factory=Spread)
    fan_in: int = 0
    identical_units: tuple[int, int] = (0, 0)
    final: Spread = field(default_factory=Spread)

    @property
    def key(self) -> str:
        """What it replaces an earlier fact by."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerFacts:
    """One optimizer that stepped.

    Args:
        number: Order in which it first stepped, from 0.
        kind: Name of its class.
        groups: ``lr``, ``momentum``, ``weight_decay`` ... of each group, numbers only.
        weights: How many parameters it holds.
        updates: How often it stepped.
        passes_per_update: Mean number of backward passes before an update (accumulation).
    """

    number: int
    kind: str
    groups: tuple[Mapping[str, float], ...] = ()
    weights: int = 0
    updates: int = 0
    passes_per_update: float = math.nan

    @property
    def key(self) -> str:
        """What it replaces an earlier fact by."""
        return str(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class NormFacts:
    """One batch-norm layer on armed training passes: its batches beside its running statistics.

    Args:
        name: Qualified name.
        kind: Name of its class.
        momentum: Its momentum; nan for a cumulative average.
        passes: Training passes looked at.
        least_values: Fewest values per channel that a batch was normalised by.
        least_rows: Fewest rows of such a batch.
        shift: Mean over channels of |batch mean - running mean| / running standard deviation, over
            the last passes that were looked at.
        spread_ratio: Mean over channels of the batch variance over the running variance, over the
            last passes.
        channel_drift: Mean over channels of |running mean now - running mean at first| in running
            standard deviations at first.
        eval_passes: Passes in eval mode that were looked at.
        tracks: Whether it keeps running statistics.
    """

    name: str
    kind: str = "BatchNorm1d"
    momentum: float = math.nan
    passes: int = 0
    least_values: int = 0
    least_rows: int = 0
    shift: float = math.nan
    spread_ratio: float = math.nan
    channel_drift: float = math.nan
    eval_passes: int = 0
    tracks: bool = True

    @property
    def key(self) -> str:
        """What it replaces an earlier fact by."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentFacts:
    """One recurrent layer on armed steps.

    Args:
        name: Qualified name.
        kind: ``RNN``, ``LSTM``, ``GRU`` or a cell.
        nonlinearity: ``tanh`` or ``relu``.
        time_steps: Longest sequence seen.
        growth: Root mean square of the last hidden state over that after the first time step,
            geometric mean over the passes that were looked at.
        spectral_radius: Largest |eigenvalue| of the recurrent matrix, at the last look; nan where
            it is too large to be computed.
        passes: Passes looked at.
    """

    name: str
    kind: str
    nonlinearity: str = "tanh"
    time_steps: int = 0
    growth: float = math.nan
    spectral_radius: float = math.nan
    passes: int = 0

    @property
    def key(self) -> str:
        """What it replaces an earlier fact by."""
        return self.name


Fact = (
    InputFacts
    | OverlapFacts
    | LossFacts
    | ModuleFacts
    | WeightFacts
    | OptimizerFacts
    | NormFacts
    | RecurrentFacts
)
