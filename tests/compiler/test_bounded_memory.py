"""Whatever a list or a tar holds, what reads it stays below a ceiling that the system enforces."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.support.photographs import crops

CEILING = 1 << 30  # bytes of resident memory, at most, of the process that plans or builds
DATA = 2 << 30  # bytes that it may ask for: more is refused by the system
PROGRAM = """\
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]),) * 2)
from pathlib import Path
from mlimg_build.cli import main
sys.argv[1:] = sys.argv[2:]
try:
    main()
finally:
    print("peak", Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
TABLE = "{{type: table, table: {}, images: images}}"
HEADER = tarfile.TarInfo.tobuf

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and peaks are those of Linux")


def run(folder: Path, verb: str, source: str, *more: str, data: int = DATA) -> tuple[int, str, int]:
    """Exit status, output and peak memory (bytes) of a verb over one source."""
    (folder / "images").mkdir(exist_ok=True)
    spec = folder / "x.yaml"
    spec.write_text(f"mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  t: {source}\n")
    command = [sys.executable, "-c", PROGRAM, str(data), verb, str(spec), "--out", str(folder / "out"), *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    said, _, peak = done.stdout.rpartition("peak ")
    return done.returncode, said + done.stderr, int(peak) * 1024


def passed_over(folder: Path) -> str:
    return (folder / "out/x.passed-over.csv").read_text()


@pytest.mark.slow
def test_a_name_of_two_megabytes_among_two_thousand_costs_its_row(tmp_path: Path) -> None:
    rows = "".join(f"i{i}.jpg,dog\n" for i in range(2000))
    (tmp_path / "t.csv").write_text(f"image,labels\n{rows}{'N' * 2_000_000}.jpg,dog\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/i7.jpg").write_bytes(crops("chelsea", 1, side=48)[0])
    more = ("--until", "dataset", "--backend", "inline")
    code, said, peak = run(tmp_path, "build", TABLE.format("t.csv"), *more)
    assert (code, peak < CEILING) == (0, True), said
    assert "t.csv:2002: the cell of image has 2,000,004 bytes, and at most 4,096 are read" in passed_over(
        tmp_path
    )


def dictionary(path: Path) -> None:
    """One name of 500 kB in 3,000 rows, 24 KB on disk."""
    image = pa.DictionaryArray.from_arrays(pa.array(np.zeros(3000, np.int32)), ["N" * 500_000])
    more = pa.table({"image": ["a.jpg"], "labels": ["dog"]})
    whole = pa.table({"image": image, "labels": ["dog"] * 3000})
    with parquet.ParquetWriter(path, whole.schema) as writer:
        writer.write_table(whole)
        writer.write_table(more.cast(whole.schema))


def plain(path: Path) -> None:
    """The same as text."""
    table = {"image": ["N" * 500_000] * 3000 + ["a.jpg"], "labels": ["dog"] * 3001}
    parquet.write_table(pa.table(table), path)


def prefixes(path: Path) -> None:
    """Texts of 500 kB that share all but their end."""
    table = {"image": [f"{'N' * 500_000}{i}" for i in range(3000)] + ["a.jpg"], "labels": ["dog"] * 3001}
    encoding = {"image": "DELTA_BYTE_ARRAY"}
    parquet.write_table(pa.table(table), path, use_dictionary=False, column_encoding=encoding)


def listed(path: Path) -> None:
    """Lists of a text of 500 kB, 30,000 times."""
    label = pa.DictionaryArray.from_arrays(
        pa.array(np.append(np.zeros(30_000, np.int32), 1), pa.int32()), ["N" * 500_000, "dog"]
    )
    ends = pa.array(np.append(np.arange(3001) * 10, 30_001), pa.int32())
    lists = pa.ListArray.from_arrays(ends, label)
    parquet.write_table(pa.table({"image": [*(["b.jpg"] * 3000), "a.jpg"], "labels": lists}), path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "write",
    [dictionary, listed, *(pytest.param(write, marks=pytest.mark.slow) for write in (plain, prefixes))],
)
def test_a_parquet_whose_texts_unpack_to_gigabytes_costs_its_rows(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 200_000
    code, said, peak = run(tmp_path, "plan", TABLE.format("t.parquet"))
    assert (code, peak < CEILING) == (0, True), said
    assert "3,000" in said
    assert "1 images" in said


def page(path: Path) -> None:
    """A page of 300 MB in each of two columns, packed."""
    long = pa.array(["N" * 300_000_000])
    table = pa.table({"image": long, "labels": long})
    parquet.write_table(table, path, use_dictionary=False, compression="zstd", write_statistics=False)


def values(path: Path) -> None:
    """A list of 100 million numbers in 1 KB."""
    numbers = pa.array([np.zeros(100_000_000, np.int8)], pa.list_(pa.int8()))
    parquet.write_table(pa.table({"image": ["a.jpg"], "labels": numbers}), path)


@pytest.mark.slow
@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("write", "says"), [(page, "its pages may take 600,0"), (values, "its lists may take")]
)
def test_a_parquet_that_cannot_be_read_in_bounds_is_refused(
    tmp_path: Path, write: Callable[[Path], None], says: str
) -> None:
    write(tmp_path / "t.parquet")
    code, said, peak = run(tmp_path, "plan", TABLE.format("t.parquet"))
    assert (code, peak < CEILING) == (1, True), said
    assert "error[list-unreadable]" in said
    assert says in said
    assert "needs more memory than is given to it" in said
    assert "write smaller row groups or pages" in said


def large_page(path: Path) -> None:
    """A page of 400 MB, packed."""
    table = pa.table({"image": ["a.jpg", "N" * 400_000_000], "labels": ["dog"] * 2})
    parquet.write_table(table, path, use_dictionary=False, compression="zstd", write_statistics=False)


def many_codes(path: Path) -> None:
    """A list of 80 million times a text of 500 bytes."""
    code = np.minimum(np.arange(80_000_001, dtype=np.int32), 1)
    label = pa.DictionaryArray.from_arrays(pa.array(code), ["dog", "N" * 500])
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 80_000_001], pa.int32()), label)
    parquet.write_table(pa.table({"image": ["a.jpg", "b.jpg"], "labels": lists}), path)


