"""Open Images: three states of confidence, images by their ids, licences of single images, class descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlimg_build.errors import SourceError
from mlimg_build.sources import Category, Notes, place_of
from mlimg_build.sources.formats import open_images
from mlimg_build.sources.formats.open_images import OpenImages
from mlimg_build.sources.lists import line_blocks as lines
from mlimg_build.sources.lists.class_names import class_descriptions
from mlimg_build.sources.lists.rights import read_rights
from mlimg_build.spec import OpenImagesSource
from tests.support.source_world import Scanned, categories, scan, write

HEADER = "ImageID,Source,LabelName,Confidence\n"
CLASSES = "/m/0bt9lr,Dog\n/m/01yrx,Cat\n"


def source(folder: Path, *labels: str, rights: str | None = None, **given: Any) -> OpenImages:
    """A source whose label files hold the given rows; images `a` and `b` are there."""
    for name in ("a", "b"):
        write(folder / f"images/{name}.jpg", name)
    listed = [write(folder / f"labels-{i}.csv", HEADER + body) for i, body in enumerate(labels)]
    part = OpenImagesSource(
        type="open_images",
        images=folder / "images",
        labels=tuple(listed),
        classes=write(folder / "classes.csv", CLASSES),
        rights=None if rights is None else write(folder / "rights.csv", rights),
        **given,
    )
    return OpenImages("open_images", part)


def places(found: Scanned) -> list[tuple[int, int]]:
    return [place_of(label["record"]) for label in found.labels]


def test_confidence_tells_verified_present_absent_and_machine_made_apart(tmp_path: Path) -> None:
    body = "a,verification,/m/0bt9lr,1\na,verification,/m/01yrx,0\nb,machine,/m/0bt9lr,0.85\n"
    found = scan(source(tmp_path, body))
    assert found.names == ["a", "b"]
    assert found.statements == [
        ("a", "/m/0bt9lr", 1.0),
        ("a", "/m/01yrx", 0.0),
        ("b", "/m/0bt9lr", pytest.approx(0.85)),
    ]
    assert places(found) == [(0, 2), (0, 3), (0, 4)]
    assert not found.counts


def test_the_column_that_says_who_spoke_is_found_in_any_case(tmp_path: Path) -> None:
    body = "a,machine,/m/0bt9lr,1\na,verification,/m/01yrx,1\n"
    made = source(tmp_path, body)
    (tmp_path / "labels-0.csv").write_text(HEADER.replace("Source", "source") + body)
    assert [confidence for *_, confidence in scan(made).statements] == [pytest.approx(1 - 2**-53), 1.0]


def test_people_of_a_list_that_does_not_say_who_spoke_are_noted(tmp_path: Path) -> None:
    made = source(tmp_path, "", people=("ann",))
    (tmp_path / "labels-0.csv").write_text("ImageID,LabelName,Confidence\na,/m/0bt9lr,1\n")
    assert scan(made).counts == {"no-speakers": 1}


def test_a_word_for_no_value_is_no_image_unless_one_is_called_so(tmp_path: Path) -> None:
    body = "NaN,verification,/m/0bt9lr,1\n/,verification,/m/0bt9lr,1\na,verification,/m/0bt9lr,1\n"
    assert scan(source(tmp_path, body)).counts["row-without-image"] == 2
    write(tmp_path / "images/NaN.jpg", "x")
    found = scan(source(tmp_path, body))
    assert {name for name, *_ in found.statements} == {"NaN", "a"}


@pytest.mark.parametrize("block", [10, 64, 1 << 20])
def test_statements_of_several_files_know_their_file_and_line(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BLOCK", block)
    first = 'a,"human, verified",/m/0bt9lr,1\r\n\r\nonly,three,fields\r\n'
    first += "b,human,/m/0bt9lr,yes\r\nb,human,/m/01yrx,0\r\n"
    second = "\n\nc,human,/m/01yrx,1\n"
    found = scan(source(tmp_path, first, second, people=("human", "human, verified")))
    assert found.statements == [("a", "/m/0bt9lr", 1.0), ("b", "/m/01yrx", 0.0), ("c", "/m/01yrx", 1.0)]
    assert places(found) == [(0, 2), (0, 6), (1, 4)]
    assert found.notes.examples == {
        "malformed-row": ["labels-0.csv:4: 3 fields, expected 4"],
        "bad-confidence": ["labels-0.csv:5: 'yes'"],
    }


def test_a_statement_without_image_or_category_is_noted(tmp_path: Path) -> None:
    found = scan(source(tmp_path, ",human,/m/0bt9lr,1\na,human, ,1\n a ,human, /m/01yrx ,1\n"))
    assert found.statements == [("a", "/m/01yrx", 1.0)]
    assert found.notes.examples == {
        "row-without-image": ["labels-0.csv:2"],
        "row-without-label": ["labels-0.csv:3"],
    }


def test_an_image_in_two_folders_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_images, "FILES_PER_BATCH", 2)
    made = source(tmp_path, "a,human,/m/0bt9lr,1\n")
    for name in ("images/sub/a.png", "images/sub/c.jpg", "images/sub/d.jpg"):
        write(tmp_path / name)
    found = scan(made)
    assert found.names == ["a", "b", "c", "d"]
    assert found.image("a")["path"] == "a.jpg"
    assert found.notes.examples == {"image-twice": ["sub/a.png"]}


def test_rights_of_single_images_win_over_those_of_the_source(tmp_path: Path) -> None:
    rights = (
        "ImageID,Subset,Author,License,Title\n"
        'a,train,"Doe, Jane",https://creativecommons.org/licenses/by/2.0/,"a ""title"""\n'
        "z,train,Nobody,CC0,\nb,train,,,no rights stated\na,train,Second,CC0,\n"
    )
    made = source(tmp_path, "a,human,/m/0bt9lr,1\n", rights=rights, licence="CC-BY-4.0", author="unknown")
    found = scan(made)
    assert [(image["name"], image["licence"], image["author"]) for image in found.images] == [
        ("a", "https://creativecommons.org/licenses/by/2.0/", "Doe, Jane"),
        ("b", "CC-BY-4.0", "unknown"),
    ]
    assert [path.name for path in made.files] == ["labels-0.csv", "classes.csv", "rights.csv"]


