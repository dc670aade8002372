"""The whole of a cure on a stage that makes scores up: what is tried, proved, said and spent."""

import json
import math
from pathlib import Path

import pytest

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Severity
from relume.errors import UserError
from relume.remedies.cure import engine
from relume.remedies.cure.budget import Budget
from relume.remedies.cure.case import Case
from relume.remedies.cure.edits.diff import Patch
from relume.remedies.cure.engine import CureSettings, Outcome, Search
from relume.remedies.cure.score import ScoreWish
from relume.remedies.cure.telling import lines_of, to_json
from relume.remedies.cure.treatment import Kind
from relume.remedies.cure.trial import Trial

STEPS = 100


class MadeUpStage:
    """Gives a run the score that a function makes of its treatments and its seed."""

    def __init__(self, score, *, name="printed", folder=Path(), **untreated):
        self.score, self.name, self.folder, self.untreated = score, name, folder, untreated
        self.runs = []

    def run(self, *treatments, offset=0, marks=None, score="", **_options):
        final = self.score({each.kind for each in treatments}, treatments, offset)
        self.runs.append(([each.label for each in treatments], offset))
        series, stopped_at = [], None
        for step in (25, 50, STEPS):
            value = final * step / STEPS
            series.append((step, value))
            if marks and step in marks and value < marks[step]:
                stopped_at = step
                break
        more = self.untreated if not treatments and not offset else {}
        return Trial(
            treatments=treatments, offset=offset, steps=stopped_at or STEPS, stopped_at=stopped_at,
            series={self.name: tuple(series)}, cpu_s=2.0, folder=self.folder, **more,
        )  # fmt: skip


def search(monkeypatch, stage, *codes, survey=None, **settings):
    findings = tuple(
        Finding(code=code, severity=Severity.WARNING, message=f"{code} was seen") for code in codes
    )
    survey = {"optimizers": [{"rate": 0.1}], "steps": STEPS} | (survey or {})
    monkeypatch.setattr(engine, "_read", lambda trial: (Case(findings, survey), findings))
    wish = ScoreWish(pattern="a(.)") if stage.name == "printed" else ScoreWish()
    said = []
    given = CureSettings(wish=wish, **settings)
    return Search(stage, given, said.append).run(), said


def noise(offset):
    return 0.001 * (offset % 7)


def helped_by_rate(kinds, treatments, offset):
    factors = [each.numbers["factor"] for each in treatments if each.kind is Kind.RATE]
    return 0.3 + 0.5 * (factors == [0.01]) + noise(offset)


