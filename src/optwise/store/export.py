"""Frames as files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from optwise.core.errors import UnknownName
from optwise.store.documents import replacing

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "parquet")


def export_frame(frame: pd.DataFrame, path: Path | str, fmt: str) -> None:
    """Write ``frame`` as ``csv`` or ``parquet``, without its index.

    A number that is not finite stays one: ``nan`` and ``inf`` in the text, NaN (not null) in Parquet. Floats are
    written with all their digits.

    Raises:
        UnknownName: Another format.
        BadFolder, RunFailed: ``path`` cannot be written, or the disk is full.
    """
    if fmt not in FORMATS:
        raise UnknownName("export format", fmt, FORMATS)
    with replacing(path) as part:
        if fmt == "csv":
            frame.to_csv(part, index=False, na_rep="nan", lineterminator="\n")
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            # from numpy column by column: pyarrow takes a pandas NaN for a missing value
            pq.write_table(pa.table({name: pa.array(frame[name].to_numpy()) for name in frame.columns}), part)
