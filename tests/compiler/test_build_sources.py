"""A result is what its plan saw: sources that go away, change or fail while they are read end in no wrong dataset."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.catalog.arrow_tables import write_batches
from mlimg_build.compiler.catalog.catalog import catalog
from mlimg_build.compiler.engine import retries
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.engine.checksums import file_sums, sealed
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan.plan import Plan, make_plan
from mlimg_build.compiler.plan.plan_summary import plan_summary
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.compiler.run import tasks
from mlimg_build.compiler.run.repair import without_flaws
from mlimg_build.compiler.run.task_list import tasks_of
from mlimg_build.compiler.run.tasks import PackImages, run
from mlimg_build.dataset import open_dataset, verify
from mlimg_build.errors import BuildError, MlimgError, SourceError, TransientError
from mlimg_build.images import BadImage, Status
from mlimg_build.sources import Batch, Notes, open_source
from mlimg_build.spec import Backend, InlineCluster, LoadedSpec, load_spec
from mlimg_build.wordnet import load
from tests.support.photographs import crops
from tests.support.runs import inline
from tests.support.source_world import write_tar

SPEC = """\
mlimg: 1
name: pets
version: 1.0.0
sources:
  pets: {type: imagenet, images: pets}
dataset: {images_per_shard: 8}
"""
CATS = "n02121620"


def make_world(folder: Path) -> Path:
    (folder / "pets.yaml").write_text(SPEC)
    (folder / "pets" / CATS).mkdir(parents=True)
    for i, data in enumerate(crops("chelsea", 20)):
        (folder / "pets" / CATS / f"{CATS}_{i}.JPEG").write_bytes(data)
    return folder


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with `pets.yaml` and 20 photographs of cats."""
    return make_world(tmp_path)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "PAUSES", (0.01, 0.02, 0.03))


def loaded(world: Path, more: str = "") -> LoadedSpec:
    (world / "pets.yaml").write_text(SPEC + more)
    return load_spec(world / "pets.yaml")


class Watching:
    """Follows a build and does something when it begins to read, or when it waits."""

    def __init__(
        self, begin: Callable[[], object] = lambda: None, wait: Callable[[], object] = lambda: None
    ) -> None:
        self.begin, self.wait = begin, wait
        self.said: list[str] = []

    def step(self, message: str) -> None:
        if message == "starting workers":  # the plan is made, nothing is read
            self.begin()

    def follow(self, images: int, tasks: int) -> Callable[[Any], None]:
        return self.hear

    def hear(self, done: Any) -> None:
        if done.said:
            self.said.append(done.said)
            self.wait()