def test_the_best_candidate_is_proved_on_fresh_seeds_of_equal_length(monkeypatch):
    stage = MadeUpStage(helped_by_rate)
    cure, said = search(monkeypatch, stage, Code.RATE_TOO_HIGH)
    assert cure.outcome is Outcome.CURED
    assert [each.label for each in cure.winner] == ["learning rate x 0.01"]
    assert cure.gain.gain == pytest.approx(0.5)
    assert cure.gain.is_proven
    seeds = len(cure.gain.treated)
    assert 3 <= seeds <= engine.MOST_SEEDS
    proof = stage.runs[-2 * seeds :]
    assert [offset for _, offset in proof] == [1001 + i // 2 for i in range(2 * seeds)]
    assert [labels for labels, _ in proof] == [["learning rate x 0.01"], []] * seeds
    assert any(f"fresh seed {seeds} of at most {engine.MOST_SEEDS}" in line for line in said)
    lines = lines_of(cure, Patch("", (), {}))
    assert lines[0] == "found: RLM304 was seen [RLM304]"
    assert any(
        line.startswith("cured: learning rate x 0.01: gain +0.5 in printed") for line in lines
    )
    json.dumps(to_json(cure, None), allow_nan=False)


def test_losers_are_stopped_early_and_cost_less(monkeypatch):
    def score(kinds, treatments, offset):
        return helped_by_rate(kinds, treatments, offset) - 0.1 * (Kind.INITIALISE in kinds)

    stage = MadeUpStage(score)
    cure, _ = search(monkeypatch, stage, Code.RATE_TOO_HIGH)
    stopped = [each for each in cure.tried if each.stopped_at is not None]
    assert stopped
    assert cure.spent < len(stage.runs)


def test_the_budget_is_kept(monkeypatch):
    for runs in (8, 9, 10):
        stage = MadeUpStage(helped_by_rate)
        cure, _ = search(monkeypatch, stage, Code.RATE_TOO_HIGH, budget=Budget(runs))
        assert cure.spent <= runs
        assert len(cure.gain.treated) == 3
        assert any("the budget left no room for" in note for note in cure.notes)
    stage = MadeUpStage(helped_by_rate)
    cure, _ = search(
        monkeypatch, stage, Code.RATE_TOO_HIGH, budget=Budget(20.0, is_time=True)
    )  # ten runs of two seconds
    assert cure.spent <= 10


def test_two_treatments_that_both_help_are_tried_together(monkeypatch):
    def score(kinds, treatments, offset):
        factors = [each.numbers["factor"] for each in treatments if each.kind is Kind.RATE]
        return 0.2 + 0.3 * (0.1 in factors) + 0.3 * (Kind.WARM_UP in kinds) + noise(offset)

    cure, _ = search(monkeypatch, MadeUpStage(score), Code.RATE_TOO_HIGH)
    assert {each.kind for each in cure.winner} == {Kind.RATE, Kind.WARM_UP}


@pytest.mark.parametrize(("elsewhere", "wins"), [(-0.1, Kind.TRAIN_MODE), (0.05, Kind.INITIALISE)])
def test_what_was_lucky_on_one_seed_loses_on_more(monkeypatch, elsewhere, wins):
    def score(kinds, treatments, offset):
        both = {Kind.TRAIN_MODE, Kind.INITIALISE} <= kinds
        more = elsewhere if offset else 0.05
        gain = 0.3 * (Kind.TRAIN_MODE in kinds) + (0.3 + more) * (Kind.INITIALISE in kinds)
        return 0.2 + gain * (not both) + noise(offset)

    survey = {"model": {"call": {"file": "a.py", "line": 1}}}
    stage = MadeUpStage(score)
    cure, said = search(monkeypatch, stage, Code.EVAL_WHILE_TRAINING, survey=survey)
    assert [each.kind for each in cure.winner] == [wins]
    assert cure.spent <= 24
    repeats = {offset for _, offset in stage.runs if engine.RESEED < offset < engine.FIRST_FRESH}
    assert repeats == {engine.RESEED + 1, engine.RESEED + 2}
    assert any("on average of 3 seeds" in line for line in said)


@pytest.mark.parametrize(("wobble", "seeds"), [(0.0, 3), (0.1, 4), (0.4, 6)])
def test_a_proof_ends_early_only_beyond_doubt(monkeypatch, wobble, seeds):
    def score(kinds, treatments, offset):
        gain = 0.5 + wobble * (offset % 2) - 0.001 * (offset % 3)
        return 0.2 + gain * (Kind.ZERO_GRADIENTS in kinds) + noise(offset)

    cure, _ = search(monkeypatch, MadeUpStage(score), Code.GRADIENTS_KEPT)
    assert cure.outcome is Outcome.CURED
    assert len(cure.gain.treated) == seeds


@pytest.mark.parametrize(
    ("code", "kind", "runs"),
    [(Code.GRADIENTS_KEPT, Kind.ZERO_GRADIENTS, 18), (Code.RATE_TOO_HIGH, Kind.CLIP, 24)],
)
def test_once_an_answer_gains_the_proof_keeps_its_seeds(monkeypatch, code, kind, runs):
    def score(kinds, treatments, offset):
        gain = 0.5 + 0.4 * (offset % 2)
        more = 0.001 * (Kind.RATE in kinds)  # others are not stopped early, and cost whole runs
        return 0.2 + gain * (kind in kinds) + more + noise(offset)

    cure, _ = search(monkeypatch, MadeUpStage(score), code, budget=Budget(runs))
    assert kind in {each.kind for each in cure.winner}
    assert len(cure.gain.treated) >= engine.MOST_SEEDS - 1
    assert any("the budget left no room for" in note for note in cure.notes)


def test_another_activation_is_tried_with_another_start_too(monkeypatch):
    def score(kinds, treatments, offset):
        both = Kind.SWAP in kinds and Kind.INITIALISE in kinds
        return 0.2 + 0.2 * (Kind.SWAP in kinds) + 0.3 * both + noise(offset)

    survey = {"activations": [{"function": "sigmoid", "place": None, "made": None}]}
    stage = MadeUpStage(score)
    cure, _ = search(monkeypatch, stage, Code.VANISHING_GRADIENT, survey=survey, allows_model=True)
    assert {each.kind for each in cure.winner} == {Kind.SWAP, Kind.INITIALISE}


def test_a_better_seed_is_no_cure_and_is_told(monkeypatch):
    def score(kinds, treatments, offset):
        return {0: 0.2, engine.RESEED: 0.9}.get(offset, 0.8 + noise(offset))

    cure, _ = search(monkeypatch, MadeUpStage(score), Code.GRADIENTS_KEPT)
    assert cure.outcome is Outcome.NOT_BETTER
    assert (cure.gain.gain, cure.gain.is_proven) == (0.0, False)
    assert any("another seed alone came to 0.9" in note for note in cure.notes)
    assert any(
        line.startswith("no candidate beats untreated: the best, ")
        and f"{len(cure.gain.treated)} fresh seeds" in line
        for line in lines_of(cure, None)
    )


def test_candidates_that_would_change_the_model_are_counted(monkeypatch):
    survey = {"activations": [{"function": "sigmoid", "place": None, "made": None}]}
    cure, _ = search(
        monkeypatch, MadeUpStage(helped_by_rate), Code.VANISHING_GRADIENT, survey=survey
    )
    note = "1 further candidate would change the model; --allow model has them tried"
    assert note in cure.notes


def test_without_any_run_that_ends_there_is_no_proof(monkeypatch):
    def score(kinds, treatments, offset):
        return math.nan if treatments else 0.5

    stage = MadeUpStage(score)
    cure, _ = search(monkeypatch, stage, Code.RATE_TOO_HIGH)
    assert cure.outcome is Outcome.NOT_BETTER
    assert cure.gain is None
    assert any(
        line == f"no candidate beats untreated: {len(cure.tried)} were tried, on one seed"
        for line in lines_of(cure, None)
    )


def test_scores_that_no_seed_changes_are_told(monkeypatch):
    def score(kinds, treatments, offset):
        return 0.9 if Kind.CLIP in kinds else 0.2

    cure, _ = search(monkeypatch, MadeUpStage(score), Code.DIVERGING)
    assert cure.outcome is Outcome.CURED
    assert any("the interval has no width" in note for note in cure.notes)


def test_a_gain_that_fresh_seeds_do_not_confirm_is_no_cure(monkeypatch):
    def score(kinds, treatments, offset):
        wobble = {1001: 0.3, 1002: -0.3, 1003: 0.05}.get(offset, 0.1) if treatments else 0.0
        return 0.5 + wobble

    cure, _ = search(monkeypatch, MadeUpStage(score), Code.RATE_TOO_HIGH)
    assert cure.outcome is Outcome.NOT_PROVEN
    assert cure.gain.low < 0 < cure.gain.high
    text = "\n".join(lines_of(cure, None))
    assert "cured" not in text
    seeds = len(cure.gain.treated)
    assert f"more seeds may settle it: --seeds {2 * seeds}" in text
    assert "no candidate beats untreated beyond doubt" in text
    assert f"{seeds} fresh seeds" in text


def test_runs_that_end_without_a_number_are_cured_by_runs_that_do(monkeypatch):
    def score(kinds, treatments, offset):
        return 0.9 if Kind.CLIP in kinds else math.nan

    cure, _ = search(monkeypatch, MadeUpStage(score), Code.NONFINITE_GRADIENT)
    assert cure.outcome is Outcome.CURED
    assert cure.gain.of_finished
    assert "share of runs that end with a number" in "\n".join(lines_of(cure, None))
    json.dumps(to_json(cure, None), allow_nan=False)


def test_without_findings_nothing_is_tried(monkeypatch):
    stage = MadeUpStage(helped_by_rate)
    cure, _ = search(monkeypatch, stage)
    assert cure.outcome is Outcome.HEALTHY
    assert len(stage.runs) == 1
    assert lines_of(cure, None)[-1].startswith("healthy")


@pytest.mark.parametrize(
    ("survey", "kind"),
    [
        ({"optimizers": [{"rate": 0.1, "decay": 0.5}]}, Kind.WEIGHT_DECAY),
        ({"optimizers": [{"rate": 0.1, "momentum": 0.99}]}, Kind.MOMENTUM),
        ({"loss": {"function": "cross_entropy", "head": [{"function": "tanh"}]}}, Kind.SKIP),
        ({"activations": [{"function": "sigmoid", "place": n} for n in range(3)]}, Kind.SWAP),
    ],
)
def test_without_findings_what_is_unusual_is_tried(monkeypatch, survey, kind):
    def score(kinds, treatments, offset):
        return 0.2 + 0.5 * (kind in kinds) + noise(offset)

    cure, _ = search(monkeypatch, MadeUpStage(score), survey=survey, allows_model=True)
    assert cure.outcome is Outcome.CURED
    assert cure.tried[0].treatments[0].kind is kind
    assert "nothing was found; what the code shows is unusual and was tried" in cure.notes
    if kind is Kind.SWAP:
        assert search(monkeypatch, MadeUpStage(score), survey=survey)[0].outcome is Outcome.HEALTHY


def test_a_bounded_output_of_amounts_is_not_unusual(monkeypatch):
    survey = {"loss": {"function": "mse_loss", "head": [{"function": "sigmoid"}]}}
    stage = MadeUpStage(helped_by_rate)
    assert search(monkeypatch, stage, survey=survey)[0].outcome is Outcome.HEALTHY


def test_another_loss_is_not_judged_by_the_loss(monkeypatch):
    findings = (Finding(code=Code.NLL_WITHOUT_LOG, severity=Severity.ERROR, message="scores"),)
    survey = {"loss": {"function": "nll_loss"}}
    monkeypatch.setattr(engine, "_read", lambda trial: (Case(findings, survey), findings))
    stage = MadeUpStage(helped_by_rate, name="training loss")
    cure = Search(stage, CureSettings(), lambda line: None).run()
    assert cure.outcome is Outcome.NOT_JUDGED
    assert len(stage.runs) == 1
    assert "log-softmax before nll_loss" in cure.notes[0]


def test_a_command_that_does_not_train_is_told(monkeypatch, tmp_path):
    (tmp_path / "output.txt").write_text("usage: train.py\nno such file\n")
    stage = MadeUpStage(helped_by_rate, folder=tmp_path)
    stage.run = lambda **_: Trial(folder=tmp_path, exit_code=2)
    with pytest.raises(UserError, match=r"ended with code 2: usage: train.py \| no such file"):
        Search(stage, CureSettings(), lambda line: None).run()
