"""Trainings of the clinic: deterministic, wrong where they say so, and seen by an observer."""

import warnings
from dataclasses import replace

import pytest
import torch

from benchmarks.clinic.cache import Cache, Lines, training_key
from benchmarks.clinic.data import SOURCES, Rows, load
from benchmarks.clinic.data_edits import DATA_EDITS, edited
from benchmarks.clinic.grid import a_slice, all_cases
from benchmarks.clinic.loop import History, set_mode, train_epoch
from benchmarks.clinic.networks import WEIGHT_EDITS
from benchmarks.clinic.observer import NoObserver
from benchmarks.clinic.runner import available, do_job, jobs_of, outcome_in, twin_seeds
from benchmarks.clinic.scenarios import Part
from benchmarks.clinic.scoring import likeness, score
from benchmarks.clinic.session import set_up, task_of
from benchmarks.clinic.training import run_case

PLAIN = next(case for case in all_cases() if case.scenario == "wine/tower" and case.fault == "none")
SHORT = replace(PLAIN, recipe=replace(PLAIN.recipe, epochs=3), twin=replace(PLAIN.twin, epochs=3))


def _session(*habits, case=PLAIN, **changes):
    recipe = replace(case.recipe, habits=habits, **changes)
    return set_up(case, recipe, task_of(case, recipe))


def test_a_training_is_the_same_again_and_under_a_watch(tmp_path):
    bare, again = run_case(SHORT), run_case(SHORT)
    watched = run_case(SHORT, out=tmp_path / "run")
    scores = {(each.score, each.claimed, each.train_loss) for each in (bare, again, watched)}
    assert len(scores) == 1
    assert (tmp_path / "run" / "run.sqlite").is_file()


def test_every_edit_and_habit_of_the_grid_is_known():
    for case in all_cases():
        assert {name for name, _ in case.recipe.data} <= set(DATA_EDITS)
        assert {name for name, _ in case.recipe.weights} <= set(WEIGHT_EDITS)
        assert case.data in SOURCES


@pytest.mark.parametrize("part", Part)
def test_every_case_of_a_slice_takes_a_step(part):
    for case in available(a_slice(part), print):
        session = set_up(case, case.recipe, task_of(case, case.recipe))
        if session.task.kind != "generated":
            x, y = next(iter(session.train_loader))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                session.loss_fn(session.model(x), y).backward()


@pytest.mark.parametrize("name", sorted(set(DATA_EDITS) - {"raw"}))
def test_an_edit_changes_the_rows_that_are_learned(name):
    before = load("friedman1" if "targets" in name else "digits", 3)
    size = 2.0 if name in {"drop class", "imbalance", "repeat"} else 0.5
    after = edited(before, ((name, size),), 3)
    same = [
        a.shape == b.shape and torch.equal(a, b)
        for a, b in zip((*before.train, *before.valid), (*after.train, *after.valid), strict=True)
    ]
    assert not all(same)


@pytest.mark.parametrize(
    "name", ["imbalance", "drop class", "label noise", "leak", "few rows", "nan inputs", "sort"]
)
def test_faults_of_the_script_leave_the_held_out_rows_alone(name):
    before = load("digits", 3)
    after = edited(before, ((name, 0.5),), 3)
    assert all(torch.equal(a, b) for a, b in zip(before.test, after.test, strict=True))


def test_imbalance_thins_all_classes_but_one():
    before = load("digits", 3)
    counts = torch.bincount(edited(before, (("imbalance", 10.0),), 3).train.y)
    whole = torch.bincount(before.train.y)
    assert counts[0] == whole[0]
    assert counts[1:].tolist() == [max(2, round(int(each) / 10)) for each in whole[1:]]


def test_a_leak_puts_validation_rows_among_the_training_rows():
    task = edited(load("digits", 3), (("leak", 1.0),), 3)
    rows = {tuple(row.tolist()) for row in task.train.x}
    assert all(tuple(row.tolist()) in rows for row in task.valid.x)


def test_gradients_are_kept_where_they_are_never_zeroed():
    kept, zeroed = _session("never zeroed", rate=0.0), _session(rate=0.0)
    norms = []
    for session in (kept, zeroed):
        train_epoch(session, None, History(), NoObserver())
        norms.append(session.model.out.weight.grad.norm())
    assert norms[0] > 2 * norms[1]


def test_modes_are_what_the_script_makes_them():
    forgets = _session("train() not restored")
    set_mode(forgets, 0)
    assert forgets.model.training
    forgets.model.eval()
    set_mode(forgets, 1)
    assert not forgets.model.training
    normal = _session()
    normal.model.eval()
    set_mode(normal, 1)
    assert normal.model.training


