"""What a fetch would do: how many URLs it asks for, how long that takes and what it brings, by what was measured."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.plan.fetched_rows import FetchKeys, url_rows
from mlimg_build.compiler.plan.plan import Plan

__all__ = ["FetchOutlook", "FetchRate", "fetch_outlook", "note_rate", "read_rate"]

RATES = "rates.jsonl"
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
    store has left, in bytes, None for an object store.
    """

    images: int
    states: dict[str, int]
    to_ask: int
    seconds: float | None
    bytes: int | None
    free: int | None = None


def fetch_outlook(made: Plan, store: Store, ledger: Path, free: int | None = None) -> FetchOutlook | None:
    """Return the outlook of a plan; None if no image of its shards lies at a URL.

    Of a shard that was never fetched, every URL counts as one to ask for, though another spec may have asked for it.
    """
    keys = FetchKeys.of(made.loaded)
    states: Counter[str] = Counter()
    images = to_ask = 0
    now = time.time()
    for work in made.work:
        entry = store.entry(keys.key(work.shard))
        if entry is None:
            count = len(url_rows(made.rows.batch(work.shard)))
            images += count
            to_ask += count
            continue
        notes = entry["notes"]
        states.update(notes["states"])
        images += sum(notes["states"].values()) + notes["unasked"]
        to_ask += notes["unasked"]
        if notes["again_at"] is not None and notes["again_at"] <= now:
            to_ask += notes["states"].get("temporary", 0)
    if not images:
        return None
    rate = read_rate(ledger)
    if not rate.asked or not rate.seconds:
        return FetchOutlook(images, dict(states.most_common()), to_ask, None, None, free)
    seconds = to_ask * rate.seconds / rate.asked
    coming = round(to_ask * rate.bytes / rate.asked)
    return FetchOutlook(images, dict(states.most_common()), to_ask, seconds, coming, free)


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
