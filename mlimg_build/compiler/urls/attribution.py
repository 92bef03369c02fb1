"""Write who made the images that a dataset holds, and under which licence: NAME.attribution.csv, or .parquet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlimg_build.atomic import replacing_file
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.run.csv_files import write_csv
from mlimg_build.fetch.rights.licences import licence_id

__all__ = ["CSV_ROWS", "write_attribution"]

CSV_ROWS = 1_000_000  # with more rows, no program for tables opens a CSV
COLUMNS = ("image", "url", "author", "licence", "spdx", "source")
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
PIECE = 8192  # rows written at a time
Row = tuple[str, str, str, str, str, str]


def write_attribution(plan: Plan, store: Store, folder: Path, name: str, most: int = CSV_ROWS) -> Path | None:
    """Write the images that have bytes and an author, a licence or a URL; return the path, None if there is none.

    A list of an earlier build is replaced or removed. With more than `most` rows it is a Parquet file. Memory: `most`
    rows at the most, to tell which of the two it becomes.
    """
    paths = {suffix: folder / f"{name}.attribution.{suffix}" for suffix in ("csv", "parquet")}
    rows = _rows(plan, store)
    first = list(islice(rows, most + 1))
    if len(first) <= most:
        paths["parquet"].unlink(missing_ok=True)
        return write_csv(paths["csv"], COLUMNS, first)
    with (
        replacing_file(paths["parquet"]) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        listed = chain(first, rows)
        while piece := list(islice(listed, PIECE)):
            columns = [pa.array(column, pa.string()) for column in zip(*piece, strict=True)]
            writer.write_table(pa.table(columns, schema=SCHEMA))
    paths["csv"].unlink(missing_ok=True)
    return paths["parquet"]


def _rows(plan: Plan, store: Store) -> Iterator[Row]:
    """Yield the rows of `COLUMNS`, in the order of the dataset's rows."""
    names = [catalog.name for catalog in plan.inputs.catalogs]
    for work in plan.work:
        entry = store.entry(work.images)
        lost = {failure[0] for failure in entry["notes"]["failures"]} if entry else set()
        batch = plan.rows.batch(work.shard)
        columns = (
            batch.column(column).to_pylist()
            for column in ("id", "path", "status", "author", "licence", "source")
        )
        for image, path, status, author, code, source in zip(*columns, strict=True):
            url = path if status == "not_fetched" else ""
            licence = plan.rows.licences[code]
            if image not in lost and (url or author or licence):
                yield image, url, author, licence, _spdx(licence), names[source]


@lru_cache(maxsize=4096)
def _spdx(licence: str) -> str:
    return licence_id(licence) or ""
