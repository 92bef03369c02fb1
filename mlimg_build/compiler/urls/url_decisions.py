"""What each row of a shard takes of its URL: by the ledger, by an earlier release, and by what the spec allows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from mlimg_build.compiler.plan.fetched_rows import FetchKeys, url_rows
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.row_files import Shard
from mlimg_build.compiler.plan.withdrawals import LEDGER
from mlimg_build.compiler.releases import Released, find_released
from mlimg_build.fetch.decisions import Decision, decide
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.content_store import ContentStore
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.fetch.store.ledger_log import Record

__all__ = ["SHARDS", "UrlDecisions", "UrlShard"]

SHARDS = 256  # that are decided about together, so that their URLs fit into memory
SETTLED = {State.ok, State.opted_out, State.withdrawn}  # states of the ledger that no release outdoes


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

    What the ledger has of a URL counts. Where it has nothing, or the URL did not work, and a release with a record of
    it has bytes that the store holds, these are taken, as an image that came once is not asked for again.

    Raises:
        SpecError: `file-unreadable`, `column-missing`, `wrong-value` of the file of a release's digests.
    """

    def __init__(self, made: Plan, keys: FetchKeys, ledger: Ledger, content: ContentStore) -> None:
        self._made, self._ledger, self._content = made, ledger, content
        self.policy = replace(keys.policy, withdrawn=made.withdrawn.digests)
        self._released: Mapping[str, Released] = {}
        self._held: frozenset[str] = frozenset()

    def groups(self, shards: Sequence[Shard]) -> Iterator[list[UrlShard]]:
        """Yield the shards that have URLs, `SHARDS` or fewer together; of these alone decisions can be made."""
        for start in range(0, len(shards), SHARDS):
            group = [one for one in map(self._read, shards[start : start + SHARDS]) if one.rows]
            wanted = {url: image for one in group for url, image in zip(one.urls, one.ids, strict=True)}
            self._released = find_released(self._made.loaded, wanted)
            self._held = frozenset()
            if any(one.record is not None for one in self._released.values()):
                records = (one.record for one in self._released.values() if one.record is not None)
                sizes = {record.digest: record.size for record in records if record.state == State.ok}
                self._held = frozenset(sizes) - self._content.lacking(sizes)
            if group:
                yield group

    def decide(self, one: UrlShard, *, lost: bool = False) -> None:
        """Decide about the URLs of a shard; with `lost`, what the store has no file of is to be asked for again."""
        now = time.time()
        known = self._ledger.find(one.urls)
        if lost:
            sizes = {record.digest: record.size for record in known.values() if record.state == State.ok}
            lacking = self._content.lacking(sizes)
            known = {url: record for url, record in known.items() if record.digest not in lacking}
        one.decisions = []
        for url, licence in zip(one.urls, one.licences, strict=True):
            released = self._released.get(url)
            record = self._record(known.get(url), released)
            expected = "" if released is None else released.digest
            one.decisions.append(decide(record, self.policy, now, licence, expected))

    def known(self, one: UrlShard) -> Iterator[tuple[str, Decision, Record | None]]:
        """Decide about a shard; yield each URL with its decision and the record that it rests on."""
        self.decide(one)
        known = self._ledger.find(one.urls)
        for url, decision in one.told():
            yield url, decision, self._record(known.get(url), self._released.get(url))

    def departures(self, one: UrlShard) -> Iterator[tuple[str, str, str]]:
        """Decide about a shard; yield (URL, what the release had, what is had now) of those that are otherwise now."""
        self.decide(one, lost=True)
        for url, decision in one.told():
            released = self._released.get(url)
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
        if released is None or released.record is None or (known is not None and known.state in SETTLED):
            return known
        if released.record.state == State.ok:
            return released.record if released.digest in self._held else known
        return released.record if known is None else known

    def _read(self, shard: Shard) -> UrlShard:
        batch = self._made.rows.batch(shard)
        rows = url_rows(batch)
        chosen = batch.select(["id", "path", "licence"]).take(pa.array(rows))
        licences = [self._made.rows.licences[code] for code in chosen.column("licence").to_pylist()]
        ids, urls = (chosen.column(name).to_pylist() for name in ("id", "path"))
        return UrlShard(shard, rows.tolist(), ids, urls, licences)
