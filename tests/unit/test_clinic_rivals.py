"""The rivals as they are run and judged: undisturbed trainings, words for codes, the table."""

import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch import nn

from benchmarks.clinic import rival_runs, rivals
from benchmarks.clinic.cache import Cache, training_key
from benchmarks.clinic.figures import Judged, figures_of
from benchmarks.clinic.grid import all_cases
from benchmarks.clinic.observer import NoObserver
from benchmarks.clinic.outcomes import Label
from benchmarks.clinic.programs import PROGRAMS
from benchmarks.clinic.rival_installed import Neuraldbg, Torchdiag
from benchmarks.clinic.rival_names import RIVALS, in_words_of
from benchmarks.clinic.rival_programs import network_in, run_told
from benchmarks.clinic.rival_watching import Together
from benchmarks.clinic.training import run_case
from relume.diagnosis.codes import Code

REBUILT = [each for each in RIVALS if each.is_rebuilt]


def _case(scenario, fault="none"):
    found = next(c for c in all_cases() if c.scenario == scenario and c.fault == fault)
    return replace(found, recipe=replace(found.recipe, epochs=3), good=0.0)


class FakeNeuralDbg:
    """Reports one vanishing gradient, and whatever passes while it is monitoring."""

    def __init__(self, model):
        self.first_failure_step, self.step, self.is_monitoring = {}, 0, True
        self.losses, self.passes = [], 0
        self.hook = model.register_forward_hook(self._passed)

    def _passed(self, *_):
        self.passes += self.is_monitoring

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hook.remove()

    def record_loss(self, loss):
        self.losses.append(loss)
        self.first_failure_step.setdefault("gradient_vanishing", self.step)


def _verify_step(model, optimizer, loss_fn, x, y):
    optimizer.zero_grad()
    loss_fn(model(x), y).backward()
    optimizer.step()
    return {"loss": float("nan"), "params_updated": 0, "params_unchanged": 2}


@pytest.fixture
def installed(monkeypatch):
    """Put in tools with the interface of those on PyPI."""
    torchdiag, neuraldbg = ModuleType("torchdiag"), ModuleType("neuraldbg")
    torchdiag.verify_step = _verify_step
    torchdiag.check_gradients = lambda _: {"a": {"status": "VANISH"}, "b": {"status": "OK"}}
    torchdiag.check_dead_neurons = lambda model, x: {"r": {"dead_pct": 21.0 + 0 * len(model(x))}}
    neuraldbg.NeuralDbg = FakeNeuralDbg
    monkeypatch.setitem(sys.modules, "torchdiag", torchdiag)
    monkeypatch.setitem(sys.modules, "neuraldbg", neuraldbg)


class _Keeps(NoObserver):
    def begin(self, model, optimizer, loss_fn):
        self.model = model


