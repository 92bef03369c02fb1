"""What holds for every source: its surface, its name in a spec, and bounded memory on a big list."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlimg_build.sources as package
from mlimg_build.sources import IMAGES, LABELS, SOURCES, Notes, open_source, place_of
from mlimg_build.sources.formats.open_images import OpenImages
from mlimg_build.sources.lists import line_blocks
from mlimg_build.sources.protocol import record
from mlimg_build.spec import FolderSource, OpenImagesSource
from mlimg_build.spec.models import sources as models
from tests.support.source_world import write


def test_the_surface_is_sorted_and_there() -> None:
    constants = [name for name in package.__all__ if name.isupper()]
    nouns = [name for name in package.__all__ if name[0].isupper() and not name.isupper()]
    verbs = [name for name in package.__all__ if name.islower()]
    assert package.__all__ == sorted(constants) + sorted(nouns) + sorted(verbs)
    assert all(hasattr(package, name) for name in package.__all__)


def test_every_type_of_a_spec_has_its_source() -> None:
    assert sorted(SOURCES) == sorted(models.TYPES)
    named = {get_args(SOURCES_MODEL.model_fields["type"].annotation)[0] for SOURCES_MODEL in MODELS}
    assert named == set(SOURCES)


MODELS = [
    models.CocoSource,
    models.FolderSource,
    models.IlsvrcSource,
    models.ImageNetSource,
    models.MLImagesSource,
    models.OpenImagesSource,
    models.ParquetSource,
    models.TableSource,
    models.WebdatasetSource,
]


def test_opening_a_source_reads_nothing(tmp_path: Path) -> None:
    source = open_source("pets", FolderSource(type="folder", images=tmp_path / "gone"))
    assert source.root == tmp_path / "gone"
    assert (source.lists, source.files, source.complete) == ((), (), False)


def test_no_column_of_the_stream_may_be_null() -> None:
    assert not any(field.nullable for schema in (IMAGES, LABELS) for field in schema)


@given(st.integers(0, 10_000), st.lists(st.integers(1, (1 << 40) - 1), min_size=1))
def test_a_place_is_what_was_recorded(number: int, rows: list[int]) -> None:
    packed = record(number, np.array(rows))
    assert packed.dtype == np.int64
    assert [place_of(int(value)) for value in packed] == [(number, row) for row in rows]


def big_list(path: Path, rows: int) -> Path:
    """A CSV of labels, written in pieces."""
    with path.open("w") as stream:
        stream.write("ImageID,Source,LabelName,Confidence\n")
        for start in range(0, rows, 100_000):
            stream.writelines(
                f"{i * 2654435761 % (1 << 48):016x},machine,/m/0{i % 600:05},0.{i % 9 + 1}\n"
                for i in range(start, min(start + 100_000, rows))
            )
    return path


@pytest.mark.parametrize("rows", [200_000, pytest.param(2_000_000, marks=pytest.mark.slow)])
def test_a_big_list_is_streamed_and_never_held(
    tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = 1 << 20
    monkeypatch.setattr(line_blocks, "BLOCK", block)
    write(tmp_path / "images/a.jpg")
    part = OpenImagesSource(
        type="open_images",
        images=tmp_path / "images",
        labels=(big_list(tmp_path / "labels.csv", rows),),
        classes=write(tmp_path / "classes.csv", "/m/000000,zero\n"),
    )
    notes, seen, last = Notes(), 0, 1
    arrow, tracked = pa.total_allocated_bytes(), 0
    tracemalloc.start()
    try:
        for batch in OpenImages("big", part).scan(notes):
            if batch.labels is None:
                continue
            assert batch.labels.nbytes < 4 * block
            assert pa.total_allocated_bytes() - arrow < 12 * block
            tracked = max(tracked, tracemalloc.get_traced_memory()[1])
            places = batch.labels.column("record").to_numpy()
            assert places[0] == last + 1
            last, seen = int(places[-1]), seen + len(places)
    finally:
        tracemalloc.stop()
    assert (seen, last) == (rows, rows + 1)
    assert tracked < 12 * block
    assert not notes.counts
