"""Tars are read back by the `webdataset` package and say what the dataset says."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webdataset.tariterators import group_by_keys, tar_file_expander

from mlimg_build.dataset import Image, open_dataset
from mlimg_build.errors import MlimgError
from mlimg_build.exporters import EXPORTERS, Exported, Limits, export
from mlimg_build.exporters.keys import LONGEST, key_of
from tests.support.command import mlimg
from tests.support.runs import tree


def exported(
    dataset: Path,
    folder: Path,
    *,
    limits: Limits | None = None,
    copies: Literal["once", "all"] = "once",
    splits: tuple[str, ...] = (),
) -> Exported:
    exporter = EXPORTERS["webdataset"]
    return export(dataset, folder, "webdataset", exporter, splits=splits, copies=copies, limits=limits)


def samples(folder: Path, split: str = "train") -> Iterator[dict[str, Any]]:
    """What the `webdataset` package finds in the tars of a split; files are opened here, as it leaves its own open."""
    for path in sorted(folder.glob(f"{split}-*.tar")):
        with path.open("rb") as stream:
            files = tar_file_expander([{"url": str(path), "stream": stream}])
            yield from group_by_keys(files)


def told(sample: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The bytes and the description in a sample, which holds nothing else."""
    (suffix,) = {name for name in sample if not name.startswith("__")} - {"json"}
    return sample[suffix], json.loads(sample["json"])


def expected(image: Image, *, own: bool = False) -> dict[str, Any]:
    """What the export of an image is to say."""
    labels = image.own_labels if own else image.labels
    stated = {
        word: [
            {"wnid": one.wnid, "name": one.name, "confidence": one.confidence, "rule": one.rule}
            for one in labels
            if one.state == state
        ]
        for word, state in (("present", 1), ("absent", -1))
    }
    plain = ("id", "split", "source", "licence", "author", "height", "width", "status")
    return {name: getattr(image, name) for name in plain} | {"sha256": image.digest} | stated


def rows(exported: Exported) -> list[dict[str, str]]:
    assert exported.listed is not None
    with exported.listed.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_webdataset_reads_every_image_and_its_labels_as_the_dataset_has_them(
    hard: Path, tmp_path: Path
) -> None:
    exported(hard, tmp_path / "to", limits=Limits(images=3))
    with open_dataset(hard) as dataset:
        images = {image.id: image for image in dataset.train if image.data}
        seen = []
        for sample in samples(tmp_path / "to"):
            data, description = told(sample)
            assert data == images[description["id"]].data
            assert hashlib.sha256(data).hexdigest() == description["sha256"]
            assert description == expected(images[description["id"]])
            assert sample["__key__"] == key_of(description["id"])
            seen.append(description["id"])
    assert seen == list(images)  # in the order of the dataset, each once
    assert any(one["present"] and one["absent"] for one in (told(s)[1] for s in samples(tmp_path / "to")))


def test_a_suffix_is_that_of_the_stored_format(hard: Path, tmp_path: Path) -> None:
    exported(hard, tmp_path / "to")
    beginnings = {"jpg": b"\xff\xd8\xff", "png": b"\x89PNG", "gif": b"GIF89a", "webp": b"RIFF"}
    found = set()
    for sample in samples(tmp_path / "to"):
        (suffix,) = sample.keys() & beginnings.keys()
        assert sample[suffix].startswith(beginnings[suffix])
        found.add(suffix)
    assert found == beginnings.keys()


def test_images_without_bytes_are_named_with_their_reason_and_counted(hard: Path, tmp_path: Path) -> None:
    made = exported(hard, tmp_path / "to")
    with open_dataset(hard) as dataset:
        failed = {image.id: image.status for image in dataset.train if not image.data}
        whole = len(dataset.train)
    assert {row["image"]: row["reason"] for row in rows(made)} == failed
    assert failed
    assert made.left_out["train"] == {"truncated": len(failed)}
    assert made.images["train"] + len(failed) == whole


def test_an_empty_split_has_no_tar_and_stands_in_the_description(hard: Path, tmp_path: Path) -> None:
    made = exported(hard, tmp_path / "to", splits=("validation",))
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["export.json"]
    description = json.loads((tmp_path / "to" / "export.json").read_text())
    assert description["splits"] == {"validation": {"images": 0, "left_out": {}, "files": []}}
    assert made.listed is None


