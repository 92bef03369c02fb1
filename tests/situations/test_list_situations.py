"""What becomes of lists of labels, whole, odd and damaged: each is a row of the table in the documentation."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.support.situation_world import Outcome, World

Seen = Callable[[str], None]
SCORED = ", columns: {confidence: sure}, min_confidence: 0.8"


def xlsx() -> bytes:
    """The beginning of what a spreadsheet saves: a zip with its parts."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return stream.getvalue()


GOOD = "image,labels\na.jpg,dog\nb.jpg,cat\n"


@pytest.mark.parametrize(
    ("situation", "data"),
    [
        ("a CSV that begins with a byte order mark", b"\xef\xbb\xbf" + GOOD.encode()),
        ("a CSV with the line ends of Windows", GOOD.replace("\n", "\r\n").encode()),
        ("a CSV with blank lines", GOOD.replace("\n", "\n\n").encode()),
        ("a CSV in UTF-16", GOOD.encode("utf-16")),
        ("a CSV packed with gzip under its own name", gzip.compress(GOOD.encode(), mtime=0)),
        ("a spreadsheet named .csv", xlsx()),
        ("a page that says 404, named .csv", b"<!DOCTYPE html><html><body>404</body></html>\n"),
        ("a CSV of 0 bytes", b""),
        ("a CSV with a header and no row", b"image,labels\n"),
        ("a CSV without the column of labels", b"image,tags\na.jpg,dog\n"),
    ],
)
def test_a_list_as_a_whole(situation: str, data: bytes, world: World, seen: Seen) -> None:
    outcome = world.table(data)
    if not outcome.error:
        assert (outcome.label("t/a.jpg"), outcome.label("t/b.jpg")) == ("dog present", "cat present")
    seen(outcome.error or "its rows are read")


@pytest.mark.parametrize(
    ("situation", "row", "code"),
    [
        ("a zero byte in a row", b"c.jpg,ca\0t", "zero-byte"),
        ("a row that is not UTF-8", b"c.jpg,caf\xe9", "not-utf-8"),
        ("a row with a field too many", b"c.jpg,cat,dog", "malformed-row"),
        ("a quote that is never closed", b'c.jpg,"cat', "malformed-row"),
        ("a row without an image", b",cat", "row-without-image"),
        ("a row whose image has a path of 5,000 bytes", b"c" * 4996 + b".jpg,cat", "text-too-long"),
        ("a row with a label of 600 bytes", b"c.jpg," + b"c" * 600, "text-too-long"),
    ],
)
def test_a_row_costs_itself_and_not_the_rest(
    situation: str, row: bytes, code: str, world: World, seen: Seen
) -> None:
    outcome = world.table(GOOD.encode() + row + b"\nd.jpg,dog\n")
    assert outcome.label("t/a.jpg") == outcome.label("t/d.jpg") == "dog present"
    seen(outcome.note(code))


@pytest.mark.parametrize(
    ("situation", "cell"),
    [
        ("the confidence 1 (at least 0.8 is asked for)", "1"),
        ("the confidence 1.0", "1.0"),
        ("the confidence 0.99999999", "0.99999999"),
        ("the confidence 0.99999999999999999999", "0.99999999999999999999"),
        ("the confidence 0.8", "0.8"),
        ("the confidence 0.79999999", "0.79999999"),
        ("the confidence 1e-50", "1e-50"),
        ("the confidence 0", "0"),
        ("the confidence 1.00000001", "1.00000001"),
        ("the confidence nan", "nan"),
    ],
)
def test_a_confidence(situation: str, cell: str, world: World, seen: Seen) -> None:
    outcome = world.table(
        f"image,labels,sure\na.jpg,dog,{cell}\nb.jpg,cat,1\n", SCORED, "annotation: {unlabelled: keep}\n"
    )
    noted = outcome.notes.get("bad-confidence")
    seen(outcome.note("bad-confidence") if noted else _state(outcome))


def _state(outcome: Outcome) -> str:
    label = outcome.labels["t/a.jpg"]
    if not label:
        return "left out: below the confidence that is asked for"
    value = label["dog"]
    if abs(value) == 1:
        return f"a person says {'present' if value > 0 else 'absent'}"
    return f"a machine says present, {value:.9g}"


CLASSES = "/m/0bt9lr,Dog\n/m/01yrx,Cat\n"


