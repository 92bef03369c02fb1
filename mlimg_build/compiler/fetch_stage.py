"""The stage that fetches images by URL: before rows are packed, for the shards at hand only."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlimg_build.compiler.build_result import Fetched
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.fetch_outlook import FetchRate, note_rate
from mlimg_build.compiler.plan.fetched_rows import FetchKeys, url_rows, write_fetched
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.row_files import Shard
from mlimg_build.compiler.plan.withdrawals import LEDGER, STATUS
from mlimg_build.compiler.run.task_runner import execute
from mlimg_build.compiler.watchers import Watcher
from mlimg_build.errors import Problem, SpecError
from mlimg_build.fetch.collection import FetchWork, missing_client, require_client
from mlimg_build.fetch.decisions import Decision, FetchPolicy, decide
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.content_store import FolderStore, open_content_store
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.fetch.store.ledger_log import Record
from mlimg_build.fetch.takedown import TakenDown, take_down
from mlimg_build.quantities import counted
from mlimg_build.spec import Backend, InlineCluster, LoadedSpec, LocalCluster
from mlimg_build.spec.yaml.scalars import shown

__all__ = [
    "FetchPlace",
    "any_url",
    "as_known",
    "decided_rows",
    "fetch_images",
    "fetch_place",
    "take_down_images",
    "unfetched_warnings",
    "url_states",
]

SHARDS = 256  # that are fetched together, so that the URLs at hand fit into memory
TASK_URLS = 10_000
OWN_STORE = "_fetched"  # no spec has such a name, so that it is no store of results
UNKNOWN = 16  # workers of a cluster that somebody started
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
LARGE = 1_000  # URLs of one host from which they are spread over all tasks


@dataclass(frozen=True, slots=True)
class FetchPlace:
    """Where what comes is kept: a folder or the URL of an object store, and the folder of its ledger."""

    store: str
    ledger: Path


def fetch_place(out: Path, backend: Backend, store: str | None = None) -> FetchPlace:
    """Return the place of the store: `store`, else the backend's, else one in the output folder.

    The ledger of a folder is in it; that of an object store is in the output folder.
    """
    place = store or backend.fetch.store
    own = out.absolute() / ".mlimg" / OWN_STORE
    if place is None:
        return FetchPlace(str(own), own / "ledger")
    if "://" in place:
        return FetchPlace(place, own / "ledger")
    folder = Path(place).absolute()  # workers may be in another folder
    return FetchPlace(str(folder), folder / "ledger")


@dataclass(slots=True)
class _Waiting:
    """A shard with URLs to decide about: its rows, their URLs, licences and decisions."""

    shard: Shard
    rows: list[int]
    ids: list[str]
    urls: list[str]
    licences: list[str]
    decisions: list[Decision]


def fetch_images(
    made: Plan, store: Store, backend: Backend, watcher: Watcher, place: FetchPlace
) -> Fetched | None:
    """Ask for the URLs of the plan's shards that are worth asking, and store what each row takes; None without URLs.

    What a shard took is a result of its own, which the key of its images depends on; a rerun asks only for what may be
    otherwise now. On Ctrl-C or a failure what came is kept.

    Raises:
        BuildError: `fetch-missing`, `store-unusable`, `ledger-unreadable`, and what tasks fail with.
        SpecError: `file-unreadable`, `column-missing`, `wrong-value` of the file of a release's digests.
    """
    if not any_url(made):
        return None
    require_client()
    began = time.monotonic()
    keys = FetchKeys.of(made.loaded.spec)
    policy = _policy(made, keys)
    content = open_content_store(place.store)
    asked = 0
    withdrawn: list[tuple[str, str]] = []
    with Ledger(place.ledger) as ledger:
        ledger.compact()
        stale = [work.shard for work in made.work if _is_stale(work.shard, keys, store)]
        for start in range(0, len(stale), SHARDS):
            waiting = [
                one for one in (_waiting(made, shard) for shard in stale[start : start + SHARDS]) if one.rows
            ]
            expected = _expected(made.loaded, {url for one in waiting for url in one.urls})
            kept = content if isinstance(content, FolderStore) else None
            for one in waiting:
                _decide(one, policy, ledger, expected, kept)
            urls = list(dict.fromkeys(url for one in waiting for url, told in _told(one) if told.ask))
            if urls:
                asked += len(urls)
                started = time.monotonic()
                _ask(urls, keys.policy, made.loaded, store, backend, watcher, place)
                ledger.compact()
                sizes = [record.size for record in ledger.find(urls).values() if record.state == State.ok]
                took = time.monotonic() - started
                note_rate(place.ledger, FetchRate(len(urls), len(sizes), sum(sizes), took))
            with store.batch() as results:
                for one in waiting:
                    _decide(one, policy, ledger, expected, None)
                    withdrawn += _withdrawn(one, policy)
                    with results.create(keys.key(one.shard)) as (folder, notes):
                        notes.update(write_fetched(folder, one.rows, one.decisions))
    states: Counter[str] = Counter()
    unasked = 0
    for work in made.work:
        entry = store.entry(keys.key(work.shard))
        if entry is not None:
            states.update(entry["notes"]["states"])
            unasked += entry["notes"]["unasked"]
    took = time.monotonic() - began
    return Fetched(asked, dict(states.most_common()), unasked, took, tuple(withdrawn))


def as_known(made: Plan, store: Store, place: FetchPlace) -> Fetched | None:
    """Store what each row takes of what the ledger knows, for shards of which nothing is stored; nobody is asked.

    None if there is nothing of the kind.

    Raises:
        BuildError: `ledger-unreadable`.
        SpecError: `file-unreadable`, `column-missing`, `wrong-value` of the file of a release's digests.
    """
    keys = FetchKeys.of(made.loaded.spec)
    unknown = [work.shard for work in made.work if store.entry(keys.key(work.shard)) is None]
    if not unknown or not (place.ledger / "urls.sqlite").is_file() or not any_url(made):
        return None
    policy, found, written = _policy(made, keys), list[tuple[str, str]](), 0
    with Ledger(place.ledger) as ledger:
        ledger.compact()
        for shard in unknown:
            one = _waiting(made, shard)
            _decide(one, policy, ledger, _expected(made.loaded, set(one.urls)), None)
            if all(decision.state is None for decision in one.decisions):
                continue
            written += 1
            found += _withdrawn(one, policy)
            with store.create(keys.key(shard)) as (folder, notes):
                notes.update(write_fetched(folder, one.rows, one.decisions))
    return Fetched(0, {}, 0, 0.0, tuple(found)) if written else None


def take_down_images(made: Plan, place: FetchPlace, *, create: bool = True) -> TakenDown | None:
    """Take what a spec withdraws out of the content store, and mark its URLs in the ledger; None if nothing is there.

    The whole of the plan counts, also if a fraction is built. Without `create`, a place that is not there stays so.

    Raises:
        BuildError: `store-unusable`, `ledger-unreadable`.
        TransientError: `store-unreadable` if an object store does not work.
    """
    if not made.withdrawn or not any_url(made):
        return None
    if not create and not (place.ledger / "urls.sqlite").is_file():
        return None
    urls = dict.fromkeys(sorted(made.withdrawn.urls))
    for shard in made.rows.shards:
        if shard.withdrawn:
            batch = made.rows.batch(shard)
            rows = batch.filter(pc.equal(batch.column("status"), STATUS))
            urls |= dict.fromkeys(path for path in rows.column("path").to_pylist() if "://" in path)
    with Ledger(place.ledger) as ledger:
        ledger.compact()
        content = open_content_store(place.store)
        return take_down(ledger, content, list(urls), made.withdrawn.digests, time.time())


def decided_rows(made: Plan, shard: Shard, ledger: Ledger) -> Iterator[tuple[str, Decision, Record | None]]:
    """Yield each URL of a shard with what its row takes now, and what the ledger has of it."""
    one = _waiting(made, shard)
    known = ledger.find(one.urls)
    _decide(
        one,
        _policy(made, FetchKeys.of(made.loaded.spec)),
        ledger,
        _expected(made.loaded, set(one.urls)),
        None,
    )
    for url, decision in _told(one):
        yield url, decision, known.get(url)


def url_states(made: Plan, store: Store) -> dict[str, int]:
    """Return how many images of the plan's shards lie at URLs, by state; "" for those that nobody asked for."""
    states: Counter[str] = Counter()
    for work in made.work if any_url(made) else ():
        entry = None if work.fetched is None else store.entry(work.fetched)
        if entry is not None:
            states.update(entry["notes"]["states"])
            states[""] += entry["notes"]["unasked"]
        else:
            states[""] += len(url_rows(made.rows.batch(work.shard)))
    return {state: count for state, count in states.most_common() if count}


