"""The names of numbered labels in Parquet files of images."""

from __future__ import annotations

from pathlib import Path

from tests.support.parquet_world import image_table, images_of, write_images
from tests.support.source_world import scan


def test_a_label_without_a_name_is_noted_also_beside_others(tmp_path: Path) -> None:
    write_images(tmp_path / "a.parquet", image_table([b"image"] * 2, [[0, 1], [1]], names=["", "dog"]))
    made = scan(images_of(tmp_path))
    assert made.statements == [("a/1", "dog", 1.0), ("a/2", "dog", 1.0)]
    assert made.notes.examples["bad-label"] == ["a.parquet:1: the label 0 has no name"]
