"""The signals that end a program: something is done first, unseen by the program.

Programs ask whether a signal has a handler before they set their own (Lightning does). So
``signal.getsignal`` and ``signal.signal`` show ours as what it stands for: the default.
"""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
DEADLINE_S = 30.0
"""After this, a process that was told to end ends, whatever is still to be done."""


class EndingSignals:
    """Handles the signals that nothing else handles; the process dies of them all the same.

    Args:
        before_end: What is done first. It may run between any two instructions of the main thread.
    """

    def __init__(self, before_end: Callable[[], None]) -> None:
        self._before_end = before_end
        self._signal, self._getsignal = signal.signal, signal.getsignal
        self._masks = threading.local()

    def install(self) -> None:
        """Take the signals whose handling is the default; do nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            if self._getsignal(number) == signal.SIG_DFL:
                self._signal(number, self._handle)
        signal.signal, signal.getsignal = self._set, self._get
        os.register_at_fork(
            before=self._hold,
            after_in_parent=self._let_through,
            after_in_child=self._after_fork,
        )

    def _set(self, signalnum: Any, handler: Any) -> Any:
        """Set a handler; where the default is asked for, it is ours."""
        if signalnum in SIGNALS and handler == signal.SIG_DFL:
            handler = self._handle
        return self._shown(self._signal(signalnum, handler))

    def _get(self, signalnum: Any) -> Any:
        return self._shown(self._getsignal(signalnum))

    def _shown(self, handler: Any) -> Any:
        return signal.SIG_DFL if handler == self._handle else handler

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._signal(number, signal.SIG_DFL)  # a second one ends it at once
        late = threading.Timer(DEADLINE_S, os.kill, (os.getpid(), number))
        late.daemon = True
        with suppress(RuntimeError):  # no thread can be had: there is no deadline then
            late.start()
        try:
            self._before_end()
        finally:
            os.kill(os.getpid(), number)

    def _hold(self) -> None:
        """Keep signals for the child until it can die of them: Python forgets those at a fork."""
        self._masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def _let_through(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.before)

    def _after_fork(self) -> None:
        """Let the child die at once: it has nothing to do first."""
        with suppress(ValueError):
            for number in SIGNALS:
                if self._getsignal(number) == self._handle:
                    self._signal(number, signal.SIG_DFL)
        self._let_through()
