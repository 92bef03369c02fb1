"""The stage that fetches images by URL: before rows are packed, for the shards at hand only."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from mlimg_build.compiler.build_result import Fetched
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.plan.fetched_rows import FetchKeys, url_rows, write_fetched
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.row_files import Shard
from mlimg_build.compiler.plan.withdrawals import STATUS, record_found
from mlimg_build.compiler.run.task_runner import execute
from mlimg_build.compiler.urls.fetch_outlook import FetchRate, note_rate
from mlimg_build.compiler.urls.refusals import obey_refusals
from mlimg_build.compiler.urls.url_decisions import UrlDecisions
from mlimg_build.compiler.watchers import Watcher
from mlimg_build.errors import BuildError, Problem
from mlimg_build.fetch.collection import FetchWork, missing_client, require_client
from mlimg_build.fetch.decisions import Decision, FetchPolicy
from mlimg_build.fetch.names.urls import BadUrl, parse_url
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.content_store import open_content_store
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.fetch.store.ledger_log import Record
from mlimg_build.fetch.store.ledger_tables import is_ledger
from mlimg_build.fetch.takedown import TakenDown, take_down
from mlimg_build.quantities import counted
from mlimg_build.spec import Backend, InlineCluster, LoadedSpec, LocalCluster

__all__ = [
    "FetchPlace",
    "any_url",
    "as_known",
    "decided_rows",
    "departures",
    "fetch_images",
    "fetch_place",
    "take_down_images",
    "unfetched_warnings",
    "url_states",
]

TASK_URLS = 10_000
OWN_STORE = "_fetched"  # no spec has such a name, so that it is no store of results
UNKNOWN = 16  # workers that a cluster is taken to have which somebody started
LARGE = 1_000  # URLs of one origin from which they are spread over several tasks


@dataclass(frozen=True, slots=True)
class FetchPlace:
    """Where what comes is kept: a folder or the URL of an object store, and the folder of its ledger."""

    store: str
    ledger: Path


def fetch_place(out: Path, backend: Backend, store: str | None = None) -> FetchPlace:
    """Return the place of the store: `store`, else the backend's, else one in the output folder.

    The ledger of a folder is in it; that of an object store is in the output folder.

    Raises:
        BuildError: `store-unusable` for a URL with one slash, which would be a folder of that name.
    """
    place = store or backend.fetch.store
    own = out.absolute() / ".mlimg" / OWN_STORE
    if place is None:
        return FetchPlace(str(own), own / "ledger")
    if re.match(r"[a-z][a-z0-9+.-]+:/?(?!/)", place):
        message = f"the store {place} is neither a folder nor a URL"
        raise BuildError(
            Problem("store-unusable", message, hint="write s3://BUCKET/PREFIX, or ./ before a folder")
        )
    if "://" in place:
        return FetchPlace(place, own / "ledger")
    folder = Path(place).absolute()  # workers may be in another folder
    return FetchPlace(str(folder), folder / "ledger")


def fetch_images(
    made: Plan,
    store: Store,
    backend: Backend,
    watcher: Watcher,
    place: FetchPlace,
    *,
    pinned: bool = False,
) -> Fetched | None:
    """Ask for the URLs of the plan's shards that are worth asking, and store what each row takes; None without URLs.

    `pinned` is that of `UrlDecisions`.

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
    keys = FetchKeys.of(made.loaded)
    content = open_content_store(place.store)
    asked = 0
    withdrawn: list[tuple[str, str]] = []
    with Ledger(place.ledger) as ledger:
        ledger.compact()
        deciding = UrlDecisions(made, keys, ledger, content, pinned=pinned)
        withdrawn += obey_refusals(made, keys, store, ledger, deciding).withdrawn
        stale = [work.shard for work in made.work if _is_stale(work.shard, keys, store)]
        for group in deciding.groups(stale):
            for one in group:
                deciding.decide(one, lost=True)
            urls = list(dict.fromkeys(url for one in group for url, told in one.told() if told.ask))
            if urls:
                _require_writable(ledger)
                asked += len(urls)
                started = time.monotonic()
                _ask(urls, keys.policy, made.loaded, store, backend, watcher, place)
                came = ledger.wait_for(urls).values()
                sizes = [record.size for record in came if record.state == State.ok]
                took = time.monotonic() - started
                note_rate(place.ledger, FetchRate(len(urls), len(sizes), sum(sizes), took))
            seen = ledger.latest_refusal
            with store.batch() as results:
                for one in group:
                    deciding.decide(one)
                    gone = list(deciding.withdrawn(one))
                    record_found(store, gone)  # before it is stored: no interruption loses it
                    withdrawn += gone
                    with results.create(keys.key(one.shard)) as (folder, notes):
                        notes.update(write_fetched(folder, one.rows, one.decisions, seen))
    states: Counter[str] = Counter()
    unasked = 0
    for work in made.work:
        entry = store.entry(keys.key(work.shard))
        if entry is not None:
            states.update(entry["notes"]["states"])
            unasked += entry["notes"]["unasked"]
    took = time.monotonic() - began
    return Fetched(asked, dict(states.most_common()), unasked, took, tuple(withdrawn))


