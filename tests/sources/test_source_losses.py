"""What fails while a source is listed is said; nothing that was there is lost from its rows in silence."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlimg_build.errors import SourceError, TransientError
from mlimg_build.sources import Notes, Source
from mlimg_build.sources.formats.folder import Folder
from mlimg_build.sources.formats.imagenet import ImageNet
from mlimg_build.sources.formats.open_images import OpenImages
from mlimg_build.sources.image_files import walk
from mlimg_build.sources.image_locations import Archive
from mlimg_build.spec import FolderSource, ImageNetSource, OpenImagesSource
from tests.support.source_world import scan, write, write_tar

PASSING = [errno.EMFILE, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENOMEM]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("n02121620/1.jpg", "n02121620/2.jpg", "n02084071/1.jpg"):
        write(tmp_path / "root" / name)
    write(tmp_path / "labels.csv", b"ImageID,Source,LabelName,Confidence\n1,verification,/m/cat,1\n")
    write(tmp_path / "classes.csv", b"/m/cat,Cat\n")
    return tmp_path / "root"


def sources(root: Path) -> dict[str, Source]:
    crowd = OpenImagesSource(
        type="open_images",
        images=root,
        labels=(root.with_name("labels.csv"),),
        classes=root.with_name("classes.csv"),
    )
    return {
        "folder": Folder("pets", FolderSource(type="folder", images=root)),
        "imagenet": ImageNet("pets", ImageNetSource(type="imagenet", images=root)),
        "open_images": OpenImages("pets", crowd),
    }


def refusing_folder(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    """Listing the folder of this name fails."""
    real = os.scandir

    def scandir(folder: Any = ".") -> Any:
        if Path(folder).name == name:
            raise OSError(code, os.strerror(code), str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)


def refusing_stat(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    """Looking at a path that ends with this name fails."""
    real = Path.stat

    def stat(path: Path, **named: Any) -> os.stat_result:
        if str(path).endswith(name):
            raise OSError(code, os.strerror(code), str(path))
        return real(path, **named)

    monkeypatch.setattr(Path, "stat", stat)


@pytest.mark.parametrize("kind", ["folder", "imagenet", "open_images"])
@pytest.mark.parametrize("code", [*PASSING, errno.EIO, errno.ENOENT])
def test_a_folder_that_drops_out_on_the_way_ends_the_listing(
    root: Path, monkeypatch: pytest.MonkeyPatch, kind: str, code: int
) -> None:
    refusing_folder(monkeypatch, "n02121620", code)
    with pytest.raises(TransientError) as caught:
        scan(sources(root)[kind])
    assert "n02121620" in str(caught.value)
    assert caught.value.code == "source-unreadable"


def test_a_folder_that_nobody_may_enter_is_noted_beside_the_others(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing_folder(monkeypatch, "n02121620", errno.EACCES)
    notes = Notes()
    assert [file.path for file in walk(root, notes=notes)] == ["n02084071/1.jpg"]
    assert dict(notes.counts) == {"folder-unreadable": 1}


@pytest.mark.parametrize("kind", ["folder", "imagenet", "open_images"])
def test_a_source_that_is_away_when_it_is_scanned_has_no_rows_and_an_error(root: Path, kind: str) -> None:
    root.rename(root.with_name("away"))
    with pytest.raises(SourceError) as caught:
        scan(sources(root)[kind])
    assert str(root) in str(caught.value)


def test_a_file_that_goes_between_listing_and_look_is_no_missing_image(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    class Going:
        """A listing whose files are gone when they are looked at."""

        def __init__(self, folder: Any) -> None:
            self.entries = list(real(folder))
            if Path(folder).name == "n02121620":
                for entry in self.entries:
                    Path(entry.path).unlink()

        def __enter__(self) -> Any:
            return iter(self.entries)

        def __exit__(self, *_: object) -> None:
            """Nothing is open."""

    monkeypatch.setattr(os, "scandir", Going)
    with pytest.raises(TransientError, match="it was there and is gone"):
        list(walk(root))


@pytest.mark.parametrize("code", PASSING)
def test_a_listed_path_that_cannot_be_looked_at_is_not_missing(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    refusing_stat(monkeypatch, "n02121620/1.jpg", code)
    with pytest.raises(TransientError, match=os.strerror(code)):
        Archive(root, Notes()).find("n02121620/1.jpg")


def test_a_listed_path_below_a_root_that_is_gone_is_not_missing(root: Path) -> None:
    archive = Archive(root, Notes())
    assert archive.find("n02121620/9.jpg")[1].status == "missing"
    root.rename(root.with_name("away"))
    with pytest.raises(TransientError, match="it was there and is gone"):
        archive.find("n02121620/1.jpg")


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EPERM])
def test_a_listed_path_that_may_not_be_looked_at_is_left_to_whoever_reads_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    refusing_stat(monkeypatch, "n02121620/1.jpg", code)
    name, found = Archive(root, Notes()).find("n02121620/1.jpg")
    assert (name, found.status, found.size) == ("n02121620/1.jpg", "", -1)


@pytest.mark.parametrize(
    "place", [lambda root: root.joinpath("x" * 300), lambda root: root / "n02121620/1.jpg/below.jpg"]
)
def test_a_name_that_leads_nowhere_stays_missing(root: Path, place: Callable[[Path], Path]) -> None:
    path = str(place(root).relative_to(root))
    assert Archive(root, Notes()).find(path)[1].status == "missing"


def test_a_synset_s_tar_that_cannot_be_opened_is_not_missing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(root / "n01440764.tar", {"n01440764_1.JPEG": b"tench"})
    refusing_stat(monkeypatch, "n01440764.tar", errno.ESTALE)
    with pytest.raises(TransientError, match=os.strerror(errno.ESTALE)):
        Archive(root, Notes()).find("n01440764/n01440764_1.JPEG")
