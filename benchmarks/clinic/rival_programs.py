"""The rebuilt programs under the rivals that are installed: the lines that they ask for put in.

After ``loss.backward()`` comes a call of each, as their documentation has it; from the second step
on for neuraldbg, and without torchdiag's ``verify_step``, which moves the weights. The rebuilt
rules need what a script keeps to itself (scores, validation losses), and are not run.
"""

import contextlib
import io
import sys
import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.clinic.cache import CLINIC, Lines, digest_of
from benchmarks.clinic.program_runs import LAST_LINE, Outcome, summary
from benchmarks.clinic.programs import PROGRAMS, Program
from benchmarks.clinic.rival_installed import Torchdiag
from benchmarks.clinic.rival_names import WITHOUT, Rival, meaning
from benchmarks.clinic.rival_runs import Say, watching_digest
from benchmarks.clinic.rival_watching import Together, Watcher

EVERY = 50
"""Backward passes from one call of ``check_gradients`` to the next."""

CALL = "loss.backward()"


class Told:
    """What is called after each backward pass of a script.

    Args:
        watchers: Told of it.
        names: The global names of the script.
    """

    def __init__(self, watchers: Sequence[Watcher], names: dict[str, Any]) -> None:
        self.watchers, self.names, self.step = watchers, names, 0
        self.network: nn.Module | None = None
        self.taken: Tensor = torch.zeros(1)
        self.together = Together(watchers)

    def __call__(self, loss: Tensor) -> None:
        """Tell of a backward pass."""
        self.step += 1
        if self.network is None:
            self.network = network_in(self.names)
            self.network.register_forward_pre_hook(self._take)
            self.together.begin(self.network, None, None)
        if self.step % EVERY == 0:
            self._renew()
        batch = (self.taken, self.taken)
        self.together.after_backward(self.step + 1, self.network, loss, batch)

    def _take(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        if network.training and self.step < 2:
            self.taken = inputs[0]

    def _renew(self) -> None:
        for each in self.watchers:
            if isinstance(each, Torchdiag):
                each.is_new_epoch, each.batch = True, (self.taken, self.taken)

    def end(self) -> None:
        """Tell of the end of the script."""
        if self.network is None:
            return
        self._renew()
        with contextlib.suppress(Exception):  # a network of more than one input
            self.together.end_epoch(0, self.network, 0.0, 0.0, 0.0)
        for each in self.watchers:
            each.close()


def network_in(names: dict[str, Any]) -> nn.Module:
    """Return the network of a script: its ``model``, or all that it has."""
    if isinstance(names.get("model"), nn.Module):
        found: nn.Module = names["model"]
        return found
    modules = [each for each in names.values() if isinstance(each, nn.Module)]
    return nn.ModuleList(each for each in modules if any(True for _ in each.parameters()))


def run_told(
    program: Program, seed: int, watchers: Sequence[Watcher], *, fixed: bool
) -> tuple[float, dict[str, int]]:
    """Run a script in this process under watchers; return its score and all reports."""
    source = program.script.read_text(encoding="utf-8")
    assert CALL in source, program.name
    names: dict[str, Any] = {"__name__": "__main__"}
    names["_told"] = told = Told(watchers, names)
    source = source.replace(CALL, f"{CALL}; _told(loss)")
    arguments, printed = sys.argv, io.StringIO()
    sys.argv = [str(program.script), "--seed", str(seed), *(["--fixed"] if fixed else [])]
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(source, str(program.script), "exec"), names)  # noqa: S102
            told.end()
    finally:
        sys.argv = arguments
    last = LAST_LINE.match(printed.getvalue().rstrip().rpartition("\n")[2])
    assert last is not None, program.name
    return float(last[1]), {k: v for each in watchers for k, v in each.reports.items()}


def _key(program: Program, seed: int, *, fixed: bool, rival: Rival) -> str:
    text = digest_of([program.script, CLINIC / "rival_programs.py"])
    return f"program-{program.name}-{seed}-{fixed}-{rival.key}-{text}-{watching_digest()}"


def run_programs(rivals: Sequence[Rival], lines: Lines, *, seeds: int, say: Say) -> None:
    """Run what is not kept yet: each script under each rival alone."""
    for program in PROGRAMS:
        for seed in program.seeds[:seeds]:
            for fixed in (False, True):
                for rival in rivals:
                    key = _key(program, seed, fixed=fixed, rival=rival)
                    if rival.is_rebuilt or key in lines.known:
                        continue
                    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
                        score, reports = run_told(program, seed, [rival.make(None)], fixed=fixed)
                    lines.add(key, score=score, reports=reports)
        say(f"{program.name} under the rivals")


def programs_by(rivals: Sequence[Rival], lines: Lines, *, seeds: int) -> dict[str, Any]:
    """Return the counts of ``program_runs.summary`` by label of a rival; text where it cannot."""
    rows: dict[str, Any] = {}
    for rival in rivals:
        if rival.is_rebuilt:
            rows[rival.label] = "needs code in the script: not run"
            continue
        for without in WITHOUT[rival.key]:
            done = [
                _outcome(program, seed, rival, entry, (fixed, without))
                for program in PROGRAMS
                for seed in program.seeds[:seeds]
                for fixed in (False, True)
                if (entry := lines.known.get(_key(program, seed, fixed=fixed, rival=rival)))
            ]
            if done:
                rows[rival.label_without(without)] = summary(done)
    return rows


def _outcome(
    program: Program, seed: int, rival: Rival, entry: Any, how: tuple[bool, Sequence[str]]
) -> Outcome:
    fixed, without = how
    ranked = sorted(entry["reports"], key=lambda name: entry["reports"][name])
    words = tuple(word for word in ranked if word not in without)
    true = meaning(rival, program.true_codes)
    remaining = meaning(rival, program.remaining)
    return Outcome(
        program.name,
        seed,
        fixed,
        entry["score"],
        entry["score"],
        words,
        found=bool(set(words) & set(true)),
        first=bool(words) and words[0] in true,
        alarms=tuple(word for word in words if word not in remaining) if fixed else (),
    )
