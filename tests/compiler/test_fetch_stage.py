"""Builds of specs whose images lie at URLs: what is fetched, what every row gets, and what a rerun asks for."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("aiohttp", reason="the extra `fetch` is not installed")

from mlimg_build.cli.options import plain
from mlimg_build.compiler.cache_stage import cache_contents, prune_cache
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan.row_files import Shard
from mlimg_build.compiler.plan_stage import open_store, outlook, plan
from mlimg_build.compiler.run_stage import fetch
from mlimg_build.compiler.urls import fetch_stage, refusals
from mlimg_build.compiler.urls.fetch_outlook import FetchRate, note_rate, read_rate
from mlimg_build.compiler.urls.fetch_stage import fetch_place
from mlimg_build.compiler.watchers import Silent
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import BuildError, Interrupted, SpecError
from mlimg_build.fetch.collection import FetchWork, collect
from mlimg_build.fetch.decisions import FetchPolicy
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.content_store import FolderStore, object_path
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.fetch.store.ledger_log import Record, new_log
from mlimg_build.fetch.takedown import take_down
from mlimg_build.spec import load_spec
from mlimg_build.terminal.fetched import show_outlook
from tests.support.command import mlimg
from tests.support.hostile_http import HostileServer, jpeg
from tests.support.other_user import as_nobody, folder_for_all
from tests.support.runs import backend
from tests.support.web_world import LOCAL, LOCALLY, WebWorld

MIX = {
    "/ok/3000/1": "ok",
    "/ok/3000/2": "ok",
    "/redirect/2/x": "ok",
    "/404/x": "gone",
    "/410/x": "gone",
    "/403/x": "forbidden",
    "/502/x": "temporary",
    "/html/x": "not_an_image",
    "/loop/x": "bad_redirect",
    "/to-private/x": "address_refused",
    "/huge/x": "too_large",
    "/reserved/x": "opted_out",
}


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    started = HostileServer().start()
    yield started
    started.stop()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter."""
    with folder_for_all() as folder:
        yield folder


@pytest.fixture
def world(tmp_path: Path, server: HostileServer) -> WebWorld:
    server.requests.clear()
    return WebWorld(tmp_path, server)


def test_every_row_gets_the_status_of_its_url_and_the_bytes_that_came(world: WebWorld) -> None:
    world.write(list(MIX))
    built = world.build()
    assert world.statuses(built) == MIX
    assert built.fetched is not None
    assert (built.fetched.asked, built.fetched.states["ok"]) == (len(MIX), 3)
    with open_dataset(built.dataset) as dataset:
        data = {image.id.rpartition("/")[2]: image.data for image in dataset["train"] if image.status == "ok"}
    assert data["1"] == jpeg("/ok/3000/1", 3000)
    assert built.failures is not None
    assert "gone,404" in built.failures.read_text()
    assert "x-robots-tag: X-Robots-Tag: noai" in built.failures.read_text()


def test_a_rerun_asks_only_for_what_may_have_passed_and_gives_the_same_dataset(world: WebWorld) -> None:
    world.write(list(MIX))
    first = world.build()
    world.server.requests.clear()
    again = world.build()
    assert again.digest == first.digest
    assert world.images_asked() == {"/502/x"}


def test_another_spec_of_the_same_store_asks_for_nothing_that_came(world: WebWorld, tmp_path: Path) -> None:
    world.write(["/ok/3000/1", "/404/x"])
    world.build()
    other = WebWorld(tmp_path / "other", world.server)
    other.folder.mkdir()
    other.place = world.place
    other.write(["/404/x", "/ok/3000/1", "/ok/3000/9"])
    world.server.requests.clear()
    built = other.build()
    assert built.failed == {"gone": 1}
    assert (world.asked("/ok/3000/1"), world.asked("/404/x"), world.asked("/ok/3000/9")) == (0, 0, 1)


