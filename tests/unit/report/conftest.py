import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from relume.report.document import build_document
from relume.runs.query import read_run


@pytest.fixture(scope="session")
def factory():
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("run_factory.py"))))


@pytest.fixture(scope="session")
def watch_factory():
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("watch_factory.py"))))


@pytest.fixture(scope="session")
def digits_file(factory, tmp_path_factory):
    return factory.write_run(tmp_path_factory.mktemp("digits") / "run.sqlite")


@pytest.fixture(scope="session")
def digits_run(digits_file):
    return read_run(digits_file)


@pytest.fixture(scope="session")
def digits_document(digits_run):
    return build_document(digits_run)


@pytest.fixture(scope="session")
def killed_run(factory, tmp_path_factory):
    path = tmp_path_factory.mktemp("killed") / "run.sqlite"
    return read_run(factory.write_run(path, ended=False, epochs=0))
