import errno
import os
import resource
import subprocess
import sys

import pytest

from relume.errors import OutputError
from relume.files import (
    check_possible,
    check_writable,
    free_folder,
    whole_file,
    whole_folder,
)


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "out.txt"
    with whole_file(path) as temporary:
        temporary.write_text("all of it")
        assert not path.exists()
    assert path.read_text() == "all of it"
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_the_old_one_only_when_whole(tmp_path):
    folder = tmp_path / "deep" / "model"
    with whole_folder(folder) as temporary:
        (temporary / "a").write_text("1")
    with whole_folder(folder) as temporary:
        (temporary / "b").write_text("2")
    assert [path.name for path in folder.iterdir()] == ["b"]
    with pytest.raises(ZeroDivisionError), whole_folder(folder) as temporary:
        (temporary / "c").write_text("3")
        raise ZeroDivisionError
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EACCES, "may write to"),
        (errno.EROFS, "can be written to"),
        (errno.EIO, "choose another place"),
    ],
)
def test_every_reason_comes_with_advice(tmp_path, number, advice):
    with pytest.raises(OutputError, match=advice), whole_file(tmp_path / "x"):
        raise OSError(number, os.strerror(number))


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for attempt in (check_writable, lambda place: whole_folder(place).__enter__()):
        with pytest.raises(OutputError, match="cannot write"):
            attempt(tmp_path / "file" / "below")


def test_a_full_disk_leaves_nothing_under_the_final_name(tmp_path):
    """A real limit on file sizes, in a process of its own, stands in for the full disk."""
    code = (
        "import sys; from pathlib import Path; from relume.files import whole_file\n"
        "from relume.errors import OutputError\n"
        "try:\n"
        "    with whole_file(Path(sys.argv[1])) as temporary:\n"
        "        temporary.write_bytes(bytes(100_000))\n"
        "except OutputError as error: print(error); sys.exit(2)\n"
    )
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # noqa: E731
    command = [sys.executable, "-c", code, str(tmp_path / "big")]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cannot write" in done.stdout
    assert list(tmp_path.iterdir()) == []


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_place_is_tried_without_a_trace(tmp_path):
    check_possible(tmp_path / "a" / "b")
    check_possible(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="not a directory"):
        check_possible(tmp_path / "file" / "b")


def test_a_folder_that_is_there_gets_a_number(tmp_path):
    assert free_folder(tmp_path / "run") == tmp_path / "run"
    for name in ("run", "run-2"):
        (tmp_path / name).mkdir()
    assert free_folder(tmp_path / "run") == tmp_path / "run-3"