@pytest.mark.parametrize(
    ("habit", "is_trunk_moved", "is_head_moved"),
    [
        ("only the head in the optimizer", False, True),
        ("head replaced after the optimizer", True, False),
        ("optimizer of a copy", False, False),
        ("trunk frozen", False, True),
    ],
)
def test_what_the_optimizer_does_not_hold_stays(habit, is_trunk_moved, is_head_moved):
    session = _session(habit)
    trunk, head = session.model.body[0].weight, session.model.out.weight
    before = trunk.detach().clone(), head.detach().clone()
    train_epoch(session, None, History(), NoObserver())
    assert torch.equal(before[0], trunk) != is_trunk_moved
    assert torch.equal(before[1], head) != is_head_moved


def test_an_observer_is_told_of_every_step_and_epoch():
    class Book(NoObserver):
        def __init__(self):
            self.seen = []

        def begin(self, model, optimizer, loss_fn):
            self.seen.append("begin")

        def after_backward(self, step, model, loss, batch):
            assert model.out.weight.grad is not None
            self.seen.append(step)

        def end_epoch(self, epoch, model, train_loss, valid_loss, score):
            self.seen.append(f"epoch {epoch} {score:.3f}")

    book = Book()
    outcome = run_case(SHORT, observer=book)
    steps = [each for each in book.seen if isinstance(each, int)]
    assert book.seen[0] == "begin"
    assert steps == list(range(1, outcome.steps + 1))
    assert book.seen[-1] == f"epoch 2 {outcome.claimed:.3f}"


def test_scores_have_closed_forms():
    y = torch.tensor([[0.0], [1.0], [2.0]])
    assert score("amounts", y, y) == 1.0
    assert score("amounts", y.mean() * torch.ones(3, 1), y) == 0.0
    assert score("amounts", y * torch.nan, y) == -1.0
    assert score("binary", torch.tensor([[0.2], [-0.2]]), torch.tensor([[1.0], [0.0]])) == 1.0
    probabilities = torch.tensor([[0.7], [0.2]])
    labels = torch.tensor([[1.0], [0.0]])
    assert score("binary", probabilities, labels, is_probability=True) == 1.0
    assert score("classes", torch.full((2, 3), torch.nan), torch.zeros(2, dtype=torch.long)) == 0.0
    assert score("classes", torch.tensor([[0.8], [2.2]]), torch.tensor([1, 2])) == 1.0


def test_likeness_is_one_for_the_same_points_and_zero_for_their_mean():
    points = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    real = Rows(points, points)
    assert likeness(points, real) == pytest.approx(1.0)
    assert likeness(points.mean(0).expand(200, 2), real) == pytest.approx(0.0, abs=1e-5)


def test_a_training_is_done_once_and_its_twin_is_the_healthy_case(tmp_path):
    cache = Cache(tmp_path)
    (job,) = jobs_of([SHORT], cache)
    done = do_job(job)
    assert not done.error
    cache.outcomes.add(done.key, **done.outcome.to_json())
    cache.records.add(cache.record_key(done.key), has_steps=done.has_steps)
    assert jobs_of([SHORT], Cache(tmp_path)) == []
    assert outcome_in(Cache(tmp_path), SHORT, SHORT.recipe) == done.outcome

    sick = replace(SHORT, is_faulty=True, recipe=replace(SHORT.recipe, rate=1.0))
    keys = {job.key for job in jobs_of([SHORT, sick], Cache(tmp_path))}
    assert training_key(sick, sick.recipe) in keys
    assert training_key(sick, sick.twin) == done.key
    assert len(keys) == len(twin_seeds(sick))  # itself, and the twins of the other seeds


def test_a_lost_run_file_is_recorded_again(tmp_path):
    cache = Cache(tmp_path)
    key = training_key(SHORT, SHORT.recipe)
    cache.outcomes.add(key, score=1.0)
    cache.records.add(cache.record_key(key), has_steps=True)
    assert [job.key for job in jobs_of([SHORT], cache)] == [key]


def test_a_line_that_was_cut_off_is_left_out_and_the_next_one_is_whole(tmp_path):
    path = tmp_path / "lines.jsonl"
    Lines(path).add("a", value=1)
    with path.open("a") as file:
        file.write('{"key": "b", "val')
    lines = Lines(path)
    assert set(lines.known) == {"a"}
    lines.add("c", value=3)
    assert set(Lines(path).known) == {"a", "c"}


def test_another_recipe_or_seed_is_another_training():
    keys = {
        training_key(SHORT, SHORT.recipe),
        training_key(SHORT, replace(SHORT.recipe, rate=1.0)),
        training_key(replace(SHORT, seed=99), SHORT.recipe),
    }
    assert len(keys) == 3
