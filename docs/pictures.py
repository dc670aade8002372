"""Photograph the report of the tutorial's broken training: ``python -m docs.pictures``.

Needs Debian's chromium. The README and the documentation show what comes out: the first screen, and
the network with a cell for every unit.
"""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from docs.blocks import PAGES, blocks

IMAGES = PAGES / "images"
CHROMIUM = "/usr/bin/chromium"
WIDTH, HEIGHT = 1120, 785


def main() -> None:
    """Break the tutorial's network and photograph its report in both themes."""
    script = next(block for block in blocks(PAGES / "tutorial.md") if block.title == "train.py")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as play:
        folder = Path(place)
        (folder / "train.py").write_text(script.text, encoding="utf-8")
        command = shlex.split("-m relume run --quiet --every 2 --out broken train.py --lr 0.3")
        subprocess.run([sys.executable, *command], cwd=folder, check=True)  # noqa: S603
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        for theme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": WIDTH, "height": 900}, color_scheme=theme, device_scale_factor=1
            )
            page.goto((folder / "broken" / "report.html").as_uri())
            page.wait_for_timeout(500)
            page.screenshot(
                path=IMAGES / f"report-{theme}.png",
                full_page=True,
                clip={"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT},
            )
            page.locator("section#units").screenshot(path=IMAGES / f"units-{theme}.png")
        browser.close()


if __name__ == "__main__":
    main()
