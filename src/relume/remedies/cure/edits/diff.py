"""A diff of a person's source for treatments, or advice where they cannot be written out."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relume.remedies.cure.edits import (
    of_activations,
    of_losses,
    of_models,
    of_optimizers,
    of_parameters,
    of_roots,
)
from relume.remedies.cure.edits.source import NotLiteralError, Replacement, applied
from relume.remedies.cure.edits.sources import Edits, Sources
from relume.remedies.cure.edits.written import Written
from relume.remedies.cure.treatment import Kind, Treatment

Writer = Callable[[Sources, Treatment, Written], Edits]

WRITERS: Mapping[Kind, Writer] = {
    Kind.RATE: of_optimizers.rate,
    Kind.ONE_RATE: of_optimizers.one_rate,
    Kind.HOLD_RATE: of_optimizers.hold_rate,
    Kind.MOMENTUM: of_optimizers.momentum,
    Kind.WEIGHT_DECAY: of_optimizers.weight_decay,
    Kind.WARM_UP: of_optimizers.warm_up,
    Kind.CLIP: of_optimizers.clip,
    Kind.FINITE_GRADIENTS: of_optimizers.finite_gradients,
    Kind.ROOT: of_roots.root,
    Kind.ZERO_GRADIENTS: of_optimizers.zero_gradients,
    Kind.SCHEDULE: of_optimizers.schedule,
    Kind.ADD_PARAMETERS: of_parameters.add_parameters,
    Kind.TRAIN_MODE: of_models.train_mode,
    Kind.INITIALISE: of_models.initialise,
    Kind.DROPOUT: of_models.dropout,
    Kind.PROBABILITIES: of_models.probabilities,
    Kind.BATCH_NORM: of_models.batch_norm,
    Kind.SKIP: of_activations.skip,
    Kind.SWAP: of_activations.swap,
    Kind.INSERT: of_activations.insert,
    Kind.NONLINEARITY: of_activations.nonlinearity,
    Kind.SQUEEZE: of_losses.squeeze,
    Kind.DIFFERENCE: of_losses.difference,
    Kind.ONE_LOGIT: of_losses.one_logit,
    Kind.LOG_SOFTMAX: of_losses.log_softmax,
    Kind.CLASS_WEIGHTS: of_losses.class_weights,
    Kind.SCALE: of_losses.scale,
    Kind.DROP_ROWS: of_losses.drop_rows,
}


@dataclass(frozen=True, slots=True)
class Patch:
    """Treatments, written out.

    Args:
        diff: Unified, with paths relative to the folder of the run; empty without literal edits.
        advice: What the person has to write, and where; a line each.
        files: The edited files, whole.
    """

    diff: str
    advice: tuple[str, ...]
    files: Mapping[Path, bytes]


def write_patch(treatments: Sequence[Treatment], survey: Written, folder: Path) -> Patch:
    """Return the edits of treatments as one diff.

    A treatment whose edit is not literal becomes advice; where one of several does, the diff holds
    the others.

    Args:
        treatments: What is written out.
        survey: Places of the code.
        folder: Where the program was started.
    """
    sources = Sources(folder)
    edits: Edits = []
    advice = []
    for each in treatments:
        try:
            more = WRITERS.get(each.kind, _no_line)(sources, each, survey)
            _apply(sources, [*edits, *more])
            edits += more
        except NotLiteralError as error:
            advice.append(f"{each.label}: by hand, as {error}")
    files = _apply(sources, edits)
    diff = "".join(_diff(sources, path, text) for path, text in sorted(files.items()))
    return Patch(diff, tuple(advice), files)


def _no_line(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    raise NotLiteralError("it has no line of its own in the source")


def _apply(sources: Sources, edits: Edits) -> dict[Path, bytes]:
    by_path: dict[Path, list[Replacement]] = {}
    for path, replacement in edits:
        by_path.setdefault(path, []).append(replacement)
    return {path: applied(sources.text(path), each) for path, each in by_path.items()}


def _diff(sources: Sources, path: Path, text: bytes) -> str:
    name = path.relative_to(sources.folder).as_posix()
    return unified(name, sources.text(path).decode(), text.decode())


def unified(name: str, before: str, after: str) -> str:
    r"""Return a unified diff that ``git apply`` takes.

    Example:
        >>> print(unified("train.py", "lr = 1", "lr = 0.1"), end="")
        --- a/train.py
        +++ b/train.py
        @@ -1 +1 @@
        -lr = 1
        \ No newline at end of file
        +lr = 0.1
        \ No newline at end of file
    """
    lines = difflib.unified_diff(
        _lines(before), _lines(after), fromfile=f"a/{name}", tofile=f"b/{name}"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _lines(text: str) -> list[str]:
    """Split at line feeds alone, as git does."""
    lines = text.split("\n")
    return [*(f"{line}\n" for line in lines[:-1]), *filter(None, lines[-1:])]
