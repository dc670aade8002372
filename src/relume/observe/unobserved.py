"""What could not be observed, by name and place: said in every report, never passed over."""

from collections.abc import Mapping

MOST_KINDS = 200


class Unobserved:
    """Takes note of calls that were not measured, each kind once, with how often it came."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def note(self, what: str, place: str | None) -> None:
        """Count one call.

        Args:
            what: For example ``relu of torch.func``.
            place: ``file:line``, or None where unknown.
        """
        key = (what, place or "")
        if key in self._counts or len(self._counts) < MOST_KINDS:
            self._counts[key] = self._counts.get(key, 0) + 1

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """How often each kind came, by what and where."""
        return dict(self._counts)