def test_offline_uses_what_came_and_asks_for_nothing(world: WebWorld) -> None:
    world.write(["/ok/3000/1", "/404/x"])
    assert world.build(offline=True).failed == {"not_fetched": 2}
    assert not world.server.requests
    assert fetch(load_spec(world.folder / "web.yaml"), world.folder / "out", LOCALLY, world.place) is not None
    world.server.requests.clear()
    loaded = load_spec(world.folder / "web.yaml")
    where = LOCALLY.model_copy(
        update={"fetch": LOCAL.model_copy(update={"store": str(world.folder / "store")})}
    )
    assert build(loaded, world.folder / "out", where).failed == {"gone": 1}
    assert not world.server.requests


def test_a_fraction_fetches_a_fraction_and_its_shards_are_those_of_the_whole(world: WebWorld) -> None:
    paths = [f"/ok/2000/{n}" for n in range(40)]
    world.write(paths, per_shard=10)
    part = world.build(fraction=0.25)
    assert sum(world.asked(path) for path in paths) == 10
    whole = world.build()
    assert sum(world.asked(path) for path in paths) == 40
    shards = [(built.lock / "shards.csv").read_text().splitlines() for built in (part, whole)]
    assert shards[0][1] in shards[1]


def test_a_site_that_forbids_is_asked_once_the_spec_ignores_its_signal(world: WebWorld) -> None:
    world.write(["/reserved/1"])
    assert world.build().failed == {"opted_out": 1}
    world.write(["/reserved/1"], "rights: {x_robots_tag: ignore}\n")
    assert world.build().failed == {}
    world.write(["/reserved/1"])  # what came while the signal was ignored is no answer for who obeys
    assert world.build().failed == {"opted_out": 1}


def test_licences_decide_before_anything_is_asked(world: WebWorld) -> None:
    world.write(
        ["/ok/0/1", "/ok/0/2", "/ok/0/3"],
        "rights: {licences: {allow: [CC-BY-*]}}\n",
        licences=["https://creativecommons.org/licenses/by/2.0/", "CC BY-NC 2.0", ""],
    )
    built = world.build()
    assert world.statuses(built) == {
        "/ok/0/1": "ok",
        "/ok/0/2": "licence_refused",
        "/ok/0/3": "licence_refused",
    }
    assert (world.asked("/ok/0/2"), world.asked("/ok/0/3")) == (0, 0)
    assert built.failures is not None
    assert "licence CC-BY-NC-2.0 is not among CC-BY-*" in built.failures.read_text()


def test_a_placeholder_of_the_spec_counts_as_missing(world: WebWorld) -> None:
    digest = hashlib.sha256(jpeg("/ok/3000/1", 3000)).hexdigest()
    world.write(["/ok/3000/1", "/ok/3000/2"])
    assert world.build().failed == {}
    world.write(["/ok/3000/1", "/ok/3000/2"], f"fetch: {{placeholders: [{digest}]}}\n")
    world.server.requests.clear()
    built = world.build()
    assert world.statuses(built) == {"/ok/3000/1": "placeholder", "/ok/3000/2": "ok"}
    assert not world.asked("/ok/3000/2")


def test_bytes_other_than_those_of_a_release_are_left_out(world: WebWorld) -> None:
    urls = [world.url(path) for path in ("/ok/3000/1", "/ok/3000/2")]
    digests = [hashlib.sha256(data).hexdigest() for data in (jpeg("/ok/3000/1", 3000), b"another picture")]
    pq.write_table(pa.table({"url": urls, "sha256": digests}), world.folder / "release.parquet")
    world.write(["/ok/3000/1", "/ok/3000/2", "/ok/3000/3"], "fetch: {digests: release.parquet}\n")
    assert world.statuses(world.build()) == {"/ok/3000/1": "ok", "/ok/3000/2": "changed", "/ok/3000/3": "ok"}


def test_a_file_that_the_store_lost_is_fetched_again(world: WebWorld) -> None:
    world.write(["/ok/3000/1", "/ok/3000/2"])
    loaded = load_spec(world.folder / "web.yaml")
    assert fetch(loaded, world.folder / "out", LOCALLY, world.place) is not None
    path = Path(world.place.store) / object_path(hashlib.sha256(jpeg("/ok/3000/1", 3000)).hexdigest())
    path.write_bytes(b"damaged")
    with pytest.raises(BuildError) as found:
        world.build()
    assert found.value.code == "stored-image-lost"
    assert world.build().failed == {}
    assert path.read_bytes() == jpeg("/ok/3000/1", 3000)


