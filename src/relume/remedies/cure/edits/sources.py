"""The files of a program that edits touch: those below the folder where it was started."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relume.remedies.cure.edits.source import NotLiteralError, Replacement, Source
from relume.remedies.cure.place import CodePlace

Edits = list[tuple[Path, Replacement]]


class Sources:
    """Files, each parsed once.

    Args:
        folder: Below which files may be edited.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._files: dict[Path, Source] = {}

    def at(self, place: CodePlace) -> Source:
        """Return the file of a place.

        Raises:
            NotLiteralError: If it cannot be read as Python, or lies elsewhere.
        """
        path = Path(place.file).resolve()
        if path not in self._files:
            if not path.is_relative_to(self.folder):
                raise NotLiteralError(f"{path} is not below the folder of the run")
            try:
                self._files[path] = Source(path, path.read_bytes())
            except Exception as error:
                raise NotLiteralError(f"{path.name} cannot be read as Python") from error
        return self._files[path]

    def text(self, path: Path) -> bytes:
        """Return the bytes of a file that was looked at."""
        return self._files[path].text


def place_in(said: Mapping[str, Any] | None, what: str) -> CodePlace:
    """Return a place of the survey.

    Raises:
        NotLiteralError: If it was not seen in the person's code.
    """
    if said is None:
        raise NotLiteralError(f"{what} is not in the program's own code")
    return CodePlace.from_json(said)
