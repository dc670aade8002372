"""The grid of the clinic: its parts are apart, and every code and fault has its cases."""

import hashlib
from collections import Counter
from itertools import combinations, pairwise

import pytest

from benchmarks.clinic.grid import FAULTS, a_slice, all_cases
from benchmarks.clinic.scenarios import SCENARIOS, SEEDS, Group, Part
from relume.diagnosis.codes import Code


def _of(part):
    return [case for case in all_cases() if case.part is part]


def test_groups_share_no_data_no_network_and_no_seed():
    for what in ("data", "network", "seed"):
        of_each = [{getattr(c, what) for c in all_cases() if c.group is group} for group in Group]
        assert all(of_each)
        assert not any(one & other for one, other in combinations(of_each, 2)), what


def test_only_the_last_group_validates():
    assert {case.group for case in _of(Part.VALIDATION)} == {Group.THIRD}
    assert len(_of(Part.VALIDATION)) >= 400


def test_cases_of_the_older_groups_keep_their_names():
    ids = "\n".join(case.id for case in _of(Part.TUNING))
    assert hashlib.sha256(ids.encode()).hexdigest().startswith("4d05da813ad3")


@pytest.mark.parametrize("part", Part)
def test_every_code_is_the_true_fault_of_some_training(part):
    named = {code for case in _of(part) for code in case.true_codes}
    assert named == set(Code)


@pytest.mark.parametrize("part", Part)
def test_every_fault_has_two_severities_that_differ(part):
    levels = Counter((case.fault, case.severity) for case in _of(part) if case.is_faulty)
    for fault in FAULTS:
        assert levels[fault.name, 1]
        assert levels[fault.name, 2]
        assert all(mild != grave for mild, grave in pairwise(fault.levels))


def test_ids_are_unique_and_name_files():
    ids = [case.id for case in all_cases()]
    assert len(set(ids)) == len(ids) >= 640
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.") for name in ids)


@pytest.mark.parametrize("part", Part)
def test_healthy_trainings_are_at_least_half_as_many_as_faulty_ones(part):
    count = Counter(case.is_faulty for case in _of(part))
    assert count[False] >= count[True] / 2


def test_a_fault_changes_the_recipe_and_a_healthy_case_is_its_own_twin():
    for case in all_cases():
        assert (case.recipe != case.twin) == case.is_faulty, case.id
        assert bool(case.true_codes) == case.is_faulty


def test_expectations_never_repeat_what_is_true_of_healthy_cases():
    assert not any(case.expected for case in all_cases() if not case.is_faulty)


def test_every_scenario_is_trained_as_it_is_with_every_seed():
    plain = Counter(case.scenario for case in all_cases() if case.fault == "none")
    assert plain == {each.name: len(SEEDS[each.group]) for each in SCENARIOS}


@pytest.mark.parametrize("part", Part)
def test_slice_has_every_fault_and_as_many_healthy(part):
    chosen = a_slice(part)
    assert {case.fault for case in chosen if case.is_faulty} == {fault.name for fault in FAULTS}
    assert sum(not case.is_faulty for case in chosen) == len(FAULTS)


def test_no_case_is_made_where_a_fault_changes_nothing():
    void = {fault.name: fault.void_with for fault in FAULTS if fault.void_with}
    tags = {(each.group, each.name): each.tags for each in SCENARIOS}
    cases = [case for case in all_cases() if set(case.fault.split(" + ")) & set(void)]
    assert cases
    for case in cases:
        for name in case.fault.split(" + "):
            assert void.get(name, "") not in tags[case.group, case.scenario]
