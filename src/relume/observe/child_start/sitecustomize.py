"""Python imports this at its start, in the processes of a run: it waits for torch.

The folder stands first on PYTHONPATH. Nothing is imported here that Python has not imported before,
so that a process without torch pays next to nothing; and nothing stays that a program could see but
one entry of ``sys.meta_path`` until torch is imported.
"""

import atexit
import os
import sys

TYPE_CHECKING = False  # type checkers know the name; importing typing would cost time
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
_PACKAGE = os.path.dirname(os.path.dirname(_HERE))  # noqa: PTH120
# Python drops the frames of its own import system from tracebacks: a frame of ours among them
# must go with them.
_IMPORT_SYSTEM = "<frozen importlib._bootstrap_external>"


class _Start:
    """Finds torch like everybody else, and begins to attend once it has been imported."""

    def __init__(self) -> None:
        self._attendance: Any = None

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Find torch by the other finders; leave everything else to them."""
        if name != "torch":
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            found: ModuleSpec | None = find(name, path, target) if find is not None else None
            if found is not None and found.loader is not None:
                self._follow(found.loader)
                return found
        return None

    def _follow(self, loader: "Any") -> None:
        def exec_module(module: "ModuleType") -> None:
            del loader.exec_module
            loader.exec_module(module)
            self.torch_is_there()

        exec_module.__code__ = exec_module.__code__.replace(co_filename=_IMPORT_SYSTEM)
        loader.exec_module = exec_module

    def torch_is_there(self) -> None:
        """Attend to this process from now on."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if self._attendance is None:
            import gc

            collects = gc.isenabled()
            gc.disable()  # with torch there, one collection takes longer than all of our imports
            try:
                self._attendance = self._load()
                self._attendance.begin()
            except Exception as error:  # noqa: BLE001
                _say(f"this process is not watched: {type(error).__name__}: {error}")
            finally:
                if collects:
                    gc.enable()

    def end(self) -> None:
        """Run last of all that runs at exit."""
        try:
            if self._attendance is None and os.environ.get("RELUME_OUTERMOST") == str(os.getpid()):
                self._attendance = self._load()
            if self._attendance is not None:
                self._attendance.end()
        except Exception as error:  # noqa: BLE001
            _say(f"a fault of Relume, not of yours: {type(error).__name__}: {error}")

    def _load(self) -> "Any":
        """Import our code from where this file is, whatever ``sys.path`` says."""
        if "relume" not in sys.modules:
            import importlib.util

            spec = importlib.util.spec_from_file_location(
                "relume",
                os.path.join(_PACKAGE, "__init__.py"),  # noqa: PTH118
                submodule_search_locations=[_PACKAGE],
            )
            if spec is None or spec.loader is None:
                raise ImportError(f"Relume is not at {_PACKAGE}")
            sys.modules["relume"] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules["relume"])
        from relume.observe.attendance import Attendance

        return Attendance()


def _say(line: str) -> None:
    if not os.environ.get("RELUME_QUIET") and sys.stderr is not None:
        sys.stderr.write(f"relume: {line}\n")


def _begin() -> None:
    """Leave ``sys.path`` and the name ``sitecustomize`` to whom they belong, and wait for torch."""
    sys.path[:] = [
        entry
        for entry in sys.path
        if not entry or os.path.abspath(entry) != _HERE  # noqa: PTH100
    ]
    if "RELUME_SETTINGS" in os.environ:
        start = _Start()
        atexit.register(start.end)
        sys.meta_path.insert(0, start)
        if "torch" in sys.modules:
            start.torch_is_there()
    del sys.modules["sitecustomize"]
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401


if __name__ == "sitecustomize":
    _begin()
