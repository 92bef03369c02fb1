"""A CSV is read as a stream: every row keeps its line, and damage stays in the line where it is."""

from __future__ import annotations

import csv as plain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.errors import SourceError
from mlimg_build.sources import Notes
from mlimg_build.sources.lists import line_blocks as lines
from mlimg_build.sources.lists.delimited import read_table
from mlimg_build.sources.lists.line_blocks import read_lines
from tests.support.source_world import write

BLOCKS = [7, 32, 100, 1 << 20]

Rows = dict[int, tuple[str, ...]]


def read(path: Path, *columns: str) -> tuple[Rows, Notes]:
    notes = Notes()
    rows: Rows = {}
    for batch, numbers in read_table(path, "the list", notes, columns or ("a", "b")):
        assert len(batch) == len(numbers)
        cells = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        rows |= dict(zip(numbers.tolist(), cells, strict=True))
    return rows, notes


@pytest.fixture(params=BLOCKS)
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads so many bytes at a time."""
    monkeypatch.setattr(lines, "BLOCK", request.param)


@pytest.mark.usefixtures("block")
def test_rows_keep_their_line_behind_bad_ones(tmp_path: Path) -> None:
    body = b"a,b,c\n1,x,z\n\n2,x\n3,x,y,z\n4,\xff,z\n5,x,z\n   \n6,x,z"
    rows, notes = read(write(tmp_path / "list.csv", body))
    assert rows == {2: ("1", "x"), 7: ("5", "x"), 9: ("6", "x")}
    assert sorted(notes.examples["malformed-row"]) == [
        "list.csv:4: 2 fields, expected 3",
        "list.csv:5: 4 fields, expected 3",
        "list.csv:8: 1 fields, expected 3",
    ]
    assert notes.examples["not-utf-8"] == ["list.csv:6"]


@pytest.mark.usefixtures("block")
def test_quoted_fields_may_hold_the_delimiter_and_quotes(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path / "list.csv", '"a","b",c\n"1,5","say ""hi""",z\n"",x,\n'))
    assert rows == {2: ("1,5", 'say "hi"'), 3: ("", "x")}
    assert not notes.counts


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("bad", ['7,"x,z', '7,x,"z', '"7"",x,z', "7,x\ry,z", '7"x,"y,z', '7,"x\r",z'])
def test_a_row_that_does_not_end_with_its_line_costs_only_itself(tmp_path: Path, bad: str) -> None:
    body = "a,b,c\n" + "1,x,z\n" * 40 + bad + "\n" + "2,y,z\n" * 40
    rows, notes = read(write(tmp_path / "list.csv", body))
    assert rows == dict.fromkeys(range(2, 42), ("1", "x")) | dict.fromkeys(range(43, 83), ("2", "y"))
    assert [example.split(": ")[0] for example in notes.examples["malformed-row"]] == ["list.csv:42"]


@pytest.mark.usefixtures("block")
def test_a_quote_inside_a_field_is_a_quote(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path / "list.csv", 'a,b,c\n1,5" nail,z\n"2"nd,"x","z"\n3,"a ""b""",\n'))
    assert rows == {2: ("1", '5" nail'), 3: ("2nd", "x"), 4: ("3", 'a "b"')}
    assert not notes.counts


@pytest.mark.usefixtures("block")
def test_a_row_whose_damage_is_not_utf8_and_in_the_number_of_fields_is_noted_once(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path / "list.csv", b"a,b,c\n1,\xff\n2,x,z\n"))
    assert rows == {3: ("2", "x")}
    assert dict(notes.counts) == {"not-utf-8": 1}


@pytest.mark.usefixtures("block")
def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_table(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path / "list.csv", b"\xef\xbb\xbfa,b\r\n1,x\r\n\r\n2,y\r\n"))
    assert rows == {2: ("1", "x"), 4: ("2", "y")}
    assert not notes.counts


def test_columns_may_stand_in_any_order_and_others_are_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "list.csv", "c,b,a\n1,2,3\nnot a number,4,5\n")
    assert read(path)[0] == {2: ("3", "2"), 3: ("5", "4")}


FIELD = st.text(st.sampled_from('ab1ü,"'), max_size=4)
BAD = st.sampled_from([b"", b"one", b"a,b,c,d", b"\xff,b,c", b'"open,b,c', b"b,\xfe"])
LINE = st.one_of(st.lists(FIELD, min_size=3, max_size=3), BAD)


@settings(max_examples=100, deadline=None)
@given(st.lists(LINE, min_size=1, max_size=40), st.integers(1, 60), st.sampled_from(["\n", "\r\n"]))
def test_every_good_row_is_read_with_its_line_whatever_surrounds_it(
    tmp_path_factory: pytest.TempPathFactory, listed: list[list[str] | bytes], size: int, end: str
) -> None:
    def quoted(row: list[str]) -> bytes:
        return ",".join('"' + field.replace('"', '""') + '"' for field in row).encode()

    body = [line if isinstance(line, bytes) else quoted(line) for line in [["a", "b", "c"], *listed]]
    path = write(tmp_path_factory.mktemp("csv") / "list.csv", b"".join(line + end.encode() for line in body))
    good = {
        number: (row[0], row[1])
        for number, row in enumerate(listed, start=2)
        if isinstance(row, list) and (row[0] or row[1])
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK", size)
        if not good:
            with pytest.raises(SourceError, match="no row that can be read"):
                read(path)
            return
        rows, notes = read(path)
    assert rows == good
    assert notes.counts.total() == sum(isinstance(line, bytes) and line != b"" for line in listed)


def alone(path: Path, line: str) -> tuple[str, ...] | None:
    try:
        return read(write(path, f"a,b,c\n{line}\n1,2,3\n"))[0].get(2)
    except SourceError:
        return None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.sampled_from('a",\r'), max_size=8), min_size=1, max_size=12), st.integers(1, 60))
