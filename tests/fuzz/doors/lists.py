"""What sources are made of: CSV, TSV, Parquet, tars, Open Images' hierarchy, the lists of ML-Images."""

from __future__ import annotations

import csv
import io
import json
import re
import struct
import tarfile
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.io

from mlimg_build.errors import SourceError
from mlimg_build.images import check
from mlimg_build.images.status import BadImage
from mlimg_build.sources import IMAGES, LABELS, ImageReader, Notes, PageError, Source, read_nesting
from mlimg_build.sources.formats.coco import Coco
from mlimg_build.sources.formats.folder import Folder
from mlimg_build.sources.formats.ilsvrc import Ilsvrc
from mlimg_build.sources.formats.imagenet import ImageNet
from mlimg_build.sources.formats.ml_images import MLImages
from mlimg_build.sources.formats.open_images import OpenImages
from mlimg_build.sources.formats.parquet_images import ParquetImages
from mlimg_build.sources.formats.table import Table
from mlimg_build.sources.formats.webdataset import Webdataset
from mlimg_build.sources.ilsvrc.synset_tables import read_synset_table
from mlimg_build.spec import (
    CocoSource,
    Columns,
    FolderSource,
    IlsvrcSource,
    ImageNetSource,
    MLImagesSource,
    OpenImagesSource,
    ParquetColumns,
    ParquetSource,
    TableSource,
    WebdatasetSource,
)
from mlimg_build.spec.models.tar_sources import JsonFields
from tests.fuzz.door import Door
from tests.fuzz.doors.images import gifs, jpegs, pngs
from tests.support.parquet_world import image_table

__all__ = ["DOORS"]

WNID = "n01440764"
MOST_COLUMNS = 6


def scanned(source: Source) -> None:
    """The whole stream of a source: it is of the schema, and its values are within their ranges."""
    notes = Notes()
    for category in source.categories():
        assert category.id
        _ = (category.id + category.name).encode()
    for batch in source.scan(notes):
        if batch.images is not None:
            assert batch.images.schema.equals(IMAGES)
            batch.images.validate(full=True)
        if batch.labels is not None:
            batch.labels.validate(full=True)
            labels = batch.labels.cast(LABELS)
            between = pc.and_(pc.greater(labels["confidence"], 0), pc.less_equal(labels["confidence"], 1))
            assert pc.all(between, min_count=0).as_py()
            assert pc.all(pc.is_in(labels["state"], pa.array([1, -1], pa.int8())), min_count=0).as_py()
    for examples in notes.examples.values():
        for example in examples:
            _ = example.encode()


def furnish(room: Path) -> None:
    """Three images, and the lists beside them."""
    (room / "images" / "dog").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "dog/c.jpg"):
        (room / "images" / name).write_bytes(jpegs()[0])
    for name, text in LISTS.items():
        (room / name).write_text(text)


LISTS = {
    "labels.csv": "ImageID,Source,LabelName,Confidence\na,verification,/m/dog,1\nb,machine,/m/cat,0.8\n"
    "dog/c.jpg,,/m/dog,0\n",
    "classes.csv": 'LabelName,DisplayName\n/m/dog,Dog\n/m/cat,"Cat, (Animal)"\n',
    "rights.csv": 'ImageID,License,Author\na,CC0,me\nb,,\ntrain/dog/c.jpg,CC-BY,"you, too"\n',
    "nesting.json": '{"LabelName": "/m/x", "Subcategory": [{"LabelName": "/m/dog", "Part": [{"name": "cat"}]}]}',
    "list.txt": "a.jpg\t0:1\t1:0.5\nhttp://x/y.jpg 1:-1\ndog/c.jpg\t0:0.25\r\n",
    "dictionary.txt": f"category_index\tid\tparent\tname\n0\tn02084071\t-1\tdog\n1\t{WNID}\t0\ttench, Tinca\n",
}


def named(*names: str) -> list[bytes]:
    return [name.encode() + b"\n" + LISTS[name].encode() for name in names]


def open_images(path: Path) -> None:
    room = path.parent
    part = OpenImagesSource(
        type="open_images",
        images=room / "images",
        labels=(room / "labels.csv",),
        classes=room / "classes.csv",
        rights=room / "rights.csv",
        hierarchy=room / "nesting.json",
    )
    source = OpenImages("open", part)
    nesting = read_nesting(room / "nesting.json", {one.id: one.name for one in source.categories()})
    assert all(parents == tuple(sorted(parents)) for parents in nesting.parents.values())
    scanned(source)


