"""Methods that nobody else hears of when they fail."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar


class Guarded(Protocol):
    """Keeps its first fault, and does nothing after it."""

    fault: Exception | None

    @property
    def lock(self) -> AbstractContextManager[object]:
        """What is held while a method runs."""
        ...

    def fail(self, error: Exception) -> None:
        """Keep a fault."""
        ...


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Guarded)


def guarded(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R | None]:
    """Do nothing once there was a fault; keep the first one and let the training go on."""

    @wraps(method)
    def guard(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        if self.fault is None:
            try:
                with self.lock:
                    return method(self, *args, **kwargs)
            except Exception as error:  # noqa: BLE001
                self.fail(error)
        return None

    return guard