@pytest.mark.slow
@pytest.mark.parametrize("write", [large_page, pytest.param(many_codes, marks=pytest.mark.slow)])
def test_a_parquet_at_the_limits_takes_no_more_than_twice_the_ceiling(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "t.parquet")
    code, said, peak = run(tmp_path, "plan", TABLE.format("t.parquet"), data=2 * DATA)
    assert (code, peak < 2 * CEILING) == (0, True), said
    assert "1 images" in said


def endless(path: Path) -> None:
    """A line of 3 GB between two rows, a hole in the file."""
    with path.open("wb") as stream:
        stream.write(b"image,labels\na.jpg,dog\n")
        stream.seek(3 << 30)
        stream.write(b"\nb.jpg,dog\n")


def cells(path: Path) -> None:
    """Lines of 20 MB."""
    with path.open("wb") as stream:
        stream.write(b"image,labels\na.jpg,dog\n")
        for _ in range(10):
            stream.write(b"x" * (20 << 20) + b".jpg,dog\n")


def labels(path: Path) -> None:
    """A cell of 20 million labels."""
    path.write_bytes(b"image,labels\na.jpg,dog\nb.jpg," + b"d|" * (20 << 20) + b"\n")


@pytest.mark.slow
@pytest.mark.parametrize("write", [endless, cells, labels], ids=lambda write: write.__name__)
def test_a_csv_of_long_lines_costs_these(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "t.csv")
    code, said, peak = run(tmp_path, "plan", TABLE.format("t.csv"))
    assert (code, peak < CEILING) == (0, True), said
    assert "text-too-long" in said or "longer than it may be" in said


def test_a_packed_csv_is_not_unpacked(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "t.csv", "wb", 1) as stream:
        stream.write(b"image,labels\na.jpg,dog\n")
        for _ in range(256):
            stream.write(b"x" * (1 << 20))
    code, said, peak = run(tmp_path, "plan", TABLE.format("t.csv"))
    assert (code, peak < CEILING) == (1, True), said
    assert "it is compressed by gzip" in said


@pytest.mark.slow
def test_a_csv_of_empty_lines_takes_no_more_than_twice_the_ceiling(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"image,labels\na.jpg,dog\n" + b"\n" * (64 << 20))
    code, said, peak = run(tmp_path, "plan", TABLE.format("t.csv"), data=2 * DATA)
    assert (code, peak < 2 * CEILING) == (0, True), said


