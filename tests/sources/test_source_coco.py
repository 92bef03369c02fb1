"""COCO's JSON: what annotations, their lack, crowds, LVIS's lists and several files say about whole images."""

from __future__ import annotations

import contextlib
import io
import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from mlimg_build.errors import SourceError, TransientError
from mlimg_build.sources import Category, Notes, place_of, written_place
from mlimg_build.sources.coco import absences, json_rows, listed_images, statements
from tests.support.coco_world import CATEGORIES, annotation, coco, document, drawn, image, written
from tests.support.source_world import Scanned, categories, scan, write

ONE, TWO, THREE = (f"{number:012}.jpg" for number in (1, 2, 3))


def said(found: Scanned) -> set[tuple[str, str, float]]:
    return set(found.statements)


def places(found: Scanned, file: str = "c.json") -> list[str]:
    return [written_place(file, place_of(label["record"])[1]) for label in found.labels]


def test_an_annotation_says_that_its_category_is_there_and_none_says_nothing(tmp_path: Path) -> None:
    said_of_one = [annotation(5, 1, 18), annotation(6, 1, 17, iscrowd=1), annotation(7, 2, 17)]
    found = scan(coco(written(tmp_path / "c.json", document([image(1), image(2), image(3)], said_of_one))))
    assert found.statements == [(ONE, "18", 1.0), (ONE, "17", 1.0), (TWO, "17", 1.0)]
    assert places(found) == [f"c.json: annotations[{i}]" for i in range(3)]
    assert found.names == [ONE, TWO, THREE]
    assert not found.counts


def test_categories_are_those_of_the_file_by_number_with_what_they_are_below(tmp_path: Path) -> None:
    source = coco(written(tmp_path / "c.json", document([image(1)], [annotation(1, 1, 17)])))
    assert categories(source) == [
        Category("1", "person", group="person"),
        Category("17", "cat", group="animal"),
        Category("18", "dog", group="animal"),
    ]


def test_opening_reads_nothing(tmp_path: Path) -> None:
    source = coco(tmp_path / "none.json", images=tmp_path / "gone")
    assert (source.root, source.lists, source.complete) == (
        tmp_path / "gone",
        (tmp_path / "none.json",),
        False,
    )


@pytest.mark.parametrize("order", [*permutations(("images", "annotations", "categories", "licenses"))])
def test_the_order_of_the_lists_makes_no_difference(tmp_path: Path, order: tuple[str, ...]) -> None:
    whole = document([image(1, license=1), image(2)], [annotation(5, 1, 18), annotation(6, 2, 17)])
    found = scan(coco(written(tmp_path / "c.json", {name: whole[name] for name in order}), exhaustive=True))
    assert said(found) == {
        *((ONE, "18", 1.0), (TWO, "17", 1.0), (ONE, "17", 0.0), (ONE, "1", 0.0)),
        *((TWO, "18", 0.0), (TWO, "1", 0.0)),
    }
    assert found.image(ONE)["licence"] == "http://creativecommons.org/licenses/by/2.0/"
    assert not found.counts


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_where_the_file_is_cut_into_chunks_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("mlimg_build.sources.coco.json_events.CHUNK", chunk)
    monkeypatch.setattr("mlimg_build.sources.coco.json_events._chunks.__defaults__", (chunk,))
    path = written(tmp_path / "c.json", json.dumps(drawn(10, 40), indent=1))
    assert said(scan(coco(path))) == of_pycocotools(path)


