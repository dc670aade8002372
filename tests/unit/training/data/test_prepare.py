import numpy as np
import polars as pl
import pytest
from sklearn import datasets

from relume.training.data.prepare import DataOptions, Task, builtin_names, prepare

RNG = np.random.default_rng(0)
N = 200


def table(rows=N):
    rng = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "rownames": np.arange(1, rows + 1),
            "age": rng.normal(40, 10, rows).round(2),
            "visits": rng.integers(0, 9, rows),
            "colour": rng.choice(["red", "green", "blue"], rows),
            "constant": ["same"] * rows,
            "joined": [f"{i % 28 + 1}.{i % 12 + 1}.2023" for i in rng.integers(0, 999, rows)],
            "target": rng.choice(["no", "yes"], rows, p=[0.8, 0.2]),
        }
    )  # fmt: skip


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "train.csv"
    table().write_csv(path)
    return path


@pytest.mark.parametrize("name", builtin_names())
def test_builtin_data(name):
    prepared = prepare(name, DataOptions())
    bunch = getattr(datasets, f"load_{name}")()
    parts = (prepared.train, prepared.validation, prepared.test)
    assert sum(len(part.y) for part in parts) == len(bunch.target)
    for part in parts:
        assert part.x.shape == (len(part.rows), bunch.data.shape[1])
        assert (part.x.dtype, part.rows.dtype) == (np.float32, np.int64)
        assert part.x.flags.c_contiguous
        assert np.isfinite(part.x).all()
        if prepared.task is Task.CLASSIFICATION:
            assert part.y.dtype == np.int64
            labels = np.array(prepared.preprocessing.classes)[part.y]
            names = bunch.get("target_names", np.unique(bunch.target)).astype(str)
            np.testing.assert_array_equal(labels, names[bunch.target[part.rows]])
        else:
            assert part.y.dtype == np.float32
            np.testing.assert_array_equal(part.y, bunch.target[part.rows])
    assert (prepared.task is Task.REGRESSION) == (name == "diabetes")
    assert prepared.name == name
    assert len(prepared.fingerprint) == 64


def test_digits_are_images_standardised_by_all_pixels_together():
    prepared = prepare("digits", DataOptions())
    assert prepared.image_shape == (1, 8, 8)
    raw = datasets.load_digits().data
    train = raw[prepared.train.rows]
    expected = (raw[prepared.test.rows] - train.mean()) / train.std()
    np.testing.assert_allclose(prepared.test.x, expected, atol=1e-6)
    for options in (
        DataOptions(drop=("pixel_0_0",)),
        DataOptions(categorical=("pixel_0_1",)),
        DataOptions(target="pixel_3_3"),
    ):
        assert prepare("digits", options).image_shape is None


def test_builtin_data_with_another_target():
    prepared = prepare("iris", DataOptions(target="petal width (cm)"))
    assert prepared.task is Task.REGRESSION
    assert "species=setosa" in prepared.preprocessing.features


def test_everything_found_out_is_said(csv):
    prepared = prepare(csv, DataOptions())
    assert prepared.name == "train.csv"
    kinds = "2 numbers ('age', 'visits'); 1 category ('colour'); 1 date ('joined')"
    assert prepared.notes == (
        "predicting column 'target'; --target names another",
        "dropped id column 'rownames'",
        "dropped constant column 'constant'",
        f"columns used: {kinds}; 10 features in all",
    )
    assert prepared.preprocessing.features[:5] == (
        "age", "visits", "colour=blue", "colour=green", "colour=red",
    )  # fmt: skip
    assert prepared.image_shape is None


def test_csv_parquet_and_frame_give_the_same(csv, tmp_path):
    table().write_parquet(tmp_path / "train.parquet")
    prepared = [prepare(data, DataOptions()) for data in (csv, tmp_path / "train.parquet", table())]
    for other in prepared[1:]:
        assert other.preprocessing == prepared[0].preprocessing
        for part in ("train", "validation", "test"):
            first, second = getattr(prepared[0], part), getattr(other, part)
            np.testing.assert_array_equal(first.x, second.x)
            np.testing.assert_array_equal(first.y, second.y)
            np.testing.assert_array_equal(first.rows, second.rows)


def test_a_transformed_file_gives_the_rows_of_the_parts(csv):
    prepared = prepare(csv, DataOptions())
    x = prepared.preprocessing.transform(pl.read_csv(csv))
    y = prepared.preprocessing.encode_target(pl.read_csv(csv)["target"])
    for part in (prepared.train, prepared.validation, prepared.test):
        np.testing.assert_array_equal(part.x, x[part.rows])
        np.testing.assert_array_equal(part.y, y[part.rows])


def test_the_seed_decides_the_split(csv):
    rows = [prepare(csv, DataOptions(seed=seed)).test.rows for seed in (0, 0, 1)]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


def test_fractions_are_of_all_rows(csv):
    prepared = prepare(csv, DataOptions(validation_fraction=0.1, test_fraction=0.3))
    sizes = [len(part.y) for part in (prepared.train, prepared.validation, prepared.test)]
    assert sizes == [120, 20, 60]


