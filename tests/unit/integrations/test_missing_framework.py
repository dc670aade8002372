"""Every adapter of the registry without its framework: one line that names the extra."""

import importlib
import sys
import tomllib
from pathlib import Path

import pytest

from relume.errors import MissingExtraError, SettingsError
from relume.integrations import INTEGRATIONS
from relume.integrations.wanted import wanted

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
EXTRAS = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]


@pytest.fixture
def without(monkeypatch):
    """Make libraries look as if they were not installed, and forget an adapter."""

    def forget(integration):
        for name in list(sys.modules):
            if name.partition(".")[0] in integration.libraries:
                monkeypatch.delitem(sys.modules, name)
        for library in integration.libraries:
            monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.delitem(sys.modules, integration.module, raising=False)

    return forget


@pytest.mark.parametrize("integration", INTEGRATIONS, ids=lambda each: each.name)
def test_without_its_framework_an_adapter_says_which_extra_brings_it(integration, without):
    without(integration)
    with pytest.raises(MissingExtraError) as raised:
        importlib.import_module(integration.module)
    libraries = " or ".join(integration.libraries)
    assert str(raised.value) == (
        f"{integration.module} wants {libraries}, which is not there; "
        f"pip install 'relume[{integration.extra}]'"
    )
    assert isinstance(raised.value, ImportError)
    assert integration.extra in EXTRAS


def test_nothing_of_a_framework_is_imported_before_its_adapter():
    names = {library for each in INTEGRATIONS for library in each.libraries}
    code = (
        "import sys, relume.integrations.session, relume.integrations.pytest_plugin; "
        f"assert not set({sorted(names)}) & set(sys.modules)"
    )
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_of_two_libraries_the_one_in_use_is_taken(monkeypatch):
    second = type(sys)("second_of_two")
    monkeypatch.setitem(sys.modules, "second_of_two", second)
    assert wanted("an adapter", "json", "second_of_two").__name__ == "json"
    assert wanted("an adapter", "first_of_two", "second_of_two") is second


def test_a_framework_that_is_there_and_broken_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_framework.py").write_text("import surely_not_installed\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed"):
        wanted("relume.integrations.skorch", "broken_framework")


def test_settings_are_checked_when_an_adapter_is_made():
    skorch = importlib.import_module("relume.integrations.skorch")
    accelerate = importlib.import_module("relume.integrations.accelerate")
    with pytest.raises(SettingsError, match="watch has no setting 'evry'; it has out, budget"):
        accelerate.WatchTracker(evry=3)
    with pytest.raises(SettingsError, match="every must be at least 1; got 0"):
        skorch.WatchCallback(every=0).initialize()
