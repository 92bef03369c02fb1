"""The published lists of ML-Images and their dictionary."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlimg_build.errors import SourceError
from mlimg_build.sources import Category, ImageReader, Notes, place_of, read_dictionary
from mlimg_build.sources.formats.ml_images import MLImages
from mlimg_build.sources.lists import line_blocks as lines
from mlimg_build.spec import MLImagesSource
from tests.support.source_world import categories, scan, write, write_tar

DICTIONARY = (
    "category_index\tcategory_id\tindex_of_parent_category\tcategory name\n"
    "0\tn00002452\t-1\tthing\n1\tn02084071\t0\tdog, domestic dog, Canis familiaris\n2\tn02121620\t0\tcat, true cat\n"
)
DOG, CAT = "n02084071", "n02121620"


def source(folder: Path, *bodies: str | bytes, images: bool = False) -> MLImages:
    part = MLImagesSource(
        type="ml_images",
        lists=tuple(write(folder / f"list-{i}.txt", body) for i, body in enumerate(bodies)),
        dictionary=write(folder / "dictionary.txt", DICTIONARY),
        images=folder / "images" if images else None,
        licence="see URL",
    )
    return MLImages("published", part)


def test_rows_of_urls_load_with_their_labels_and_are_not_fetched(tmp_path: Path) -> None:
    found = scan(source(tmp_path, "https://a.example/1.jpg\t1:1\t0:1\nHTTP://b.example/2.jpg\t2:0.9\n"))
    assert [(image["path"], image["status"], image["size"]) for image in found.images] == [
        ("https://a.example/1.jpg", "not_fetched", -1),
        ("HTTP://b.example/2.jpg", "not_fetched", -1),
    ]
    assert found.statements == [
        ("https://a.example/1.jpg", DOG, 1.0),
        ("https://a.example/1.jpg", "n00002452", 1.0),
        ("HTTP://b.example/2.jpg", CAT, pytest.approx(0.9)),
    ]
    assert {image["licence"] for image in found.images} == {"see URL"}
    assert not found.counts


@pytest.mark.parametrize("block", [9, 50, 1 << 20])
def test_bad_labels_are_noted_and_cost_only_themselves(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BLOCK", block)
    first = b"1.jpg\t1:1\t3:1\tdog:1\t2:\t0:2\t:\t2:1\r\n\r\n\t1:1\r\n\xff.jpg\t1:1\r\n2.jpg\t1:-1\t2:-0.5\t0:0\t\r\n"
    second = b"3.jpg\n4.jpg\t-1:1\t999999999999:1\t2:0.8"
    found = scan(source(tmp_path, first, second))
    assert found.names == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert [
        (*row, place_of(label["record"])) for row, label in zip(found.statements, found.labels, strict=True)
    ] == [
        ("1.jpg", DOG, 1.0, (0, 1)),
        ("1.jpg", CAT, 1.0, (0, 1)),
        ("2.jpg", "n00002452", 0.0, (0, 5)),
        ("4.jpg", CAT, pytest.approx(0.8), (1, 2)),
    ]
    assert found.notes.examples == {
        "bad-label": [
            "list-0.txt:1: '3:1'",
            "list-0.txt:1: 'dog:1'",
            "list-0.txt:1: ':'",
            "list-1.txt:2: '-1:1'",
            "list-1.txt:2: '999999999999:1'",
        ],
        "bad-confidence": ["list-0.txt:1: ''", "list-0.txt:1: '2'", "list-0.txt:5: '-0.5'"],
        "not-utf-8": ["list-0.txt:4"],
        "row-without-image": ["list-0.txt:3"],
        "ignored-label": ["list-0.txt:5"],
    }


def test_paths_are_found_in_the_folder_and_in_the_tar_of_their_synset(tmp_path: Path) -> None:
    write(tmp_path / "images/n02084071/n02084071_1.JPEG", b"dog")
    write(tmp_path / "images/loose.jpg", b"loose")
    tar = {"n02121620_1.JPEG": b"cat", "./n02121620_0.JPEG": b"first cat", "n02121620_ü.JPEG": b"x" * 900}
    write_tar(tmp_path / "images/n02121620.tar", tar)
    os.truncate(tmp_path / "images/n02121620.tar", 5 * 512 + 100)
    (tmp_path / "images/folder.jpg").mkdir()
    listed = [
        "n02084071/n02084071_1.JPEG",
        "./loose.jpg",
        "n02121620/n02121620_1.JPEG",
        "n02121620/n02121620_0.JPEG",
        "n02121620/n02121620_ü.JPEG",
        "n02121620/n02121620_2.JPEG",
        "n02999999/n02999999_1.JPEG",
        "folder.jpg",
    ]
    found = scan(source(tmp_path, "".join(f"{path}\t1:1\n" for path in listed), images=True))
    assert found.names == [path.removeprefix("./") for path in listed]
    assert [image["status"] for image in found.images] == [
        "",
        "",
        "",
        "",
        "truncated",
        "missing",
        "missing",
        "missing",
    ]
    with ImageReader(tmp_path / "images") as reader:
        read = [reader.read(image["path"], image["offset"], image["size"]) for image in found.images[:5]]
    assert read == [b"dog", b"loose", b"cat", b"first cat", b"x" * 100]
    assert found.counts == {"tar-cut": 1, "other-spelling": 1}


def test_a_path_that_leaves_the_folder_is_outside_and_never_looked_for(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.jpg")
    write_tar(tmp_path / "outside.tar", {"1.jpg": b"1"})
    write(tmp_path / "images/1.jpg")
    listed = [
        "../secret.jpg",
        str(secret),
        f"/{secret}",
        "a/../../secret.jpg",
        "../outside/1.jpg",
        "..",
    ]
    odd = ["x" * 200, "."]
    made = source(tmp_path, "".join(f"{path}\t1:1\n" for path in [*listed, *odd]), images=True)
    found = scan(made)
    assert [image["status"] for image in found.images] == ["outside"] * 6 + ["missing"] * 2
    assert found.names == [
        "../secret.jpg",
        str(secret),
        str(secret),
        "../secret.jpg",
        "../outside/1.jpg",
        "..",
        *odd,
    ]


def test_paths_without_a_folder_are_missing(tmp_path: Path) -> None:
    assert [image["status"] for image in scan(source(tmp_path, "1.jpg\t1:1\n")).images] == ["missing"]


def test_the_dictionary_is_the_vocabulary(tmp_path: Path) -> None:
    made = source(tmp_path, "1.jpg\t1:1\n")
    assert made.complete
    assert categories(made) == [
        Category("n00002452", "thing", "n00002452"),
        Category(DOG, "dog, domestic dog, Canis familiaris", DOG),
        Category(CAT, "cat, true cat", CAT),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", [True, False])
def test_a_dictionary_loads_with_and_without_header(tmp_path: Path, end: str, header: bool) -> None:
    body = DICTIONARY if header else DICTIONARY.partition("\n")[2]
    path = write(tmp_path / "dictionary.txt", "\ufeff" + body.replace("\n", end))
    dictionary = read_dictionary(path)
    assert dictionary.wnids == ("n00002452", DOG, CAT)
    assert dictionary.parents == (-1, 0, 0)
    assert dictionary.names[1] == "dog, domestic dog, Canis familiaris"


def test_every_wrong_row_of_a_dictionary_is_shown_at_its_line(tmp_path: Path) -> None:
    rows = [
        "0\tn00002452\t-1\tthing",
        "2\tn02084071\t0\tdog",
        "2\tn02121620\tx\tcat",
        "3\tn00002452\t0\tthing again",
        "4\tn02512053\t99\tfish",
        "5\tcar\t0\tcar",
        "6\tn01503061\t0",
        "7\tn01503061\t7\tbird\u2028with a line separator",
        "8\tn01503061\t²\tbird",
        "9\tn01503061\t-2\tbird",
    ]
    path = write(tmp_path / "dictionary.txt", DICTIONARY.partition("\n")[0] + "\n\n" + "\n".join(rows) + "\n")
    with pytest.raises(SourceError) as error:
        read_dictionary(path)
    assert {problem.code for problem in error.value.problems} == {"dictionary-row"}
    assert [
        (problem.place.line if problem.place else 0, problem.message) for problem in error.value.problems
    ] == [
        (4, "index 2, expected 1: rows are numbered from 0"),
        (5, "'x' is not the index of a row or -1"),
        (6, "n00002452 stands in line 3 already"),
        (7, "'99' is not the index of a row or -1"),
        (8, "'car' is not a WordNet id like n02084071"),
        (9, "3 fields, expected 4"),
        (10, "n01503061 is its own parent"),
        (11, "'²' is not the index of a row or -1"),
        (12, "'-2' is not the index of a row or -1"),
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "dictionary-empty"),
        (b"\n\n", "dictionary-empty"),
        (b"0\tn00002452\t-1\t\xff", "dictionary-unreadable"),
    ],
)
def test_a_dictionary_that_is_none_is_one_clear_error(tmp_path: Path, body: bytes, code: str) -> None:
    with pytest.raises(SourceError) as error:
        read_dictionary(write(tmp_path / "dictionary.txt", body))
    assert error.value.code == code


@pytest.mark.parametrize(
    ("body", "code"), [("", "list-empty"), ("\n\n", "list-empty"), ("\t1:1\n", "list-empty")]
)
def test_lists_without_a_row_are_one_clear_error(tmp_path: Path, body: str, code: str) -> None:
    with pytest.raises(SourceError) as error:
        scan(source(tmp_path, body))
    assert error.value.code == code


def test_blanks_between_the_labels_of_a_row_are_as_good_as_tabs(tmp_path: Path, shared_data: Path) -> None:
    rows = (shared_data / "ml-images" / "train_urls_sample.txt").read_text()
    dictionary = shared_data / "ml-images" / "dictionary_and_semantic_hierarchy.txt"
    scanned = []
    for name, text in (("tabs.txt", rows), ("blanks.txt", rows.replace("\t", "  "))):
        (tmp_path / name).write_text(text)
        part = MLImagesSource(type="ml_images", lists=(tmp_path / name,), dictionary=dictionary)
        batches = list(MLImages("rows", part).scan(Notes()))
        scanned.append([(batch.images, batch.labels) for batch in batches])
    assert scanned[0] == scanned[1]
    assert len(scanned[0][0][0]) == 50
