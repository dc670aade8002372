"""Reads Parquet."""

import io

import polars as pl
from polars.exceptions import PanicException, PolarsError

from relume.errors import DataError
from relume.training.data.wording import shown


def read_parquet(raw: bytes, name: str) -> pl.DataFrame:
    """Read a Parquet file.

    Args:
        raw: The file's bytes.
        name: The file's name, for messages.

    Raises:
        DataError: It is no Parquet file, is cut off or damaged, or holds no rows.
    """
    if not raw.startswith(b"PAR1"):
        raise DataError(f"{name} is not a Parquet file; a CSV file must end in .csv")
    if not raw.endswith(b"PAR1"):
        raise DataError(f"{name} is cut off: a Parquet file ends in PAR1; copy it again")
    try:
        frame = pl.read_parquet(io.BytesIO(raw))
    except (PolarsError, PanicException, OSError, ValueError, MemoryError) as error:
        cause = shown(" ".join(str(error).split()), 120)
        raise DataError(f"{name} is a damaged Parquet file: {cause}; copy it again") from error
    if frame.height == 0:
        raise DataError(f"{name} has no rows; add some")
    return frame
