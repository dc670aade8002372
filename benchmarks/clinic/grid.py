"""The grid: data set x network x fault x severity x seed, the same on every machine.

Each fault, at each severity, takes some of the scenarios that it fits, in turns, so that every
scenario is used about equally often; so do pairs of faults and hard healthy controls. Every
scenario is also trained as it is, with several seeds: healthy trainings, and the twins.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from benchmarks.clinic.cases import Case
from benchmarks.clinic.controls import CONTROLS, Control
from benchmarks.clinic.fault import Fault, Harm
from benchmarks.clinic.faults_data import DATA_FAULTS
from benchmarks.clinic.faults_loop import LOOP_FAULTS
from benchmarks.clinic.faults_loss import LOSS_FAULTS
from benchmarks.clinic.faults_units import UNIT_FAULTS
from benchmarks.clinic.pairs import PAIRS
from benchmarks.clinic.recipe import Recipe
from benchmarks.clinic.scenarios import SCENARIOS, SEEDS, Group, Part, Scenario

FAULTS = (*DATA_FAULTS, *LOSS_FAULTS, *UNIT_FAULTS, *LOOP_FAULTS)

PLACES = {Group.FIRST: 2, Group.SECOND: 4, Group.THIRD: 4}
"""Scenarios for each fault and severity, and for each control."""


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


class _Turns:
    """Hands out the scenarios of a group, those first that were used least."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.seeds = SEEDS[group]
        self._used: Counter[str] = Counter()
        self._given = 0

    def take(self, thing: Fault | Control, count: int) -> list[tuple[Scenario, int]]:
        """Return scenarios and seeds; again from the first scenario where few fit."""
        return self.take_all((thing,), count)

    def take_all(self, things: Sequence[Fault | Control], count: int) -> list[tuple[Scenario, int]]:
        """Return scenarios in which all of these can be made, with seeds."""
        fitting = [
            each for each in SCENARIOS
            if each.group is self.group and all(thing.fits(each.tags) for thing in things)
        ]  # fmt: skip
        taken = []
        for _ in range(count if fitting else 0):
            scenario = min(fitting, key=lambda each: self._used[each.name])
            self._used[scenario.name] += 1
            fitting = [each for each in fitting if each is not scenario] + [scenario]
            taken.append((scenario, self.seeds[self._given % len(self.seeds)]))
            self._given += 1
        return taken


def _faulty(
    faults: Sequence[Fault], levels: Sequence[int], scenario: Scenario, seed: int, severity: int
) -> Case:
    recipe = scenario.recipe
    for fault, level in zip(faults, levels, strict=True):
        recipe = fault.levels[level].apply(recipe)
    harms = [fault.harm for fault in faults]
    return _case(
        scenario,
        seed,
        recipe,
        fault=" + ".join(fault.name for fault in faults),
        severity=severity,
        is_faulty=True,
        true_codes=tuple(dict.fromkeys(code for fault in faults for code in fault.true)),
        expected=tuple(dict.fromkeys(code for fault in faults for code in fault.expected)),
        harm=next((harm for harm in harms if harm is not Harm.SCORE), Harm.SCORE),
        twin=twin_recipe(scenario.recipe, recipe, harms),
    )


def twin_recipe(healthy: Recipe, faulty: Recipe, harms: Sequence[Harm]) -> Recipe:
    """Return how the twin is trained: the healthy recipe, but for a leak on the same rows.

    A leak is one of few noisy rows: the twin has these too, without the leak.
    """
    if Harm.CLAIM not in harms:
        return healthy
    rows = tuple(edit for edit in faulty.data if edit[0] != "leak")
    return replace(healthy, data=rows, epochs=faulty.epochs)


def _case(scenario: Scenario, seed: int, recipe: Recipe, **rest: object) -> Case:
    fault, severity = str(rest["fault"]), rest.get("severity", 0)
    parts = (scenario.group, scenario.name.replace("/", "."), _slug(fault), severity, seed)
    return Case(
        id="_".join(map(str, parts)),
        group=scenario.group,
        scenario=scenario.name,
        data=scenario.data,
        network=scenario.network,
        seed=seed,
        recipe=recipe,
        **rest,
    )


def _single_faults(turns: _Turns) -> Iterator[Case]:
    for fault in FAULTS:
        for level in range(len(fault.levels)):
            for scenario, seed in turns.take(fault, PLACES[turns.group]):
                if fault.void_with not in scenario.tags:
                    yield _faulty((fault,), (level,), scenario, seed, level + 1)


def _pairs(turns: _Turns) -> Iterator[Case]:
    named = {fault.name: fault for fault in FAULTS}
    for names in PAIRS:
        faults = [named[name] for name in names]
        for severity, level in enumerate((0, len(faults[0].levels) - 1), 1):
            for scenario, seed in turns.take_all(faults, 1):
                if not any(fault.void_with in scenario.tags for fault in faults):
                    yield _faulty(faults, (level, 0), scenario, seed, severity)


def _healthy(turns: _Turns) -> Iterator[Case]:
    for scenario in SCENARIOS:
        for seed in turns.seeds if scenario.group is turns.group else ():
            yield _plain(scenario, seed)
    for control in CONTROLS:
        for scenario, seed in turns.take(control, PLACES[turns.group]):
            recipe = control.change.apply(scenario.recipe)
            yield _case(
                scenario, seed, recipe, twin=recipe, fault=control.name, severity=0,
                is_faulty=False, good=scenario.good * control.share,
            )  # fmt: skip


def _plain(scenario: Scenario, seed: int) -> Case:
    return _case(
        scenario, seed, scenario.recipe, twin=scenario.recipe, fault="none", severity=0,
        is_faulty=False, good=scenario.good,
    )  # fmt: skip


@cache
def all_cases() -> tuple[Case, ...]:
    """Return every case, the groups one after the other; each once."""
    found: dict[str, Case] = {}
    for group in Group:
        turns = _Turns(group)
        for case in (*_single_faults(turns), *_pairs(turns), *_healthy(turns)):
            found.setdefault(case.id, case)
    return tuple(found.values())


def a_slice(part: Part = Part.TUNING) -> tuple[Case, ...]:
    """Return one case a fault, its gravest, and as many healthy ones.

    For a quick look: the tests train these alone.
    """
    faulty: dict[str, Case] = {}
    healthy: list[Case] = []
    for case in all_cases():
        if case.part is part and case.is_faulty and " + " not in case.fault:
            best = faulty.get(case.fault)
            if best is None or case.severity > best.severity:
                faulty[case.fault] = case
        elif case.part is part and not case.is_faulty:
            healthy.append(case)
    step = max(1, len(healthy) // len(faulty))
    return (*faulty.values(), *healthy[::step][: len(faulty)])
