"""Opening a page where there is a screen to open it on."""

import os
import sys
from pathlib import Path


def open_in_browser(page: Path) -> bool:
    """Open a file in the person's browser; do nothing where there is no screen.

    Returns:
        Whether a browser took it.
    """
    return open_address(page.resolve().as_uri())


def open_address(address: str) -> bool:
    """Open an address as ``open_in_browser`` opens a file."""
    import webbrowser

    on_linux = sys.platform.startswith("linux")
    if on_linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    return webbrowser.open(address)
