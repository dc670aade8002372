"""What a rule is: a code, a page, and a pure function of a record."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, NotJudged
from relume.diagnosis.reading import Reading


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: one file of ``rules/``, whose docstring is its page.

    Args:
        code: Its stable code.
        name: Its name in words, joined by hyphens.
        page: The docstring of its file; the first line says what it finds.
        check: Yields what it finds, and what it could not judge.
        explains: Codes of the findings that follow from this one where both hold.
    """

    code: Code
    name: str
    page: str
    check: Callable[[Reading], Iterator[Finding | NotJudged]]
    explains: frozenset[Code] = field(default_factory=frozenset)

    @property
    def summary(self) -> str:
        """The first line of its page."""
        return self.page.strip().splitlines()[0]
