"""The engine asks every rule, whatever becomes of the others."""

import json
from contextlib import closing

import pytest

from relume.diagnosis.codes import Code
from relume.diagnosis.engine import diagnose
from relume.diagnosis.finding import Finding, NotJudged, Severity
from relume.diagnosis.rule import Rule
from relume.diagnosis.rules import RULES
from relume.runs.query import read_run
from relume.runs.store import RunWriter

HEADINGS = (
    "What it detects",
    "Why it matters",
    "What else it could be",
    "Remedies, with safety",
    "Options",
    "References:",
)


@pytest.fixture
def empty_run(tmp_path):
    with closing(RunWriter(tmp_path / "run.sqlite")) as writer:
        writer.update_info(status="finished")
    return read_run(tmp_path)


def test_a_rule_that_fails_hides_no_other(empty_run):
    def broken(reading):
        raise ValueError("no\nluck")
        yield

    def sound(reading):
        yield Finding(code="RLM302", severity=Severity.NOTE, message="it stands", evidence={"a": 1})

    rules = [
        Rule(Code.DIVERGING, "broken", "x", broken),
        Rule(Code.NOT_DECREASING, "sound", "x", sound),
    ]
    diagnosis = diagnose(empty_run, rules)
    assert [each.code for each in diagnosis.findings] == ["RLM302"]
    assert diagnosis.not_judged == (NotJudged(Code.DIVERGING, "the rule failed: no luck"),)
    assert diagnosis.worst is Severity.NOTE


def test_of_an_empty_run_nothing_is_said_and_no_rule_fails(empty_run):
    diagnosis = diagnose(empty_run)
    assert diagnosis.findings == ()
    assert diagnosis.worst is None
    assert not [each for each in diagnosis.not_judged if "failed" in each.reason]


def test_the_json_is_versioned_strict_and_whole(empty_run):
    data = diagnose(empty_run).to_json(empty_run)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert set(data) == {"version", "run", "observed", "not_observed", "not_judged", "findings"}
    nan = Finding(code="RLM302", severity=Severity.NOTE, message="", evidence={"a": float("nan")})
    assert nan.to_json()["evidence"] == {"a": None}
    assert set(nan.to_json()) >= {
        "code", "severity", "where", "units", "first_step", "evidence", "cause",
        "consequences", "remedies",
    }  # fmt: skip


def test_every_code_has_one_rule_in_order():
    assert [rule.code for rule in RULES] == sorted(Code)
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_a_whole_page(rule):
    places = [rule.page.find(heading) for heading in HEADINGS]
    assert -1 not in places
    assert places == sorted(places)
    assert rule.summary.endswith(".")
    assert rule.code not in rule.explains
