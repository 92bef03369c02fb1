"""A build never destroys what is not its own, and mends what is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlimg_build.compiler.engine.cache import Key, Store
from mlimg_build.compiler.lock_stage import lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan.plan_summary import plan_summary
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import verify
from mlimg_build.errors import MlimgError
from mlimg_build.spec import Backend, InlineCluster, load_spec
from tests.support.runs import backend, inline


@pytest.fixture
def copy(collection: Path, tmp_path: Path) -> Path:
    """A copy of the collection that a test may spoil."""
    return Path(shutil.copytree(collection, tmp_path / "copy"))


@pytest.mark.parametrize("kind", ["folder", "file", "mixed"])
def test_a_lock_takes_the_place_of_a_lock_only(copy: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "precious"
    if kind == "file":
        target.write_text("thesis")
    else:
        target.mkdir()
        (target / "thesis.txt").write_text("thesis")
    if kind == "mixed":
        (target / "lock.yaml").write_text("lock: 1")
    with pytest.raises(MlimgError) as caught:
        lock(load_spec(copy / "small.yaml"), tmp_path / "out", target, inline())
    assert caught.value.code == "not-replaceable"
    assert (target if kind == "file" else target / "thesis.txt").read_text() == "thesis"
    lock(load_spec(copy / "small.yaml"), tmp_path / "out", tmp_path / "fresh.lock", inline())
    lock(load_spec(copy / "small.yaml"), tmp_path / "out", tmp_path / "fresh.lock", inline())
    assert sorted(path.name for path in tmp_path.iterdir() if "lock" in path.name) == ["fresh.lock"]


def test_a_damaged_chunk_is_made_again(copy: Path, tmp_path: Path) -> None:
    spec = load_spec(copy / "small.yaml")
    first = build(spec, tmp_path / "out", inline())
    chunk = first.dataset / "train/images/data/c/2/0"
    damaged = bytearray(chunk.read_bytes())
    damaged[500:900] = bytes(400)
    with chunk.open("r+b") as stream:  # in place, and so in the cache too
        stream.write(damaged)
    assert not verify(first.dataset).ok
    assert plan_summary(plan(spec, tmp_path / "out"))["why"]["images"] == {"its files were touched since": 1}
    again = build(spec, tmp_path / "out", inline())
    assert (again.read, again.digest) == (16, first.digest)
    assert verify(again.dataset).ok


def test_damage_without_a_trace_is_found_by_repair(copy: Path, tmp_path: Path) -> None:
    import os

    spec = load_spec(copy / "small.yaml")
    first = build(spec, tmp_path / "out", inline())
    chunk = first.dataset / "train/images/start/c/3"
    status = chunk.stat()
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    with chunk.open("r+b") as stream:
        stream.write(data)
    os.utime(chunk, ns=(status.st_atime_ns, status.st_mtime_ns))  # as a disk does that forgets a bit
    trusting = Backend(cluster=InlineCluster(type="inline"), verify_linked="none")
    assert build(spec, tmp_path / "out", trusting).read == 0
    assert not verify(first.dataset).ok
    mended = build(spec, tmp_path / "out", inline(), repair=True)
    assert (mended.read, mended.digest) == (16, first.digest)
    assert verify(mended.dataset).ok


def test_a_lost_file_of_the_cache_is_made_again(copy: Path, tmp_path: Path) -> None:
    spec = load_spec(copy / "small.yaml")
    first = build(spec, tmp_path / "out", inline())
    for path in sorted((tmp_path / "out/.mlimg/small/images").rglob("c/0"))[:1]:
        if path.is_file():
            path.unlink()
        else:
            shutil.rmtree(path)
    for path in (tmp_path / "out/.mlimg/small/rows").rglob("train.arrow"):
        path.write_bytes(path.read_bytes()[:1000])
    assert build(spec, tmp_path / "out", inline()).digest == first.digest


def test_a_fraction_never_lands_on_another_dataset(copy: Path, tmp_path: Path) -> None:
    text = (copy / "small.yaml").read_text()
    (copy / "odd.yaml").write_text(text.replace("name: small", "name: small-0.5"))
    whole = build(load_spec(copy / "odd.yaml"), tmp_path / "out", inline())
    part = build(load_spec(copy / "small.yaml"), tmp_path / "out", inline(), fraction=0.5)
    assert whole.dataset != part.dataset
    (tmp_path / "out" / "small.zarr").symlink_to(whole.dataset)
    with pytest.raises(MlimgError) as caught:
        build(load_spec(copy / "small.yaml"), tmp_path / "out", inline())
    assert caught.value.code == "not-replaceable"
    assert verify(whole.dataset).ok


def test_a_lock_names_a_dataset_only_where_it_is_the_one(copy: Path, tmp_path: Path) -> None:
    spec = load_spec(copy / "small.yaml")
    built = build(spec, tmp_path / "out", inline())
    lock(spec, tmp_path / "out", tmp_path / "a.lock", inline())
    assert f"dataset: {built.digest}" in (tmp_path / "a.lock" / "lock.yaml").read_text()
    (copy / "map.csv").write_text("source,category,wnid\ncrowd,/m/cat,n02121620\n")
    text = (copy / "small.yaml").read_text()
    (copy / "small.yaml").write_text(text.replace("vocabulary:", "vocabulary:\n  mapping: {file: map.csv}"))
    lock(load_spec(copy / "small.yaml"), tmp_path / "out", tmp_path / "a.lock", inline())
    assert "dataset: null" in (tmp_path / "a.lock" / "lock.yaml").read_text()


def test_two_tasks_that_make_one_result_leave_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "out" / ".mlimg" / "x")
    key = Key("images", 1, {"rows": "1"})

    def make(number: int) -> None:
        with store.create(key) as (folder, notes):
            (folder / "data").write_bytes(b"same")
            notes["made"] = number

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(200)))
    assert store.has(key)
    assert (store.path(key) / "data").read_bytes() == b"same"


def test_what_could_not_be_used_is_counted_and_listed(copy: Path, tmp_path: Path) -> None:
    (copy / "synsets" / "notes.txt").write_text("read me")
    with (copy / "crowd" / "labels.csv").open("a") as stream:
        stream.write("m00,machine,/m/cat,much\nm01,machine\n")
    built = build(load_spec(copy / "small.yaml"), tmp_path / "out", inline())
    assert built.passed_over is not None
    listed = built.passed_over.read_text()
    for code in ("bad-confidence", "malformed-row", "not-a-synset"):
        assert code in listed


def test_a_store_with_nonsense_in_it_is_a_store_without_it(copy: Path, tmp_path: Path) -> None:
    spec = load_spec(copy / "small.yaml")
    first = build(spec, tmp_path / "out", inline())
    store = tmp_path / "out" / ".mlimg" / "small"
    (store / "last.json").write_text("[1]")
    for path in list(store.rglob("entry.json"))[:3]:
        path.write_text("[]")
    assert build(spec, tmp_path / "out", inline()).digest == first.digest


def test_a_worker_that_is_killed_costs_nothing(copy: Path, tmp_path: Path) -> None:
    import psutil

    class Killing:
        killed = 0

        def step(self, message: str) -> None:
            """Nothing is to be said."""

        def follow(self, images: int, tasks: int) -> Callable[[Any], None]:
            return self.hear

        def hear(self, done: Any) -> None:
            if done.shards and not self.killed:  # a shard is finished, others are under way
                workers = [
                    process
                    for process in psutil.Process().children(recursive=True)
                    if "spawn_main" in " ".join(process.cmdline())
                ]
                workers[0].kill()
                self.killed += 1

    spec, killing = load_spec(copy / "small.yaml"), Killing()
    wanted = build(spec, tmp_path / "calm", inline())
    made = build(spec, tmp_path / "out", backend(2), watcher=killing)
    assert killing.killed == 1
    assert made.digest == wanted.digest
    assert not any((tmp_path / "out" / ".mlimg" / "small" / "tmp").iterdir())
    assert verify(made.dataset).ok


def test_results_made_together_appear_at_the_end_and_survive_a_later_failure(tmp_path: Path) -> None:
    store = Store(tmp_path / "out" / ".mlimg" / "x")
    good, bad = Key("labels", 1, {"rows": "1"}), Key("labels", 1, {"rows": "2"})

    def make() -> None:
        with store.batch() as batch:
            with batch.create(good) as (folder, notes):
                (folder / "data").write_bytes(b"good")
                notes["made"] = 1
            assert not store.has(good)
            with batch.create(bad) as (folder, _):
                (folder / "data").write_bytes(b"half")
                raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        make()
    assert store.has(good)
    assert (store.path(good) / "data").read_bytes() == b"good"
    assert not store.has(bad)
    assert list((store.root / "tmp").iterdir()) == []
