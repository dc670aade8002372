"""What is held to be curable is said of every fault of the clinic, once."""

from benchmarks.clinic.curable import CURABLE, INCURABLE
from benchmarks.clinic.grid import FAULTS


def test_every_fault_is_either_curable_or_not():
    assert not CURABLE.keys() & INCURABLE.keys()
    assert CURABLE.keys() | INCURABLE.keys() == {fault.name for fault in FAULTS}