def ml_images(path: Path) -> None:
    room = path.parent
    part = MLImagesSource(
        type="ml_images",
        lists=(room / "list.txt",),
        dictionary=room / "dictionary.txt",
        images=room / "images",
    )
    scanned(MLImages("ml", part))


def coco(path: Path) -> None:
    """As files of a folder, whose lack of an annotation says nothing; as URLs, with all that is denied."""
    scanned(Coco("coco", CocoSource(type="coco", annotations=(path,), images=path.parent / "images")))
    scanned(Coco("coco", CocoSource(type="coco", annotations=(path,), exhaustive=True)))


def jsons() -> list[bytes]:
    """Instances, LVIS's, and with annotations of a machine before the images."""
    images: list[dict[str, Any]] = [
        {"id": 1, "file_name": "a.jpg", "license": 1},
        {"id": 2, "file_name": "b.jpg"},
    ]
    url = "http://images.cocodataset.org/train2017/7.jpg"
    lvis = {"id": 7, "coco_url": url, "neg_category_ids": [2], "not_exhaustive_category_ids": [1]}
    said = [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [0, 1.5, 2, 3],
            "segmentation": [[1, 2]],
        }
    ]
    categories = [
        {"id": 1, "name": "cat", "supercategory": "animal"},
        {"id": 2, "name": "dog", "synset": "dog.n.01", "frequency": "c"},
    ]
    licences = [{"id": 1, "name": "Attribution", "url": "http://creativecommons.org/licenses/by/2.0/"}]
    whole = {
        "info": {},
        "licenses": licences,
        "images": images,
        "annotations": said,
        "categories": categories,
    }
    scored = {
        "annotations": [{"image_id": "a/1", "category_id": "2", "score": 0.5}],
        "images": [{**lvis, "id": "a/1"}],
    }
    others = ({**whole, "images": [lvis]}, {**scored, "categories": categories})
    return [json.dumps(one).encode() for one in (whole, *others)]


def folder(path: Path) -> None:
    part = FolderSource(type="folder", images=path.parent / "images", classes=path)
    scanned(Folder("folder", part))


COLUMNS = {"confidence": "confidence", "source": "source", "licence": "licence", "author": "author"}
ROWS: dict[str, list[Any]] = {
    "image": ["a.jpg", "b.jpg", "dog/c.jpg"],
    "labels": ["dog|cat", "cat", "x"],
    "confidence": ["1|0.5", "0", "1"],
    "source": ["human", "machine", ""],
    "licence": ["CC0", "", "n/a"],
    "author": ["me", "é", ""],
}


def table(path: Path) -> None:
    """With all columns, and with the least."""
    images = path.parent / "images"
    whole = Table("table", TableSource(type="table", table=path, images=images, columns=Columns(**COLUMNS)))
    least = Table("table", TableSource(type="table", table=path, images=images, people=()))
    scanned(whole)
    scanned(least)
    for _ in least.column("author", Notes()):
        pass


def any_table(path: Path) -> None:
    """A table of whatever columns: each is taken for the images, for the labels, for the confidences, and for all."""
    names = [name for name in names_of(path) if name][:MOST_COLUMNS] or ["image", "labels"]
    refused: list[SourceError] = []

    def accepted(columns: Columns) -> bool:
        part = TableSource(type="table", table=path, images=path.parent / "images", columns=columns)
        try:
            scanned(Table("table", part))
        except SourceError as error:
            refused.append(error)
            return False
        return True

    usual = next((name for name in names if accepted(Columns(image=name, labels=name))), None)
    for name in names if usual else ():
        accepted(Columns(image=usual, labels=name))
        accepted(Columns(image=usual, labels=usual, confidence=name, author=usual))
    if usual is None:
        raise refused[0]


def names_of(path: Path) -> list[str]:
    try:
        if path.suffix == ".parquet":
            return list(pq.read_schema(path).names)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = next(csv.reader(stream, delimiter="\t" if path.suffix == ".tsv" else ","), [])
        return [name.strip() for name in header]
    except (OSError, ValueError, csv.Error, pa.ArrowException):
        return []


def delimited(by: str) -> list[bytes]:
    lines = [by.join(ROWS), *(by.join(cells) for cells in zip(*ROWS.values(), strict=True))]
    return [("\n".join(lines) + "\n").encode(), ("\ufeff" + "\r\n".join(lines)).encode()]