def test_what_a_line_says_does_not_depend_on_the_lines_around_it(
    tmp_path_factory: pytest.TempPathFactory, listed: list[str], size: int
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    path = write(folder / "list.csv", "\n".join(["a,b,c", *listed, "1,2,3"]))
    wanted = {i: row for i, line in enumerate(listed, start=2) if (row := alone(folder / "alone.csv", line))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK", size)
        assert read(path)[0] == wanted | {len(listed) + 2: ("1", "2")}


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b"", "list-empty", "is empty"),
        (b"a,b\n", "list-empty", "no row"),
        (b"a,b", "list-empty", "no row"),
        (b"a,b\n\n\n", "list-empty", "no row"),
        (b"a,b\n1\n", "list-empty", "its rows were passed over"),
        (b"a,c\n1,2\n", "column-missing", "no column b"),
        (b"a,b,b\n1,2,3\n", "column-missing", "has the column b twice"),
        (b"\na,b\n1,2\n", "column-missing", "its columns are none"),
        (b"a,b\xff\n1,2\n", "list-unreadable", "its header holds a zero byte or is not UTF-8"),
        (b"a,b,\x00c\n1,2,3\n", "list-unreadable", "its header holds a zero byte or is not UTF-8"),
        (b"a,b\r1,2\r", "list-unreadable", "bare carriage return"),
    ],
)
def test_a_table_that_is_none_is_one_clear_error(tmp_path: Path, body: bytes, code: str, says: str) -> None:
    with pytest.raises(SourceError, match=says) as error:
        read(write(tmp_path / "list.csv", body))
    assert error.value.code == code
    assert "list.csv" in str(error.value)


def test_a_missing_list_and_a_folder_are_one_clear_error(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "gone.csv", "does not exist"), (tmp_path, "is not a file")):
        with pytest.raises(SourceError, match=says) as error:
            read(path)
        assert error.value.code == "list-missing"


def test_a_file_of_one_endless_line_has_no_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 1000)
    monkeypatch.setattr(lines, "LINE", 2000)
    with pytest.raises(SourceError, match="or has more than 4 MiB") as error:
        read(write(tmp_path / "list.csv", b"\x01" * 100_000))
    assert error.value.code == "list-unreadable"


@pytest.mark.parametrize("at", [0, 1, 3, 7, 30])
@pytest.mark.parametrize("length", [2001, 2999, 3000, 3001, 9000])
def test_a_line_over_its_limit_is_noted_and_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, length: int
) -> None:
    monkeypatch.setattr(lines, "BLOCK", 1000)
    monkeypatch.setattr(lines, "LINE", 2000)
    rows = [f"{i},{'x' * 90}" for i in range(31)]
    body = ["a,b", *rows[:at], "y" * length, *rows[at:]]
    found, notes = read(write(tmp_path / "list.csv", "\n".join(body)))
    assert [row[0] for row in found.values()] == [str(i) for i in range(31)]
    assert notes.examples == {"text-too-long": [f"list.csv:{at + 2}: the line has more than 2,000 bytes"]}


@pytest.mark.usefixtures("block")
def test_lines_keep_their_number_and_quotes_mean_nothing(tmp_path: Path) -> None:
    body = b'\xef\xbb\xbf\n"a\tb\r\n\n\x01\x02\n\xff\nlast,"'
    notes, found = Notes(), {}
    for column, numbers in read_lines(write(tmp_path / "list.txt", body), "the list", notes):
        found |= dict(zip(numbers.tolist(), column.to_pylist(), strict=True))
    assert found == {2: '"a\tb', 4: "\x01\x02", 6: 'last,"'}
    assert notes.examples == {"not-utf-8": ["list.txt:5"]}


def test_only_a_few_examples_are_kept_of_a_million_notes() -> None:
    notes = Notes()
    for i in range(1000):
        notes.add("malformed-row", f"list.csv:{i}")
    assert notes.counts["malformed-row"] == 1000
    assert len(notes.examples["malformed-row"]) == notes.kept


def test_a_table_of_quotes_reads_as_python_reads_it(tmp_path: Path) -> None:
    rows = [[f"id{i}", f'he said "{i}", twice', "x" * (i % 50)] for i in range(2000)]
    path = tmp_path / "list.csv"
    with path.open("w", newline="") as stream:
        plain.writer(stream).writerows([["a", "b", "c"], *rows])
    assert read(path, "a", "b", "c")[0] == {i: tuple(row) for i, row in enumerate(rows, start=2)}


@pytest.mark.usefixtures("block")
def test_a_zero_byte_costs_its_row_and_is_told_with_its_line(tmp_path: Path) -> None:
    body = b"a,b,c\n1,2,3\n4,5\x00,6\n7,\xff\x00,9\n\x00\n10,11,12\n13,14,15\x00"
    found, notes = read(write(tmp_path / "list.csv", body), "a", "b", "c")
    assert found == {2: ("1", "2", "3"), 6: ("10", "11", "12")}
    assert notes.examples == {
        "zero-byte": ["list.csv:3", "list.csv:5", "list.csv:7"],
        "not-utf-8": ["list.csv:4"],
    }


@pytest.mark.usefixtures("block")
def test_a_zero_byte_costs_its_line(tmp_path: Path) -> None:
    notes, found = Notes(), {}
    for column, numbers in read_lines(write(tmp_path / "list.txt", b"a\nb\x00c\n\x00\nd"), "the list", notes):
        found |= dict(zip(numbers.tolist(), column.to_pylist(), strict=True))
    assert found == {1: "a", 4: "d"}
    assert notes.examples == {"zero-byte": ["list.txt:2", "list.txt:3"]}
