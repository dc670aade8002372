"""Draw the pictures of the README from real runs: python docs/pictures.py (needs chromium).

``report-<theme>.png`` is the report of a healthy training, ``broken-<theme>.png`` the first screen
and the network of one whose rate kills most of its units.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from relume.cli import run

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"
THEMES = ("light", "dark")
SCRIPT = '''"""Digits, by a rate at which most units die."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 256)
        self.fc2 = nn.Linear(256, 128)
        self.out = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.out(x)


torch.manual_seed(0)
x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.2)
for _ in range(20):
    for rows in torch.randperm(len(x)).split(32):
        optimizer.zero_grad()
        F.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
'''


def main() -> None:
    """Train, watch a broken training, and photograph both reports in both themes."""
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as play:
        folder = Path(temporary)
        run(["fit", "digits", "--out", str(folder / "fit"), "--quiet"])
        (folder / "train.py").write_text(SCRIPT, encoding="utf-8")
        command = [sys.executable, "-m", "relume", "run", "--every", "5", "--out", "broken"]
        subprocess.run([*command, "train.py"], cwd=folder, check=True)  # noqa: S603
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        photograph(browser, folder / "fit" / "report.html", "report", height=2420)
        photograph(browser, folder / "broken" / "report.html", "broken", height=800)
        browser.close()


def photograph(browser: Browser, page_path: Path, name: str, *, height: int) -> None:
    """Write the upper part of a page in both themes, and its network where it is not in that."""
    for theme in THEMES:
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=theme)
        page.goto(page_path.as_uri())
        page.wait_for_timeout(500)
        page.screenshot(
            path=IMAGES / f"{name}-{theme}.png",
            full_page=True,
            clip={"x": 0, "y": 0, "width": 1280, "height": height},
        )
        if height <= 800:
            page.locator("#units").screenshot(path=IMAGES / f"{name}-network-{theme}.png")
        page.close()


if __name__ == "__main__":
    main()
