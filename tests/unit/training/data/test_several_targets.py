import json

import numpy as np
import polars as pl
import pytest

from relume.errors import DataError, ModelFormatError
from relume.training.data.prepare import DataOptions, Preprocessing, prepare
from relume.training.data.table import Table
from relume.training.data.targets import Labelled, choose_targets
from relume.training.data.task import Task

RNG = np.random.default_rng(0)
ROWS = 60
FRAME = pl.DataFrame(
    {
        "a": RNG.normal(size=ROWS),
        "b": RNG.normal(size=ROWS),
        "label": RNG.choice(["no", "yes"], ROWS),
        "angle": RNG.normal(size=ROWS) * 90,
    }
)


def test_each_target_is_what_it_is_alone():
    both = prepare(FRAME, DataOptions(target="label,angle"))
    label = prepare(FRAME.drop("angle"), DataOptions(target="label"))
    assert [target.task for target in both.preprocessing.targets] == [
        Task.CLASSIFICATION,
        Task.REGRESSION,
    ]
    assert both.preprocessing.targets[0] == label.preprocessing.target
    assert both.preprocessing.features == ("a", "b")
    np.testing.assert_array_equal(both.train.rows, label.train.rows)
    assert both.train.y.dtype == np.float64
    np.testing.assert_array_equal(both.train.y[:, 0], label.train.y)
    angles = FRAME["angle"].to_numpy().astype(np.float32)[both.train.rows]
    np.testing.assert_array_equal(both.train.y[:, 1], angles)
    angle = both.preprocessing.targets[1]
    assert (angle.mean, angle.scale) == pytest.approx((angles.mean(), angles.std()), rel=1e-6)


def test_rows_without_any_of_them_are_left_out_and_counted():
    gaps = FRAME.with_row_index("i").with_columns(
        pl.when(pl.col("i") > 2).then("label"), pl.when(pl.col("i") != 9).then("angle")
    )
    prepared = prepare(gaps.drop("i"), DataOptions(target="angle,label"))
    parts = (prepared.train, prepared.validation, prepared.test)
    used = np.sort(np.concatenate([part.rows for part in parts]))
    assert used.tolist() == [3, 4, 5, 6, 7, 8, *range(10, ROWS)]
    assert any(
        note.startswith("4 rows without all of the targets 'angle', 'label' left out")
        for note in prepared.notes
    )


def test_every_combination_of_classes_is_shared_out_alike():
    y = np.array([[i % 2, i % 3] for i in range(12)], np.float64)
    labelled = Labelled(np.arange(12), y, ("u", "v"), (("a", "b"), ("c", "d", "e")))
    assert len(set(labelled.groups(2).tolist())) == 6
    np.testing.assert_array_equal(labelled.groups(3), y[:, 0])  # two rows each are too few
    amounts = Labelled(np.arange(12), y, ("u", "v"), (None, ("c", "d", "e")))
    np.testing.assert_array_equal(amounts.groups(3), y[:, 1])


def test_a_class_that_no_training_row_has_is_refused():
    y = np.array([[0, 0], [0, 1], [1, 0], [1, 0]], np.float64)
    labelled = Labelled(np.arange(4), y, ("u", "v"), (("a", "b"), ("c", "d")))
    assert len(labelled.fit(np.array([0, 1, 2]), "t")) == 2
    with pytest.raises(DataError, match="t: class 'd' of target 'v' stands in none of the train"):
        labelled.fit(np.array([0, 2, 3]), "t")


def test_a_name_with_a_comma_is_one_target():
    frame = FRAME.rename({"angle": "x,y"})
    assert choose_targets(Table("t", frame), "x,y", None) == (("x,y",), "")
    assert prepare(frame, DataOptions(target="x,y")).train.y.ndim == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "label,angel"}, "--target: there is no column 'angel'; did you mean 'angle'"),
        ({"target": "label,label"}, "--target names the column 'label' twice"),
        ({"target": "label,"}, "nothing on one side of a comma"),
        ({"target": "label,angle", "drop": ("angle",)}, "--drop 'angle': this is a target"),
        (
            {"target": "label,angle", "categorical": ("label",)},
            "--categorical 'label': this is a target",
        ),
        (
            {"target": "label,angle", "task": (Task.CLASSIFICATION,)},
            r"--task names 1 task for 2 targets \('label', 'angle'\)",
        ),
        (
            {"target": "label,angle", "task": (Task.REGRESSION, Task.CLASSIFICATION)},
            "target 'label' holds 'no' in row .*--task regression needs numbers",
        ),
        ({"target": "a,b,label,angle"}, "beside the targets 'a', 'b', 'label', 'angle' no column"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    frame = FRAME.with_columns(label=pl.Series(["no", "yes"] * (ROWS // 2)))
    with pytest.raises(DataError, match=message):
        prepare(frame, DataOptions(**options))


def test_tasks_are_taken_in_the_order_of_the_targets():
    frame = FRAME.with_columns(few=pl.Series([0, 1, 2] * (ROWS // 3)))
    tasks = (Task.CLASSIFICATION, Task.REGRESSION)
    prepared = prepare(frame, DataOptions(target="label,few", task=tasks))
    assert tuple(target.task for target in prepared.preprocessing.targets) == tasks
    found = prepare(frame, DataOptions(target="label,few"))
    assert found.preprocessing.targets[1].classes == ("0", "1", "2")


def test_an_own_test_file_needs_them_all(tmp_path):
    FRAME.with_columns(pl.col("a") + 1).write_csv(tmp_path / "test.csv")
    options = DataOptions(target="label,angle", test=tmp_path / "test.csv")
    prepared = prepare(FRAME, options)
    assert prepared.test.y.shape == (ROWS, 2)
    FRAME.drop("angle").write_csv(tmp_path / "test.csv")
    with pytest.raises(DataError, match="angle"):
        prepare(FRAME, options)


def test_several_targets_survive_json_and_one_is_written_as_ever():
    both = prepare(FRAME, DataOptions(target="label,angle")).preprocessing
    data = json.loads(json.dumps(both.to_json()))
    assert Preprocessing.from_json(data) == both
    one = prepare(FRAME, DataOptions(target="angle")).preprocessing.to_json()
    assert set(one["target"]) == {"name", "classes", "mean", "scale"}
    with pytest.raises(ModelFormatError, match="share a name"):
        Preprocessing.from_json(data | {"target": [data["target"][0]] * 2})
    with pytest.raises(ModelFormatError, match="must be an object"):
        Preprocessing.from_json(data | {"target": ["label"]})
