"""Look up why an image of the sources is not in a dataset, in the list beside it."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.plan.left_out import COLUMNS, REASONS
from mlimg_build.csv_cells import unguarded
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import DatasetError, Problem
from mlimg_build.regular_files import open_regular
from mlimg_build.sources.lists.parquet_batches import bounded_batches

__all__ = ["left_out_image", "left_out_problem"]


def left_out_image(path: Path, image: str) -> dict[str, Any] | None:
    """Return the entry of an image in the list of those left out of the dataset at `path`; None if there is none.

    `image` is an id, with or without its source. `meaning` in the entry is the reason in words.

    Raises:
        DatasetError: `list-unreadable` if the list cannot be read; the errors of `open_dataset`.
    """
    with open_dataset(path) as dataset:
        wanted = {image, *(f"{source}/{image}" for source in dataset.sources)}
    base = path.resolve().with_suffix("")
    row = _in_csv(base.with_name(f"{base.name}.left-out.csv"), wanted) or _in_parquet(
        base.with_name(f"{base.name}.left-out.parquet"), wanted
    )
    if row is None:
        return None
    try:
        statements = int(row["statements"])
    except (TypeError, ValueError) as error:
        message = f"the list of images left out of {path} gives no number of statements for {image}"
        raise DatasetError(
            Problem("list-unreadable", message, hint="build the dataset again, or fetch the list again")
        ) from error
    return {**row, "statements": statements, "meaning": REASONS.get(row["reason"], row["reason"])}


def left_out_problem(path: Path) -> Problem | None:
    """Return a problem with the number of left-out images by reason; None if the dataset leaves out none."""
    with open_dataset(path) as dataset:
        counts = dataset.attributes.get("left_out") or {}
    if not counts:
        return None
    listed = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
    message = f"{sum(counts.values()):,} images of the sources are left out of this dataset: {listed}"
    hint = "the build listed them in NAME.left-out.csv (.parquet where they are many) beside the dataset"
    return Problem("images-left-out", message, hint=hint)


def _in_csv(path: Path, wanted: Collection[str]) -> dict[str, Any] | None:
    try:
        with os.fdopen(open_regular(path), encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if unguarded(row.get("image") or "") in wanted and row.keys() >= {*COLUMNS.names}:
                    return {name: unguarded(row[name] or "") for name in COLUMNS.names}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(Problem("list-unreadable", f"{path} cannot be read: {error}")) from error
    return None


def _in_parquet(path: Path, wanted: Collection[str]) -> dict[str, Any] | None:
    if not path.exists():
        return None
    asked = pa.array([*wanted], pa.string())
    try:
        for batch in bounded_batches(path, COLUMNS.names):
            rows = batch.cast(COLUMNS)
            found = rows.filter(pc.is_in(rows.column("image"), asked))
            if len(found):
                return dict(found.slice(0, 1).to_pylist()[0])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(Problem("list-unreadable", f"{path} cannot be read: {error}")) from error
    return None