def parquets() -> list[bytes]:
    nested = {**ROWS, "labels": [["dog", "cat"], [], None], "confidence": [[1.0, 0.5], None, [0.25]]}
    coded = {**ROWS, "labels": pa.array(ROWS["labels"]).dictionary_encode()}
    made = []
    for rows, options in (
        (ROWS, {"compression": "none", "use_dictionary": False}),
        (nested, {"compression": "zstd"}),
        (coded, {"compression": "snappy", "data_page_version": "2.0"}),
        (
            {**ROWS, "confidence": pa.array([1, 0.5, 0], pa.float16())},
            {"compression": "gzip", "row_group_size": 2},
        ),
    ):
        stream = io.BytesIO()
        pq.write_table(pa.table(rows), stream, **options)
        made.append(stream.getvalue())
    return made


def every_type() -> bytes:
    """A column of each type that Parquet has."""
    now, stream = datetime(2026, 11, 27, 1, 2, 3, tzinfo=UTC), io.BytesIO()
    columns = {
        "i8": pa.array([1, None], pa.int8()),
        "u64": pa.array([2**64 - 1, None], pa.uint64()),
        "f32": pa.array([0.9, float("nan")], pa.float32()),
        "bool": pa.array([True, None]),
        "bytes": pa.array([b"\xff", None]),
        "fixed": pa.array([b"abc", None], pa.binary(3)),
        "decimal": pa.array([Decimal("1.5"), None], pa.decimal128(38, 2)),
        "date": pa.array([now.date(), None]),
        "time": pa.array([now.time(), None], pa.time64("ns")),
        "moment": pa.array([now, None], pa.timestamp("ns", "UTC")),
        "list": pa.array([["a", None], None], pa.list_(pa.string())),
        "lists": pa.array([[["a"]], None], pa.list_(pa.list_(pa.string()))),
        "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32())),
        "struct": pa.array([{"a": 1}, None]),
        "none": pa.array([None, None], pa.null()),
    }
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def parquet_images(path: Path) -> None:
    """The rows of a Parquet file with images, and the images of some of them."""
    part = ParquetSource(type="parquet", images=path)
    scanned(ParquetImages("rows", part))
    names = ParquetColumns(name="image.path", split="label", author="image.path")
    source, root = ParquetImages("rows", part.model_copy(update={"columns": names})), path.parent
    with suppress(SourceError), ImageReader(root) as reader:
        scanned(source)
        for batch in ParquetImages("rows", part).scan(Notes()):
            for row, inside in zip(batch.images.to_pylist()[:20], batch.inside.tolist(), strict=False):
                if row["status"]:
                    continue
                try:
                    data, _ = reader.read_planned(
                        row["path"], row["offset"], row["size"], row["mtime"], inside
                    )
                    check(data, 4_000_000, None)
                except (BadImage, PageError) as error:
                    _ = str(error).encode()


def image_parquets() -> list[bytes]:
    images: list[bytes | None] = [jpegs()[0], None, pngs()[0], b"", gifs()[0], jpegs()[0]]
    paths = ["a.jpg", "b.jpg", None, "c.jpg", "d.jpg", "../e.jpg"]
    several = pa.array([[0, 2], [], None, [1], [7], [-1]], pa.list_(pa.int64()))
    made = []
    for labels, options in (
        ([0, 1, 2, 0, -1, 99], {}),
        ([0, 1, 2, 0, -1, 99], {"compression": "none", "use_dictionary": False, "write_statistics": False}),
        (several, {"compression": "zstd", "data_page_version": "2.0", "row_group_size": 4}),
        (["cat", "dog", None, "x", "", "cat"], {"compression": "gzip", "use_dictionary": False}),
        (
            several,
            {"use_dictionary": ["label"], "column_encoding": {"image.bytes": "DELTA_LENGTH_BYTE_ARRAY"}},
        ),
    ):
        table = image_table(images, labels, paths, None if labels[0] == "cat" else ["cat", "dog", "bird"])
        stream = io.BytesIO()
        pq.write_table(table, stream, **options)
        made.append(stream.getvalue())
    return made


def tar(path: Path) -> None:
    """The index of a tar, and its members."""
    scanned(ImageNet("imagenet", ImageNetSource(type="imagenet", images=path.parent)))
    source = ImageNet("imagenet", ImageNetSource(type="imagenet", images=path.parent))
    size = path.stat().st_size
    with ImageReader(path.parent) as reader:
        for batch in source.scan(Notes()):
            for row in batch.images.to_pylist()[:20] if batch.images is not None else ():
                assert row["status"] or row["offset"] + row["size"] <= size
                data = reader.read(row["path"], row["offset"], row["size"])
                try:
                    check(data, 4_000_000, None)
                except BadImage as error:
                    _ = error.status


