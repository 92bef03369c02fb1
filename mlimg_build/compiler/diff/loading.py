"""Load the sides of a comparison from a spec (which is planned), a lock or a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlimg_build.compiler.diff.changes import COPIED, Differences
from mlimg_build.compiler.diff.comparison import compare
from mlimg_build.compiler.diff.label_changes import compare_entries
from mlimg_build.compiler.diff.shared_names import with_distinct_names
from mlimg_build.compiler.diff.snapshot import COUNTED, Category, Key, Mapped, Pair, Side, SourceFacts
from mlimg_build.compiler.diff.stored_labels import clashes_of, count_labels
from mlimg_build.compiler.lock.lock_reader import Locked, read_lock
from mlimg_build.compiler.lock_stage import decided
from mlimg_build.compiler.watchers import Watcher
from mlimg_build.dataset import Dataset, open_dataset
from mlimg_build.dataset.read.array_files import read_array
from mlimg_build.errors import BuildError, Problem
from mlimg_build.spec import Backend, canonical_json, load_spec
from mlimg_build.spec.dataset_rules import StoredRules, rule_places, stored_rules

__all__ = ["compare_paths", "kind_of", "side_of", "side_of_dataset", "side_of_lock"]

COPIED_COLUMNS = {
    "groups": ("start", "stop", "merged"),
    "members": ("id", "id_stop"),
    "labels": ("start", "stop", "category", "state", "confidence"),
}
"""The columns of the copy tables that determine which images count and with which labels."""


def compare_paths(
    before: Path, after: Path, out: Path, backend: Backend, watcher: Watcher | None = None
) -> Differences:
    """Compare the specs, locks or datasets at two paths; two datasets of the same images also image by image.

    Raises the errors of `side_of`; for a wrong path, before anything is computed.
    """
    kinds = [kind_of(path) for path in (before, after)]
    entries = None
    if kinds == ["dataset", "dataset"]:
        with open_dataset(before) as old, open_dataset(after) as new:
            entries = compare_entries(old, new)
    else:
        for path, kind in zip((before, after), kinds, strict=True):
            if kind == "dataset":
                open_dataset(path).close()
    sides = [side_of(path, out, backend, watcher) for path in (before, after)]
    return compare(*with_distinct_names(sides[0], sides[1]), entries)


def side_of(path: Path, out: Path, backend: Backend, watcher: Watcher | None = None) -> Side:
    """Return the side at `path`; the labels of a spec are computed into the store in `out`, and no image is read.

    Raises `BuildError` if `path` is no spec, lock or dataset, and the errors of reading it.
    """
    kind = kind_of(path)
    if kind == "dataset":
        with open_dataset(path) as dataset:
            return side_of_dataset(dataset, str(path))
    if kind == "lock":
        return side_of_lock(read_lock(path), str(path))
    loaded = load_spec(path)
    now = decided(loaded, out, backend, watcher)
    side = side_of_lock(now.locked, str(path), "spec")
    return replace(side, places=rule_places(loaded.document), clashes=now.clashes)


def kind_of(path: Path) -> str:
    """Return `spec`, `lock` or `dataset` by the content and name of `path`. Raises `BuildError` for anything else."""
    if path.is_dir():
        if (path / "zarr.json").exists() or path.suffix == ".zarr":
            return "dataset"
        if (path / "lock.yaml").exists() or path.suffix == ".lock":
            return "lock"
    elif path.is_file() and path.suffix in (".yaml", ".yml") and path.name != "lock.yaml":
        return "spec"
    what = "is no spec, lock or dataset" if path.exists() else "is not there"
    hint = "give a spec (NAME.yaml), a lock (the folder NAME.lock) or a dataset (NAME.zarr)"
    if path.name == "lock.yaml":
        hint = f"give the whole lock, the folder {path.parent}"
    raise BuildError(Problem("not-comparable", f"{path} {what}", hint=hint))


def side_of_lock(locked: Locked, title: str, kind: str = "lock") -> Side:
    """Return a lock as a side. Raises `BuildError` `lock-damaged` for invalid values or a cycle of parents."""
    try:
        side = _side_of_lock(locked, title, kind)
        _ = side.above  # a cycle of parents shows here
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        hint = "`mlimg lock SPEC` writes it anew"
        message = f"{title} cannot be read: {error}"
        raise BuildError(Problem("lock-damaged", message, hint=hint)) from error
    return side


def _side_of_lock(locked: Locked, title: str, kind: str) -> Side:
    head, tables = locked.head, locked.tables
    categories = {
        row["wnid"]: Category(
            wnid=row["wnid"],
            name=row["name"],
            parents=tuple(row["parents"].split()),
            labels=tuple(int(row[column]) for column in COUNTED),
        )
        for row in tables["categories.csv"]
    }
    mappings = {
        (row["source"], row["category"]): Mapped(
            name=row["name"],
            into=row["wnid"] if row["fate"] == "used" else "",
            fate=row["fate"],
            method=row["method"],
            wnid=row["wnid"],
            relation=row["relation"],
            score=row["score"],
            images=int(row["images"]),
        )
        for row in tables["mappings.csv"]
    }
    pairs = {
        (row["antecedent"], row["consequent"]): Pair(
            row["share"], row["bound"], not row["used"], int(row["adds"])
        )
        for row in tables["cooccurrence.csv"]
    }
    sources = {
        name: SourceFacts(part["digest"], part["images"], part["statements"])
        for name, part in head["sources"].items()
    }
    return Side(
        title=title,
        kind=kind,
        head=_head({**head, "digest": head["dataset"]}),
        sources=sources,
        images=sum(int(row["images"]) for row in tables["shards.csv"]),
        whole=len(tables["shards.csv"]) / max(head["shards"], 1),
        categories=categories,
        mappings=mappings,
        pairs=pairs,
        vetoes=True,
        splits=_by_split((row["split"], int(row["images"])) for row in tables["shards.csv"]),
        stored=_stored(row["images_digest"] for row in tables["shards.csv"]),
        rules=_rules(head),
        files={str(key): str(line) for key, line in (head.get("files") or {}).items()},
    )


def _rules(head: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the rules of a lock, None if an earlier version wrote it without. Raises `ValueError`, `TypeError`."""
    rules = head.get("rules")
    if rules is None:
        return None
    canonical_json(rules)
    if not isinstance(rules, dict):
        raise ValueError("rules is no mapping")
    return rules


