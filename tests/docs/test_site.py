"""The site: every public name, rule, activation and command has its page, and links are checked."""

import re

import pytest

import relume
from docs.blocks import PAGES
from docs.check_site import check
from docs.generated.activation_plot import plot
from docs.generated.activations import activation_pages
from docs.generated.api import api_page
from docs.generated.clinic import clinic_page
from docs.generated.commands import command_names, commands_page
from docs.generated.docstrings import to_markdown
from docs.generated.figures import FIGURES, fill
from docs.generated.navigation import complete
from docs.generated.remedies import remedy_pages
from docs.generated.results import result
from docs.generated.rules import rule_pages, rules_index
from relume.cli import COMMANDS
from relume.diagnosis.rules import RULES
from relume.nn.curve import sample_curve
from relume.nn.registry import activation_names, get_activation
from relume.remedies.actions import ACTIONS


def test_each_rule_remedy_and_activation_has_a_page():
    assert set(rule_pages()) == {f"rules/{rule.code.value}.md" for rule in RULES}
    assert set(remedy_pages()) == {f"remedies/{action.name}.md" for action in ACTIONS}
    assert set(activation_pages()) == {f"activations/{name}.md" for name in activation_names()}
    index = rules_index()
    assert all(f"rules/{rule.code.value}.md" in index for rule in RULES)


def test_the_reference_has_every_public_name_command_and_option():
    page = api_page()
    for name in set(relume.__all__) - {"__version__", "nn"}:
        assert f"### relume.{name}\n" in page
    commands = commands_page()
    assert len(command_names()) == len(COMMANDS)
    for name in command_names():
        assert f"## relume {name}\n" in commands
    for option in ("`--fail-on CODES`", "`--weight-noise NUMBER`", "`--repair`, `--no-repair`"):
        assert option in commands


def test_a_plot_has_the_curve_of_its_activation():
    drawn = plot(sample_curve(get_activation("relu"), low=-1, high=1, points=3))
    value = re.findall(r'class="value" d="([^"]+)"', drawn)[0]
    places = [tuple(map(float, each.split())) for each in re.findall(r"[ML]([\d.]+ [\d.]+)", value)]
    (left, low), (middle, same), (right, high) = places
    assert (middle - left, low) == (right - middle, same)
    assert high < low  # up is less in a picture


def test_no_line_bridges_a_jump():
    drawn = plot(sample_curve(get_activation("relu"), points=101))
    slope = re.findall(r'class="derivative" d="([^"]+)"', drawn)[0]
    assert slope.count("M") == 2


def test_a_docstring_becomes_markdown():
    text = "Add.\n\nArgs:\n    a: One,\n        or ``two``.\n\nExample:\n    >>> 1 + 1\n    2\n"
    assert to_markdown(text) == (
        "Add.\n\n**Args**\n\n- `a`: One,\n    or `two`.\n\n"
        "**Example**\n\n```pycon\n>>> 1 + 1\n2\n```"
    )


def test_figures_come_from_the_results_and_unknown_ones_are_an_error():
    assert fill("{{ rules }} rules", "a.md") == f"{len(RULES)} rules"
    for make in FIGURES.values():
        assert make()
    with pytest.raises(KeyError, match=r"a\.md: no figure is called 'spam'"):
        fill("{{ spam }}", "a.md")
    found = result("clinic")["parts"]["validation"]["harmful_found"]
    assert f"{found['hits']} of {found['of']}" in clinic_page()


def test_every_figure_is_used_on_a_page():
    pages = "".join(path.read_text(encoding="utf-8") for path in PAGES.rglob("*.md"))
    assert not [name for name in FIGURES if f"{{{{ {name} }}}}" not in pages]


def test_an_absent_page_is_left_out_of_the_navigation():
    nav = ["index.md", {"Gone": "gone.md"}, {"Rules": "rules.md"}, {"Parts": [{"No": "no.md"}]}]
    made = ["rules.md", "rules/RLM011.md"]
    assert complete(nav, made) == [
        "index.md", {"Rules": ["rules.md", "rules/RLM011.md"]}, {"Parts": []},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<a href="gone.html">', "gone.html leads nowhere"),
        ('<a href="#nowhere">', "#nowhere: there is no such anchor"),
        ('<a href="other.html#nowhere">', "other.html#nowhere: there is no such anchor"),
        ('<script src="https://a.b/c.js"></script>', "fetches https://a.b/c.js"),
        ('<link rel="preconnect" href="//fonts.b">', "fetches //fonts.b"),
        ('<img src="gone.png">', "gone.png is not there"),
        ("<style>a { background: url('https://a.b/c.png') }</style>", "https://a.b/c.png"),
    ],
)
def test_a_broken_link_and_anything_fetched_is_noticed(body, said, tmp_path):
    (tmp_path / "other.html").write_text('<h1 id="there">')
    page = tmp_path / "index.html"
    page.write_text('<a href="other.html#there"><a href="https://example.com"><a href="#x" id="x">')
    assert list(check(tmp_path)) == []
    page.write_text(body)
    (wrong,) = check(tmp_path)
    assert said in wrong


def test_a_style_sheet_that_fetches_is_noticed(tmp_path):
    (tmp_path / "index.html").write_text("<p>")
    (tmp_path / "site.css").write_text("@import 'https://a.b/c.css'; a { src: url(data:x) }")
    assert list(check(tmp_path)) == ["site.css: fetches https://a.b/c.css"]
