"""What every test starts from."""

import gc
import os
import signal
import sys

import pytest
from coverage import Coverage

from tests.integration.warm import TRACING

LONGEST = (
    "test_clinic_slice",
    "test_watch_faults",
    "test_cure_command",
    "test_fit_command",
    "test_estimator_in_sklearn",
    "test_large_tables",
    "test_watched_scripts",
)
"""Modules that begin first: one of two workers would be left with them at the end."""

UNTRACED = {
    "test_clinic_slice",
    "test_estimator_in_sklearn",
    "test_every_rule_on_real_trainings",
    "test_fit_command",
    "test_gan_example",
    "test_init_variance",
    "test_large_tables",
    "test_mutations",
    "test_networks_contract",
    "test_no_leakage",
    "test_own_steps_process",
    "test_planted_deaths",
    "test_run_as_bare",
    "test_several_targets",
    "test_watch_faults",
    "test_watched_scripts",
}
"""Modules that go often, or long, where others go too: tracing their lines costs a third more."""


def pytest_collection_modifyitems(items):
    """Run what takes longest first; all else stays in its order."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def pytest_collection_finish():
    """Take what was imported and collected out of every search through the memory."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _signals_end_processes():
    """A suite in the background ignores these, and so would every process that it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="module", autouse=True)
def _traced_or_not(request):
    """Trace no coverage in some modules, nor in the processes that they start."""
    if request.path.stem not in UNTRACED:
        yield
        return
    tracing = Coverage.current()
    passed_on = os.environ.pop(TRACING, None)
    if tracing is not None:
        tracing.stop()
    yield
    if tracing is not None:
        tracing.start()
    if passed_on is not None:
        os.environ[TRACING] = passed_on


@pytest.fixture
def nothing_compiled() -> None:
    """Forget what earlier tests of this process compiled: beside compiled code less is observed."""
    dynamo = sys.modules.get("torch._dynamo")
    if dynamo is not None:
        dynamo.reset()
        dynamo.utils.counters.clear()