def as_known(made: Plan, store: Store, place: FetchPlace, *, pinned: bool = False) -> Fetched | None:
    """Store what each row takes of what the ledger and a release know, for shards of which not all is stored.

    Nobody is asked; what the store has lost is not known.

    None if there is nothing of the kind.

    Raises:
        BuildError: `ledger-unreadable`.
        SpecError: `file-unreadable`, `column-missing`, `wrong-value` of the file of a release's digests.
    """
    keys = FetchKeys.of(made.loaded)
    released = made.loaded.spec.fetch.digests is not None
    if not (released or is_ledger(place.ledger)) or not any_url(made):
        return None
    found, written = list[tuple[str, str]](), 0
    with Ledger(place.ledger, create=False) as ledger:
        ledger.compact()
        deciding = UrlDecisions(made, keys, ledger, open_content_store(place.store), pinned=pinned)
        obeyed = obey_refusals(made, keys, store, ledger, deciding)
        found += obeyed.withdrawn
        seen = ledger.latest_refusal
        unknown = [work.shard for work in made.work if _is_unknown(work.shard, keys, store)]
        for one in (one for group in deciding.groups(unknown) for one in group):
            deciding.decide(one, lost=True)
            if all(decision.state is None for decision in one.decisions):
                continue
            written += 1
            gone = list(deciding.withdrawn(one))
            record_found(store, gone)
            found += gone
            with store.create(keys.key(one.shard)) as (folder, notes):
                notes.update(write_fetched(folder, one.rows, one.decisions, seen))
    return Fetched(0, {}, 0, 0.0, tuple(found)) if written or obeyed.shards else None


def take_down_images(made: Plan, place: FetchPlace, *, create: bool = True) -> TakenDown | None:
    """Take what a spec withdraws out of the content store, and mark its URLs in the ledger; None if nothing is there.

    The whole of the plan counts, also if a fraction is built. Without `create`, a place that is not there stays so.
    What is in a store that may only be read is counted.

    Raises:
        BuildError: `store-unusable`, `ledger-unreadable`.
        TransientError: `store-unreadable` if an object store does not work.
    """
    if not made.withdrawn or not any_url(made):
        return None
    if not create and not is_ledger(place.ledger):
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
        if not ledger.writable:
            known = [*ledger.find(list(urls)).values(), *ledger.with_digests(made.withdrawn.digests)]
            left = {
                record.digest for record in known if record.digest and content.has(record.digest, record.size)
            }
            return TakenDown(0, 0, 0, len(left))
        return take_down(ledger, content, list(urls), made.withdrawn.digests, time.time())


def decided_rows(
    made: Plan, place: FetchPlace, ledger: Ledger
) -> Iterator[tuple[str, Decision, Record | None]]:
    """Yield each URL of a plan with what its row takes now, and what is known of it."""
    deciding = UrlDecisions(made, FetchKeys.of(made.loaded), ledger, open_content_store(place.store))
    for group in deciding.groups([work.shard for work in made.work]):
        for one in group:
            yield from deciding.known(one)


def departures(made: Plan, place: FetchPlace, shards: Sequence[Shard]) -> Iterator[tuple[str, str, str]]:
    """Yield (URL, what the release had, what is had now) of those URLs of shards that are otherwise now.

    Nothing if the spec names no release.
    """
    if made.loaded.spec.fetch.digests is None:
        return
    with Ledger(place.ledger, create=False) as ledger:
        deciding = UrlDecisions(made, FetchKeys.of(made.loaded), ledger, open_content_store(place.store))
        for group in deciding.groups(shards):
            for one in group:
                yield from deciding.departures(one)


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


