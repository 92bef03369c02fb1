"""A release of images at URLs: locked, built again from its store or from its URLs, and what dead links do to that."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("aiohttp", reason="the extra `fetch` is not installed")

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.lock_stage import check_lock, lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.releases import Release as ReleaseOfSpec
from mlimg_build.compiler.run_stage import fetch
from mlimg_build.compiler.urls.fetch_stage import FetchPlace
from mlimg_build.errors import LockChanged, MlimgError, SpecError
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.content_store import FolderStore, object_path
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.fetch.store.ledger_log import new_log
from mlimg_build.fetch.takedown import take_down
from mlimg_build.spec import LoadedSpec, load_spec
from tests.support.command import mlimg
from tests.support.hostile_http import HostileServer, jpeg
from tests.support.web_world import LOCALLY, WebWorld

PATHS = [*(f"/ok/3000/{number}" for number in range(6)), "/404/x", "/403/x"]
RELEASED = "fetch: {digests: web.digests.parquet}\n"


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    started = HostileServer().start()
    yield started
    started.stop()


class Release:
    """A dataset of URLs that is built and locked in `out`, and machines on which it is built again."""

    def __init__(self, world: WebWorld) -> None:
        self.world, self.folder, self.locked = world, world.folder, world.folder / "web.lock"
        world.write(PATHS, per_shard=4)
        self.first = world.build()
        fetch(
            self.loaded,
            world.folder / "out",
            LOCALLY,
            world.place,
            digests=self.folder / "web.digests.parquet",
        )
        world.write(PATHS, RELEASED, per_shard=4)
        self.again = world.build()
        lock(self.loaded, world.folder / "out", self.locked, LOCALLY)
        world.server.requests.clear()

    @property
    def loaded(self) -> LoadedSpec:
        return load_spec(self.folder / "web.yaml")

    def on(self, name: str, store: str = "", *, offline: bool = False, fraction: float = 1.0) -> Built:
        """A build of what is locked on a machine of its own, with a store of its own if none is given."""
        out = self.folder / name
        place = FetchPlace(store or str(out / "store"), out / "ledger")
        return build(self.loaded, out, LOCALLY, fraction, locked=self.locked, place=place, offline=offline)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, server: HostileServer) -> Release:
    return Release(WebWorld(tmp_path_factory.mktemp("released"), server))


@pytest.fixture
def release(released: Release, tmp_path: Path) -> Iterator[Release]:
    """A copy of what was released, for one test."""
    world = WebWorld(tmp_path, released.world.server)
    shutil.copytree(released.folder, tmp_path, dirs_exist_ok=True)
    release = copy(released)
    release.world, release.folder, release.locked = world, tmp_path, tmp_path / "web.lock"
    for name in ("first", "again"):
        built = getattr(released, name)
        moved = tmp_path / built.dataset.relative_to(released.folder)
        setattr(release, name, replace(built, dataset=moved))
    world.server.requests.clear()
    yield release
    world.server.dead.clear()


def test_a_file_of_digests_says_what_every_url_gave_and_changes_no_byte(release: Release) -> None:
    table = pq.read_table(release.folder / "web.digests.parquet")
    rows = {row["url"]: row for row in table.to_pylist()}
    assert {release.world.url(path) for path in PATHS} == set(rows)
    states = {path: rows[release.world.url(path)]["state"] for path in PATHS}
    assert states == {**dict.fromkeys(PATHS[:6], "ok"), "/404/x": "gone", "/403/x": "forbidden"}
    assert all(len(row["sha256"]) == (64 if row["state"] == "ok" else 0) for row in rows.values())
    assert release.again.digest == release.first.digest
    assert release.again.read == 0


def test_a_lock_is_checked_where_nothing_was_fetched(release: Release) -> None:
    check_lock(release.loaded, release.folder / "ci", release.locked, LOCALLY)
    assert release.world.images_asked() == set()


@pytest.mark.few(1)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_fraction_is_built_from_the_store_of_the_release_without_asking_anybody(
    release: Release, scheme: str
) -> None:
    if scheme:
        pytest.importorskip("obstore")
    built = release.on("ci", f"{scheme}{release.world.place.store}", offline=True, fraction=0.5)
    assert built.proved is not None
    assert built.proved == (1, 1)
    assert release.world.images_asked() == set()
    whole = release.on("ci", f"{scheme}{release.world.place.store}", offline=True)
    assert whole.digest == release.first.digest


def test_a_machine_that_asks_takes_what_the_store_has_and_asks_for_the_rest(release: Release) -> None:
    store = Path(release.world.place.store)
    lost = sorted(path for path in (store / "objects").rglob("*") if path.is_file())[:2]
    for path in lost:
        path.unlink()
    built = release.on("ci", str(store))
    assert built.digest == release.first.digest
    assert len(release.world.images_asked()) == 2
    assert all(path.is_file() for path in lost)


def test_what_the_store_lost_is_named_where_nobody_is_asked(release: Release) -> None:
    store = Path(release.world.place.store)
    url = release.world.url("/ok/3000/1")
    table = pq.read_table(release.folder / "web.digests.parquet").to_pylist()
    digest = next(row["sha256"] for row in table if row["url"] == url)
    (store / object_path(digest)).unlink()
    place = FetchPlace(str(store), store / "ledger")
    with pytest.raises(LockChanged, match="ok in the release, now not asked for") as found:
        build(
            release.loaded, release.folder / "ci", LOCALLY, locked=release.locked, place=place, offline=True
        )
    assert found.value.problems[0].message.count("in the release") == 1
    assert url in found.value.problems[0].message


def test_dead_links_do_no_harm_where_the_store_has_their_images(release: Release) -> None:
    release.world.server.dead.update(PATHS)
    assert release.on("ci", release.world.place.store).digest == release.first.digest


def test_dead_links_without_the_store_are_named_before_anything_is_packed(release: Release) -> None:
    release.world.server.dead.update({"/ok/3000/1", "/ok/3000/4"})
    with pytest.raises(LockChanged) as found:
        release.on("ci")
    problem = found.value.problems[0]
    assert problem.code == "answers-changed"
    for path in ("/ok/3000/1", "/ok/3000/4"):
        assert f"{release.world.url(path)}: ok in the release, now gone: 404" in problem.message
    assert "/ok/3000/0" not in problem.message
    assert "shards.csv: train " in problem.message
    assert not (release.folder / "ci" / "web.zarr").exists()
    release.world.server.dead.clear()


def test_without_a_file_of_digests_the_shards_are_named(release: Release) -> None:
    release.world.write(PATHS, per_shard=4)
    lock(release.loaded, release.folder / "out", release.locked, LOCALLY)
    release.world.server.dead.add("/ok/3000/1")
    with pytest.raises(LockChanged) as found:
        release.on("ci")
    message = found.value.problems[0].message
    assert "the URLs of 1 of 2 shards gave other answers than web.lock stands for" in message
    assert message.count("shards.csv: train ") == 1
    assert release.world.url("") not in message


def test_a_build_that_asks_nobody_and_has_no_store_says_so(release: Release) -> None:
    release.world.write(PATHS, per_shard=4)
    lock(release.loaded, release.folder / "out", release.locked, LOCALLY)
    with pytest.raises(LockChanged, match="nobody asked for its URLs here"):
        release.on("ci", offline=True)


def test_a_lock_that_is_written_where_nothing_was_fetched_keeps_what_it_knows(release: Release) -> None:
    before = {path.name: path.read_bytes() for path in release.locked.iterdir()}
    assert b",fetched\n" in before["shards.csv"]
    lock(release.loaded, release.folder / "ci", release.locked, LOCALLY)
    assert {path.name: path.read_bytes() for path in release.locked.iterdir()} == before


def test_a_lock_after_other_answers_has_their_digests_and_no_old_ones(release: Release) -> None:
    release.world.server.dead.add("/ok/3000/1")
    out = release.folder / "ci"
    fetch(release.loaded, out, LOCALLY, FetchPlace(str(out / "store"), out / "ledger"))
    before = (release.locked / "shards.csv").read_text().splitlines()
    lock(release.loaded, out, release.locked, LOCALLY)
    after = (release.locked / "shards.csv").read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1
    old, new = (line.split(",") for line in changed[0])
    assert old[3:5] == new[3:5]  # the keys
    assert (new[5], old[7] != new[7]) == ("", True)
    assert "dataset: null" in (release.locked / "lock.yaml").read_text()


def test_lock_says_how_many_shards_nobody_can_prove(release: Release) -> None:
    release.world.write(
        PATHS, RELEASED + "images: {max_pixels: 1000000}\n", per_shard=4
    )  # other keys of images
    done = mlimg("lock", "web.yaml", "--out", "fresh", cwd=release.folder)
    assert done.returncode == 0
    assert "2 of 2 shards have no digest" in done.stderr


def test_an_opt_out_since_the_release_is_obeyed(release: Release) -> None:
    """The ledger knows better than the release, though the store has the bytes."""
    from mlimg_build.fetch.store.ledger import Ledger

    url = release.world.url("/ok/3000/1")
    with Ledger(release.world.place.ledger) as ledger:
        record = ledger.find([url])[url]
        ledger.put(
            [replace(record, state=State.opted_out, answer="robots: Disallow: /", time=record.time + 1)]
        )
    place = release.world.place
    with pytest.raises(LockChanged, match="ok in the release, now opted_out: robots"):
        build(
            release.loaded, release.folder / "ci", LOCALLY, locked=release.locked, place=place, offline=True
        )


def test_signals_that_the_release_did_not_obey_are_asked_for(release: Release) -> None:
    path = release.folder / "web.digests.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("signals")
    pq.write_table(table.set_column(at, "signals", pa.array([""] * len(table))), path)
    with pytest.raises(LockChanged, match="fetch: digests: "):
        release.on("ci", release.world.place.store)
    release.world.server.dead.add("/ok/3000/1")
    out = release.folder / "ci"
    place = FetchPlace(release.world.place.store, out / "ledger")
    for _ in range(2):
        release.world.server.requests.clear()
        built = build(release.loaded, out, LOCALLY, place=place)
        assert release.world.statuses(built)["/ok/3000/1"] == "gone"
    assert release.world.images_asked() == set()  # each was asked in the first build


def test_a_dataset_stands_for_the_release_that_it_is(release: Release) -> None:
    kept = release.folder / "kept.zarr"
    shutil.copytree(release.first.dataset, kept)
    release.world.write(PATHS, f"fetch: {{digests: {kept}}}\n", per_shard=4)
    out = release.folder / "ci"
    built = build(release.loaded, out, LOCALLY, place=FetchPlace(str(out / "store"), out / "ledger"))
    assert built.digest == release.first.digest
    release.world.write([*PATHS[1:], "/ok/3000/9"], f"fetch: {{digests: {kept}}}\n", per_shard=4)
    assert set(release.world.statuses(release.world.build()).values()) == {"ok", "gone", "forbidden"}


def test_a_release_is_read_where_its_names_lie_whatever_its_blocks(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = release.folder / "web.digests.parquet"
    whole = ReleaseOfSpec(release.loaded).find([release.world.url(one) for one in PATHS])
    assert len(whole) == len(PATHS)
    pq.write_table(pq.read_table(path), path, row_group_size=3)
    read: list[list[int]] = []
    batches = pq.ParquetFile.iter_batches

    def seen(file: pq.ParquetFile, size: int, groups: list[int], columns: list[str]) -> object:
        if len(columns) > 1:
            read.append(groups)
        return batches(file, size, groups, columns)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", seen)
    found = ReleaseOfSpec(release.loaded)
    urls = pq.read_table(path).column("url").to_pylist()
    assert found.find(urls[:2]) == {url: whole[url] for url in urls[:2]}
    assert found.find([urls[4], "http://nobody.example/"]) == {urls[4]: whole[urls[4]]}
    assert found.find(["http://nobody.example/"]) == found.find([]) == {}
    assert found.find(urls) == whole
    assert read == [[0], [1], [0, 1, 2]]
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    assert ReleaseOfSpec(release.loaded).find(urls) == {}


def test_a_folder_that_is_no_dataset_is_an_error(release: Release) -> None:
    (release.folder / "empty.zarr").mkdir()
    release.world.write(PATHS, "fetch: {digests: empty.zarr}\n", per_shard=4)
    with pytest.raises(SpecError) as found:
        release.world.build()
    assert found.value.code == "file-unreadable"
    assert found.value.problems[0].place is not None


@pytest.mark.few(1)
@pytest.mark.parametrize("state", ["fine", "withdrawn", "licence_refused"])
def test_a_state_that_no_url_gives_is_an_error(release: Release, state: str) -> None:
    path = release.folder / "web.digests.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("state")
    pq.write_table(table.set_column(at, "state", pa.array([state] * len(table))), path)
    with pytest.raises(SpecError) as found:
        release.world.build()
    assert found.value.code == "wrong-value"
    assert f'"{state}" as the state of' in found.value.problems[0].message


def test_what_is_taken_down_is_in_no_file_of_digests(release: Release) -> None:
    url = release.world.url("/ok/3000/1")
    (release.folder / "gone.txt").write_text(f"{url}\n")
    release.world.write(PATHS, "rights: {withdrawn: gone.txt}\n", per_shard=4)
    path = release.folder / "new.parquet"
    fetch(release.loaded, release.folder / "out", LOCALLY, release.world.place, digests=path)
    urls = pq.read_table(path).column("url").to_pylist()
    assert url not in urls
    assert len(urls) == len(PATHS) - 1


def test_the_commands_end_with_3_for_dead_links_and_with_0_from_the_store(release: Release) -> None:
    where = release.folder / "backend.yaml"
    where.write_text("cluster: {type: inline}\nfetch: {allow_networks: [127.0.0.0/8], attempts: 1}\n")
    release.world.server.dead.add("/ok/3000/1")
    command = ["build", "web.yaml", "--locked", "--until", "dataset", "--backend", str(where), "--out"]
    dead = mlimg(*command, "ci", "--store", "empty", cwd=release.folder)
    assert dead.returncode == 3
    assert "answers-changed" in dead.stderr
    done = mlimg(
        *command, "ci2", "--store", release.world.place.store, "--offline", "--json", cwd=release.folder
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["proved"] == [2, 2]


@pytest.mark.slow
def test_the_workflow_of_the_examples_builds_a_fraction_from_the_store(release: Release) -> None:
    (release.folder / "specs").mkdir()
    for name in ("web.yaml", "web.lock", "web.digests.parquet", "list.csv"):
        shutil.move(release.folder / name, release.folder / "specs" / name)
    release.world.server.dead.update(PATHS)
    script = Path(__file__).resolve().parents[2] / "examples" / "ci" / "check.sh"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {
        **os.environ,
        "PATH": path,
        "MLIMG_STORE": release.world.place.store,
        "OFFLINE": "1",
        "FRACTION": "0.5",
    }

    def step(name: str, **more: str) -> int:
        command = ["bash", str(script), name]
        return subprocess.run(
            command, cwd=release.folder, env={**env, **more}, check=False, timeout=100
        ).returncode

    assert (step("locks"), step("fraction")) == (0, 0)
    assert step("fraction", MLIMG_STORE=str(release.folder / "none"), OUT="other") == 3


def test_a_limit_below_what_was_released_is_told_and_asked_for_once(release: Release) -> None:
    release.world.write(PATHS, "fetch: {digests: web.digests.parquet, max_bytes: 1000}\n", per_shard=4)
    out = release.folder / "ci"
    place = FetchPlace(release.world.place.store, out / "ledger")
    for _ in range(2):
        release.world.server.requests.clear()
        built = build(release.loaded, out, LOCALLY, place=place)
        assert built.failed == {"too_large": 6, "gone": 1, "forbidden": 1}
    assert release.world.images_asked() == set()


def test_a_url_that_failed_for_a_time_stays_as_released_where_a_lock_is_given(
    tmp_path: Path, server: HostileServer
) -> None:
    world = WebWorld(tmp_path, server)
    paths = ["/ok/3000/1", "/502/x", "/ok/3000/2"]
    world.write(paths)
    world.build()
    fetch(
        load_spec(tmp_path / "web.yaml"),
        tmp_path / "out",
        LOCALLY,
        world.place,
        digests=tmp_path / "web.digests.parquet",
    )
    world.write(paths, RELEASED)
    loaded = load_spec(tmp_path / "web.yaml")
    build(loaded, tmp_path / "out", LOCALLY, place=world.place, offline=True)
    lock(loaded, tmp_path / "out", tmp_path / "web.lock", LOCALLY)
    server.requests.clear()
    for name, offline in (("a", True), ("b", False)):
        out = tmp_path / name
        place = FetchPlace(world.place.store, out / "ledger")
        built = build(loaded, out, LOCALLY, locked=tmp_path / "web.lock", place=place, offline=offline)
        assert built.proved == (1, 1)
    assert world.images_asked() == set()
    build(loaded, tmp_path / "b", LOCALLY, place=FetchPlace(world.place.store, tmp_path / "b" / "ledger"))
    assert world.images_asked() == {"/502/x"}


def test_a_lock_tells_a_change_of_what_counts_and_keeps_no_answer_of_another_policy(release: Release) -> None:
    more = RELEASED + "rights: {licences: {allow: [CC0-1.0]}}\n"
    release.world.write(PATHS, more, per_shard=4)
    with pytest.raises(LockChanged, match="fetch: licences: none → "):
        check_lock(release.loaded, release.folder / "ci", release.locked, LOCALLY)
    lock(release.loaded, release.folder / "ci", release.locked, LOCALLY)
    rows = (release.locked / "shards.csv").read_text().splitlines()
    assert rows[0].endswith(",labels_digest")  # no answers
    assert "dataset: null" in (release.locked / "lock.yaml").read_text()


def test_a_change_of_the_file_of_digests_is_a_change_of_the_lock(release: Release) -> None:
    path = release.folder / "web.digests.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("sha256")
    pq.write_table(table.set_column(at, "sha256", pa.array(["cd" * 32] * len(table))), path)
    with pytest.raises(LockChanged, match="fetch: digests: "):
        check_lock(release.loaded, release.folder / "ci", release.locked, LOCALLY)


def test_a_merged_lock_keeps_digest_and_answers_of_one_side(release: Release) -> None:
    path = release.locked / "shards.csv"
    head, *rows = path.read_text().splitlines()
    other = [",".join([*row.split(",")[:5], "", row.split(",")[6], "f" * 16]) for row in rows]
    for lines in ([*rows, *other], [*other, *rows]):
        path.write_text("\n".join([head, *lines]) + "\n")
        lock(release.loaded, release.folder / "ci", release.locked, LOCALLY)
        assert path.read_text().splitlines() == [head, *rows]


@pytest.mark.parametrize("first", ["with", "without"])
def test_a_conflict_over_a_lock_with_answers_and_one_without_keeps_the_digests_of_both(
    release: Release, first: str
) -> None:
    path = release.locked / "shards.csv"
    before = path.read_text()
    head, *rows = before.splitlines()
    bare = [line.rpartition(",")[0] for line in (head, *rows)]
    labels = rows[0].split(",")[6]
    assert labels
    sides = [[head, *rows], [line.replace(labels, "") for line in bare]]
    if first == "without":
        sides.reverse()
    path.write_text("\n".join(["<<<<<<< ours", *sides[0], "=======", *sides[1], ">>>>>>> theirs"]) + "\n")
    lock(release.loaded, release.folder / "ci", release.locked, LOCALLY)
    assert path.read_text() == before


def test_a_lock_after_a_build_that_asked_nobody_keeps_what_the_release_had(release: Release) -> None:
    before = {path.name: path.read_bytes() for path in release.locked.iterdir()}
    out = release.folder / "ci"
    release.world.write(PATHS, per_shard=4)  # no file of digests: nothing is known here
    lock(release.loaded, release.folder / "out", release.locked, LOCALLY)
    before = {path.name: path.read_bytes() for path in release.locked.iterdir()}
    build(release.loaded, out, LOCALLY, 0.5)
    check_lock(release.loaded, out, release.locked, LOCALLY)
    lock(release.loaded, out, release.locked, LOCALLY)
    assert {path.name: path.read_bytes() for path in release.locked.iterdir()} == before


def test_a_lock_of_a_build_that_asked_nobody_refuses_before_anything_is_packed(
    tmp_path: Path, server: HostileServer
) -> None:
    world = WebWorld(tmp_path, server)
    world.write(["/ok/3000/1", "/ok/3000/2"])
    world.build(offline=True)
    loaded = load_spec(tmp_path / "web.yaml")
    lock(loaded, tmp_path / "out", tmp_path / "web.lock", LOCALLY)
    with pytest.raises(LockChanged) as found:
        build(loaded, tmp_path / "ci", LOCALLY, locked=tmp_path / "web.lock", place=world.place)
    assert found.value.problems[0].code == "answers-changed"
    assert not list((tmp_path / "ci" / ".mlimg" / "web").glob("images/*/*"))


def test_a_file_of_digests_has_what_rows_took_and_not_what_the_ledger_knows(
    tmp_path: Path, server: HostileServer
) -> None:
    world = WebWorld(tmp_path, server)
    paths, licences = ["/ok/3000/1", "/ok/3000/2", "/ok/3000/3"], ["CC0", "CC-BY-NC-2.0", "CC0"]
    world.write(paths, licences=licences)
    world.build()
    old = {"url": [world.url(paths[2])], "sha256": ["ab" * 32]}
    pq.write_table(pa.table(old), tmp_path / "old.parquet")
    more = "fetch: {digests: old.parquet}\nrights: {licences: {allow: [CC0-1.0]}}\n"
    world.write(paths, more, licences=licences)
    fetch(
        load_spec(tmp_path / "web.yaml"),
        tmp_path / "out",
        LOCALLY,
        world.place,
        digests=tmp_path / "new.parquet",
    )
    rows = {row["url"]: row for row in pq.read_table(tmp_path / "new.parquet").to_pylist()}
    assert set(rows) == {world.url(paths[0]), world.url(paths[2])}
    assert (rows[world.url(paths[2])]["state"], rows[world.url(paths[2])]["sha256"]) == ("changed", "")


def test_bytes_of_a_release_that_are_taken_down_are_not_asked_for(release: Release) -> None:
    table = pq.read_table(release.folder / "web.digests.parquet").to_pylist()
    row = next(row for row in table if row["url"] == release.world.url("/ok/3000/1"))
    (release.folder / "gone.txt").write_text(row["sha256"] + "\n")
    release.world.write(PATHS, RELEASED + "rights: {withdrawn: gone.txt}\n", per_shard=4)
    out = release.folder / "ci"
    built = build(release.loaded, out, LOCALLY, place=FetchPlace(str(out / "store"), out / "ledger"))
    assert release.world.statuses(built)["/ok/3000/1"] == "withdrawn"
    assert not release.world.asked("/ok/3000/1")


def test_other_bytes_than_those_of_a_dataset_that_was_released_are_changed(release: Release) -> None:
    kept = release.folder / "kept.zarr"
    shutil.copytree(release.first.dataset, kept)
    url = release.world.url("/ok/3000/1")
    with Ledger(release.world.place.ledger) as ledger:
        other = FolderStore(Path(release.world.place.store)).write(jpeg("/ok/3000/9", 3000))
        record = ledger.find([url])[url]
        ledger.put([replace(record, digest=other, time=record.time + 1)])
    release.world.write(PATHS, f"fetch: {{digests: {kept}}}\n", per_shard=4)
    assert release.world.statuses(release.world.build(offline=True))["/ok/3000/1"] == "not_fetched"
    loaded, out = release.loaded, release.folder / "ci"
    built = build(loaded, out, LOCALLY, place=release.world.place, offline=True)
    states = release.world.statuses(built)
    assert (states["/ok/3000/1"], states["/ok/3000/2"]) == ("changed", "ok")


@pytest.mark.parametrize("offline", [False, True])
def test_a_takedown_since_the_release_stays_though_the_release_has_the_image(
    release: Release, offline: bool
) -> None:
    url, place = release.world.url("/ok/3000/1"), release.world.place
    with Ledger(place.ledger) as ledger:
        assert take_down(ledger, FolderStore(Path(place.store)), [url], (), 2e9).files == 1
    for out in ("out", "ci"):
        built = build(release.loaded, release.folder / out, LOCALLY, place=place, offline=offline)
        assert release.world.statuses(built)["/ok/3000/1"] == "withdrawn"
    assert release.world.asked("/ok/3000/1") == 0
    assert not FolderStore(Path(place.store)).read(hashlib.sha256(jpeg("/ok/3000/1", 3000)).hexdigest())


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.struct([("a", pa.string())]), pa.int64()])
def test_urls_of_a_release_that_are_no_texts_are_one_error(release: Release, kind: pa.DataType) -> None:
    path = release.folder / "web.digests.parquet"
    pq.write_table(pa.table({"url": pa.array([None], kind), "sha256": ["ab" * 32]}), path)
    if kind == pa.int64():
        assert ReleaseOfSpec(release.loaded).find(["http://a.example/"]) == {}
        return
    with pytest.raises(SpecError) as found:
        ReleaseOfSpec(release.loaded).find(["http://a.example/"])
    assert found.value.code == "file-unreadable"


def test_urls_of_a_release_that_are_bytes_are_found(release: Release) -> None:
    url = "http://a.example/\u00e4.jpg"
    table = pa.table({"url": pa.array([url.encode()], pa.binary()), "sha256": ["ab" * 32]})
    pq.write_table(table, release.folder / "web.digests.parquet")
    assert ReleaseOfSpec(release.loaded).find([url])[url].digest == "ab" * 32


def test_a_log_in_a_store_that_may_only_be_read_is_in_the_file_of_digests(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, place = release.world.url("/ok/3000/1"), release.world.place
    with Ledger(place.ledger) as ledger, new_log(place.ledger) as log:
        known = ledger.find([url])[url]
        log.append(replace(known, state=State.opted_out, answer="robots: Disallow: /", time=known.time + 1))
    monkeypatch.setattr("mlimg_build.fetch.store.ledger.may_write", lambda folder: False)
    path = release.folder / "again.parquet"
    fetch(release.loaded, release.folder / "out", LOCALLY, place, digests=path)
    rows = {row["url"]: row["state"] for row in pq.read_table(path).to_pylist()}
    assert rows[url] == "opted_out"


def test_two_digests_of_one_url_and_two_columns_of_one_name_are_errors(release: Release) -> None:
    url = release.world.url("/ok/3000/1")
    path = release.folder / "web.digests.parquet"
    pq.write_table(pa.table({"url": [url, url], "sha256": ["ab" * 32, "cd" * 32]}), path)
    with pytest.raises(SpecError, match="two sha256"):
        release.world.build()
    columns = [pa.array([url]), pa.array([url]), pa.array(["ab" * 32])]
    pq.write_table(pa.Table.from_arrays(columns, names=["url", "url", "sha256"]), path)
    with pytest.raises(SpecError, match="two columns url"):
        release.world.build()


def test_a_file_of_digests_that_cannot_be_written_is_said_before_anything_is_asked(release: Release) -> None:
    release.world.server.requests.clear()
    with pytest.raises(MlimgError) as found:
        fetch(release.loaded, release.folder / "new", LOCALLY, release.world.place, digests=release.folder)
    assert found.value.code == "output-unwritable"
    assert release.world.images_asked() == set()
