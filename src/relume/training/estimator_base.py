"""What the two estimators share: from checked arrays to a trained network and its predictions."""

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from torch import Tensor, nn

from relume.errors import UserError
from relume.training.device import find_device, isolated
from relume.training.estimator_fitting import (
    WARMUP,
    Choices,
    EstimatorLoop,
    History,
    PenalisedLoss,
    build_optimizer,
    matrices_of,
)
from relume.training.estimator_lbfgs import minimise
from relume.training.estimator_networks import drawn_network
from relume.training.estimator_parameters import (
    InvalidParameterError,
    check_parameters,
    layer_widths,
)
from relume.training.estimator_repair import Story, train_repairing
from relume.training.estimator_rows import counted_rows
from relume.training.estimator_scaling import Scaling, StandardisedRows, folded
from relume.training.loop import SCORING_ROWS, LoopSettings, TensorPart
from relume.training.recipe import batch_size_for, threads_for, usual_init
from relume.training.recording import Recorder
from relume.training.settings import FitSettings

Values = NDArray[Any]

LARGEST_BATCH, MOST_ITERATIONS = 256, 200
WEIGHT_DECAY = 0.1  # of the solver 'adam'


class PerceptronEstimator(BaseEstimator):  # type: ignore[misc]
    """The common part; a subclass says how targets are read, scaled and scored."""

    _usual_epochs: int
    _scaling: Scaling
    _target_moments: Scaling

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "PerceptronEstimator":
        """Train on rows and their targets.

        Args:
            X: Array or sparse matrix (rows, features).
            y: Targets (rows,) or (rows, outputs).
            sample_weight: Weight of each row, at least 0; a row with weight 0 is left out.

        Returns:
            The estimator itself.

        Raises:
            InvalidParameterError: A parameter makes no sense; a ValueError.
            ValueError: The data cannot be learned from.
        """
        self._train(X, y, sample_weight, in_parts=False)
        return self

    def _train(self, X: Any, y: Any, sample_weight: Any, *, in_parts: bool) -> None:
        check_parameters(type(self).__name__, self.get_params(deep=False))
        widths = layer_widths(self.hidden_layer_sizes)
        if in_parts and self.early_stopping:
            raise InvalidParameterError("partial_fit does not support early_stopping=True")
        fresh = not hasattr(self, "network_") or not (self.warm_start or in_parts)
        X, targets = self._read(X, y, fresh=fresh, in_parts=in_parts)
        X, targets, weights = counted_rows(X, targets, sample_weight, ordered=not self.shuffle)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.n_outputs_ = targets.shape[1]
        try:
            device = find_device(self.device)
            with isolated(seed, device):
                if fresh:
                    self._begin(X.shape[1], widths)
                    self.network_.to(_dtype(X, device))
                if fresh or in_parts:
                    self._scale(X, targets, weights, add=in_parts and not fresh)
                data, network = (X, targets, weights), self.network_
                try:
                    self._learn(data, seed, device, in_parts=in_parts, is_fresh=fresh)
                finally:
                    network.cpu().eval()
        except UserError as error:
            if isinstance(error, ValueError):
                raise
            raise InvalidParameterError(str(error)) from error
        self._conclude(widths)

    def _begin(self, features: int, widths: tuple[int, ...]) -> None:
        """Draw a new network and forget what happened before."""
        self.network_: nn.Module = drawn_network(self, features, widths)
        self.repairs_: list[Story] = []
        self._history = History()
        self._optimizer: torch.optim.Optimizer | None = None

    def _scale(self, X: Any, targets: Values, weights: Values, *, add: bool) -> None:
        inputs, outputs = Scaling.of(X, weights), Scaling.of(targets, weights)
        self._scaling = self._scaling + inputs if add else inputs
        self._target_moments = self._target_moments + outputs if add else outputs

    def _learn(
        self,
        data: tuple[Any, Values, Values],
        seed: int,
        device: torch.device,
        *,
        in_parts: bool,
        is_fresh: bool,
    ) -> None:
        choices = self._choices()
        network = self.network_.to(device)
        dtype = next(network.parameters()).dtype
        data, held_out = self._split(data, seed)
        mean_weight = float(data[2].mean())
        train = self._part(*data, dtype=dtype, device=device)
        objective = PenalisedLoss(
            self._link(),
            choices.alpha / mean_weight,
            matrices_of(network),
            smoothing=choices.label_smoothing,
        )
        if self.solver == "lbfgs":
            self._search(network, train, objective, choices)
            return
        optimizer = self._optimizer if in_parts else None
        settings = self._numbers(len(train), seed, in_parts=in_parts)

        def begin(recorder: Recorder | None) -> EstimatorLoop:
            """Return the training before its first step; one that is recorded begins again."""
            self._optimizer = optimizer or build_optimizer(network, choices)
            self._history = self._history if recorder is None else History()
            loop = EstimatorLoop(
                network,
                train,
                objective,
                settings,
                choices=choices,
                history=self._history,
                optimizer=self._optimizer,
                recorder=recorder,
            )
            if held_out is not None:
                self._watch(loop, held_out, device)
            return loop

        def redraw(is_usual: bool) -> nn.Module:  # noqa: FBT001
            init = usual_init(self.network) if is_usual else None
            features, widths = data[0].shape[1], layer_widths(self.hidden_layer_sizes)
            return drawn_network(self, features, widths, init).to(device, dtype)

        may_repair = self.repair and is_fresh and not in_parts
        self._iterate(begin, redraw if may_repair else None, in_parts=in_parts)

    def _choices(self) -> Choices:
        """Return the parameters that the training reads, with those left open chosen."""
        decay = self.weight_decay
        if self.solver == "lbfgs" and decay:
            raise InvalidParameterError(
                f"weight_decay={decay} acts on updates, of which solver='lbfgs' has none; give "
                "alpha instead"
            )
        usual = WEIGHT_DECAY if self.solver == "adam" else 0.0
        chosen: dict[str, Any] = {
            "max_iter": self._most_epochs(),
            "weight_decay": usual if decay is None else float(decay),
            "label_smoothing": self._smoothing(),
        }
        named = (each.name for each in fields(Choices) if each.name not in chosen)
        return Choices(**{name: getattr(self, name) for name in named}, **chosen)

    def _smoothing(self) -> float:
        return 0.0

    def _split(
        self, data: tuple[Any, Values, Values], seed: int
    ) -> tuple[tuple[Any, Values, Values], tuple[Any, Values, Values] | None]:
        if not self.early_stopping or self.solver == "lbfgs":
            return data, None
        parts = train_test_split(
            *data,
            test_size=self.validation_fraction,
            random_state=seed,
            stratify=self._strata(data[1]),
        )
        train, held_out = tuple(parts[0::2]), tuple(parts[1::2])
        if held_out[0].shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        return train, held_out

    def _part(
        self, X: Any, targets: Values, weights: Values, *, dtype: torch.dtype, device: torch.device
    ) -> TensorPart:
        """Return scaled rows, the weight of each, of mean 1, as the last column of ``y``."""
        rows = StandardisedRows(X, self._scaling, dtype=dtype, device=device)
        y = np.column_stack([self._target_scaling().apply(targets), weights / weights.mean()])
        x: Any = rows if rows.is_sparse else rows[:]
        return TensorPart(x, torch.from_numpy(y).to(device, dtype))

    def _numbers(self, rows: int, seed: int, *, in_parts: bool) -> LoopSettings:
        if self.batch_size == "auto":
            batch_size = min(rows, batch_size_for(rows, LARGEST_BATCH))
        else:
            if self.batch_size > rows:
                warnings.warn(
                    f"Got batch_size={self.batch_size}, larger than the {rows} rows. It is going "
                    "to be clipped",
                    stacklevel=5,
                )
            batch_size = min(int(self.batch_size), rows)
        parameters = sum(parameter.numel() for parameter in self.network_.parameters())
        settings = FitSettings(network=self.network, batch_size=batch_size)
        torch.set_num_threads(threads_for(settings, parameters, torch.get_num_threads()))
        epochs = 1 if in_parts else self._most_epochs()
        return LoopSettings(
            epochs=self._history.epochs + epochs,
            batch_size=batch_size,
            lr=self.learning_rate_init,
            weight_decay=0.0,
            warmup=0.0 if in_parts else WARMUP,
            patience=epochs,
            seed=seed,
        )

    def _most_epochs(self) -> int:
        if self.max_iter is not None:
            return int(self.max_iter)
        return MOST_ITERATIONS if self.solver == "lbfgs" else self._usual_epochs

    def _watch(
        self, loop: EstimatorLoop, held_out: tuple[Any, Values, Values], device: torch.device
    ) -> None:
        """Have the loop score the rows held out after every epoch."""
        _, targets, weights = held_out

        def score(output: Tensor) -> float:
            predictions = self._in_own_unit(output)
            if not np.isfinite(predictions).all():
                return float("nan")
            return float(self._metric(targets, predictions, weights))

        dtype = next(loop.model.parameters()).dtype
        part = self._part(*held_out, dtype=dtype, device=device)
        loop.held_out, loop.score_of = TensorPart(part.x[:], part.y), score

    def _iterate(
        self,
        begin: Callable[[Recorder | None], EstimatorLoop],
        redraw: Callable[[bool], nn.Module] | None,
        *,
        in_parts: bool,
    ) -> None:
        before = self._history.epochs
        loop = begin(None)
        try:
            if redraw is None:
                loop.train()
            else:
                loop, self.repairs_ = train_repairing(loop, begin, redraw, self.solver)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=5)
        history = self._history
        self.n_iter_ = history.epochs - before
        self.t_ = history.rows_seen
        self.loss_curve_ = history.losses
        self.loss_ = history.losses[-1] if history.losses else float("nan")
        has_scores = self.early_stopping
        self.validation_scores_ = history.scores if has_scores else None
        self.best_validation_score_ = history.best_score if has_scores else None
        self.best_loss_ = None if has_scores else history.best_loss
        is_planned = self.learning_rate == "cosine" and math.isinf(self.n_iter_no_change)
        if not in_parts and not is_planned and loop.progress.stopped == "after all epochs":
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self._most_epochs()}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _search(
        self, network: nn.Module, train: TensorPart, objective: PenalisedLoss, choices: Choices
    ) -> None:
        if self.norm == "batch" or self.network != "mlp":
            raise InvalidParameterError(
                "solver='lbfgs' needs a loss that is the same at every evaluation: network='mlp' "
                "without batch norm; choose solver='adam'"
            )
        self._optimizer = None
        found = minimise(network, train, objective, choices)
        self.n_iter_, self.loss_ = found.iterations, found.loss
        self.t_ = 0
        if not found.converged:
            warnings.warn(
                f"lbfgs failed to converge after {found.iterations} iteration(s): {found.message}",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _conclude(self, widths: tuple[int, ...]) -> None:
        if not all(bool(p.isfinite().all()) for p in self.network_.parameters()):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values, or learning_rate_init may be too high."
            )
        self.n_layers_ = len(widths) + 2
        self.out_activation_ = self._link()
        if self.network == "mlp" and self.norm is None:
            self.coefs_, self.intercepts_ = folded(
                self.network_,
                self._scaling,
                self._target_scaling(),
                log_outputs=self._link() == "exp",
            )
        else:
            self.__dict__.pop("coefs_", None)
            self.__dict__.pop("intercepts_", None)

    def _predictions(self, X: Any) -> Values:
        """Return what the output units say, shape (rows, outputs), in float64."""
        X = validated(self, X, reset=False)
        network = copy.deepcopy(self.network_).double().eval()
        rows = StandardisedRows(X, self._scaling, dtype=torch.float64, device=torch.device("cpu"))
        with torch.no_grad():
            blocks = [
                self._in_own_unit(network(rows[start : start + SCORING_ROWS]))
                for start in range(0, len(rows), SCORING_ROWS)
            ]
        return np.concatenate(blocks)

    def _in_own_unit(self, output: Tensor) -> Values:
        output, link = output.detach().cpu().double(), self._link()
        if link == "softmax":
            return output.softmax(dim=1).numpy()
        if link == "logistic":
            return output.sigmoid().numpy()
        scaling = self._target_scaling()
        if link == "exp":
            output = output.exp()
        return np.asarray(output.numpy() * scaling.scale + scaling.mean)

    def _target_scaling(self) -> Scaling:
        """Return the scaling of the targets: none of classes; of counts, by their mean."""
        moments = self._target_moments
        if self._link() == "identity":
            return moments
        nothing = np.zeros_like(moments.mean)
        squares = np.square(moments.mean) if self._link() == "exp" else nothing + 1
        return Scaling(moments.weight, nothing, squares)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def validated(estimator: Any, *arrays: Any, **options: Any) -> Any:
    """Return arrays as scikit-learn checks them; its function is public from version 1.6 on."""
    rules: dict[str, Any] = {"accept_sparse": ["csr", "csc"], "dtype": (np.float64, np.float32)}
    if len(arrays) > 1:
        rules["multi_output"] = True
    try:
        from sklearn.utils.validation import validate_data
    except ImportError:
        return estimator._validate_data(*arrays, **rules, **options)  # noqa: SLF001
    return validate_data(estimator, *arrays, **rules, **options)


def _dtype(X: Any, device: torch.device) -> torch.dtype:
    """Return what to train in: the inputs' own precision, single on other devices than the CPU."""
    return torch.float64 if X.dtype == np.float64 and device.type == "cpu" else torch.float32


def learns_in_parts(estimator: Any) -> bool:
    """Whether there is a ``partial_fit``; the solver 'lbfgs' wants all rows at once."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only for the solvers 'adam' and 'sgd'; got 'lbfgs'")
    return True
