"""Sum up by domain what was asked for, what came and what was refused.

The template for the public summary of training content (European Commission, 24 July 2025, for Article 53(1)(d) of
Regulation (EU) 2024/1689), section 2.3 on data crawled and scraped from online sources, asks for the crawlers and their
behaviour, the period of collection, the kinds of content and of sources, and the most relevant domain names: the top
10 % of all domains by the size of what was scraped, and for small and medium enterprises the top 5 % or 1,000 domains,
whichever is fewer. This table has what of it a store can tell; whether a summary is complete is not for it to say.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc

from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.withdrawals import STATUS
from mlimg_build.compiler.run.csv_files import write_csv
from mlimg_build.compiler.urls.fetch_stage import FetchPlace, decided_rows
from mlimg_build.fetch.decisions import SIGNALS
from mlimg_build.fetch.names.urls import domain_of
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.ledger import Ledger

__all__ = ["COLUMNS", "write_domains"]

TOP = 0.1  # share of the domains, by bytes, that the template asks for
REFUSALS = tuple(f"refused_{signal.replace('-', '_')}" for signal in SIGNALS)
COLUMNS = (
    *("domain", "images", "came", "bytes", "share_of_bytes", "top_10_percent", "first_day", "last_day"),
    *(*REFUSALS, "refused_licence", "withdrawn", "not_asked", "did_not_come"),
)


@dataclass(slots=True)
class _Domain:
    """What is known of the URLs of a domain; times are in seconds since 1970."""

    counts: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    first: float = math.inf
    last: float = 0.0


def write_domains(made: Plan, place: FetchPlace, path: Path) -> Path | None:
    """Write a CSV with a row for each domain, the one with the most bytes first; None if no image lies at a URL.

    Days are those of the last question to a URL, in UTC. `did_not_come` counts what no column before it does.

    Raises:
        BuildError: `ledger-unreadable`.
    """
    found: dict[str, _Domain] = {}
    with Ledger(place.ledger) as ledger:
        ledger.compact()
        for url, decision, record in decided_rows(made, place, ledger):
            one = found.setdefault(domain_of(url), _Domain())
            one.counts["images"] += 1
            one.counts[_column(decision.state, decision.answer)] += 1
            if decision.state == State.ok and record is not None:
                one.bytes += record.size
            if record is not None and record.time:
                one.first, one.last = min(one.first, record.time), max(one.last, record.time)
        for work in made.work:
            if work.shard.withdrawn:
                batch = made.rows.batch(work.shard)
                gone = batch.filter(pc.equal(batch.column("status"), STATUS))
                for url in gone.column("path").to_pylist():
                    if "://" in url:
                        counts = found.setdefault(domain_of(url), _Domain()).counts
                        counts.update(images=1, withdrawn=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_csv(path, COLUMNS, _rows(found))


def _column(state: State | None, answer: str) -> str:
    """Return the column that counts a URL in this state."""
    if state is None:
        return "not_asked"
    if state == State.opted_out:
        column = f"refused_{answer.partition(':')[0].replace('-', '_')}"
        return column if column in REFUSALS else "did_not_come"
    named = {State.ok: "came", State.licence_refused: "refused_licence", State.withdrawn: "withdrawn"}
    return named.get(state, "did_not_come")


def _rows(found: dict[str, _Domain]) -> Iterator[tuple[object, ...]]:
    total = sum(one.bytes for one in found.values())
    top = math.ceil(TOP * len(found))
    ordered = sorted(found.items(), key=lambda item: (-item[1].bytes, -item[1].counts["images"], item[0]))
    for rank, (domain, one) in enumerate(ordered):
        yield (
            *(domain, one.counts["images"], one.counts["came"], one.bytes),
            f"{one.bytes / total:.6f}" if total else "",
            "yes" if rank < top and one.bytes else "",
            *(_day(one.first), _day(one.last)),
            *(one.counts[column] for column in COLUMNS[8:]),
        )


def _day(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).date().isoformat() if 0 < time < math.inf else ""