@pytest.mark.parametrize(
    ("situation", "row"),
    [
        ("Open Images: a person's 1", "a,verification,/m/0bt9lr,1"),
        ("Open Images: a machine's 1", "a,machine,/m/0bt9lr,1"),
    ],
)
def test_who_says_it(situation: str, row: str, world: World, seen: Seen) -> None:
    outcome = _open_images(world, row)
    value = outcome.labels["t/a"]["dog"]
    seen("a person says present" if value == 1 else f"a machine says present, {value:.9g}")


def _open_images(world: World, *rows: str) -> Outcome:
    for number, name in enumerate("ab"):
        world.image(f"img/{name}.jpg", number)
    labels = "\n".join(["ImageID,Source,LabelName,Confidence", *rows, "b,verification,/m/01yrx,1"]) + "\n"
    files = {"labels.csv": labels, "classes.csv": CLASSES}
    source = "t: {type: open_images, images: img, labels: labels.csv, classes: classes.csv}"
    return world.run(source, "annotation: {unlabelled: keep}\n", files)


def test_a_machine_s_nothing(world: World, seen: Seen) -> None:
    """Open Images: a machine's 0"""
    outcome = _open_images(world, "a,machine,/m/0bt9lr,0")
    assert outcome.label("t/a") == "no label"
    seen(outcome.note("machine-absence"))


def test_a_row_twice(world: World, seen: Seen) -> None:
    """the same row twice"""
    outcome = world.table(GOOD + "a.jpg,dog\n")
    seen(f"one image, {outcome.label('t/a.jpg')}")


@pytest.mark.parametrize(
    ("situation", "path"),
    [
        ("a.jpg, and again as ./a.jpg with another label", "./a.jpg"),
        ("a.jpg, and again as sub/../a.jpg", "sub/../a.jpg"),
        ("a.jpg, and again by its absolute path", "{root}/img/a.jpg"),
    ],
)
def test_spellings_of_one_path(situation: str, path: str, world: World, seen: Seen) -> None:
    spelled = path.replace("{root}", str(world.root))
    outcome = world.table(f"image,labels\na.jpg,dog\n{spelled},cat\nb.jpg,dog\n")
    assert set(outcome.status.values()) == {"ok"}
    assert set(outcome.status) == {"t/a.jpg", "t/b.jpg"}
    seen(f"one image: {outcome.label('t/a.jpg')}")


def test_a_path_that_leaves_the_folder(world: World, seen: Seen) -> None:
    """a path that leaves the folder of images"""
    world.image("c.jpg", 5)
    outcome = world.table("image,labels\na.jpg,dog\n../c.jpg,cat\nb.jpg,dog\n")
    seen(f"`{outcome.status['t/../c.jpg']}`: {outcome.reasons['t/../c.jpg']}")


def test_a_path_by_another_case(world: World, seen: Seen) -> None:
    """a path with capitals that the file has not"""
    outcome = world.table("image,labels\na.jpg,dog\nB.JPG,cat\nc.jpg,dog\n")
    seen(f"`{outcome.status['t/B.JPG']}`: {outcome.reasons['t/B.JPG']}")


def test_ids_that_join_nothing(world: World, seen: Seen) -> None:
    """ids in capitals that no file has"""
    world.image("img/a.jpg")
    files = {
        "labels.csv": "ImageID,Source,LabelName,Confidence\nA,verification,/m/0bt9lr,1\n",
        "classes.csv": CLASSES,
    }
    source = "t: {type: open_images, images: img, labels: labels.csv, classes: classes.csv}"
    seen(world.run(source, files=files).error)


def test_a_null_in_parquet(world: World, seen: Seen) -> None:
    """a null in a Parquet column of labels"""
    for number, name in enumerate("ab"):
        world.image(f"img/{name}.jpg", number)
    labels = pa.array([["dog"], None], pa.list_(pa.string()))
    parquet.write_table(pa.table({"image": ["a.jpg", "b.jpg"], "labels": labels}), world.root / "t.parquet")
    outcome = world.run("t: {type: table, table: t.parquet, images: img}", "annotation: {unlabelled: keep}\n")
    assert outcome.label("t/a.jpg") == "dog present"
    seen(f"an empty cell: {outcome.label('t/b.jpg')}")


def test_a_list_that_is_not_there(world: World, seen: Seen) -> None:
    """a list that is not there"""
    world.image("img/a.jpg")
    seen(world.run("t: {type: table, table: gone.csv, images: img}").error)
