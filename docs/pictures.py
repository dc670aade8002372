"""Draw the pictures of the README from a real run: python docs/pictures.py (needs chromium)."""

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from relume.cli import run

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"


def main() -> None:
    """Train on digits and photograph the report in both themes."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        run(["fit", "digits", "--out", folder, "--quiet"])
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        for theme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": 1120, "height": 900}, color_scheme=theme, device_scale_factor=1
            )
            page.goto((Path(folder) / "report.html").as_uri())
            page.wait_for_timeout(500)
            page.screenshot(
                path=IMAGES / f"report-{theme}.png",
                full_page=True,
                clip={"x": 0, "y": 0, "width": 1120, "height": 2420},
            )
        browser.close()


if __name__ == "__main__":
    main()
