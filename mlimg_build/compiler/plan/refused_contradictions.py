"""Refuse contradictions if a spec allows none; checked once for the same rows and facts."""

from __future__ import annotations

from mlimg_build.compiler.engine.cache import Key, Store
from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.compiler.plan.row_files import RowIndex, statements_of
from mlimg_build.errors import LabelError, Problem
from mlimg_build.labels import resolve_contradictions
from mlimg_build.spec import LoadedSpec

__all__ = ["refuse_contradictions"]

FORMAT = 1
NAMED = 10


def refuse_contradictions(
    loaded: LoadedSpec, facts: Facts, store: Store, rows_key: Key, rows: RowIndex
) -> None:
    """Raises `LabelError` with the first contradictions if statements about an image contradict each other.

    If there are none, that is recorded in the store, under a key of the rows and the facts.
    """
    key = Key("uncontradicted", FORMAT, {"rows": rows_key.digest, "facts": facts.digest})
    if store.has(key):
        return
    found = 0
    listed: list[str] = []
    for shard in rows.shards:
        batch = rows.batch(shard)
        statements = statements_of(batch)
        _, clashes = resolve_contradictions(statements, facts.hierarchy, "error")
        found += len(clashes)
        wnids = facts.vocabulary.wnids
        for absent, present in zip(clashes.absent[: NAMED - len(listed)], clashes.present, strict=False):
            image = batch.column("id")[int(statements.image[absent])]
            denied, stated = wnids[statements.category[absent]], wnids[statements.category[present]]
            listed.append(f"{image}: {denied} absent, {stated} present")
    if found:
        raise LabelError(
            Problem(
                "contradiction",
                f"{found} statements contradict each other, and the spec allows none; the first: {'; '.join(listed)}",
                loaded.place("annotation", "conflicts"),
                hint="settle them with `conflicts: prefer_verified` or `drop`, or correct the sources",
            )
        )
    with store.create(key):
        pass