def of_pycocotools(path: Path, exhaustive: bool = False) -> set[tuple[str, str, float]]:
    """(image, category, 1 or 0) as COCO's own API has it."""
    api = pytest.importorskip("pycocotools.coco")
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = api.COCO(str(path))
    found = set()
    for number in loaded.getImgIds():
        name = loaded.loadImgs(number)[0]["file_name"]
        there = {one["category_id"] for one in loaded.loadAnns(loaded.getAnnIds(imgIds=number))}
        for key in loaded.getCatIds():
            if key in there or exhaustive:
                found.add((name, str(key), float(key in there)))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_labels_are_those_of_cocos_own_api(tmp_path: Path, seed: int) -> None:
    path = written(tmp_path / "c.json", drawn(200, 900, seed))
    found = scan(coco(path))
    assert said(found) == of_pycocotools(path)
    assert len(found.images) == 200
    assert not found.counts
    assert said(scan(coco(path, exhaustive=True))) == of_pycocotools(path, exhaustive=True)


def test_what_an_exhaustive_file_denies_has_the_place_of_its_image(tmp_path: Path) -> None:
    path = written(tmp_path / "c.json", document([image(2), image(1)], [annotation(5, 1, 18)]))
    found = scan(coco(path, exhaustive=True))
    absent = {
        (label["name"], label["category"]): place
        for label, place in zip(found.labels, places(found), strict=True)
        if label["state"] < 0
    }
    assert absent == {
        **{(TWO, key): "c.json: images[0]" for key in ("1", "17", "18")},
        **{(ONE, key): "c.json: images[1]" for key in ("1", "17")},
    }


def test_more_images_than_marks_are_held_for_are_denied_by_reading_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "c.json", drawn(50, 200))
    monkeypatch.setattr(absences, "MOST", 3 * 8)  # 20 categories: 8 images at a time
    monkeypatch.setattr(absences, "ROWS", 50)
    found = scan(coco(path, exhaustive=True))
    assert said(found) == of_pycocotools(path, exhaustive=True)
    assert len(found.statements) == 200 + sum(
        not value for *_, value in of_pycocotools(path, exhaustive=True)
    )


def test_two_exhaustive_files_deny_what_neither_has(tmp_path: Path) -> None:
    things = written(
        tmp_path / "things.json", document([image(1), image(2)], [annotation(1, 1, 17)], CATEGORIES[:2])
    )
    stuff = [CATEGORIES[1], {"id": 99, "name": "grass"}]
    more = written(tmp_path / "stuff.json", document([image(1)], [annotation(1, 1, 18)], stuff))
    found = scan(coco(things, more, exhaustive=True))
    assert said(found) == {
        *((ONE, "17", 1.0), (ONE, "18", 1.0), (ONE, "99", 0.0)),
        *((TWO, "17", 0.0), (TWO, "18", 0.0)),  # the second file does not list the image
    }
    assert {place_of(label["record"])[0] for label in found.labels if label["category"] == "99"} == {1}


LVIS = [
    {
        "id": 1,
        "name": "bath_towel",
        "synset": "bath_towel.n.01",
        "frequency": "f",
        "synonyms": ["bath_towel"],
    },
    {"id": 2, "name": "tench", "synset": "tench.n.01", "frequency": "r"},
    {"id": 3, "name": "thing", "synset": "thing_that_is_none.n.01", "frequency": "c"},
]


def lvis_image(number: int, **more: Any) -> dict[str, Any]:
    url = f"http://images.cocodataset.org/train2017/{number:012}.jpg"
    return {"id": number, "coco_url": url, "neg_category_ids": [], "not_exhaustive_category_ids": [], **more}


def test_lvis_says_what_is_verified_absent_and_what_is_there_but_not_wholly_marked(tmp_path: Path) -> None:
    images = [
        lvis_image(1, neg_category_ids=[2], not_exhaustive_category_ids=[1]),
        lvis_image(2, neg_category_ids=[1, 2]),
    ]
    path = written(tmp_path / "c.json", document(images, [annotation(1, 1, 1)], LVIS))
    one, two = f"train2017/{ONE}", f"train2017/{TWO}"
    assert said(scan(coco(path))) == {(one, "1", 1.0), (one, "2", 0.0), (two, "1", 0.0), (two, "2", 0.0)}
    found = scan(coco(written(path, document(images[:1], [], LVIS)), exhaustive=True))
    assert said(found) == {(one, "1", 1.0), (one, "2", 0.0), (one, "3", 0.0)}
    assert categories(coco(path))[:2] == [
        Category("1", "bath_towel", synset="bath_towel.n.01"),
        Category("2", "tench", synset="tench.n.01"),
    ]


