"""Write `NAME.lock/`: the decisions as small sorted files that people review like code; no time, host or path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import yaml

from mlimg_build.atomic import explaining_full_disk, replacing, write_synced
from mlimg_build.compiler.copies.duplicates import CopiesByDigest, copies, groups_of_copies, known_copies
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.compiler.lock.lock_reader import FILES, KEY, LOCK_FORMAT, OPTIONAL, Locked, read_leniently
from mlimg_build.compiler.plan.fetched_rows import FetchKeys
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.shard_work import ShardWork
from mlimg_build.compiler.run.assembly import evidence, plan_digest
from mlimg_build.compiler.run.csv_files import as_csv
from mlimg_build.compiler.run.label_counts import by_rule
from mlimg_build.dataset.write.shard_writer import read_result
from mlimg_build.errors import BuildError, Problem
from mlimg_build.labels import DOUBTS, distinct_names, merges
from mlimg_build.spec.dataset_rules import dataset_rules
from mlimg_build.wordnet import NounGraph

__all__ = ["ensure_replaceable", "lock_files", "write_lock"]


def write_lock(
    plan: Plan, store: Store, folder: Path, dataset: str | None, groups: CopiesByDigest | None = None
) -> None:
    """Write the lock atomically; `dataset` is the digest of the whole dataset if it is built.

    Results that this machine has not built keep their digests from the previous lock if their keys are unchanged; this
    also repairs a lock with merge conflicts. `groups` is the result of `groups_of_copies` if it is known already.
    Raises `BuildError` if `folder` is anything but a lock.
    """
    folder = folder.absolute()
    ensure_replaceable(folder)
    files = lock_files(plan, store, read_leniently(folder), dataset, groups)
    with explaining_full_disk(folder), replacing(folder) as temporary:
        for name, data in files.items():
            write_synced(temporary / name, data)


def ensure_replaceable(folder: Path) -> None:
    """Raise `BuildError` `not-replaceable` if `folder` exists and is neither a lock nor an empty folder."""
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


def lock_files(
    plan: Plan, store: Store, before: Locked | None, dataset: str | None, groups: CopiesByDigest | None = None
) -> dict[str, bytes]:
    """Return the files of a lock by name; digests of results that are not in the store are taken from `before`.

    `groups` is the result of `groups_of_copies` if it is known already.
    """
    spec, facts, graph = plan.loaded.spec, plan.facts, plan.graph
    fetching = _fetching(plan)
    if before is not None and before.head.get("fetch") != fetching:  # other answers would count
        before = Locked({}, {**before.tables, "shards.csv": [], "duplicates.csv": []})
    shards = list(_shards(plan.work, store, before))
    if dataset is None and before is not None and before.head.get("plan") == plan_digest(plan, decided=True):
        known = before.images
        if not any(
            old and old != new
            for one, row in zip(plan.work, shards, strict=True)
            for old, new in zip(known.get(_place_of(one), ("", "")), (row[5], row[7]), strict=True)
        ):
            dataset = before.head.get("dataset")
    head = yaml.safe_dump(_head(plan, dataset, fetching), sort_keys=False, allow_unicode=True).encode()
    found = groups_of_copies(spec, plan.work, store) if groups is None else groups
    repeated = () if before is None else known_copies(before, spec, plan.rows, plan.work, store)
    tables = {
        "categories.csv": _categories(facts, graph, plan.work, store),
        "mappings.csv": _mappings(facts),
        "cooccurrence.csv": _pairs(facts, graph),
        "duplicates.csv": copies(found, repeated),
        "shards.csv": shards,
    }
    columns = dict(FILES)
    if any(row[-1] for row in shards):
        columns["shards.csv"] += OPTIONAL["shards.csv"]
    else:
        tables["shards.csv"] = [row[:-1] for row in shards]
    return {"lock.yaml": head, **{name: as_csv(columns[name], rows) for name, rows in tables.items()}}


def _head(plan: Plan, dataset: str | None, fetching: Mapping[str, Any] | None) -> dict[str, Any]:
    spec, inputs = plan.loaded.spec, plan.inputs
    return {
        "lock": LOCK_FORMAT,
        "name": spec.name,
        "version": spec.version,
        "spec": plan.loaded.digest,
        "rules": dataset_rules(spec),
        **plan.graph.record(),
        "sources": {
            catalog.name: {
                "digest": catalog.digest,
                "images": len(catalog.images),
                "statements": len(catalog.statements),
                "files": [f"{digest}  {name}" for name, digest in catalog.files],
            }
            for catalog in inputs.catalogs
        },
        **({"files": dict(inputs.lists)} if inputs.lists else {}),
        **({} if fetching is None else {"fetch": fetching}),
        "duplicates": spec.duplicates.exact,
        "categories": len(plan.facts.vocabulary),
        "implied_pairs": plan.facts.hierarchy.pairs,
        "merged": {
            way: merge._asdict() for way, merge in merges(plan.facts.vocabulary).items() if merge.categories
        },
        **({} if inputs.groups is None else {"groups": inputs.groups.record()}),
        "images": sum(shard.images for shard in plan.rows.shards),
        "shards": len(plan.rows.shards),
        "plan": plan_digest(plan, decided=True),
        "dataset": dataset,
    }


def _fetching(plan: Plan) -> dict[str, Any] | None:
    """Return what decides which answers of URLs count, None if no image lies at a URL."""
    chunks = (chunk for catalog in plan.inputs.catalogs for chunk in catalog.images.chunks("status"))
    if not any(pc.any(pc.equal(chunk, "not_fetched")).as_py() for chunk in chunks):
        return None
    keys = FetchKeys.of(plan.loaded)
    licences = keys.policy.licences
    return {
        "signals": sorted(keys.policy.signals),
        "licences": None if licences is None else list(licences),
        "max_bytes": keys.policy.max_bytes,
        "placeholders": sorted(keys.policy.placeholders),
        "digests": keys.release,
    }


def _categories(
    facts: Facts, graph: NounGraph, work: Sequence[ShardWork], store: Store
) -> Iterator[tuple[Any, ...]]:
    vocabulary, parents = facts.vocabulary, facts.hierarchy.parents
    origins: dict[str, list[str]] = {}
    for row in vocabulary.placed:
        if row.fate == "used" and row.wnid:
            origins.setdefault(row.wnid, []).append(f"{row.decision.source}:{row.decision.id} ({row.images})")
    names = distinct_names(graph, vocabulary.wnids)
    counted = by_rule(work, store, len(vocabulary))
    for i, wnid in enumerate(vocabulary.wnids):
        above = parents.indices[parents.indptr[i] : parents.indptr[i + 1]]
        listed = " ".join(vocabulary.wnids[int(parent)] for parent in np.sort(above))
        present, absent = counted[i, :, 0].tolist(), counted[i, :, 1].tolist()
        yield (
            wnid,
            names[i],
            listed,
            *present[:2],
            sum(present[3:]),
            absent[0],
            absent[2],
            " | ".join(sorted(origins.get(wnid, []))),
        )


def _mappings(facts: Facts) -> list[tuple[Any, ...]]:
    return sorted(
        (
            row.decision.source,
            row.decision.id,
            row.decision.name,
            row.wnid or "",
            row.decision.relation if row.wnid else "",
            row.decision.method,
            f"{row.decision.score:.3f}",
            row.fate,
            row.images,
            row.decision.reviewer,
            evidence(row),
        )
        for row in facts.vocabulary.placed
    )


def _pairs(facts: Facts, graph: NounGraph) -> Iterator[tuple[Any, ...]]:
    found = facts.found
    pairs, wnids = found.pairs, facts.vocabulary.wnids
    names = distinct_names(graph, wnids) if len(pairs) else ()
    columns = (pairs.antecedent, pairs.consequent, pairs.together, pairs.images, pairs.bound, found.adds)
    judged = (found.doubt, pairs.vetoed, found.veto, found.accepted)
    for low, high, together, images, bound, adds, doubt, left_out, veto, accepted in zip(
        *(column.tolist() for column in (*columns, *judged)), strict=True
    ):
        yield (
            *(wnids[low], names[low], wnids[high], names[high]),
            *(together, images, f"{together / images:.4f}", f"{bound:.4f}"),
            *(adds, DOUBTS[doubt], *("x" if told else "" for told in (not left_out, veto, accepted))),
        )


def _shards(work: Sequence[ShardWork], store: Store, before: Locked | None) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of `shards.csv`; the last column, what came of URLs, is "" for a shard without any.

    Digests of images that are not built here are those of the lock before, unless URLs gave other answers here.
    """
    known: Mapping[tuple[str, str, str], str] = {} if before is None else before.digests
    former = {} if before is None else before.images
    for one in work:
        slot, keys = (
            f"{one.shard.split}/{one.shard.number}",
            (one.decided.digest[:KEY], one.labels.digest[:KEY]),
        )
        came, (digest, was) = one.came[:KEY], former.get(_place_of(one), ("", ""))
        if store.has(one.images) and (came or not was):
            images = read_result(store.path(one.images), "images")["digest"]
        elif came in ("", was):
            images, came = digest, was
        else:
            images = ""
        if store.has(one.labels):
            labels = read_result(store.path(one.labels), "labels")["digest"]
        else:
            labels = known.get(("labels", slot, keys[1]), "")
        yield (one.shard.split, one.shard.number, one.shard.images, *keys, images, labels, came)


def _place_of(one: ShardWork) -> tuple[str, str]:
    """Return a shard as `Locked.images` names it."""
    return f"{one.shard.split}/{one.shard.number}", one.decided.digest[:KEY]
