"""Write the lists beside a dataset: contradictions, images without bytes, passed-over and left-out source content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.copies.copy_tables import MergedCopies
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.lint.contradictions import COLUMNS as CONTRADICTIONS
from mlimg_build.compiler.lint.contradictions import contradictions
from mlimg_build.compiler.plan.left_out import write_left_out
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.shard_work import ShardWork
from mlimg_build.compiler.run.csv_files import write_csv
from mlimg_build.compiler.urls.attribution import write_attribution
from mlimg_build.sources.note_codes import NOTE_CODES

__all__ = ["Listings", "write_listings"]

FAILURES = ("image", "status", "reason")
PASSED_OVER = ("source", "code", "count", "example", "fate", "meaning")


@dataclass(frozen=True, slots=True)
class Listings:
    """The files that were written, None if there is nothing to list.

    `failed` counts the images that have no bytes by their status.
    """

    contradictions: Path | None
    failures: Path | None
    passed_over: Path | None
    left_out: Path | None
    attribution: Path | None
    failed: dict[str, int]


def write_listings(plan: Plan, store: Store, merged: MergedCopies, folder: Path, name: str) -> Listings:
    """Write NAME.contradictions.csv and the other lists into `folder`, replacing those of an earlier build."""
    failed = Counter(status for _, status, _ in _failures(plan.work, store))
    catalogs, facts = plan.inputs.catalogs, plan.facts
    clashes = contradictions(plan, store, merged)
    return Listings(
        contradictions=write_csv(folder / f"{name}.contradictions.csv", CONTRADICTIONS, clashes),
        failures=write_csv(folder / f"{name}.failures.csv", FAILURES, _failures(plan.work, store)),
        passed_over=write_csv(folder / f"{name}.passed-over.csv", PASSED_OVER, _passed_over(catalogs)),
        left_out=write_left_out(plan.loaded.spec, catalogs, facts, plan.rows.dropped, folder, name),
        attribution=write_attribution(plan, store, folder, name),
        failed=dict(failed),
    )


def _failures(work: Sequence[ShardWork], store: Store) -> Iterator[tuple[str, str, str]]:
    """Yield (image id, status, reason) of every image without bytes, in row order."""
    for one in work:
        entry = store.entry(one.images)
        yield from (tuple(row) for row in entry["notes"]["failures"]) if entry else ()


def _passed_over(catalogs: Sequence[Catalog]) -> Iterator[tuple[str, str, int, str, str, str]]:
    """Yield the rows of `PASSED_OVER`: one per example of each code noted in a source; fate is "lost" or "used".

    The count of a code stands in its first row, and 0 in the others, so that the column can be added up.
    """
    for catalog in catalogs:
        for code, count in sorted(catalog.notes.counts.items()):
            fate, meaning = "lost" if NOTE_CODES[code].lost else "used", NOTE_CODES[code].meaning
            yield from (
                (catalog.name, code, count if i == 0 else 0, example, fate, meaning)
                for i, example in enumerate(catalog.notes.examples[code])
            )