def test_rows_without_target_are_left_out_and_the_others_keep_their_numbers(tmp_path):
    frame = table().with_columns(
        target=pl.when(pl.int_range(N) % 10 == 3).then(pl.lit("NA")).otherwise("target")
    )
    frame.write_csv(tmp_path / "a.csv")
    prepared = prepare(tmp_path / "a.csv", DataOptions())
    rows = np.concatenate([prepared.train.rows, prepared.validation.rows, prepared.test.rows])
    np.testing.assert_array_equal(np.sort(rows), [i for i in range(N) if i % 10 != 3])
    assert any(
        note.startswith("20 rows without target 'target' left out") for note in prepared.notes
    )
    ages = frame["age"].to_numpy()[prepared.test.rows]
    scaling = prepared.preprocessing.columns[0].scaling
    expected = (ages - scaling.mean) / scaling.scale
    np.testing.assert_allclose(prepared.test.x[:, 0], expected, rtol=1e-5)


def test_options_of_columns(csv):
    prepared = prepare(csv, DataOptions(drop=("age", "joined"), categorical=("visits", "rownames")))
    assert prepared.preprocessing.features[:3] == ("visits=0", "visits=1", "visits=2")
    assert not any(name.startswith(("age", "joined")) for name in prepared.preprocessing.features)


def test_own_texts_for_missing(tmp_path):
    frame = table().with_columns(
        age=pl.when(pl.int_range(N) % 5 == 0).then(-999.0).otherwise("age")
    )
    frame.write_csv(tmp_path / "a.csv")
    features = prepare(tmp_path / "a.csv", DataOptions(missing=("-999",))).preprocessing.features
    assert "age is missing" in features


def test_an_own_test_file(csv, tmp_path):
    other = table(300)[200:].select(reversed(table().columns)).with_columns(extra=1)
    other = other.with_columns(
        target=pl.when(pl.int_range(100) == 7).then(None).otherwise("target")
    )
    other.write_csv(tmp_path / "test.csv")
    prepared = prepare(csv, DataOptions(test=tmp_path / "test.csv"))
    assert [len(p.y) for p in (prepared.train, prepared.validation, prepared.test)] == [180, 20, 99]
    np.testing.assert_array_equal(prepared.test.rows, [i for i in range(100) if i != 7])
    x = prepared.preprocessing.transform(other)
    np.testing.assert_array_equal(prepared.test.x, x[prepared.test.rows])
    assert any("1 row without target 'target' in 'test.csv' left out" in n for n in prepared.notes)
    assert prepared.fingerprint != prepare(csv, DataOptions()).fingerprint


def test_rows_of_the_test_part_that_were_trained_on_are_counted(tmp_path):
    frame = table()
    repeated = frame[:30].with_columns(rownames=pl.lit(5000))
    repeated.write_csv(tmp_path / "test.csv")
    frame.write_csv(tmp_path / "train.csv")
    prepared = prepare(tmp_path / "train.csv", DataOptions(test=tmp_path / "test.csv"))
    trained_on = set(prepared.train.rows) & set(range(30))
    assert 0 < len(trained_on) < 30
    (note,) = (note for note in prepared.notes if "also stand" in note)
    assert note.startswith(f"{len(trained_on)} test rows of 30 also stand in the training part")
    assert not any("also stand" in note for note in prepare(frame, DataOptions()).notes)


def test_repeats_within_one_file_are_counted_by_brute_force():
    frame = pl.DataFrame({"a": RNG.integers(0, 12, N) / 4, "b": RNG.choice(["x", "y"], N)})
    frame = frame.with_columns(target=pl.Series(RNG.choice(["no", "yes"], N)))
    prepared = prepare(frame, DataOptions())
    trained_on = set(frame[prepared.train.rows].rows())
    repeats = sum(row in trained_on for row in frame[prepared.test.rows].rows())
    assert repeats > 0
    assert any(note.startswith(f"{repeats} test rows of") for note in prepared.notes)


def test_rare_categories_and_ambiguous_dates_are_said():
    frame = table().with_columns(
        city=pl.Series(["a"] * 100 + [f"c{i}" for i in range(100)]),
        seen=pl.Series([f"0{i % 9 + 1}/0{i % 7 + 1}/2024" for i in range(N)]),
    )
    notes = prepare(frame, DataOptions()).notes
    assert "rare categories share one feature in 'city'" in notes
    assert any(
        note.startswith("dates in column 'seen' were read as %m/%d/%Y, but") for note in notes
    )


def test_unreadable_columns_are_dropped_and_said():
    frame = table().with_columns(tags=pl.lit([1, 2]), raw=pl.lit(b"x"))
    notes = prepare(frame, DataOptions()).notes
    assert any(note.startswith("dropped columns 'tags', 'raw': lists, structs") for note in notes)


def test_the_fingerprint_follows_the_data_and_not_the_options(csv):
    first = prepare(csv, DataOptions())
    assert prepare(csv, DataOptions(seed=5, drop=("age",))).fingerprint == first.fingerprint
    csv.write_text(csv.read_text().replace("red", "rod", 1))
    assert prepare(csv, DataOptions()).fingerprint != first.fingerprint
