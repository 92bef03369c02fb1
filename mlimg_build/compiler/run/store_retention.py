"""What a plan needs of a store, and what of the rest goes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.engine.build_usage import digests_of, record_variant
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.engine.store_usage import CATALOG, LEFTOVER, Entry, cost_of, entries_of
from mlimg_build.compiler.plan.shard_work import ShardWork

__all__ = ["drop_superseded", "needed", "not_needed"]

SHARDS = ("images", "labels")  # one result a shard; of every other stage a build has one, or one a source

Needed = Mapping[str, Collection[str]]


def needed(catalogs: Sequence[Catalog], work: Sequence[ShardWork], store: Store) -> dict[str, set[str]]:
    """The digests by stage of all that a plan made with this store reads, with its catalogs and its shards.

    The results of its shards may not be there yet.
    """
    found = {stage: set(digests) for stage, digests in store.used.items() if stage not in SHARDS}
    found["images"] = {one.images.digest for one in work}
    found["labels"] = {one.labels.digest for one in work}
    found[CATALOG] = {catalog.name for catalog in catalogs}
    return found


def drop_superseded(
    catalogs: Sequence[Catalog], work: Sequence[ShardWork], fraction: float, store: Store, dataset: Path
) -> None:
    """Removes what neither this build nor the one before it used; to be called at the end of a build.

    What a dataset links to stays. A fraction takes no shard away: others may have worked out those of the whole.
    """
    for catalog in catalogs:
        store.use(CATALOG, catalog.name, store.root / CATALOG / catalog.name)
    datasets = {path.name for path in dataset.parent.glob("*.zarr")}
    variants = record_variant(store.root, dataset.name, needed(catalogs, work, store), datasets)
    for entry in not_needed(store.root, digests_of(variants)):
        if fraction >= 1 or entry.stage not in SHARDS:
            store.remove(entry.path)


def not_needed(root: Path, kept: Needed) -> list[Entry]:
    """The entries of a store that are neither kept nor linked by a dataset."""
    return [
        entry
        for entry in entries_of(root)
        if entry.stage != LEFTOVER
        and entry.digest not in kept.get(entry.stage, ())
        and not cost_of(entry.path).linked
    ]
