"""What a fetch would do: how many URLs it asks for, how long that takes and what it brings, by what was measured."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.plan.fetched_rows import FetchKeys, url_rows
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.row_files import Shard
from mlimg_build.compiler.urls.url_decisions import UrlDecisions
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.fetch.store.ledger_tables import is_ledger

__all__ = ["SAMPLE", "FetchOutlook", "FetchRate", "fetch_outlook", "note_rate", "read_rate"]

RATES = "rates.jsonl"
SAMPLE = 64  # shards that are looked at
LATEST = 20  # fetches that a rate is taken from


@dataclass(frozen=True, slots=True)
class FetchRate:
    """What fetches met: URLs that were asked for, images that came, their bytes, seconds."""

    asked: int = 0
    ok: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FetchOutlook:
    """The images of a plan that lie at URLs: those whose state is known, those to ask for, and what that takes.

    `seconds` and `bytes` follow from the latest fetches into the same store; they are None if there was none. The bytes
    are in the store, and in the dataset a second time unless it encodes images anew. `free` is what the disk of the
    store has left, in bytes, None for an object store. `is_sample` says that states and URLs to ask for follow from
    `SAMPLE` of the shards that were never fetched.
    """

    images: int
    states: dict[str, int]
    to_ask: int
    seconds: float | None
    bytes: int | None
    free: int | None = None
    is_sample: bool = False


def fetch_outlook(made: Plan, store: Store, ledger: Path, free: int | None = None) -> FetchOutlook | None:
    """Return the outlook of a plan; None if no image of its shards lies at a URL.

    Of a shard that was never fetched, the ledger and the release of the spec tell what is there already; of more than
    `SAMPLE` such shards, so many are looked at, evenly spread, and stand for the others. The store is not asked.

    Raises:
        BuildError: `ledger-unreadable`.
        SpecError: `file-unreadable`, `column-missing`, `wrong-value` of the file of a release's digests.
    """
    keys = FetchKeys.of(made.loaded)
    states: Counter[str] = Counter()
    images = to_ask = 0
    unknown: list[tuple[Shard, int]] = []
    now = time.time()
    for work in made.work:
        entry = store.entry(keys.key(work.shard))
        if entry is None:
            unknown.append((work.shard, len(url_rows(made.rows.batch(work.shard)))))
            continue
        notes = entry["notes"]
        states.update(notes["states"])
        images += sum(notes["states"].values()) + notes["unasked"]
        to_ask += notes["unasked"]
        if notes["again_at"] is not None and notes["again_at"] <= now:
            to_ask += notes["states"].get("temporary", 0)
    unknown = [(shard, count) for shard, count in unknown if count]
    images += sum(count for _, count in unknown)
    if not images:
        return None
    there, more, is_sample = _expected(made, keys, ledger, unknown)
    states, to_ask = states + there, to_ask + more
    rate = read_rate(ledger)
    seconds = coming = None
    if rate.asked and rate.seconds:
        seconds, coming = to_ask * rate.seconds / rate.asked, round(to_ask * rate.bytes / rate.asked)
    return FetchOutlook(images, dict(states.most_common()), to_ask, seconds, coming, free, is_sample)


def _expected(
    made: Plan, keys: FetchKeys, ledger: Path, unknown: Sequence[tuple[Shard, int]]
) -> tuple[Counter[str], int, bool]:
    """Return how many images of shards that were never fetched are in each state, and how many are to be asked for.

    The third tells whether some of the shards stood for all.
    """
    total = sum(count for _, count in unknown)
    told = keys.release or keys.policy.licences is not None or is_ledger(ledger)
    if not told or not total:
        return Counter(), total, False
    step = max(1.0, len(unknown) / SAMPLE)
    chosen = [unknown[int(at * step)] for at in range(min(SAMPLE, len(unknown)))]
    states: Counter[str] = Counter()
    to_ask = 0
    with Ledger(ledger, create=False) as opened:
        opened.compact()
        deciding = UrlDecisions(made, keys, opened, None)
        for one in (one for group in deciding.groups([shard for shard, _ in chosen]) for one in group):
            deciding.decide(one)
            states.update(told.state.name for told in one.decisions if told.state is not None)
            to_ask += sum(told.ask for told in one.decisions)
    share = total / sum(count for _, count in chosen)
    scaled = Counter({state: round(count * share) for state, count in states.items()})
    return scaled, min(round(to_ask * share), total), len(chosen) < len(unknown)


def note_rate(ledger: Path, rate: FetchRate) -> None:
    """Note what a fetch met; a failure to write it is no failure of the fetch."""
    told = {"asked": rate.asked, "ok": rate.ok, "bytes": rate.bytes, "seconds": round(rate.seconds, 3)}
    with suppress(OSError), (ledger / RATES).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(told) + "\n")


def read_rate(ledger: Path) -> FetchRate:
    """Return the sums over the latest fetches into a store; lines that cannot be read are passed over."""
    asked = ok = size = 0
    seconds = 0.0
    try:
        with (ledger / RATES).open(encoding="utf-8", errors="replace") as stream:
            lines = deque(stream, maxlen=LATEST)
    except OSError:
        return FetchRate()
    for line in lines:
        with suppress(ValueError, TypeError, KeyError, OverflowError):
            told = json.loads(line)
            numbers = int(told["asked"]), int(told["ok"]), int(told["bytes"]), float(told["seconds"])
            if min(numbers) < 0 or not numbers[3] < float("inf"):
                continue
            asked, ok, size = asked + numbers[0], ok + numbers[1], size + numbers[2]
            seconds += numbers[3]
    return FetchRate(asked, ok, size, seconds)
