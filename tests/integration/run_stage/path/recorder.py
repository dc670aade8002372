"""A small recorder in place of the watch: one run file a process that trains, one window in it."""

import os
import sys
import threading
from dataclasses import dataclass

import torch

from relume.observe.run_place import RunPlace, is_child_process, rank_of_process
from relume.runs.records import (
    Layer,
    LayerWindow,
    Lifetimes,
    Moments,
    RunInfo,
    UnitActivity,
    Window,
)
from relume.runs.store import RunWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    budget: float = 0.01
    every: int | None = None
    full: bool = False
    quiet: bool = False
    report: bool = True


class Watch:
    def __init__(self, settings):
        self._settings = settings
        self._writer = None
        self._steps = 0
        self._thread = 0

    def start(self):
        if getattr(torch, "is_stand_in", False):
            torch.hooks.append(self._step)
            return
        from torch.optim.optimizer import register_optimizer_step_post_hook

        register_optimizer_step_post_hook(lambda *_: self._step())
        self._see_calls()

    def stop(self, status):
        if self._writer is not None:
            self._writer.update_info(status=status)
            self._writer.close()
            self._writer = None

    def after_fork_in_child(self):
        self._writer, self._steps = None, 0

    def _see_calls(self):
        from relume.observe.intercept import Interception, Switch
        from relume.observe.naming import Names
        from relume.observe.tap import ArmedTap
        from relume.observe.unobserved import Unobserved

        switch = Switch()
        Interception(switch).install()
        switch.tap = ArmedTap(Names(), Unobserved())
        switch.tap.arm()

    def _step(self):
        if self._writer is None:
            self._thread = threading.get_ident()
            place = RunPlace.from_environment(os.environ)
            path = place.claim_run_file(
                rank=rank_of_process(os.environ), is_child=is_child_process(os.environ)
            )
            self._writer = RunWriter(path)
            said = {"settings": repr(self._settings), "argv": sys.argv}
            self._writer.update_info(RunInfo(kind="run", settings=said))
            self._writer.set_layers([Layer("hidden", "relu", 2, True)])
        if threading.get_ident() != self._thread:
            return
        self._steps += 1
        window = Window(1, self._steps, 0, Moments(), 0.1, (LayerWindow(UnitActivity.zero(2)),))
        self._writer.write_window(window, [Lifetimes.unseen(2)])
