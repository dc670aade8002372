"""The live pages as HTML: one run, the list of runs, and two runs side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from relume.report.html import embedded, main_values, page_data, painted, policy
from relume.report.live.cards import Card
from relume.report.live.page import Contents, LivePage, sections_of
from relume.report.parts import Document

_OWN = "; connect-src 'self'; frame-src 'self'; frame-ancestors 'self'"
_TEMPLATES = ("main.html.j2", "live.html.j2", "live_runs.html.j2")


@dataclass(frozen=True, slots=True)
class Answer:
    """A page and the policy that it is sent with."""

    html: str
    policy: str


class Renderer:
    """Fills the templates; they are read once."""

    def __init__(self) -> None:
        folder = files("relume.report") / "templates"
        text = {name: (folder / name).read_text(encoding="utf-8") for name in _TEMPLATES}
        read = {
            name: (folder / name).read_text(encoding="utf-8")
            for name in (
                "live.js", "live.css", "page.js", "page.css",
                "vendor/uPlot.iife.min.js", "vendor/uPlot.min.css", "vendor/uPlot.LICENSE.txt",
            )
        }  # fmt: skip
        self._styles = (
            read["vendor/uPlot.min.css"] + painted(read["page.css"]) + "\n" + read["live.css"]
        )
        uplot = f"/*\n{read['vendor/uPlot.LICENSE.txt']}*/\n{read['vendor/uPlot.iife.min.js']}"
        self._drawing = (uplot, read["page.js"])
        self._live = read["live.js"]
        self._templates = jinja2.Environment(
            loader=jinja2.DictLoader(text),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
        )

    def contents(self, document: Document) -> Contents:
        """Return what the page of a run shows: that of its report."""
        html = self._templates.get_template("main.html.j2").render(main_values(document))
        return Contents(
            sections=sections_of(html),
            data=page_data(document),
            status=document.status,
            steps=document.steps,
        )

    def list_of(self, cards: Sequence[Card], folder: str) -> Contents:
        """Return what the list of runs shows."""
        template = self._templates.get_template("live_runs.html.j2")
        html = template.render(cards=cards, folder=folder)
        return Contents(sections=sections_of(html))

    def page_of_run(self, page: LivePage, title: str) -> Answer:
        """Return the whole page of a run, as it stands."""
        return self._page(page, title=title, kind="run", scripts=self._drawing)

    def page_of_list(self, page: LivePage) -> Answer:
        """Return the whole list of runs, as it stands."""
        return self._page(page, title="Runs", kind="list")

    def page_of_two(self, keys: Sequence[str], names: Sequence[str]) -> Answer:
        """Return a page with two runs side by side, each a page of its own."""
        pairs = list(zip(keys, names, strict=True))
        return self._page(None, title=" and ".join(names), kind="two", pairs=pairs)

    def _page(
        self,
        page: LivePage | None,
        *,
        title: str,
        kind: str,
        scripts: Sequence[str] = (),
        pairs: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        contents = Contents({}) if page is None or page.contents is None else page.contents
        state: dict[str, Any] = {
            "place": "" if page is None else page.place,
            "status": contents.status,
            "steps": contents.steps,
            "note": contents.note,
        }
        own = () if page is None else (self._live,)
        html = self._templates.get_template("live.html.j2").render(
            title=title,
            kind=kind,
            pairs=pairs,
            styles=_trusted(self._styles),
            header=_trusted(contents.sections.get("header", "")),
            sections=[
                _trusted(html) for name, html in contents.sections.items() if name != "header"
            ],
            state=embedded(state),
            page_data=embedded(contents.data),
            scripts=[_trusted(script) for script in (*own, *scripts)],
        )
        return Answer(html, policy(*own, *scripts) + _OWN)


def _trusted(text: str) -> Markup:
    """Our own text, or text that a template has escaped before."""
    return Markup(text)  # noqa: S704
