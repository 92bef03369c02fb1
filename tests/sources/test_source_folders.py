"""Folders of categories and ImageNet's folders and tars: what is an image, what it is called, what is passed over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.errors import SourceError
from mlimg_build.sources import WHOLE_FILE, Category, ImageReader, Notes, image_signatures
from mlimg_build.sources.formats.folder import Folder
from mlimg_build.sources.formats.imagenet import ImageNet
from mlimg_build.sources.image_files import unique_names, walk
from mlimg_build.spec import FolderSource, ImageNetSource
from tests.support.source_world import categories, scan, write, write_tar


def folder(root: Path, **given: str) -> Folder:
    return Folder("pets", FolderSource(type="folder", images=root, **given))


def imagenet(root: Path, **given: str) -> ImageNet:
    return ImageNet("imagenet", ImageNetSource(type="imagenet", images=root, **given))


def paths(root: Path, notes: Notes | None = None) -> list[str]:
    return [file.path for file in walk(root, notes=notes)]


def test_a_walk_is_sorted_by_path_component(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/2.jpg", "a/1.jpg", "a-b/1.jpg", "a.jpg", "Z/1.jpg", "ü/1.jpg"):
        write(tmp_path / name)
    assert paths(tmp_path) == ["Z/1.jpg", "a/1.jpg", "a/2.jpg", "a-b/1.jpg", "a.jpg", "b.jpg", "ü/1.jpg"]


def test_a_link_to_a_folder_is_followed_but_never_in_a_circle(tmp_path: Path) -> None:
    root, notes = tmp_path / "root", Notes()
    write(root / "a/b/1.jpg")
    write(tmp_path / "elsewhere/2.jpg")
    (root / "a/b/up").symlink_to(root)
    (root / "a/linked").symlink_to(tmp_path / "elsewhere")
    assert paths(root, notes) == ["a/b/1.jpg", "a/linked/2.jpg"]
    assert notes.examples == {"link-loop": ["a/b/up"]}


def test_a_link_to_nothing_or_to_itself_gets_its_row_as_missing(tmp_path: Path) -> None:
    write(tmp_path / "cat/1.jpg")
    (tmp_path / "cat/2.jpg").symlink_to("gone.jpg")
    (tmp_path / "cat/3.jpg").symlink_to("3.jpg")
    found = scan(folder(tmp_path))
    assert [(image["name"], image["status"], image["size"]) for image in found.images] == [
        ("cat/1", "", 5),
        ("cat/2", "missing", -1),
        ("cat/3", "missing", -1),
    ]
    with ImageReader(tmp_path) as reader, pytest.raises(OSError):
        reader.read("cat/2.jpg", WHOLE_FILE, -1)


def test_hidden_and_other_files_are_noted(tmp_path: Path) -> None:
    for name in ("cat/1.jpg", "cat/._1.jpg", "cat/.cache/2.jpg", "cat/notes.txt", ".git/3.jpg"):
        write(tmp_path / name)
    found = scan(folder(tmp_path))
    assert found.names == ["cat/1"]
    assert found.counts == {"hidden": 3, "not-an-image-name": 1}


def test_a_pipe_named_like_an_image_does_not_hang_the_scan(tmp_path: Path) -> None:
    write(tmp_path / "cat/1.jpg")
    os.mkfifo(tmp_path / "cat/2.jpg")
    found = scan(folder(tmp_path))
    assert found.names == ["cat/1"]
    assert found.counts == {"not-a-plain-file": 1}


def test_a_name_that_is_not_utf8_is_noted(tmp_path: Path) -> None:
    write(tmp_path / "cat/1.jpg")
    write(tmp_path / os.fsdecode(b"b\xe4r") / "1.jpg")
    write(tmp_path / "cat" / os.fsdecode(b"\xff.jpg"))
    found = scan(folder(tmp_path))
    assert found.names == ["cat/1"]
    assert found.counts == {"name-not-utf-8": 2}
    assert [category.id for category in categories(folder(tmp_path))] == ["cat"]


def test_a_folder_of_the_first_level_is_a_category_whose_underscores_are_spaces(tmp_path: Path) -> None:
    write(tmp_path / "great_white_shark/a/1.JPG")
    write(tmp_path / "Ameisenbär/日本.webp")
    (tmp_path / "empty").mkdir()
    source = folder(tmp_path, licence="CC0-1.0", author="Nobody")
    assert categories(source) == [
        Category("Ameisenbär", "Ameisenbär"),
        Category("empty", "empty"),
        Category("great_white_shark", "great white shark"),
    ]
    found = scan(source)
    assert found.statements == [
        ("Ameisenbär/日本", "Ameisenbär", 1.0),
        ("great_white_shark/a/1", "great_white_shark", 1.0),
    ]
    assert found.image("Ameisenbär/日本") == {
        "name": "Ameisenbär/日本",
        "path": "Ameisenbär/日本.webp",
        "offset": WHOLE_FILE,
        "size": 5,
        "status": "",
        "licence": "CC0-1.0",
        "author": "Nobody",
        "mtime": (tmp_path / "Ameisenbär/日本.webp").stat().st_mtime_ns,
        "ctime": (tmp_path / "Ameisenbär/日本.webp").stat().st_ctime_ns,
    }


def test_an_image_outside_a_category_is_noted(tmp_path: Path) -> None:
    write(tmp_path / "cat/1.jpg")
    write(tmp_path / "stray.jpg")
    found = scan(folder(tmp_path))
    assert found.names == ["cat/1"]
    assert found.notes.examples == {"image-outside-a-category": ["stray.jpg"]}


def test_images_that_share_a_stem_keep_their_suffix(tmp_path: Path) -> None:
    for name in ("1.jpg", "1.png", "2.jpg"):
        write(tmp_path / "cat" / name)
    assert scan(folder(tmp_path)).names == ["cat/1.jpg", "cat/1.png", "cat/2"]


FILES = st.lists(
    st.from_regex(r"(a|b)(/(a|b))?(\.(jpg|png|JPG)){1,3}", fullmatch=True),
    unique=True,
    min_size=1,
    max_size=9,
)


@given(FILES)
def test_names_are_unique_where_paths_are(files: list[str]) -> None:
    proposed = [file.rsplit(".", 1)[0] for file in files]
    names = unique_names(proposed, files)
    assert len(set(names)) == len(files)
    assert all(name in pair for name, pair in zip(names, zip(proposed, files, strict=True), strict=True))


def test_a_path_that_is_the_stem_of_another_image_does_not_give_two_one_name() -> None:
    files = ["cat/1.jpg.png", "cat/1.jpg", "cat/1.png"]
    assert unique_names(["cat/1.jpg", "cat/1", "cat/1"], files) == ["cat/1.jpg.png", "cat/1.jpg", "cat/1.png"]


def test_a_synset_may_be_a_folder_or_a_tar(tmp_path: Path) -> None:
    write(tmp_path / "n01440764/n01440764_1.JPEG", b"tench")
    write(tmp_path / "n01440764/extra/2.png", b"other tench")
    write_tar(tmp_path / "n01443537.tar", {"./n01443537_7.JPEG": b"goldfish", "n01443537/8.jpg": b"fish"})
    (tmp_path / "n01484850").mkdir()
    source = imagenet(tmp_path, licence="research only")
    assert categories(source) == [
        Category(wnid, "", wnid) for wnid in ("n01440764", "n01443537", "n01484850")
    ]
    found = scan(source)
    assert found.statements == [
        ("n01440764/extra/2", "n01440764", 1.0),
        ("n01440764_1", "n01440764", 1.0),
        ("n01443537_7", "n01443537", 1.0),
        ("n01443537/8", "n01443537", 1.0),
    ]
    with ImageReader(tmp_path) as reader:
        read = {
            image["name"]: reader.read(image["path"], image["offset"], image["size"])
            for image in found.images
        }
    assert read == {
        "n01440764/extra/2": b"other tench",
        "n01440764_1": b"tench",
        "n01443537_7": b"goldfish",
        "n01443537/8": b"fish",
    }
    assert {image["licence"] for image in found.images} == {"research only"}
    assert found.counts == {"category-without-images": 1}


def test_a_synset_as_folder_and_as_tar_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "n01440764/n01440764_1.JPEG")
    write_tar(tmp_path / "n01440764.tar", {"n01440764_1.JPEG": b"1"})
    with pytest.raises(
        SourceError, match=r"n01440764 is there twice, as n01440764 and n01440764\.tar"
    ) as error:
        scan(imagenet(tmp_path))
    assert error.value.code == "folder-and-tar"
    with pytest.raises(SourceError):
        categories(imagenet(tmp_path))


def test_a_synset_s_folder_or_tar_may_be_named_for_people_too(tmp_path: Path) -> None:
    write(tmp_path / "n01440764_tench/a/7.jpg")
    write(tmp_path / "n01440764_tench/n01440764_1.JPEG")
    write_tar(tmp_path / "n02084071 dog.tar", {"n02084071_1.JPEG": b"1"})
    found = scan(imagenet(tmp_path))
    assert found.statements == [
        ("n01440764/a/7", "n01440764", 1.0),
        ("n01440764_1", "n01440764", 1.0),
        ("n02084071_1", "n02084071", 1.0),
    ]
    assert [image["path"] for image in found.images] == [
        "n01440764_tench/a/7.jpg",
        "n01440764_tench/n01440764_1.JPEG",
        "n02084071 dog.tar",
    ]
    assert not found.counts
    write(tmp_path / "n01440764/n01440764_2.JPEG")
    with pytest.raises(SourceError, match="twice, as n01440764 and n01440764_tench"):
        scan(imagenet(tmp_path))


@pytest.mark.parametrize("kind", [ImageNet, Folder])
def test_a_link_to_itself_beside_the_folders_is_no_folder(kind: Any, tmp_path: Path) -> None:
    write(tmp_path / "n01440764/1.jpg")
    (tmp_path / "n02084071").symlink_to("n02084071")
    part = FolderSource(type="folder", images=tmp_path)
    source = imagenet(tmp_path) if kind is ImageNet else Folder("f", part)
    assert len(scan(source).statements) == 1
    assert [category.id for category in categories(source)] == ["n01440764"]


def test_a_damaged_tar_costs_no_other_synset(tmp_path: Path) -> None:
    write_tar(tmp_path / "n01440764.tar", {"n01440764_1.JPEG": b"1" * 5000, "n01440764_2.JPEG": b"2" * 5000})
    os.truncate(tmp_path / "n01440764.tar", 8000)
    write(tmp_path / "n01443537.tar", b"not a tar" * 100)
    write(tmp_path / "n01484850.tar", b"")
    write_tar(tmp_path / "n01491361.tar", {"n01491361_1.JPEG": b"shark"})
    found = scan(imagenet(tmp_path))
    assert [(image["name"], image["status"]) for image in found.images] == [
        ("n01440764_1", ""),
        ("n01440764_2", "truncated"),
        ("n01491361_1", ""),
    ]
    assert found.counts == {"tar-cut": 1, "tar-unreadable": 1, "tar-empty": 1}


def test_what_is_not_a_synset_is_noted(tmp_path: Path) -> None:
    write(tmp_path / "n01440764/1.jpg")
    write(tmp_path / "README.txt")
    write(tmp_path / "n01443537")
    write(tmp_path / ".DS_Store")
    write(tmp_path / "n0144.tar")
    (tmp_path / "n01484850.tar").symlink_to("gone.tar")
    (tmp_path / "n01491361.tar").mkdir()
    found = scan(imagenet(tmp_path))
    assert found.names == ["n01440764/1"]
    assert found.counts == {"not-a-synset": 2, "nearly-a-synset": 3, "hidden": 1}


def test_a_folder_that_is_missing_empty_or_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "file")
    for make in (folder, imagenet):
        for name, code in (("gone", "source-missing"), ("file", "source-missing"), ("empty", "source-empty")):
            with pytest.raises(SourceError) as error:
                scan(make(tmp_path / name))
            assert error.value.code == code
            assert error.value.problems[0].hint


@pytest.mark.parametrize(
    "name", ["a.jfif", "a.jif", "a.jfi", "a.jpe", "a.JPEG", "a.pjpeg", "a.PJP", "a.apng", "a.PNG", "a.webp"]
)
def test_the_rarer_suffixes_are_images_by_name(tmp_path: Path, name: str) -> None:
    write(tmp_path / "dog" / name)
    found = scan(folder(tmp_path))
    assert found.names == ["dog/a"]
    assert not found.counts


JPEG = b"\xff\xd8\xff\xe0" + bytes(40)


@pytest.mark.parametrize("name", ["a", "a.jpg.1", "a.JPEG_", "a.dat", "a.jpg?w=200"])
def test_an_image_by_its_content_is_noted_as_one(tmp_path: Path, name: str) -> None:
    write(tmp_path / "n02084071/n02084071_1.JPEG")
    write(tmp_path / "n02084071" / name, JPEG)
    write(tmp_path / "n02084071/notes.txt", "text")
    write_tar(tmp_path / "n02121620.tar", {"n02121620_1.JPEG": b"x", name: JPEG, "notes.txt": b"text"})
    for found in (scan(imagenet(tmp_path)), scan(folder(tmp_path))):
        assert f"n02084071/{name} (JPEG)" in found.notes.examples["image-by-content"]
    noted = scan(imagenet(tmp_path)).notes
    assert noted.examples["image-by-content"] == [f"n02084071/{name} (JPEG)", f"n02121620.tar:{name} (JPEG)"]
    assert noted.examples["not-an-image-name"] == ["n02084071/notes.txt", "n02121620.tar:notes.txt"]


def test_only_some_files_of_other_names_are_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_signatures, "MOST", 3)
    write(tmp_path / "dog/1.jpg")
    for i in range(5):
        write(tmp_path / f"dog/{i}.dat", JPEG)
    assert scan(folder(tmp_path)).counts == {"image-by-content": 3, "not-an-image-name": 2}


@pytest.mark.parametrize("kind", ["folder", "imagenet"])
def test_a_category_without_images_is_noted(kind: str, tmp_path: Path) -> None:
    for name in ("n02084071", "n02121620"):
        (tmp_path / "img" / name).mkdir(parents=True)
    (tmp_path / "img/n02121620/a.txt").write_text("no image")
    (tmp_path / "img/n02123045").mkdir()
    (tmp_path / "img/n02123045/a.jpg").write_bytes(b"one")
    notes = Notes()
    source = (folder if kind == "folder" else imagenet)(tmp_path / "img")
    list(source.scan(notes))
    assert notes.examples["category-without-images"] == ["n02084071", "n02121620"]