def test_without_a_folder_an_image_is_a_url_of_the_same_name(tmp_path: Path) -> None:
    images = [
        image(1, coco_url="http://images.cocodataset.org/val2017/1.jpg", flickr_url="http://f.example/a.jpg"),
        image(2, coco_url="", flickr_url="http://f.example/b.jpg"),
        image(3, coco_url=None, file_name="https://x.example/c.jpg"),
        image(4, coco_url="gs://bucket/d.jpg"),
        lvis_image(5),
    ]
    found = scan(coco(written(tmp_path / "c.json", document(images, [annotation(1, 1, 17)]))))
    assert [(one["name"], one["path"], one["status"]) for one in found.images] == [
        (ONE, "http://images.cocodataset.org/val2017/1.jpg", "not_fetched"),
        (TWO, "http://f.example/b.jpg", "not_fetched"),
        ("https://x.example/c.jpg", "https://x.example/c.jpg", "not_fetched"),
        ("000000000004.jpg", "000000000004.jpg", "missing"),
        (
            "train2017/000000000005.jpg",
            "http://images.cocodataset.org/train2017/000000000005.jpg",
            "not_fetched",
        ),
    ]
    assert said(found) == {(ONE, "17", 1.0)}


def test_with_a_folder_files_are_looked_up_and_what_is_not_there_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "images/a/1.jpg", "12345")
    url = "http://images.cocodataset.org/val2017/2.jpg"
    names = ["./a/1.jpg", "a\\1.jpg", "2.jpg", "../c.json", str(tmp_path / "images/a/1.jpg")]
    images = [image(number, file_name=name, coco_url=url) for number, name in enumerate(names, 1)]
    path = written(tmp_path / "c.json", document(images, [annotation(i, i, 17) for i in range(1, 6)]))
    found = scan(coco(path, images=tmp_path / "images"))
    assert [(one["name"], one["path"], one["size"], one["status"]) for one in found.images] == [
        ("a/1.jpg", "a/1.jpg", 5, ""),
        ("a/1.jpg", "a/1.jpg", 5, ""),
        ("2.jpg", "2.jpg", -1, "missing"),
        ("../c.json", "../c.json", -1, "outside"),
        ("a/1.jpg", "a/1.jpg", 5, ""),
    ]
    assert said(found) == {(name, "17", 1.0) for name in ("a/1.jpg", "2.jpg", "../c.json")}
    assert found.counts == {"other-spelling": 3}


@pytest.mark.parametrize("below", ["", "train2017"])
def test_an_image_of_lvis_is_found_below_the_folder_of_its_split_or_that_of_all(
    tmp_path: Path, below: str
) -> None:
    write(tmp_path / "coco/train2017" / ONE, "12345")
    path = written(tmp_path / "c.json", document([lvis_image(1), lvis_image(2)], [annotation(1, 1, 2)], LVIS))
    found = scan(coco(path, images=tmp_path / "coco" / below))
    assert [(one["name"], one["size"], one["status"]) for one in found.images] == [
        (f"train2017/{ONE}", 5, ""),
        (f"train2017/{TWO}", -1, "missing"),
    ]


