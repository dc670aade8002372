import json

from hypothesis import given, settings
from hypothesis import strategies as st

from relume.report.html import render_page
from relume.report.live.page import Contents, LivePage, sections_of
from relume.report.live.rendering import Renderer

SECTIONS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1", "2"]), max_size=4)


def browser_after(state, message):
    """What a browser shows that takes a message: parts by name in order, and data."""
    if message is None:
        return state
    parts = {**state[0], **message["changed"]}
    return {name: parts[name] for name in message["order"]}, message.get("data", state[1])


def test_parts_are_the_header_and_the_outermost_sections():
    html = (
        "<header>\n<h1>A</h1></header>\n<main>"
        '<section class="notice" aria-label="What is missing"><p>m</p></section>'
        '<section id="b"><section id="inner">x</section><header>y</header></section>'
        '<section aria-labelledby="d"><h2 id="d">d</h2></section>'
        '<section class="c" aria-label="Other" id="c">z</section><section>n</section></main>'
    )
    parts = sections_of(html)
    assert list(parts) == ["header", "What is missing", "b", "d", "c", "section-5"]
    assert parts["b"] == (
        '<section id="b"><section id="inner">x</section><header>y</header></section>'
    )
    assert "".join(parts.values()) == html.replace("\n<main>", "").replace("</main>", "")


def test_a_live_page_shows_what_the_report_shows(digits_document):
    contents = Renderer().contents(digits_document)
    report = render_page(digits_document)
    assert {"header", "findings", "training", "units", "layers", "details"} <= set(
        contents.sections
    )
    for html in contents.sections.values():
        assert html.split() == html.split()
        assert "".join(html.split()) in "".join(report.split())
    assert f'id="data">{json.dumps(contents.data, separators=(",", ":"))[:200]}' in report
    assert (contents.status, contents.steps) == ("finished", 300)


@given(st.lists(st.tuples(SECTIONS, st.sampled_from([{}, {"n": 1}])), min_size=1, max_size=8),
       st.data())  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_who_follows_the_messages_shows_what_the_page_shows(states, data):
    page = LivePage("one")
    seen, state = "", ({}, {})
    for sections, drawn in states:
        page.put(Contents(sections, drawn))
        if data.draw(st.booleans()):
            state = browser_after(state, page.message(seen))
            seen = page.place
    state = browser_after(state, page.message(seen))
    assert state == (page.contents.sections, page.contents.data)
    assert list(state[0]) == list(page.contents.sections)
    assert page.message(page.place) is None


def test_a_message_holds_what_changed_and_no_more():
    page = LivePage("one")
    assert page.message() is None
    assert page.put(Contents({"a": "1", "b": "1"}, {"x": [1]}))
    assert not page.put(Contents({"a": "1", "b": "1"}, {"x": [1]}))
    seen = page.place
    assert page.put(Contents({"b": "1", "a": "2"}, {"x": [1]}, steps=7))
    message = page.message(seen)
    assert message["order"] == ["b", "a"]
    assert message["changed"] == {"a": "2"}
    assert "data" not in message
    assert message["steps"] == 7


def test_who_comes_from_elsewhere_is_told_everything():
    page = LivePage("one")
    page.put(Contents({"a": "1", "b": "1"}, {"x": 1}))
    page.put(Contents({"a": "1", "b": "2"}, {"x": 1}))
    for place in ("", "two-1", "one-99", "one-", "one-x", "one-²", "-1", "one-1" + "0" * 30):
        message = page.message(place)
        assert message["changed"] == {"a": "1", "b": "2"}, place
        assert message["data"] == {"x": 1}
    assert page.message("one-1")["changed"] == {"b": "2"}
