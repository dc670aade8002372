"""What a report says first: the chain of causes, the verdict, what happened when."""

import pytest

from relume.diagnosis.engine import Diagnosis
from relume.diagnosis.finding import Finding, NotJudged, Severity
from relume.report.chain import Known, chain
from relume.report.events import MOST_EVENTS, events
from relume.report.findings import place_of, shown_findings
from relume.report.verdict import Script, verdict
from relume.runs.records import Layer
from relume.runs.remedies import AppliedRemedy

OBSERVED = {"steps": 100, "armed_steps": 10, "layers": 1, "units": 8, "weights": 1}


def found(code, severity=Severity.WARNING, *, step=None, where=None, consequences=()):
    return Finding(
        code=code, severity=severity, message=f"{code} holds", first_step=step, where=where,
        consequences=tuple(consequences),
    )  # fmt: skip


def codes(stages):
    return [[link.code for link in stage] for stage in stages]


def known(explains):
    return Known({a: frozenset(b) for a, b in explains.items()}, {}, lambda _: "")


def test_a_chain_goes_from_the_root_over_the_longest_way():
    root = found("A", consequences=[found("D"), found("C"), found("B")])
    explains = {"A": "BCD", "B": "CD", "C": "D"}
    assert codes(chain(root, known(explains))) == [["A"], ["B"], ["C"], ["D"]]


def test_findings_that_explain_each_other_stand_beside_each_other():
    root = found("A", consequences=[found("B"), found("C"), found("D")])
    assert codes(chain(root, known({"A": "BCD", "B": "CD", "C": "BD"}))) == [
        ["A"], ["B", "C"], ["D"],
    ]  # fmt: skip


def test_a_circle_of_three_ends():
    root = found("A", consequences=[found("B"), found("C"), found("D")])
    stages = codes(chain(root, known({"A": "BCD", "B": "C", "C": "D", "D": "B"})))
    assert stages[0] == ["A"]
    assert sorted(code for stage in stages for code in stage) == ["A", "B", "C", "D"]


def test_findings_of_one_rule_are_one_link_from_the_earliest_step():
    root = found("A", consequences=[found("B", step=9), found("B", step=4), found("B")])
    (link,) = chain(root, known({"A": "B"}))[1]
    assert (link.findings, link.first_step) == (3, 4)


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("relu(fc1) (train.py:12)", "train.py:12"),
        ("relu in train.py:12", "train.py:12"),
        ("relu (my models/net.py:3)", "my models/net.py:3"),
        ("fc1", "net.py:7"),
        ("fc1.weight", "net.py:7"),
        ("fc2.weight", ""),
        (None, ""),
    ],
)
def test_the_place_of_a_finding_is_written_or_that_of_its_layer(where, place):
    assert place_of(found("A", where=where), {"fc1": "net.py:7"}) == place


def test_a_weight_is_placed_where_its_layer_is_applied():
    layers = [Layer("relu(fc1)", "relu", 8, True, "fc1", "net.py:7")]
    (shown,) = shown_findings(Diagnosis((found("RLM202", where="fc1.weight"),), (), {}), layers)
    assert shown.place == "net.py:7"


def told(*findings, script=None, not_judged=(), observed=OBSERVED):
    diagnosis = Diagnosis(tuple(findings), tuple(not_judged), observed)
    return verdict(diagnosis, shown_findings(diagnosis), script or Script("watch", "train.py"))


@pytest.mark.parametrize(
    ("findings", "state", "word"),
    [
        ([found("RLM304"), found("RLM101", Severity.ERROR)], "error", "Broken"),
        ([found("RLM304"), found("RLM307", Severity.NOTE)], "warning", "Something is wrong"),
        ([found("RLM307", Severity.NOTE)], "note", "Nothing grave"),
        ([], "none", "Nothing found"),
    ],
)
def test_the_verdict_is_that_of_the_gravest_finding(findings, state, word):
    said = told(*findings)
    assert (said.state, said.word) == (state, word)


def test_without_a_step_nothing_is_judged():
    assert told(observed={"steps": 0}).state == "unjudged"


def test_reasons_are_told_once_with_every_code():
    said = told(not_judged=[NotJudged("RLM401", "no rows"), NotJudged("RLM403", "no rows")])
    assert said.not_judged == ("RLM401, RLM403: no rows",)
    assert "(2 could not judge, or not all of it)" in said.said


@pytest.mark.parametrize(
    ("script", "name"),
    [
        (Script("watch", "train.py"), "train.py"),
        (Script("watch", "my train.py"), "'my train.py'"),
        (Script("watch", "a;rm -r b.py"), "'a;rm -r b.py'"),
    ],
)
def test_commands_are_quoted(script, name):
    assert [command for command, _ in told(found("RLM304"), script=script).commands] == [
        f"relume cure {name}",
        f"relume run --repair {name}",
    ]


def test_a_run_that_was_repaired_is_not_told_to_be_repaired():
    said = told(found("RLM304"), script=Script("watch", "train.py", is_repaired=True))
    assert [command for command, _ in said.commands] == ["relume cure train.py"]


@pytest.mark.parametrize("name", ["--out=x.py", "a\nb.py", "torchrun"])
def test_what_is_no_script_has_no_command(name):
    assert told(found("RLM304"), script=Script("watch", name)).commands == ()


def test_a_fit_has_no_script():
    assert told(found("RLM304"), script=Script("fit", "table.py")).commands == ()


def test_no_command_is_offered_where_no_treatment_answers_the_finding():
    assert told(found("RLM028")).commands == ()


def test_events_are_findings_consequences_and_kept_repairs_in_time():
    root = found("RLM304", step=1, consequences=[found("RLM101", step=40), found("RLM302")])
    remedies = [
        AppliedRemedy(step=30, action="lower_rate", is_kept=True),
        AppliedRemedy(step=35, action="clip_gradients", is_kept=False),
    ]
    happened = events(Diagnosis((root,), (), OBSERVED), remedies)
    assert [(each.step, each.label, each.consequence) for each in happened] == [
        (1, "RLM304", None), (30, "repair", None), (40, "RLM101", 0),
    ]  # fmt: skip


def test_of_too_many_events_the_gravest_stay():
    several = [found(f"RLM{i}", step=1000 - i) for i in range(2 * MOST_EVENTS)]
    happened = events(Diagnosis(tuple(several), (), OBSERVED), ())
    assert len(happened) == 50  # findings that are shown
    assert [each.step for each in happened] == sorted(each.step for each in happened)