@pytest.mark.slow
def test_workers_give_the_dataset_of_one_process(world: WebWorld, tmp_path: Path) -> None:
    world.write([*MIX, *(f"/ok/2000/{n}" for n in range(30))], per_shard=10)
    alone = world.build()
    other = WebWorld(tmp_path / "two", world.server)
    other.folder.mkdir()
    other.write([*MIX, *(f"/ok/2000/{n}" for n in range(30))], per_shard=10)
    assert other.build(backend(2).model_copy(update={"fetch": LOCAL})).digest == alone.digest


def test_the_ledger_says_what_was_met_and_when(world: WebWorld) -> None:
    world.write(["/ok/3000/1", "/404/x"])
    before = time.time()
    world.build()
    with Ledger(world.place.ledger) as ledger:
        found = ledger.find([world.url("/404/x"), world.url("/ok/3000/1")])
        assert ledger.states() == {State.ok: 1, State.gone: 1}
    gone = found[world.url("/404/x")]
    assert (gone.state, gone.answer, gone.attempts) == (State.gone, "404", 1)
    assert before <= gone.time <= time.time()
    assert found[world.url("/ok/3000/1")].size == 3000


@pytest.mark.slow
def test_times_are_in_no_digest(world: WebWorld, tmp_path: Path) -> None:
    world.write(["/ok/3000/1", "/404/x"])
    first = world.build()
    with Ledger(world.place.ledger) as ledger:
        ledger.put([replace(record, time=record.time - 1000) for record in ledger.records()])
    other = WebWorld(tmp_path / "later", world.server)
    other.folder.mkdir()
    other.place = world.place
    other.write(["/ok/3000/1", "/404/x"])
    assert other.build().digest == first.digest


