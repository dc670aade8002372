"""Which finding is the root of which: causes first, what follows from them folded under them."""

from collections.abc import Mapping, Sequence

from relume.diagnosis.finding import Finding, Severity


def rank(
    findings: Sequence[Finding], explains: Mapping[str, frozenset[str]]
) -> tuple[Finding, ...]:
    """Return the likely root causes, the likeliest first, with their consequences folded in.

    A finding is folded under another one whose rule explains it, directly or over others that
    hold too, unless it was there before; a note explains only notes. Roots are ordered by
    severity, then by how much they explain, then by family (data and loss before units before
    gradients before curves), then by strength.

    Args:
        findings: What the rules found, in any order.
        explains: By code, the codes of what follows from it.
    """
    present = {finding.code for finding in findings}
    reach = {code: _reach(code, explains, present) for code in present}
    ordered = sorted(findings, key=lambda each: _order(each, reach, findings))
    roots: list[Finding] = []
    folded: dict[int, list[Finding]] = {}
    for finding in ordered:
        place = next(
            (index for index, root in enumerate(roots) if _follows(finding, root, reach)), None
        )
        if place is None:
            roots.append(finding)
        else:
            folded.setdefault(place, []).append(finding)
    return tuple(root.with_consequences(*folded.get(index, ())) for index, root in enumerate(roots))


def _reach(code: str, explains: Mapping[str, frozenset[str]], present: set[str]) -> set[str]:
    """Return what follows from a code over any number of findings that hold."""
    found: set[str] = set()
    waiting = [code]
    while waiting:
        for following in explains.get(waiting.pop(), frozenset()):
            if following in present and following not in found and following != code:
                found.add(following)
                waiting.append(following)
    return found


def _follows(finding: Finding, root: Finding, reach: Mapping[str, set[str]]) -> bool:
    if finding.code not in reach[root.code]:
        return False
    if root.severity is Severity.NOTE and finding.severity is not Severity.NOTE:
        return False
    began_before = (
        finding.first_step is not None
        and root.first_step is not None
        and finding.first_step < root.first_step
    )
    return not began_before


def _order(
    finding: Finding, reach: Mapping[str, set[str]], findings: Sequence[Finding]
) -> tuple[object, ...]:
    """Return the key of a root among roots; what others explain comes after them."""
    explainers = [each for each in findings if _follows(finding, each, reach)]
    mutual = sum(not _follows(each, finding, reach) for each in explainers)
    explained = sum(_follows(each, finding, reach) for each in findings)
    return (
        mutual > 0,
        -finding.severity.rank,
        -explained,
        finding.code,
        -finding.strength,
        finding.where or "",
    )
