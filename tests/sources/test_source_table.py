"""Tables, CSV, TSV and Parquet: several labels and confidences in a cell, and what stands in for what is not given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlimg_build.errors import SourceError
from mlimg_build.sources import place_of
from mlimg_build.sources.formats.table import Table
from mlimg_build.spec import Columns, TableSource
from tests.support.source_world import Scanned, scan, write, write_tar


def source(path: Path, columns: dict[str, str] | None = None, **given: str) -> Table:
    folder = path.parent / "images"
    for name in ("1.jpg", "2.jpg"):
        write(folder / name, name)
    part = TableSource(type="table", table=path, images=folder, columns=Columns(**(columns or {})), **given)
    return Table("table", part)


def parquet(path: Path, columns: dict[str, Any], rows: int = 1 << 20) -> Path:
    try:
        pq.write_table(pa.table(columns), path, row_group_size=rows)
    except pa.ArrowNotImplementedError as error:
        pytest.skip(f"this pyarrow cannot write such a table: {error}")
    return path


def rows(found: Scanned) -> list[tuple[str, str, float, int]]:
    return [
        (*statement, place_of(label["record"])[1])
        for statement, label in zip(found.statements, found.labels, strict=True)
    ]


def test_a_cell_may_hold_several_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", 'image,labels\n1.jpg,dog|cat\n"2.jpg"," dog | |"\nsub/3.jpg,\n')
    found = scan(source(path))
    assert rows(found) == [("1.jpg", "dog", 1.0, 2), ("1.jpg", "cat", 1.0, 2), ("2.jpg", "dog", 1.0, 3)]
    assert [(image["name"], image["status"], image["size"]) for image in found.images] == [
        ("1.jpg", "", 5),
        ("2.jpg", "", 5),
        ("sub/3.jpg", "missing", -1),
    ]
    assert not found.counts


def test_a_tsv_and_another_separator(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", "image\tlabels\n1.jpg\tdog, hound; cat\n")
    assert rows(scan(source(path, separator=";"))) == [
        ("1.jpg", "dog, hound", 1.0, 2),
        ("1.jpg", "cat", 1.0, 2),
    ]


def test_confidences_stand_for_all_labels_of_a_row_or_for_one_each(tmp_path: Path) -> None:
    body = (
        "image,labels,sure\n1.jpg,dog|cat,0.5\n2.jpg,dog|cat,1|0\n1.jpg,dog|cat|cow,1|0\n"
        "2.jpg,cow,\n1.jpg,sheep|goat,1|often\n2.jpg,,\n2.jpg,pig,1|1\n"
    )
    found = scan(source(write(tmp_path / "t.csv", body), {"confidence": "sure"}))
    assert rows(found) == [
        ("1.jpg", "dog", 0.5, 2),
        ("1.jpg", "cat", 0.5, 2),
        ("2.jpg", "dog", 1.0, 3),
        ("2.jpg", "cat", 0.0, 3),
        ("1.jpg", "sheep", 1.0, 6),
    ]
    assert found.notes.examples == {
        "confidence-count": ["t.csv:4: 2 for 3 labels", "t.csv:8: 2 for 1 labels"],
        "bad-confidence": ["t.csv:5: ''", "t.csv:6: 'often'"],
    }


def test_licence_and_author_of_a_row_win_over_those_of_the_source(tmp_path: Path) -> None:
    body = "image,labels,rights,by\n1.jpg,dog,CC0-1.0,Jane\n2.jpg,cat,, \n"
    columns = {"licence": "rights", "author": "by"}
    found = scan(source(write(tmp_path / "t.csv", body), columns, licence="CC-BY-4.0", author="unknown"))
    assert [(image["licence"], image["author"]) for image in found.images] == [
        ("CC0-1.0", "Jane"),
        ("CC-BY-4.0", "unknown"),
    ]


def test_a_row_without_an_image_is_noted(tmp_path: Path) -> None:
    found = scan(source(write(tmp_path / "t.csv", "image,labels\n,dog\n1.jpg,cat\n\n  ,cow\n2.jpg,pig\n")))
    assert rows(found) == [("1.jpg", "cat", 1.0, 3), ("2.jpg", "pig", 1.0, 6)]
    assert found.notes.examples == {"row-without-image": ["t.csv:2", "t.csv:5"]}


def test_one_column_may_be_used_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,kind\n1.jpg,dog\n")
    found = scan(source(path, {"labels": "kind", "author": "kind"}))
    assert rows(found) == [("1.jpg", "dog", 1.0, 2)]
    assert found.images[0]["author"] == "dog"


def test_an_url_in_a_table_is_not_fetched_and_a_path_outside_is_told_as_such(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,labels\nhttps://a.example/1.jpg,dog\n../t.csv,dog\n")
    assert [image["status"] for image in scan(source(path)).images] == ["not_fetched", "outside"]


def test_parquet_text_is_read_as_csv_is(tmp_path: Path) -> None:
    columns = {
        "image": ["1.jpg", None, " 2.jpg"],
        "labels": ["dog|cat", "cow", None],
        "sure": ["1|0", "1", None],
    }
    found = scan(source(parquet(tmp_path / "t.parquet", columns, rows=2), {"confidence": "sure"}))
    assert found.names == ["1.jpg", "2.jpg"]
    assert rows(found) == [("1.jpg", "dog", 1.0, 1), ("1.jpg", "cat", 0.0, 1)]
    assert found.notes.examples == {"row-without-image": ["t.parquet:2"]}


@pytest.mark.parametrize(
    "kind", [pa.list_, pa.large_list, lambda value: pa.list_(value, 2)], ids=["list", "large", "fixed"]
)
def test_parquet_lists_hold_labels_and_confidences(tmp_path: Path, kind: Any) -> None:
    columns = {
        "image": ["1.jpg", "2.jpg", "1.jpg"],
        "labels": pa.array([["a|b", "cat"], None, ["dog", None]], kind(pa.string())),
        "sure": pa.array([[0.25, 0.0], None, [1.0, 1.0]], kind(pa.float32())),
    }
    found = scan(source(parquet(tmp_path / "t.parquet", columns), {"confidence": "sure"}))
    assert rows(found) == [("1.jpg", "a|b", 0.25, 1), ("1.jpg", "cat", 0.0, 1), ("1.jpg", "dog", 1.0, 3)]
    assert len(found.images) == 3
    assert not found.counts


def test_parquet_numbers_are_written_out_and_nan_is_no_confidence(tmp_path: Path) -> None:
    columns = {
        "image": pa.array([1, 2, 3, 4], pa.int64()),
        "labels": pa.array(["7", "7", "8", None]).dictionary_encode(),
        "sure": pa.array([1.0, float("nan"), None, None], pa.float64()),
        "licence": pa.array(["x", None, "", "y"]),
    }
    made = source(
        parquet(tmp_path / "t.parquet", columns), {"confidence": "sure", "licence": "licence"}, licence="z"
    )
    found = scan(made)
    assert [(image["name"], image["licence"]) for image in found.images] == [
        ("1", "x"),
        ("2", "z"),
        ("3", "z"),
        ("4", "y"),
    ]
    assert rows(found) == [("1", "7", 1.0, 1)]
    assert found.notes.examples == {"bad-confidence": ["t.parquet:2: 'nan'", "t.parquet:3: ''"]}


def test_rows_of_parquet_are_numbered_across_row_groups(tmp_path: Path) -> None:
    n = 70_000
    columns = {"image": [f"{i}.jpg" for i in range(n)], "labels": ["dog"] * n}
    found = scan(source(parquet(tmp_path / "t.parquet", columns, rows=30_000)))
    assert [place_of(label["record"]) for label in found.labels] == [(0, i) for i in range(1, n + 1)]
    assert found.batches > 1


@pytest.mark.parametrize(
    ("columns", "code", "says"),
    [
        ({"image": ["1.jpg"]}, "column-missing", "no column labels"),
        ({"image": pa.array([], pa.string()), "labels": pa.array([], pa.string())}, "list-empty", "no row"),
        (
            {"image": ["1.jpg"], "labels": [{"name": "dog"}]},
            "list-unreadable",
            "column labels is of type struct",
        ),
        ({"image": [["1.jpg"]], "labels": ["dog"]}, "list-unreadable", "column image is of type list"),
    ],
)
def test_a_parquet_table_that_is_none_is_one_clear_error(
    tmp_path: Path, columns: dict[str, Any], code: str, says: str
) -> None:
    with pytest.raises(SourceError, match=says) as error:
        scan(source(parquet(tmp_path / "t.parquet", columns)))
    assert error.value.code == code


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.tsv"])
def test_a_table_that_is_missing_empty_or_damaged_is_one_clear_error(tmp_path: Path, name: str) -> None:
    made = source(tmp_path / name)
    with pytest.raises(SourceError, match="does not exist"):
        scan(made)
    write(tmp_path / name, b"")
    with pytest.raises(SourceError, match="is empty"):
        scan(made)
    if name == "t.parquet":
        whole = parquet(tmp_path / name, {"image": ["1.jpg"] * 999, "labels": ["dog"] * 999}).read_bytes()
        write(tmp_path / name, whole[: len(whole) // 2])
        with pytest.raises(SourceError, match="not a Parquet file in order"):
            scan(made)


def test_a_parquet_row_with_a_zero_byte_or_other_bytes_than_utf_8_is_left_out(tmp_path: Path) -> None:
    columns = {
        "image": pa.array([b"1.jpg", b"2\x00.jpg", b"3.jpg", b"\xff.jpg", b"5.jpg"], pa.binary()),
        "labels": pa.array(
            [["dog", "cat"], ["dog"], ["dog", "c\x00t"], ["dog"], None], pa.list_(pa.string())
        ),
        "by": ["Zoë", "a", "b", "c", None],
    }
    path = parquet(tmp_path / "t.parquet", columns, rows=3)
    found = scan(source(path, {"author": "by"}))
    assert found.names == ["1.jpg", "5.jpg"]
    assert rows(found) == [("1.jpg", "dog", 1.0, 1), ("1.jpg", "cat", 1.0, 1)]
    assert found.notes.examples == {
        "zero-byte": ["t.parquet:2", "t.parquet:3"],
        "not-utf-8": ["t.parquet:4"],
    }


def test_a_word_for_no_value_is_no_licence_no_author_and_no_image(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv",
        "image,labels,l,a\n1.jpg,dog,NaN,n/a\n2.jpg,dog,CC-BY,Ann\nNaN,dog,CC0,Bob\nnull,cat,CC0,Bob\n",
    )
    made = source(path, {"licence": "l", "author": "a"}, licence="CC0", author="somebody")
    found = scan(made)
    assert [(image["name"], image["licence"], image["author"]) for image in found.images] == [
        ("1.jpg", "CC0", "somebody"),
        ("2.jpg", "CC-BY", "Ann"),
    ]
    assert found.counts == {"row-without-image": 2}
    write(tmp_path / "images/null", "x")
    assert scan(made).names == ["1.jpg", "2.jpg", "null"]


def test_a_tar_with_one_last_name_twice_is_no_defect_and_told(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,labels\nn02084071/x.jpg,dog\n")
    made = source(path)
    write_tar(tmp_path / "images/n02084071.tar", {"a/x.jpg": b"1", "b/x.jpg": b"22", "c/y.jpg": b"3"})
    found = scan(made)
    assert [(image["name"], image["status"], image["size"]) for image in found.images] == [
        ("n02084071/x.jpg", "", 1)
    ]
    assert found.counts == {"member-twice": 1}
