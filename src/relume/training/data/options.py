"""What a person may say about a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relume.errors import DataError
from relume.training.data.cells import is_unreadable
from relume.training.data.table import Table
from relume.training.data.task import Task
from relume.training.data.wording import require_columns, shown


@dataclass(frozen=True, slots=True)
class DataOptions:
    """What a person may say about a table.

    Args:
        target: Column to predict, or several with commas between; None for the usual one.
        test: A file with rows to test on; None to set some of the rows aside.
        task: What to predict, of several targets one each; None to find out.
        drop: Columns to leave out.
        categorical: Columns to read as categories, whatever they hold.
        text: Columns to read as text, word by word, however short.
        read_texts: Whether columns of prose are read; otherwise they are left out.
        missing: Texts that mean a missing value, beside the usual ones.
        validation_fraction: Share of all rows that is set aside to steer training, in (0, 1).
        test_fraction: Share of all rows that is set aside to test on, in (0, 1).
        seed: Of the split.
        unsupervised: Whether nothing is predicted; then ``target`` names columns to leave out.
    """

    target: str | None = None
    test: Path | None = None
    task: Task | tuple[Task, ...] | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    read_texts: bool = True
    missing: tuple[str, ...] = ()
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    seed: int = 0
    unsupervised: bool = False


def shares(options: DataOptions) -> tuple[float, ...]:
    """Return how much of the rows goes into training, validation and (if set aside) test part.

    Example:
        >>> shares(DataOptions(validation_fraction=0.25, test_fraction=0.25))
        (0.5, 0.25, 0.25)
    """
    validation, test = options.validation_fraction, options.test_fraction
    if options.test is not None:
        return (1 - validation, validation)
    return (1 - validation - test, validation, test)


def check_fractions(options: DataOptions) -> None:
    """Refuse shares that leave a part empty.

    Raises:
        DataError: A share is out of range, or nothing is left to train on.
    """
    validation, test = options.validation_fraction, options.test_fraction
    for name, fraction in (("validation", validation), ("test", test)):
        if not 0 < fraction < 1:
            raise DataError(f"the {name} fraction must be above 0 and below 1, not {fraction:g}")
    if options.test is None and validation + test >= 1:
        raise DataError(
            f"validation and test fraction add up to {validation + test:g}; "
            "below 1 there is something left to train on"
        )


def check_columns(table: Table, targets: tuple[str, ...], options: DataOptions) -> None:
    """Refuse options that name columns which are not there, or not meant.

    Raises:
        DataError: One does.
    """
    require_columns(table.name, options.drop, table.frame.columns, "--drop")
    which = "the target" if len(targets) == 1 else "a target"
    for target in targets:
        if target in options.drop:
            raise DataError(f"--drop {shown(target)}: this is {which}; name another with --target")
        if target in options.categorical:
            raise DataError(
                f"--categorical {shown(target)}: this is {which}; --task classification is meant"
            )
    for flag, names in (("--categorical", options.categorical), ("--text", options.text)):
        require_columns(table.name, names, table.frame.columns, flag)
        for name in names:
            why = _why_not(table, targets, options, name)
            if why:
                raise DataError(f"{flag} {shown(name)}: this column {why}; leave the option out")
    both = set(options.categorical) & set(options.text)
    if both:
        raise DataError(f"column {shown(min(both))} is in --categorical and in --text; choose one")


def refuse_column_options(options: DataOptions, instead: str) -> None:
    """Refuse the options for the columns of tables, where the data have no columns.

    Args:
        options: What a person said.
        instead: Where the target of such data is.

    Raises:
        DataError: One of them is given.
    """
    for name in ("target", "drop", "categorical", "text", "missing"):
        if getattr(options, name):
            raise DataError(f"--{name} is for the columns of tables; {instead}: leave it out")


def _why_not(table: Table, targets: Sequence[str], options: DataOptions, name: str) -> str:
    """Say why a column cannot be read in a way that was asked for; empty if it can."""
    if name in targets:
        return "is the target" if len(targets) == 1 else "is a target"
    if name in options.drop:
        return "is dropped"
    return "holds no single values" if is_unreadable(table.frame.schema[name]) else ""
