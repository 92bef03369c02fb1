"""Write CSVs with one record per line."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mlimg_build.atomic import explaining_full_disk
from mlimg_build.csv_cells import CellWriter

__all__ = ["as_csv", "write_csv"]


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Return a CSV of the rows as bytes."""
    stream = io.StringIO()
    writer = CellWriter(stream)
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue().encode()


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path | None:
    """Write the rows to a CSV at `path` as a stream; without rows, remove an old file and return None."""
    stream = iter(rows)
    first = next(stream, None)
    if first is None:
        path.unlink(missing_ok=True)
        return None
    temporary = path.with_name(f".{path.name}.new")
    try:
        with explaining_full_disk(path), temporary.open("w", encoding="utf-8", newline="") as file:
            writer = CellWriter(file)
            writer.writerows([header, first])
            writer.writerows(stream)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
