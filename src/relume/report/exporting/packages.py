"""Packages that an export needs and that Relume does not bring."""

from importlib import import_module
from types import ModuleType

from relume.errors import SettingsError


def imported(module: str, package: str, target: str) -> ModuleType:
    """Import a module, or say how to install what it is part of.

    Raises:
        SettingsError: With the command.
    """
    try:
        return import_module(module)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise SettingsError(
            f"--to {target} needs {package}, which cannot be imported ({reason}); "
            f"install it: python -m pip install {package}"
        ) from error
