"""A person's source file, and where its expressions and statements stand in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, ParentNodeProvider

from relume.remedies.cure.place import CodePlace

Node = TypeVar("Node", bound=cst.CSTNode)
SIMPLE = (cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.Integer, cst.Float)


@dataclass(frozen=True, slots=True)
class Replacement:
    """Bytes of a file that give way to others.

    Args:
        start: First byte.
        end: Behind the last one; the same for an insertion.
        text: What comes there.
    """

    start: int
    end: int
    text: str


class NotLiteralError(Exception):
    """An edit that cannot be written out; its words are the advice instead."""


class Source:
    """One file, parsed.

    Args:
        path: Of the file.
        text: Its bytes.
    """

    def __init__(self, path: Path, text: bytes) -> None:
        self.path = path
        self.text = text
        wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
        self.module = wrapper.module
        self._spans = wrapper.resolve(ByteSpanPositionProvider)
        self._parents = wrapper.resolve(ParentNodeProvider)

    @cached_property
    def newline(self) -> str:
        """What ends its lines."""
        return "\r\n" if b"\r\n" in self.text else "\n"

    @cached_property
    def line_starts(self) -> list[int]:
        """The first byte of each line."""
        starts = [0]
        for line in self.text.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        return starts

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Return the bytes of a node, its parentheses with it, without the space around it."""
        span = self._spans[node]
        return span.start, span.start + span.length

    def code(self, node: cst.CSTNode) -> str:
        """Return the text of a node as it stands."""
        start, end = self.span(node)
        return self.text[start:end].decode()

    def operand(self, node: cst.CSTNode) -> str:
        """Return the text of an expression, in parentheses where an operator could tear it."""
        code = self.code(node)
        return code if isinstance(node, SIMPLE) else f"({code})"

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """Return what a node is directly in."""
        return self._parents.get(node)

    def within(self, node: cst.CSTNode, *kinds: Any) -> cst.CSTNode | None:
        """Return the nearest node of certain classes that a node is in."""
        above = self.parent(node)
        while above is not None and not isinstance(above, kinds):
            above = self.parent(above)
        return above

    def all_of(self, kind: type[Node]) -> Iterator[Node]:
        """Yield every node of a kind."""
        waiting: list[cst.CSTNode] = [self.module]
        while waiting:
            node = waiting.pop()
            if isinstance(node, kind):
                yield node
            waiting.extend(node.children)

    def call_at(self, place: CodePlace) -> cst.Call:
        """Return the call at a place.

        Raises:
            NotLiteralError: If there is none.
        """
        start, end = self.bytes_of(place)
        best = None
        for call in self.all_of(cst.Call):
            span = self.span(call)
            if span == (start, end):
                return call
            if span[1] == end and span[0] <= start and best is None:
                best = call
        if best is None:
            raise NotLiteralError(f"{place.short} is no plain call")
        return best

    def subtraction_at(self, place: CodePlace) -> cst.BinaryOperation:
        """Return the subtraction at a place, which may stand in parentheses.

        Raises:
            NotLiteralError: If there is none.
        """
        start, end = self.bytes_of(place)
        for node in self.all_of(cst.BinaryOperation):
            first, last = self.span(node)
            around = self.text[first:start] + self.text[end:last]
            is_there = first <= start and end <= last and not around.strip(b"() \t\r\n")
            if is_there and isinstance(node.operator, cst.Subtract):
                return node
        raise NotLiteralError(f"{place.short} is no plain subtraction")

    def bytes_of(self, place: CodePlace) -> tuple[int, int]:
        """Return the bytes of a place."""
        starts = self.line_starts
        if not 0 < place.line < len(starts) or not 0 < place.end_line < len(starts):
            raise NotLiteralError(f"{place.short} is not in the file")
        return starts[place.line - 1] + place.column, starts[place.end_line - 1] + place.end_column

    def statement(self, node: cst.CSTNode) -> cst.SimpleStatementLine:
        """Return the statement that a node is in, if it has its lines for itself.

        Raises:
            NotLiteralError: If it shares its line with others, or is no simple one.
        """
        found = (
            node
            if isinstance(node, cst.SimpleStatementLine)
            else self.within(
                node, cst.SimpleStatementLine, cst.SimpleStatementSuite, cst.BaseCompoundStatement
            )
        )
        if not isinstance(found, cst.SimpleStatementLine) or len(found.body) != 1:
            raise NotLiteralError(f"line {self.line_of(node)} holds more than one statement")
        return found

    def line_of(self, node: cst.CSTNode) -> int:
        """Return the line that a node begins in, from 1."""
        start = self.span(node)[0]
        return sum(each <= start for each in self.line_starts)

    def indentation(self, node: cst.CSTNode) -> str:
        """Return the white space that the line of a node begins with."""
        start = self.line_starts[self.line_of(node) - 1]
        line = self.text[start:].split(b"\n", 1)[0].decode()
        return line[: len(line) - len(line.lstrip())]

    def before(self, node: cst.CSTNode, *lines: str) -> Replacement:
        """Return the insertion of lines before the line of a statement."""
        at = self.line_starts[self.line_of(node) - 1]
        return Replacement(at, at, self._lines(self.indentation(node), lines))

    def after(self, node: cst.CSTNode, *lines: str) -> Replacement:
        """Return the insertion of lines after a statement."""
        end = self.span(node)[1]
        following = [start for start in self.line_starts if start >= end]
        at = following[0] if following else len(self.text)
        text = self._lines(self.indentation(node), lines)
        if at == len(self.text) and not self.text.endswith(b"\n"):
            text = self.newline + text.removesuffix(self.newline)
        return Replacement(at, at, text)

    def replace(self, node: cst.CSTNode, text: str) -> Replacement:
        """Return the replacement of a node."""
        return Replacement(*self.span(node), text)

    def _lines(self, indentation: str, lines: Sequence[str]) -> str:
        return "".join(f"{indentation}{line}{self.newline}" for line in lines)

    @cached_property
    def imported(self) -> frozenset[str]:
        """Names that imports at the top of the file bind."""
        names = set()
        for statement in self.module.body:
            if not isinstance(statement, cst.SimpleStatementLine):
                continue
            for each in statement.body:
                if isinstance(each, (cst.Import, cst.ImportFrom)) and not isinstance(
                    each.names, cst.ImportStar
                ):
                    names |= {_bound(alias) for alias in each.names}
        return frozenset(names)

    def import_of_torch(self) -> list[Replacement]:
        """Return what has to be added so that ``torch`` is a name in the file."""
        if "torch" in self.imported:
            return []
        for statement in self.module.body:
            is_import = isinstance(statement, cst.SimpleStatementLine) and isinstance(
                statement.body[0], (cst.Import, cst.ImportFrom)
            )
            if is_import and "__future__" not in self.code(statement):
                return [self.before(statement, "import torch")]
        raise NotLiteralError(f"{self.path.name} does not import torch")


def _bound(alias: cst.ImportAlias) -> str:
    if alias.asname is not None and isinstance(alias.asname.name, cst.Name):
        return alias.asname.name.value
    name: cst.BaseExpression = alias.name
    while isinstance(name, cst.Attribute):
        name = name.value
    return name.value if isinstance(name, cst.Name) else ""


def applied(text: bytes, replacements: Sequence[Replacement]) -> bytes:
    """Return a file with replacements made.

    Raises:
        NotLiteralError: If two of them overlap.

    Example:
        >>> applied(b"lr=0.3", [Replacement(3, 6, "0.03")])
        b'lr=0.03'
    """
    ordered = sorted(dict.fromkeys(replacements), key=lambda each: (each.start, each.end))
    for one, other in pairwise(ordered):
        if other.start < one.end:
            raise NotLiteralError("two of the changes meet in one line")
    for each in reversed(ordered):
        text = text[: each.start] + each.text.encode() + text[each.end :]
    return text
