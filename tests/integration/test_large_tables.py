import json
import resource

import numpy as np
import polars as pl
import pytest

from tests.integration.command_line import relume_cold

GIB = 1 << 30


def tall():
    rng = np.random.default_rng(0)
    rows = 400_000
    columns = {f"x{i}": rng.normal(size=rows).astype(np.float32) for i in range(12)}
    columns["city"] = rng.choice([f"city {i}" for i in range(40)], rows)
    columns["y"] = np.where(columns["x0"] + columns["x1"] > 0, "yes", "no")
    return pl.DataFrame(columns)


def wide():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_000, 10_000)).astype(np.float32)
    frame = pl.DataFrame(x, schema=[f"x{i}" for i in range(10_000)])
    return frame.with_columns(y=pl.Series(x[:, 0] * 2 + x[:, 1]))


@pytest.mark.parametrize(("build", "least"), [(tall, 0.9), (wide, -1.0)])
def test_large_tables_train_within_8_gib(tmp_path, build, least):
    build().write_csv(tmp_path / "large.csv")
    options = ["--target", "y", "--epochs", 1, "--json"]
    done = relume_cold("fit", "large.csv", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["score"] > least
    # The greatest of all children so far: a bound for this one.
    peak_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert peak_bytes < 8 * GIB
