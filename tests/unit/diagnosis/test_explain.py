"""Root causes come first, and what follows from them is folded under them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from relume.diagnosis.explain import rank
from relume.diagnosis.finding import Finding, Severity

EXPLAINS = {
    "RLM001": frozenset({"RLM101", "RLM302"}),
    "RLM101": frozenset({"RLM302", "RLM306"}),
    "RLM302": frozenset({"RLM306"}),
    "RLM301": frozenset({"RLM304"}),
    "RLM304": frozenset({"RLM301"}),
}


def finding(code, severity=Severity.WARNING, **parts):
    return Finding(code=code, severity=severity, message=code, **parts)


def codes(findings):
    return [each.code for each in findings]


def everything(findings):
    return sorted(code for each in findings for code in (each.code, *codes(each.consequences)))


def test_a_chain_of_causes_is_one_finding():
    chain = [finding(code) for code in ("RLM306", "RLM302", "RLM101", "RLM001")]
    (root,) = rank(chain, EXPLAINS)
    assert root.code == "RLM001"
    assert sorted(codes(root.consequences)) == ["RLM101", "RLM302", "RLM306"]


def test_what_was_there_before_is_no_consequence():
    early = finding("RLM101", first_step=5)
    late = finding("RLM001", first_step=50)
    assert sorted(codes(rank([early, late], EXPLAINS))) == ["RLM001", "RLM101"]


def test_a_note_explains_no_warning_but_a_warning_explains_notes():
    note, warning = finding("RLM001", Severity.NOTE), finding("RLM101")
    assert codes(rank([note, warning], EXPLAINS)) == ["RLM101", "RLM001"]
    warning, note = finding("RLM001"), finding("RLM101", Severity.NOTE)
    assert codes(rank([note, warning], EXPLAINS)) == ["RLM001"]


def test_errors_come_before_warnings_and_those_before_notes():
    given = [
        finding("RLM001", Severity.NOTE),
        finding("RLM501", Severity.ERROR),
        finding("RLM401"),
    ]
    assert codes(rank(given, {})) == ["RLM501", "RLM401", "RLM001"]


def test_of_two_that_explain_each_other_one_is_the_root():
    (root,) = rank([finding("RLM304"), finding("RLM301")], EXPLAINS)
    assert len(root.consequences) == 1


def test_of_two_that_explain_each_other_the_one_that_was_there_first_is_the_root():
    late = finding("RLM301", Severity.ERROR, first_step=40)
    (root,) = rank([late, finding("RLM304", first_step=1)], EXPLAINS)
    assert (root.code, codes(root.consequences)) == ("RLM304", ["RLM301"])


@given(
    st.lists(
        st.builds(
            finding,
            st.sampled_from(["RLM001", "RLM101", "RLM302", "RLM306", "RLM301", "RLM304"]),
            st.sampled_from(Severity),
            first_step=st.none() | st.integers(1, 3),
        ),
        max_size=8,
    )
)
@settings(deadline=None, derandomize=True)
def test_nothing_is_lost_and_nothing_doubled(given_):
    ranked = rank(given_, EXPLAINS)
    assert everything(ranked) == sorted(codes(given_))
    assert ranked == rank(given_, EXPLAINS)
    assert bool(ranked) == bool(given_)
