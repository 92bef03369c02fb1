"""`NAME.lock/`: what was decided, as small sorted files that people review like code. No clock, host or path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mlimg_build.build.finishing import as_csv
from mlimg_build.build.planning import Plan
from mlimg_build.build.store import Store, write_synced
from mlimg_build.dataset.durable import explaining_full_disk
from mlimg_build.dataset.replacing import replacing
from mlimg_build.dataset.writing import read_result
from mlimg_build.errors import BuildError, Problem

__all__ = ["refuse_strangers", "write_lock"]

LOCK_FORMAT = 1


FILES = ("lock.yaml", "categories.csv", "mappings.csv", "shards.csv")


def write_lock(plan: Plan, store: Store, folder: Path, dataset: str | None) -> None:
    """Writes the lock whole or not at all; `dataset` is the digest of the whole dataset, None before it is built.

    `shards.csv` lists the shards that are built. A lock that was there is replaced; `BuildError` where `folder` is
    anything else.
    """
    folder = folder.absolute()
    refuse_strangers(folder)
    with explaining_full_disk(folder), replacing(folder) as temporary:
        for name, data in _files(plan, store, dataset):
            write_synced(temporary / name, data)


def refuse_strangers(folder: Path) -> None:
    """Raises `BuildError` where a lock would take the place of something that is no lock."""
    if not folder.exists() and not folder.is_symlink():
        return
    names = {path.name for path in folder.iterdir()} if folder.is_dir() and not folder.is_symlink() else {""}
    if names and not ("lock.yaml" in names and names <= set(FILES)):
        raise BuildError(
            Problem(
                "not-replaceable",
                f"{folder} exists and is no lock, so it is not replaced",
                hint="give another place, or move it away",
            )
        )


def _files(plan: Plan, store: Store, dataset: str | None) -> Iterator[tuple[str, bytes]]:
    yield "lock.yaml", yaml.safe_dump(_head(plan, dataset), sort_keys=False, allow_unicode=True).encode()
    yield "categories.csv", as_csv(("wnid", "name", "parents", "from"), _categories(plan))
    columns = ("source", "category", "name", "wnid", "method", "fate", "images", "alternatives")
    yield "mappings.csv", as_csv(columns, _mappings(plan))
    yield (
        "shards.csv",
        as_csv(("split", "shard", "images", "images_digest", "labels_digest"), _shards(plan, store)),
    )


def _head(plan: Plan, dataset: str | None) -> dict[str, Any]:
    spec = plan.loaded.spec
    return {
        "lock": LOCK_FORMAT,
        "name": spec.name,
        "version": spec.version,
        "spec": plan.loaded.digest,
        "wordnet": {"release": plan.graph.release, "digest": plan.graph.digest},
        "sources": {
            catalog.name: {
                "digest": catalog.digest,
                "images": len(catalog.images),
                "statements": len(catalog.statements),
                "files": [f"{digest}  {name}" for name, digest in catalog.files],
            }
            for catalog in plan.catalogs
        },
        "categories": len(plan.facts.vocabulary),
        "implied_pairs": plan.facts.hierarchy.pairs,
        "images": sum(shard.images for shard in plan.rows.shards),
        "shards": len(plan.rows.shards),
        "dataset": dataset,
    }


def _categories(plan: Plan) -> Iterator[tuple[str, ...]]:
    vocabulary, parents = plan.facts.vocabulary, plan.facts.hierarchy.parents
    origins: dict[str, list[str]] = {}
    for row in vocabulary.placed:
        if row.fate == "used" and row.wnid:
            origins.setdefault(row.wnid, []).append(f"{row.decision.source}:{row.decision.id}")
    for i, wnid in enumerate(vocabulary.wnids):
        above = parents.indices[parents.indptr[i] : parents.indptr[i + 1]]
        names = " ".join(vocabulary.wnids[int(parent)] for parent in np.sort(above))
        yield wnid, plan.graph.name(wnid), names, " ".join(sorted(origins.get(wnid, [])))


def _mappings(plan: Plan) -> list[tuple[Any, ...]]:
    return sorted(
        (
            row.decision.source,
            row.decision.id,
            row.decision.name,
            row.wnid or "",
            row.decision.method,
            row.fate,
            row.images,
            " ".join(one.wnid for one in row.decision.alternatives),
        )
        for row in plan.facts.vocabulary.placed
    )


def _shards(plan: Plan, store: Store) -> Iterator[tuple[Any, ...]]:
    for work in plan.work:
        if store.has(work.images) and store.has(work.labels):
            images = read_result(store.path(work.images), "images")
            labels = read_result(store.path(work.labels), "labels")
            yield work.shard.split, work.shard.number, work.shard.images, images["digest"], labels["digest"]