def _policy(made: Plan, keys: FetchKeys) -> FetchPolicy:
    """Return the policy of a plan with the sha256 of what it takes down; they are in no key, as they name rows."""
    return replace(keys.policy, withdrawn=made.withdrawn.digests)


def _withdrawn(one: _Waiting, policy: FetchPolicy) -> Iterator[tuple[str, str]]:
    """Yield (sha256 or `LEDGER`, id) of the rows of a shard that turn out to be taken down."""
    for image, decision in zip(one.ids, one.decisions, strict=True):
        if decision.state == State.withdrawn:
            digest = decision.answer.removeprefix("sha256 ")
            yield digest if digest in policy.withdrawn else LEDGER, image


def unfetched_warnings(made: Plan) -> tuple[Problem, ...]:
    """Return a warning if images lie at URLs and the libraries that fetch them are not installed."""
    problem = missing_client()
    return () if problem is None or not any_url(made) else (problem,)


def any_url(made: Plan) -> bool:
    """Return whether an image of a source lies at a URL."""
    return any(
        pc.any(pc.equal(chunk, "not_fetched")).as_py()
        for catalog in made.inputs.catalogs
        for chunk in catalog.images.chunks("status")
    )


def _is_stale(shard: Shard, keys: FetchKeys, store: Store) -> bool:
    """Return whether a shard may have URLs to ask for: nobody did, something was not reached, or it is time again."""
    key = keys.key(shard)
    entry = store.entry(key)
    if entry is None or not store.sound(key):
        return True
    notes = entry["notes"]
    return bool(notes["unasked"]) or (notes["again_at"] is not None and notes["again_at"] <= time.time())


