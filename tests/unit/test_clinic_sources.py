"""Data sets and habits of the clinic's third group: what they say they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.clinic import cache as caching
from benchmarks.clinic.arrays import MissingDataError
from benchmarks.clinic.data_signals import SIGNALS
from benchmarks.clinic.data_tables import TABLES
from benchmarks.clinic.grid import all_cases
from benchmarks.clinic.loop import History, batches, train_epoch, validate
from benchmarks.clinic.observer import NoObserver
from benchmarks.clinic.session import FadingByHand, set_up, task_of

SOURCES = {**TABLES, **SIGNALS}
PLAIN = next(c for c in all_cases() if c.scenario == "quantiles/shared" and c.fault == "none")


def _rows(name, seed=3):
    try:
        return SOURCES[name][1](seed)
    except MissingDataError as error:
        pytest.skip(f"needs {error}")


def _session(*habits, **changes):
    recipe = replace(PLAIN.recipe, habits=habits, **changes)
    return set_up(PLAIN, recipe, task_of(PLAIN, recipe))


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_rows_are_finite_and_of_their_seed_and_no_class_is_rare(name):
    x, y = _rows(name)
    again, other = _rows(name), _rows(name, 4)
    assert len(x) == len(y) >= 1500
    assert np.isfinite(x).all()
    assert np.isfinite(y).all()
    assert np.array_equal(x, again[0])
    assert not np.array_equal(x, other[0])
    if SOURCES[name][0] in {"classes", "binary"}:
        assert np.bincount(y).min() > 0.05 * len(y)


def test_pulses_leak_step_by_step():
    x, y = _rows("pulses")
    left = np.zeros(len(y))
    for step in range(x.shape[1]):
        left = 0.9 * left + x[:, step, 0]
    assert y == pytest.approx(left)


def test_order_is_that_of_the_two_marks():
    x, y = _rows("order")
    letters = x.argmax(2)
    for row, label in zip(letters, y, strict=True):
        first, second = row[row < 2]
        assert label == 2 * first + second


def test_letters_follow_the_letters_of_their_language():
    words, y = _rows("languages")
    counts = np.zeros((4, 10, 10))
    np.add.at(counts, (np.repeat(y, 23), words[:, :-1].ravel(), words[:, 1:].ravel()), 1)
    shares = (counts + 1) / (counts + 1).sum(2, keepdims=True)
    likely = np.log(shares[:, words[:, :-1], words[:, 1:]]).sum(2).argmax(0)
    assert (likely == y).mean() > 0.9


def test_neighbours_on_the_board_differ():
    x, y = _rows("checkers")
    middles = np.array([[0.5, 0.5], [0.5, 1.5], [1.5, 1.5], [2.5, 1.5]])
    near = [y[((x - middle) ** 2).sum(1) < 0.2] for middle in middles]
    assert [set(each) for each in near] == [{0}, {1}, {0}, {1}]


def test_batches_cut_by_the_script_hold_each_row_once():
    x, y = _session("batches by index", batch=50).task.train
    drawn = list(batches(_session("batches by index", batch=50)))
    assert torch.equal(torch.cat([a for a, _ in drawn]).sort(0).values, x.sort(0).values)
    in_order = list(batches(_session("batches by index", "not shuffled", batch=50)))
    assert torch.equal(torch.cat([a for a, _ in in_order]), x)
    assert torch.equal(torch.cat([b for _, b in in_order]), y)


@pytest.mark.parametrize(("habits", "is_zero"), [(("zeroed after the step",), True), ((), False)])
def test_gradients_are_zero_after_the_step_where_the_script_ends_so(habits, is_zero):
    session = _session(*habits)
    train_epoch(session, None, History(), NoObserver())
    assert bool((session.model.out.weight.grad == 0).all()) == is_zero


def test_when_gradients_are_set_to_zero_does_not_change_what_is_learned():
    ends = []
    for habits in ((), ("zeroed after the step",)):
        session = _session(*habits)
        torch.manual_seed(0)
        ends.append((train_epoch(session, None, History(), NoObserver()), validate(session)))
    assert ends[0] == ends[1]


def test_rows_validated_at_once_score_as_those_in_batches():
    (whole, claimed), (parts, again) = (
        validate(_session(*habits)) for habits in (("validated at once",), ())
    )
    assert claimed == again
    assert whole == pytest.approx(parts, rel=0.05)  # the last batch is smaller


def test_a_rate_that_fades_by_hand_ends_at_a_tenth():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    fading = FadingByHand(optimizer, 40)
    for _ in range(40):
        fading.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


def test_trainings_keep_their_names_where_sources_were_shown_to_do_the_same(monkeypatch):
    plain = caching.digest_of(caching.CLINIC / name for name in caching.TRAINING)
    monkeypatch.setattr(caching, "SAME_AS", {plain: "older"})
    assert caching.training_digest.__wrapped__() == "older"
    monkeypatch.setattr(caching, "SAME_AS", {"another": "older"})
    assert caching.training_digest.__wrapped__() == plain


def test_every_file_that_data_and_networks_are_in_names_a_training():
    folder = {path.name for path in caching.CLINIC.glob("*.py")}
    wanted = {name for name in folder if name.startswith(("data", "networks"))}
    assert wanted <= set(caching.TRAINING)
    assert set(caching.TRAINING) <= folder