def test_the_description_names_the_dataset_its_categories_and_every_tar(hard: Path, tmp_path: Path) -> None:
    made = exported(hard, tmp_path / "to", limits=Limits(images=4))
    description = json.loads((tmp_path / "to" / "export.json").read_text())
    with open_dataset(hard) as dataset:
        assert description["dataset"]["digest"] == dataset.digest == made.dataset
        assert [one["wnid"] for one in description["categories"]] == dataset.categories.wnid
        assert description["categories"][2]["parents"] == ["n00015388"]
    files = description["splits"]["train"]["files"]
    assert [one["file"] for one in files] == [f"train-{n:06d}.tar" for n in range(len(files))]
    for one in files:
        path = tmp_path / "to" / one["file"]
        assert path.stat().st_size == one["bytes"]
        with tarfile.open(path) as tar:
            assert one["images"] == sum(name.endswith(".json") for name in tar.getnames()) <= 4


def test_a_tar_keeps_to_its_bytes_unless_one_image_has_more(hard: Path, tmp_path: Path) -> None:
    blocks = 32 << 10  # a tar ends at a whole record of 10 KiB
    whole = exported(hard, tmp_path / "whole")
    small = exported(hard, tmp_path / "small", limits=Limits(size=blocks))
    single = exported(hard, tmp_path / "single", limits=Limits(size=1))
    assert len(whole.parts["train"]) == 1 < len(small.parts["train"]) < len(single.parts["train"])
    assert all(part.bytes <= blocks for part in small.parts["train"])
    assert {part.images for part in single.parts["train"]} == {1}
    assert [told(s) for s in samples(tmp_path / "small")] == [told(s) for s in samples(tmp_path / "whole")]


def test_the_same_dataset_gives_the_same_bytes(hard: Path, tmp_path: Path) -> None:
    exported(hard, tmp_path / "one")
    exported(hard, tmp_path / "two")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    with tarfile.open(tmp_path / "one" / "train-000000.tar") as tar:
        members = tar.getmembers()
    assert {(one.mtime, one.uid, one.gid, one.uname, one.gname, one.mode) for one in members} == {
        (0, 0, 0, "", "", 0o644)
    }


def test_other_tars_unpack_into_files(hard: Path, tmp_path: Path) -> None:
    exported(hard, tmp_path / "to")
    (tmp_path / "files").mkdir()
    subprocess.run(
        ["tar", "-xf", tmp_path / "to" / "train-000000.tar", "-C", tmp_path / "files"],
        check=True,
        capture_output=True,
    )
    found = {json.loads(path.read_text())["id"] for path in (tmp_path / "files").rglob("*.json")}
    assert found == {told(sample)[1]["id"] for sample in samples(tmp_path / "to")}


def test_a_copy_is_left_out_for_the_image_that_has_the_labels_of_both(copied: Path, tmp_path: Path) -> None:
    made = exported(copied, tmp_path / "to")
    with open_dataset(copied) as dataset:
        assert len(dataset.copies) == 6
        images = {image.id: image for split in dataset.splits.values() for image in split}
        descriptions = [told(s)[1] for split in dataset.splits for s in samples(tmp_path / "to", split)]
        assert {one["id"] for one in descriptions} == {name for name, image in images.items() if image.counts}
        assert all(one == expected(images[one["id"]]) for one in descriptions)
        merged = {group.ids[0] for group in dataset.copies}
        names = [{label["name"] for label in one["present"]} for one in descriptions if one["id"] in merged]
        assert all({"dog, domestic dog, Canis familiaris", "sea"} & names_ for names_ in names)
        assert {(row["image"], row["counts_instead"]) for row in rows(made)} == {
            (copy, group.ids[0]) for group in dataset.copies for copy in group.ids[1:]
        }
    digests = [one["sha256"] for one in descriptions]
    assert len(set(digests)) == len(digests)  # no picture is in two splits


def test_all_copies_have_each_its_own_labels(copied: Path, tmp_path: Path) -> None:
    made = exported(copied, tmp_path / "to", copies="all")
    assert made.listed is None
    with open_dataset(copied) as dataset:
        for name, split in dataset.splits.items():
            found = [told(sample)[1] for sample in samples(tmp_path / "to", name)]
            assert found == [expected(image, own=True) for image in split]


@given(st.lists(st.text(min_size=1, max_size=40), unique=True, max_size=20))
def test_keys_are_legal_and_no_two_ids_share_one(ids: list[str]) -> None:
    texts = [text for text in ids if not re.search("[\ud800-\udfff]", text)]
    keys = [key_of(text) for text in texts]
    assert len(set(keys)) == len(keys)
    for text, key in zip(texts, keys, strict=True):
        parts = key.split("/")
        assert key.isascii()
        assert "." not in key
        assert all(parts)
        assert len(key) <= LONGEST
        if "~" not in key:
            assert unquote(key) == text


