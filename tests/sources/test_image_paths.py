"""One image has one name, however a list spells its path; what lies outside its folder is never looked at."""

from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.sources import Notes
from mlimg_build.sources.formats.folder import Folder
from mlimg_build.sources.formats.imagenet import ImageNet
from mlimg_build.sources.formats.open_images import OpenImages
from mlimg_build.sources.formats.table import Table
from mlimg_build.sources.image_paths import ImagePaths, normal_path
from mlimg_build.sources.tar_index import members
from mlimg_build.spec import FolderSource, ImageNetSource, OpenImagesSource, TableSource
from tests.support.source_world import Scanned, categories, scan, write, write_tar

CAFE = normalize("NFC", "Café")
CAFE_OF_A_MAC = normalize("NFD", CAFE)


def table(folder: Path, *paths: str) -> Scanned:
    """A scan of a table whose n-th row has the n-th path and the label n."""
    rows = "".join(f'"{path}",{i}\n' for i, path in enumerate(paths))
    listed = write(folder / "t.csv", f"image,labels\n{rows}")
    return scan(Table("t", TableSource(type="table", table=listed, images=folder / "images")))


@pytest.mark.parametrize(
    "spelling",
    [
        "p/x.jpg",
        "./p/x.jpg",
        "p//x.jpg",
        "p/./x.jpg",
        "p/x.jpg/",
        "q/../p/x.jpg",
        "gone/../p/x.jpg",
        "../images/p/x.jpg",
        "{folder}/images/p/x.jpg",
        "{folder}//images/./p/x.jpg",
        "{folder}/linked/p/x.jpg",
        "p\\x.jpg",
        ".\\p\\x.jpg",
        "  p/x.jpg ",
    ],
)
def test_one_file_has_one_name_whatever_its_spelling(tmp_path: Path, spelling: str) -> None:
    write(tmp_path / "images/p/x.jpg")
    write(tmp_path / "images/q/y.jpg")
    (tmp_path / "linked").symlink_to("images")
    found = table(tmp_path, "p/x.jpg", spelling.format(folder=tmp_path))
    assert found.names == ["p/x.jpg"] * 2
    assert [image["path"] for image in found.images] == ["p/x.jpg"] * 2
    assert [image["status"] for image in found.images] == [""] * 2
    assert found.statements == [("p/x.jpg", "0", 1.0), ("p/x.jpg", "1", 1.0)]
    assert found.counts == ({} if spelling.strip() == "p/x.jpg" else {"other-spelling": 1})


def test_absolute_paths_are_below_a_root_that_is_itself_a_link(tmp_path: Path) -> None:
    write(tmp_path / "disk/x.jpg")
    (tmp_path / "images").symlink_to("disk")
    found = table(tmp_path, f"{tmp_path}/images/x.jpg", f"{tmp_path}/disk/x.jpg")
    assert [(image["name"], image["status"]) for image in found.images] == [("x.jpg", "")] * 2


@pytest.mark.parametrize(
    "spelling",
    [
        "../secret.jpg",
        "p/../../secret.jpg",
        "{folder}/secret.jpg",
        "/etc/passwd",
        "C:\\photographs\\x.jpg",
        "D:/x.jpg",
        "\\\\server\\share\\x.jpg",
        "{folder}/images-of-others/x.jpg",
        "..",
    ],
)
def test_what_lies_outside_the_folder_has_a_reason_of_its_own(tmp_path: Path, spelling: str) -> None:
    for name in ("secret.jpg", "images/p/x.jpg", "images-of-others/x.jpg"):
        write(tmp_path / name)
    found = table(tmp_path, spelling.format(folder=tmp_path))
    assert [(image["status"], image["size"]) for image in found.images] == [("outside", -1)]
    assert not found.counts


