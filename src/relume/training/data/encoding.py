"""Fitted columns: what is learnt from the training rows, and the features they give.

Each fitted column is plain data. Numbers follow the usual chain (median for what is missing, then
standardised), categories become one feature a level; for texts see ``text.py``.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.training.data.cells import Kind, Reading
from relume.training.data.moments import DATE_PARTS, TIME_PARTS, moment_parts
from relume.training.data.text import TextColumn

MOST_LEVELS = 64
"""Levels of a category beyond the most frequent 64 share one feature."""

FARTHEST = 1e6
"""Standardised values are kept within this. A training row cannot get there: among n rows none
is further than sqrt(n - 1) standard deviations from the mean."""


def least_rows(rows: int) -> int:
    """Return in how many of the training rows a level must stand to have a feature of its own.

    Two rows, or one in a thousand if that is more.

    Example:
        >>> least_rows(500), least_rows(50_000)
        (2, 50)
    """
    return max(2, -(-rows // 1000))


class FittedColumn(Protocol):
    """A column with what was learnt from its training rows."""

    @property
    def reading(self) -> Reading:
        """How the column's cells are read."""

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features that it gives."""

    @property
    def numbers(self) -> int:
        """How many of them, the first ones, are numbers rather than yes or no."""

    def encode(self, cells: pl.Series, out: NDArray[np.float32]) -> None:
        """Write the features of ``cells`` into ``out``, (rows, features), which holds zeros."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Fills what is missing with the median, then ``(x - mean) / scale``; 0 where scale is 0.

    Mean and scale (the standard deviation, ddof 0) are those of the filled values.
    """

    median: float
    mean: float
    scale: float

    @classmethod
    def fit(cls, values: NDArray[np.float64]) -> "Scaling":
        """Learn from values, nan where missing; without any value all are 0.

        Example:
            >>> Scaling.fit(np.array([1.0, 3.0, np.nan]))
            Scaling(median=2.0, mean=2.0, scale=0.816496580927726)
        """
        present = values[~np.isnan(values)]
        if not len(present):
            return cls(0.0, 0.0, 0.0)
        # A power of two is exact and keeps sums and squares in range.
        exponent = int(np.frexp(np.abs(present).max())[1])
        unit = np.ldexp(present, -exponent)
        median = np.median(unit)
        filled = np.full(len(values), median)
        filled[~np.isnan(values)] = unit
        mean, scale = filled.mean(), filled.std()
        # Equal values whose mean is rounded have a tiny deviation: it is no spread.
        if scale <= 8 * np.finfo(np.float64).eps:
            scale = np.float64(0.0)
        median, mean, scale = np.ldexp([median, mean, scale], exponent)
        return cls(float(median), float(mean), float(scale))

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scaled values, nan filled with the median."""
        if self.scale == 0:
            return np.zeros(len(values))
        filled = np.where(np.isnan(values), self.median, values)
        # The same power of two off all three changes nothing but the range.
        exponent = int(np.frexp(self.scale)[1])
        with np.errstate(over="ignore"):
            centred = np.ldexp(filled, -exponent) - np.ldexp(self.mean, -exponent)
            scaled: NDArray[np.float64] = centred / np.ldexp(self.scale, -exponent)
        np.clip(scaled, -FARTHEST, FARTHEST, out=scaled)
        return scaled


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A number, standardised; ``indicator`` adds a feature that is 1 where it is missing."""

    name: str
    scaling: Scaling
    indicator: bool

    @classmethod
    def fit(cls, cells: pl.Series) -> "NumberColumn":
        """Learn from the training rows, Float64 with nulls."""
        return cls(cells.name, Scaling.fit(_as_array(cells)), cells.has_nulls())

    @property
    def reading(self) -> Reading:
        """How the column's cells are read."""
        return Reading(self.name, Kind.NUMBER)

    @property
    def features(self) -> tuple[str, ...]:
        """The column's name, and "… is missing" where training rows miss it."""
        return (self.name, *_missing_feature(self.name, present=self.indicator))

    @property
    def numbers(self) -> int:
        """One."""
        return 1

    def encode(self, cells: pl.Series, out: NDArray[np.float32]) -> None:
        """Write the features of ``cells``, Float64, into ``out``."""
        out[:, 0] = self.scaling.apply(_as_array(cells))
        if self.indicator:
            out[:, 1] = cells.is_null().to_numpy()


