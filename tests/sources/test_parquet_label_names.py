"""The names of numbered labels in Parquet files of images: one name for one label."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlimg_build.errors import SourceError
from tests.support.parquet_world import image_table, images_of, write_images
from tests.support.source_world import scan, write


def test_two_labels_of_one_name_are_an_error_and_not_one_category(tmp_path: Path) -> None:
    table = image_table([b"image"] * 3, [0, 1, 2], names=["crane", "dog", " crane"])
    write_images(tmp_path / "a.parquet", table)
    with pytest.raises(SourceError, match="its labels 0 and 2 are both named crane") as caught:
        scan(images_of(tmp_path))
    assert "classes: FILE" in (caught.value.problems[0].hint or "")
    classes = write(tmp_path / "classes.csv", "0,crane (bird)\n1,dog\n2,crane (machine)\n")
    made = scan(images_of(tmp_path, own={"classes": classes}))
    assert [label for _, label, _ in made.statements] == ["0", "1", "2"]


def test_a_label_without_a_name_is_noted_also_beside_others(tmp_path: Path) -> None:
    write_images(tmp_path / "a.parquet", image_table([b"image"] * 2, [[0, 1], [1]], names=["", "dog"]))
    made = scan(images_of(tmp_path))
    assert made.statements == [("a/1", "dog", 1.0), ("a/2", "dog", 1.0)]
    assert made.notes.examples["bad-label"] == ["a.parquet:1: the label 0 has no name"]