def test_a_link_inside_the_folder_is_followed_and_dots_behind_it_are_not(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/deep/x.jpg", b"linked")
    write(tmp_path / "elsewhere/a.jpg", b"another")
    write(tmp_path / "images/a.jpg", b"a")
    (tmp_path / "images/link").symlink_to(tmp_path / "elsewhere/deep")
    found = table(tmp_path, "link/x.jpg", "link/../a.jpg", "a.jpg")
    assert [(image["name"], image["status"], image["size"]) for image in found.images] == [
        ("link/x.jpg", "", 6),
        ("link/../a.jpg", "outside", -1),
        ("a.jpg", "", 1),
    ]


def test_a_backslash_is_a_letter_where_a_file_has_one(tmp_path: Path) -> None:
    for name in ("p\\x.jpg", "p/x.jpg", "p/y.jpg"):
        write(tmp_path / "images" / name)
    assert table(tmp_path, "p\\x.jpg", "p\\y.jpg").names == ["p\\x.jpg", "p/y.jpg"]


def test_upper_and_lower_case_and_escapes_are_other_images(tmp_path: Path) -> None:
    for name in ("a b.jpg", "A.jpg", "a.jpg"):
        write(tmp_path / "images" / name)
    found = table(tmp_path, "a.jpg", "A.jpg", "a%20b.jpg", "a b.jpg")
    assert [image["status"] for image in found.images] == ["", "", "missing", ""]
    assert len(set(found.names)) == 4


@pytest.mark.parametrize("listed", [CAFE, CAFE_OF_A_MAC])
@pytest.mark.parametrize("there", [CAFE, CAFE_OF_A_MAC])
def test_both_forms_of_a_letter_are_one_image(tmp_path: Path, listed: str, there: str) -> None:
    write(tmp_path / "images" / there / f"{there}.jpg")
    found = table(tmp_path, f"{listed}/{listed}.jpg", f"{there}/{listed}.jpg", f"{CAFE}/gone.jpg")
    assert found.names == [f"{CAFE}/{CAFE}.jpg"] * 2 + [f"{CAFE}/gone.jpg"]
    assert [image["path"] for image in found.images[:2]] == [f"{there}/{there}.jpg"] * 2
    assert [image["status"] for image in found.images] == ["", "", "missing"]


def test_two_files_that_differ_in_the_form_of_a_letter_stay_two(tmp_path: Path) -> None:
    for i, name in enumerate((CAFE, CAFE_OF_A_MAC)):
        write(tmp_path / "images" / f"{name}.jpg", b"x" * (i + 1))
    found = table(tmp_path, f"{CAFE}.jpg", f"{CAFE_OF_A_MAC}.jpg")
    assert [(image["name"], image["size"]) for image in found.images] == [
        (f"{CAFE}.jpg", 1),
        (f"{CAFE_OF_A_MAC}.jpg", 2),
    ]


def test_folders_written_on_a_mac_give_the_names_of_any_disk(tmp_path: Path) -> None:
    write(tmp_path / CAFE_OF_A_MAC / f"{CAFE_OF_A_MAC}.jpg")
    source = Folder("f", FolderSource(type="folder", images=tmp_path))
    assert scan(source).statements == [(f"{CAFE}/{CAFE}", CAFE, 1.0)]
    assert [category.id for category in categories(source)] == [CAFE]
    write(tmp_path / CAFE / f"{CAFE}.jpg")
    found = scan(source)
    assert len(set(found.names)) == len(found.names) == 2
    assert {category for _, category, _ in found.statements} == {CAFE}


def test_members_of_a_tar_have_the_names_of_any_disk(tmp_path: Path) -> None:
    write_tar(tmp_path / "n02121620.tar", {f"{CAFE_OF_A_MAC}.jpg": b"x"})
    source = ImageNet("i", ImageNetSource(type="imagenet", images=tmp_path))
    assert scan(source).names == [f"n02121620/{CAFE}"]


def test_a_member_that_leaves_the_tar_is_noted_and_not_read(tmp_path: Path) -> None:
    files = {"../../etc/passwd.jpg": b"1", "a/../../x.jpg": b"2", "a/../y.jpg": b"3", "/z.jpg": b"4"}
    notes = Notes()
    found = members(write_tar(tmp_path / "t.tar", files), notes)
    assert [member.name for member in found] == ["y.jpg", "z.jpg"]
    assert notes.examples == {"outside": ["t.tar:../../etc/passwd.jpg", "t.tar:a/../../x.jpg"]}


def open_images(folder: Path, *ids: str, rights: str | None = None) -> Scanned:
    listed = "".join(f"{key},verification,/m/0bt9lr,1\n" for key in ids)
    part = OpenImagesSource(
        type="open_images",
        images=folder / "images",
        labels=(write(folder / "l.csv", f"ImageID,Source,LabelName,Confidence\n{listed}"),),
        classes=write(folder / "c.csv", "/m/0bt9lr,Dog\n"),
        rights=None if rights is None else write(folder / "r.csv", f"ImageID,License,Author\n{rights}"),
    )
    return scan(OpenImages("o", part))


def test_an_image_id_that_is_written_as_a_path_is_read_as_files_are(tmp_path: Path) -> None:
    for name in ("train/aa0.jpg", "bb1.JPG", "dd3.jpg.jpg"):
        write(tmp_path / "images" / name)
    found = open_images(
        tmp_path, "train/aa0", "bb1.jpg", "BB1", "dd3.jpg", "val\\zz9.png", rights="x/aa0.jpg,CC0,Jane\n"
    )
    assert [name for name, _, _ in found.statements] == ["aa0", "bb1", "BB1", "dd3.jpg", "zz9"]
    assert found.notes.examples == {
        "other-spelling": ["x/aa0.jpg is aa0", "train/aa0 is aa0", "bb1.jpg is bb1", "val\\zz9.png is zz9"],
        "image-without-rights": ["bb1"],
    }
    assert found.image("aa0")["author"] == "Jane"


def test_the_ids_of_well_spelled_paths_are_the_paths() -> None:
    for path in (
        "a.jpg",
        "cats/a b (2).jpg",
        "n01440764/n01440764_10026.JPEG",
        "Ameisenbär/日本.webp",
        "a..b/c",
    ):
        assert ImagePaths(Path("/nowhere")).find(path) == (path, path)


PARTS = st.sampled_from(["a", "b", ".", "..", "", "é", "e\u0301", "c.jpg", "d d", "\\"])


@given(st.lists(PARTS, min_size=1, max_size=6).map("/".join))
def test_a_name_is_its_own_normal_form(path: str) -> None:
    paths = ImagePaths(Path("/nowhere/at/all"))
    name, below = paths.find(path)
    if below is not None and not name.startswith(("/", "..")):
        assert paths.find(name) == (name, below)
        assert ".." not in below.split("/")


@given(st.lists(PARTS, min_size=1, max_size=6).map("/".join))
def test_the_normal_form_is_normal(path: str) -> None:
    assert normal_path(normal_path(path)) == normal_path(path)