def _is_unknown(shard: Shard, keys: FetchKeys, store: Store) -> bool:
    """Return whether it is not known, or not of each URL, what a shard took."""
    key = keys.key(shard)
    entry = store.entry(key)
    return entry is None or not store.sound(key) or bool(entry["notes"]["unasked"])


def _is_stale(shard: Shard, keys: FetchKeys, store: Store) -> bool:
    """Return whether a shard may have URLs to ask for: nobody did, something was not reached, or it is time again."""
    if _is_unknown(shard, keys, store):
        return True
    entry = store.entry(keys.key(shard))
    again = None if entry is None else entry["notes"]["again_at"]
    return again is not None and float(again) <= time.time()


def _require_writable(ledger: Ledger) -> None:
    """Raises `BuildError` `store-unusable` if what comes could not be kept."""
    if not ledger.writable:
        message = (
            f"the ledger in {ledger.folder} can only be read, and images are to be fetched into its store"
        )
        hint = "--offline takes what the store has; --store names another one"
        raise BuildError(Problem("store-unusable", message, hint=hint))


def _ask(
    urls: Sequence[str],
    policy: FetchPolicy,
    loaded: LoadedSpec,
    store: Store,
    backend: Backend,
    watcher: Watcher,
    place: FetchPlace,
) -> None:
    """Ask for the URLs in tasks of workers, which share the bounds on requests."""
    origins = [_origin(url) for url in urls]
    hosts = {origin.partition("://")[2] for origin in origins}
    watcher.step(f"fetching {counted(len(urls), 'image')} from {counted(len(hosts), 'host')}")
    how, spec, began = backend.fetch, loaded.spec, time.time()
    workers = _workers(backend)
    is_few = workers is not None and workers <= how.per_host
    parts, spread = _parts(urls, origins, None if is_few else how.per_host)
    running = min(len(parts), UNKNOWN if workers is None else workers)
    sharing = running if is_few else min(len(parts), how.per_host)
    works = [
        FetchWork(
            store=place.store,
            ledger=place.ledger,
            urls=tuple(part),
            signals=tuple(sorted(policy.signals)),
            contact=spec.fetch.contact,
            max_bytes=spec.fetch.max_bytes,
            concurrency=max(1, how.concurrency // running),
            per_host=how.per_host // sharing,
            shared=spread,
            sharing=sharing,
            turn=number % sharing,
            connect_seconds=how.connect_seconds,
            deadline_seconds=how.deadline_seconds,
            min_rate=how.min_rate,
            attempts=how.attempts,
            since=began,
            networks=how.allow_networks,
            authorities=None if how.authorities is None else str(how.authorities),
            name_servers=how.name_servers,
        )
        for number, part in enumerate(parts)
    ]
    execute([[work] for work in works], store, backend, watcher.follow(len(urls), len(works)))


def _workers(backend: Backend) -> int | None:
    """Return how many tasks may run at a time; None of a cluster that is there, of which nobody knows."""
    cluster = backend.cluster
    if isinstance(cluster, InlineCluster):
        return 1
    if isinstance(cluster, LocalCluster):
        return cluster.workers or os.cpu_count() or 1
    return None


def _parts(
    urls: Sequence[str], origins: Sequence[str], most: int | None
) -> tuple[list[list[str]], frozenset[str]]:
    """Return the URLs in parts of about `TASK_URLS`, and the origins that are in several of them, in `most` at most.

    An origin of few is in one part, which asks once for its rules.
    """
    count = -(-len(urls) // TASK_URLS)
    parts: list[list[str]] = [[] for _ in range(count)]
    of_origin = Counter(origins)
    number: dict[str, int] = {}
    position: Counter[str] = Counter()
    for url, origin in zip(urls, origins, strict=True):
        first = number.setdefault(origin, len(number) % count)
        if of_origin[origin] >= LARGE:
            parts[(first + position[origin] % min(count, most or count)) % count].append(url)
            position[origin] += 1
        else:
            parts[first].append(url)
    spread = frozenset(origin for origin, urls in of_origin.items() if urls >= LARGE and count > 1)
    return [part for part in parts if part], spread


def _origin(url: str) -> str:
    """Return scheme, host and port of a URL, "" if it is none."""
    try:
        return parse_url(url).origin
    except BadUrl:
        return ""
