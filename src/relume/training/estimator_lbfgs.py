"""The solver 'lbfgs': SciPy's L-BFGS-B on all rows at once, with gradients from torch."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from relume.training.estimator_fitting import Choices, PenalisedLoss
from relume.training.loop import TensorPart


@dataclass(frozen=True, slots=True)
class Minimum:
    """Where the search ended."""

    loss: float
    iterations: int
    converged: bool
    message: str


def minimise(
    model: nn.Module, train: TensorPart, objective: PenalisedLoss, choices: Choices
) -> Minimum:
    """Minimise the objective over all rows in place, without dropout.

    Args:
        model: Trained in place; float64 serves the search best.
        train: All rows; every step of the search reads each of them once.
        objective: Its penalty must be on the parameters of ``model``.
        choices: ``tol`` bounds the largest entry of the gradient, ``max_iter`` the iterations,
            ``max_fun`` the evaluations.

    References:
        Byrd, Lu, Nocedal and Zhu (1995), "A limited memory algorithm for bound constrained
        optimization", SIAM Journal on Scientific Computing 16(5).
    """
    from scipy.optimize import minimize

    model.eval()
    x = train.x[:]

    def loss_and_gradient(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        _place(model, point)
        model.zero_grad()
        loss = objective.train_loss(model(x), train.y)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [_gradient(parameter) for parameter in model.parameters()]
        return loss.item(), torch.cat(gradients).cpu().double().numpy()

    start = parameters_to_vector(model.parameters()).detach().cpu().numpy()
    found = minimize(
        loss_and_gradient,
        start,
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": choices.max_fun, "maxiter": choices.max_iter, "gtol": choices.tol},
    )
    _place(model, found.x)
    model.zero_grad()
    iterations = min(int(found.nit), choices.max_iter)
    return Minimum(float(found.fun), iterations, bool(found.status == 0), str(found.message))


def _place(model: nn.Module, point: NDArray[np.float64]) -> None:
    like = next(model.parameters())
    vector_to_parameters(torch.tensor(point).to(like), model.parameters())


def _gradient(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    return (torch.zeros_like(parameter) if gradient is None else gradient).reshape(-1)
