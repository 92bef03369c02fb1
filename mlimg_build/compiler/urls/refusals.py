"""Refusals that the ledger learnt of URLs whose shards are finished: an opt-out that somebody met, a takedown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
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
from mlimg_build.compiler.urls.url_decisions import UrlDecisions
from mlimg_build.fetch.decisions import Decision
from mlimg_build.fetch.outcomes import NEVER, REFUSED, State
from mlimg_build.fetch.store.ledger import Ledger

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

    Only rows that the policy of the spec refuses change; the others keep what they had.
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
    for group in deciding.groups(_concerned(made, ledger, finished)):
        for one in group:
            key = keys.key(one.shard)
            again = (store.entry(key) or {"notes": {"again_at": None}})["notes"]["again_at"]
            deciding.decide(one)
            before = read_fetched(store.path(key))
            merged = list(_merged(one.rows, one.decisions, before, NEVER if again is None else float(again)))
            if all(refused is None for _, refused in merged):
                continue
            one.decisions = [refused or kept for kept, refused in merged]
            changed += 1
            withdrawn += deciding.withdrawn(one)
            with store.create(key) as (folder, notes):
                notes.update(write_fetched(folder, one.rows, one.decisions, seen))
    if finished and checked != (now := {"plan": plan, "refusal": list(seen)}):
        write_json(store.root / CHECKED, now)
    return Obeyed(changed, tuple(withdrawn))


def _concerned(made: Plan, ledger: Ledger, finished: Mapping[Shard, int]) -> list[Shard]:
    """Return the shards with a URL that was refused after the refusal of their number."""
    refused = ledger.refused_since(min(finished.values())) if finished else {}
    latest = max(refused.values(), default=0)
    found: list[Shard] = []
    for shard, number in finished.items():
        if number < latest:
            batch = made.rows.batch(shard)
            urls = batch.column("path").take(url_rows(batch)).to_pylist()
            if any(refused.get(url, 0) > number for url in urls):
                found.append(shard)
    return found


def _merged(
    rows: Iterable[int], decisions: Iterable[Decision], before: Mapping[int, FetchedRow], again: float
) -> Iterable[tuple[Decision, Decision | None]]:
    """Yield, for each row, what it had before, and what it takes now if that is a refusal which it had not."""
    for row, now in zip(rows, decisions, strict=True):
        had = before.get(row)
        state = None if had is None else State[had.state]
        kept = Decision(None, ask=True)
        if had is not None:
            kept = Decision(state, had.answer, had.digest, again_at=again)
        yield kept, now if now.state in REFUSED and now.state != state else None


def _noted(refusal: object) -> tuple[int, str]:
    """Return a refusal as it was noted, that of none if it is no such."""
    match refusal:
        case [int(number), str(token)]:
            return number, token
    return 0, ""
