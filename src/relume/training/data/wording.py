"""How names, values and counts are written into the sentences that a person reads."""

import shlex
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from relume.errors import DataError, nearest_names


def shown(value: Any, most: int = 40) -> str:
    r"""Write a value on one line, cut after ``most`` characters.

    Example:
        >>> shown("two\nlines"), shown("x" * 50, most=5)
        ("'two\\nlines'", "'xxxxx...'")
    """
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= most else text[:most] + "...")


def as_option(flag: str, value: str) -> str:
    """Write a command line option with its value as a shell would take it.

    Example:
        >>> as_option("--drop", "unit price")
        "--drop 'unit price'"
        >>> as_option("--missing", "-9")  # not to be taken for an option itself
        '--missing=-9'
    """
    between = "=" if value.startswith("-") else " "
    return " ".join(f"{flag}{between}{shlex.quote(value)}".splitlines())


def listed(names: Collection[str], most: int = 8) -> str:
    """Write names one after the other, the first ``most`` of them.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        "'a', 'b' and 1 more"
    """
    first = ", ".join(shown(name) for name, _ in zip(names, range(most), strict=False))
    return first if len(names) <= most else f"{first} and {len(names) - most:,} more"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a count with its noun.

    Example:
        >>> counted(1, "row"), counted(1200, "row"), counted(2, "class", "classes")
        ('1 row', '1,200 rows', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def unknown_column(table: str, name: str, columns: Sequence[str], what: str = "") -> DataError:
    """Return the error for a column that a table does not have; the nearest names are offered.

    Example:
        >>> print(unknown_column("train.csv", "prise", ["price", "size"], "--target"))
        train.csv: --target: there is no column 'prise'; did you mean 'price'?
    """
    near = nearest_names(name, columns)
    advice = (
        f"did you mean {' or '.join(shown(candidate) for candidate in near)}?"
        if near
        else f"its columns are {listed(columns)}"
    )
    given = f"{what}: " if what else ""
    return DataError(f"{table}: {given}there is no column {shown(name)}; {advice}")


def require_columns(
    table: str, names: Iterable[str], columns: Sequence[str], what: str = ""
) -> None:
    """Refuse the first name that is not among the columns.

    Raises:
        DataError: A column is not there.
    """
    present = set(columns)
    for name in names:
        if name not in present:
            raise unknown_column(table, name, columns, what)
