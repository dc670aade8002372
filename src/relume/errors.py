"""The exception tree: what a person did that cannot work, and what is ours.

::

    RelumeError                 exit code 1: a fault of ours
    ├── SnapshotError           a state that cannot be kept, so that nothing could be undone
    └── UserError               exit code 2: what was given cannot be used
        ├── UnknownNameError    no such name; the nearest known ones are offered
        ├── DataError           a table, image or target that cannot be read or learned from
        ├── SettingsError       an option or configuration file that makes no sense
        ├── ModelFormatError    a model folder that is not one of ours, or is damaged
        ├── RunFileError        a run file that is not one of ours, or is damaged
        ├── OutputError         a place that cannot be written
        └── MissingExtraError   a library that only this wants is not installed; an ImportError too

Every message is one line that says what is wrong, where, what was given and what to do.
"""

import difflib
from collections.abc import Iterable


class RelumeError(Exception):
    """Anything Relume raises on purpose."""

    exit_code = 1


class SnapshotError(RelumeError):
    """A state of a training that cannot be kept: nothing done from here could be undone."""


class UserError(RelumeError):
    """What was given cannot be used."""

    exit_code = 2


class DataError(UserError):
    """Data that cannot be read or learned from."""


class SettingsError(UserError):
    """An option or a configuration that makes no sense."""


class ModelFormatError(UserError):
    """A model folder that is not one of ours, or is damaged."""


class RunFileError(UserError):
    """A run file that is not one of ours, or is damaged."""


class OutputError(UserError):
    """A place that cannot be written."""


class MissingExtraError(UserError, ImportError):
    """A library that is wanted for this alone is not installed.

    Args:
        what: What wants it.
        library: The library, as it is imported.
        extra: The extra of Relume's that brings it.

    Example:
        >>> str(MissingExtraError("relume.integrations.skorch", "skorch", "skorch"))
        "relume.integrations.skorch wants skorch, which is not there; pip install 'relume[skorch]'"
    """

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(
            f"{what} wants {library}, which is not there; pip install 'relume[{extra}]'"
        )


class UnknownNameError(UserError):
    """A name that is not known; the nearest known names are offered.

    Args:
        kind: What the name is of, for example ``"activation"``.
        name: The name that was given.
        known: Every name that would have been accepted.

    Example:
        >>> str(UnknownNameError("activation", "rellu", ["relu", "elu", "tanh"]))
        "unknown activation 'rellu'; did you mean relu or elu?"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        offer = nearest_names(name, names)
        if offer:
            advice = f"did you mean {' or '.join(offer)}?"
        else:
            shown = ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
            advice = f"known are: {shown}"
        super().__init__(f"unknown {kind} {name!r}; {advice}")


def nearest_names(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known names most like ``name``, the nearest first.

    Example:
        >>> nearest_names("Targt", ["target", "price"])
        ['target']
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=most, cutoff=0.55)
    return [by_folded[folded] for folded in close]