def _head(told: dict[str, Any]) -> dict[str, str]:
    """Return the head facts that a side has; digests in full."""
    wordnet, own = told.get("wordnet"), told.get("own")
    facts = {
        "name": told["name"],
        "version": told["version"],
        "spec": told["spec"],
        "WordNet": f"{wordnet['release']} {wordnet['digest']}" if wordnet else None,
        "own categories": f"{own['categories']:,} {own['digest']}" if own else None,
        "plan": told.get("plan"),
        "dataset": told["digest"],
        "duplicates": told.get("duplicates") or (told.get("copies") or {}).get("exact"),
        "copies": _copies(told.get("copies")),
    }
    return {fact: str(value) for fact, value in facts.items() if value is not None}


def _copies(told: dict[str, Any] | None) -> str | None:
    """Return the number of copies and of distinct files as text; None if the side has none recorded."""
    return None if told is None else f"{told['images']:,} of {told['groups']:,} files"


def side_of_dataset(dataset: Dataset, title: str) -> Side:
    """Return a dataset as a side; its label columns are counted one shard at a time, and no image is read."""
    nouns = "own" if "own" in dataset.attributes else "wordnet"  # a flat vocabulary has no noun of WordNet
    dataset.attributes_of_build("name", "version", "fraction", "spec_digest", nouns, "sources")
    told, categories = dataset.attributes, dataset.categories
    counted = count_labels(dataset)
    rules, places = _stored_rules(dataset) or (None, {})
    names = _told_apart(categories.names, categories.wnid)
    wnids = categories.wnid
    return Side(
        title=title,
        kind="dataset",
        head={
            **_head({**told, "spec": told["spec_digest"], "digest": dataset.digest}),
            COPIED: _of_copies(dataset),
        },
        sources={name: SourceFacts(part["digest"]) for name, part in told["sources"].items()},
        images=sum(len(split) for split in dataset.splits.values()),
        whole=float(told["fraction"]),
        categories={
            wnid: Category(
                wnid=wnid,
                name=name,
                parents=tuple(sorted(wnids[parent] for parent in parents)),
                labels=tuple(labels),
            )
            for wnid, name, parents, labels in zip(
                wnids, names, categories.parents, counted.labels.tolist(), strict=True
            )
        },
        mappings=_mappings(dataset),
        pairs={
            (wnids[pair.antecedent], wnids[pair.consequent]): Pair(
                f"{pair.together / pair.images:.4f}",
                f"{pair.bound:.4f}",
                False,
                counted.added[pair.antecedent, pair.consequent],
            )
            for pair in dataset.pairs
        },
        vetoes=False,
        splits={name: len(split) for name, split in dataset.splits.items()},
        stored=_stored(
            digest.tobytes().hex()
            for split in dataset.splits
            for digest in read_array(dataset.path / split / "shards" / "images_digest")
        ),
        rules=rules,
        places=places,
        clashes=clashes_of(dataset),
    )


def _stored_rules(dataset: Dataset) -> StoredRules | None:
    """Return the rules of the spec that a dataset stores; None if this version cannot read it."""
    text, file = dataset.attributes_of_build("spec", "spec_file")
    return stored_rules(text, file, dataset.path.absolute().parent)


def _by_split(shards: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for split, images in shards:
        found[split] += images
    return dict(found)


def _of_copies(dataset: Dataset) -> str:
    """Return the sha256 over the copy tables: which images count, and with which labels."""
    copies, digest = dataset.copies, sha256()
    for table, names in COPIED_COLUMNS.items():
        columns = copies.table(table)
        for name in names:
            digest.update(f"{table}/{name}:{columns[name].dtype.str};".encode() + columns[name].tobytes())
    return digest.hexdigest()


def _stored(digests: Iterable[str]) -> str:
    """Return one digest over those of the image shards, "" if one of them is unknown or there is none."""
    listed = list(digests)
    return sha256("\n".join(listed).encode()).hexdigest() if listed and all(listed) else ""


def _mappings(dataset: Dataset) -> dict[Key, Mapped]:
    found = {}
    for row in dataset.mappings:
        into = dataset.categories.wnid[row.category] if row.category >= 0 else ""
        found[row.source, row.id] = Mapped(row.name, into, row.fate, row.method)
    return found


def _told_apart(names: list[str], wnids: list[str]) -> list[str]:
    """Return the names, with the id appended where several categories share a name."""
    times = Counter(names)
    return [f"{name} {wnid}" if times[name] > 1 else name for name, wnid in zip(names, wnids, strict=True)]
