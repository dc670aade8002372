"""What a person may say about a table."""

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
    missing: tuple[str, ...] = ()
    validation_fraction: float = 0.2
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
    require_columns(table.name, options.categorical, table.frame.columns, "--categorical")
    which = "the target" if len(targets) == 1 else "a target"
    for target in targets:
        if target in options.drop:
            raise DataError(f"--drop {shown(target)}: this is {which}; name another with --target")
        if target in options.categorical:
            raise DataError(
                f"--categorical {shown(target)}: this is {which}; --task classification is meant"
            )
    for name in options.categorical:
        if name in options.drop or is_unreadable(table.frame.schema[name]):
            why = "is dropped" if name in options.drop else "holds no single values"
            raise DataError(f"--categorical {shown(name)}: this column {why}; leave the option out")
