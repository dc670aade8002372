"""Every rule fires on its minimal sick training and is silent on the healthy twin.

And it says the same of records of larger batches, more steps, and amounts in other units.
"""

from collections.abc import Callable, Iterable, Iterator

import pytest

import relume
from relume.diagnosis.codes import Code
from relume.diagnosis.engine import diagnose
from relume.diagnosis.finding import Finding
from relume.runs.run_file import Run
from tests.unit.diagnosis import sick_networks_data as data
from tests.unit.diagnosis import sick_networks_units as units
from tests.unit.diagnosis.changed_runs import CHANGES

SICK = data.SICK | units.SICK
HEALTHY = data.HEALTHY | units.HEALTHY


def record_of(train: Callable[[], None], folder) -> Run:
    """Watch a training, and return its record."""
    with relume.watch(out=folder, quiet=True, report=False, every=2) as watch:
        train()
    assert watch.fault is None
    return watch.run


def codes_in(run: Run) -> set[str]:
    """Return the codes of what is found, consequences too; no rule may have failed."""
    diagnosis = diagnose(run)
    assert not [each for each in diagnosis.not_judged if "the rule failed" in each.reason]
    return {each.code for each in flat(diagnosis.findings)}


def flat(findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        yield finding
        yield from flat(finding.consequences)


@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.filterwarnings("ignore:Using a target size")  # a sick training is warned of it
@pytest.mark.parametrize("code", SICK, ids=lambda code: code.name.lower())
def test_a_rule_fires_on_its_sick_training_and_not_on_the_twin(code: Code, tmp_path):
    sick = record_of(SICK[code], tmp_path / "sick")
    healthy = record_of(HEALTHY[code], tmp_path / "healthy")
    assert code in codes_in(sick)
    assert code not in codes_in(healthy)
    for change, concerned in CHANGES.items():
        if code not in concerned:
            assert code in codes_in(change(sick)), change.__name__
            assert code not in codes_in(change(healthy)), change.__name__


def test_every_code_has_its_pair():
    assert set(SICK) == set(HEALTHY) == set(Code)