@dataclass(frozen=True, slots=True)
class MomentColumn:
    """A date, a date with time, or a time of day: each of its parts is a standardised number."""

    name: str
    kind: Kind
    format: str | None
    scalings: tuple[Scaling, ...]
    indicator: bool

    @classmethod
    def fit(cls, cells: pl.Series, reading: Reading) -> "MomentColumn":
        """Learn from the training rows, Datetime or Time with nulls."""
        parts = moment_parts(cells, part_names(reading.kind))
        scalings = tuple(Scaling.fit(part) for part in parts)
        return cls(cells.name, reading.kind, reading.format, scalings, cells.has_nulls())

    @property
    def reading(self) -> Reading:
        """How the column's cells are read."""
        return Reading(self.name, self.kind, self.format)

    @property
    def features(self) -> tuple[str, ...]:
        """The column's name with each part's, and "… is missing" where training rows miss it."""
        parts = (f"{self.name} {part}" for part in part_names(self.kind))
        return (*parts, *_missing_feature(self.name, present=self.indicator))

    @property
    def numbers(self) -> int:
        """One a part."""
        return len(self.scalings)

    def encode(self, cells: pl.Series, out: NDArray[np.float32]) -> None:
        """Write the features of ``cells``, Datetime or Time, into ``out``."""
        parts = moment_parts(cells, part_names(self.kind))
        for at, (scaling, part) in enumerate(zip(self.scalings, parts, strict=True)):
            out[:, at] = scaling.apply(part)
        if self.indicator:
            out[:, -1] = cells.is_null().to_numpy()


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """A category: one feature a level, one for what is missing, one for all other levels.

    The last two are there if training rows have them; a level without a feature gives zeros.
    """

    name: str
    levels: tuple[str, ...]
    missing: bool
    other: bool

    @classmethod
    def fit(cls, cells: pl.Series) -> "CategoryColumn":
        """Learn from the training rows, String with nulls."""
        counts = cells.alias("level").drop_nulls().value_counts(name="rows")
        frequent = counts.filter(pl.col("rows") >= least_rows(cells.len()))
        frequent = frequent.sort("rows", "level", descending=[True, False]).head(MOST_LEVELS)
        return cls(
            cells.name,
            sorted_levels(frequent["level"].to_list()),
            missing=cells.has_nulls(),
            other=counts.height > frequent.height,
        )

    @property
    def reading(self) -> Reading:
        """How the column's cells are read."""
        return Reading(self.name, Kind.CATEGORY)

    @property
    def features(self) -> tuple[str, ...]:
        """One name a level, then "… is missing" and "… is other"."""
        levels = (f"{self.name}={level}" for level in self.levels)
        other = (f"{self.name} is other",) if self.other else ()
        return (*levels, *_missing_feature(self.name, present=self.missing), *other)

    @property
    def numbers(self) -> int:
        """None."""
        return 0

    def encode(self, cells: pl.Series, out: NDArray[np.float32]) -> None:
        """Write the features of ``cells``, String, into ``out``."""
        codes = level_codes(cells, self.levels)
        known = np.flatnonzero(codes >= 0)
        out[known, codes[known]] = 1
        absent = cells.is_null().to_numpy()
        if self.missing:
            out[:, len(self.levels)] = absent
        if self.other:
            out[:, -1] = (codes < 0) & ~absent


def fit_column(cells: pl.Series, reading: Reading) -> FittedColumn:
    """Learn a column from its training rows, whatever its kind."""
    if reading.kind is Kind.NUMBER:
        return NumberColumn.fit(cells)
    if reading.kind is Kind.CATEGORY:
        return CategoryColumn.fit(cells)
    if reading.kind is Kind.TEXT:
        return TextColumn.fit(cells)
    return MomentColumn.fit(cells, reading)


def fit_pixels(cells: pl.DataFrame) -> list[FittedColumn]:
    """Learn columns of one unit (the pixels of an image): one mean and deviation for all."""
    columns = [NumberColumn.fit(column) for column in cells]
    means = np.array([column.scaling.mean for column in columns])
    scales = np.array([column.scaling.scale for column in columns])
    mean = float(means.mean())
    scale = float(np.sqrt((scales**2 + (means - mean) ** 2).mean()))
    return [
        NumberColumn(column.name, Scaling(column.scaling.median, mean, scale), column.indicator)
        for column in columns
    ]


def part_names(kind: Kind) -> tuple[str, ...]:
    """Return which parts of a moment become features.

    Example:
        >>> part_names(Kind.DATE)
        ('year', 'month', 'day of week', 'day of year', 'elapsed days')
    """
    dates = () if kind is Kind.TIME else DATE_PARTS
    return dates + (() if kind is Kind.DATE else TIME_PARTS)


def sorted_levels(levels: list[str]) -> tuple[str, ...]:
    """Return levels in order: numbers by value, then texts.

    Example:
        >>> sorted_levels(["10", "b", "9", "a"])
        ('9', '10', 'a', 'b')
    """
    numbers = pl.Series(levels, dtype=pl.String).cast(pl.Float64, strict=False).fill_nan(None)
    keys = [
        (number is None, number or 0.0, level)
        for number, level in zip(numbers, levels, strict=True)
    ]
    return tuple(level for _, _, level in sorted(keys))


def level_codes(cells: pl.Series, levels: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the place of each cell among the levels, -1 where it is none of them.

    Example:
        >>> level_codes(pl.Series(["b", None, "a", "c"]), ("a", "b")).tolist()
        [1, -1, 0, -1]
    """
    codes = cells.cast(pl.Enum(levels), strict=False).to_physical()
    return codes.cast(pl.Int64).fill_null(-1).to_numpy()


def _as_array(cells: pl.Series) -> NDArray[np.float64]:
    return cells.to_numpy()


def _missing_feature(name: str, *, present: bool) -> tuple[str, ...]:
    return (f"{name} is missing",) if present else ()
