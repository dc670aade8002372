"""Which number decides between trials, and whether more of it is better."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relume.errors import SettingsError, UnknownNameError
from relume.remedies.cure.trial import PRINTED, Trial

METRIC = "metric "
INDEPENDENT = (
    "held-back accuracy", "held-back squared error", "training accuracy", "training squared error",
)  # fmt: skip
"""Scores that mean the same whatever is done to the loss."""
LOSSES = ("held-back loss", "training loss")
LESS = re.compile(
    r"loss|error|perplexity|ppl|\b(mse|mae|rmse|nll|wer|cer|fid|bpc)\b|deviation|distance", re.I
)


@dataclass(frozen=True, slots=True)
class ScoreChoice:
    """The score that decides.

    Args:
        name: As trials record it.
        is_less_better: Whether less of it is better.
        why: Whence it is and why it counts that way, for a person.
        is_comparable: Whether it means the same whatever is done to the loss.
    """

    name: str
    is_less_better: bool
    why: str
    is_comparable: bool = True

    @property
    def shown(self) -> str:
        """Its name for a person."""
        return self.name.removeprefix(METRIC) if self.name != PRINTED else "printed score"

    def better(self, score: float) -> float:
        """Return a number that is greater the better a score is; no number is the worst.

        Example:
            >>> loss = ScoreChoice("training loss", True, "")
            >>> loss.better(0.5), loss.better(float("nan"))
            (-0.5, -inf)
        """
        if not math.isfinite(score):
            return -math.inf
        return -score if self.is_less_better else score

    def gain(self, treated: float, untreated: float) -> float:
        """Return how much better a score is than another, both finite."""
        return untreated - treated if self.is_less_better else treated - untreated


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreWish:
    """What a person said of the score.

    Args:
        pattern: Regular expression for the output; None: none.
        metric: Name of a recorded metric; None: any.
        is_less_better: None: guessed from the name.
    """

    pattern: str | None = None
    metric: str | None = None
    is_less_better: bool | None = None

    def __post_init__(self) -> None:
        if self.pattern is None:
            return
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise SettingsError(
                f"--metric-regex '{self.pattern}' is no regular expression: {error}; "
                r"write for example 'accuracy (\S+)'"
            ) from error


def choose_score(trial: Trial, wish: ScoreWish, *, loss_changes: bool) -> ScoreChoice:
    """Return the score that decides, by what the untreated run recorded.

    What was printed comes first, then what ``relume.metric`` was given, then what evaluation
    passes came to, last the training loss.

    Args:
        trial: The untreated run.
        wish: What the person said.
        loss_changes: Whether a candidate makes the loss another one.

    Raises:
        SettingsError: If the pattern was found nowhere.
        UnknownNameError: If no metric of that name was recorded.
    """
    if wish.pattern is not None:
        return _printed(trial, wish)
    metrics = [name for name in trial.series if name.startswith(METRIC)]
    if metrics or wish.metric is not None:
        return _of_metrics(metrics, wish)
    order: tuple[str, ...] = (*INDEPENDENT[:2], LOSSES[0], *INDEPENDENT[2:], LOSSES[1])
    if not loss_changes:
        order = (LOSSES[0], *INDEPENDENT[:2], LOSSES[1])
    for name in order:
        if name in trial.series:
            return _recorded(name, wish)
    return _recorded(LOSSES[1], wish)


def pacing_score(
    trial: Trial, choice: ScoreChoice, steps: Iterable[int], *, loss_changes: bool
) -> ScoreChoice:
    """Return the score by which those who fall behind are stopped.

    It is the one that decides, where that is known at all of certain steps; else, as where it is
    printed at the end alone, the first other one that is.

    Args:
        trial: The untreated run.
        choice: What decides.
        steps: Where it has to be known.
        loss_changes: Whether a candidate makes the loss another one.
    """
    wanted = list(steps)
    names = [*INDEPENDENT[:2], LOSSES[0], *INDEPENDENT[2:], LOSSES[1]]
    others = [
        _recorded(name, ScoreWish()) for name in names if not (loss_changes and name in LOSSES)
    ]
    for each in (choice, *others):
        if all(trial.score_at(each.name, step) is not None for step in wanted):
            return each
    return choice


def _printed(trial: Trial, wish: ScoreWish) -> ScoreChoice:
    if PRINTED not in trial.series:
        raise SettingsError(
            f"--metric-regex '{wish.pattern}' finds no number in what the program printed; its "
            r"first group must be the number, as in 'accuracy (\S+)'"
        )
    is_less, how = _direction(wish.pattern or "", wish)
    return ScoreChoice(PRINTED, is_less, f"the last number that '{wish.pattern}' finds{how}")


def _of_metrics(metrics: Sequence[str], wish: ScoreWish) -> ScoreChoice:
    names = [name.removeprefix(METRIC) for name in metrics]
    if wish.metric is None:
        chosen = names[0]
    elif wish.metric in names:
        chosen = wish.metric
    elif names:
        raise UnknownNameError("metric", wish.metric, names)
    else:
        raise SettingsError(
            f"--metric {wish.metric}: the program recorded no metric; it does so with "
            f"relume.metric({wish.metric!r}, value)"
        )
    is_less, how = _direction(chosen, wish)
    others = f"; also recorded: {', '.join(n for n in names if n != chosen)}" * (len(names) > 1)
    return ScoreChoice(METRIC + chosen, is_less, f"the last {chosen} recorded{how}{others}")


def _recorded(name: str, wish: ScoreWish) -> ScoreChoice:
    is_less, _ = _direction(name, wish)
    whence = "evaluation passes" if name.startswith("held-back") else "the last tenth of training"
    why = f"{name}, from {whence}, as no score was recorded or named"
    return ScoreChoice(name, is_less, why, is_comparable=name not in LOSSES)


def _direction(name: str, wish: ScoreWish) -> tuple[bool, str]:
    """Return whether less is better, and how that is known."""
    if wish.is_less_better is not None:
        return wish.is_less_better, ""
    is_less = LESS.search(name) is not None
    return is_less, f"; {'less' if is_less else 'more'} is taken for better, by its name"


def outcome_of(trial: Trial, choice: ScoreChoice) -> str:
    """Return what a trial came to, in a word."""
    if trial.stopped_at is not None:
        return f"stopped at step {trial.stopped_at:,}"
    if trial.exit_code:
        return f"failed with code {trial.exit_code}"
    return f"{trial.score(choice.name):.4g}"
