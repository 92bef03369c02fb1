"""ShardOutput become a dataset that appears whole, shares what did not change, and reads with plain Zarr."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from mlimg_build.dataset import (
    ImagesWriter,
    Layout,
    ShardOutput,
    assemble,
    open_dataset,
    verify,
    write_labels,
)
from mlimg_build.dataset.write.shard_writer import read_result
from mlimg_build.errors import DatasetError
from tests.support.dataset_world import (
    LAYOUT,
    TABLES,
    build,
    categories,
    ids,
    image,
    labels_of,
    mappings,
    pairs,
    write_shard,
    write_split,
)


def chunk_files(root: Path) -> dict[str, Path]:
    return {
        p.relative_to(root).as_posix(): p
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name != "zarr.json"
    }


def test_plain_zarr_reads_everything(original_dataset: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        group = zarr.open(str(original_dataset), mode="r")
    images = [image(i) for i in ids(37)]
    train = group["train"]
    assert dict(train.attrs) == {"images_per_shard": 8, "images": 37, "shards": 5}
    data, start, stop = (train[f"images/{name}"] for name in ("data", "start", "stop"))
    for i, one in enumerate(images):
        assert bytes(data[i // 8, int(start[i]) : int(stop[i])]) == one.data
    text, ends = train["images/id"], train["images/id_stop"]
    begins = [0 if i % 8 == 0 else int(ends[i - 1]) for i in range(37)]
    names = [bytes(text[i // 8, begins[i] : int(ends[i])]).decode() for i in range(37)]
    assert names == [one.id for one in images]
    assert dict(text.attrs) == {"encoding": "utf-8", "stops": "id_stop"}
    assert train["images/height"][:].tolist() == [one.height for one in images]
    labels, _ = labels_of(images[8:16])
    total = int(labels.counts.sum())
    assert train["labels/category"][1, :total].tolist() == labels.category.tolist()
    assert train["labels/record"][1, :total].tolist() == labels.record.tolist()
    assert group["categories/parent_index"][:].tolist() == [0, 0]
    assert group["mappings/category"][:].tolist() == [1, 1, -1]
    assert train["shards/images"][:].tolist() == [8, 8, 8, 8, 5]
    assert group.attrs["format"] == "mlimg-dataset/3"


def test_files_of_a_fraction_are_those_of_the_full_build(shards: list[ShardOutput], tmp_path: Path) -> None:
    build(tmp_path / "full.zarr", {"train": shards})
    build(tmp_path / "part.zarr", {"train": shards[:2]})
    full, part = chunk_files(tmp_path / "full.zarr/train"), chunk_files(tmp_path / "part.zarr/train")
    own = {name for name in part if not name.startswith("shards/")}
    assert own
    assert own < set(full)
    assert all(part[name].read_bytes() == full[name].read_bytes() for name in own)
    digests = [
        zarr.open(str(tmp_path / f"{n}.zarr/train/shards/images_digest"), mode="r")[:2]
        for n in ("full", "part")
    ]
    assert np.array_equal(*digests)


def test_a_shard_built_alone_equals_the_same_shard_built_with_others(
    shards: list[ShardOutput], tmp_path: Path
) -> None:
    images = [image(i) for i in ids(24)]
    write_shard(tmp_path / "alone", images[8:16])
    for kind in ("images", "labels"):
        one, other = chunk_files(tmp_path / "alone" / kind), chunk_files(getattr(shards[1], kind))
        assert one.keys() == other.keys()
        assert all(path.read_bytes() == other[name].read_bytes() for name, path in one.items())


def test_the_images_of_an_unchanged_shard_are_the_same_files_again(
    shards: list[ShardOutput], tmp_path: Path
) -> None:
    images = [image(i) for i in ids(24)]
    first = build(tmp_path / "d.zarr", {"train": shards})
    before = {name: path.stat().st_ino for name, path in chunk_files(tmp_path / "d.zarr/train").items()}
    images[9] = image(images[9].id, height=7)
    changed = write_shard(tmp_path / "changed", images[8:16])
    assert build(tmp_path / "d.zarr", {"train": [shards[0], changed, shards[2]]}) != first
    after = {name: path.stat().st_ino for name, path in chunk_files(tmp_path / "d.zarr/train").items()}
    rows = {
        name for name in before if name.startswith("images/") and name.split("/c/")[1].split("/")[0] != "1"
    }
    assert rows
    assert all(before[name] == after[name] for name in rows)
    assert open_dataset(tmp_path / "d.zarr").train[9].height == 7
    assert verify(tmp_path / "d.zarr").ok


def test_the_digest_is_of_content_alone(tmp_path: Path) -> None:
    shards = write_split(tmp_path / "s", [image(i) for i in ids(9)])
    digest = build(tmp_path / "a.zarr", {"train": shards}, spec="one")
    assert build(tmp_path / "elsewhere/b.zarr", {"train": shards}, spec="# a comment", host="h") == digest
    assert build(tmp_path / "c.zarr", {"validation": shards}) != digest


def test_copies_stand_in_where_links_are_refused(
    shards: list[ShardOutput], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "other file system")

    monkeypatch.setattr(os, "link", refuse)
    build(tmp_path / "d.zarr", {"train": shards})
    assert verify(tmp_path / "d.zarr").ok


def test_a_full_disk_leaves_the_old_dataset_and_nothing_else(
    shards: list[ShardOutput], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    digest = build(out / "d.zarr", {"train": shards})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(DatasetError, match="is full") as caught:
        build(out / "d.zarr", {"train": shards[:1]})
    assert caught.value.code == "disk-full"
    assert [p.name for p in out.iterdir()] == ["d.zarr"]
    assert open_dataset(out / "d.zarr").digest == digest
    assert verify(out / "d.zarr").ok


def test_a_truly_full_disk_ends_the_images_writer_in_a_clear_error(tmp_path: Path) -> None:
    """`/dev/full` stands in for the shard file; the directory stays for the caller to delete."""
    row = tmp_path / "images/data/c/0"
    row.mkdir(parents=True)
    (row / "0").symlink_to("/dev/full")
    one = next(i for i in map(image, ids(9)) if i.data)
    with pytest.raises(DatasetError) as caught, ImagesWriter(tmp_path / "images", LAYOUT) as writer:
        writer.add(one)
    assert caught.value.code == "disk-full"
    assert not (tmp_path / "images/result.json").exists()


def test_a_killed_run_leaves_the_old_dataset_and_the_next_run_cleans_up(
    shards: list[ShardOutput], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    digest = build(out / "d.zarr", {"train": shards[:1]})
    script = (
        "import os, signal\nfrom pathlib import Path\n"
        "from mlimg_build.atomic import replacing\n"
        f"with replacing(Path({str(out / 'd.zarr')!r})) as root:\n"
        "    (root / 'half').write_text('x')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    leftovers = [p for p in out.iterdir() if p.name != "d.zarr"]
    assert len(leftovers) == 1
    with pytest.raises(DatasetError) as caught:
        open_dataset(leftovers[0])
    assert caught.value.code == "dataset-incomplete"
    assert open_dataset(out / "d.zarr").digest == digest
    build(out / "d.zarr", {"train": shards})
    assert [p.name for p in out.iterdir()] == ["d.zarr"]


def test_the_old_dataset_is_whole_at_every_rename_without_the_kernels_exchange(
    shards: list[ShardOutput], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "out/d.zarr", {"train": shards[:1]})
    monkeypatch.setattr("mlimg_build.atomic.exchange_names", lambda *_: False)
    digest = build(tmp_path / "out/d.zarr", {"train": shards})
    assert open_dataset(tmp_path / "out/d.zarr").digest == digest
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["d.zarr"]


def test_something_else_at_the_path_is_never_replaced(shards: list[ShardOutput], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/diary.txt").write_text("dear diary")
    with pytest.raises(DatasetError) as caught:
        build(tmp_path / "home", {"train": shards})
    assert caught.value.code == "not-replaceable"
    assert (tmp_path / "home/diary.txt").read_text() == "dear diary"


def test_a_split_without_images_is_allowed(shards: list[ShardOutput], tmp_path: Path) -> None:
    build(tmp_path / "d.zarr", {"train": shards, "validation": []})
    assert len(open_dataset(tmp_path / "d.zarr").validation) == 0
    assert list(open_dataset(tmp_path / "d.zarr").validation) == []
    assert verify(tmp_path / "d.zarr").findings == ()


def test_a_shard_of_failures_only_keeps_its_rows(tmp_path: Path) -> None:
    failed = [image(i, data=b"", digest=bytes(32), status=1) for i in ids(3)]
    build(tmp_path / "d.zarr", {"train": write_split(tmp_path / "s", failed)})
    with open_dataset(tmp_path / "d.zarr") as dataset:
        assert [(one.status, one.data) for one in dataset.train] == [("truncated", b"")] * 3
    assert verify(tmp_path / "d.zarr").ok


def artefact_problem(tmp_path: Path, shards: list[ShardOutput], layout: Layout = LAYOUT) -> str:
    with pytest.raises(DatasetError) as caught:
        assemble(
            tmp_path / "d.zarr",
            layout=layout,
            splits={"train": shards},
            categories=categories(),
            mappings=mappings(),
            pairs=pairs(),
            attributes={},
            tables=TABLES,
        )
    assert not (tmp_path / "d.zarr").exists()
    assert caught.value.problems[0].hint
    return caught.value.code


def test_artefacts_that_do_not_fit_are_refused(shards: list[ShardOutput], tmp_path: Path) -> None:
    images = [image(i) for i in ids(24)]
    a, b, c = shards
    short = write_shard(tmp_path / "short", images[8:10])
    assert artefact_problem(tmp_path, [b, a, c]) == "images-unordered"
    assert artefact_problem(tmp_path, [a, a]) == "images-unordered"
    assert artefact_problem(tmp_path, [ShardOutput(a.images, short.labels)]) == "artefact-mismatch"
    assert artefact_problem(tmp_path, [a], Layout(images_per_shard=8)) == "artefact-mismatch"
    assert artefact_problem(tmp_path, [ShardOutput(a.labels, a.images)]) == "artefact-unfinished"
    assert artefact_problem(tmp_path, [ShardOutput(tmp_path / "none", a.labels)]) == "artefact-unfinished"
    shutil.copytree(a.images, tmp_path / "a")
    a = ShardOutput(tmp_path / "a", a.labels)
    file = next((a.images / "data/c/0").iterdir())
    file.write_bytes(file.read_bytes()[:-1])
    assert artefact_problem(tmp_path, [a]) == "artefact-damaged"
    file.unlink()
    assert artefact_problem(tmp_path, [a]) == "artefact-damaged"
    strange = write_shard(tmp_path / "strange", [image(images[0].id, status=9)])
    assert artefact_problem(tmp_path, [strange]) == "code-unknown"


def test_one_long_text_changes_no_other_shard_and_is_read_whole(tmp_path: Path) -> None:
    """No width follows from the longest text of the collection: a shard depends on its own images alone."""
    images = [image(i) for i in ids(16)]
    author = "Ünal " * 50_000  # longer than a chunk
    changed = [*images[:12], replace(images[12], author=author), *images[13:]]
    stored = []
    for name, given in (("a", images), ("b", changed)):
        shards = [write_shard(tmp_path / name / str(i), given[i : i + 8]) for i in (0, 8)]
        build(tmp_path / f"{name}.zarr", {"train": shards})
        stored.append([read_result(shard.images, "images")["digest"] for shard in shards])
    assert stored[0][0] == stored[1][0]
    assert stored[0][1] != stored[1][1]
    first, second = (tmp_path / f"{name}.zarr" / "train/images" for name in ("a", "b"))
    for path in sorted(first.rglob("c/0*")):
        if path.is_file():
            assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()
    with open_dataset(tmp_path / "b.zarr") as dataset:
        assert [one.author for one in dataset.train] == [one.author for one in changed]
        assert verify(tmp_path / "b.zarr").ok


def test_images_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    images = [image(i) for i in ids(9)]

    def problem(*added: object) -> str:
        with pytest.raises(DatasetError) as caught:
            add_all(tmp_path / "w", added)
        return caught.value.code

    assert problem(*images) == "shard-too-full"
    assert problem(images[1], images[0]) == "images-unordered"
    assert problem(images[0], images[0]) == "images-unordered"
    assert problem(image("a\0b")) == "text-has-zero"
    assert problem(image("a", digest=b"short")) == "digest-length"
    assert problem(image("a", height=-1)) == "value-out-of-range"
    assert problem() == "shard-empty"
    labels, contradictions = labels_of(images[:3])
    other, _ = labels_of(images[:4])
    for wrong in (other, LabelLike(labels, category=labels.category[1:])):
        with pytest.raises(DatasetError) as caught:
            write_labels(tmp_path / "l", LAYOUT, wrong, contradictions)  # type: ignore[arg-type]
        assert caught.value.code == "columns-unequal"
    with pytest.raises(DatasetError, match=r"neither \+1 nor -1"):
        write_labels(tmp_path / "l", LAYOUT, LabelLike(labels, state=labels.state * 0), contradictions)  # type: ignore[arg-type]


def add_all(directory: Path, images: tuple[object, ...]) -> None:
    with ImagesWriter(directory, LAYOUT) as writer:
        for one in images:
            writer.add(one)  # type: ignore[arg-type]


class LabelLike:
    def __init__(self, labels: object, **changes: object) -> None:
        for name in labels.__slots__:  # type: ignore[attr-defined]
            setattr(self, name, changes.get(name, getattr(labels, name)))


def test_zarrs_own_settings_do_not_change_a_byte(tmp_path: Path) -> None:
    images = [image(i) for i in ids(8)]
    write_shard(tmp_path / "plain", images)
    with zarr.config.set({"array.order": "F", "array.write_empty_chunks": True, "default_zarr_format": 2}):
        write_shard(tmp_path / "odd", images)
    one, other = ({n: p.read_bytes() for n, p in chunk_files(tmp_path / d).items()} for d in ("plain", "odd"))
    assert one == other


def test_results_say_what_was_written(tmp_path: Path) -> None:
    images = [image(i) for i in ids(8)]
    with ImagesWriter(tmp_path / "w", LAYOUT) as writer:
        for one in images:
            writer.add(one)
        with pytest.raises(DatasetError):
            _ = writer.result
    result = writer.result
    assert (result.images, result.bytes) == (8, sum(len(one.data) for one in images))
    assert result.statuses == {s: n for s in (0, 1) if (n := sum(one.status == s for one in images))}
    assert len(bytes.fromhex(result.digest)) == 32
