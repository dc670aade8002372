"""Check a built site: every link and anchor leads somewhere, and nothing is fetched.

``python docs/check_site.py SITE`` prints what is wrong, one line each, and exits with 1 if any is.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {
    "script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src",
    "video": "src", "audio": "src", "embed": "src", "object": "data", "image": "href",
    "use": "href",
}  # fmt: skip
"""Elements that a browser fetches by itself, and the attribute that says what."""
INERT = {"canonical", "next", "prev", "alternate", "edit"}
"""What a ``link`` may be for that no browser fetches."""
REMOTE = ("http:", "https:", "//")
_URL = re.compile(r"""url\(\s*['"]?([^'")]+)|@import\s+['"]([^'"]+)""")


class Page(HTMLParser):
    """What one page links to, fetches, and can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.styles: list[str] = []
        self._is_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element refers to."""
        of = {name: value or "" for name, value in attrs}
        self.anchors |= {of[name] for name in ("id", "name") if of.get(name)}
        self._is_style = tag == "style"
        if "style" in of:
            self.styles.append(of["style"])
        if tag == "a" and "href" in of:
            self.links.append(of["href"])
        address = of.get(FETCHED.get(tag, ""))
        if address and not set(of.get("rel", "").split()) & INERT:
            self.fetched.append(address)

    def handle_data(self, data: str) -> None:
        """Keep style sheets within the page."""
        if self._is_style:
            self.styles.append(data)
            self._is_style = False


def check(site: Path) -> Iterator[str]:
    """Yield what is wrong with a site, a line each."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site}: no page is there"
    for path, page in pages.items():
        name = path.relative_to(site)
        yield from (f"{name}: {wrong}" for wrong in _fetched(site, path, page))
        for link in page.links:
            yield from (f"{name}: {wrong}" for wrong in _broken(site, path, link, pages))
    for path in sorted(site.rglob("*.css")):
        for address in _remote(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)}: fetches {address}"


def _fetched(site: Path, path: Path, page: Page) -> Iterator[str]:
    for address in page.fetched:
        if address.startswith(REMOTE):
            yield f"fetches {address}"
        elif not address.startswith("data:") and _target(site, path, address) is None:
            yield f"{address} is not there"
    for style in page.styles:
        yield from (f"a style fetches {address}" for address in _remote(style))


def _remote(style: str) -> Iterator[str]:
    for first, second in _URL.findall(style):
        if (first or second).startswith(REMOTE):
            yield first or second


def _broken(site: Path, path: Path, link: str, pages: dict[Path, Page]) -> Iterator[str]:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return
    target = _target(site, path, parts.path) if parts.path else path
    if target is None:
        yield f"{link} leads nowhere"
    elif (
        parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors
    ):
        yield f"{link}: there is no such anchor"


def _target(site: Path, path: Path, address: str) -> Path | None:
    """Return the file that an address within the site stands for, None if there is none."""
    place = unquote(urlsplit(address).path)
    root = site if place.startswith("/") else path.parent
    target = (root / place.lstrip("/")).resolve()
    target = target / "index.html" if target.is_dir() else target
    return target if target.is_file() else None


def main() -> int:
    """Check the site named on the command line."""
    wrong = list(check(Path(sys.argv[1]).resolve()))
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