def _waiting(made: Plan, shard: Shard) -> _Waiting:
    batch = made.rows.batch(shard)
    rows = url_rows(batch)
    chosen = batch.select(["id", "path", "licence"]).take(pa.array(rows))
    licences = [made.rows.licences[code] for code in chosen.column("licence").to_pylist()]
    ids, urls = (chosen.column(name).to_pylist() for name in ("id", "path"))
    return _Waiting(shard, rows.tolist(), ids, urls, licences, [])


def _told(one: _Waiting) -> Iterator[tuple[str, Decision]]:
    return zip(one.urls, one.decisions, strict=True)


def _decide(
    one: _Waiting, policy: FetchPolicy, ledger: Ledger, expected: Mapping[str, str], kept: FolderStore | None
) -> None:
    """Decide about the URLs of a shard; what `kept` has no file of is asked for again, if it is given."""
    now = time.time()
    known = ledger.find(one.urls)
    if kept is not None:
        known = {url: record for url, record in known.items() if not _is_lost(record, kept)}
    one.decisions = [
        decide(known.get(url), policy, now, licence, expected.get(url, ""))
        for url, licence in zip(one.urls, one.licences, strict=True)
    ]


def _is_lost(record: Record, kept: FolderStore) -> bool:
    return record.state == State.ok and not kept.has(record.digest, record.size)