def test_rights_of_many_images_are_found_across_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BLOCK", 200)
    rows = [f"ü{i * 7919 % 1000},L{i % 3},A{i % 11}" for i in range(1000)]
    path = write(tmp_path / "rights.csv", "ImageID,License,Author\n" + "\n".join(rows))
    found = read_rights(path, "the rights", Notes())
    wanted = {row.split(",")[0]: tuple(row.split(",")[1:]) for row in rows}
    names = [f"ü{i}" for i in range(-5, 1005)]
    licences, authors = found.of(names, "none", "nobody")
    assert dict(zip(names, zip(licences, authors, strict=True), strict=True)) == {
        name: wanted.get(name, ("none", "nobody")) for name in names
    }
    assert len(found.licences) == 3
    assert len(found.authors) == 11


@pytest.mark.parametrize("missing", ["images", "labels-0.csv", "classes.csv"])
def test_each_missing_input_is_one_clear_error(tmp_path: Path, missing: str) -> None:
    made = source(tmp_path, "a,human,/m/0bt9lr,1\n")
    (tmp_path / missing).rename(tmp_path / "moved")
    with pytest.raises(SourceError, match="does not exist") as error:
        scan(made)
    assert error.value.code == ("source-missing" if missing == "images" else "list-missing")


@pytest.mark.parametrize("body", ["", HEADER, "ImageID,LabelName\na,/m/0bt9lr\n"])
def test_an_empty_list_or_one_without_a_column_is_one_clear_error(tmp_path: Path, body: str) -> None:
    made = source(tmp_path, "a,human,/m/0bt9lr,1\n", "")
    write(tmp_path / "labels-1.csv", body)
    with pytest.raises(SourceError, match=r"labels-1\.csv"):
        scan(made)


@pytest.mark.parametrize(
    "body",
    [
        "/m/0bt9lr,Dog\n/m/01yrx,Cat\n",
        '"/m/0bt9lr","Dog"\r\n"/m/01yrx","Cat"\r\n',
        "LabelName,DisplayName\n/m/0bt9lr,Dog\n\n/m/01yrx,Cat",
        "\ufeffLabelName,DisplayName\n/m/0bt9lr, Dog\n/m/01yrx,Cat \n/m/0bt9lr,Dog\n",
    ],
    ids=["plain", "quoted", "header", "mark"],
)
def test_class_descriptions_load_with_and_without_header(tmp_path: Path, body: str) -> None:
    made = source(tmp_path, "a,human,/m/0bt9lr,1\n")
    write(tmp_path / "classes.csv", body)
    assert categories(made) == [Category("/m/0bt9lr", "Dog"), Category("/m/01yrx", "Cat")]