def test_a_licence_is_its_url_or_its_name_and_else_that_of_the_source(tmp_path: Path) -> None:
    whole = document([image(i, license=i) for i in (1, 2, 3)] + [image(4)], [annotation(1, 1, 17)])
    whole["licenses"] += [
        {"id": 2, "name": "own", "url": ""},
        {"id": "x"},
        {"name": "none"},
        {"id": 1, "url": "y"},
    ]
    found = scan(coco(written(tmp_path / "c.json", whole), licence="CC0", author="me"))
    assert [(one["licence"], one["author"]) for one in found.images] == [
        ("http://creativecommons.org/licenses/by/2.0/", "me"),
        *(("own", "me"), ("CC0", "me"), ("CC0", "me")),
    ]
    assert found.notes.examples == {
        "unknown-licence": [
            "c.json: licenses[3] has no id",
            "c.json: licenses[4] has the id 1 of another: the first counts",
            f"c.json: image {THREE} has licence 3",
        ]
    }


def test_a_score_makes_an_annotation_a_machines(tmp_path: Path) -> None:
    scores = [0.25, 1, 0, 0.0, 1.5, "0.5", True, None]
    listed = [annotation(i, 1, 18, score=score) for i, score in enumerate(scores)]
    listed += [annotation(9, 1, 17, score=0), annotation(10, 1, 1, score="x")]
    found = scan(coco(written(tmp_path / "c.json", document([image(1)], listed)), exhaustive=True))
    assert found.statements == [(ONE, "18", 0.25), (ONE, "18", 0.9999999999999999), (ONE, "18", 1.0)]
    assert found.notes.examples == {
        "bad-confidence": [
            "c.json: annotations[4]: score is 1.5",
            "c.json: annotations[5]: score is '0.5'",
            "c.json: annotations[6]: score is True",
            "c.json: annotations[9]: score is 'x'",
        ],
        "machine-absence": ["c.json: annotations[2]"],
    }
    assert found.counts["machine-absence"] == 3


def test_ids_may_be_texts(tmp_path: Path) -> None:
    """As those of COCO Camera Traps; 17, 17.0 and "17" are one id."""
    images = [image(1, id="a/7"), image(2, id="é"), image(3, id="17")]
    listed = [annotation("x", "a/7", 18), annotation("y", "e\u0301", "17"), annotation("z", 17.0, 1.0)]
    found = scan(coco(written(tmp_path / "c.json", document(images, listed))))
    assert found.statements == [(ONE, "18", 1.0), (TWO, "17", 1.0), (THREE, "1", 1.0)]


IMAGES: list[tuple[Any, str, str]] = [
    (7, "malformed-entry", "images[1]: it is no object"),
    ([1], "malformed-entry", "images[1]: it is no object"),
    (image(2, id=True), "bad-id", "images[1]: id is True"),
    (image(2, id=1.5), "bad-id", "images[1]: id is 1.5"),
    (image(2, id=None), "bad-id", "images[1]: id is missing"),
    (image(2, id=[2]), "bad-id", "images[1]: id is a list or an object"),
    (image(2, id=" "), "bad-id", "images[1]: id is ' '"),
    (image(2, file_name=""), "row-without-image", "images[1]: file_name is ''"),
    (image(2, file_name=7), "row-without-image", "images[1]: file_name is 7"),
    (image(2, file_name="a\0.jpg"), "zero-byte", "images[1]: file_name"),
    (
        image(2, file_name="a" * 2000),
        "text-too-long",
        "images[1]: file_name has 2,000 bytes, and at most 1,024 are read",
    ),
    (image(1, file_name="x.jpg"), "image-id-twice", f"images[1]: x.jpg has the id of images[0], {ONE}"),
]


@pytest.mark.parametrize(
    ("entry", "code", "note"), IMAGES, ids=[f"{i}-{row[1]}" for i, row in enumerate(IMAGES)]
)
def test_an_image_that_is_none_costs_itself(tmp_path: Path, entry: Any, code: str, note: str) -> None:
    path = written(tmp_path / "c.json", document([image(1), entry, image(3)], [annotation(1, 3, 17)]))
    found = scan(coco(path, exhaustive=True))
    assert found.names == [ONE, THREE]
    assert found.notes.examples == {code: [f"c.json: {note}"]}
    assert said(found) == {
        *((THREE, "17", 1.0), (THREE, "18", 0.0), (THREE, "1", 0.0)),
        *((ONE, key, 0.0) for key in ("1", "17", "18")),
    }


