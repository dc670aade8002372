"""What a person sees of a fit: a bar while it trains, the score and the layers at its end."""

import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from torch import nn

from relume.report.findings import grave_lines
from relume.report.parts import Document
from relume.report.terminal import layer_table
from relume.report.wording import printable
from relume.runs.records import Epoch
from relume.training.architecture import text_sizes
from relume.training.data.image_set import described
from relume.training.data.prepare import Prepared
from relume.training.data.prepared import Form
from relume.training.data.sequence_preprocessing import SequencePreprocessing
from relume.training.data.wording import counted
from relume.training.fit import Audience, FitResult
from relume.training.scores import Score
from relume.training.settings import FitSettings
from relume.training.verdict import Verdict


class Display(Audience):
    """Shows a fit: progress on stderr, results on stdout.

    Args:
        quiet: Show no progress.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._err = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("[bold]epoch {task.fields[epoch]}"),
            BarColumn(bar_width=24),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("validation {task.fields[score]}"),
            TextColumn("alive {task.fields[alive]}"),
            TimeRemainingColumn(),
            console=self._err,
            transient=True,
            disable=quiet or not self._err.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def prepared(self, data: Prepared, settings: FitSettings, network: nn.Module) -> None:
        """Say what is learned, from what, with what."""
        if self._quiet:
            return
        rows = ", ".join(
            f"{len(part.y):,} {name}"
            for name, part in (
                ("training", data.train),
                ("validation", data.validation),
                ("test", data.test),
            )
        )
        parameters = sum(parameter.numel() for parameter in network.parameters())
        widths = ", ".join(map(str, settings.hidden or ()))
        self._say(f"{data.name}: {_learned(data, settings)}; rows: {rows}")
        self._say(
            f"{settings.network} {widths} with {_recipe(settings)}: {parameters:,} parameters, "
            f"batches of {settings.batch_size}, at most {settings.epochs} epochs, "
            f"seed {settings.seed}"
        )
        for note in data.notes:
            self._say(f"note: {note}")
        steps = f"0/{settings.epochs}"
        self._task = self._bar.add_task("", total=None, epoch=steps, loss="-", score="-", alive="-")
        self._epochs = settings.epochs

    def step(self, step: int, steps: int, loss: float) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bar.update(self._task, completed=step, total=steps, loss=f"{loss:.4f}")

    def epoch(self, epoch: Epoch) -> None:
        """Show the scores; where there is no terminal, a line for every tenth epoch."""
        score, alive = f"{epoch.validation_score:.3f}", f"{epoch.units_alive}/{epoch.units}"
        if self._task is not None:
            position = f"{epoch.epoch}/{self._epochs}"
            self._bar.update(self._task, epoch=position, score=score, alive=alive)
        if not self._quiet and self._bar.disable and (epoch.epoch == 1 or epoch.epoch % 10 == 0):
            self._say(
                f"epoch {epoch.epoch}: loss {epoch.train_loss:.4f}, validation loss "
                f"{epoch.validation_loss:.4f}, score {score}, alive {alive}"
            )

    def repaired(self, story: tuple[str, ...]) -> None:
        """Say what was found, what was tried and what stayed."""
        if not self._quiet:
            for line in story:
                self._say(line)

    def scoring(self) -> None:
        """Say that the training is over; what follows takes a moment."""
        self._bar.stop()
        if not self._quiet:
            self._say("scoring the test part beside the baselines")

    def show(self, result: FitResult, document: Document, report: Path) -> None:
        """Print score, baselines, layers, what is wrong, and places."""
        out, run = Console(file=sys.stdout, highlight=False), result.run
        if result.status == "interrupted":
            out.print(
                f"interrupted: this is the best of what was trained; "
                f"go on with: relume fit --resume {result.folder}"
            )
        for note in result.notes[len(run.info.data.get("notes", [])) :]:
            out.print(Text(f"note: {note}"))
        for verdict in result.verdicts:
            out.print(_score_table(verdict))
        out.print(layer_table([part.summary for part in document.layers]))
        for line in (line for story in document.repairs for line in story):
            out.print(Text(line), soft_wrap=True)
        for line in grave_lines(document.findings):
            out.print(Text(line, style="yellow"), soft_wrap=True)
        stopped, best = run.info.result.get("stopped"), run.info.result.get("best_epoch")
        out.print(f"stopped {stopped}; weights of epoch {best}", soft_wrap=True)
        for name, place in (
            ("model", result.folder / "model"),
            ("run file", run.path),
            ("report", report),
        ):
            out.print(Text(f"{name:9}{place}"), soft_wrap=True)

    def _say(self, line: str) -> None:
        self._err.print(Text(line), soft_wrap=True)


def _learned(data: Prepared, settings: FitSettings) -> str:
    """Say what is learned: the classes or the values of each target, or the features themselves."""
    if settings.is_autoencoder:
        return f"{_described(data)}, to be rebuilt from a code of {settings.code}"
    what = " and ".join(
        f"{f'{len(target.classes)} classes' if target.classes else 'a value'} of {target.name!r}"
        for target in data.preprocessing.targets
    )
    return f"{what} from {_described(data)}"


def _described(data: Prepared) -> str:
    """Say what is learned from: features, texts, or images or sequences of a shape."""
    if isinstance(data.preprocessing, SequencePreprocessing):
        return data.preprocessing.described
    if data.form is Form.IMAGES and data.image_shape is not None:
        return described(data.image_shape)
    features = len(data.preprocessing.features)
    if texts := text_sizes(data.preprocessing):
        features -= sum(steps for _, steps in texts)
        return f"{counted(len(texts), 'text')} and {counted(features, 'feature')}"
    return f"{features:,} features"


def _recipe(settings: FitSettings) -> str:
    """Say the activation, and what is not as it is for most networks."""
    init = "" if settings.init in (None, "he") else f", {settings.init} initialisation"
    clip = f", gradients clipped to norm {settings.clip:g}" if settings.clip else ""
    bins = f", {settings.bins} bins a number" if settings.bins else ""
    return f"{settings.activation}{bins}{init}{clip}"


def _score_table(verdict: Verdict) -> Table:
    what = f"{verdict.target}: {verdict.metric}" if verdict.target else verdict.metric
    title = Text(f"{printable(what)} on {verdict.rows:,} test rows")
    table = Table(title=title, title_justify="left", box=SIMPLE)
    table.add_column("model")
    table.add_column(verdict.metric, justify="right")
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("relume minus it", justify="right", no_wrap=True)
    table.add_row("relume", f"{verdict.score.value:.3f}", _range(verdict.score), "")
    for each in verdict.comparisons:
        gap = f"{each.difference.value:+.3f} ({_range(each.difference, '+.3f')})"
        table.add_row(each.name, f"{each.score.value:.3f}", _range(each.score), gap)
    return table


def _range(score: Score, form: str = ".3f") -> str:
    low, high = score.interval
    return f"{low:{form}} to {high:{form}}"
