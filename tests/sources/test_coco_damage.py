"""A JSON that is none, or another one than COCO's instances, is one error with the byte and what to do."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from mlimg_build.errors import SourceError
from mlimg_build.sources import Notes
from mlimg_build.sources.coco import json_events as json_events_module
from mlimg_build.sources.coco.json_events import json_events
from tests.support.coco_world import CATEGORIES, annotation, coco, document, image, written
from tests.support.source_world import scan

GOOD = json.dumps(document([image(1)], [annotation(i, 1, 17) for i in range(40)])).encode()
AT = GOOD.index(b'"annotations"')


def refused(path: Path, whole: Any) -> tuple[str, str, str]:
    """The code, the message and the hint with which a file is refused."""
    with pytest.raises(SourceError) as error:
        scan(coco(written(path, whole)))
    (problem,) = error.value.problems
    return problem.code, problem.message, problem.hint


@pytest.mark.parametrize(
    ("data", "says", "hint"),
    [
        (
            GOOD[: len(GOOD) // 2],
            f"it ends in the middle, at byte {len(GOOD) // 2:,}",
            "download that broke off",
        ),
        (GOOD[:-1], f"it ends in the middle, at byte {len(GOOD) - 1:,}", "download that broke off"),
        (GOOD[:AT] + b"\0" * 99, f"it is no JSON at byte {AT:,}, '\\x00\\x00", "zero bytes"),
        (
            GOOD.replace(b"23.4", b"NaN", 1),
            f"at byte {GOOD.index(b'23.4'):,}, 'NaN",
            "has no NaN, Infinity",
        ),
        (GOOD.replace(b"23.4", b"-Infinity", 1), f"at byte {GOOD.index(b'23.4') + 1:,}, 'Inf", "has no NaN"),
        (GOOD.replace(b"23.4", b"9" * 30, 1), "overflow", "read as 64 bits"),
        (GOOD.replace(b"23.4", b"1e999", 1), "overflow", "read as 64 bits"),
        (GOOD + b"]", f"at byte {len(GOOD):,}, ']': parse error: trailing garbage", "get the file again"),
        (GOOD + GOOD, f"at byte {len(GOOD):,}, '{{\"info", "get the file again"),
        (GOOD.replace(b"COCO", b"CO\xff\xfe", 1), f"at byte {GOOD.index(b'COCO') + 2:,}", "UTF-8"),
        (b"image,labels\na.jpg,dog\n", "it is no JSON at byte 0", "get the file again"),
        (b"", "is empty", "broke off"),
        (b" \n", "it ends in the middle, at byte 2", "broke off"),
        (GOOD.decode().encode("utf-16"), "it is text in UTF-16", "iconv"),
        (gzip.compress(GOOD), "it is compressed by gzip", "unpack it"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value[:30],
)
def test_damage_is_told_with_its_byte(tmp_path: Path, data: bytes, says: str, hint: str) -> None:
    code, message, told = refused(tmp_path / "c.json", data)
    assert code in ("list-unreadable", "list-empty")
    assert says in message
    assert hint in told


def test_a_byte_order_mark_is_no_damage_and_counts_among_the_bytes(tmp_path: Path) -> None:
    assert len(scan(coco(written(tmp_path / "c.json", b"\xef\xbb\xbf" + GOOD))).labels) == 40
    assert f"at byte {len(GOOD) + 3:,}" in refused(tmp_path / "c.json", b"\xef\xbb\xbf" + GOOD + b"]")[1]


def test_damage_far_behind_has_its_byte_too(tmp_path: Path) -> None:
    listed = [annotation(i, 1, 17) for i in range(2000)]
    data = json.dumps(document([image(1)], listed)).encode()
    at = data.rindex(b'"image_id"')
    assert at > 200_000
    assert f"at byte {at:,}, '#image_id" in refused(tmp_path / "c.json", data[:at] + b"#" + data[at + 1 :])[1]


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("inside", [b'{"info": ', b'{"annotations": [{"segmentation": '], ids=["top", "row"])
def test_a_million_levels_are_one_error(tmp_path: Path, opening: bytes, inside: bytes) -> None:
    code, message, _ = refused(tmp_path / "c.json", inside + opening * 1_000_000)
    assert code == "list-unreadable"
    levels = inside.count(b"{") + inside.count(b"[")
    at = len(inside) + (64 - levels) * len(opening)
    assert f"more than 64 deep in each other at byte {at:,}:" in message


def test_only_the_part_with_too_many_levels_is_parsed_byte_by_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []

    class Counted:
        def __init__(self, parser: Any) -> None:
            self.parser, self.close = parser, parser.close

        def send(self, data: bytes) -> None:
            sent.append(len(data))
            self.parser.send(data)

    def counted() -> tuple[Any, Any]:
        events, parser = made()
        return events, Counted(parser)

    made = json_events_module._parser
    monkeypatch.setattr(json_events_module, "_parser", counted)
    before = b'{"info": [' + b"1," * 300_000
    _, message, _ = refused(tmp_path / "c.json", before + b"[" * 80)
    assert f"at byte {len(before) + 62:,}:" in message
    assert sent.count(1) <= json_events_module.CHUNK


@pytest.mark.parametrize("filler", [b'"' + b"x" * 9, b'"' + b" " * 9, b"1" * 9, b" " * 9])
def test_a_text_without_an_end_is_one_error_in_bounded_memory(tmp_path: Path, filler: bytes) -> None:
    path = tmp_path / "c.json"
    with path.open("wb") as stream:
        stream.write(b'{"info": ' + filler)
        for _ in range(64):
            stream.write(filler[-1:] * (1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match="before byte 65,536 go on for more than 4,194,304 bytes"):
            scan(coco(path))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("whole", "says", "hint"),
    [
        (
            [annotation(1, 1, 17, score=0.5)],
            "it is a list, such as the results of a detector",
            "name the file of `images`",
        ),
        (7, "it is one value: 7", "expected COCO's instances"),
        ({}, "it has no `images` and no `annotations` and no `categories`", "expected COCO's instances"),
        ({"type": "FeatureCollection", "features": []}, "it has no `images`", "expected COCO's instances"),
        (
            {"images": [image(1)], "annotations": [{"image_id": 1, "id": 1, "caption": "a cat"}]},
            "it has no `categories`, as a file of captions",
            "give the instances",
        ),
        (
            document([image(1)], [{"image_id": 1, "id": 1, "caption": "a cat"}]),
            "its annotations have a `caption` and no category",
            "give the instances",
        ),
        (
            document(
                [image(1)], [{"image_id": 1, "file_name": "1.png", "segments_info": [{"category_id": 1}]}]
            ),
            "`segments_info`, as those of a panoptic file",
            "give the instances",
        ),
        ({"images": [image(1)], "categories": CATEGORIES}, "it has no `annotations`", "test set"),
        (
            {**document([], []), "images": {"1": image(1)}},
            "`images` is an object and no list",
            "expected COCO's",
        ),
        ({**document([], []), "annotations": None}, "`annotations` is one value: None", "expected COCO's"),
        (document([], []), "its `images` name none", "expected COCO's"),
        (document([image(1)], [], []), "its `categories` name none", "expected COCO's"),
        (
            '{"images": [], "annotations": [], "images": []}',
            "`images` is there twice",
            "put the two lists together",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_another_json_is_told_from_cocos_instances(tmp_path: Path, whole: Any, says: str, hint: str) -> None:
    code, message, told = refused(tmp_path / "c.json", whole)
    assert code == "coco-shape"
    assert says in message
    assert hint in told


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for name, says in (
        ("pipe.json", "is not a file"),
        ("gone.json", "does not exist"),
        ("", "is not a file"),
    ):
        with pytest.raises(SourceError, match=says):
            list(coco(tmp_path / name).scan(Notes()))
    with pytest.raises(SourceError, match="image folder"):
        list(coco(written(tmp_path / "c.json", GOOD), images=tmp_path / "none").scan(Notes()))


def test_a_disk_that_fails_in_the_middle_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "c.json", GOOD)

    def broken(path: Path, size: int = 0) -> Any:
        yield 0, GOOD[:99]
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("mlimg_build.sources.coco.json_events._chunks", broken)
    with pytest.raises(SourceError, match="Input/output error"):
        list(json_events(path, "the annotations"))


def test_licences_without_an_id_are_counted_and_not_kept(tmp_path: Path) -> None:
    whole = document([image(1)], [annotation(1, 1, 17)]) | {"licenses": [1] * 30_000}
    source = coco(written(tmp_path / "c.json", whole))
    tracemalloc.start()
    try:
        found = scan(source)
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()
    assert found.counts["unknown-licence"] == 30_000
    assert found.notes.examples["unknown-licence"][0] == "c.json: licenses[0] has no id"