def made(world: Path, watching: Watching | None = None, more: str = "", **given: Any) -> Built:
    return build(loaded(world, more), world / "out", inline(), watcher=watching, **given)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of a build that nothing disturbs."""
    world = make_world(tmp_path_factory.mktemp("calm"))
    return build(loaded(world), world / "out", inline()).digest


def refused(world: Path, watching: Watching, more: str = "") -> MlimgError:
    with pytest.raises(BuildError) as caught:
        made(world, watching, more)
    for problem in caught.value.problems:
        assert problem.place is not None
        assert problem.place.line == 5
        assert problem.hint
    return caught.value


def failing(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    """Opening the file of this name fails, in this process."""
    real = os.open

    def open_(path: Any, *given: Any, **named: Any) -> int:
        if str(path).endswith(name):
            raise OSError(code, os.strerror(code), str(path))
        return real(path, *given, **named)

    monkeypatch.setattr(os, "open", open_)


def packing(world: Path, more: str = "") -> tuple[Plan, Store, list[PackImages]]:
    """The plan of a build, its store, and its tasks, which a test runs itself."""
    spec = loaded(world, more)
    store = Store((world / "out").absolute() / ".mlimg" / "pets")
    planned = plan(spec, world / "out")
    jobs = [
        job
        for task in tasks_of(planned.loaded, planned.rows, planned.rules_file, planned.work, store)
        for job in task
        if isinstance(job, PackImages)
    ]
    return planned, store, jobs


def test_a_source_that_is_away_fails_the_build_and_makes_no_missing_images(world: Path, calm: str) -> None:
    away = Watching(begin=lambda: (world / "pets").rename(world / "gone"))
    error = refused(world, away)
    assert error.code == "source-away"
    assert len(error.problems) == 1
    assert str(world / "pets") in str(error)
    assert len(away.said) == 3
    assert not (world / "out" / "pets.zarr").exists()
    (world / "gone").rename(world / "pets")
    again = made(world)
    assert (again.failed, again.asked_again, again.digest) == ({}, 0, calm)


def test_a_source_that_is_back_after_a_moment_costs_a_pause(world: Path, calm: str) -> None:
    watching = Watching(
        begin=lambda: (world / "pets").rename(world / "gone"),
        wait=lambda: (world / "gone").exists() and (world / "gone").rename(world / "pets"),
    )
    built = made(world, watching)
    assert watching.said
    assert "tried again" in watching.said[0]
    assert (built.failed, built.digest) == ({}, calm)


def test_an_unmounted_folder_is_away_though_it_exists(world: Path) -> None:
    def unmount() -> None:
        (world / "pets").rename(world / "gone")
        (world / "pets").mkdir()

    error = refused(world, Watching(begin=unmount))
    assert error.code == "source-away"
    assert "is empty" in str(error)


def test_what_was_finished_before_a_source_went_away_stays(world: Path) -> None:
    made(world, fraction=0.1)
    error = refused(world, Watching(begin=lambda: (world / "pets").rename(world / "gone")))
    assert error.code == "source-away"
    (world / "gone").rename(world / "pets")
    assert made(world).read == 12


def test_a_file_that_changed_since_the_plan_is_in_no_result(world: Path, calm: str) -> None:
    photograph = world / "pets" / CATS / f"{CATS}_3.JPEG"
    before, state = photograph.read_bytes(), photograph.stat()
    other = (world / "pets" / CATS / f"{CATS}_4.JPEG").read_bytes()
    error = refused(world, Watching(begin=lambda: photograph.write_bytes(other)))
    assert error.code == "source-changed"
    assert f"{CATS}_3.JPEG" in str(error)
    photograph.write_bytes(before)
    os.utime(photograph, ns=(state.st_atime_ns, state.st_mtime_ns))  # put back with its old time
    assert made(world).digest == calm


def test_a_file_swapped_with_size_and_time_kept_is_read_again_once_it_is_back(world: Path, calm: str) -> None:
    photograph = world / "pets" / CATS / f"{CATS}_3.JPEG"
    before, state = photograph.read_bytes(), photograph.stat()

    def put(data: bytes) -> None:
        photograph.write_bytes(data)
        os.utime(photograph, ns=(state.st_atime_ns, state.st_mtime_ns))

    wrong = made(world, Watching(begin=lambda: put(before[:-2] + b"\xff\xd9")))
    put(before[:-2] + bytes(2))
    damaged = made(world, Watching(begin=lambda: put(before)))
    put(before)
    right = made(world)
    assert wrong.asked_again == damaged.asked_again == 0
    assert right.read == 8  # its own shard, as nobody can put back the ctime
    assert right.digest == calm


def test_every_changed_file_of_a_shard_is_named(world: Path) -> None:
    def touch() -> None:
        for path in sorted((world / "pets" / CATS).iterdir())[:5]:
            os.utime(path, ns=(1, 1))

    error = refused(world, Watching(begin=touch))
    assert [problem.code for problem in error.problems] == ["source-changed"] * 5


def test_a_file_that_is_gone_keeps_its_row_and_is_asked_for_again(world: Path, calm: str) -> None:
    photograph = world / "pets" / CATS / f"{CATS}_3.JPEG"
    state, kept = photograph.stat(), world / "kept.jpg"
    built = made(world, Watching(begin=lambda: photograph.rename(kept)))
    assert (built.failed, built.asked_again) == ({"missing": 1}, 1)
    assert "dataset: null" in (built.lock / "lock.yaml").read_text()
    with open_dataset(built.dataset) as dataset:
        assert dataset.find(f"pets/{CATS}_3").status == "missing"
    kept.rename(photograph)
    assert photograph.stat().st_mtime_ns == state.st_mtime_ns
    why = plan_summary(plan(loaded(world), world / "out"))["why"]["images"]
    assert list(why.values()) == [1]
    again = made(world)
    assert (again.read, again.failed, again.asked_again) == (8, {}, 0)
    assert again.digest == calm
    assert f"dataset: {again.digest}" in (again.lock / "lock.yaml").read_text()


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EPERM])
def test_a_file_that_cannot_be_read_fails_its_task_and_stores_nothing(
    world: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    _, store, jobs = packing(world)
    failing(monkeypatch, f"{CATS}_3.JPEG", code)
    failed = []
    for job in jobs:
        try:
            run([job])
        except TransientError as error:
            failed.append(error)
    assert [error.code for error in failed] == ["file-unreadable"]
    assert os.strerror(code) in str(failed[0])
    assert sum(store.has(job.key) for job in jobs) == len(jobs) - 1


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EPERM])
def test_an_unreadable_file_that_the_spec_keeps_is_in_no_finished_result(
    world: Path, calm: str, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    keep = "images: {unreadable: keep}\n"
    _, store, jobs = packing(world, keep)
    with monkeypatch.context() as patched:
        failing(patched, f"{CATS}_3.JPEG", code)
        for job in jobs:
            run([job])
    unfinished = [job for job in jobs if not store.has(job.key)]
    assert len(unfinished) == 1
    entry = store.entry(unfinished[0].key)
    assert entry is not None
    assert entry["notes"]["failures"] == [[f"pets/{CATS}_3", "unreadable", os.strerror(code)]]
    assert plan_summary(plan(loaded(world, keep), world / "out"))["why"]["images"] == {
        "files that could not be read, or were gone, are asked for again": 1
    }
    again = made(world, more=keep)
    assert (again.read, again.failed, again.digest) == (8, {}, calm)


def test_whether_unreadable_files_are_kept_is_in_no_key(world: Path) -> None:
    assert made(world).read == 20
    assert made(world, more="images: {unreadable: keep}\n").read == 0


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOMEM, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT])
def test_no_setting_turns_the_state_of_a_machine_into_a_status(
    world: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    _, store, jobs = packing(world, "images: {unreadable: keep}\n")
    failing(monkeypatch, ".JPEG", code)
    with pytest.raises(TransientError) as caught:
        run([jobs[0]])
    assert caught.value.code == "read-failed"
    assert store.entry(jobs[0].key) is None


def test_a_link_whose_target_is_away_is_no_missing_image(world: Path) -> None:
    photograph, elsewhere = world / "pets" / CATS / f"{CATS}_3.JPEG", world / "elsewhere.jpg"
    photograph.rename(elsewhere)
    photograph.symlink_to(elsewhere)
    error = refused(world, Watching(begin=elsewhere.unlink))
    assert error.code == "source-away"
    assert "leads nowhere" in str(error)


@pytest.mark.parametrize(
    ("source", "list_file", "more"),
    [
        ("{type: table, images: pets, table: list.csv}", "list.csv", f"{CATS}/{CATS}_1.JPEG,cat\n"),
        (
            "{type: open_images, images: pets, labels: [oi.csv], classes: c.csv}",
            "oi.csv",
            f"{CATS}_1,cat,1\n",
        ),
        ("{type: open_images, images: pets, labels: [oi.csv], classes: c.csv}", "c.csv", "dog,dog\n"),
        ("{type: folder, images: pets, classes: c.csv}", "c.csv", "dog,dog\n"),
    ],
)
def test_a_list_that_changes_while_it_is_read_makes_no_catalog(
    world: Path, source: str, list_file: str, more: str
) -> None:
    (world / "list.csv").write_text(f"image,labels\n{CATS}/{CATS}_0.JPEG,cat\n")
    (world / "oi.csv").write_text(f"ImageID,LabelName,Confidence\n{CATS}_0,cat,1\n")
    (world / "c.csv").write_text(f"cat,cat\n{CATS},cat\n")
    (world / "pets.yaml").write_text(SPEC.replace("{type: imagenet, images: pets}", source))
    part = load_spec(world / "pets.yaml").spec.sources["pets"]
    opened = open_source("pets", part)
    scan = opened.scan

    def growing(notes: Notes) -> Iterator[Batch]:
        batches = list(scan(notes))
        with (world / list_file).open("a") as stream:
            stream.write(more)
        yield from batches

    opened.scan = growing  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="changed while it was listed"):
        catalog("pets", opened, part, world / "catalogs")
    assert not (world / "catalogs" / "pets").exists()


@pytest.mark.parametrize("place", ["n02084071", "n02084071.tar"])
def test_a_synset_that_is_away_only_while_it_is_scanned_makes_no_catalog(world: Path, place: str) -> None:
    """Nothing of it is as it was not: a folder that is moved away and back has its sizes and times."""
    synset = world / "pets" / place
    if place.endswith(".tar"):
        write_tar(synset, {"1.jpg": b"x"})
    else:
        synset.mkdir()
        (synset / "1.jpg").write_bytes(b"x")
    part = load_spec(world / "pets.yaml").spec.sources["pets"]
    opened = open_source("pets", part)
    scan = opened.scan

    def without(notes: Notes) -> Iterator[Batch]:
        synset.rename(world / "away")
        yield from scan(notes)
        (world / "away").rename(synset)

    opened.scan = without  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="changed while it was listed"):
        catalog("pets", opened, part, world / "catalogs")
    opened.scan = scan  # type: ignore[method-assign]
    assert len(catalog("pets", opened, part, world / "catalogs").images) == 21


def test_a_file_that_is_away_only_while_its_list_is_read_makes_no_catalog(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world / "table.csv").write_text("image,labels\na.jpg,cat\nb.jpg,cat\n")
    (world / "images").mkdir()
    (world / "images" / "a.jpg").write_bytes(b"x")
    (world / "pets.yaml").write_text(
        SPEC.replace("{type: imagenet, images: pets}", "{type: table, images: images, table: table.csv}")
    )
    part = load_spec(world / "pets.yaml").spec.sources["pets"]
    source = open_source("pets", part)
    assert catalog("pets", source, part, world / "calm").images.column("status").to_pylist().count("") == 1
    real = Path.stat

    def stat(path: Path, **named: Any) -> os.stat_result:
        if path.name == "a.jpg":
            raise FileNotFoundError(errno.ENOENT, "gone", str(path))
        return real(path, **named)

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(TransientError, match="changed while it was listed"):
        catalog("pets", source, part, world / "catalogs")


@pytest.mark.parametrize("kind", ["imagenet", "folder"])
def test_a_folder_that_is_empty_only_while_it_is_scanned_makes_no_catalog(
    world: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """As a mount below the root is for a second: every name, size and time is as before when it is back."""
    (world / "pets" / "n02084071").mkdir()
    (world / "pets" / "n02084071" / "1.jpg").write_bytes(b"x")
    (world / "pets.yaml").write_text(SPEC.replace("imagenet", kind))
    part = load_spec(world / "pets.yaml").spec.sources["pets"]
    source = open_source("pets", part)
    scan, real = source.scan, os.scandir

    def without_dogs(notes: Notes) -> Iterator[Batch]:
        with monkeypatch.context() as patched:
            empty = world / "empty"
            empty.mkdir(exist_ok=True)
            patched.setattr(
                os, "scandir", lambda path: real(empty if Path(path).name == "n02084071" else path)
            )
            yield from scan(notes)

    source.scan = without_dogs  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="changed while it was listed"):
        catalog("pets", source, part, world / "catalogs")


@pytest.mark.parametrize("kind", ["imagenet", "folder", "open_images", "table"])
def test_an_unchanged_source_is_walked_once_a_plan_and_one_that_is_read_twice(
    world: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    lists = {
        "table": ("table: list.csv, ", f"image,labels\n{CATS}/{CATS}_0.JPEG,cat\n"),
        "open_images": (
            "labels: [list.csv], classes: classes.csv, ",
            f"ImageID,LabelName,Confidence\n{CATS}_0,cat,1\n",
        ),
    }
    given, text = lists.get(kind, ("", ""))
    (world / "list.csv").write_text(text)
    (world / "classes.csv").write_text("cat,cat\n")
    (world / "pets.yaml").write_text(SPEC.replace("type: imagenet, ", f"type: {kind}, {given}"))
    part = load_spec(world / "pets.yaml").spec.sources["pets"]
    real, walks = os.scandir, 0

    def scandir(folder: Any) -> Any:
        nonlocal walks
        walks += not isinstance(folder, int) and Path(folder).name == CATS
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    seen = []
    for change in (False, False, True):
        if change:
            (world / "pets" / CATS / f"{CATS}_0.JPEG").write_bytes(b"other bytes")
        walks = 0
        catalog("pets", open_source("pets", part), part, world / "catalogs")
        seen.append(walks)
    assert seen == [2, 1, 2]


def test_a_plan_waits_for_a_mount_that_drops_out_for_a_moment(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.scandir, [2]

    def scandir(folder: Any = ".") -> Any:
        if not isinstance(folder, int) and Path(folder).name == CATS and left[0]:
            left[0] -= 1
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    said: list[str] = []
    assert plan_summary(plan(loaded(world), world / "out", progress=said.append))["images"] == 20
    assert sum("tried again" in line for line in said) == 2
    left[0] = 1 << 30
    with pytest.raises(SourceError) as caught:
        plan(loaded(world), world / "elsewhere")
    assert caught.value.problems[0].place is not None


def test_the_hint_of_a_result_is_no_part_of_what_it_holds(world: Path) -> None:
    """Another time of change makes a shard again, under the same key and with the same digest."""
    first = made(world)
    os.utime(world / "pets" / CATS / f"{CATS}_3.JPEG", ns=(1, 1))
    planned, store, jobs = packing(world)
    assert len(jobs) == 1
    assert store.entry(jobs[0].key) is not None
    assert replace(jobs[0].key, hint="").digest == jobs[0].key.digest
    assert plan_summary(planned)["why"]["images"] == {"its files were touched since": 1}
    assert made(world).digest == first.digest


@pytest.mark.slow
def test_repair_finds_damage_in_the_store_where_no_dataset_is(world: Path, calm: str) -> None:
    built = made(world)
    shutil.rmtree(built.dataset)
    damaged = []
    for path in sorted((world / "out" / ".mlimg" / "pets" / "images").rglob("c/0/0"))[:1]:
        state, data = path.stat(), bytearray(path.read_bytes())
        data[200] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # as a disk does that forgets a bit
        damaged.append(path)
    assert damaged
    trusting = Backend(cluster=InlineCluster(type="inline"), verify_linked="none")
    assert build(loaded(world), world / "out", trusting).read == 0
    mended = made(world, repair=True)
    assert mended.read in (4, 8)  # one shard
    assert mended.digest == calm
    assert verify(mended.dataset).ok


@pytest.mark.slow
def test_repair_asks_the_source_for_images_without_bytes(world: Path, calm: str) -> None:
    """A result of an older build, or of a machine with bad memory, that calls a whole file corrupt."""
    _, store, jobs = packing(world)
    with pytest.MonkeyPatch.context() as patched:

        def seeing_damage(data: bytes, *given: Any) -> Any:
            raise BadImage.because(Status.corrupt, "a bit was wrong")

        patched.setattr(tasks, "check", seeing_damage)
        run([jobs[0]])
    assert store.has(jobs[0].key)
    wrong = made(world)
    assert wrong.failed == {"corrupt": 8}
    assert made(world).read == 0
    right = made(world, repair=True)
    assert (right.read, right.failed, right.digest) == (8, {}, calm)


def test_repair_leaves_images_that_are_damaged_at_their_source(world: Path) -> None:
    photograph = world / "pets" / CATS / f"{CATS}_3.JPEG"
    photograph.write_bytes(photograph.read_bytes()[:-200])
    first = made(world)
    assert sum(first.failed.values()) == 1
    again = made(world, repair=True)
    assert (again.read, again.digest) == (0, first.digest)


def test_repair_makes_lists_anew(world: Path, calm: str) -> None:
    """A catalog that is wrong under a signature that is right, as one of a source that was away for a second."""
    made(world)
    record = world / "out" / ".mlimg" / "pets" / "catalog" / "pets"
    told = json.loads((record / "catalog.json").read_text())
    images = pa.ipc.open_file(record / "images.arrow").read_all()
    position = images.schema.get_field_index("status")
    lost = images.set_column(position, images.field(position), pa.array(["missing"] * len(images)))
    write_batches(record / "images.arrow", lost.schema, lost.to_batches())
    told["digest"] = "0" * 64
    told["sums"]["images.arrow"] = file_sums(record / "images.arrow")
    del told["crc32c"]
    (record / "catalog.json").write_bytes(sealed(json.dumps(told)))
    assert made(world).failed == {"missing": 20}
    right = made(world, repair=True)
    assert (right.failed, right.digest) == ({}, calm)


def test_repair_finds_labels_and_counts_that_are_not_theirs(world: Path, calm: str) -> None:
    built = made(world)
    labels = world / "out" / ".mlimg" / "pets" / "labels"
    for name in ("chunks", "counts.npy"):
        path = sorted(labels.rglob(name))[0]
        state, data = path.stat(), bytearray(path.read_bytes())
        data[-3] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        spec = loaded(world)
        with Store((world / "out").absolute() / ".mlimg" / "pets").exclusive_lock():
            store = Store((world / "out").absolute() / ".mlimg" / "pets")
            planned = make_plan(spec, load(), store)
            flaws = without_flaws(spec, planned.rows, planned.work, store).flaws
        assert all(flaw.startswith("labels of train/") for flaw in flaws)
        assert len({flaw.partition(": ")[2] for flaw in flaws}) == 1, (
            "shards with the same labels share a result"
        )
        assert made(world).digest == built.digest == calm