@given(st.text("ab./é", min_size=150, max_size=600), st.text("ab./é", min_size=150, max_size=600))
def test_long_ids_have_short_keys_of_their_own(one: str, other: str) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)
    assert len(key_of(one)) <= LONGEST


def test_a_former_export_is_replaced_whole(hard: Path, copied: Path, tmp_path: Path) -> None:
    exported(hard, tmp_path / "to", limits=Limits(images=2))
    exported(copied, tmp_path / "to")
    exported(copied, tmp_path / "fresh")
    assert tree(tmp_path / "to") == tree(tmp_path / "fresh")


@pytest.mark.parametrize("what", ["notes.txt", "train-000000.tar", "export.json"])
def test_what_no_export_wrote_is_not_replaced(hard: Path, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "to"
    folder.mkdir()
    (folder / what).write_text("{}")
    with pytest.raises(MlimgError) as caught:
        exported(hard, folder)
    assert caught.value.code == "not-replaceable"
    assert (folder / what).read_text() == "{}"


def test_a_file_put_beside_the_tars_keeps_the_export(hard: Path, tmp_path: Path) -> None:
    exported(hard, tmp_path / "to")
    (tmp_path / "to" / "notes.txt").write_text("mine")
    with pytest.raises(MlimgError, match=r"notes\.txt"):
        exported(hard, tmp_path / "to")
    assert (tmp_path / "to" / "notes.txt").read_text() == "mine"


def test_an_export_never_lies_in_its_dataset(copied: Path) -> None:
    before = tree(copied)
    for place in (copied, copied / "train" / "tars"):
        with pytest.raises(MlimgError) as caught:
            exported(copied, place)
        assert caught.value.code == "not-replaceable"
    assert tree(copied) == before


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=["full", "stopped"]
)
def test_an_export_that_is_not_finished_leaves_the_former_as_it_was(
    hard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    exported(hard, tmp_path / "to")
    before = tree(tmp_path)
    add = tarfile.TarFile.addfile

    def fail(self: tarfile.TarFile, member: tarfile.TarInfo, stream: io.BytesIO) -> None:
        add(self, member, stream)
        if self.offset > 4000:
            raise error

    monkeypatch.setattr(tarfile.TarFile, "addfile", fail)
    with pytest.raises((MlimgError, KeyboardInterrupt)) as caught:
        exported(hard, tmp_path / "to", limits=Limits(images=5))
    if isinstance(error, OSError):
        assert isinstance(caught.value, MlimgError)
        assert caught.value.code == "disk-full"
        assert "as it was" in str(caught.value)
    assert tree(tmp_path) == before


def test_bytes_that_are_not_what_their_digest_says_are_never_exported(
    dataset_to_damage: Path, tmp_path: Path
) -> None:
    shard = next(
        path for path in sorted((dataset_to_damage / "train/images/data/c").rglob("0")) if path.is_file()
    )
    data = bytearray(shard.read_bytes())
    data[40] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(MlimgError) as caught:
        exported(dataset_to_damage, tmp_path / "to")
    assert caught.value.code == "image-differs"
    assert not (tmp_path / "to").exists()


def test_the_command_prints_the_folder_and_its_json_the_counts(copied: Path, tmp_path: Path) -> None:
    done = mlimg("export", copied, "--to", "webdataset", tmp_path / "to")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'to'}\n"
    assert "6 whose copy counts in their place; each is in left-out.csv" in done.stderr
    assert max(len(line) for line in done.stderr.splitlines()) <= 80
    again = mlimg("export", copied, tmp_path / "to", "--to", "webdataset", "--split", "train", "--json")
    answer = json.loads(again.stdout)
    assert list(answer["images"]) == ["train"]
    assert answer["images"]["train"] == len(list(samples(tmp_path / "to")))
    assert not list((tmp_path / "to").glob("validation-*"))


def test_a_format_or_split_that_is_not_there_is_said(copied: Path, tmp_path: Path) -> None:
    other = mlimg("export", copied, tmp_path / "to", "--to", "hdf5")
    assert other.returncode == 2
    assert "webdataset" in other.stderr
    unknown = mlimg("export", copied, tmp_path / "to", "--to", "webdataset", "--split", "test")
    assert unknown.returncode == 1
    assert "split-unknown" in unknown.stderr
