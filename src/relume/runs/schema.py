"""The tables of a run file, its version, and the packing of per-unit arrays."""

import sqlite3
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from relume.errors import RunFileError
from relume.runs.records import Cause, Deaths, Moments, UnitActivity, WeightWindow

APPLICATION_ID = 0x52454C55  # "RELU": what `file` and our reader know a run file by
VERSION = 4
SMALL_BYTES = 24 << 10
"""What is smaller is stored as it is: to compress it took longer than to write it."""

_CREATE = """
CREATE TABLE info (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE layers (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, activation TEXT NOT NULL,
    units INTEGER NOT NULL, can_die INTEGER NOT NULL, owner TEXT,
    place TEXT, saturates INTEGER NOT NULL
);
CREATE TABLE windows (
    first_step INTEGER PRIMARY KEY, last_step INTEGER NOT NULL, armed_steps INTEGER NOT NULL,
    loss BLOB NOT NULL, learning_rate REAL
);
CREATE TABLE layer_windows (
    first_step INTEGER NOT NULL, layer INTEGER NOT NULL,
    rows INTEGER NOT NULL, positions INTEGER NOT NULL, gradient_positions INTEGER NOT NULL,
    units BLOB NOT NULL, gradient_norm BLOB NOT NULL, update_ratio BLOB NOT NULL,
    slope BLOB NOT NULL, PRIMARY KEY (first_step, layer)
) WITHOUT ROWID;
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY, step INTEGER NOT NULL, train_loss REAL, validation_loss REAL,
    validation_score REAL, learning_rate REAL, units_alive INTEGER NOT NULL, units INTEGER NOT NULL
);
CREATE TABLE lifetimes (layer INTEGER PRIMARY KEY, units BLOB NOT NULL);
CREATE TABLE examination (
    layer INTEGER PRIMARY KEY, rows INTEGER NOT NULL, positions INTEGER NOT NULL,
    gradient_positions INTEGER NOT NULL, units BLOB NOT NULL, held_out_rows INTEGER NOT NULL
);
"""

_CREATE_ADDED = """
CREATE TABLE IF NOT EXISTS losses (
    epoch INTEGER NOT NULL, name TEXT NOT NULL, mean REAL, PRIMARY KEY (epoch, name)
) WITHOUT ROWID;
CREATE TABLE deaths (layer INTEGER PRIMARY KEY, units BLOB NOT NULL);
CREATE TABLE unobserved (
    what TEXT NOT NULL, place TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (what, place)
) WITHOUT ROWID;
CREATE TABLE metrics (
    name TEXT NOT NULL, number INTEGER NOT NULL, step INTEGER NOT NULL, value REAL,
    PRIMARY KEY (name, number)
) WITHOUT ROWID;
"""

_CREATE_FACTS = """
CREATE TABLE facts (
    kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE weights (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE weight_windows (first_step INTEGER PRIMARY KEY, weights BLOB NOT NULL);
CREATE TABLE curve (
    id INTEGER PRIMARY KEY, bucket_steps INTEGER NOT NULL, buckets INTEGER NOT NULL,
    losses BLOB NOT NULL
);
CREATE TABLE scores (
    phase TEXT NOT NULL, number INTEGER NOT NULL, step INTEGER NOT NULL, rows INTEGER NOT NULL,
    loss REAL, right REAL, PRIMARY KEY (phase, number)
) WITHOUT ROWID;
"""

_CREATE_REMEDIES = """
CREATE TABLE remedies (
    number INTEGER PRIMARY KEY, step INTEGER NOT NULL, action TEXT NOT NULL, plan TEXT NOT NULL,
    evidence TEXT NOT NULL, verdict TEXT NOT NULL, gain REAL, low REAL, high REAL, is_kept INTEGER
);
"""