def test_an_image_that_is_listed_twice_is_one(tmp_path: Path) -> None:
    images = [image(1), image(1, license=1), lvis_image(3, id=1, file_name=ONE, neg_category_ids=[18])]
    found = scan(coco(written(tmp_path / "c.json", document(images, [annotation(1, 1, 17)]))))
    assert found.names == [ONE, ONE, ONE]  # which the catalog puts together, and notes as several-rows
    assert said(found) == {(ONE, "17", 1.0), (ONE, "18", 0.0)}


ANNOTATIONS: list[tuple[Any, str, str]] = [
    (None, "malformed-entry", "it is no object"),
    ([annotation(1, 1, 17)], "malformed-entry", "it is no object"),
    (annotation(1, 4, 17), "unknown-image", "image_id 4 is none of `images`"),
    (annotation(1, 1, 4), "unknown-category", "category_id is 4"),
    (annotation(1, True, 17), "bad-id", "image_id is True"),
    (annotation(1, 1, False), "bad-id", "category_id is False"),
    (annotation(1, 1, 1.5), "bad-id", "category_id is 1.5"),
    (annotation(1, 1, None), "bad-id", "category_id is None"),
    (annotation(1, 1, {"id": 17}), "bad-id", "category_id is a list or an object"),
    (annotation(1, None, 17), "bad-id", "image_id is None"),
    (annotation(1, 1, "cat"), "unknown-category", "category_id is cat"),
]


@pytest.mark.parametrize(
    ("entry", "code", "note"), ANNOTATIONS, ids=[f"{i}-{row[1]}" for i, row in enumerate(ANNOTATIONS)]
)
def test_an_annotation_that_is_none_costs_itself(tmp_path: Path, entry: Any, code: str, note: str) -> None:
    listed = [annotation(0, 1, 17), entry, annotation(2, 1, 18)]
    found = scan(coco(written(tmp_path / "c.json", document([image(1)], listed))))
    assert found.statements == [(ONE, "17", 1.0), (ONE, "18", 1.0)]
    assert places(found) == ["c.json: annotations[0]", "c.json: annotations[2]"]
    assert found.notes.examples == {code: [f"c.json: annotations[1]: {note}"]}


def test_a_key_that_an_entry_has_twice_costs_the_entry(tmp_path: Path) -> None:
    text = json.dumps(document([image(1)], [annotation(0, 1, 17), annotation(1, 1, 18)]))
    text = text.replace('"category_id": 18', '"category_id": 18, "category_id": 1')
    found = scan(coco(written(tmp_path / "c.json", text)))
    assert found.statements == [(ONE, "17", 1.0)]
    assert found.notes.examples == {"malformed-entry": ["c.json: annotations[1]: it has `category_id` twice"]}


def test_a_box_without_size_is_noted_and_its_category_present(tmp_path: Path) -> None:
    listed = [annotation(0, 1, 17, bbox=[1, 2, 0, 4]), annotation(1, 1, 18, bbox=[1, 2, 3])]
    found = scan(coco(written(tmp_path / "c.json", document([image(1)], listed))))
    assert found.statements == [(ONE, "17", 1.0), (ONE, "18", 1.0)]
    assert found.notes.examples == {"box-without-size": ["c.json: annotations[0]: bbox is [1, 2, 0, 4]"]}


