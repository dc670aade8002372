"""Bring the outputs that the pages show up to date: ``python -m docs.outputs [--slow] [PAGE ...]``.

Every block is run as the tests run it; each line shown is replaced by the printed one that differs
from it in its numbers alone, the first by the first of them. Nothing else is written: a block whose
output has other lines is an error, and its page is mended by hand. ``--slow`` runs, and compares,
only the pages with commands that the tests leave out as slow; it writes nothing.
"""

import os
import subprocess
import sys
import tempfile
from collections import defaultdict, deque
from pathlib import Path

from docs.blocks import CODE_OF, PAGES, BlockError, Session, blocks, shape, written_pages
from docs.left_out import NOT_RUN, SLOW

ENVIRONMENT = {"NO_COLOR": "1", "COLUMNS": "88", "OMP_NUM_THREADS": "1"}


def main() -> int:
    """Follow the pages named, or all of them."""
    names = [name for name in sys.argv[1:] if name != "--slow"]
    is_check = "--slow" in sys.argv
    slow = {page for page, _ in SLOW}
    for path in written_pages():
        name = path.relative_to(PAGES).as_posix()
        if (names and name not in names) or (is_check and name not in slow):
            continue
        try:
            changed = _followed(path)
        except BlockError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        if not is_check:
            path.write_text(changed, encoding="utf-8")
    return 0


def _followed(path: Path) -> str:
    """Return the text of a page with the numbers that its commands print now."""
    text = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        keeping = _Keeping()
        session = Session(Path(place), keeping, lambda *key: key in NOT_RUN)
        for block in blocks(path):
            keeping.printed.clear()
            session.follow(block)
            if block.kind == "console":
                text = text.replace(block.text, _renewed(block.text, keeping.printed), 1)
        os.chdir(PAGES)
    return text


def _renewed(shown: str, printed: dict[str, str]) -> str:
    """Return a block with the lines of each command as they were printed."""
    lines: list[str] = []
    now: defaultdict[str, deque[str]] = defaultdict(deque)
    for line in shown.splitlines():
        command = line.removeprefix("$ ")
        if line.startswith("$ "):
            now.clear()
            for each in printed.get(command, "").splitlines() if command != CODE_OF else ():
                now[shape(each)].append(each)
            lines.append(line)
        else:
            same = now[shape(line)]
            lines.append(same.popleft() if same else line)
    return "\n".join(lines) + "\n"


class _Keeping:
    """Runs commands in processes that begin from nothing, and keeps what they print."""

    def __init__(self) -> None:
        self.printed: dict[str, str] = {}

    def __call__(self, command: str, folder: Path) -> tuple[int, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(  # noqa: S603 (the commands of our own pages)
            ["bash", "-c", command],  # noqa: S607
            cwd=folder,
            env=os.environ | ENVIRONMENT | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        self.printed[command] = done.stdout + done.stderr
        return done.returncode, self.printed[command]


if __name__ == "__main__":
    sys.exit(main())
