"""Ctrl-C and SIGTERM, taken as a wish to stop and keep what there is."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """The first signal to stop, if there was one.

    Attributes:
        signal: Its number; ``None`` so far.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.signal is not None


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM inside the block into a request; a second one acts at once.

    Outside the main thread, where no signal can be taken, the block runs as it is.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    watched = (signal.SIGINT, signal.SIGTERM)
    former = {number: signal.getsignal(number) for number in watched}

    def ask(number: int, _: FrameType | None) -> None:
        request.signal = number
        signal.signal(number, former[signal.Signals(number)])

    for number in watched:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        for number in watched:
            signal.signal(number, former[number])
