"""The bytes of an image are those of its file, however many tars there are and whatever happened to them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlimg_build.sources import WHOLE_FILE, ImageReader
from mlimg_build.sources.formats.imagenet import ImageNet
from mlimg_build.spec import ImageNetSource
from tests.support.source_world import scan, write, write_tar

OPEN = Path("/proc/self/fd")


def descriptors() -> int:
    return len(list(OPEN.iterdir()))


@pytest.mark.skipif(not OPEN.is_dir(), reason="needs /proc to count open files")
def test_only_the_last_few_tars_stay_open_and_none_after_closing(tmp_path: Path) -> None:
    for i in range(30):
        write_tar(tmp_path / f"n{i:08}.tar", {f"n{i:08}_{j}.JPEG": b"%d %d" % (i, j) for j in range(3)})
    images = scan(ImageNet("imagenet", ImageNetSource(type="imagenet", images=tmp_path))).images
    before = descriptors()
    with ImageReader(tmp_path, kept_open=4) as reader:
        for image in [*images, *reversed(images)]:
            i, j = image["name"][1:].split("_")
            assert reader.read(image["path"], image["offset"], image["size"]) == b"%d %d" % (int(i), int(j))
            assert descriptors() <= before + 4
        with pytest.raises(FileNotFoundError):
            reader.read("gone.tar", 0, 10)
    assert descriptors() == before


def test_a_tar_that_was_cut_gives_what_is_left(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.jpg": b"x" * 1000})
    os.truncate(tmp_path / "a.tar", 512 + 300)
    with ImageReader(tmp_path) as reader:
        assert reader.read("a.tar", 512, 1000) == b"x" * 300
        assert reader.read("a.tar", 5000, 1000) == b""
        assert len(reader.read("a.tar", 512, 1 << 60)) == 300  # a damaged size claims no memory


def test_a_file_of_its_own_is_read_whole_whatever_size_was_listed(tmp_path: Path) -> None:
    write(tmp_path / "cat/1.jpg", b"longer than listed")
    with ImageReader(tmp_path) as reader:
        assert reader.read("cat/1.jpg", WHOLE_FILE, 3) == b"longer than listed"
        with pytest.raises(OSError):
            reader.read("cat", WHOLE_FILE, 3)
