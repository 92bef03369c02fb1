"""Every text that comes in has a limit; what is over it is noted with its file and line and costs its row."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from mlimg_build.digests import file_digest
from mlimg_build.errors import MlimgError, SourceError
from mlimg_build.sources import Notes, read_dictionary, read_nesting
from mlimg_build.sources.formats.folder import Folder
from mlimg_build.sources.formats.imagenet import ImageNet
from mlimg_build.sources.formats.ml_images import MLImages
from mlimg_build.sources.formats.open_images import OpenImages
from mlimg_build.sources.formats.table import Table
from mlimg_build.sources.lists import class_names, text_sizes
from mlimg_build.sources.lists.class_names import class_descriptions
from mlimg_build.sources.lists.line_blocks import read_lines
from mlimg_build.sources.lists.rights import read_rights
from mlimg_build.spec import (
    FolderSource,
    ImageNetSource,
    MLImagesSource,
    OpenImagesSource,
    TableSource,
    load_spec,
)
from mlimg_build.text_limits import CELL, ID, NAME, PATH, RIGHTS, URL, over
from tests.support.source_world import scan, write, write_tar

LIMITS = [("image", ID), ("url", URL), ("labels", NAME), ("licence", RIGHTS), ("author", RIGHTS)]


def table(path: Path) -> Table:
    columns = {"licence": "licence", "author": "author"}
    return Table("t", TableSource(type="table", table=path, images=path.parent, columns=columns))


def write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    """A table of these rows as CSV, TSV or Parquet, by its name."""
    names = ["image", "labels", "licence", "author"]
    if path.suffix == ".parquet":
        parquet.write_table(pa.table({name: [row[name] for row in rows] for name in names}), path)
        return path
    mark = "\t" if path.suffix == ".tsv" else ","
    return write(
        path, "".join(mark.join(row) + "\n" for row in [names, *(list(row.values()) for row in rows)])
    )


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize(("column", "most"), LIMITS)
@pytest.mark.parametrize("letter", ["x", "ü", "鳥"])
def test_a_cell_of_a_table_at_its_limit_is_read_and_one_over_it_costs_its_row(
    tmp_path: Path, suffix: str, column: str, most: int, letter: str
) -> None:
    size = len(letter.encode())
    start = "https://e.org/1.jpg?" if column == "url" else ""
    column = "image" if start else column
    fits = start + letter * ((most - len(start)) // size)
    plain = {"image": "", "labels": "dog", "licence": "CC0", "author": "Ann"}
    rows = [plain | {"image": f"{i}.jpg"} for i in range(4)]
    rows[1][column], rows[2][column] = fits, fits + letter
    path = write_table(tmp_path / f"t.{suffix}", rows)
    found = scan(table(path))
    line = 3 if suffix == "parquet" else 4
    assert list(found.counts) == ["text-too-long"]
    assert found.notes.examples["text-too-long"][0].startswith(f"{path.name}:{line}: ")
    assert f"{len(fits.encode()) + size:,} bytes, and at most" in found.notes.examples["text-too-long"][0]
    assert {"0.jpg", "3.jpg", rows[1]["image"]} <= {*found.names}
    lost = found.statements if column == "labels" else found.names
    assert len(lost) == 3
    assert all(fits + letter not in str(one) for one in lost)


@pytest.mark.parametrize("length", [PATH, PATH + 1, CELL, CELL + 1])
def test_a_path_that_no_system_knows_costs_its_row_before_it_is_looked_up(
    tmp_path: Path, length: int
) -> None:
    path = write(tmp_path / "t.csv", f"image,labels\na.jpg,dog\n{'x' * length},dog\nb.jpg,dog\n")
    source = Table("t", TableSource(type="table", table=path, images=tmp_path))
    found = scan(source)
    assert found.names == ["a.jpg", "b.jpg"]
    assert found.counts == {"text-too-long": 1}


def test_a_cell_with_many_labels_is_read_up_to_its_limit(tmp_path: Path) -> None:
    some = "|".join(["dog"] * (CELL // 4))
    path = write(tmp_path / "t.csv", f"image,labels\na.jpg,{some}\nb.jpg,{some}|dog\n")
    found = scan(Table("t", TableSource(type="table", table=path, images=tmp_path)))
    assert found.names == ["a.jpg"]
    assert len(found.labels) == CELL // 4
    assert "t.csv:3: the cell of labels has 65,539 bytes" in found.notes.examples["text-too-long"][0]


@pytest.mark.parametrize("kind", ["text", "dictionary", "large", "view", "binary", "numbers"])
def test_a_list_of_parquet_is_read_up_to_its_limit(tmp_path: Path, kind: str) -> None:
    types: dict[str, Any] = {
        **{"text": pa.string(), "dictionary": pa.dictionary(pa.int32(), pa.string())},
        **{"large": pa.large_string(), "view": pa.string_view(), "binary": pa.binary()},
        "numbers": pa.int16(),
    }
    one: Any = 7 if kind == "numbers" else "x" * 99
    count = 13_107 if kind == "numbers" else 655
    lists = pa.array([[one] * count, [one] * (count + 1), [one], None], pa.list_(types[kind]))
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"image": ["a", "b", "c", "d"], "labels": lists}), path)
    found = scan(Table("t", TableSource(type="table", table=path, images=tmp_path)))
    assert found.names == ["a", "c", "d"]
    assert found.counts == {"text-too-long": 1}
    assert len(found.labels) == count + 1
    assert found.notes.examples["text-too-long"][0].startswith("t.parquet:2: the cell of labels has")


@pytest.mark.parametrize(
    ("column", "row"),
    [("ImageID", f"{'x' * (ID + 1)},v,/m/1,1"), ("LabelName", f"b,v,{'x' * (NAME + 1)},1")],
)
def test_a_label_of_open_images_has_limits(tmp_path: Path, column: str, row: str) -> None:
    write(tmp_path / "img/a.jpg")
    part = OpenImagesSource(
        type="open_images",
        images=tmp_path / "img",
        labels=(write(tmp_path / "l.csv", f"ImageID,Source,LabelName,Confidence\n{row}\na,v,/m/1,1\n"),),
        classes=write(tmp_path / "c.csv", "/m/1,Dog\n"),
        people=("v",),
    )
    found = scan(OpenImages("o", part))
    assert found.statements == [("a", "/m/1", 1.0)]
    assert found.notes.examples["text-too-long"][0].startswith(f"l.csv:2: {column} has")


@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_rights_of_an_image_have_limits(tmp_path: Path, at: int) -> None:
    cells = ["b", "CC0", "Ann"]
    cells[at] = "x" * (RIGHTS + 1)
    notes = Notes()
    path = write(tmp_path / "r.csv", f"ImageID,License,Author\n{','.join(cells)}\na,CC0,Bob\n")
    rights = read_rights(path, "the rights", notes)
    assert rights.of(["a", "b"], "no", "nobody") == (["CC0", "no"], ["Bob", "nobody"])
    assert notes.examples["text-too-long"][0].startswith("r.csv:2: ")


def test_a_row_of_ml_images_has_limits(tmp_path: Path) -> None:
    write(tmp_path / "d.txt", "0\tn02084071\t-1\tdog\n")
    url = f"https://example.org/{'x' * URL}"
    rows = [f"{url}\t0:1", f"b.jpg\t0:1{'0' * CELL}\t0:1", "c.jpg\t0:1"]
    part = MLImagesSource(
        type="ml_images",
        lists=(write(tmp_path / "l.txt", "\n".join(rows)),),
        dictionary=tmp_path / "d.txt",
    )
    found = scan(MLImages("m", part))
    assert found.names == ["b.jpg", "c.jpg"]
    assert found.counts == {"text-too-long": 1, "bad-label": 1}
    assert found.notes.examples["text-too-long"] == [
        "l.txt:1: the image has 4,116 bytes, and at most 4,096 are read"
    ]
    assert len(found.notes.examples["bad-label"][0]) < 600


def test_paths_of_files_and_names_in_tars_have_limits(tmp_path: Path) -> None:
    deep = "/".join(["d" * 200] * 6)
    write(tmp_path / f"folder/dog/{deep}/1.jpg")
    write(tmp_path / "folder/dog/2.jpg")
    found = scan(Folder("f", FolderSource(type="folder", images=tmp_path / "folder")))
    assert (found.names, found.counts) == (["dog/2"], {"text-too-long": 1})
    write_tar(tmp_path / "tars/n02084071.tar", {f"{deep}/1.jpg": b"1", "2.jpg": b"2"}, 1)
    found = scan(ImageNet("i", ImageNetSource(type="imagenet", images=tmp_path / "tars")))
    assert (found.names, found.counts) == (["n02084071/2"], {"text-too-long": 1})


@pytest.mark.parametrize("row", [f"{'x' * (NAME + 1)},Dog", f"/m/2,{'ü' * NAME}"])
def test_a_class_description_over_its_limit_is_an_error_at_its_line(tmp_path: Path, row: str) -> None:
    path = write(tmp_path / "c.csv", f"/m/1,Cat\n{row}\n")
    with pytest.raises(SourceError, match="bytes, and at most 512 are read") as caught:
        class_descriptions(path, "the classes")
    (problem,) = caught.value.problems
    assert (problem.code, problem.place and problem.place.line) == ("descriptions-row", 2)


def test_only_so_many_problems_of_a_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        class_descriptions(write(tmp_path / "c.csv", "x\n" * 1000), "the classes")
    assert len(caught.value.problems) == 100
    with pytest.raises(SourceError) as caught:
        read_dictionary(write(tmp_path / "d.txt", "x\n" * 1000))
    assert len(caught.value.problems) == 100
    with pytest.raises(SourceError) as caught:
        read_nesting(write(tmp_path / "h.json", json.dumps({"name": "a", "children": [[]] * 1000})), {})
    assert len(caught.value.problems) == 100


def test_a_name_of_the_dictionary_has_a_limit(tmp_path: Path) -> None:
    path = write(tmp_path / "d.txt", f"0\tn02084071\t-1\t{'x' * (NAME + 1)}\n")
    with pytest.raises(SourceError, match="its name has 513 bytes"):
        read_dictionary(path)


def test_a_deep_and_wide_hierarchy_says_where_its_fault_is(tmp_path: Path) -> None:
    root: dict[str, Any] = {"name": "bottom", "children": [{"name": str(i)} for i in range(50_000)]}
    for _ in range(200):
        root = {"name": "above", "children": [root]}
    write(tmp_path / "h.json", json.dumps(root))
    assert read_nesting(tmp_path / "h.json", {}).nodes == 50_201
    root["children"].append(7)
    with pytest.raises(SourceError, match="no node at /children/1"):
        read_nesting(write(tmp_path / "h.json", json.dumps(root)), {})


READERS: dict[str, Callable[[Path], object]] = {
    "a spec": load_spec,
    "the names of classes": lambda path: class_descriptions(path, "the classes"),
    "a dictionary": read_dictionary,
    "a hierarchy": lambda path: read_nesting(path, {}),
    "a list": lambda path: list(read_lines(path, "the list", Notes())),
    "a table": lambda path: scan(table(path)),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device"])
def test_what_is_no_regular_file_is_an_error_and_no_wait(tmp_path: Path, reader: str, kind: str) -> None:
    path = tmp_path / "x.csv"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
        if reader == "a table":
            pytest.skip("a spec names no table so")
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(MlimgError, match=r"regular|not a file"):
        READERS[reader](path)


@pytest.mark.timeout(20)
def test_a_small_file_that_is_huge_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with path.open("wb") as stream:
        stream.write(b"/m/1,Cat\n")
        stream.truncate(4 << 30)
    for read in (lambda path: class_descriptions(path, "the classes"), read_dictionary):
        with pytest.raises(SourceError, match="are read at most") as caught:
            read(path)
        assert "Errno" not in str(caught.value)
        assert "UTF-8" not in str(caught.value)


@pytest.mark.slow
def test_many_classes_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csv"
    path.write_text("".join(f"/m/{i:06},the name of the class with the number {i}\n" for i in range(420_000)))
    assert path.stat().st_size > 16 << 20
    assert len(class_descriptions(path, "the classes")) == 420_000
    monkeypatch.setattr(class_names, "CLASSES", 419_999)
    with pytest.raises(SourceError, match="it names more than 419,999 classes"):
        class_descriptions(path, "the classes")


def test_a_list_of_ml_images_has_long_urls(tmp_path: Path) -> None:
    dictionary = write(tmp_path / "d.txt", "0\tn02084071\t-1\tdog\n")
    url = "https://e.org/" + "x" * (URL - 14)
    lists = write(tmp_path / "l.txt", f"{url}\t0:1\n{url}x\t0:1\n{'y' * (ID + 1)}\t0:1\n")
    part = MLImagesSource(type="ml_images", lists=(lists,), dictionary=dictionary)
    found = scan(MLImages("m", part))
    assert (found.names, found.counts) == ([url], {"text-too-long": 2})


@pytest.mark.timeout(20)
def test_a_pipe_has_no_digest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        file_digest(tmp_path / "pipe")


def test_a_text_is_measured_in_bytes() -> None:
    assert over("ü" * 256, NAME) == ""
    assert over("ü" * 257, NAME) == "514 bytes, and at most 512 are read"


@given(
    lists=st.lists(st.one_of(st.none(), st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=9))),
    block=st.integers(1, 7),
    start=st.integers(0, 3),
)
def test_lists_are_measured_in_blocks_of_their_values(
    lists: list[list[str | None] | None], block: int, start: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_sizes, "BLOCK", block)
        found = text_sizes.text_sizes(pa.array(lists, pa.list_(pa.string())).slice(start))
    expected = [sum(len((text or "").encode()) + 1 for text in one or []) for one in lists[start:]]
    assert found.tolist() == expected
