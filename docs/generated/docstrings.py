"""Docstrings in Google's style, as Markdown."""

import inspect
import re

_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example|Examples|Cost|Note"
                      r"|References|Shape|Source):\s*$")  # fmt: skip
_ITEM = re.compile(r"^(\*{0,2}[\w. ,`]+):\s+(.*)$")
LISTED = ("Args", "Attributes", "Raises")


def sections(title: str, page: str) -> list[str]:
    """Return a rule's or a remedy's docstring: a heading where a line is not indented."""
    first, *rest = inspect.cleandoc(page).splitlines()
    lines = [f"# {title}", "", first, ""]
    for line in rest:
        is_heading = bool(line) and not line.startswith(" ")
        lines.append(f"## {line.rstrip(':')}\n" if is_heading else line.strip())
    return lines


def to_markdown(docstring: str) -> str:
    """Return a docstring as Markdown: bold sections, arguments as lists, examples as code."""
    parts: list[str] = []
    for heading, lines in _parts(inspect.cleandoc(docstring).splitlines()):
        text = inspect.cleandoc("\n".join(lines))
        if not text:
            continue
        if heading:
            parts.append(f"**{heading}**")
        parts.append(_body(heading, text))
    return "\n\n".join(parts)


def _parts(lines: list[str]) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in lines:
        match = _SECTION.match(line)
        if match:
            found.append((match[1], [""]))
        else:
            found[-1][1].append(line)
    return found


def _body(heading: str, text: str) -> str:
    if heading in LISTED:
        return "\n".join(_items(text.splitlines()))
    if heading.startswith("Example"):
        return f"```pycon\n{text}\n```"
    return _prose(text).replace("``", "`")


def _items(lines: list[str]) -> list[str]:
    """Return ``name: what it is`` as a list, what follows indented as part of it."""
    items: list[str] = []
    for line in lines:
        match = _ITEM.match(line)
        if match:
            items.append(f"- `{match[1].strip('*')}`: {match[2]}".replace("``", "`"))
        else:
            items.append(line.replace("``", "`"))
    return items


def _prose(text: str) -> str:
    """Return text whose indented examples are fenced."""
    lines: list[str] = []
    is_code = False
    for line in text.splitlines():
        starts = line.startswith("    ") and not is_code and (not lines or lines[-1] == "")
        if starts:
            lines.append("```text")
            is_code = True
        elif is_code and line and not line.startswith("    "):
            lines[-1:] = ["```", ""]
            is_code = False
        lines.append(line[4:] if is_code else line)
    return "\n".join([*lines, "```"] if is_code else lines)
