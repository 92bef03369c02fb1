"""Tables with a column for each category: what cells say, what says nothing, and which columns are categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlimg_build.errors import SourceError
from mlimg_build.sources import Notes, place_of
from mlimg_build.sources.formats.table import Table
from mlimg_build.spec import SPLITS, TableSource, parse_spec
from tests.support.source_world import Scanned, scan, write

LISTED = "columns: {labels: [cat, dog]}"
ALL = "columns: {labels: {all_but: []}}"


def source(path: Path, lines: str) -> Table:
    for name in "1234":
        write(path.parent / "img" / f"{name}.jpg", name)
    head = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"
    text = f"  t: {{type: table, table: {path.name}, images: img, {lines}}}\n"
    part = parse_spec(head + text, "x.yaml", path.parent, {}).spec.sources["t"]
    assert isinstance(part, TableSource)
    return Table("t", part)


def table(root: Path, body: str, lines: str, name: str = "t.csv") -> Scanned:
    return scan(source(write(root / name, body), lines))


def parquet(root: Path, columns: dict[str, Any], lines: str, **given: Any) -> Scanned:
    pq.write_table(pa.table(columns), root / "t.parquet", **given)
    return scan(source(root / "t.parquet", lines))


def said(found: Scanned) -> dict[str, dict[str, float]]:
    """image → category → 1 present, 0 absent, or the confidence."""
    images: dict[str, dict[str, float]] = {}
    for image, category, value in found.statements:
        images.setdefault(image.removesuffix(".jpg"), {})[category] = value
    return images


def refused(root: Path, body: str, lines: str, name: str = "t.csv") -> tuple[str, str, str]:
    with pytest.raises(SourceError) as error:
        table(root, body, lines, name)
    (problem,) = error.value.problems
    return problem.code, problem.message, problem.hint or ""


def test_one_is_present_zero_absent_and_an_empty_cell_says_nothing(tmp_path: Path) -> None:
    found = table(tmp_path, "image,cat,dog\n1.jpg,1,0\n2.jpg, 0 ,\n3.jpg,NaN,1.0\n", LISTED)
    assert said(found) == {"1": {"cat": 1, "dog": 0}, "2": {"cat": 0}, "3": {"dog": 1}}
    assert [place_of(label["record"]) for label in found.labels] == [(0, 2), (0, 2), (0, 3), (0, 4)]
    assert not found.counts


def test_a_tsv_is_read_as_a_csv(tmp_path: Path) -> None:
    assert said(table(tmp_path, "image\tcat\tdog\n1.jpg\t1\t0\n", LISTED, "t.tsv")) == {
        "1": {"cat": 1, "dog": 0}
    }


def test_all_but_leaves_out_what_the_spec_names_and_columns_without_a_name(tmp_path: Path) -> None:
    body = ",file,part,rights,by,who,patient,age,cat,Unnamed: 0.1\n0,1.jpg,train,CC0,Ann,human,p1,34,1,7\n"
    lines = (
        "columns: {image: file, labels: {all_but: [age]}, split: part, licence: rights, author: by, source: who}, "
        "group: {column: patient}"
    )
    found = table(tmp_path, body, lines)
    assert said(found) == {"1": {"cat": 1}}
    assert found.images[0]["licence"] == "CC0"
    assert found.notes.examples == {"column-without-name": ["t.csv: an empty header", "t.csv: Unnamed: 0.1"]}


def test_the_column_of_the_spec_s_groups_is_left_out_too(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", "image,patient,cat\n1.jpg,a,1\n")
    text = (
        "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"
        f"  t: {{type: table, table: t.csv, images: ., {ALL}}}\nsplit: {{by: {{column: patient}}}}\n"
    )
    part = parse_spec(text, "x.yaml", tmp_path, {}).spec.sources["t"]
    assert isinstance(part, TableSource)
    assert said(scan(Table("t", part))) == {"1": {"cat": 1}}


def test_a_split_column_works_beside_columns_of_categories(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", "image,split,cat\n1.jpg,train,1\n2.jpg,val,0\n3.jpg,test,1\n")
    made = source(tmp_path / "t.csv", "columns: {labels: [cat], split: split}, splits: {test: none}")
    (batch,) = made.scan(notes := Notes())
    assert batch.splits is not None
    assert [SPLITS[code] for code in batch.splits] == ["train", "validation"]
    assert notes.counts == {"split-left-out": 1}


@pytest.mark.parametrize(
    ("values", "cells", "expected"),
    [
        (
            "{1: present, 0: absent, -1: unknown}",
            "1,0,-1,,1.0,-1.00",
            [1, 0, None, None, 1, None],
        ),  # CheXpert
        ("{1: present, -1: absent}", "1,-1,1,-1", [1, 0, 1, 0]),  # CelebA
        ("{True: present, False: absent}", "TRUE,False,true", [1, 0, 1]),
        ("{yes: present, no: absent, '?': unknown}", "yes,No,?,YES", [1, 0, None, 1]),
        ("{1: present, 0: unknown}", "1,0,", [1, None, None]),
        ("{x: present, '': absent}", "x,,X", [1, 0, 1]),
        ("{1: present, 'n/a': absent}", "1,N/A,NaN", [1, 0, None]),
    ],
)
def test_a_spec_says_what_values_mean(
    tmp_path: Path, values: str, cells: str, expected: list[float | None]
) -> None:
    listed = cells.split(",")
    body = "image,cat\n" + "".join(f"{i}.jpg,{cell}\n" for i, cell in enumerate(listed))
    found = table(tmp_path, body, f"columns: {{labels: [cat]}}, values: {values}")
    assert [said(found).get(str(i), {}).get("cat") for i in range(len(listed))] == expected
    assert not found.counts


def test_a_value_without_a_meaning_is_counted_by_column(tmp_path: Path) -> None:
    body = "image,cat,dog\n1.jpg,1,0\n2.jpg,-1,1\n3.jpg,0,maybe\n4.jpg,1,0\n"
    found = table(tmp_path, body, LISTED)
    assert said(found)["2"] == {"dog": 1}
    assert found.counts == {"cell-without-meaning": 2}
    cat, dog = found.notes.examples["cell-without-meaning"]
    assert cat.startswith("t.csv:3: column cat: '-1' (1 cell), of 4 cells")
    assert "`values: {1: present, 0: absent, -1: unknown}`" in cat
    assert dog == "t.csv:4: column dog: 'maybe' (1 cell), of 4 cells"


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (["1", "-1", "-1"], "`values: {1: present, -1: absent}`"),
        (["-1", "-1", "0"], "`values: {1: present, 0: absent, -1: unknown}`"),
        (["True", "FALSE", "true"], "`values: {true: present, FALSE: absent}`"),
        (["y", "n", "n"], "`values: {y: present, n: absent}`"),
        (["0.25", "0.5", "1"], "`values: scores`"),
        (["34", "25", "51"], "`labels: {all_but: [old, cat]}`"),
    ],
)
def test_a_column_that_mostly_means_nothing_is_an_error_with_the_line_to_write(
    tmp_path: Path, cells: list[str], line: str
) -> None:
    body = "image,cat,old\n" + "".join(f"{i}.jpg,{cell},x\n" for i, cell in enumerate(cells))
    code, message, hint = refused(tmp_path, body, "columns: {labels: {all_but: [old]}}")
    assert code == "cells-without-meaning"
    assert "column cat" in message
    assert f"{cells[0]!r}" in message or f"{cells[1]!r}" in message
    assert line in hint
    if "values" in line:  # and the line is right
        found = table(tmp_path, body.replace(",x", ",").replace(",old", ",cow"), f"{ALL}, {line[1:-1]}")
        assert "cell-without-meaning" not in found.counts


def test_an_error_counts_columns_and_cuts_values(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(30)]
    body = f"image,{','.join(names)}\n1.jpg,{','.join(['x' * 900] * 30)}\n"
    code, message, hint = refused(tmp_path, body, ALL)
    assert code == "cells-without-meaning"
    assert "c0, c1, c2, c3 and 26 more" in message
    assert len(message) < 300
    assert "…]}`" in hint


def test_scores_are_a_machine_s(tmp_path: Path) -> None:
    body = "image,cat,dog\n1.jpg,0.3,1\n2.jpg,0,0.25\n3.jpg,,often\n4.jpg,0.5,1e-3\n"
    found = table(tmp_path, body, f"{LISTED}, values: scores")
    assert said(found) == {
        "1": {"cat": 0.3, "dog": float(np.nextafter(1, 0))},
        "2": {"dog": 0.25},
        "4": {"cat": 0.5, "dog": 0.001},
    }
    assert found.counts == {"machine-absence": 1, "bad-confidence": 1}
    assert found.notes.examples["bad-confidence"] == ["t.csv:4: column dog: 'often' (1 cell), of 4 cells"]


def test_scores_of_people_are_facts_where_a_column_says_so(tmp_path: Path) -> None:
    body = "image,cat,who\n1.jpg,1,human\n2.jpg,0,human\n3.jpg,1,machine\n4.jpg,0,machine\n"
    found = table(tmp_path, body, "columns: {labels: [cat], source: who}, values: scores")
    assert said(found) == {"1": {"cat": 1}, "2": {"cat": 0}, "3": {"cat": float(np.nextafter(1, 0))}}


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["87", "0.5", "99.5"], "percent are divided by 100"),
        (["-3.5", "2", "0.1"], "logits"),
        (["255", "128", "3"], "divide them by the most"),
    ],
)
def test_percent_and_logits_are_no_confidences(tmp_path: Path, cells: list[str], says: str) -> None:
    body = "image,cat\n" + "".join(f"{i}.jpg,{cell}\n" for i, cell in enumerate(cells))
    code, message, hint = refused(tmp_path, body, "columns: {labels: [cat]}, values: scores")
    assert code == "scores-out-of-range"
    assert str(max(map(float, cells))).removesuffix(".0") in message
    assert says in hint


def test_one_wrong_score_of_many_costs_its_cell_alone(tmp_path: Path) -> None:
    body = "image,cat\n" + "".join(f"{i}.jpg,0.5\n" for i in range(150)) + "x.jpg,7\n"
    found = table(tmp_path, body, "columns: {labels: [cat]}, values: scores")
    assert found.counts == {"bad-confidence": 1}
    assert len(found.labels) == 150


def test_a_column_that_is_never_present_is_a_category_without_images(tmp_path: Path) -> None:
    found = table(tmp_path, "image,cat,dog,cow\n1.jpg,1,0,\n2.jpg,1,0,\n", ALL)
    assert found.notes.examples == {"category-without-images": ["dog", "cow"]}
    assert said(found)["1"] == {"cat": 1, "dog": 0}


@pytest.mark.parametrize(
    ("header", "lines", "message", "hint"),
    [
        ("image,cat", LISTED, "no column dog", "its columns are image, cat"),
        (
            "image,cat,split",
            "columns: {labels: {all_but: [splt]}}",
            "no column splt",
            'did you mean "split"?',
        ),
        ("image,cat,cat", ALL, "the column cat twice", "rename one"),
        ("image,cat,dog,cat", LISTED, "the column cat twice", "its columns are"),
        ("file,cat,dog", LISTED, "no column image", "its columns are file, cat, dog"),
        (
            "image,x",
            "columns: {labels: {all_but: [x]}}",
            "no column of a category beside image, x",
            "leave fewer",
        ),
        ("image,Z\u00fcrich,Zu\u0308rich", ALL, "twice", "rename one"),
    ],
)
def test_columns_that_are_not_there_or_twice_are_errors(
    tmp_path: Path, header: str, lines: str, message: str, hint: str
) -> None:
    body = f"{header}\n{','.join(['1'] * len(header.split(',')))}\n"
    code, told, meant = refused(tmp_path, body, lines)
    assert code == "column-missing"
    assert message in told
    assert hint in meant


def test_a_header_that_is_too_long_is_no_category(tmp_path: Path) -> None:
    found = table(tmp_path, f"image,cat,{'x' * 600}\n1.jpg,1,1\n", ALL)
    assert said(found) == {"1": {"cat": 1}}
    assert found.counts == {"text-too-long": 1}


def test_damaged_rows_cost_themselves_alone(tmp_path: Path) -> None:
    body = b'image,cat,dog\n1.jpg,1\n2.jpg,"1,0\n3.jpg,\xff,1\n4.jpg,1,0\x00\n,1,1\n5.jpg,0,1\n'
    found = scan(source(write(tmp_path / "t.csv", body), LISTED))
    assert said(found) == {"5": {"cat": 0, "dog": 1}}
    assert found.counts == {
        "malformed-row": 2, "not-utf-8": 1, "zero-byte": 1, "row-without-image": 1, "category-without-images": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "list-empty"),
        (b"image,cat,dog\n", "list-empty"),
        (b"\x00\n", "list-unreadable"),
        (None, "list-missing"),
    ],
)
def test_a_table_that_is_none_is_one_error(tmp_path: Path, data: bytes | None, code: str) -> None:
    made = source(tmp_path / "t.csv", ALL)
    if data is not None:
        write(tmp_path / "t.csv", data)
    with pytest.raises(SourceError) as error:
        scan(made)
    assert error.value.code == code


def test_parquet_columns_of_numbers_and_truth_values(tmp_path: Path) -> None:
    columns = {
        "image": ["1.jpg", "2.jpg", "3.jpg"],
        "cat": pa.array([1, 0, None], pa.int8()),
        "dog": pa.array([1.0, None, -1.0], pa.float32()),
        "cow": [True, False, None],
        "__index_level_0__": [5, 6, 7],
    }
    lines = f"{ALL}, values: {{1: present, 0: absent, -1: unknown, true: present, false: absent}}"
    found = parquet(tmp_path, columns, lines)
    assert said(found) == {"1": {"cat": 1, "dog": 1, "cow": 1}, "2": {"cat": 0, "cow": 0}}
    assert [place_of(label["record"])[1] for label in found.labels] == [1, 1, 1, 2, 2]
    assert found.counts == {"column-without-name": 1}


def test_parquet_truth_values_need_a_line_and_are_told_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cells-without-meaning") as error:
        parquet(tmp_path, {"image": ["1.jpg", "2.jpg"], "cat": [True, False]}, ALL)
    assert "`values: {true: present, false: absent}`" in str(error.value.problems[0].hint)


def test_parquet_columns_of_lists_or_damage_are_one_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="column cat is of type list"):
        parquet(tmp_path, {"image": ["1.jpg"], "cat": [[1, 0]]}, ALL)
    write(tmp_path / "t.parquet", (tmp_path / "t.parquet").read_bytes()[:-9])
    with pytest.raises(SourceError, match="not a Parquet file in order"):
        scan(source(tmp_path / "t.parquet", ALL))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_twenty_thousand_columns_are_read_in_bounded_batches(tmp_path: Path, form: str) -> None:
    columns, rows = 20_000, 60
    chance = np.random.default_rng(0)
    cells = chance.integers(0, 2, (rows, columns))
    names = [f"c{i}" for i in range(columns)]
    if form == "csv":
        lines = [
            ",".join(["image", *names]),
            *(f"{i}.jpg,{','.join(map(str, row))}" for i, row in enumerate(cells)),
        ]
        made = source(write(tmp_path / "t.csv", "\n".join(lines)), ALL)
    else:
        given = {
            "image": [f"{i}.jpg" for i in range(rows)],
            **dict(zip(names, cells.T.astype(np.int8), strict=True)),
        }
        pq.write_table(pa.table(given), tmp_path / "t.parquet")
        made = source(tmp_path / "t.parquet", ALL)
    present = absent = 0
    for batch in made.scan(Notes()):
        assert batch.labels is not None
        assert len(batch.labels) <= 1 << 20
        state = batch.labels.column("state").to_numpy()
        present, absent = present + int((state > 0).sum()), absent + int((state < 0).sum())
    assert (present, absent) == (int(cells.sum()), rows * columns - int(cells.sum()))


def test_rows_of_several_pieces_keep_their_lines(tmp_path: Path) -> None:
    columns, rows = 300, 8_000
    cells = np.zeros((rows, columns), np.int8)
    cells[np.arange(rows), np.arange(rows) % columns] = 1
    given = {"image": [f"{i}.jpg" for i in range(rows)], **{f"c{i}": cells[:, i] for i in range(columns)}}
    pq.write_table(pa.table(given), tmp_path / "t.parquet", row_group_size=3_000)
    at = 0
    for batch in source(tmp_path / "t.parquet", f"{ALL}, values: {{1: present, 0: unknown}}").scan(Notes()):
        assert batch.labels is not None
        for label in batch.labels.to_pylist():
            assert (label["name"], label["category"], place_of(label["record"])[1]) == (
                f"{at}.jpg", f"c{at % columns}", at + 1
            )  # fmt: skip
            at += 1
    assert at == rows
