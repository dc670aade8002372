"""The door for sequences: targets, lengths, scaling learnt from the training part alone, JSON."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import DataError, ModelFormatError
from relume.training.data.npz_sequences import read_sequences
from relume.training.data.prepare import DataOptions, Task, prepare
from relume.training.data.prepared import Form
from relume.training.data.preprocessing import preprocessing_from_json
from relume.training.data.sequence_preprocessing import SequencePreprocessing

RNG = np.random.default_rng(0)
N, STEPS = 60, 7
VALUES = RNG.normal(3, 5, (N, STEPS, 2))
LENGTHS = RNG.integers(1, STEPS + 1, N)
LENGTHS[0] = STEPS
LABELS = np.array(["cat", "dog", "owl"] * (N // 3))
AMOUNTS = RNG.normal(size=N)
SETTINGS = settings(deadline=None, derandomize=True)


def npz(folder, name="a.npz", **arrays):
    np.savez(folder / name, **arrays)
    return folder / name


def test_scaling_is_that_of_the_training_part(tmp_path):
    prepared = prepare(npz(tmp_path, sequences=VALUES, labels=LABELS), DataOptions())
    fitted = prepared.preprocessing
    training = VALUES.astype(np.float32)[prepared.train.rows].astype(np.float64)
    np.testing.assert_allclose(fitted.means, training.mean((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(fitted.scales, training.std((0, 1)), rtol=1e-12)
    for part in (prepared.train, prepared.validation, prepared.test):
        wanted = (VALUES[part.rows] - fitted.means) / fitted.scales
        np.testing.assert_allclose(part.x.reshape(wanted.shape), wanted, rtol=1e-5, atol=1e-6)
        assert [fitted.target.classes[code] for code in part.y] == LABELS[part.rows].tolist()
    assert (prepared.form, prepared.task) == (Form.SEQUENCES, Task.CLASSIFICATION)
    assert len(fitted.features) == prepared.train.x.shape[1] == STEPS * 2
    assert fitted.features[2] == "step 1 feature 0"


def test_padding_counts_nowhere(tmp_path):
    found = []
    for noise in (0.0, 1e9, np.nan):
        there = np.arange(STEPS)[None, :, None] < LENGTHS[:, None, None]
        values = np.where(there, VALUES, noise)
        path = npz(tmp_path, sequences=values, values=AMOUNTS, lengths=LENGTHS)
        found.append(prepare(path, DataOptions()))
    for other in found[1:]:
        assert other.preprocessing == found[0].preprocessing
        assert other.train.x.tobytes() == found[0].train.x.tobytes()
        assert other.test.x.tobytes() == found[0].test.x.tobytes()
    fitted, train = found[0].preprocessing, found[0].train
    steps = [VALUES.astype(np.float32)[row, : LENGTHS[row]] for row in train.rows]
    steps = np.concatenate(steps).astype(np.float64)
    np.testing.assert_allclose(fitted.means, steps.mean(0), rtol=1e-12)
    np.testing.assert_allclose(fitted.scales, steps.std(0), rtol=1e-12)
    encoded = train.x.reshape(-1, *fitted.shape)
    assert fitted.shape == (STEPS, 3)
    np.testing.assert_array_equal(encoded[:, :, 2].sum(1), LENGTHS[train.rows])
    assert (encoded[encoded[:, :, 2] == 0] == 0).all()
    assert fitted.features[2] == "step 0 is there"


@settings(SETTINGS, max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    factor=st.sampled_from([-1e30, 1e-30, 7.0]),
    with_lengths=st.booleans(),
    as_classes=st.booleans(),
)
def test_other_rows_teach_nothing(tmp_path_factory, seed, factor, with_lengths, as_classes):
    """A planted leak: in all other rows values, lengths and amounts become something else."""
    folder = tmp_path_factory.mktemp("leak")
    rng = np.random.default_rng(seed)
    values, lengths, amounts = VALUES.copy(), LENGTHS.copy(), AMOUNTS.copy()
    options = DataOptions(seed=seed % 1000)

    def prepared():
        arrays = {"sequences": values}
        arrays |= {"labels": LABELS} if as_classes else {"values": amounts}
        arrays |= {"lengths": lengths} if with_lengths else {}
        return prepare(npz(folder, **arrays), options)

    clean = prepared()
    others = np.concatenate([clean.validation.rows, clean.test.rows])
    values[others] *= factor
    amounts[others] *= factor
    lengths[others] = rng.integers(1, STEPS + 1, len(others))
    again = prepared()
    assert again.preprocessing.to_json() == clean.preprocessing.to_json()
    assert again.train.x.tobytes() == clean.train.x.tobytes()
    assert again.train.y.tobytes() == clean.train.y.tobytes()
    assert again.test.x.tobytes() != clean.test.x.tobytes()
    values[clean.train.rows[0], 0, 0] += 1
    assert prepared().preprocessing != clean.preprocessing


@pytest.mark.parametrize(
    ("name", "target", "task", "classes"),
    [
        ("labels", LABELS, None, ("cat", "dog", "owl")),
        ("labels", np.resize([10.0, 9.0, 2.0], N), None, ("2", "9", "10")),
        ("labels", np.arange(N) // 3, None, tuple(map(str, range(20)))),
        ("values", np.resize([10, 9, 2], N), None, None),
        ("values", np.resize([10, 9, 2], N), Task.CLASSIFICATION, ("2", "9", "10")),
        ("values", AMOUNTS, None, None),
        ("labels", AMOUNTS, Task.REGRESSION, None),
        ("labels", LABELS == "cat", None, ("false", "true")),
    ],
)
def test_the_target_s_name_and_the_task_tell_classes_from_amounts(
    tmp_path, name, target, task, classes
):
    path = npz(tmp_path, sequences=VALUES, **{name: target})
    prepared = prepare(path, DataOptions(task=task))
    assert prepared.preprocessing.target.classes == classes
    if classes is None:
        fitted, y = prepared.preprocessing, target.astype(np.float32)[prepared.train.rows]
        assert fitted.target.mean == pytest.approx(y.astype(float).mean())
        assert fitted.target.scale == pytest.approx(y.astype(float).std())
        np.testing.assert_array_equal(prepared.train.y, y)


def test_a_neutral_name_follows_the_rules_for_tables_and_says_so(tmp_path):
    for target, says in ((np.arange(N) % 2, "as classes"), (np.arange(N), "as an amount")):
        prepared = prepare(npz(tmp_path, x=VALUES, y=target), DataOptions())
        first, second = prepared.notes
        assert "'x', (60, 7, 2), was read as sequences of 7 steps of 2 features" in first
        assert says in second


def test_an_own_test_part_is_kept_whole_and_teaches_nothing(tmp_path):
    train = {"sequences_train": VALUES, "labels_train": LABELS}
    learnt = []
    for values in (VALUES[:9], VALUES[:9] * 1e6):
        path = npz(tmp_path, **train, sequences_test=values, labels_test=LABELS[:9])
        learnt.append(prepare(path, DataOptions()))
    assert learnt[0].preprocessing == learnt[1].preprocessing
    assert learnt[0].train.x.tobytes() == learnt[1].train.x.tobytes()
    assert [len(part.y) for part in (learnt[0].train, learnt[0].validation)] == [54, 6]
    assert learnt[0].test.rows.tolist() == list(range(9))
    assert "the test part is the file's own, 9 sequences" in learnt[0].notes
    repeats = int(np.isin(learnt[0].train.rows, range(9)).sum())
    assert any(note.startswith(f"{repeats} test sequences of 9 also") for note in learnt[0].notes)
    assert not any("also stand" in note for note in learnt[1].notes)


def test_a_test_file_of_ones_own(tmp_path):
    path = npz(tmp_path, sequences=VALUES, labels=LABELS)
    test = npz(tmp_path, "b.npz", x=VALUES[:9] + 1, y=LABELS[:9])
    assert len(prepare(path, DataOptions(test=test)).test.y) == 9
    for arrays, words in (
        ({"x": VALUES[:9], "y": ["emu"] * 9}, "row 1 has the label 'emu', which no training row"),
        ({"x": VALUES[:9]}, "without a target"),
        ({"x": VALUES[:9, :4], "y": LABELS[:9]}, "4 steps of 2 features; sequences of 7 steps"),
        ({"x": VALUES[:9, :, :1], "y": LABELS[:9]}, "of 1 feature; sequences of 7 steps of 2"),
        ({"x": VALUES[:9], "y": LABELS[:9], "lengths": LENGTHS[:9]}, "train with an array lengths"),
    ):
        with pytest.raises(DataError, match=words):
            prepare(path, DataOptions(test=npz(tmp_path, "c.npz", **arrays)))
    with pytest.raises(DataError, match="holds the very data"):
        prepare(path, DataOptions(test=path))
    with pytest.raises(DataError, match="are read from an .npz file; got .*b.csv"):
        prepare(path, DataOptions(test=tmp_path / "b.csv"))


@pytest.mark.parametrize(
    ("arrays", "options", "words"),
    [
        ({"labels": LABELS}, {"target": "y"}, "--target is for the columns of tables"),
        ({"labels": LABELS}, {"test_fraction": 2}, "test fraction must be"),
        ({}, {}, "without a target; there is nothing to learn"),
        ({"labels": ["cat"] * N}, {}, "'cat' in every row"),
        ({"labels": ["emu", *LABELS[1:]]}, {}, "class 'emu' .* has 1 row; each needs"),
        ({"labels": AMOUNTS}, {}, "labels are whole numbers or texts: rename the array to values"),
        ({"values": AMOUNTS * 0 + 2}, {}, "is 2 in every row; there is nothing to predict"),
        ({"values": AMOUNTS * 1e300}, {}, "beyond what a float32 holds"),
        ({"values": LABELS}, {}, "needs numbers"),
        ({"sequences": VALUES[:9], "values": AMOUNTS[:9]}, {}, "9 sequences to learn from"),
        ({"sequences": VALUES * 0 + 0.1, "values": AMOUNTS}, {}, "alike in every number"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(tmp_path, arrays, options, words):
    with pytest.raises(DataError, match=words) as caught:
        prepare(npz(tmp_path, **{"sequences": VALUES} | arrays), DataOptions(**options))
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture(scope="module", params=[False, True])
def fitted(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    lengths = {"lengths": LENGTHS} if request.param else {}
    path = npz(folder, sequences=VALUES, values=AMOUNTS, **lengths)
    return prepare(path, DataOptions()).preprocessing, read_sequences(path, "a.npz")


def test_json_there_and_back_is_bitwise_the_same(fitted):
    preprocessing, sequences = fitted
    loaded = preprocessing_from_json(json.loads(json.dumps(preprocessing.to_json())))
    assert loaded == preprocessing
    rows = np.arange(N)
    assert (
        loaded.encode(sequences, rows).tobytes() == preprocessing.encode(sequences, rows).tobytes()
    )


def test_sequences_of_another_length_fit_where_lengths_varied(tmp_path, fitted):
    preprocessing, _ = fitted
    path = npz(tmp_path, sequences=VALUES[:, :4])
    short = read_sequences(path, "a.npz")
    long = npz(tmp_path, "b.npz", sequences=np.tile(VALUES, (1, 2, 1)), lengths=LENGTHS)
    if not preprocessing.padded:
        with pytest.raises(DataError, match="train with an array lengths"):
            preprocessing.check(short)
        return
    preprocessing.check(short)
    encoded = preprocessing.encode(short, np.arange(N)).reshape(N, STEPS, 3)
    np.testing.assert_array_equal(encoded[:, :, 2], np.tile(np.arange(STEPS) < 4, (N, 1)))
    assert (encoded[:, 4:] == 0).all()
    longer = read_sequences(long, "b.npz")
    preprocessing.check(longer)
    same = read_sequences(npz(tmp_path, sequences=VALUES, lengths=LENGTHS), "a.npz")
    rows = np.arange(N)
    np.testing.assert_array_equal(
        preprocessing.encode(longer, rows), preprocessing.encode(same, rows)
    )
    with pytest.raises(DataError, match="14 steps of 2 features; sequences of at most 7 steps"):
        preprocessing.check(read_sequences(npz(tmp_path, x=np.tile(VALUES, (1, 2, 1))), "a.npz"))


VALUE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3),
    st.lists(st.integers(), max_size=4), st.sampled_from([10**400, "images", "sequences", 0]),
)  # fmt: skip


def test_damaged_json_is_refused_or_still_whole(fitted):
    preprocessing, sequences = fitted

    @settings(SETTINGS, max_examples=200)
    @given(data=st.data(), value=VALUE, how=st.sampled_from(["replace", "remove", "add"]))
    def check(data, value, how):
        damaged = copy.deepcopy(preprocessing.to_json())
        key = data.draw(st.sampled_from(sorted(damaged)))
        if how == "replace":
            damaged[key] = value
        elif how == "remove":
            del damaged[key]
        else:
            damaged["surprise"] = value
        try:
            loaded = preprocessing_from_json(damaged)
            assert isinstance(loaded, SequencePreprocessing)
            loaded.check(sequences)
        except (ModelFormatError, DataError) as error:
            message = str(error)
            assert len(message.splitlines()) == 1
            return
        assert np.isfinite(loaded.encode(sequences, np.arange(N))).all()

    check()
