"""Refusals that the ledger learnt of URLs whose shards are finished: an opt-out that somebody met, a takedown."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mlimg_build.compiler.engine.cache import Store, read_json, write_json
from mlimg_build.compiler.plan.fetched_rows import (
    FetchedRow,
    FetchKeys,
    read_fetched,
    url_rows,
    write_fetched,
)
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.row_files import Shard
from mlimg_build.compiler.plan.withdrawals import record_found
from mlimg_build.compiler.urls.url_decisions import UrlDecisions
from mlimg_build.fetch.decisions import Decision, FetchPolicy
from mlimg_build.fetch.outcomes import NEVER, REFUSED, State
from mlimg_build.fetch.store.ledger import Ledger, Refused

__all__ = ["Obeyed", "obey_refusals"]

CHECKED = "refusals.json"  # in the store: the shards that were looked at last, and the latest refusal of then


class Obeyed(NamedTuple):
    """How many shards are otherwise now, and (sha256 or `LEDGER`, id) of their rows that are taken down."""

    shards: int
    withdrawn: tuple[tuple[str, str], ...]


def obey_refusals(
    made: Plan, keys: FetchKeys, store: Store, ledger: Ledger, deciding: UrlDecisions
) -> Obeyed:
    """Store anew what the rows of finished shards took, where a URL was refused since; nobody is asked.

    Only rows that the policy of the spec refuses change; the others keep what they had. An opt-out counts though
    somebody who does not obey its signal asked again since: who obeys it asks when its time has come. What is taken
    down is recorded before a shard is stored, so that no interruption loses it.
    """
    seen = ledger.latest_refusal
    finished: dict[Shard, int] = {}
    for work in made.work:
        entry = store.entry(keys.key(work.shard))
        if entry is not None:
            finished[work.shard] = ledger.number_of(_noted(entry["notes"].get("refusals")))
    names = sorted(keys.key(shard).digest for shard in finished)
    plan = hashlib.sha256("".join(names).encode()).hexdigest()
    checked = read_json(store.root / CHECKED)
    if checked.get("plan") == plan:
        number = ledger.number_of(_noted(checked.get("refusal")))
        finished = {shard: max(number, own) for shard, own in finished.items()}
    changed = 0
    withdrawn: list[tuple[str, str]] = []
    refused = ledger.refused_since(min(finished.values())) if finished else {}
    for group in deciding.groups(_concerned(made, finished, refused), among=refused.keys()):
        for one in group:
            key = keys.key(one.shard)
            entry = store.entry(key)
            if entry is None or not store.sound(key):
                continue  # what is damaged is decided anew as a whole
            deciding.decide(one)
            one.decisions = [_as_refused(told, refused[url], keys.policy) for url, told in one.told()]
            before = read_fetched(store.path(key))
            refusals = {
                row: told
                for row, told in zip(one.rows, one.decisions, strict=True)
                if told.state in REFUSED and (row not in before or before[row].state != told.state.name)
            }
            if not refusals:
                continue
            rows = url_rows(made.rows.batch(one.shard)).tolist()
            again = entry["notes"]["again_at"]
            decisions = [refusals.get(row) or _as_before(before.get(row), again) for row in rows]
            changed += 1
            found = list(deciding.withdrawn(one))
            record_found(store, found)
            withdrawn += found
            with store.create(key) as (folder, notes):
                notes.update(write_fetched(folder, rows, decisions, seen))
    if finished and checked != (now := {"plan": plan, "refusal": list(seen)}):
        write_json(store.root / CHECKED, now)
    return Obeyed(changed, tuple(withdrawn))


def _concerned(
    made: Plan, finished: Mapping[Shard, int], refused: Mapping[str, tuple[Refused, ...]]
) -> list[Shard]:
    """Return the shards with a URL that was refused after the refusal of their number."""
    numbers = {url: told[-1].number for url, told in refused.items()}
    latest = max(numbers.values(), default=0)
    found: list[Shard] = []
    for shard, number in finished.items():
        if number < latest:
            batch = made.rows.batch(shard)
            urls = batch.column("path").take(url_rows(batch)).to_pylist()
            if any(numbers.get(url, 0) > number for url in urls):
                found.append(shard)
    return found


def _as_refused(now: Decision, refusals: Sequence[Refused], policy: FetchPolicy) -> Decision:
    """Return the latest refusal that the policy obeys, if the ledger has no answer to what the policy asks."""
    for told in reversed(refusals):
        if now.state is None and told.answer.partition(":")[0] in policy.signals:
            return Decision(State.opted_out, told.answer, again_at=told.time + State.opted_out.again)
    return now


def _as_before(had: FetchedRow | None, again: float | None) -> Decision:
    """Return what a row had as a decision; `again` is the time from which one of its shard is worth asking."""
    if had is None:
        return Decision(None, ask=True)
    return Decision(State[had.state], had.answer, had.digest, again_at=NEVER if again is None else again)


def _noted(refusal: object) -> tuple[int, str]:
    """Return a refusal as it was noted, that of none if it is no such."""
    match refusal:
        case [int(number), str(token)]:
            return number, token
    return 0, ""
