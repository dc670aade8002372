"""Tables and points of the third group: curved, mixed, heavy-tailed, and a measured landscape."""

from collections.abc import Mapping

import numpy as np

from benchmarks.clinic.arrays import Arrays, Source


def _spirals(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    y, along = rng.integers(0, 3, 1600), rng.uniform(0.2, 1.0, 1600)
    angle = 2 * np.pi * y / 3 + 4.5 * along
    x = np.c_[along * np.cos(angle), along * np.sin(angle)]
    return x + 0.03 * rng.standard_normal(x.shape), y


def _quantiles(seed: int) -> Arrays:
    from sklearn.datasets import make_gaussian_quantiles

    return make_gaussian_quantiles(n_samples=2000, n_features=4, n_classes=3, random_state=seed)


def _galaxies(seed: int) -> Arrays:
    """Five stretched clusters with heavy tails."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 5, 1800)
    middles = 2.5 * rng.standard_normal((5, 12))
    shapes = rng.standard_normal((5, 12, 12)) / np.sqrt(12)
    noise = np.clip(rng.standard_t(4, (1800, 12)), -8, 8)
    return middles[y] + 1.6 * np.einsum("nij,nj->ni", shapes[y], noise), y


def _checkers(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 3, (2000, 2))
    return x, np.floor(x).sum(1).astype(int) % 2


def _circles(seed: int) -> Arrays:
    """Two circles in a plane, beside three columns that say nothing."""
    from sklearn.datasets import make_circles

    x, y = make_circles(1800, noise=0.12, factor=0.45, random_state=seed)
    return np.c_[x, 0.5 * np.random.default_rng(seed).standard_normal((1800, 3))], y


def _one_hot(chosen: np.ndarray) -> np.ndarray:
    return np.eye(int(chosen.max()) + 1)[chosen]


def _loans(seed: int) -> Arrays:
    """Whether a loan is paid back: kinds as columns of 0 and 1, skewed amounts, counts."""
    rng = np.random.default_rng(seed)
    income, age = rng.lognormal(10.3, 0.5, 2000), rng.integers(18, 75, 2000)
    job, purpose = rng.integers(0, 4, 2000), rng.integers(0, 3, 2000)
    asked, before = rng.lognormal(9.0, 0.8, 2000), rng.poisson(1.2, 2000)
    burden = np.log(asked / income) + np.array([0.9, 0.0, -0.6, -1.2])[job]
    risk = burden + np.where(purpose == 1, 0.8 * (before - 1), -0.3 * before) - 0.02 * (age - 45)
    y = (risk + 0.3 * rng.standard_normal(2000) > np.median(risk)).astype(int)
    return np.c_[income, age, asked, before, _one_hot(job), _one_hot(purpose)], y


def _shop(seed: int) -> Arrays:
    """What an order costs: kinds as columns of 0 and 1, and skewed amounts."""
    rng = np.random.default_rng(seed)
    area, kind = rng.integers(0, 5, 2000), rng.integers(0, 3, 2000)
    weight, way, pieces = rng.gamma(2, 1.5, 2000), rng.gamma(2, 40, 2000), rng.poisson(3, 2000)
    price = np.array([3.0, 5.0, 9.0])[kind] * pieces + 0.02 * weight * way
    price += np.array([0.0, 4.0, -3.0, 8.0, 2.0])[area] + rng.standard_normal(2000)
    return np.c_[weight, way, pieces, _one_hot(area), _one_hot(kind)], price


def _roll(seed: int) -> Arrays:
    """How far along a rolled-up sheet a point lies."""
    from sklearn.datasets import make_swiss_roll

    return make_swiss_roll(1600, noise=0.4, random_state=seed)


def _terrain(seed: int) -> Arrays:
    """Height above sea level at a place: a measured landscape, which matplotlib brings along."""
    from matplotlib.cbook import get_sample_data

    heights = get_sample_data("jacksboro_fault_dem.npz")["elevation"].astype(np.float64)
    rng = np.random.default_rng(seed)
    rows, columns = (rng.integers(0, size, 2400) for size in heights.shape)
    return np.c_[rows, columns].astype(np.float64), heights[rows, columns]


def _crescents(seed: int) -> Arrays:
    from sklearn.datasets import make_moons

    x, y = make_moons(1600, noise=0.06, random_state=seed)
    return (x - x.mean(0)) / x.std(0), np.zeros(len(y))


TABLES: Mapping[str, tuple[str, Source]] = {
    "spirals": ("classes", _spirals),
    "quantiles": ("classes", _quantiles),
    "galaxies": ("classes", _galaxies),
    "checkers": ("binary", _checkers),
    "circles": ("binary", _circles),
    "loans": ("binary", _loans),
    "shop": ("amounts", _shop),
    "roll": ("amounts", _roll),
    "terrain": ("amounts", _terrain),
    "crescents": ("generated", _crescents),
}
"""The kind of each, and its rows for a seed."""