def tars() -> list[bytes]:
    files = {
        f"{WNID}_1.JPEG": jpegs()[0],
        "sub/2.png": pngs()[0],
        f"{'x' * 120}.gif": gifs()[0],
        "notes.txt": b"no",
    }
    made = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
            for name, data in files.items():
                if form == tarfile.USTAR_FORMAT and len(name) > 100:
                    continue
                member = tarfile.TarInfo(name)
                member.size = len(data)
                if form == tarfile.PAX_FORMAT:
                    member.pax_headers = {"comment": "é", "mtime": "1.5"}
                archive.addfile(member, io.BytesIO(data))
            link = tarfile.TarInfo("3.jpg")
            link.type, link.linkname = tarfile.LNKTYPE, f"{WNID}_1.JPEG"
            archive.addfile(link)
        made.append(stream.getvalue().rstrip(b"\0") + bytes(1024))
    return [data + bytes(-len(data) % 512) for data in made]


def with_sums(data: bytes) -> bytes:
    """The tar with the checksum of each header made right, member after member."""
    made, at = bytearray(data), 0
    while at + 512 <= len(made) and any(made[at : at + 512]):
        made[at + 148 : at + 156] = b"        "
        made[at + 148 : at + 156] = b"%06o\0 " % sum(made[at : at + 512])
        digits = bytes(made[at + 124 : at + 135]).strip(b" \0")
        size = int(digits, 8) if digits and digits.isdigit() and not set(digits) & set(b"89") else 0
        at += 512 + (size + 511) // 512 * 512
    return bytes(made)


CSV = (
    b"ImageID",
    b"image",
    b"labels",
    b"/m/dog",
    b"0.99999999999999999999",
    b"+1",
    b"1e-400",
    b"verification",
    b"|",
)
PARQUET = (b"PAR1", struct.pack("<I", 1 << 31), b"\x15\x00\x15", b"\xff" * 10, b"\x80" * 9 + b"\x01")
TAR = (
    *(
        b"ustar\0" + b"00",
        b"ustar  \0",
        b"L",
        b"K",
        b"x",
        b"g",
        b"S",
        b"1",
        b"\x80" + b"\xff" * 7,
        b"7" * 11 + b"\0",
    ),
    *(
        b"30 size=99999999999999999999\n",
        b"22 GNU.sparse.major=1\n",
        b"12 path=a\0b\n",
        b"99 path=\n",
        b"20 mtime=1e999999\n",
    ),
    *(b"25 GNU.sparse.map=0,1,x\n", b"11 uid=-1\n", b"0 x\n", b"-5 x=y\n", b"16 hdrcharset=x\n"),
)


def samples(path: Path) -> None:
    """A tar of samples: its labels by members, and by the fields of their JSON."""
    fields = JsonFields(labels="label", confidence="p", absent="no.id", licence="by", split="split")
    for more in ({}, {"fields": fields, "splits": {"extra": "none"}}, {"labels": "txt", "separator": "|"}):
        source = Webdataset("tars", WebdatasetSource(type="webdataset", tars=(path,), **more))
        scanned(source)
    size = path.stat().st_size
    with ImageReader(path.parent) as reader:
        for batch in source.scan(Notes()):
            for row in batch.images.to_pylist()[:20] if batch.images is not None else ():
                assert row["status"] or row["offset"] + row["size"] <= size
                reader.read(row["path"], row["offset"], row["size"])


def sample_tars() -> list[bytes]:
    said = b'{"label": ["dog", 3], "p": [1, 0.5], "no": [{"id": "cat"}], "by": "CC0", "split": "train"}'
    files = {"a/1.jpg": jpegs()[0], "a/1.cls": b"7", "a/1.json": said, "a/1.txt": b"dog|cat"}
    files |= {"2.seg.png": b"mask", "2.png": pngs()[0], "2.json": b'{"label": NaN, "p": 1e400, "no": null}'}
    made = []
    for form in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        made.append(stream.getvalue().rstrip(b"\0") + bytes(1024))
    return [data + bytes(-len(data) % 512) for data in made]


def ground_truth(path: Path) -> None:
    """A list of ImageNet's validation labels, with each kind of table."""
    room, refused = path.parent, []
    for table in (None, "synsets.txt", "map.txt"):
        synsets = None if table is None else room / table
        part = IlsvrcSource(type="ilsvrc", images=room / "images", labels=path, synsets=synsets)
        try:
            scanned(Ilsvrc("truth", part))
        except SourceError as error:
            refused.append(error)
    if len(refused) == 3:
        raise refused[-1]


def synset_table(path: Path) -> None:
    """The table of ImageNet's synsets, text or MATLAB."""
    table = read_synset_table(path, "the synsets")
    assert all(re.fullmatch("n[0-9]{8}", wnid) for wnid in table.wnids.values())


