"""Take images out of a content store and mark their URLs in its ledger, so that nobody asks for them again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.content_store import ContentStore
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.fetch.store.ledger_log import Record

__all__ = ["TakenDown", "take_down"]

LISTED = "it is on a list of withdrawn images"


@dataclass(frozen=True, slots=True)
class TakenDown:
    """How many URLs were marked and files removed now, and how many files stay as another URL has the same bytes.

    `left` counts files that stay as the store may only be read.
    """

    urls: int
    files: int
    shared: int
    left: int = 0


def take_down(
    ledger: Ledger, content: ContentStore, urls: Sequence[str], digests: Collection[str], now: float
) -> TakenDown:
    """Remove the bytes of URLs, and those with a sha256 of `digests`; mark every URL of either as withdrawn.

    Bytes of a URL that also came from another one, which is not withdrawn, stay. A URL that nobody asked for is marked,
    too. Files go before marks are set, so that a run that is killed is finished by the next. `now` is in seconds since
    1970.

    Raises:
        TransientError: `store-unreadable` if an object store does not work.
    """
    known = ledger.find(urls)
    held = {
        record.digest
        for record in known.values()
        if record.digest and (record.state == State.ok or _came_late(record))
    }
    same = ledger.with_digests({*held, *digests})
    listed = set(urls)
    others = {
        record.digest
        for record in same
        if record.state == State.ok and record.url not in listed and record.digest not in digests
    }
    files = sum(content.remove(digest) for digest in sorted({*digests, *(held - others)}))
    marks = {url: known.get(url, Record(url, State.withdrawn)) for url in urls}
    marks |= {record.url: record for record in same if record.digest in digests}
    new = [
        Record(url, State.withdrawn, LISTED, record.digest, 0, record.attempts, now, record.signals)
        for url, record in marks.items()
        if record.state != State.withdrawn or not record.time or _came_late(record)
    ]
    ledger.put(new)
    return TakenDown(len(new), files, len(held & others))


def _came_late(record: Record) -> bool:
    """Return whether bytes of a URL came after it was withdrawn, as it was in the air: the ledger keeps their size."""
    return record.state == State.withdrawn and record.size > 0
