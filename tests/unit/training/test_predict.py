import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, r2_score

from relume.errors import DataError, OutputError
from relume.training.data.prepare import read_data
from relume.training.fit import fit
from relume.training.predict import predict, write_predictions

RNG = np.random.default_rng(0)
FRAME = pl.DataFrame(
    {
        "size": RNG.normal(size=120),
        "colour": RNG.choice(["red", "green", "blue"], 120),
        "kind": RNG.choice(["a", "b"], 120),
    }
).with_columns(price=pl.col("size") * 3 + (pl.col("colour") == "red") * 5 + 10)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    fit(FRAME.drop("price"), target="kind", out=base / "kind", epochs=3)
    fit(FRAME.drop("kind"), target="price", out=base / "price", epochs=40)
    return base


def test_scores_are_those_of_the_predictions(folders):
    kinds = predict(folders / "kind", FRAME)
    assert kinds.score.value == accuracy_score(FRAME["kind"], kinds.frame["prediction"])
    prices = predict(folders / "price", FRAME)
    expected = r2_score(FRAME["price"], prices.frame["prediction"])
    assert prices.score.value == pytest.approx(expected)
    assert expected > 0.8
    assert (kinds.rows_scored, prices.rows_scored) == (120, 120)


def test_without_the_target_there_is_no_score(folders):
    predictions = predict(folders / "kind", FRAME.drop("kind"))
    assert predictions.score is None
    assert predictions.frame.height == 120
    with_target = predict(folders / "kind", FRAME)
    assert predictions.frame.equals(with_target.frame)


def test_column_order_and_further_columns_do_not_matter(folders):
    shuffled = FRAME.select(reversed(FRAME.columns)).with_columns(more=1)
    assert predict(folders / "kind", shuffled).frame.equals(predict(folders / "kind", FRAME).frame)


def test_rows_without_target_and_unknown_classes_are_told(folders):
    frame = FRAME.with_columns(
        kind=pl.Series([None] * 5 + ["never seen"] * 4 + FRAME["kind"].to_list()[9:])
    )
    predictions = predict(folders / "kind", frame)
    assert predictions.rows_scored == 115
    assert len(predictions.notes) == 2
    assert "5 rows without a target" in predictions.notes[0]
    assert "4 rows have a class that the model never saw" in predictions.notes[1]
    right = (predictions.frame["prediction"] == frame["kind"]).sum()
    assert predictions.score.value == pytest.approx(right / 115)
    none = frame.with_columns(kind=pl.lit(None, pl.String))
    assert predict(folders / "kind", none).score is None


def test_what_is_missing_is_named(folders):
    with pytest.raises(DataError, match="colour"):
        predict(folders / "kind", FRAME.rename({"colour": "color"}))
    with pytest.raises(DataError, match="no row"):
        predict(folders / "kind", FRAME.head(0))


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_predictions_are_written_whole(folders, tmp_path, name):
    predictions = predict(folders / "kind", FRAME)
    write_predictions(predictions, tmp_path / name)
    back = read_data(tmp_path / name)
    assert back["prediction"].to_list() == predictions.frame["prediction"].to_list()
    numbers = back["probability"].cast(pl.Float64)
    np.testing.assert_allclose(numbers, predictions.frame["probability"], rtol=1e-12)
    with pytest.raises(OutputError, match="exists"):
        write_predictions(predictions, tmp_path / name)
    write_predictions(predictions, tmp_path / name, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_other_endings_are_refused(folders, tmp_path):
    predictions = predict(folders / "kind", FRAME)
    with pytest.raises(OutputError, match=r"\.csv or \.parquet"):
        write_predictions(predictions, tmp_path / "p.xlsx")


def test_more_classes_than_columns(tmp_path):
    classes = [f"k{i:03}" for i in range(101)]
    frame = pl.DataFrame(
        {"x": np.arange(505) % 101 + 0.5, "y": [classes[i % 101] for i in range(505)]}
    )
    fit(frame, target="y", out=tmp_path, epochs=1, hidden=[4])
    assert predict(tmp_path, frame).frame.columns == ["prediction", "probability"]
