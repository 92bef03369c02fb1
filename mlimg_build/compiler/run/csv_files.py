"""Write CSVs with one record per line."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mlimg_build.atomic import replacing_file
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
    with replacing_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = CellWriter(file)
        writer.writerows([header, first])
        writer.writerows(stream)
    return path