_FROM_VERSION_1 = """
BEGIN IMMEDIATE;
ALTER TABLE layers ADD COLUMN place TEXT;
ALTER TABLE layers ADD COLUMN saturates INTEGER NOT NULL DEFAULT 0;
ALTER TABLE layer_windows ADD COLUMN slope BLOB NOT NULL DEFAULT X'{nothing}';
{tables}
PRAGMA user_version = 2;
COMMIT;
"""

_FROM_VERSION_2 = f"""
BEGIN IMMEDIATE;
{_CREATE_FACTS}
PRAGMA user_version = 3;
COMMIT;
"""

_FROM_VERSION_3 = f"""
BEGIN IMMEDIATE;
{_CREATE_REMEDIES}
PRAGMA user_version = 4;
COMMIT;
"""


def create(connection: sqlite3.Connection) -> None:
    """Lay the tables of the present version into an empty database."""
    connection.executescript(_CREATE + _CREATE_ADDED + _CREATE_FACTS + _CREATE_REMEDIES)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring a run file of an older version to the present one, a transaction a version."""
    if version_of(connection) == 1:
        nothing = pack_moments(Moments()).hex()
        connection.executescript(_FROM_VERSION_1.format(nothing=nothing, tables=_CREATE_ADDED))
    if version_of(connection) == 2:
        connection.executescript(_FROM_VERSION_2)
    if version_of(connection) == 3:
        connection.executescript(_FROM_VERSION_3)


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a run file."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of a run file that hold something; its log comes on top."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def check_version(connection: sqlite3.Connection, where: str) -> None:
    """Refuse a database that is not a run file, or one of a version unknown here.

    Raises:
        RunFileError: With the file's name and what to do.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise RunFileError(f"{where} is a database, but not a Relume run file")
    version = version_of(connection)
    if not 1 <= version <= VERSION:
        raise RunFileError(
            f"{where} has run-file version {version}, this Relume reads up to {VERSION}; "
            "upgrade Relume to read it"
        )


def pack_arrays(*arrays: NDArray[np.generic]) -> bytes:
    """Pack one-dimensional arrays of equal length: integers narrowed, large arrays deflated.

    The result is a zlib stream in both cases.
    """
    parts = [_narrow(array) for array in arrays]
    header = struct.pack(f"<IB{len(parts)}c", len(arrays[0]), len(parts), *map(_code, parts))
    raw = b"".join(part.tobytes() for part in parts)
    return header + zlib.compress(raw, 0 if len(raw) < SMALL_BYTES else 1)


def unpack_arrays(blob: bytes, units: int, count: int) -> list[NDArray[np.generic]]:
    """Unpack what ``pack_arrays`` packed, trusting nothing in it.

    Raises:
        RunFileError: If the blob does not hold ``count`` arrays of ``units`` numbers.
    """
    try:
        length, parts = struct.unpack_from("<IB", blob)
        codes = struct.unpack_from(f"<{parts}c", blob, 5)
        dtypes = [np.dtype(f"<{_KINDS[code]}") for code in codes]
        if (length, parts) != (units, count):
            raise RunFileError(
                f"a record holds {parts} x {length} numbers, expected {count} x {units}"
            )
        size = sum(dtype.itemsize for dtype in dtypes) * units
        raw = zlib.decompressobj().decompress(blob[5 + parts :], size + 1)
        if len(raw) != size:
            raise RunFileError(f"a record holds {len(raw)} bytes, expected {size}")
    except (struct.error, zlib.error, KeyError) as error:
        raise RunFileError(f"a record of per-unit numbers is damaged ({error})") from error
    arrays, start = [], 0
    for dtype in dtypes:
        arrays.append(np.frombuffer(raw, dtype, units, start))
        start += dtype.itemsize * units
    return arrays


def pack_activity(activity: UnitActivity) -> bytes:
    """Pack the arrays of an activity; the sums are kept in float32."""
    return pack_arrays(
        activity.fired,
        activity.total.astype(np.float32),
        activity.total_square.astype(np.float32),
        activity.absolute_gradient.astype(np.float32),
    )