def test_every_wrong_class_description_is_shown_at_its_line(tmp_path: Path) -> None:
    body = "LabelName,DisplayName\n/m/0bt9lr,Dog\n\n/m/01yrx\n,Cat\n/m/0bt9lr,Hound\n"
    path = write(tmp_path / "classes.csv", body)
    with pytest.raises(SourceError) as error:
        class_descriptions(path, "the classes")
    assert [
        (problem.place.line if problem.place else 0, problem.message) for problem in error.value.problems
    ] == [
        (4, "/m/01yrx has no name"),
        (5, "'Cat' has no id"),
        (6, "/m/0bt9lr has another name in line 2"),
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "list-empty"),
        (b"LabelName,DisplayName\n", "descriptions-empty"),
        (b"/m/0bt9lr,B\xe4r\n", "list-unreadable"),
        (b'/m/0bt9lr,"' + b"x" * 200_000, "list-unreadable"),
    ],
)
def test_class_descriptions_that_are_none_are_one_clear_error(tmp_path: Path, body: bytes, code: str) -> None:
    with pytest.raises(SourceError) as error:
        class_descriptions(write(tmp_path / "classes.csv", body), "the classes")
    assert error.value.code == code


URLS = "ImageID,OriginalURL,License,Author,Thumbnail300KURL\n"


def at_urls(folder: Path, rows: str, **given: Any) -> OpenImages:
    """A source of images at URLs; nothing is in a folder unless one is given."""
    part = OpenImagesSource(
        type="open_images",
        labels=(
            write(folder / "labels.csv", HEADER + "a,verification,/m/0bt9lr,1\nc,verification,/m/01yrx,1\n"),
        ),
        classes=write(folder / "classes.csv", CLASSES),
        rights=write(folder / "rights.csv", URLS + rows),
        **{"urls": "OriginalURL", **given},
    )
    return OpenImages("open_images", part)


ROWS = (
    "a,https://x.example/a_o.jpg,https://l.example/by/2.0/,Ann,https://x.example/a_z.jpg\n"
    "c,https://x.example/c_o.jpg,,Bob,https://x.example/c_z.jpg\n"
)


def test_images_lie_at_the_urls_of_the_csv_of_rights(tmp_path: Path) -> None:
    found = scan(at_urls(tmp_path, ROWS))
    assert [(one["name"], one["path"], one["status"]) for one in found.images] == [
        ("a", "https://x.example/a_o.jpg", "not_fetched"),
        ("c", "https://x.example/c_o.jpg", "not_fetched"),
    ]
    assert [(one["licence"], one["author"]) for one in found.images] == [
        ("https://l.example/by/2.0/", "Ann"),
        ("", "Bob"),
    ]
    assert found.statements == [("a", "/m/0bt9lr", 1.0), ("c", "/m/01yrx", 1.0)]


def test_thumbnails_are_another_column(tmp_path: Path) -> None:
    found = scan(at_urls(tmp_path, ROWS, urls="Thumbnail300KURL"))
    assert [one["path"][-5:] for one in found.images] == ["z.jpg", "z.jpg"]


def test_a_file_of_the_folder_comes_before_its_url(tmp_path: Path) -> None:
    write(tmp_path / "images/a.jpg", "a")
    found = scan(at_urls(tmp_path, ROWS, images=tmp_path / "images"))
    assert [(one["name"], one["path"]) for one in found.images] == [
        ("a", "a.jpg"),
        ("c", "https://x.example/c_o.jpg"),
    ]


def test_a_row_without_a_url_and_a_second_one_of_an_image_are_told(tmp_path: Path) -> None:
    found = scan(at_urls(tmp_path, ROWS + "d,,,,\na,https://x.example/other.jpg,,,\n"))
    assert found.names == ["a", "c"]
    assert found.counts == {"image-without-url": 1}


def test_images_are_in_a_folder_or_at_urls() -> None:
    parts = {"type": "open_images", "labels": ("l.csv",), "classes": Path("c.csv")}
    with pytest.raises(ValueError, match="nothing says where the images are"):
        OpenImagesSource(**parts)
    with pytest.raises(ValueError, match="no file has the column OriginalURL"):
        OpenImagesSource(**parts, urls="OriginalURL")
