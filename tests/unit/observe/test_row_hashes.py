"""Hashes of rows against sets of tuples, and overlap against brute force."""

import numpy as np
import pytest
import torch

from relume.observe.call_arguments import Argument
from relume.observe.row_hashes import MOST_WORDS, HashSet, row_hashes
from relume.observe.rows_seen import RowLook, RowsSeen, look_at_rows


def hashed(x, seed=0):
    return row_hashes([(seed, x)], 0, 1).numpy()


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float32,
        torch.float64,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.uint8,
        torch.bool,
    ],
)
@pytest.mark.parametrize("width", [1, 3, 4, 7, 8])
def test_hashes_are_equal_where_the_bytes_are(dtype, width):
    generator = torch.Generator().manual_seed(width)
    x = torch.randint(-1, 2, (4000, width), generator=generator).to(dtype)
    rows = [bytes(row.view(torch.uint8).tolist()) for row in x.contiguous()]
    distinct = {}
    for row, number in zip(rows, hashed(x).tolist(), strict=True):
        assert distinct.setdefault(row, number) == number
    assert len(set(distinct.values())) == len(distinct)


def test_few_bits_that_differ_tell_rows_apart():
    """Zeros and ones differ in the upper bits of floats only."""
    for dtype in (torch.float32, torch.float64):
        x = ((torch.arange(1 << 15)[:, None] >> torch.arange(15)) & 1).to(dtype)
        assert len(set(hashed(x).tolist())) == 1 << 15


def test_hashes_do_not_depend_on_the_layout_or_the_batch():
    x = torch.randn(50, 3, 6)
    image = x.contiguous().reshape(50, 3, 2, 3)
    assert (hashed(x) == hashed(x.transpose(1, 2).contiguous().transpose(1, 2))).all()
    assert (hashed(image) == hashed(image.to(memory_format=torch.channels_last))).all()
    assert (hashed(x)[7:9] == hashed(x[7:9])).all()
    assert (row_hashes([(0, x)], 3, 5).numpy() == hashed(x)[3::5]).all()


def test_hashing_draws_no_random_number():
    before = torch.get_rng_state()
    hashed(torch.zeros(3, 12345))
    assert (torch.get_rng_state() == before).all()


def test_a_set_against_pythons():
    rng = np.random.default_rng(0)
    ours, theirs = HashSet(300), set()
    for _ in range(12):
        some = rng.integers(-200, 200, 30)
        assert ours.has(some).tolist() == [value in theirs for value in some.tolist()]
        ours.add(some)
        theirs |= set(some.tolist())
        assert len(ours) == len(theirs)
    assert ours.count_in(np.arange(0, 500)) == len([value for value in theirs if value >= 0])
    ours.add(np.arange(1000, 2000))
    assert len(ours) == 300


def look(x, **known):
    return RowLook(row_hashes([(0, x)], 0, 1), is_whole=True, **known)


def overlap(rows):
    (found,) = rows.facts()
    return found


def test_overlap_against_tuples():
    rng = np.random.default_rng(1)
    rows = RowsSeen()
    trained, scored, shared = set(), set(), set()
    for _ in range(15):
        batch = torch.from_numpy(rng.integers(0, 12, (16, 3)).astype(np.float32))
        rows.add(look(batch), is_training=True)
        trained |= set(map(tuple, batch.tolist()))
        batch = torch.from_numpy(rng.integers(0, 12, (40, 3)).astype(np.float32))
        rows.add(look(batch), is_training=False)
        scored |= set(map(tuple, batch.tolist()))
        shared |= set(map(tuple, batch.tolist())) & trained
    found = overlap(rows)
    assert found.training_rows == len(trained)
    assert found.evaluation_rows == len(scored)
    assert found.shared_rows == len(shared) > 20


def test_rows_that_are_learned_after_they_were_scored_are_not_shared():
    """As in reinforcement learning: what is acted on is learned from afterwards."""
    rows = RowsSeen()
    for _ in range(5):
        x = torch.randn(10, 4)
        rows.add(look(x), is_training=False)
        rows.add(look(x), is_training=True)
    found = overlap(rows)
    assert (found.evaluation_rows, found.shared_rows, found.training_rows) == (50, 0, 50)


