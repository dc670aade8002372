"""Libraries that an adapter wants, and one clear line where they are not installed."""

import importlib
import sys
from types import ModuleType

from relume.errors import MissingExtraError
from relume.integrations import INTEGRATIONS


def wanted(adapter: str, *names: str) -> ModuleType:
    """Import the first module there is: one that is in use already before others.

    Args:
        adapter: Module of the adapter, ``relume.integrations.skorch``.
        names: Of the modules, in the order of preference.

    Raises:
        MissingExtraError: None of them is installed.
        ImportError: One is, and cannot be imported.
    """
    used = [name for name in names if name.partition(".")[0] in sys.modules]
    for name in (*used, *names):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # it is there, and misses something itself
    extra = next(each.extra for each in INTEGRATIONS if each.module == adapter)
    libraries = " or ".join(dict.fromkeys(name.partition(".")[0] for name in names))
    raise MissingExtraError(adapter, libraries, extra) from None
