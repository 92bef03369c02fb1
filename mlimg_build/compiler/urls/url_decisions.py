"""What each row of a shard takes of its URL: by the ledger, by an earlier release, and by what the spec allows."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import pyarrow as pa

from mlimg_build.compiler.plan.fetched_rows import FetchKeys, url_rows
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.row_files import Shard
from mlimg_build.compiler.plan.withdrawals import LEDGER
from mlimg_build.compiler.releases import Release, Released
from mlimg_build.fetch.decisions import Decision, decide, holds
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.content_store import ContentStore
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.fetch.store.ledger_log import Record

__all__ = ["UrlDecisions", "UrlShard"]

SHARDS = 256  # that are decided about together, so that their URLs fit into memory


@dataclass(slots=True)
class UrlShard:
    """A shard with URLs: its rows, their ids, URLs and licences, and the decisions about them."""

    shard: Shard
    rows: list[int]
    ids: list[str]
    urls: list[str]
    licences: list[str]
    decisions: list[Decision] = field(default_factory=list)

    def told(self) -> Iterator[tuple[str, Decision]]:
        """Yield each URL with its decision."""
        return zip(self.urls, self.decisions, strict=True)


class UrlDecisions:
    """Decides about the URLs of a plan.

    What the ledger has of a URL counts. But where a release has a record of it that answers what the policy asks, and
    the store holds its bytes, these are taken, as an image that came once is not asked for again; an opt-out and a
    takedown in the ledger outdo them. `pinned` takes the failures of the release, too, and asks for none of them again.
    Without `content`, the store is taken to hold what the release and the ledger say.

    Raises:
        SpecError: `file-unreadable`, `column-missing`, `wrong-value` of the file of a release's digests.
    """

    def __init__(
        self,
        made: Plan,
        keys: FetchKeys,
        ledger: Ledger,
        content: ContentStore | None,
        *,
        pinned: bool = False,
    ) -> None:
        self._made, self._ledger, self._content, self._pinned = made, ledger, content, pinned
        self._release = Release(made.loaded)
        self._is_by_id = self._release.is_by_id
        self.policy = replace(keys.policy, withdrawn=made.withdrawn.digests)
        self._released: Mapping[str, Released] = {}
        self._held: Set[str] = frozenset()  # of the release, and in the store
        self._lost: Set[str] = frozenset()  # of the ledger, and not in the store

    def groups(
        self, shards: Sequence[Shard], among: Container[str] | None = None
    ) -> Iterator[list[UrlShard]]:
        """Yield the shards that have URLs, `SHARDS` or fewer together; of these alone decisions can be made.

        With `among`, they have only the rows with one of those URLs.
        """
        for start in range(0, len(shards), SHARDS):
            read = (self._read(shard, among) for shard in shards[start : start + SHARDS])
            group = [one for one in read if one.rows]
            names = (one.ids if self._is_by_id else one.urls for one in group)
            self._released = self._release.find({name for some in names for name in some})
            released = _sizes(one.record for one in self._released.values() if one.record is not None)
            known = _sizes(record for one in group for record in self._ledger.find(one.urls).values())
            sizes = {**released, **known}
            self._lost = set() if self._content is None else self._content.lacking(sizes)
            self._held = released.keys() - self._lost
            if group:
                yield group

    def decide(self, one: UrlShard, *, lost: bool = False) -> None:
        """Decide about the URLs of a shard; with `lost`, what the store has no file of is to be asked for again."""
        now = time.time()
        known = self._ledger.find(one.urls)
        if lost:
            known = {
                url: record
                for url, record in known.items()
                if record.state != State.ok or record.digest not in self._lost
            }
        one.decisions = []
        for url, image, licence in zip(one.urls, one.ids, one.licences, strict=True):
            released = self._release_of(url, image)
            record = self._record(known.get(url), released)
            expected = "" if released is None else released.digest
            decision = decide(record, self.policy, now, licence, expected)
            if self._pinned and released is not None and record is released.record and record is not None:
                decision = replace(decision, ask=False)
            one.decisions.append(decision)

    def known(self, one: UrlShard) -> Iterator[tuple[str, Decision, Record | None]]:
        """Decide about a shard; yield each URL with its decision and the record that it rests on."""
        self.decide(one, lost=True)
        known = self._ledger.find(one.urls)
        for (url, decision), image in zip(one.told(), one.ids, strict=True):
            yield url, decision, self._record(known.get(url), self._release_of(url, image))

    def departures(self, one: UrlShard) -> Iterator[tuple[str, str, str]]:
        """Decide about a shard; yield (URL, what the release had, what is had now) of those that are otherwise now."""
        self.decide(one, lost=True)
        for (url, decision), image in zip(one.told(), one.ids, strict=True):
            released = self._release_of(url, image)
            if released is None:
                continue
            was = State.ok if released.record is None else released.record.state
            if decision.state != was or decision.digest != released.digest:
                now = (
                    "not asked for" if decision.state is None else f"{decision.state.name}: {decision.answer}"
                )
                yield url, was.name, now

    def withdrawn(self, one: UrlShard) -> Iterator[tuple[str, str]]:
        """Yield (sha256 or `LEDGER`, id) of the rows of a shard that turn out to be taken down."""
        for image, decision in zip(one.ids, one.decisions, strict=True):
            if decision.state == State.withdrawn:
                digest = decision.answer.removeprefix("sha256 ")
                yield digest if digest in self.policy.withdrawn else LEDGER, image

    def _record(self, known: Record | None, released: Released | None) -> Record | None:
        """Return the record that counts for a URL."""
        mine = None if released is None else released.record
        if mine is None or not holds(mine, self.policy):
            return known
        if known is None:
            return mine if mine.state != State.ok or mine.digest in self._held else None
        opted_out = known.state == State.opted_out and holds(known, self.policy)
        if known.state == State.withdrawn or opted_out:
            return known
        if mine.state == State.ok:
            return mine if mine.digest in self._held else known
        return mine if self._pinned else known

    def _release_of(self, url: str, image: str) -> Released | None:
        """Return what the release had of an image, by its URL, or by its id in a dataset."""
        return self._released.get(image if self._is_by_id else url)

    def _read(self, shard: Shard, among: Container[str] | None) -> UrlShard:
        batch = self._made.rows.batch(shard)
        rows = url_rows(batch)
        if among is not None:
            urls = batch.column("path").take(pa.array(rows)).to_pylist()
            rows = rows[[url in among for url in urls]]
        chosen = batch.select(["id", "path", "licence"]).take(pa.array(rows))
        licences = [self._made.rows.licences[code] for code in chosen.column("licence").to_pylist()]
        ids, urls = (chosen.column(name).to_pylist() for name in ("id", "path"))
        return UrlShard(shard, rows.tolist(), ids, urls, licences)


def _sizes(records: Iterable[Record]) -> dict[str, int]:
    """Return sha256 → bytes of what came."""
    return {record.digest: record.size for record in records if record.state == State.ok}
