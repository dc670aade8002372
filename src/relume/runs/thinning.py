"""Which entries of a growing series are kept, so that it stays bounded and even."""

from collections.abc import Sequence


class Thinning:
    """Keeps every k-th entry of a series and its last one; k doubles whenever there are too many.

    Args:
        most: Entries kept at most; at least 3.
        numbers: The numbers of the entries kept so far, ascending.

    Example:
        >>> thinning = Thinning(most=3)
        >>> [thinning.add() for _ in range(6)]
        [(0, ()), (1, ()), (2, ()), (3, (1,)), (4, (3,)), (5, (2,))]
        >>> thinning.kept
        [0, 4, 5]
    """

    def __init__(self, most: int, numbers: Sequence[int] = ()) -> None:
        self.kept = list(numbers)
        self._most = most
        self._stride = self.kept[1] - self.kept[0] if len(self.kept) > 2 else 1

    def add(self) -> tuple[int, tuple[int, ...]]:
        """Take the next entry; return its number, and the numbers that are kept no longer."""
        number = self.kept[-1] + 1 if self.kept else 0
        dropped = []
        if self.kept and self.kept[-1] % self._stride:
            dropped.append(self.kept.pop())
        self.kept.append(number)
        while len(self.kept) > self._most:
            self._stride *= 2
            dropped += [old for old in self.kept[:-1] if old % self._stride]
            self.kept = [old for old in self.kept[:-1] if not old % self._stride] + [number]
        return number, tuple(dropped)