def unpack_activity(counts: Sequence[int], blob: bytes, units: int) -> UnitActivity:
    """Return the activity that ``pack_activity`` packed.

    Args:
        counts: Rows, positions and positions with a gradient.
        blob: The packed arrays.
        units: How many units they must describe.
    """
    rows, positions, gradient_positions = counts
    fired, total, total_square, gradient = unpack_arrays(blob, units, 4)
    return UnitActivity(
        rows,
        positions,
        fired.astype(np.int64),
        total.astype(np.float64),
        total_square.astype(np.float64),
        gradient_positions,
        gradient.astype(np.float64),
    )


def pack_moments(moments: Moments) -> bytes:
    """Pack the moments of a number; every value of a float, nan and inf too, is kept."""
    return _MOMENTS.pack(moments.count, moments.total, moments.least, moments.greatest)


def unpack_moments(blob: bytes) -> Moments:
    """Return the moments that ``pack_moments`` packed."""
    try:
        return Moments(*_MOMENTS.unpack(blob))
    except struct.error as error:
        raise RunFileError(f"a record of moments is damaged ({error})") from error


def pack_weights(weights: Sequence[WeightWindow]) -> bytes:
    """Pack the weights of a window; sums and bounds are kept in float32."""
    moments = [
        part for each in weights for part in (each.gradient_norm, each.update_ratio, each.norm)
    ]
    counts = np.array([part.count for part in moments], np.int64)
    sums = np.array([(part.total, part.least, part.greatest) for part in moments], np.float64)
    with np.errstate(over="ignore"):
        return pack_arrays(counts, *sums.reshape(-1, 3).T.astype(np.float32))


def unpack_weights(blob: bytes) -> tuple[WeightWindow, ...]:
    """Return what ``pack_weights`` packed."""
    length = int.from_bytes(blob[:4], "little")
    columns = unpack_arrays(blob, length, 4)
    moments = [
        Moments(int(count), float(total), float(least), float(greatest))
        for count, total, least, greatest in zip(*columns, strict=True)
    ]
    return tuple(
        WeightWindow(*three)
        for three in zip(moments[::3], moments[1::3], moments[2::3], strict=True)
    )


def pack_deaths(deaths: Deaths) -> bytes:
    """Pack the death certificates of a layer; the changes are kept in float32."""
    return pack_arrays(
        deaths.last_fired, deaths.first_silent, deaths.row_change.astype(np.float32), deaths.cause
    )


def unpack_deaths(blob: bytes, units: int) -> Deaths:
    """Return the death certificates that ``pack_deaths`` packed; a code unknown here is UNKNOWN."""
    last_fired, first_silent, row_change, cause = unpack_arrays(blob, units, 4)
    codes = np.where(np.isin(cause, list(Cause)), cause, Cause.UNKNOWN)
    return Deaths(
        last_fired.astype(np.int64),
        first_silent.astype(np.int64),
        row_change.astype(np.float64),
        codes.astype(np.int8),
    )


_MOMENTS = struct.Struct("<qddd")
_KINDS = {b"b": "i1", b"h": "i2", b"i": "i4", b"q": "i8", b"f": "f4", b"d": "f8"}


def _code(array: NDArray[np.generic]) -> bytes:
    return array.dtype.char.replace("l", "q").encode()


def _narrow(array: NDArray[np.generic]) -> NDArray[np.generic]:
    if not np.issubdtype(array.dtype, np.integer):
        return array
    low, high = (int(array.min()), int(array.max())) if len(array) else (0, 0)
    for dtype in (np.int8, np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return array.astype(dtype)
    return array.astype(np.int64)


REWOUND = (
    ("windows", "last_step"),
    ("layer_windows", "first_step"),
    ("epochs", "step"),
    ("metrics", "step"),
    ("weight_windows", "first_step"),
    ("scores", "step"),
    ("remedies", "step"),
)
"""Tables from which what came after a step is forgotten, by a column with steps."""
