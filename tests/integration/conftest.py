"""What stands beside the tests and is run by them, in processes of its own."""

import subprocess

import pytest

from tests.integration.report_visit import CHROMIUM

collect_ignore = ["framework_stage", "run_stage", "scripts", "warm_stage", "watched_scripts"]


@pytest.fixture
def relume_here(monkeypatch, capsys):
    """Run a command in this process: for mistakes, which end before anything of weight begins."""
    from relume.cli import run

    def run_here(*arguments, cwd):
        monkeypatch.chdir(cwd)
        capsys.readouterr()
        code = run([*map(str, arguments)])
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    monkeypatch.delattr("relume.observe.launch.become")  # it would take the place of the tests
    return run_here


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        pytest.skip("needs a browser: install the Debian package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()
