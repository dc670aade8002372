import pytest

from relume.diagnosis.finding import Severity
from relume.errors import SettingsError
from relume.integrations.limits import Limits


def test_a_marker_with_a_share_has_no_other_condition():
    assert Limits.of_marker((), {"max_dead": 0.05}) == Limits(max_dead=0.05)


def test_a_bare_marker_fails_on_errors():
    (condition,) = Limits.of_marker((), {}).conditions
    assert condition.severity is Severity.ERROR


def test_codes_and_a_period_are_read():
    limits = Limits.of_marker((), {"fail_on": "RLM101:0.05,warning", "every": 3})
    assert [each.text for each in limits.conditions] == ["RLM101:0.05", "warning"]
    assert (limits.max_dead, limits.every) == (None, 3)


@pytest.mark.parametrize("given", [True, "much", -0.1, 2])
def test_what_is_no_share_is_refused(given):
    with pytest.raises(SettingsError, match="max_dead is a share of a layer's units"):
        Limits.of_marker((), {"max_dead": given})


def test_conditions_that_are_no_text_are_refused():
    with pytest.raises(SettingsError, match="fail_on is text, as 'RLM101:0.05,error'; got 3"):
        Limits.of_marker((), {"fail_on": 3})