@pytest.mark.slow
def test_a_list_of_a_million_labels_a_line_takes_no_more_than_twice_the_ceiling(tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("0\tn02084071\t-1\tdog\n1\tn02121620\t-1\tcat\n")
    with (tmp_path / "l.txt").open("wb") as stream:
        for i in range(8):
            stream.write(b"%d.jpg" % i + b"\t1:1" * 900_000 + b"\n")
    source = "{type: ml_images, lists: [l.txt], dictionary: d.txt}"
    code, said, peak = run(tmp_path, "plan", source, data=2 * DATA)
    assert (code, peak < 2 * CEILING) == (0, True), said


COCO = "{{type: coco, annotations: [c.json]{}}}"
ENTRY = b'{"segmentation": [[1.5, 2, 3, 4]], "note": "' + b"n" * 1500 + b'", "iscrowd": 0, '


@pytest.mark.slow
@pytest.mark.parametrize("more", [pytest.param("", marks=pytest.mark.slow), ", exhaustive: true"])
def test_a_coco_json_is_read_without_being_held(tmp_path: Path, more: str) -> None:
    """310 MB, which nothing may hold; the annotations come before the images."""
    with (tmp_path / "c.json").open("wb") as stream:
        stream.write(b'{"annotations": [')
        for i in range(200_000):
            ids = b'"image_id": %d, "category_id": %d, "id": %d}' % (i * 7919 % 50_000, i % 9, i)
            stream.write((b", " if i else b"") + ENTRY + ids)
        stream.write(b'], "images": [')
        for i in range(50_000):
            stream.write((b", " if i else b"") + b'{"id": %d, "file_name": "%012d.jpg"}' % (i, i))
        names = ("dog", "cat", "cow", "horse", "sheep", "goat", "pig", "duck", "goose")
        listed = ", ".join(f'{{"id": {i}, "name": "{name}"}}' for i, name in enumerate(names))
        stream.write(f'], "categories": [{listed}]}}'.encode())
    code, said, peak = run(tmp_path, "plan", COCO.format(more))
    assert (code, peak < CEILING // 2) == (0, True), said
    assert "50,000 images" in said


@pytest.mark.slow
def test_a_coco_json_with_a_text_of_three_gigabytes_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "c.json").open("wb") as stream:
        stream.write(b'{"info": "')
        for _ in range(48):
            stream.write(b"x" * (64 << 20))
    code, said, peak = run(tmp_path, "plan", COCO.format(""))
    assert (code, peak < CEILING // 2) == (1, True), said
    assert "go on for more than 4,194,304 bytes" in said


def member(name: str, kind: bytes, size: int) -> bytes:
    """The header of a member."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.slow
@pytest.mark.few(1)
@pytest.mark.parametrize(
    "kind", [b"x", b"L", *(pytest.param(kind, marks=pytest.mark.slow) for kind in (b"g", b"K"))]
)
def test_a_tar_with_a_header_of_three_gigabytes_loses_what_lies_behind_it(
    tmp_path: Path, kind: bytes
) -> None:
    (tmp_path / "images").mkdir()
    with (tmp_path / "images/n02084071.tar").open("wb") as stream:
        stream.write(member("a.jpg", b"0", 3) + b"abc".ljust(512, b"\0") + member("long", kind, 3 << 30))
        stream.seek(3 << 30, os.SEEK_CUR)
        stream.write(member("b.jpg", b"0", 3) + b"abc".ljust(512, b"\0") + bytes(1024))
    code, said, peak = run(tmp_path, "plan", "{type: imagenet, images: images}")
    assert (code, peak < CEILING) == (0, True), said
    assert "1 images" in said
    assert "tar-cut" in said or "damaged there" in said


@pytest.mark.slow
def test_an_image_that_is_a_hole_of_ten_gigabytes_is_a_row_without_bytes(tmp_path: Path) -> None:
    (tmp_path / "images/dog").mkdir(parents=True)
    (tmp_path / "images/dog/a.jpg").write_bytes(crops("chelsea", 1, side=48)[0])
    with (tmp_path / "images/dog/b.jpg").open("wb") as stream:
        stream.truncate(10 << 30)
    more = ("--until", "dataset", "--backend", "inline")
    code, said, peak = run(tmp_path, "build", "{type: folder, images: images}", *more)
    assert (code, peak < CEILING) == (0, True), said
    assert 'too_many_pixels,"it has 10,737,418,240 bytes' in (tmp_path / "out/x.failures.csv").read_text()


@pytest.mark.slow
def test_a_large_file_of_few_pixels_is_read_under_a_low_limit_of_pixels(tmp_path: Path) -> None:
    (tmp_path / "images/dog").mkdir(parents=True)
    path = tmp_path / "images/dog/a.jpg"
    path.write_bytes(crops("chelsea", 1, side=48)[0])
    os.truncate(path, 80 << 20)
    spec = "{type: folder, images: images}\nimages: {max_pixels: 3000}"
    code, said, _ = run(tmp_path, "build", spec, "--until", "dataset", "--backend", "inline")
    assert code == 0, said
    assert not (tmp_path / "out/x.failures.csv").exists()  # nor is there any other image without bytes
