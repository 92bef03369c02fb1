"""Tars of samples are read as the webdataset library reads them, and whatever is odd is said."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.errors import SourceError, TransientError
from mlimg_build.sources import SOURCES, ImageReader, Notes, place_of
from mlimg_build.sources.webdataset.sample_keys import SeenKeys, split_key
from mlimg_build.spec import parse_spec
from tests.support.source_world import Scanned, scan, write, write_tar

JPEG = b"\xff\xd8\xff\xe0 not decoded here "


def source_of(root: Path, text: str) -> Any:
    """The source that one line of a spec describes, its paths below `root`."""
    head = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  s: "
    part = parse_spec(f"{head}{{type: webdataset, {text}}}\n", "x.yaml", root, {}).spec.sources["s"]
    return SOURCES["webdataset"]("s", part)


def scanned(root: Path, text: str = 'tars: "*.tar"') -> Scanned:
    return scan(source_of(root, text))


def described(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_images_are_located_in_place_and_labels_are_read(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"x/1.jpg": JPEG, "x/1.cls": b"7\n", "2.PNG": JPEG * 2, "2.cls": b"3"})
    made = scanned(tmp_path)
    assert sorted(made.statements) == [("2", "3", 1.0), ("x/1", "7", 1.0)]
    assert [place_of(label["record"]) for label in made.labels] == [(0, 1), (0, 2)]
    with ImageReader(tmp_path) as reader:
        found = {one["name"]: reader.read(one["path"], one["offset"], one["size"]) for one in made.images}
    assert found == {"x/1": JPEG, "2": JPEG * 2}
    assert made.counts == {}


def test_what_the_library_writes_is_what_it_reads(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="the format's own library writes the tars")
    from webdataset.tariterators import group_by_keys, tar_file_expander

    with webdataset.ShardWriter(str(tmp_path / "train-%06d.tar"), maxcount=4, verbose=0) as writer:
        for i in range(10):
            meta = {"label": i, "names": ["dog", "cat"][: i % 3], "score": 0.5}
            writer.write({"__key__": f"a.b/{i:03}", "jpg": JPEG + b"%d" % i, "cls": i % 5, "json": meta})
    made = scanned(tmp_path, 'tars: "train-{000000..000002}.tar"')
    theirs: list[dict[str, Any]] = []
    for path in sorted(tmp_path.glob("*.tar")):
        with path.open("rb") as stream:
            theirs += group_by_keys(tar_file_expander([{"url": str(path), "stream": stream}]))
    assert made.names == [one["__key__"] for one in theirs]
    assert made.statements == [(one["__key__"], one["cls"].decode(), 1.0) for one in theirs]
    with ImageReader(tmp_path) as reader:
        assert [reader.read(one["path"], one["offset"], one["size"]) for one in made.images] == [
            one["jpg"] for one in theirs
        ]
    named = scanned(tmp_path, 'tars: "*.tar", fields: {labels: names, confidence: score}')
    assert len(named.statements) == sum(i % 3 for i in range(10))
    assert {confidence for _, _, confidence in named.statements} == {0.5}


@given(st.lists(st.sampled_from(["a", "b", ".", "/", "jpg", "é"]), min_size=1, max_size=8).map("".join))
@settings(deadline=None)  # the first of them loads the library
def test_keys_are_those_of_the_library(name: str) -> None:
    tariterators = pytest.importorskip("webdataset.tariterators", reason="the rule is that of the library")
    key, extension = tariterators.base_plus_ext(name)
    nameless = not key or key.endswith("/")  # a/.jpg, which nobody means
    expected = None if nameless or not extension else (key, extension.lower())
    assert split_key(name) == expected


def test_the_name_of_a_repeated_key_is_no_other_images_name(tmp_path: Path) -> None:
    def sample(key: str, label: str) -> dict[str, bytes]:
        return {f"{key}.jpg": JPEG, f"{key}.cls": label.encode()}

    write_tar(tmp_path / "1.tar", sample("2/a", "0") | sample("a", "1"))
    write_tar(tmp_path / "2.tar", sample("2/a", "2") | sample("a", "3"))
    write_tar(tmp_path / "3.tar", sample("2/2/a", "4"))
    made = scanned(tmp_path)
    assert made.names == ["2/a", "a", "2/2/a", "2/2/2/a", "3/2/2/a"]
    assert [label for _, label, _ in made.statements] == list("01234")
    assert [name for name, _, _ in made.statements] == made.names
    assert made.counts == {"key-in-two-tars": 3}


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("dog", ["dog"]),
        (7, ["7"]),
        (["dog", " cat ", 3, ""], ["3", "cat", "dog"]),
        ("n02084071", ["n02084071"]),
        (None, []),
        ([], []),
    ],
)
def test_a_field_is_a_text_a_number_or_a_list(tmp_path: Path, value: Any, labels: list[str]) -> None:
    write_tar(tmp_path / "a.tar", {"1.jpg": JPEG, "1.json": described(label=value)})
    made = scanned(tmp_path, 'tars: "*.tar", fields: {labels: label}')
    assert sorted(label for _, label, _ in made.statements) == labels
    assert made.counts == ({} if labels else {"image-without-label": 1})


def test_a_dot_leads_into_objects_and_through_lists(tmp_path: Path) -> None:
    meta = described(
        present=[{"id": "dog", "p": 1}, {"id": "cat", "p": 0.25}, {"p": 1}],
        absent={"ids": ["sea"]},
        rights={"licence": "CC0", "author": ["a", "b"]},
    )
    write_tar(tmp_path / "a.tar", {"1.jpg": JPEG, "1.json": meta})
    fields = "labels: present.id, confidence: present.p, absent: absent.ids"
    made = scanned(
        tmp_path,
        f'tars: "*.tar", licence: mine, fields: {{{fields}, licence: rights.licence, author: rights.author}}',
    )
    assert sorted(made.statements) == [("1", "cat", 0.25), ("1", "dog", 1.0), ("1", "sea", 0.0)]
    assert (made.images[0]["licence"], made.images[0]["author"]) == ("CC0", "a, b")
    assert made.counts == {"bad-label": 1}
    assert made.notes.examples["bad-label"] == ["a.tar:1.json: an entry without the field"]


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b'{"label": "dog"', "bad-json", "it is no JSON"),
        (b'["dog"]', "bad-json", "a list and no object"),
        (b"\xff\xfe{}", "bad-json", "not UTF-8"),
        (b'{"label": ' + b"[" * 100_000, "bad-json", "nested too deeply"),
        (b'{"label": ' + b"[" * 700 + b"]" * 700 + b"}", "", ""),
        (b'{"other": "dog"}', "field-missing", "no field label"),
        (b'{"label": NaN}', "bad-label", "'NaN'"),
        (b'{"label": 1.5}', "bad-label", "'1.5'"),
        (b'{"label": true}', "bad-label", "True"),
        (b'{"label": {"dog": 1}}', "bad-label", "dog"),
        (b'{"label": "a\\u0000b"}', "bad-label", "x00"),
        (b'{"label": "\\ud800"}', "bad-label", "ud800"),
        (b'{"label": "' + b"x" * 600 + b'"}', "text-too-long", "a label has 600 bytes"),
        (b'{"label": "dog", "x": "' + b"x" * (4 << 20) + b'"}', "text-too-long", "4,194,304 are read"),
        (b'{"label": ' + b"9" * 5000 + b"}", "text-too-long", "5,000 bytes"),
    ],
)
def test_a_json_that_says_nothing_costs_its_label_alone(
    tmp_path: Path, data: bytes, code: str, said: str
) -> None:
    write_tar(
        tmp_path / "a.tar",
        {"1.jpg": JPEG, "1.json": data, "2.jpg": JPEG, "2.json": described(label="cat")},
    )
    made = scanned(tmp_path, 'tars: "*.tar", fields: {labels: label}')
    assert made.names == ["1", "2"]
    assert made.statements == [("2", "cat", 1.0)]
    counts = dict(made.counts)
    assert counts.pop("image-without-label") == 1
    if code:
        assert counts.pop(code) == 1
        assert said in made.notes.examples[code][0]
        assert made.notes.examples[code][0].startswith("a.tar:1.json")
    assert set(counts) <= {"bad-json"}


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        ("1", 1.0),
        ("1.0", 1.0),
        ("0", 0.0),
        ("0.99999999999999999999", 0.9999999999999999),
        ("[0.5]", 0.5),
        ("1e-400", 5e-324),
        ("NaN", "bad-confidence"),
        ("2", "bad-confidence"),
        ("true", "bad-confidence"),
        ("null", "confidence-count"),
        ("[0.5, 0.5]", "confidence-count"),
        ("{}", "bad-confidence"),
    ],
)
def test_a_confidence_is_what_its_text_says(tmp_path: Path, confidence: str, expected: float | str) -> None:
    meta = f'{{"label": "dog", "p": {confidence}}}'.encode()
    write_tar(tmp_path / "a.tar", {"1.jpg": JPEG, "1.json": meta})
    made = scanned(tmp_path, 'tars: "*.tar", fields: {labels: label, confidence: p}')
    if isinstance(expected, str):
        assert made.counts[expected] == 1
        assert made.statements == []
    else:
        assert [value for _, _, value in made.statements] == [expected]


def test_members_apart_are_put_together_and_said(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.jpg": JPEG, "2.jpg": JPEG, "1.cls": b"a", "2.cls": b"b"})
    made = scanned(tmp_path)
    assert made.statements == [("1", "a", 1.0), ("2", "b", 1.0)]
    assert made.counts == {"members-apart": 2}
    assert made.notes.examples["members-apart"] == ["a.tar:1.cls"]


def test_of_several_images_the_first_counts_or_the_best_of_the_spec(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.png": JPEG + b"p", "1.jpg": JPEG, "1.cls": b"a", "1.seg.png": b"x"})
    made = scanned(tmp_path)
    assert made.images[0]["size"] == len(JPEG) + 1
    assert made.counts == {"second-image": 1, "other-member": 1}
    assert "a.tar:1.jpg" in made.notes.examples["second-image"][0]
    assert made.notes.examples["other-member"] == ["a.tar: .seg.png of 1 images"]
    best = scanned(tmp_path, 'tars: "*.tar", image: [jpg, png]')
    assert best.images[0]["size"] == len(JPEG)
    other = scanned(tmp_path, 'tars: "*.tar", image: seg.png')
    assert other.images[0]["size"] == 1


def test_halves_of_samples_are_kept_and_said(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.jpg": JPEG, "2.cls": b"dog", "3.jpg": JPEG, "3.cls": b"cat"})
    made = scanned(tmp_path)
    assert made.names == ["1", "3"]
    assert made.statements == [("2", "dog", 1.0), ("3", "cat", 1.0)]
    assert made.counts == {"image-without-label": 1, "key-without-image": 1}


def test_a_key_that_two_tars_have_is_called_by_the_tar_in_the_second(tmp_path: Path) -> None:
    for tar in ("a", "sub/b", "c"):
        write_tar(tmp_path / f"{tar}.tar", {"1.jpg": JPEG, "1.cls": tar.encode(), f"{tar}.jpg": JPEG})
    made = scanned(tmp_path, 'tars: ["*.tar", "sub/*.tar"]')
    assert {name: label for name, label, _ in made.statements} == {"1": "a", "c/1": "c", "sub/b/1": "sub/b"}
    assert made.counts["key-in-two-tars"] == 2
    assert len(set(made.names)) == 6


def test_a_name_does_not_change_when_tars_are_cut_otherwise(tmp_path: Path) -> None:
    files = {f"{i}.{kind}": JPEG for i in range(6) for kind in ("jpg", "cls")}
    items = list(files.items())
    for folder, cut in (("one", 4), ("two", 8)):
        write_tar(tmp_path / folder / "0.tar", dict(items[:cut]))
        write_tar(tmp_path / folder / "1.tar", dict(items[cut:]))
    assert scanned(tmp_path / "one").names == scanned(tmp_path / "two").names


@given(st.lists(st.lists(st.integers(0, 60), unique=True), max_size=12))
def test_a_key_is_known_if_an_earlier_tar_has_it(tars: list[list[int]]) -> None:
    seen, before = SeenKeys(), set[int]()
    for keys in tars:
        assert seen.add([str(key) for key in keys]).tolist() == [key in before for key in keys]
        before |= set(keys)


@pytest.mark.parametrize(
    ("written", "missing"),
    [
        ("t-{0..3}.tar", "1 tar of t-{0..3}.tar is not there: t-2.tar"),
        ("t-{0..9}.tar", "7 tars of t-{0..9}.tar are not there: t-2.tar, t-4.tar, t-5.tar and 4 more"),
        ("{t,u}-{0..1}.tar", "2 tars of {t,u}-{0..1}.tar are not there: u-0.tar, u-1.tar"),
        ("u*.tar", "no tar is there that u*.tar leads to"),
        ("u.tar", "u.tar is not there"),
        ("t-{0..999999999999}.tar", "more than 100,000"),
    ],
)
def test_a_tar_that_is_missing_is_an_error_that_names_it(tmp_path: Path, written: str, missing: str) -> None:
    for i in (0, 1, 3):
        write_tar(tmp_path / f"t-{i}.tar", {f"{i}.jpg": JPEG, f"{i}.cls": b"a"})
    with pytest.raises(SourceError) as caught:
        scanned(tmp_path, f'tars: "{written}"')
    assert caught.value.code == "tars-missing"
    assert missing in str(caught.value)


def test_patterns_take_each_tar_once_whatever_their_order(tmp_path: Path) -> None:
    for i in range(12):
        write_tar(tmp_path / f"d{{1}}[x]/t-{i:02}.tar", {f"{i}.jpg": JPEG, f"{i}.cls": b"a"})
    root = tmp_path / "d{1}[x]"
    for text in ('"t-{00..11}.tar"', '["t-1*.tar", "t-{00..11}.tar"]', '"t-[01]?.tar"', '"**/*.tar"'):
        assert scanned(root, f"tars: {text}").names == [str(i) for i in range(12)]
    assert source_of(root, 'tars: "t-{00..11}.tar"').root == root


def test_a_file_beside_the_tars_is_said(tmp_path: Path) -> None:
    write_tar(tmp_path / "t-0.tar", {"1.jpg": JPEG, "1.cls": b"a"})
    write_tar(tmp_path / "t-1.tar", {"2.jpg": JPEG, "2.cls": b"a"})
    write(tmp_path / "t-0.idx", b"0 1")
    write(tmp_path / ".hidden", b"")
    made = scanned(tmp_path, 'tars: "t-{0..0}.tar"')
    assert made.notes.examples["beside-the-tars"] == ["t-0.idx", "t-1.tar"]


def test_splits_are_words_in_the_names_of_tars(tmp_path: Path) -> None:
    for name in ("set-train-0", "set-train-1", "set-val-0", "set-test-0"):
        write_tar(tmp_path / f"{name}.tar", {f"{name}.jpg": JPEG, f"{name}.cls": b"a"})
    source = source_of(tmp_path, 'tars: "*.tar", splits: {train: train, val: validation, test: none}')
    notes = Notes()
    found: dict[str, int] = {}
    for batch in source.scan(notes):
        assert batch.splits is not None
        found |= dict(zip(batch.images.column("name").to_pylist(), batch.splits.tolist(), strict=True))
    assert found == {"set-train-0": 0, "set-train-1": 0, "set-val-0": 1}
    assert dict(notes.counts) == {"split-left-out": 1}
    unplaced = scanned(tmp_path)
    assert unplaced.counts["tars-of-splits"] == 1
    assert "test (1 tars), train (2 tars), val (1 tars)" in unplaced.notes.examples["tars-of-splits"][0]


@pytest.mark.parametrize(
    ("splits", "code", "said"),
    [
        ("train: train", "split-unplaced", "set-test-0.tar"),
        ("set: train, train: validation", "split-unplaced", "several splits are in the names"),
        ("train: train, val: validation, test: none, extra: none", "split-missing", "extra"),
    ],
)
def test_a_tar_without_its_split_is_an_error(tmp_path: Path, splits: str, code: str, said: str) -> None:
    for name in ("set-train-0", "set-val-0", "set-test-0"):
        write_tar(tmp_path / f"{name}.tar", {f"{name}.jpg": JPEG, f"{name}.cls": b"a"})
    with pytest.raises(SourceError) as caught:
        scanned(tmp_path, f'tars: "*.tar", splits: {{{splits}}}')
    assert caught.value.code == code
    assert said in str(caught.value)


def test_a_field_says_the_split_of_each_image(tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    for i, split in enumerate(("train", "val", "extra", "")):
        files |= {f"{i}.jpg": JPEG, f"{i}.json": described(label="a", split=split)}
    write_tar(tmp_path / "a.tar", files)
    source = source_of(
        tmp_path, 'tars: "*.tar", splits: {extra: none}, fields: {labels: label, split: split}'
    )
    notes = Notes()
    (batch,) = source.scan(notes)
    assert batch.images.column("name").to_pylist() == ["0", "1", "3"]
    assert batch.splits.tolist() == [0, 1, -1]
    assert len(batch.labels) == 3
    assert dict(notes.counts) == {"split-left-out": 1, "row-without-split": 1}


def test_a_truncated_tar_costs_what_is_behind_its_end(tmp_path: Path) -> None:
    files = {f"{i}.{kind}": JPEG * 50 for i in range(4) for kind in ("jpg", "cls")}
    files |= {f"{i}.cls": b"dog" for i in range(4)}
    path = write_tar(tmp_path / "a.tar", files)
    whole = scanned(tmp_path)
    last = whole.images[-1]
    path.write_bytes(path.read_bytes()[: last["offset"] + 10])
    made = scanned(tmp_path)
    assert made.names == ["0", "1", "2", "3"]
    assert [one["status"] for one in made.images] == ["", "", "", "truncated"]
    assert made.statements == [(str(i), "dog", 1.0) for i in range(3)]
    assert made.counts == {"tar-cut": 1, "image-without-label": 1}
    path.write_bytes(path.read_bytes()[: whole.images[1]["offset"] - 512 - 512 + 2])
    assert scanned(tmp_path).counts["member-cut"] == 1


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", "tar-empty", "b.tar"),
        (b"no tar at all " * 100, "tar-unreadable", "not an uncompressed tar"),
        (gzip.compress(b"x" * 1000), "tar-unreadable", "compressed with gzip"),
    ],
)
def test_a_tar_that_is_none_costs_itself_alone(tmp_path: Path, data: bytes, code: str, said: str) -> None:
    write_tar(tmp_path / "a.tar", {"1.jpg": JPEG, "1.cls": b"a"})
    write(tmp_path / "b.tar", data)
    made = scanned(tmp_path)
    assert made.names == ["1"]
    assert said in made.notes.examples[code][0]


def test_names_that_are_none_are_said(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "a.tar",
        {"1.jpg": JPEG, "README": b"", "a/.x.jpg": b"", "../2.jpg": JPEG, "1.": b"", "1.cls": b"\xff"},
    )
    made = scanned(tmp_path)
    assert made.names == ["1"]
    assert made.counts == {"no-key": 2, "hidden": 1, "outside": 1, "not-utf-8": 1, "image-without-label": 1}


def test_links_and_repeated_members_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in (("1.jpg", JPEG), ("1.cls", b"old"), ("1.cls", b"new")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("2.jpg")
        link.type, link.linkname = tarfile.LNKTYPE, "1.jpg"
        tar.addfile(link)
    made = scanned(tmp_path)
    assert made.statements == [("1", "new", 1.0)]
    assert made.counts == {"member-twice": 1, "not-a-plain-file": 1}


def test_a_tar_that_changes_meanwhile_is_no_catalog(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.jpg": JPEG, "1.cls": b"a"})
    write_tar(tmp_path / "b.tar", {"2.jpg": JPEG, "2.cls": b"a"})
    source = source_of(tmp_path, 'tars: "*.tar"')
    stream = source.scan(Notes())
    next(stream)
    os.utime(tmp_path / "b.tar", ns=(1, 1))
    with pytest.raises(TransientError):
        next(stream)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [("csv", "id,name\n0,tench\n1,n02084071 dog\n"), ("txt", "tench\nn02084071 dog\n")],
)
def test_numbers_are_named_by_classes(tmp_path: Path, suffix: str, text: str) -> None:
    write(tmp_path / f"classes.{suffix}", text)
    source = source_of(tmp_path, f'tars: "*.tar", classes: classes.{suffix}')
    assert [(one.id, one.name, one.wnid) for one in source.categories()] == [
        ("0", "tench", None),
        ("1", "n02084071 dog", "n02084071"),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [("a\n\nb\n", "descriptions-row"), ("\n", "descriptions-empty"), ("a\n" + "x" * 600, "descriptions-row")],
)
def test_a_list_of_classes_with_a_hole_is_an_error(tmp_path: Path, text: str, code: str) -> None:
    write(tmp_path / "classes.txt", text)
    with pytest.raises(SourceError) as caught:
        list(source_of(tmp_path, 'tars: "*.tar", classes: classes.txt').categories())
    assert caught.value.code == code


@settings(max_examples=30)
@given(st.permutations(["1.jpg", "1.cls", "2.jpg", "2.cls", "3.png", "3.jpg", "3.cls"]))
def test_the_order_of_members_decides_nothing_but_the_image_of_a_key(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("order")
    contents: Mapping[str, bytes] = {name: name[:1].encode() for name in order}
    write_tar(folder / "a.tar", contents)
    made = scanned(folder)
    assert sorted(made.statements) == [("1", "1", 1.0), ("2", "2", 1.0), ("3", "3", 1.0)]
    assert sorted(made.names) == ["1", "2", "3"]
    assert made.counts["second-image"] == 1
