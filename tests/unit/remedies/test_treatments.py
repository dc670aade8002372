import math

import pytest
import torch
from torch import nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Severity
from relume.remedies.patient import Patient, Sample
from relume.remedies.story import stories, trial_record
from relume.remedies.treatments import MOST, propose
from relume.runs.remedies import AppliedRemedy


class Good:
    step = 3

    def restore(self):
        pass


def finding(code, severity=Severity.WARNING, **given):
    return Finding(code=code, severity=severity, message="wrong", **given)


def patient_of(*, is_broken=False, good=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    if is_broken:
        model[0].weight.data[0, 0] = math.nan
    optimizer = torch.optim.AdamW(model.parameters())
    return Patient(model, (optimizer,), step=9, sample=Sample((torch.randn(6, 3),)), good=good)


def names(proposal):
    return [treatment.name for treatment in proposal.treatments]


def test_a_note_calls_for_nothing_and_a_consequence_counts():
    dead = finding(Code.DEAD_UNITS, where="1", units=(0, 2))
    note = finding(Code.DEAD_UNITS, Severity.NOTE, where="1", units=(0, 2))
    assert propose([note], patient_of()) is None
    root = finding(Code.LEAKED_ROWS).with_consequences(dead)
    assert propose([root], patient_of()).finding == dead
    assert propose([root], patient_of(), tried={Code.DEAD_UNITS}) is None


def test_deaths_are_answered_at_a_lower_rate_and_the_restart_is_always_there():
    dead = finding(Code.DEAD_UNITS, where="1", units=(0, 2), first_step=5)
    proposal = propose([dead], patient_of(good=Good()))
    assert names(proposal) == [
        "revive_units + lower_rate",
        "roll_back + lower_rate",
        "lower_rate",
        "restart + lower_rate",
    ]
    assert len(proposal.treatments) == MOST + 1
    assert proposal.codes == {Code.DEAD_UNITS}


@pytest.mark.parametrize(("usual", "factor"), [(0.001, 0.001), (5.0, 0.1)])
def test_a_rate_at_fault_falls_at_least_to_the_usual_one(usual, factor):
    proposal = propose([finding(Code.RATE_TOO_HIGH)], patient_of(), usual_factor=usual)
    factors = {
        plan.number("factor", math.nan)
        for treatment in proposal.treatments
        for plan in treatment.plans
        if plan.action == "lower_rate"
    }
    assert factors == {factor}


def test_a_rate_is_raised_only_below_the_usual_one_and_at_most_to_it():
    low = finding(Code.RATE_TOO_LOW)
    assert propose([low], patient_of(), usual_factor=1.0) is None
    proposal = propose([low], patient_of(), usual_factor=4.0)
    assert names(proposal) == ["raise_rate", "restart + raise_rate"]
    assert proposal.treatments[0].plans[0].number("factor", math.nan) == 4.0


def test_broken_weights_are_rolled_back_first_or_drawn_anew():
    diverging = finding(Code.DIVERGING, first_step=5)
    assert names(propose([diverging], patient_of(is_broken=True))) == ["restart + lower_rate"]
    for treatment in propose([diverging], patient_of(is_broken=True, good=Good())).treatments[:-1]:
        assert treatment.plans[0].action == "roll_back"


def test_a_story_has_three_lines_for_each_time_and_says_what_stayed():
    def remedy(step, said, kept, treated):
        return AppliedRemedy(
            step=step,
            action="lower_rate",
            plan=trial_record(said, [], 2, (2.0, treated)),
            evidence={"severity": "warning", "code": "RLM304", "message": "too fast"},
            verdict="loss is better: 2 → 1; kept",
            is_kept=kept,
        )

    other = AppliedRemedy(step=1, action="clip_gradients")
    told = [
        remedy(40, "a", False, 3.0),
        remedy(40, "b", True, 1.0),
        remedy(80, "c", False, math.nan),
    ]
    first, second = stories([other, *told])
    assert first == (
        "found after step 40: warning RLM304, too fast",
        "tried for 2 epochs each, by validation loss (untreated 2): a: 3; b: 1",
        "kept: b; loss is better: 2 → 1",
    )
    assert second[1].endswith("c: no number")
    assert second[2].startswith("kept: nothing")