def test_repeats_within_an_epoch():
    rows, x = RowsSeen(), torch.randn(30, 4)
    for _ in range(3):
        rows.begin_epoch()
        rows.add(look(x[:15], has_epochs=True), is_training=True)
        rows.add(look(x[15:], has_epochs=True), is_training=True)
    assert overlap(rows).training_repeats == 0.0
    rows.begin_epoch()
    for _ in range(3):
        rows.add(look(x, has_epochs=True), is_training=True)
    assert overlap(rows).training_repeats == pytest.approx(60 / 180)


def test_repeats_within_a_batch_where_epochs_are_not_known():
    rows = RowsSeen()
    for _ in range(3):
        rows.add(look(torch.tensor([[0.0], [1.0], [0.0], [0.0]])), is_training=True)
    assert overlap(rows).training_repeats == 0.5
    assert overlap(rows).training_rows == 2


def test_the_training_data_may_be_scored_beside_others():
    training, other = torch.randn(100, 5), torch.randn(50, 5)
    other[:5] = training[:5]
    rows = RowsSeen()
    for batch in training[:60].split(20):
        rows.add(look(batch), is_training=True)
    rows.add(look(training), is_training=False)  # all that was learned from is among them
    rows.add(look(training[:20]), is_training=False)  # all of them were learned from
    rows.add(look(training[50:90], is_learned_data=True), is_training=False)
    rows.add(look(other), is_training=False)
    found = overlap(rows)
    assert (found.evaluation_rows, found.shared_rows) == (50, 5)


def test_where_only_training_rows_are_scored_they_are_told():
    x, rows = torch.randn(64, 5), RowsSeen()
    rows.add(look(x), is_training=True)
    rows.add(look(x[:32]), is_training=False)
    found = overlap(rows)
    assert (found.evaluation_rows, found.shared_rows) == (32, 32)


def test_a_validation_set_scored_before_the_training_is_recognised_later():
    x, rows = torch.randn(64, 5), RowsSeen()
    rows.add(look(x[:32]), is_training=False)
    rows.add(look(x), is_training=True)
    rows.add(look(x[:32]), is_training=False)
    found = overlap(rows)
    assert (found.evaluation_rows, found.shared_rows) == (32, 32)


def test_without_training_rows_nothing_is_said():
    rows = RowsSeen()
    rows.add(look(torch.randn(9, 2)), is_training=False)
    assert not list(rows.facts())


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("relume.observe.rows_seen.MOST_TRAINING_ROWS", 500)
    monkeypatch.setattr("relume.observe.rows_seen.MOST_EVALUATION_ROWS", 70)
    monkeypatch.setattr("relume.observe.rows_seen.MOST_WAITING_ON_CPU", 200)
    rows = RowsSeen()
    for _ in range(20):
        x = torch.randn(50, 2)
        rows.add(look(x), is_training=True)
        rows.add(look(torch.cat([x, x + 1])), is_training=False)
        assert sum(len(each.hashes) for each, _ in rows._waiting) <= 200
    found = overlap(rows)
    assert (found.training_rows, found.evaluation_rows) == (500, 70)


def test_rows_are_hashed_over_all_arguments_but_targets():
    users, items = torch.tensor([1, 1, 2]), torch.tensor([5, 6, 5])
    labels = torch.tensor([0, 1, 0])
    given = [Argument("user", users), Argument("item", items), Argument("batch.labels", labels)]
    hashes, is_whole = look_at_rows(given, 1, 0)
    assert is_whole
    assert len(set(hashes.tolist())) == 3
    assert (hashes == look_at_rows(given[:2], 1, 0)[0]).all()
    assert (hashes != look_at_rows(given[:2], 2, 0)[0]).all()  # of another model
    assert len(set(look_at_rows(given[:1], 1, 0)[0].tolist())) == 2
    assert look_at_rows(given[2:], 1, 0) is None
    assert look_at_rows([Argument("x", torch.randn(4))], 1, 0) is None


def test_wide_batches_are_thinned_in_turn():
    x = torch.randn(64, 2 * MOST_WORDS // 16)
    seen = set()
    for turn in range(4):
        hashes, is_whole = look_at_rows([Argument("x", x)], 0, turn)
        assert not is_whole
        assert len(hashes) == 16
        seen |= set(hashes.tolist())
    assert len(seen) == 64