def _expected(loaded: LoadedSpec, urls: set[str]) -> dict[str, str]:
    """Return the sha256 that a release had of some URLs, by URL."""
    path = loaded.spec.fetch.digests
    if path is None:
        return {}
    place = loaded.place("fetch", "digests")
    try:
        file = pq.ParquetFile(path)
        missing = {"url", "sha256"} - set(file.schema_arrow.names)
    except (OSError, pa.ArrowInvalid) as error:
        hint = "write a Parquet file with the columns url and sha256"
        raise SpecError(
            Problem("file-unreadable", f"{path} is no Parquet file: {error}", place, hint)
        ) from error
    if missing:
        hint = "its columns are url and sha256, in hex"
        message = f"{path} has no column {' and no column '.join(sorted(missing))}"
        raise SpecError(Problem("column-missing", message, place, hint))
    wanted = pa.array(sorted(urls), pa.string())
    found: dict[str, str] = {}
    try:
        for batch in file.iter_batches(columns=["url", "sha256"]):
            texts = [batch.column(name).cast(pa.string()) for name in ("url", "sha256")]
            chosen = pa.record_batch(texts, ["url", "sha256"]).filter(pc.is_in(texts[0], wanted))
            found.update(zip(*(column.to_pylist() for column in chosen.columns), strict=True))
    except (OSError, pa.ArrowException) as error:
        hint = "its columns url and sha256 are texts, a sha256 in hex"
        message = f"{path} cannot be read: {error}"
        raise SpecError(Problem("file-unreadable", message, place, hint)) from error
    for url, digest in found.items():
        if digest is None or not SHA256.fullmatch(digest):
            message = f"{path} has {shown(digest)} as the sha256 of {url}"
            raise SpecError(Problem("wrong-value", message, place, "write 64 digits, 0-9 and a-f"))
    return {url: digest.lower() for url, digest in found.items()}


def _ask(
    urls: Sequence[str],
    policy: FetchPolicy,
    loaded: LoadedSpec,
    store: Store,
    backend: Backend,
    watcher: Watcher,
    place: FetchPlace,
) -> None:
    """Ask for the URLs in tasks of workers."""
    hosts = [_host(url) for url in urls]
    watcher.step(f"fetching {counted(len(urls), 'image')} from {counted(len(set(hosts)), 'host')}")
    parts, began = _parts(urls, hosts), time.time()
    how, spec = backend.fetch, loaded.spec
    workers = min(len(parts), _workers(backend))
    works = [
        FetchWork(
            store=place.store,
            ledger=place.ledger,
            urls=tuple(part),
            signals=tuple(sorted(policy.signals)),
            contact=spec.fetch.contact,
            max_bytes=spec.fetch.max_bytes,
            concurrency=max(1, how.concurrency // workers),
            per_host=max(1, how.per_host // workers),
            connect_seconds=how.connect_seconds,
            deadline_seconds=how.deadline_seconds,
            min_rate=how.min_rate,
            attempts=how.attempts,
            since=began,
            networks=how.allow_networks,
            authorities=None if how.authorities is None else str(how.authorities),
            name_servers=how.name_servers,
        )
        for part in parts
    ]
    execute([[work] for work in works], store, backend, watcher.follow(len(urls), len(works)))


def _workers(backend: Backend) -> int:
    """Return how many tasks may run at a time; of a cluster that is there nobody knows, so it is taken for large."""
    cluster = backend.cluster
    if isinstance(cluster, InlineCluster):
        return 1
    if isinstance(cluster, LocalCluster):
        return cluster.workers or os.cpu_count() or 1
    return UNKNOWN


def _parts(urls: Sequence[str], hosts: Sequence[str]) -> list[list[str]]:
    """Return the URLs in parts of about `TASK_URLS`; a host of few is in one part, which asks once for its rules."""
    count = -(-len(urls) // TASK_URLS)
    parts: list[list[str]] = [[] for _ in range(count)]
    of_host = Counter(hosts)
    number: dict[str, int] = {}
    for position, (url, host) in enumerate(zip(urls, hosts, strict=True)):
        if of_host[host] >= LARGE:
            parts[position % count].append(url)
        else:
            parts[number.setdefault(host, len(number) % count)].append(url)
    return [part for part in parts if part]


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
