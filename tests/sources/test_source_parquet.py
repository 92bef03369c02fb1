"""Parquet files of images: rows, names, labels, splits, and each kind of damage with what it says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources import WHOLE_FILE, Category, ImageReader, Notes, place_of
from mlimg_build.sources.embedded.file_splits import name_of_split
from mlimg_build.sources.formats.parquet_images import ParquetImages
from tests.support.parquet_world import image_table, images_of, write_images
from tests.support.source_world import Scanned, categories, scan, write_tar

IMAGES = [bytes([i]) * (i + 1) for i in range(9)]
LABELS = [0, 1, 2, 0, 1, 2, 0, 1, 2]


def bytes_of(source: ParquetImages, found: Scanned) -> dict[str, bytes]:
    """The bytes of each image that has some, read as a build reads them."""
    read: dict[str, bytes] = {}
    inside = [int(one) for batch in source.scan(Notes()) if batch.inside is not None for one in batch.inside]
    assert source.root is not None
    with ImageReader(source.root, "pets") as reader:
        for image, at in zip(found.images, inside, strict=True):
            if not image["status"]:
                data, ctime = reader.read_planned(
                    image["path"], image["offset"], image["size"], image["mtime"], at
                )
                assert ctime == image["ctime"]
                read[image["name"]] = data
    return read


def refused(source: ParquetImages) -> Problem:
    with pytest.raises(SourceError) as caught:
        scan(source)
    return caught.value.problems[0]


def test_a_row_is_an_image_with_its_label_and_its_place(tmp_path: Path) -> None:
    table = image_table(IMAGES, LABELS)
    write_images(tmp_path / "data/train-00000-of-00002.parquet", table.slice(0, 5), row_group_size=2)
    write_images(tmp_path / "data/train-00001-of-00002.parquet", table.slice(5), compression="none")
    source = images_of(tmp_path / "data")
    found = scan(source)
    names = [
        *(f"train-00000-of-00002/{i}" for i in range(1, 6)),
        *(f"train-00001-of-00002/{i}" for i in range(1, 5)),
    ]
    assert found.names == names
    assert bytes_of(source, found) == dict(zip(names, IMAGES, strict=True))
    assert [category for _, category, _ in found.statements] == ["cat", "dog", "golden_retriever"] * 3
    assert [place_of(label["record"]) for label in found.labels] == [
        *((0, i) for i in range(1, 6)),
        *((1, i) for i in range(1, 5)),
    ]
    assert [path.name for path in source.lists] == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    assert categories(source) == [
        Category("cat", "cat"),
        Category("dog", "dog"),
        Category("golden_retriever", "golden retriever"),
    ]
    assert not found.counts


def test_the_layout_that_datasets_writes_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets (Hugging Face) is not installed")
    datasets.disable_progress_bars()
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog", "golden_retriever"]),
            "several": datasets.Sequence(datasets.ClassLabel(names=["red", "round"])),
            "objects": datasets.Sequence(
                {"category": datasets.ClassLabel(names=["car", "tree"]), "area": datasets.Value("int64")}
            ),
            "text": datasets.Value("string"),
        }
    )
    photographs = _pngs(9)
    rows = {
        "image": [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(photographs)],
        "label": LABELS,
        "several": [[i % 2] * (i % 3) for i in range(9)],
        "objects": [{"category": [1] * (i % 2), "area": [5] * (i % 2)} for i in range(9)],
        "text": [f"thing {i % 2}" for i in range(9)],
    }
    made = datasets.Dataset.from_dict(rows, features=features)
    made.to_parquet(tmp_path / "train-00000-of-00001.parquet")
    source = images_of(tmp_path)
    found = scan(source)
    assert [*bytes_of(source, found).values()] == photographs
    assert [category for _, category, _ in found.statements] == ["cat", "dog", "golden_retriever"] * 3
    several = scan(images_of(tmp_path, labels="several")).statements
    assert [category for _, category, _ in several] == [
        ["red", "round"][i % 2] for i in range(9) for _ in range(i % 3)
    ]
    objects = scan(images_of(tmp_path, labels="objects.category")).statements
    assert [(name[-1], category) for name, category, _ in objects] == [
        (str(i + 1), "tree") for i in range(1, 9, 2)
    ]
    texts = scan(images_of(tmp_path, labels="text")).statements
    assert [category for _, category, _ in texts] == [f"thing {i % 2}" for i in range(9)]
    assert categories(images_of(tmp_path, labels="several")) == [
        Category("red", "red"),
        Category("round", "round"),
    ]


def _pngs(count: int) -> list[bytes]:
    import io

    from PIL import Image

    made = []
    for i in range(count):
        stream = io.BytesIO()
        Image.new("RGB", (4 + i, 3), (i, 2, 3)).save(stream, "png")
        made.append(stream.getvalue())
    return made


def test_a_column_of_plain_bytes_is_read_too(tmp_path: Path) -> None:
    table = pa.table({"jpg": pa.array(IMAGES, pa.large_binary()), "cls": ["cat"] * 9})
    write_images(tmp_path / "a.parquet", table)
    source = images_of(tmp_path / "a.parquet", image="jpg", labels="cls")
    found = scan(source)
    assert [*bytes_of(source, found).values()] == IMAGES
    assert found.names[0] == "a/1"


def test_bytes_that_arrow_keeps_as_codes_are_read_too(tmp_path: Path) -> None:
    column = pa.array([IMAGES[3], IMAGES[1], IMAGES[3], None]).dictionary_encode()
    write_images(tmp_path / "a.parquet", pa.table({"image": column, "label": ["cat"] * 4}))
    source = images_of(tmp_path / "a.parquet")
    assert [*bytes_of(source, scan(source)).values()] == [IMAGES[3], IMAGES[1], IMAGES[3]]


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.large_list(pa.int32()), pa.list_(pa.int64(), 2)])
def test_every_kind_of_list_has_its_labels_at_its_rows(tmp_path: Path, kind: pa.DataType) -> None:
    labels = pa.array([[0, 1], None, [2, None], [1, 1]], kind)
    write_images(tmp_path / "a.parquet", image_table(IMAGES[:4], labels))
    found = scan(images_of(tmp_path / "a.parquet"))
    assert [(name, category) for name, category, _ in found.statements] == [
        ("a/1", "cat"),
        ("a/1", "dog"),
        ("a/3", "golden_retriever"),
        ("a/4", "dog"),
        ("a/4", "dog"),
    ]


def test_a_name_is_the_same_by_folder_by_pattern_and_by_file(tmp_path: Path) -> None:
    write_images(tmp_path / "data/train-0.parquet", image_table(IMAGES, LABELS))
    every = [
        images_of(tmp_path / "data" / rest)
        for rest in ("", "*.parquet", "train-[0-9].parquet", "train-0.parquet")
    ]
    assert {tuple(scan(source).names) for source in every} == {tuple(f"train-0/{i}" for i in range(1, 10))}


def test_a_pattern_may_go_through_folders_and_leaves_the_rest(tmp_path: Path) -> None:
    for path in ("a/train/0.parquet", "b/train/0.parquet", "b/test/0.parquet", "b/train/.hidden.parquet"):
        write_images(tmp_path / path, image_table(IMAGES[:2], LABELS[:2]))
    found = scan(images_of(tmp_path / "**/train/*.parquet"))
    assert found.names == ["a/train/0/1", "a/train/0/2", "b/train/0/1", "b/train/0/2"]
    assert found.counts == {"hidden": 1}


def test_a_folder_whose_name_is_like_a_pattern_is_that_folder(tmp_path: Path) -> None:
    write_images(tmp_path / "data[1]/x.parquet", image_table(IMAGES, LABELS))
    assert len(scan(images_of(tmp_path / "data[1]")).names) == 9


def test_what_lies_beside_the_files_is_noted(tmp_path: Path) -> None:
    write_images(tmp_path / "x.parquet", image_table(IMAGES, LABELS))
    (tmp_path / "README.md").write_text("# a card")
    (tmp_path / ".gitattributes").write_text("")
    assert scan(images_of(tmp_path)).counts == {"not-a-parquet-file": 1, "hidden": 1}


def test_a_column_gives_names_and_rights(tmp_path: Path) -> None:
    table = image_table(
        IMAGES[:3], LABELS[:3], ["p/a.jpg", "b.jpg", None], by=["Zoë", None, "n/a"], under=["CC0", "", None]
    )
    write_images(tmp_path / "x.parquet", table)
    found = scan(images_of(tmp_path, name="image.path", author="by", licence="under"))
    assert [(one["name"], one["author"], one["licence"]) for one in found.images] == [
        ("p/a.jpg", "Zoë", "CC0"),
        ("b.jpg", "", ""),
        ("x/3", "", ""),
    ]


def test_two_images_of_one_name_are_an_error(tmp_path: Path) -> None:
    write_images(tmp_path / "x.parquet", image_table(IMAGES[:3], LABELS[:3], ["a.jpg", "b.jpg", "c.jpg"]))
    write_images(tmp_path / "y.parquet", image_table(IMAGES[:2], LABELS[:2], ["d.jpg", "b.jpg"]))
    problem = refused(images_of(tmp_path, name="image.path"))
    assert problem.code == "name-twice"
    assert "x.parquet:2 and y.parquet:2" in problem.message
    assert "leave out `columns.name`" in str(problem.hint)


def test_lists_of_labels_are_several_statements(tmp_path: Path) -> None:
    labels = pa.array([[0, 2], [], None, [1], [2, None]], pa.list_(pa.int64()))
    write_images(tmp_path / "x.parquet", image_table(IMAGES[:5], labels))
    found = scan(images_of(tmp_path))
    assert [(name, category) for name, category, _ in found.statements] == [
        ("x/1", "cat"),
        ("x/1", "golden_retriever"),
        ("x/4", "dog"),
        ("x/5", "golden_retriever"),
    ]
    assert found.counts == {"row-without-label": 2}
    assert found.notes.examples["row-without-label"] == ["x.parquet:2"]


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint8(), pa.int64(), pa.uint64(), pa.dictionary(pa.int8(), pa.int64())]
)
def test_a_label_outside_the_names_is_left_out_and_minus_one_says_nothing(
    tmp_path: Path, kind: pa.DataType
) -> None:
    given = [0, 3, 99, None] + ([-1] if kind not in (pa.uint8(), pa.uint64()) else [])
    values = (
        pa.array(given, kind) if not pa.types.is_dictionary(kind) else pa.array(given).dictionary_encode()
    )
    write_images(tmp_path / "x.parquet", image_table(IMAGES[: len(given)], values))
    found = scan(images_of(tmp_path))
    assert found.statements == [("x/1", "cat", 1.0)]
    assert len(found.images) == len(given)
    assert found.counts == {"bad-label": 2, "row-without-label": 3} | (
        {"row-without-class": 1} if len(given) == 5 else {}
    )
    assert found.notes.examples["bad-label"][0] == "x.parquet:2: 3 is none of the 3 labels"


def test_numbers_without_names_stay_numbers_and_a_file_names_them(tmp_path: Path) -> None:
    write_images(tmp_path / "x.parquet", image_table(IMAGES, LABELS, names=None))
    assert scan(images_of(tmp_path)).statements[1] == ("x/2", "1", 1.0)
    assert categories(images_of(tmp_path)) == []
    (tmp_path / "names.csv").write_text("id,name\n0,cat\n1,dog\n2,bird\n")
    source = images_of(tmp_path / "x.parquet", own={"classes": tmp_path / "names.csv"})
    assert categories(source)[1] == Category("1", "dog")
    assert scan(source).statements[1] == ("x/2", "1", 1.0)


def test_a_file_of_classes_takes_the_place_of_the_names(tmp_path: Path) -> None:
    write_images(tmp_path / "x.parquet", image_table(IMAGES, LABELS))
    (tmp_path / "names.csv").write_text("id,name\n0,tiger\n1,wolf\n2,bird\n")
    source = images_of(tmp_path / "x.parquet", own={"classes": tmp_path / "names.csv"})
    assert scan(source).statements[0] == ("x/1", "0", 1.0)
    assert categories(source)[0] == Category("0", "tiger")


def test_texts_are_labels_and_a_long_or_broken_one_costs_itself_only(tmp_path: Path) -> None:
    labels = pa.array([b"dog", b" cat ", b"x" * 600, b"\xff", b"a\0b", None]).cast(pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 6, labels.buffers())
    write_images(tmp_path / "x.parquet", image_table(IMAGES[:6], texts, names=None))
    found = scan(images_of(tmp_path))
    assert found.statements == [("x/1", "dog", 1.0), ("x/2", "cat", 1.0)]
    assert len(found.images) == 6
    assert found.counts == {"text-too-long": 1, "not-utf-8": 1, "zero-byte": 1, "row-without-label": 4}


def test_a_row_without_bytes_is_missing_or_the_file_of_its_path(tmp_path: Path) -> None:
    (tmp_path / "data/img").mkdir(parents=True)
    (tmp_path / "data/img/b.jpg").write_bytes(b"from a file")
    paths = [None, "img/b.jpg", "img/none.jpg", None, "../up.jpg"]
    table = image_table([b"one", None, None, None, None], [0] * 5, paths)
    write_images(tmp_path / "data/x.parquet", table)
    source = images_of(tmp_path / "data")
    found = scan(source)
    assert [image["status"] for image in found.images] == ["", "", "missing", "missing", "outside"]
    assert found.image("x/2")["offset"] == WHOLE_FILE
    assert found.image("x/2")["path"] == "img/b.jpg"
    assert bytes_of(source, found) == {"x/1": b"one", "x/2": b"from a file"}
    assert found.counts == {"row-without-bytes": 4}
    alone = scan(images_of(tmp_path / "data/x.parquet"))
    assert [image["status"] for image in alone.images] == ["", *["missing"] * 4]
    assert "only where `images` is a folder" in alone.notes.examples["row-without-bytes"][0]


@pytest.mark.parametrize(
    "options", [{}, {"write_statistics": False}, {"data_page_version": "2.0"}, {"compression": "none"}]
)
def test_no_row_is_taken_for_another_where_some_are_null(tmp_path: Path, options: dict[str, Any]) -> None:
    images = [None if i % 3 == 1 else b"%d" % i for i in range(50)]
    table = image_table(images, [0] * 50)
    write_images(tmp_path / "x.parquet", table, row_group_size=7, **options)
    source = images_of(tmp_path / "x.parquet")
    assert bytes_of(source, scan(source)) == {
        f"x/{i + 1}": data for i, data in enumerate(images) if data is not None
    }


def two_splits(root: Path, *names: str) -> Path:
    for name in names:
        write_images(root / name, image_table(IMAGES[:2], LABELS[:2]))
    return root


def split_codes(source: ParquetImages) -> list[int]:
    return [int(code) for batch in source.scan(Notes()) if batch.splits is not None for code in batch.splits]


def test_the_names_of_files_tell_their_splits(tmp_path: Path) -> None:
    two_splits(tmp_path, "data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet")
    assert split_codes(images_of(tmp_path)) == [0, 0, 1, 1]


def test_a_test_set_is_placed_by_nobody(tmp_path: Path) -> None:
    two_splits(tmp_path, "train/0.parquet", "test/0.parquet")
    problem = refused(images_of(tmp_path))
    assert problem.code == "split-unplaced"
    assert "test" in problem.message
    assert split_codes(images_of(tmp_path, {"train": "train", "test": "validation"})) == [1, 1, 0, 0]
    left = scan(images_of(tmp_path, {"train": "train", "test": "none"}))
    assert left.names == ["train/0/1", "train/0/2"]
    assert left.counts == {"split-left-out": 2}


def test_files_of_one_split_are_drawn_and_a_split_of_the_whole_source_wins(tmp_path: Path) -> None:
    two_splits(tmp_path / "a", "train-0.parquet", "train-1.parquet")
    assert split_codes(images_of(tmp_path / "a")) == []
    two_splits(tmp_path / "b", "train-0.parquet", "test-0.parquet")
    assert split_codes(images_of(tmp_path / "b", own={"split": "train"})) == []


def test_a_file_of_no_split_beside_others_has_to_be_placed(tmp_path: Path) -> None:
    two_splits(tmp_path, "train-0.parquet", "val-0.parquet", "extra.parquet")
    problem = refused(images_of(tmp_path))
    assert (problem.code, "extra" in problem.message) == ("split-unplaced", True)
    assert split_codes(images_of(tmp_path, {"extra": "train", "train": "train", "val": "validation"})) == [
        *(0, 0, 0, 0, 1, 1)
    ]
    missing = refused(images_of(tmp_path, {"unseen": "none"}))
    assert missing.code == "split-missing"


def test_a_column_tells_the_split(tmp_path: Path) -> None:
    table = image_table(IMAGES[:4], LABELS[:4], part=["train", "val", "test", None])
    write_images(tmp_path / "x.parquet", table)
    source = images_of(tmp_path, {"test": "none"}, split="part")
    assert split_codes(source) == [0, 1, -1]
    found = scan(source)
    assert found.names == ["x/1", "x/2", "x/4"]
    assert found.statements == [("x/1", "cat", 1.0), ("x/2", "dog", 1.0), ("x/4", "cat", 1.0)]
    assert found.counts == {"split-left-out": 1, "row-without-split": 1}
    assert refused(images_of(tmp_path, split="part")).code == "split-unplaced"


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train-00000-of-00012.parquet", "train"),
        ("data/validation-00000-of-00001-8d1c.parquet", "validation"),
        ("default/test/0000.parquet", "test"),
        ("Train_0.parquet", "Train"),
        ("trainings.parquet", ""),
        ("values.parquet", ""),
        ("test1.parquet", "test"),
        ("train/test-0.parquet", "test"),
        ("0000.parquet", ""),
    ],
)
def test_the_split_of_a_file(path: str, split: str) -> None:
    assert name_of_split(path) == split


def test_a_missing_column_has_near_names_and_those_with_bytes(tmp_path: Path) -> None:
    table = image_table(IMAGES, LABELS).rename_columns(["img", "labels"])
    write_images(tmp_path / "x.parquet", table)
    problem = refused(images_of(tmp_path))
    assert problem.code == "column-missing"
    assert "columns: {image: img} has bytes" in str(problem.hint)
    problem = refused(images_of(tmp_path, image="img"))
    assert 'did you mean "labels"?' in str(problem.hint)
    assert "x.parquet" in problem.message


@pytest.mark.parametrize(
    ("columns", "fields", "said"),
    [
        ({"image": ["a.jpg"], "label": ["cat"]}, {}, "a source of `type: table`"),
        ({"image": [[b"a"]], "label": ["cat"]}, {}, "one row for each image"),
        ({"image": [b"a"], "label": [0.5]}, {}, "whole numbers that have names"),
        ({"image": [b"a"], "label": [{"x": 1, "y": 2}]}, {}, "name a field of it: label.x or label.y"),
        ({"image": [b"a"], "label": ["x"], "by": [["me"]]}, {"author": "by"}, "one text a row"),
        ({"image": [1], "label": ["cat"], "data": [b"x"]}, {}, "columns: {image: data} has bytes"),
    ],
)
def test_a_column_of_another_type_is_an_error_that_says_what_it_may_be(
    tmp_path: Path, columns: dict[str, Any], fields: dict[str, str], said: str
) -> None:
    write_images(tmp_path / "x.parquet", pa.table(columns))
    problem = refused(images_of(tmp_path, **fields))
    assert problem.code == "column-type"
    assert said in str(problem.hint)


def test_files_whose_labels_differ_are_an_error(tmp_path: Path) -> None:
    write_images(tmp_path / "a.parquet", image_table(IMAGES, LABELS))
    write_images(tmp_path / "b.parquet", image_table(IMAGES, ["cat"] * 9, names=None))
    problem = refused(images_of(tmp_path))
    assert problem.code == "columns-differ"
    assert "numbers with names in a.parquet and texts in b.parquet" in problem.message
    write_images(tmp_path / "b.parquet", image_table(IMAGES, LABELS, names=None))
    assert "numbers without names in b.parquet" in refused(images_of(tmp_path)).message


def test_each_file_has_its_own_numbers(tmp_path: Path) -> None:
    write_images(tmp_path / "a.parquet", image_table(IMAGES[:2], [0, 1], names=["cat", "dog"]))
    write_images(tmp_path / "b.parquet", image_table(IMAGES[:2], [0, 1], names=["dog", "cat"]))
    assert [category for _, category, _ in scan(images_of(tmp_path)).statements] == [
        "cat",
        "dog",
        "dog",
        "cat",
    ]


def damage(kind: str, path: Path) -> None:
    whole = path.read_bytes()
    table = image_table(IMAGES, LABELS)
    if kind == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "lfs":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 123\n")
    elif kind == "arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("image,label\n")
    elif kind == "page":
        path.write_text("<!doctype html><html>sign in</html>")
    elif kind == "footer":
        path.write_bytes(whole[: -int.from_bytes(whole[-8:-4], "little") - 8] + bytes(64) + whole[-72:])
    elif kind == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        pq.write_table(table, path, use_dictionary=False, column_encoding={"image.bytes": "DELTA_BYTE_ARRAY"})


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("cut", "list-unreadable", "not a Parquet file in order"),
        ("lfs", "list-unreadable", "git lfs pull"),
        ("arrow", "list-unreadable", "write it as Parquet"),
        ("empty", "list-empty", "get it again"),
        ("text", "list-unreadable", "it is text"),
        ("page", "list-unreadable", "web page"),
        ("footer", "list-unreadable", "not a Parquet file in order"),
        ("pipe", "list-missing", "is not a file"),
        ("encoding", "list-unreadable", "pq.write_table(pq.read_table(OLD), NEW"),
    ],
)
def test_a_file_that_is_no_whole_parquet_is_an_error_that_says_what_it_is(
    tmp_path: Path, kind: str, code: str, said: str
) -> None:
    path = write_images(tmp_path / "x.parquet", image_table(IMAGES, LABELS))
    damage(kind, path)
    problem = refused(images_of(tmp_path / "x.parquet"))
    assert problem.code == code
    assert said in f"{problem.message} {problem.hint}"
    assert "x.parquet" in problem.message


def test_a_folder_without_such_files_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(b"ARROW1")
    problem = refused(images_of(tmp_path))
    assert problem.code == "source-empty"
    assert "to_parquet" in str(problem.hint)
    write_tar(tmp_path / "tars/a.tar", {"a.jpg": b"x"})
    assert "of another type" in str(refused(images_of(tmp_path / "tars")).hint)
    assert "meets the pattern" in refused(images_of(tmp_path / "no-*.parquet")).message
    assert refused(images_of(tmp_path / "nowhere")).code == "source-missing"


def test_features_that_are_no_json_are_an_error(tmp_path: Path) -> None:
    table = image_table(IMAGES, LABELS).replace_schema_metadata({"huggingface": "{"})
    write_images(tmp_path / "x.parquet", table)
    assert "the names of its labels" in refused(images_of(tmp_path)).message
    for strange in (
        [],
        {"info": 3},
        {"info": {"features": {"label": {"_type": "ClassLabel", "names": [1]}}}},
    ):
        write_images(
            tmp_path / "x.parquet", table.replace_schema_metadata({"huggingface": json.dumps(strange)})
        )
        assert scan(images_of(tmp_path)).statements[0] == ("x/1", "0", 1.0)
