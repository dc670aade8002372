"""Rebuilding the features from a short code: its objective, its score, its rivals, its codes."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from relume.errors import ModelFormatError
from relume.nn.autoencoder import Autoencoder
from relume.observe.modes import evaluating
from relume.training.baselines import MOST_LINEAR_CELLS
from relume.training.data.prepare import Part, Prepared
from relume.training.loop import blocks
from relume.training.scores import METRICS, score_against
from relume.training.verdict import Verdict

METRIC = "variance rebuilt"


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Squared error of the standardised features, its mean over features; ``y`` are the features.

    A feature that is constant in training adds nothing to the spread; its constant is learned by
    the bias of one output.
    """

    metric: str = METRIC

    def train_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean squared error."""
        return functional.mse_loss(output, y)

    def plain_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean squared error of each row."""
        return functional.mse_loss(output, y, reduction="none").mean(dim=1)

    def score(self, output: Tensor, y: Tensor) -> float:
        """Return the share of the features' variance that is rebuilt."""
        once = np.ones((1, len(y)))
        return float(METRICS[METRIC](y.cpu().numpy(), output.cpu().numpy(), once)[0])


def judge_reconstruction(
    output: NDArray[np.float32], data: Prepared, code: int, *, seed: int
) -> Verdict:
    """Score rebuilt features on the test part beside the mean and principal components.

    Args:
        output: Shape (rows, features), the rebuilt test part.
        data: What the network was trained on.
        code: The width of the code; as many principal components are the rival.
        seed: Of the resampling.

    Cost: one eigendecomposition, and 2,000 resamples x rows x features multiplications a rival.
    """
    test = data.test.x
    mean = np.broadcast_to(data.train.x.mean(axis=0, dtype=np.float64), test.shape)
    rivals = [("mean of training", mean), _principal(data.train, data.test, code, seed)]
    score, comparisons = score_against(METRICS[METRIC], test, output, rivals, seed=seed)
    return Verdict(METRIC, len(test), score, comparisons)


def rebuild(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the codes of rows and the rows rebuilt from them, in eval mode without gradients.

    Raises:
        ModelFormatError: The network is no autoencoder.
    """
    if not isinstance(network, Autoencoder):
        raise ModelFormatError("the model has no target and no code; it is damaged: train it again")
    with evaluating(network), torch.no_grad():
        codes = [network.encode(block) for block in blocks(x)]
        return torch.cat(codes), torch.cat([network.decode(code) for code in codes])


def row_errors(x: NDArray[np.float32], rebuilt: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean squared error of each row's standardised features.

    Example:
        >>> row_errors(np.float32([[0, 2]]), np.float32([[1, 0]]))
        array([2.5])
    """
    gaps = x.astype(np.float64) - rebuilt
    return np.asarray((gaps**2).mean(axis=1))


def _principal(train: Part, test: Part, code: int, seed: int) -> tuple[str, NDArray[np.float32]]:
    from sklearn.decomposition import PCA

    x = train.x
    most_rows = max(1000, MOST_LINEAR_CELLS // max(1, x.shape[1]))
    sampled = len(x) > most_rows
    if sampled:
        x = x[np.random.default_rng(seed).choice(len(x), most_rows, replace=False)]
    components = min(code, *x.shape)
    model = PCA(components, random_state=seed).fit(x)
    name = f"PCA of {components} component{'' if components == 1 else 's'}"
    name += f" (on {most_rows:,} rows)" if sampled else ""
    return name, np.asarray(model.inverse_transform(model.transform(test.x)))