def test_a_plan_tells_what_is_to_be_fetched_and_how_long_it_takes(
    world: WebWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.write(list(MIX))
    loaded = load_spec(world.folder / "web.yaml")
    before = outlook(plan(loaded, world.folder / "out"), world.folder / "out", world.place)
    assert before is not None
    assert (before.images, before.to_ask, before.seconds) == (len(MIX), len(MIX), None)
    fetch(loaded, world.folder / "out", LOCALLY, world.place)
    world.write([*MIX, *(f"/ok/3000/new{n}" for n in range(40))], per_shard=60)
    after = outlook(
        plan(load_spec(world.folder / "web.yaml"), world.folder / "out"), world.folder / "out", world.place
    )
    assert after is not None
    waiting = sum(state in ("temporary", "timeout") for state in MIX.values())
    assert (after.images, after.to_ask, after.is_sample) == (len(MIX) + 40, 40 + waiting, False)
    assert after.states["ok"] == 3  # the ledger knows them, though the shard is another
    assert after.seconds is not None
    assert after.seconds > 0
    assert after.bytes is not None
    assert after.bytes > 3000
    assert after.free is not None
    command = ("plan", "web.yaml", "--out", "out", "--store", world.place.store)
    assert "are free there" in mlimg(*command, cwd=world.folder).stdout
    told = {"states": {}, "images": 9, "to_ask": 9, "seconds": 60.0, "bytes": 2000, "free": 1000}
    show_outlook({**told, "is_sample": False})
    assert "in the store; 1000 B are free there, too few" in capsys.readouterr().out
    fetch(load_spec(world.folder / "web.yaml"), world.folder / "out", LOCALLY, world.place)
    done = outlook(
        plan(load_spec(world.folder / "web.yaml"), world.folder / "out"), world.folder / "out", world.place
    )
    assert done is not None
    assert (done.to_ask, done.states["ok"]) == (1, 43)


def test_a_plan_of_many_shards_looks_at_some_of_them(
    world: WebWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mlimg_build.compiler.urls.fetch_outlook.SAMPLE", 3)
    known = [f"/ok/3000/{n}" for n in range(12)]
    world.write(known, per_shard=12)
    fetch(load_spec(world.folder / "web.yaml"), world.folder / "out", LOCALLY, world.place)
    world.write([*known, *(f"/ok/3000/new{n}" for n in range(12))], per_shard=2)
    loaded = load_spec(world.folder / "web.yaml")
    ahead = outlook(plan(loaded, world.folder / "out"), world.folder / "out", world.place)
    assert ahead is not None
    assert ahead.is_sample
    assert ahead.images == 24
    known_ok = ahead.states.get("ok", 0)  # which shards are looked at depends on the port of the server
    assert known_ok + ahead.to_ask == 24
    assert known_ok % 4 == 0  # of six images, each stands for four
    show_outlook(plain(ahead))
    assert f"to fetch    about {ahead.to_ask} URLs" in capsys.readouterr().out
    world.server.requests.clear()
    monkeypatch.undo()
    whole = outlook(plan(loaded, world.folder / "out"), world.folder / "out", world.place)
    assert whole is not None
    assert (whole.states["ok"], whole.to_ask, whole.is_sample) == (12, 12, False)
    assert world.images_asked() == set()


@pytest.mark.few(2)
@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("state", [State.opted_out, State.withdrawn])
def test_what_somebody_else_met_since_is_obeyed_where_the_shard_is_finished(
    world: WebWorld, state: State, offline: bool
) -> None:
    paths = [f"/ok/3000/{n}" for n in range(6)]
    world.write(paths, per_shard=2)
    first = world.build()
    assert world.build().digest == first.digest
    url = world.url(paths[3])
    met(world, url, state, "robots: Disallow: /")
    kept = fetched_files(world)
    world.server.requests.clear()
    loaded = load_spec(world.folder / "web.yaml")
    now = build(loaded, world.folder / "out", LOCALLY, place=world.place, offline=offline)
    assert world.statuses(now) == dict.fromkeys(paths, "ok") | {paths[3]: state.name}
    assert world.images_asked() == set()
    # one shard alone was decided again, and is another one without the row that is taken down
    assert len(fetched_files(world) - kept) == (2 if state == State.withdrawn else 1)
    again = build(loaded, world.folder / "out", LOCALLY, place=world.place, offline=offline)
    assert again.digest == now.digest


@pytest.mark.parametrize("offline", [False, True])
def test_an_opt_out_is_obeyed_though_it_is_the_second_or_somebody_asked_again_who_obeys_less(
    world: WebWorld, offline: bool
) -> None:
    paths = [f"/ok/3000/{n}" for n in range(4)]
    world.write(paths, "rights: {robots: ignore}\n", per_shard=2)
    first = world.build()
    loaded = load_spec(world.folder / "web.yaml")
    met(world, world.url(paths[0]), State.opted_out, "robots: Disallow: /")
    now = build(loaded, world.folder / "out", LOCALLY, place=world.place, offline=offline)
    assert now.digest == first.digest
    for path, lesser in ((paths[0], False), (paths[1], True)):
        with Ledger(world.place.ledger) as ledger, new_log(world.place.ledger) as log:
            known = ledger.find([world.url(path)])[world.url(path)]
            log.append(replace(known, state=State.opted_out, answer="tdm: 1", digest="", time=known.time + 5))
            if lesser:
                log.append(replace(known, signals=("robots",), time=known.time + 6))
    now = build(loaded, world.folder / "out", LOCALLY, place=world.place, offline=offline)
    assert world.statuses(now) == dict.fromkeys(paths, "ok") | dict.fromkeys(paths[:2], "opted_out")


def test_a_takedown_that_others_made_is_whole_though_the_first_build_after_it_is_stopped(
    world: WebWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [f"/ok/3000/{n}" for n in range(4)]
    world.write(paths, licences=["CC BY 4.0"] * 4, per_shard=2)
    world.build()
    met(world, world.url(paths[0]), State.withdrawn, "")

    def stop(*arguments: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fetch_stage, "_is_stale", stop)
        with pytest.raises(Interrupted):
            world.build()
    with open_dataset(world.build().dataset) as dataset:
        (gone,) = [image for image in dataset["train"] if image.status == "withdrawn"]
        assert gone.id.endswith(paths[0])
        assert (list(gone.labels), gone.licence) == ([], "")


@pytest.mark.parametrize("offline", [False, True])
def test_a_refusal_that_the_spec_does_not_obey_changes_nothing(world: WebWorld, offline: bool) -> None:
    paths = [f"/ok/3000/{n}" for n in range(4)]
    world.write(paths, "rights: {tdm: ignore}\n", per_shard=2)
    first, kept = world.build(), fetched_files(world)
    met(world, world.url(paths[0]), State.opted_out, "tdm: tdm-reservation: 1")
    world.server.requests.clear()
    loaded = load_spec(world.folder / "web.yaml")
    for _ in range(2):
        now = build(loaded, world.folder / "out", LOCALLY, place=world.place, offline=offline)
        assert (now.digest, fetched_files(world)) == (first.digest, kept)
    assert world.images_asked() == set()


@pytest.mark.parametrize("offline", [False, True])
def test_a_refusal_is_obeyed_where_what_a_shard_took_is_damaged(world: WebWorld, offline: bool) -> None:
    paths = [f"/ok/3000/{n}" for n in range(4)]
    world.write(paths, per_shard=2)
    world.build()
    met(world, world.url(paths[0]), State.opted_out, "robots: Disallow: /")
    for path, _ in fetched_files(world):
        data = bytearray(Path(path).read_bytes())
        data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
        Path(path).write_bytes(data)
    loaded = load_spec(world.folder / "web.yaml")
    now = build(loaded, world.folder / "out", LOCALLY, place=world.place, offline=offline)
    assert world.statuses(now) == dict.fromkeys(paths, "ok") | {paths[0]: "opted_out"}


def test_finished_shards_are_looked_at_once_for_what_was_refused(
    world: WebWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if every group of shards met refusals of its own; a ledger that took the place of another counts anew."""
    monkeypatch.setattr("mlimg_build.compiler.urls.url_decisions.SHARDS", 1)
    paths = [path for n in range(4) for path in (f"/ok/3000/{n}", f"/reserved/{n}")]
    world.write(paths, per_shard=2)
    world.build()
    looked: list[int] = []
    concerned = refusals._concerned

    def counted(*arguments: Any) -> list[Shard]:
        batches = arguments[0].rows.batch
        monkeypatch.setattr(
            type(arguments[0].rows), "batch", lambda rows, shard: looked.append(1) or batches(shard)
        )
        try:
            return concerned(*arguments)
        finally:
            monkeypatch.setattr(type(arguments[0].rows), "batch", batches.__func__)

    monkeypatch.setattr(refusals, "_concerned", counted)
    world.build()
    assert looked
    looked.clear()
    world.build()
    assert looked == []
    shutil.rmtree(world.place.ledger)
    with Ledger(world.place.ledger) as ledger:
        ledger.put([Record(world.url(paths[0]), State.opted_out, "robots: Disallow: /", time=time.time())])
    assert world.statuses(world.build())[paths[0]] == "opted_out"
    assert looked


def met(world: WebWorld, url: str, state: State, answer: str) -> None:
    """Somebody who shares the ledger met a refusal."""
    with Ledger(world.place.ledger) as ledger:
        known = ledger.find([url])[url]
        if state == State.withdrawn:
            take_down(ledger, FolderStore(world.folder / "store"), [url], (), known.time + 1)
        else:
            ledger.put([replace(known, state=state, answer=answer, digest="", time=known.time + 1)])


def fetched_files(world: WebWorld) -> set[tuple[str, int]]:
    """What is stored of the URLs of shards, with the times when it was written."""
    found = (world.folder / "out/.mlimg/web/fetched").rglob("*.arrow")
    return {(str(path), path.stat().st_mtime_ns) for path in found}


def test_a_store_that_may_only_be_read_serves_a_build_that_asks_nobody(
    open_folder: Path, server: HostileServer
) -> None:
    """Its ledger has a log that nobody took into its table."""
    world = WebWorld(open_folder, server)
    world.write(["/ok/3000/1", "/404/x"])
    first = world.build()
    with Ledger(world.place.ledger) as ledger, new_log(world.place.ledger) as log:
        known = ledger.find([world.url("/404/x")])[world.url("/404/x")]
        log.append(replace(known, answer="410", time=known.time + 1))
    before = {path: path.read_bytes() for path in (open_folder / "store").rglob("*") if path.is_file()}
    mine = open_folder / "mine"
    mine.mkdir(mode=0o777)
    mine.chmod(0o777)
    loaded = load_spec(open_folder / "web.yaml")
    with as_nobody():
        ahead = outlook(plan(loaded, mine), mine, world.place)
        built = build(loaded, mine, LOCALLY, place=world.place, offline=True)
    assert ahead is not None
    assert (ahead.states, ahead.to_ask) == ({"ok": 1, "gone": 1}, 0)
    assert built.digest == first.digest
    assert {
        path: path.read_bytes() for path in (open_folder / "store").rglob("*") if path.is_file()
    } == before


@pytest.mark.parametrize(
    ("workers", "per_host", "tasks", "each", "sharing"),
    [
        (1, 4, 6, 4, 1),
        (3, 4, 6, 1, 3),
        (6, 4, 4, 1, 4),
        (None, 4, 4, 1, 4),
        (2, 8, 6, 4, 2),
        (64, 16, 6, 2, 6),
    ],
)
def test_a_host_never_gets_more_requests_at_a_time_however_many_workers_there_are(
    monkeypatch: pytest.MonkeyPatch,
    world: WebWorld,
    workers: int | None,
    per_host: int,
    tasks: int,
    each: int,
    sharing: int,
) -> None:
    """`tasks` have URLs of the large host; so many of them as run at a time ask it with `each` requests."""
    monkeypatch.setattr(fetch_stage, "TASK_URLS", 10)
    monkeypatch.setattr(fetch_stage, "LARGE", 20)
    monkeypatch.setattr(fetch_stage, "_workers", lambda backend: workers)
    seen: list[FetchWork] = []
    monkeypatch.setattr(fetch_stage, "execute", lambda tasks, *_: seen.extend(one for (one,) in tasks))
    large = [f"http://large.example/{n}" for n in range(48)]
    small = [f"http://small{n % 4}.example/{n}" for n in range(12)]
    how = LOCALLY.model_copy(update={"fetch": LOCAL.model_copy(update={"per_host": per_host})})
    world.write(["/ok/1/1"])
    loaded = load_spec(world.folder / "web.yaml")
    store = open_store(loaded, world.folder / "out")
    mixed = [url for pair in zip_longest(large, small) for url in pair if url is not None]
    fetch_stage._ask(mixed, FetchPolicy(), loaded, store, how, Silent(), world.place)
    assert sorted(url for one in seen for url in one.urls) == sorted([*large, *small])
    asking = [one for one in seen if any("large" in url for url in one.urls)]
    assert len(asking) == tasks
    assert {(one.per_host, one.sharing) for one in seen} == {(each, sharing)}
    assert each * min(len(asking), workers or len(asking)) <= per_host
    assert all(one.shared == {"http://large.example"} for one in seen)
    assert {one.turn for one in asking} == set(range(sharing))
    share = [sum("large" in url for url in one.urls) for one in asking]
    assert max(share) - min(share) <= 1
    for number in range(4):
        assert sum(any(f"small{number}." in url for url in one.urls) for one in seen) == 1


def test_rates_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    note_rate(tmp_path, FetchRate(10, 8, 800, 2.0))
    with (tmp_path / "rates.jsonl").open("a") as stream:
        stream.write('{"asked": -1, "ok": 0, "bytes": 0, "seconds": 1}\n[]\n{"asked": 1e400}\nnonsense\n')
    note_rate(tmp_path, FetchRate(10, 9, 900, 3.0))
    assert read_rate(tmp_path) == FetchRate(20, 17, 1700, 5.0)
    assert read_rate(tmp_path / "none") == FetchRate()


@pytest.mark.parametrize("as_json", [False, True])
def test_the_verb_fetch_shows_states_and_keeps_its_store(world: WebWorld, as_json: bool) -> None:
    world.write(list(MIX))
    (world.folder / "backend.yaml").write_text(
        "backend: 1\ncluster: {type: inline}\n"
        "fetch: {allow_networks: [127.0.0.0/8], deadline_seconds: 3, attempts: 1}\n"
    )
    more = ["--json"] if as_json else []
    arguments = ["fetch", "web.yaml", "--backend", "backend.yaml", "--store", "kept", *more]
    done = mlimg(*arguments, cwd=world.folder)
    assert done.returncode == 0, done.stderr
    assert (world.folder / "kept" / "objects").is_dir()
    if as_json:
        told = json.loads(done.stdout)
        assert told["fetched"]["states"]["ok"] == 3
        assert told["fetched"]["asked"] == len(MIX)
    else:
        assert done.stdout == f"{world.folder / 'kept'}\n"
        assert f"{len(MIX)} images at URLs; asked for {len(MIX)} URLs" in done.stderr
        assert f"{len(MIX)} of {len(MIX)} images, 1 of 1 tasks" in done.stderr
        assert "gone" in done.stderr


def test_what_was_fetched_is_no_cache_of_a_spec(world: WebWorld) -> None:
    world.write(["/ok/3000/1"])
    loaded = load_spec(world.folder / "web.yaml")
    world.place = fetch_place(world.folder / "out", LOCALLY)
    world.build()
    assert [store.name for store in cache_contents([], world.folder / "out").stores] == ["web"]
    prune_cache([], world.folder / "out")
    prune_cache([loaded], world.folder / "out")
    assert list(FolderStore(Path(world.place.store)).digests())


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([None], "wrong-value"),
        (["abc"], "wrong-value"),
        ([b"\xff" * 32], "file-unreadable"),
        ([1.5], "wrong-value"),
    ],
)
def test_digests_of_a_release_that_are_none_are_an_error_and_not_changed_images(
    world: WebWorld, values: list[object], code: str
) -> None:
    world.write(["/ok/3000/1"], "fetch: {digests: release.parquet}\n")
    table = {"url": [world.url("/ok/3000/1")], "sha256": values}
    pq.write_table(pa.table(table), world.folder / "release.parquet")
    with pytest.raises(SpecError) as found:
        world.build()
    assert found.value.code == code
    assert found.value.problems[0].place is not None


def test_a_task_that_is_done_anew_asks_for_nothing_that_it_has_an_answer_of(world: WebWorld) -> None:
    urls = tuple(world.url(path) for path in ("/ok/3000/1", "/404/x", "/ok/3000/2"))
    began = time.time()
    work = FetchWork(
        store=world.place.store,
        ledger=world.place.ledger,
        urls=urls[:2],
        signals=(),
        contact="",
        max_bytes=1 << 20,
        concurrency=8,
        per_host=8,
        connect_seconds=2,
        deadline_seconds=3,
        min_rate=1000,
        attempts=1,
        since=began,
        networks=("127.0.0.0/8",),
    )
    told: list[int] = []
    collect(work, lambda images, size, failed: told.append(images))
    collect(replace(work, urls=urls), lambda images, size, failed: told.append(images))
    assert [world.asked(path) for path in ("/ok/3000/1", "/404/x", "/ok/3000/2")] == [1, 1, 1]
    collect(replace(work, urls=urls, since=time.time() + 1), lambda *counts: None)  # another run
    assert world.asked("/404/x") == 2


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_cannot_be_read_are_one_error_with_their_path(
    world: WebWorld, content: str | None
) -> None:
    world.write(["/ok/3000/1"])
    path = world.folder / "ca.pem"
    if content is not None:
        path.write_text(content)
    where = LOCALLY.model_copy(update={"fetch": LOCAL.model_copy(update={"authorities": path})})
    with pytest.raises(BuildError) as found:
        world.build(where)
    assert found.value.code == "authorities-unreadable"
    assert str(path) in found.value.problems[0].message


@pytest.mark.parametrize("place", ["s3:/bucket/x", "s3:bucket", "gs:/bucket"])
def test_a_store_with_a_slash_too_few_is_no_folder(tmp_path: Path, place: str) -> None:
    with pytest.raises(BuildError) as found:
        fetch_place(tmp_path, LOCALLY, place)
    assert found.value.code == "store-unusable"
    assert fetch_place(tmp_path, LOCALLY, f"./{place}").store.startswith("/")
