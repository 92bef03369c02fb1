"""A list that is another kind of file than its name says is told as what it is, by every reader."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import pickle
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.compiler.facts.curated_files import read_vetoes
from mlimg_build.compiler.facts.id_lists import read_ids
from mlimg_build.errors import Place, Problem, SourceError, SpecError
from mlimg_build.sources import Notes, read_dictionary, read_nesting
from mlimg_build.sources.lists import line_blocks as lines
from mlimg_build.sources.lists.class_names import class_descriptions
from mlimg_build.sources.lists.delimited import read_table
from mlimg_build.sources.lists.file_kinds import kind_of_bytes
from mlimg_build.sources.lists.parquet import read_parquet
from mlimg_build.sources.lists.rights import read_rights
from tests.support.source_world import write, write_tar

TEXT = "image,labels\n1.jpg,dog\n"


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return stream.getvalue()


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"image": ["1.jpg"], "labels": ["dog"]}), stream)
    return stream.getvalue()


def numpy_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


KINDS = {
    "utf-16": (TEXT.encode("utf-16"), "text in UTF-16"),
    "utf-16-be-mark": (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "text in UTF-16"),
    "utf-16-le": (TEXT.encode("utf-16-le"), "text in UTF-16"),
    "utf-16-be": (TEXT.encode("utf-16-be"), "text in UTF-16"),
    "utf-32": (TEXT.encode("utf-32"), "text in UTF-32"),
    "utf-32-le": (TEXT.encode("utf-32-le"), "text in UTF-32"),
    "utf-32-be": (TEXT.encode("utf-32-be"), "text in UTF-32"),
    "gzip": (gzip.compress(TEXT.encode(), mtime=0), "compressed by gzip"),
    "bzip2": (bz2.compress(TEXT.encode()), "compressed by bzip2"),
    "xz": (lzma.compress(TEXT.encode()), "compressed by xz"),
    "zstd": (pa.Codec("zstd").compress(TEXT.encode(), asbytes=True), "compressed by Zstandard"),
    "zip": (zipped("labels.csv"), "a zip archive"),
    "xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook"),
    "html": (b"\n<!DOCTYPE HTML>\n<html><body>404</body></html>", "a web page"),
    "html-bare": (b"<HTML><head></head></HTML>", "a web page"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML, such as a server"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a Git LFS pointer"),
    "pdf": (b"%PDF-1.7\n", "a PDF"),
    "pickle": (pickle.dumps({"image": "1.jpg"}), "a Python pickle"),
    "old-pickle": (pickle.dumps(["1.jpg"], protocol=2), "a Python pickle"),
    "numpy": (numpy_array(), "a NumPy array"),
    "jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG image"),
    "zeros": (bytes(9000), "nothing but zero bytes"),
}
READERS: dict[str, Callable[[Path], object]] = {
    "csv": lambda path: [*read_table(path, "the list", Notes(), ["image"])],
    "lines": lambda path: [*lines.read_lines(path, "the list", Notes())],
    "rights": lambda path: read_rights(path, "the list", Notes()),
    "classes": lambda path: class_descriptions(path, "the list"),
    "hierarchy": lambda path: read_nesting(path, {}),
    "dictionary": read_dictionary,
    "parquet": lambda path: [*read_parquet(path, "the list", Notes(), ["image"], [])],
    "ids": read_ids,
    "vetoes": read_vetoes,
}


def problem(reader: str, path: Path) -> Problem:
    with pytest.raises((SourceError, SpecError)) as error:
        READERS[reader](path)
    (found,) = error.value.problems
    return found


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_another_kind_is_told_as_what_it_is(tmp_path: Path, kind: str, reader: str) -> None:
    data, says = KINDS[kind]
    found = problem(reader, write(tmp_path / "labels.csv", data))
    assert f"it is {says}" in found.message
    assert "labels.csv" in found.message
    assert found.code == "list-unreadable"
    assert found.hint


def test_a_database_and_a_tar_are_told(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "labels.csv") as database:
        database.execute("create table labels (image)")
    database.close()
    assert "an SQLite database" in problem("csv", tmp_path / "labels.csv").message
    assert "a tar archive" in problem("csv", write_tar(tmp_path / "tar.csv", {"a.csv": b"a"})).message


def test_parquet_under_the_name_of_a_csv_and_the_other_way_round(tmp_path: Path) -> None:
    assert "it is a Parquet file" in problem("csv", write(tmp_path / "t.csv", parquet())).message
    assert "it is text" in problem("parquet", write(tmp_path / "t.parquet", TEXT)).message
    ((batch, _),) = read_parquet(
        write(tmp_path / "good.parquet", parquet()), "the list", Notes(), ["image"], []
    )
    assert batch.to_pylist() == [{"image": "1.jpg"}]


def test_utf_8_with_a_mark_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", codecs.BOM_UTF8 + TEXT.encode())
    ((batch, _),) = read_table(path, "the list", Notes(), ["image", "labels"])
    assert batch.to_pylist() == [{"image": "1.jpg", "labels": "dog"}]
    assert read_ids(write(tmp_path / "ids.txt", codecs.BOM_UTF8 + b"dog\ncat\n")) == ("dog", "cat")


@given(
    st.text(min_size=1).filter(
        lambda text: not text.lstrip("\ufeff \n\t\r").startswith(("<", "%", "PAR1", "ARROW"))
    )
)
def test_text_in_utf_8_is_not_taken_for_another_kind(text: str) -> None:
    if "\0" not in text:
        assert kind_of_bytes(text.encode()) is None


def test_a_single_zero_byte_makes_no_utf_16(tmp_path: Path) -> None:
    assert kind_of_bytes(b"image,labels\na\x00.jpg,dog\n") is None
    found = problem("ids", write(tmp_path / "ids.txt", b"dog\nca\x00t\n"))
    assert found.message == "the list of ids holds a zero byte"
    assert found.place == Place(str(tmp_path / "ids.txt"), 2, 3)


@pytest.mark.parametrize(
    ("reader", "body", "line"),
    [
        ("classes", "/m/1,Dog\n/m/2,C\0at\n", 2),
        ("dictionary", "0\tn00000001\t-1\to\0ne\n", 1),
        ("vetoes", "antecedent,consequent,veto\na,b,\0\n", 2),
        ("hierarchy", '{"name": "a",\n"children": [{"name": "\0"}]}', 2),
    ],
)
def test_a_zero_byte_in_a_small_file_is_an_error_with_its_line(
    tmp_path: Path, reader: str, body: str, line: int
) -> None:
    found = problem(reader, write(tmp_path / "small.csv", body))
    assert found.place is not None
    assert found.place.line == line
