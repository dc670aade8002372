"""One training from case to outcome: set up, trained under a watch or an observer, scored."""

import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import relume
from benchmarks.clinic.cases import Case
from benchmarks.clinic.gan_loop import train_gan
from benchmarks.clinic.loop import History, train
from benchmarks.clinic.observer import NoObserver, Observer
from benchmarks.clinic.recipe import Recipe
from benchmarks.clinic.scoring import final_score
from benchmarks.clinic.session import Session, set_up, task_of

LEAST_ARMED = 40
MOST_PERIOD = 5
"""Every 5th step is measured, more often in a run so short that fewer than 40 steps would be."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended.

    Args:
        score: On held-out rows (``scoring.py``).
        claimed: The last validation score that the script prints.
        train_loss: Mean of the last epoch; nan if not finite.
        steps: Backward passes.
        cpu_s: CPU seconds, with set-up and watching.
        failure: The error that stopped it, if any; the score is what the network had learned.
    """

    score: float
    claimed: float
    train_loss: float
    steps: int
    cpu_s: float
    failure: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def period_of(steps: int) -> int:
    """Return every how many steps are measured, so that at least some 40 are.

    Example:
        >>> period_of(1000), period_of(80)
        (5, 2)
    """
    return max(1, min(MOST_PERIOD, steps // LEAST_ARMED))


def run_case(
    case: Case,
    *,
    recipe: Recipe | None = None,
    out: Path | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Train a case.

    Args:
        case: What is trained.
        recipe: Another way to train it: that of its twin.
        out: Folder for the run file of a watch; None: it is not watched.
        observer: Called from inside the loop, as rivals are.

    Raises:
        MissingDataError: If its data set is not installed.
    """
    began_s = time.process_time()
    recipe = recipe if recipe is not None else case.recipe
    task = task_of(case, recipe)
    session = set_up(case, recipe, task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of some of the faults; nobody reads it here
        history, failure = _train(session, out, observer if observer is not None else NoObserver())
        found = final_score(session.model, task, recipe, case.seed)
    return Outcome(
        score=found,
        claimed=history.valid_scores[-1] if history.valid_scores else float("nan"),
        train_loss=history.train_losses[-1] if history.train_losses else float("nan"),
        steps=history.steps,
        cpu_s=time.process_time() - began_s,
        failure=failure,
    )


def _train(session: Session, out: Path | None, observer: Observer) -> tuple[History, str]:
    if out is None:
        return _loop(session, observer)
    every = period_of(session.steps)
    with relume.watch(out=out, quiet=True, report=False, every=every) as watch:
        result = _loop(session, observer)
    if watch.fault is not None:
        raise watch.fault
    return result


def _loop(session: Session, observer: Observer) -> tuple[History, str]:
    try:
        loop = train_gan if session.task.kind == "generated" else train
        return loop(session, observer), ""
    except (RuntimeError, ValueError, IndexError) as error:  # what torch says of some faults
        return History(), f"{type(error).__name__}: {error}"
