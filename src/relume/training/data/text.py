"""Columns of text: which columns are prose, and how their words become whole numbers."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.training.data.cells import Kind, Reading
from relume.training.data.wording import counted, shown

LONG_TEXT = 30
"""Texts of more characters than this on average are prose, not categories."""

MOST_WORDS = 10_000
"""Words beyond the most frequent ones are unknown words."""

FEWEST_ROWS = 2
"""A word of a single training row is an unknown word: nothing can be learned of it."""

MOST_STEPS = 256
"""Words of a text beyond this many are not read."""

USUAL_SHARE = 0.95
"""Share of the training texts that are read to their end, if that takes no more steps."""

PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2
"""What stands where a text has ended, for a word not learned, and for the most frequent word."""

_APART = (
    r"\s\x00-/:-@\[-`{-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb\xbf"  # ASCII and Latin-1
    r"\u055a-\u055f\u0589\u05be\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965"
    r"\u2000-\u200b\u200e-\u206f\u3000-\u3004\u3008-\u3020\u30fb\uff01-\uff0f\uff1a-\uff20"
)
WORD = rf"[^{_APART}]+(?:['’][^{_APART}]+)*|[!?]"
"""A word: letters, digits and marks of any script ("don't" is one), or one of ! and ?."""


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A text: its first ``steps`` words as numbers, 0 where it has ended, 1 for unknown words.

    ``words[i]`` is the number i + 2. All fit into float32, which is exact up to 2^24.
    """

    name: str
    words: tuple[str, ...]
    steps: int

    @classmethod
    def fit(cls, cells: pl.Series) -> "TextColumn":
        """Learn from the training rows, String with nulls: the words, the most frequent first."""
        rows: Counter[str] = Counter()
        lengths = []
        for words in _word_lists(cells):
            rows.update(set(words))
            lengths.append(len(words))
        frequent = sorted(
            (word for word, count in rows.items() if count >= FEWEST_ROWS),
            key=lambda word: (-rows[word], word),
        )
        usual = np.quantile([length for length in lengths if length] or [1], USUAL_SHARE)
        return cls(cells.name, tuple(frequent[:MOST_WORDS]), int(min(MOST_STEPS, np.ceil(usual))))

    @property
    def reading(self) -> Reading:
        """How the column's cells are read."""
        return Reading(self.name, Kind.TEXT)

    @property
    def features(self) -> tuple[str, ...]:
        """One name a step: "… word 1", "… word 2", ..."""
        return tuple(f"{self.name} word {step}" for step in range(1, self.steps + 1))

    @property
    def vocabulary(self) -> int:
        """How many numbers there are: the words, the unknown word and the padding."""
        return len(self.words) + FIRST_WORD

    @property
    def numbers(self) -> int:
        """None: they number words."""
        return 0

    def encode(self, cells: pl.Series, out: NDArray[np.float32]) -> None:
        """Write the numbers of the words of ``cells``, String, into ``out``."""
        numbers = {word: at for at, word in enumerate(self.words, start=FIRST_WORD)}
        for row, words in enumerate(_word_lists(cells)):
            read = [numbers.get(word, UNKNOWN) for word in words[: self.steps]]
            out[row, : len(read)] = read


def word_splitter() -> Callable[[str], list[str]]:
    """Return what cuts a text into its lowercased words: scikit-learn's analyzer.

    Example:
        >>> word_splitter()("Don't panic: I'm 42, naïve & über-cool!")
        ["don't", 'panic', "i'm", '42', 'naïve', 'über', 'cool', '!']
    """
    from sklearn.feature_extraction.text import CountVectorizer

    split: Callable[[str], list[str]] = CountVectorizer(token_pattern=WORD).build_analyzer()
    return split


def find_prose(
    cells: pl.DataFrame, readings: Iterable[Reading], categorical: Collection[str]
) -> set[str]:
    """Find the columns of prose: texts mostly long, of several words, and mostly different.

    Args:
        cells: The training rows, as :func:`~relume.training.data.cells.read_cells` gives them.
        readings: How those columns were read.
        categorical: Columns that a person calls categories.
    """
    return {
        one.name
        for one in readings
        if one.kind is Kind.CATEGORY
        and one.name not in categorical
        and _is_prose(cells[one.name].drop_nulls())
    }


def text_notes(columns: Sequence[object], cells: pl.DataFrame) -> list[str]:
    """Say of each column of text how it is read, and how many of the training rows are cut."""
    return [
        _text_note(column, cells[column.name])
        for column in columns
        if isinstance(column, TextColumn)
    ]


def _text_note(column: TextColumn, cells: pl.Series) -> str:
    longer = sum(len(words) > column.steps for words in _word_lists(cells))
    cut = f"; {longer:,} of {cells.len():,} training rows are longer and cut" if longer else ""
    return (
        f"column {shown(column.name)} read as text: {counted(len(column.words), 'word')} known, "
        f"the first {counted(column.steps, 'word')} of a row{cut}"
    )


def _is_prose(texts: pl.Series) -> bool:
    if texts.n_unique() <= texts.len() / 2 or not texts.len():
        return False
    is_long = texts.str.len_chars().sum() / texts.len() > LONG_TEXT
    return is_long and bool(texts.str.contains(r"\S\s+\S").sum() > texts.len() / 2)


def _word_lists(cells: pl.Series) -> Iterable[list[str]]:
    split = word_splitter()
    return (split(text) if text else [] for text in cells)
