"""pytest: ``@pytest.mark.relume(max_dead=0.05)`` watches what a test trains, and fails it.

Nothing but pytest is imported before the first test that is watched.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from relume.integrations.judgement import WatchedTest
    from relume.integrations.limits import Limits

MARKER = (
    "relume(max_dead=None, fail_on=None, every=1): watch what the test trains. It fails if a layer "
    "has more than this share of dead units at the end, or on these findings, as RLM101:0.05,error;"
    " with neither, on findings that are errors."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup("relume", "trainings that are watched")
    group.addoption(
        "--relume",
        action="store_true",
        help="watch every test and say what was found; tests without the marker do not fail on it",
    )
    group.addoption(
        "--relume-out",
        metavar="FOLDER",
        help="keep run files and reports here, a folder for each test [pytest's temporary folder]",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)
    config.pluginmanager.register(WatchedTests(config), "relume-watched-tests")


class WatchedTests:
    """Watches the tests of a session that ask for it.

    Args:
        config: Of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._watches_all = bool(config.getoption("--relume"))
        self._open: WatchedTest | None = None
        self._told: dict[str, Any] | None = None
        self._temporary: Path | None = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Refuse a marker that makes no sense before any test is run."""
        for item in items:
            if item.get_closest_marker("relume") is not None:
                self._limits(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Begin with the fixtures: they may train."""
        self._told = None
        limits = self._limits(item)
        if limits is not None:
            from relume.integrations.judgement import WatchedTest

            self._open = WatchedTest(limits, self._folder(), item.nodeid)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """End with the test, and judge what it trained if it passed."""
        watched, self._open = self._open, None
        if watched is None:
            return (yield)
        try:
            result = yield
        except BaseException:
            self._told = watched.end(is_judged=False).to_json()
            raise
        outcome = watched.end(is_judged=True)
        self._told = outcome.to_json()
        if outcome.failure:
            pytest.fail(outcome.failure, pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        """End where the fixtures failed."""
        watched, self._open = self._open, None
        if watched is not None:
            watched.end(is_judged=False)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Iterator[None]:  # the report, as plain data, reaches the process that sums up
        """Hand on what is to be said in the summary."""
        report: Any = yield
        if call.when == "call" and self._told is not None:
            report.relume = self._told
        return report  # type: ignore[no-any-return]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what was found, and where the records are."""
        reports = [each for some in terminalreporter.stats.values() for each in some]
        watched = [each for each in reports if getattr(each, "relume", None)]
        if not watched:
            return
        terminalreporter.section("relume")
        for report in watched:
            terminalreporter.write_line(f"{report.nodeid}: {report.relume['said']}")
            if report.relume["folder"]:
                terminalreporter.write_line(f"    {report.relume['folder']}")

    def _limits(self, item: pytest.Item) -> "Limits | None":
        """Return what a test is judged by; None if it is not watched."""
        marker = item.get_closest_marker("relume")
        if marker is None and not self._watches_all:
            return None
        from relume.errors import SettingsError
        from relume.integrations.limits import Limits

        if marker is None:
            return Limits()
        try:
            return Limits.of_marker(marker.args, marker.kwargs)
        except SettingsError as error:
            raise pytest.UsageError(f"{item.nodeid}: {error}") from None

    def _folder(self) -> "Path | None":
        """Return the folder of all records: the one asked for, else one that pytest cleans up."""
        out: str | None = self._config.getoption("--relume-out")
        if out is not None:
            return self._config.invocation_params.dir / out
        factory = getattr(self._config, "_tmp_path_factory", None)  # None without that plugin
        if self._temporary is None and factory is not None:
            self._temporary = factory.mktemp("relume")
        return self._temporary