def furnish_truth(room: Path) -> None:
    (room / "images").mkdir(parents=True)
    for i in range(1, 4):
        (room / "images" / f"ILSVRC2012_val_{i:08}.JPEG").write_bytes(jpegs()[0])
    (room / "synsets.txt").write_text(f"{WNID}\nn02084071\n")
    (room / "map.txt").write_text(f"n02084071 1 dog\n{WNID} 2 tench\n")


def truths() -> list[bytes]:
    name = "ILSVRC2012_val_0000000"
    return [
        b"1\n2\n2\n",
        f"{name}1.JPEG 0\n{name}2.JPEG 1\n".encode(),
        f"{name}1.JPEG {WNID}\n".encode(),
        f"ImageId,PredictionString\n{name}1,{WNID} 1 2 3 4\n".encode(),
    ]


def matlab_tables() -> list[bytes]:
    synsets = np.zeros((2, 1), [(name, object) for name in ("ILSVRC2012_ID", "WNID", "words")])
    synsets[0, 0], synsets[1, 0] = (1, WNID, "tench, é"), (2, "n02084071", "dog")
    made = []
    for compressed in (False, True):
        stream = io.BytesIO()
        scipy.io.savemat(stream, {"synsets": synsets}, do_compression=compressed)
        made.append(stream.getvalue())
    return made


DOORS = (
    Door("samples", samples, sample_tars, ("a.tar",), repair=with_sums, tokens=TAR, suffixes=(".tar",)),
    Door(
        "ground-truth",
        ground_truth,
        truths,
        ("labels.txt",),
        furnish_truth,
        tokens=(b"1", b"0", b",", WNID.encode()),
    ),
    Door(
        "synsets",
        synset_table,
        matlab_tables,
        ("meta.mat",),
        tokens=(b"synsets", b"WNID", b"\x0e\0\0\0"),
        suffixes=(".mat",),
    ),
    Door(
        "open-images",
        open_images,
        lambda: named("labels.csv", "classes.csv", "rights.csv", "nesting.json"),
        ("labels.csv", "classes.csv", "rights.csv", "nesting.json"),
        furnish,
        tokens=CSV,
        tree=True,
    ),
    Door(
        "ml-images",
        ml_images,
        lambda: named("list.txt", "dictionary.txt"),
        ("list.txt", "dictionary.txt"),
        furnish,
        tokens=(*CSV, b"0:1", b"1:-1", b"999999999:1", b"00000000001:1", b"-1\t", b"n02084071"),
    ),
    Door(
        "coco",
        coco,
        jsons,
        ("coco.json",),
        furnish,
        tokens=(
            *(
                b'"images": [',
                b'"annotations": [',
                b'"categories": [',
                b'"id": 1',
                b'"image_id": 1',
                b"[[[[",
                b"{",
            ),
            *(
                b"NaN",
                b"1e400",
                b"-0",
                b"1.5",
                b"true",
                b"null",
                b'"\\ud800"',
                b'"\\u0000"',
                b"9223372036854775808",
            ),
            *(
                b'"neg_category_ids": [1]',
                b'"score": 1',
                b'"segments_info": []',
                b'"caption": ""',
                b"\xef\xbb\xbf",
            ),
        ),
        tree=True,
        suffixes=(".json",),
    ),
    Door("classes", folder, lambda: [LISTS["classes.csv"].encode()], ("own.csv",), furnish, tokens=CSV),
    Door("csv", table, lambda: delimited(","), ("table.csv",), furnish, tokens=CSV),
    Door("tsv", table, lambda: delimited("\t"), ("table.tsv",), furnish, tokens=CSV),
    Door("parquet", table, parquets, ("table.parquet",), furnish, tokens=PARQUET),
    Door("any-csv", any_table, lambda: delimited(","), ("any.csv",), furnish, tokens=CSV, suffixes=(".csv",)),
    Door(
        "any-tsv", any_table, lambda: delimited("\t"), ("any.tsv",), furnish, tokens=CSV, suffixes=(".tsv",)
    ),
    Door(
        "any-parquet",
        any_table,
        lambda: [*parquets(), every_type()],
        ("any.parquet",),
        furnish,
        tokens=PARQUET,
        suffixes=(".parquet", ".parq"),
    ),
    Door(
        "parquet-images",
        parquet_images,
        image_parquets,
        ("rows.parquet",),
        furnish,
        tokens=PARQUET,
        suffixes=(".parquet",),
    ),
    Door("tar", tar, tars, (f"{WNID}.tar",), repair=with_sums, tokens=TAR, suffixes=(".tar",)),
)
