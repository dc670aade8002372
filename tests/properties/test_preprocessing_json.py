"""A fitted preprocessing survives JSON bitwise, and no damaged JSON gets past its door."""

import copy
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import DataError, ModelFormatError
from relume.training.data.prepare import DataOptions, Preprocessing, prepare

N = 40
SETTINGS = settings(deadline=None, derandomize=True, max_examples=100)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@settings(SETTINGS, max_examples=60)
@given(
    numbers=st.lists(FLOATS, min_size=2, max_size=6, unique=True),
    texts=st.lists(st.text(max_size=3), min_size=2, max_size=5, unique=True),
    gaps=st.sampled_from([0, 0.1, 0.5]),
    seed=st.integers(0, 99),
)
def test_there_and_back_is_bitwise_the_same(numbers, texts, gaps, seed):
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "number": rng.choice(numbers, N),
            "text": ["-" + text for text in rng.choice(texts, N)],
            "when": [f"2024-01-{day:02}" for day in rng.integers(1, 29, N)],
        }
    )
    missing = pl.Series(rng.random(N) < gaps)
    frame = frame.with_columns(pl.when(~missing).then(pl.all()))
    frame = frame.with_columns(base=rng.normal(size=N), y=rng.normal(size=N))
    fitted = prepare(frame, DataOptions(target="y", categorical=("text",))).preprocessing
    loaded = Preprocessing.from_json(json.loads(json.dumps(fitted.to_json())))
    assert loaded == fitted
    assert loaded.transform(frame).tobytes() == fitted.transform(frame).tobytes()


@pytest.fixture(scope="module")
def plain():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "rownames": np.arange(N),
            "number": [None if i % 5 == 0 else float(i * i) for i in range(N)],
            "text": rng.choice(["a", "b", "c"], N),
            "when": [f"2024-01-{day:02} 10:00" for day in rng.integers(1, 29, N)],
            "y": rng.choice(["no", "yes"], N),
        }
    )
    return frame, prepare(frame, DataOptions(target="y")).preprocessing.to_json()


def places(data, path=()):
    """Every place in JSON data, as a path of keys."""
    yield path
    items = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in items:
        yield from places(value, (*path, key))


TELLING = ["number", "category", "moment", "date", "datetime", "%Y-%m-%d", "\ud800", 10**400]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from(TELLING),
)


@settings(SETTINGS, max_examples=400)
@given(data=st.data(), value=VALUES, how=st.sampled_from(["replace", "remove", "add"]))
def test_damaged_json_is_refused_or_still_whole(plain, data, value, how):
    frame, good = plain
    path = data.draw(st.sampled_from(list(places(good))))
    damaged = copy.deepcopy({"all": good})
    *way, last = ("all", *path)
    place = damaged
    for step in way:
        place = place[step]
    if how == "replace":
        place[last] = value
    elif how == "remove":
        del place[last]
    elif isinstance(place[last], dict):
        place[last]["surprise"] = value
    elif isinstance(place[last], list):
        place[last].append(value)
    try:
        loaded = Preprocessing.from_json(damaged.get("all"))
    except ModelFormatError as error:
        message = str(error)
        assert len(message.splitlines()) == 1
        return
    try:
        x = loaded.transform(frame)
    except DataError:
        return  # another name or another kind of column
    assert x.shape == (N, len(loaded.features))
    assert np.isfinite(x).all()
