"""A root cause and what follows from it, stage by stage."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from relume.diagnosis.finding import Finding
from relume.report.wording import printable

MOST_LETTERS = 240
MOST_PLACES = 3


@dataclass(frozen=True, slots=True)
class Link:
    """Findings of one rule in a chain.

    Args:
        code: Of the rule.
        name: The rule's name in words.
        said: What the first of them says.
        findings: How many there are, for example one a layer.
        first_step: The earliest step at which one of them began; None where that is not known.
        places: ``file:line`` of what they are about, each once, as far as they are known.
    """

    code: str
    name: str
    said: str
    findings: int
    first_step: int | None
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of findings beside what they say.

    Args:
        explains: By code, the codes of what follows from it.
        names: By code, the rule's name.
        place_of: Gives ``file:line``, or nothing where it is not known.
    """

    explains: Mapping[str, frozenset[str]]
    names: Mapping[str, str]
    place_of: Callable[[Finding], str]


def chain(root: Finding, known: Known) -> tuple[tuple[Link, ...], ...]:
    """Return the links of a chain, stage by stage: the root, what it explains, what that explains.

    A finding stands behind everything in the chain that explains it; where two explain each other,
    neither stands behind the other.

    Args:
        root: A finding with its consequences.
        known: What is known of all of them.

    Returns:
        At least the root, alone in the first stage.
    """
    following: dict[str, list[Finding]] = {}
    for each in root.consequences:
        following.setdefault(each.code, []).append(each)
    stages: list[list[Link]] = [[_link([root], known)]]
    for code, depth in _depths(following, known.explains).items():
        stages += [[] for _ in range(depth + 1 - len(stages))]
        stages[depth].append(_link(following[code], known))
    return tuple(tuple(stage) for stage in stages if stage)


def _depths(codes: Iterable[str], explains: Mapping[str, frozenset[str]]) -> dict[str, int]:
    """Return how many links lie between each code and the root, at most."""
    present = list(codes)
    before = {
        code: [
            each
            for each in present
            if code in explains.get(each, ()) and each not in explains.get(code, ())
        ]
        for code in present
    }
    depths: dict[str, int] = {}

    def depth(code: str, behind: tuple[str, ...]) -> int:
        if code in depths:
            return depths[code]
        causes = [each for each in before[code] if each not in behind and each != code]
        found = 1 + max((depth(each, (*behind, code)) for each in causes), default=0)
        if not behind:
            depths[code] = found
        return found

    return {code: depth(code, ()) for code in present}


def _link(findings: Sequence[Finding], known: Known) -> Link:
    first = findings[0]
    places = dict.fromkeys(filter(None, map(known.place_of, findings)))
    steps = [each.first_step for each in findings if each.first_step is not None]
    return Link(
        code=first.code,
        name=known.names.get(first.code, first.code).replace("-", " "),
        said=printable(first.message, MOST_LETTERS),
        findings=len(findings),
        first_step=min(steps, default=None),
        places=tuple(places)[:MOST_PLACES],
    )