@pytest.mark.parametrize("scenario", ["wine/tower", "digit_images/bn_cnn"])
@pytest.mark.usefixtures("installed")
def test_watched_together_the_weights_are_bitwise_the_same(scenario, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case, alone = _case(scenario), _Keeps()
    bare = run_case(case, observer=alone)
    watchers = [each.make(case) for each in RIVALS]
    seen = _Keeps()
    together = Together(watchers)
    begin = together.begin
    together.begin = lambda *given: (seen.begin(*given), begin(*given))
    outcome = run_case(case, observer=together)
    for each in watchers:
        each.close()
    assert not rival_runs.is_disturbed(bare, outcome.to_json())
    for name, value in alone.model.state_dict().items():
        assert torch.equal(value, seen.model.state_dict()[name]), name
    assert not any(module._forward_hooks for module in seen.model.modules())
    said = watchers[0].reports
    assert list(said) == ["loss not finite", "no parameters changed", "VANISH", "dead neurons"]
    assert watchers[1].reports == {"gradient_vanishing": 0}
    assert len(watchers[1].tool.losses) == outcome.steps
    epochs, batches = 3, -(-len(_rows(case)) // 100)
    assert watchers[1].tool.passes >= outcome.steps + epochs * batches  # its own, and no more
    assert watchers[1].tool.passes <= outcome.steps + epochs * (batches + 1) + 1


def _rows(case):
    from benchmarks.clinic.session import task_of

    return task_of(case, case.recipe).valid.x


def test_a_disturbed_training_is_seen():
    outcome = run_case(_case("wine/tower"))
    same = outcome.to_json()
    assert not rival_runs.is_disturbed(outcome, same)
    assert rival_runs.is_disturbed(outcome, same | {"score": outcome.score + 1e-9})


def test_a_sick_training_is_named_by_rebuilt_rules():
    healthy = _case("wine/tower")
    options = (*healthy.recipe.options, ("head", "softmax"))
    sick = replace(healthy, recipe=replace(healthy.recipe, options=options), seed=12)
    _, reports = rival_runs.watched(sick, ["autotrainer", "torchdiag of another"])
    assert list(reports) == ["autotrainer"]
    assert "activation" in reports["autotrainer"]
    _, reports = rival_runs.watched(replace(healthy, seed=12), ["autotrainer"])
    assert "activation" not in reports["autotrainer"]


def test_the_truth_is_told_in_the_words_of_a_rival():
    rival = next(each for each in RIVALS if each.key == "autotrainer")
    case = replace(_case("wine/tower"), true_codes=(Code.SOFTMAX_TWICE,), expected=(Code.PLATEAU,))
    told = in_words_of(rival, case)
    assert told.true_codes == ("activation",)
    assert told.expected == ("not_converge",)
    found = [
        {"code": name, "severity": "warning", "consequences": []} for name in ("data", "activation")
    ]
    figures = figures_of([Judged(told, Label.HARMFUL, found)])
    assert (figures.found.hits, figures.first.hits, figures.first_three.hits) == (1, 0, 1)
    assert figures.precision["data"].hits == 0
    assert figures.precision["activation"].hits == 1


def test_every_word_stands_for_something_and_each_code_is_one():
    for rival in RIVALS:
        assert rival.words
        assert all(
            codes and all(isinstance(c, Code) for c in codes) for codes in rival.words.values()
        )
    assert rivals.mapping_table().count("\n") == 1 + sum(len(each.words) for each in RIVALS)


def test_kept_reports_are_judged_and_not_trained_again(tmp_path, capsys):
    cases, cache, said = [_case("wine/tower")], Cache(tmp_path), []
    for _ in range(2):
        assert rival_runs.run_rivals(cases, REBUILT, cache, processes=1, say=said.append) == []
    assert said == [
        "2 trainings under rivals to be done, 1 without",
        "0 trainings under rivals to be done, 0 without",
    ]
    assert training_key(cases[0], cases[0].recipe) in cache.outcomes.known
    result = rivals.result_of(REBUILT, cases, cache, 0)
    assert result["disturbed"] == []
    assert result["trainings"] == {"tuning": {"judged": 1, "of": 1}}
    assert set(result["cost"]) == {each.label for each in REBUILT} | {"Relume"}
    share = {"hits": 9, "of": 10, "low": 0.6, "high": 0.98}
    ours = dict.fromkeys(rivals.COLUMNS, share) | {"precision": {"RLM101": share}}
    text = rivals.table(result, "tuning", {"parts": {"tuning": ours}})
    lines = text.splitlines()
    assert len(lines) == 2 + 1 + len(REBUILT)
    assert lines[2].startswith("| Relume | 90.0 % (60.0–98.0) |")
    assert "needs code in the script: not run" in lines[3]
    assert "Relume |" not in rivals.table(result, "tuning", None)


@pytest.mark.parametrize("rows", [["--only", "wine.tower_none"], []])
def test_what_there_is_is_judged_and_partial_runs_write_nothing(rows, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(rivals, "keep", lambda name, result: written.append((name, result)))
    monkeypatch.setattr(rivals, "run_rivals", pytest.fail)
    assert rivals.main(["--judge", "--cache", str(tmp_path), *rows]) == 0
    assert [name for name, _ in written] == ([] if rows else ["clinic_rivals"])
    assert all(result["parts"] == {} for _, result in written)


def test_an_interrupted_run_says_that_it_goes_on(tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(rivals, "run_rivals", interrupted)
    monkeypatch.setattr(rivals, "keep", pytest.fail)
    assert rivals.main(["--cache", str(tmp_path), "--only", "wine.tower"]) == 130
    assert "the next run goes on" in capsys.readouterr().err


def test_what_is_not_installed_is_left_out_with_one_line(monkeypatch):
    monkeypatch.setattr(rival_runs, "is_installed", lambda package: package != "torchdiag")
    said = []
    here = rival_runs.rivals_here(said.append)
    assert [each.key for each in here] == [e.key for e in RIVALS if e.key != "torchdiag"]
    assert len(said) == 1
    assert said[0].startswith("torchdiag 0.1.0 is not installed: left out")


@pytest.mark.usefixtures("installed")
def test_a_program_is_told_of_and_scores_as_alone():
    program = next(each for each in PROGRAMS if each.name == "broadcast_targets")
    alone, none = run_told(program, 0, [], fixed=False)
    told, reports = run_told(program, 0, [Torchdiag(), Neuraldbg()], fixed=False)
    assert told == alone
    assert none == {}
    assert set(reports) == {"VANISH", "dead neurons", "gradient_vanishing"}


def test_the_network_of_a_script_is_its_model_or_all_it_has():
    model, other = nn.Linear(1, 2), nn.Linear(2, 1)
    assert network_in({"model": model, "other": other}) is model
    assert list(network_in({"a": model, "loss": nn.MSELoss(), "b": other})) == [model, other]
