"""What a machine is told to fail on."""

import pytest

from relume.diagnosis.codes import Code
from relume.diagnosis.fail_on import failures, parse_conditions
from relume.diagnosis.finding import Finding, Severity
from relume.errors import SettingsError


def finding(code, severity=Severity.WARNING, **evidence):
    return Finding(code=code, severity=severity, message="", evidence=evidence)


def test_a_severity_holds_for_itself_and_all_above():
    conditions = parse_conditions("warning")
    given = [finding("RLM001", severity) for severity in Severity]
    failed = [found.severity for _, found in failures(given, conditions)]
    assert failed == [Severity.WARNING, Severity.ERROR]


def test_a_share_of_dead_units_counts_whichever_rule_tells_of_them():
    conditions = parse_conditions("rlm101:0.05")
    held = [
        code
        for code, share in [(Code.DEAD_UNITS, 0.04), (Code.DEAD_UNITS, 0.05), (Code.DEAD_LAYER, 1)]
        if failures([finding(code, share=share)], conditions)
    ]
    assert held == [Code.DEAD_UNITS, Code.DEAD_LAYER]
    assert not failures([finding(Code.DORMANT_UNITS, share=1.0)], conditions)


def test_consequences_count_like_roots():
    root = finding("RLM001").with_consequences(finding("RLM301", Severity.ERROR))
    assert [found.code for _, found in failures([root], parse_conditions("error"))] == ["RLM301"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("fatal", "got 'fatal'"),
        ("RLM999", "got 'RLM999'"),
        ("RLM101:2", "between 0 and 1"),
        ("RLM101:x", "between 0 and 1"),
        ("error:0.5", "got 'error:0.5'"),
    ],
)
def test_nonsense_is_one_clear_line(text, why):
    with pytest.raises(SettingsError, match=why):
        parse_conditions(text)