def test_damage_in_the_lists_of_lvis_costs_the_id_or_the_list(tmp_path: Path) -> None:
    images = [
        image(1, neg_category_ids=[17, 4, True, [18], 18], not_exhaustive_category_ids=1),
        image(2, neg_category_ids=[18] * (json_rows.LISTED + 9)),
    ]
    found = scan(coco(written(tmp_path / "c.json", document(images, []))))
    assert said(found) == {(ONE, "17", 0.0), (ONE, "18", 0.0), (TWO, "18", 0.0)}
    assert found.notes.examples == {
        "unknown-category": ["c.json: images[0]: neg_category_ids is 4"],
        "bad-id": [
            "c.json: images[0]: neg_category_ids is True",
            "c.json: images[0]: neg_category_ids is a list or an object",
        ],
        "malformed-entry": ["c.json: images[0]: not_exhaustive_category_ids is no list"],
        "text-too-long": [
            "c.json: images[1]: neg_category_ids has more than 65,536 ids, of which these are read"
        ],
    }


def test_a_file_of_keypoints_is_read_as_one_of_persons_and_noted(tmp_path: Path) -> None:
    person = [{"id": 1, "name": "person", "keypoints": ["nose", "left_eye"], "skeleton": [[1, 2]]}]
    whole = document([image(1)], [annotation(1, 1, 1, keypoints=[1, 2, 2, 3, 4, 1], num_keypoints=2)], person)
    found = scan(coco(written(tmp_path / "person_keypoints.json", whole)))
    assert found.statements == [(ONE, "1", 1.0)]
    assert found.notes.examples == {"keypoints": ["person_keypoints.json"]}


def test_one_id_with_two_names_is_an_error_that_names_both(tmp_path: Path) -> None:
    one = written(tmp_path / "one.json", document([image(1)], []))
    two = written(tmp_path / "two.json", document([image(1)], [], [{"id": 17, "name": "horse"}]))
    with pytest.raises(SourceError, match=r"category 17 is 'horse', and 'cat' in .*one\.json") as error:
        categories(coco(one, two))
    assert error.value.code == "coco-category"
    twice = [*CATEGORIES, {"id": "17", "name": "horse"}, {"id": 18, "name": "dog"}]
    with pytest.raises(
        SourceError, match=r"categories\[3\] is 17, 'horse', and categories\[0\] is 17, 'cat'"
    ):
        categories(coco(written(one, document([image(1)], [], twice))))


@pytest.mark.parametrize(
    ("category", "says"),
    [
        (7, r"categories\[0\] is no object"),
        ({"name": "cat"}, r"categories\[0\] has no id: it is None"),
        ({"id": True, "name": "cat"}, r"categories\[0\] has no id: it is True"),
        ({"id": 1}, r"categories\[0\] has no name that can be read: it is None"),
        ({"id": 1, "name": "c\0t"}, r"categories\[0\] has no name that can be read"),
        ({"id": 1, "name": "c" * 999}, r"categories\[0\] has no name that can be read"),
    ],
)
def test_a_category_that_is_none_is_an_error(tmp_path: Path, category: Any, says: str) -> None:
    path = written(tmp_path / "c.json", document([image(1)], [], [category]))
    with pytest.raises(SourceError, match=says) as error:
        categories(coco(path))
    assert error.value.code == "coco-category"


def test_a_file_that_changes_between_its_two_readings_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path / "c.json", document([image(1)], [annotation(1, 1, 17)]))
    source = coco(path)
    assert len(categories(source)) == 3
    written(path, document([image(2)], [annotation(1, 2, 17)], CATEGORIES[:1]))
    assert (len(categories(source)), said(scan(source))) == (1, {(TWO, "17", 1.0)})


def test_a_file_that_changes_while_it_is_read_is_no_fact_about_it(tmp_path: Path) -> None:
    path = written(tmp_path / "c.json", document([image(1)], [annotation(1, 1, 17)]))
    (known,) = coco(path)._documents()
    written(path, document([image(1), image(2)], [annotation(1, 1, 17)]))
    with pytest.raises(TransientError):
        list(statements.StatementReader(known, 0, "the annotations", Notes()).parts())


def test_names_are_packed_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed_images, "HELD", 3)
    monkeypatch.setattr(statements, "ROWS", 5)
    path = written(tmp_path / "c.json", drawn(40, 100))
    assert said(scan(coco(path))) == of_pycocotools(path)
