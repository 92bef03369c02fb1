"""Determine which entries of a store a plan needs, and remove superseded ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.engine.build_usage import digests_of, record_variant
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.engine.store_usage import CATALOG, LEFTOVER, Entry, cost_of, entries_of
from mlimg_build.compiler.plan.shard_work import ShardWork

__all__ = ["drop_superseded", "needed", "not_needed"]

SHARDS = (
    "images",
    "labels",
    "fetched",
)  # stages with one result per shard; others have one per build or per source

Needed = Mapping[str, Collection[str]]


def needed(catalogs: Sequence[Catalog], work: Sequence[ShardWork], store: Store) -> dict[str, set[str]]:
    """Return, by stage, the digests of all entries that a plan made with this store uses.

    The results of its shards may not exist yet.
    """
    found = {stage: set(digests) for stage, digests in store.used.items() if stage not in SHARDS}
    found["images"] = {one.images.digest for one in work}
    found["labels"] = {one.labels.digest for one in work}
    found["fetched"] = {one.fetched.digest for one in work if one.fetched is not None}
    found[CATALOG] = {catalog.name for catalog in catalogs}
    return found


def drop_superseded(
    catalogs: Sequence[Catalog], work: Sequence[ShardWork], fraction: float, store: Store, dataset: Path
) -> None:
    """Remove the entries that neither this build nor the previous one used; called at the end of a build.

    Entries that a dataset links to are kept. A build of a fraction removes no shards: other builds may need them.
    """
    for catalog in catalogs:
        store.use(CATALOG, catalog.name, store.root / CATALOG / catalog.name)
    datasets = {path.name for path in dataset.parent.glob("*.zarr")}
    variants = record_variant(store.root, dataset.name, needed(catalogs, work, store), datasets)
    for entry in not_needed(store.root, digests_of(variants)):
        if fraction >= 1 or entry.stage not in SHARDS:
            store.remove(entry.path)


def not_needed(root: Path, kept: Needed) -> list[Entry]:
    """Return the entries of a store that are neither in `kept` nor linked by a dataset; leftovers are not listed."""
    return [
        entry
        for entry in entries_of(root)
        if entry.stage != LEFTOVER
        and entry.digest not in kept.get(entry.stage, ())
        and not cost_of(entry.path).linked
    ]
