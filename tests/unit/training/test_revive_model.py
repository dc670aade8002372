"""Saved models of every kind of target are revived, and judged on the right rows."""

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from relume.errors import DataError
from relume.training.entry import fit
from relume.training.revive_model import revive_model


def table(rows=200, seed=0):
    generator = np.random.default_rng(seed)
    a, b = generator.normal(size=(2, rows))
    return pl.DataFrame(
        {"a": a, "b": b, "sign": np.where(a * b > 0, "same", "other"), "size": np.abs(a) + b}
    )


def dead(saved):
    layers = [each for each in saved.network.modules() if isinstance(each, nn.Linear)]
    with torch.no_grad():
        layers[0].bias.fill_(-50.0)
    return saved


@pytest.mark.parametrize(
    ("target", "metric"),
    [("sign", "held-out accuracy"), ("size", "held-out loss"), ("sign,size", "held-out loss")],
)
def test_every_target_is_learned_again(tmp_path, target, metric):
    model = fit(table(), target=target, out=tmp_path / "m", epochs=1).model
    found = revive_model(dead(model), table(), epochs=15, lr=3e-3)
    assert found.revival.verdict.metric == metric
    assert found.revival.verdict.n == 40
    assert found.revival.verdict.is_better
    assert found.revival.dead_after < found.revival.dead_before / 2
    assert found.model.result["revival"]["dead_before"] == found.revival.dead_before


def test_an_autoencoder_is_judged_by_what_it_rebuilds(tmp_path):
    data = table().select("a", "b")
    model = fit(data, network="autoencoder", code=1, out=tmp_path / "m", epochs=1).model
    found = revive_model(dead(model), data, epochs=5, lr=3e-3)
    assert found.revival.verdict.metric == "held-out loss"
    assert found.revival.verdict.n == 40


def test_rows_without_their_target_are_not_learned_from(tmp_path):
    model = fit(table(), target="sign", out=tmp_path / "m", epochs=1).model
    with pytest.raises(DataError, match="the data has no target 'sign'"):
        revive_model(dead(model), table().drop("sign"))
    some = table().with_columns(
        pl.when(pl.int_range(200) < 50).then(None).otherwise(pl.col("sign")).alias("sign")
    )
    found = revive_model(dead(model), some, epochs=0)
    assert found.revival.verdict.n == 30  # a fifth of 150
