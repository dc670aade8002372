"""Every rule fires on its minimal sick training and is silent on the healthy twin."""

from collections.abc import Callable, Iterator

import pytest

import relume
from relume.diagnosis.codes import Code
from relume.diagnosis.engine import diagnose
from relume.diagnosis.finding import Finding
from tests.unit.diagnosis import sick_networks_data as data
from tests.unit.diagnosis import sick_networks_units as units

SICK = data.SICK | units.SICK
HEALTHY = data.HEALTHY | units.HEALTHY


def findings_of(train: Callable[[], None], folder) -> list[Finding]:
    """Watch a training, and return what is found, consequences too."""
    with relume.watch(out=folder, quiet=True, report=False, every=2) as watch:
        train()
    assert watch.fault is None
    return list(flat(diagnose(watch.run).findings))


def flat(findings) -> Iterator[Finding]:
    for finding in findings:
        yield finding
        yield from flat(finding.consequences)


@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.filterwarnings("ignore:Using a target size")  # a sick training is warned of it
@pytest.mark.parametrize("code", SICK, ids=lambda code: code.name.lower())
def test_a_rule_fires_on_its_sick_training_and_not_on_the_twin(code: Code, tmp_path):
    found = findings_of(SICK[code], tmp_path / "sick")
    assert code in {each.code for each in found}
    found = findings_of(HEALTHY[code], tmp_path / "healthy")
    assert code not in {each.code for each in found}


def test_every_code_has_its_pair():
    assert set(SICK) == set(HEALTHY) == set(Code)
