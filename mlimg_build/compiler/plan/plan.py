"""What a build will do, and why: everything is decided here, once, before any worker starts."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlimg_build.atomic import save_json
from mlimg_build.compiler.catalog.catalog import Catalog, catalog
from mlimg_build.compiler.catalog.join_problems import problems_of_joins
from mlimg_build.compiler.catalog.source_warnings import source_warnings
from mlimg_build.compiler.engine.cache import ASK_AGAIN, ENTRY, Key, Store, read_json
from mlimg_build.compiler.engine.retries import retried
from mlimg_build.compiler.facts.facts import Facts, decide_facts, save_rules
from mlimg_build.compiler.facts.list_digests import list_digests, refuse_changed
from mlimg_build.compiler.facts.pair_counts import pairs_digest
from mlimg_build.compiler.facts.pair_table import left_out_pairs, pair_rows
from mlimg_build.compiler.facts.preflight import missing_paths
from mlimg_build.compiler.facts.unused_categories import UnusedCategory, reason_codes, unused_categories
from mlimg_build.compiler.plan.image_groups import Groups, group_images, share_warnings
from mlimg_build.compiler.plan.left_out import REASONS
from mlimg_build.compiler.plan.refused_contradictions import refuse_contradictions
from mlimg_build.compiler.plan.row_files import Rows, Shard
from mlimg_build.compiler.plan.row_writer import write_rows
from mlimg_build.dataset import Layout
from mlimg_build.errors import MlimgError, Problem, SourceError, SpecError
from mlimg_build.images import encoder
from mlimg_build.labels import merges
from mlimg_build.sources import open_source
from mlimg_build.sources.note_codes import lost, used
from mlimg_build.spec import LoadedSpec, Spec, digest_of, without_paths
from mlimg_build.wordnet import NounGraph

__all__ = ["LABELS_PER_TASK", "Plan", "ShardWork", "make_plan"]

IMAGES_FORMAT = 2
LABELS_FORMAT = 6
ROWS_FORMAT = 5
RULES_FORMAT = 1
WHY = {  # what a part of a key that differs says to people, the most telling first
    "images": "other images belong in it",
    "encoder": "another version of the encoder is installed",
    "annotation": "annotation changed",
    "pairs": "the pairs of co-occurring categories changed",
    "layout": "dataset changed",
    "facts": "the categories or what they imply changed",
    "rows": "other rows of the sources belong in it",
    "sources": "the order of the sources changed",
}
UNREAD = "files that could not be read, or were gone, are asked for again"
LAST = "last.json"  # which results each shard had when it was built last
LABELS_PER_TASK = 16  # label-only tasks are bundled, so that no task is shorter than its scheduling


@dataclass(frozen=True, slots=True)
class ShardWork:
    """One shard of the dataset and the keys of its two results, with what is there already."""

    shard: Shard
    images: Key
    labels: Key
    why_images: str  # why its images are made; "" where they are there
    why_labels: str

    @property
    def images_cached(self) -> bool:
        """Whether nothing is to be done for the images."""
        return not self.why_images

    @property
    def labels_cached(self) -> bool:
        """Whether nothing is to be done for the labels."""
        return not self.why_labels


@dataclass(frozen=True, slots=True)
class Plan:
    """A build decided in full: facts, rows, and the work on each shard. `fraction` has cut `work` already."""

    loaded: LoadedSpec
    graph: NounGraph
    catalogs: tuple[Catalog, ...]
    facts: Facts
    rows: Rows
    rows_folder: Path
    rules_file: Path
    layout: Layout
    fraction: float
    work: tuple[ShardWork, ...]
    lists: Mapping[str, str]  # the digests of the files that decide something and that no source reads
    groups: Groups | None = None  # None where each image draws its split alone
    joins: tuple[Problem, ...] = ()  # where lists and folders do not meet
    unused: tuple[Problem, ...] = ()  # rules of the spec that never fired, where somebody asked

    def cut(self, fraction: float) -> Plan:
        """The plan of the first shards of each split: at least one, and the same as in the whole."""
        work = []
        for split in dict.fromkeys(item.shard.split for item in self.work):
            shards = [item for item in self.work if item.shard.split == split]
            work += shards[: max(1, math.ceil(Fraction(str(fraction)) * len(shards)))]
        return replace(self, fraction=fraction, work=tuple(work))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        groups = () if self.groups is None else share_warnings(self.loaded, self.groups, self.splits)
        return (*self.loaded.warnings, *self.joins, *self.facts.warnings, *groups)

    @property
    def splits(self) -> dict[str, int]:
        """The images of each split in the whole, whatever the fraction."""
        images: Counter[str] = Counter()
        for shard in self.rows.shards:
            images[shard.split] += shard.images
        return dict(images)

    @property
    def unused_categories(self) -> tuple[UnusedCategory, ...]:
        """The source categories that are not used, those of most images first."""
        return unused_categories(self.loaded.spec, self.facts.vocabulary.placed, self.graph)

    @property
    def left_out(self) -> dict[str, int]:
        """The images of the whole that are left out, by reason."""
        total = Counter[str]()
        for reasons in self.rows.left_out.values():
            total.update(reasons)
        return {reason: total[reason] for reason in REASONS if total[reason]}

    @property
    def tasks(self) -> int:
        """The number of Dask tasks that are left."""
        packed = sum(not work.images_cached for work in self.work)
        labelled = sum(work.images_cached and not work.labels_cached for work in self.work)
        return packed + math.ceil(labelled / LABELS_PER_TASK)

    def summary(self) -> dict[str, Any]:
        """The plan in numbers, for people and for `--json`."""
        todo = [work for work in self.work if not work.images_cached]
        pairs = pair_rows(self.facts, self.graph)
        return {
            "name": self.loaded.spec.name,
            "version": self.loaded.spec.version,
            "fraction": self.fraction,
            "sources": {
                item.name: {
                    "images": len(item.images),
                    "statements": len(item.statements),
                    "digest": item.digest,
                    "passed_over": lost(item.notes.counts),
                    "noted": used(item.notes.counts),
                }
                for item in self.catalogs
            },
            "categories": len(self.facts.vocabulary),
            "mapping": dict(Counter(row.decision.method for row in self.facts.vocabulary.placed)),
            "fates": dict(Counter(row.fate for row in self.facts.vocabulary.placed)),
            "implied_pairs": self.facts.hierarchy.pairs,
            "images": sum(work.shard.images for work in self.work),
            "bytes": sum(work.shard.bytes for work in self.work),
            "unused_categories": [asdict(one) for one in self.unused_categories],
            "images_without_label": self.rows.dropped,
            "left_out": self.left_out,
            "labels_below_confidence": self.rows.below,
            "splits": self.splits,
            "groups": None if self.groups is None else {**self.groups.record(), "splits": self.groups.splits},
            "shards": len(self.work),
            "image_shards_cached": sum(work.images_cached for work in self.work),
            "label_shards_cached": sum(work.labels_cached for work in self.work),
            "images_to_read": sum(work.shard.images for work in todo),
            "bytes_to_read": sum(work.shard.bytes for work in todo),
            "tasks": self.tasks,
            "why": {
                "images": dict(Counter(work.why_images for work in self.work if work.why_images)),
                "labels": dict(Counter(work.why_labels for work in self.work if work.why_labels)),
            },
            "merged": {
                way: merge._asdict()
                for way, merge in merges(self.facts.vocabulary).items()
                if merge.categories
            },
            "pairs": int((~self.facts.pairs.vetoed).sum()),
            "pairs_left_out": left_out_pairs(pairs),
            "pair_list": [asdict(row) for row in pairs],
            "unused": [f"{problem.place}: {problem.message}" for problem in self.unused],
            "training": self._training(),
        }

    def _training(self) -> dict[str, Any] | None:
        """What follows the dataset; epochs are counted over all training images, as if each has bytes and no copy."""
        part, transfer = self.loaded.spec.training, self.loaded.spec.transfer
        if part is None:
            return None
        images = sum(work.shard.images for work in self.work if work.shard.split == "train")
        return {
            "model": part.model,
            "image_size": part.image_size,
            "images": images,
            "epochs": part.epochs,
            "steps": part.epochs * (part.steps_per_epoch or max(1, round(images / part.batch_size))),
            "batch_size": part.batch_size,
            "transfer": None if transfer is None else transfer.source,
        }


def make_plan(
    loaded: LoadedSpec,
    graph: NounGraph,
    store: Store,
    fraction: float = 1.0,
    progress: Callable[[str], None] = lambda message: None,
) -> Plan:
    """The plan of a build; reads the sources' lists and folders where they changed, but no image.

    Raises every error of a spec that only its sources show: `SpecError`, `SourceError`, `WordNetError`, `LabelError`.
    """
    absent = [problem for problem in missing_paths(loaded) if problem.severity == "error"]
    if absent:
        raise SpecError(absent)
    catalogs = tuple(_catalogs(loaded, store, progress))
    joins = (*problems_of_joins(loaded, catalogs), *source_warnings(loaded, catalogs))
    if any(problem.severity == "error" for problem in joins):
        raise SourceError(joins)
    progress("placing categories")
    known = {path for name, part in loaded.spec.sources.items() for path in open_source(name, part).files}
    lists = list_digests(loaded, known)
    catalogs, groups = group_images(loaded, catalogs, store)
    facts = decide_facts(loaded, catalogs, graph, store, progress)
    refuse_changed(loaded, lists, list_digests(loaded, known))
    progress("ordering images")
    rows_key = _rows_key(loaded, catalogs, facts, groups)
    if not store.has(rows_key):
        with store.create(rows_key) as (folder, notes):
            notes.update(write_rows(loaded.spec, catalogs, facts, folder).record())
    rules_key = Key("rules", RULES_FORMAT, {"facts": facts.digest})
    if not store.has(rules_key):
        with store.create(rules_key) as (folder, _):
            save_rules(folder / "rules.npz", facts)
    entry = store.entry(rows_key)
    assert entry is not None  # noqa: S101  it was made just above
    rows, folder = Rows.from_record(entry["notes"]), store.path(rows_key)
    if loaded.spec.annotation.conflicts == "error":
        refuse_contradictions(loaded, facts, store, rows_key, rows)
    spec = loaded.spec
    layout = Layout(
        images_per_shard=spec.dataset.images_per_shard,
        chunk_bytes=spec.dataset.chunk_bytes,
        shard_bytes=spec.dataset.shard_bytes,
        source_digest=spec.images.encoding != "original",
    )
    last = read_json(store.root / LAST)
    common = _parts(loaded, facts, layout)
    work = []
    for split in dict.fromkeys(shard.split for shard in rows.shards):
        shards = rows.of(split)
        for shard in shards[: max(1, math.ceil(Fraction(str(fraction)) * len(shards)))]:
            work.append(_work(shard, common, store, last))
    return Plan(
        loaded=loaded,
        graph=graph,
        catalogs=catalogs,
        facts=facts,
        rows=rows,
        rows_folder=folder,
        rules_file=store.path(rules_key) / "rules.npz",
        layout=layout,
        fraction=fraction,
        work=tuple(work),
        lists=lists,
        groups=groups,
        joins=joins,
    )


def remember(store: Store, plan: Plan) -> None:
    """Notes which results each shard had, so that the next plan can say what changed."""
    slots = {
        f"{work.shard.split}/{work.shard.number}": [work.images.digest, work.labels.digest]
        for work in plan.work
    }
    save_json(store.root / LAST, {**read_json(store.root / LAST), **slots})


def _catalogs(loaded: LoadedSpec, store: Store, progress: Callable[[str], None]) -> Sequence[Catalog]:
    """All catalogs; a problem in one source does not hide those of the others."""
    made, problems = [], []
    for name, part in loaded.spec.sources.items():
        progress(f"reading source {name}")
        try:
            source = open_source(name, part)
            made.append(retried(partial(catalog, name, source, part, store.root / "catalog"), progress))
        except MlimgError as error:
            place = loaded.place("sources", name)
            problems += [
                Problem(problem.code, problem.message, problem.place or place, problem.hint)
                for problem in error.problems
            ]
            kind = type(error)
    if problems:
        raise kind(problems)
    return made


def _rows_key(loaded: LoadedSpec, catalogs: Sequence[Catalog], facts: Facts, groups: Groups | None) -> Key:
    spec = loaded.spec
    placing = hashlib.sha256(facts.vocabulary.category_of.astype("<i4").tobytes())
    placing.update(np.packbits(facts.vocabulary.narrower).tobytes())
    times = hashlib.sha256()
    for item, position in zip(catalogs, facts.positions, strict=True):
        placing.update(position.astype("<i4").tobytes())
        for name in ("mtime", "ctime"):
            for chunk in item.images.chunks(name):
                times.update(chunk.to_numpy().astype("<i8", copy=False).data)
    parts = {
        "catalogs": {item.name: item.digest for item in catalogs},
        "order": [item.name for item in catalogs],
        "placing": placing.hexdigest(),
        "reasons": digest_of(reason_codes(spec, facts.vocabulary.placed)),
        "min_confidence": {name: source.min_confidence for name, source in spec.sources.items()},
        "splits": {name: source.split for name, source in spec.sources.items()},
        "validation": spec.split.validation,
        "unlabelled": spec.annotation.unlabelled,
        "images_per_shard": spec.dataset.images_per_shard,
    }
    if groups is not None:
        parts["groups"] = groups.digest
    return Key("rows", ROWS_FORMAT, parts, hint=times.hexdigest()[:16])


def _parts(loaded: LoadedSpec, facts: Facts, layout: Layout) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the keys of all images, and of all labels, have in common."""
    spec = loaded.spec
    sizes = {
        "images_per_shard": layout.images_per_shard,
        "chunk_bytes": layout.chunk_bytes,
        "shard_bytes": layout.shard_bytes,
    }
    stored = without_paths(spec.images)
    del stored["unreadable"]  # a row that it keeps is asked for again, so it is in no finished result
    images = {
        "images": stored,
        "encoder": None if spec.images.encoding == "original" else encoder(),
        "layout": sizes,
    }
    labels = {
        "facts": facts.digest,
        "annotation": _annotation(spec),
        "pairs": pairs_digest(facts.pairs),
        "sources": digest_of([row.source for row in facts.rows]),
        "layout": {**sizes, "source_digest": layout.source_digest},
    }
    return images, labels


def _work(
    shard: Shard, common: tuple[dict[str, Any], dict[str, Any]], store: Store, last: dict[str, Any]
) -> ShardWork:
    images = Key("images", IMAGES_FORMAT, {"rows": shard.image_rows, **common[0]}, shard.hint)
    labels = Key("labels", LABELS_FORMAT, {"rows": shard.label_rows, "images": shard.images, **common[1]})
    before = last.get(f"{shard.split}/{shard.number}")
    old_images, old_labels = before if isinstance(before, list) and len(before) == 2 else ("", "")
    return ShardWork(shard, images, labels, _why(images, store, old_images), _why(labels, store, old_labels))


def _annotation(spec: Spec) -> dict[str, Any]:
    """The rules of annotation that the labels of a shard follow from, beside its rows and the facts."""
    rules = without_paths(spec.annotation)
    pairs = rules.pop("cooccurrence")
    del rules["unlabelled"]  # says which rows there are
    return {**rules, "add_to": pairs["add_to"] if pairs else None}


def _why(key: Key, store: Store, before: str | None) -> str:
    """Why a result is not there: the first part of its key that differs from what was built last; "" where it is."""
    if store.has(key):
        return ""
    entry = store.entry(key)
    if entry is not None:
        return UNREAD if entry["hint"] == ASK_AGAIN else "its files were touched since"
    old = read_json(store.folder(key.stage, before or "-") / ENTRY).get("parts")
    if not isinstance(old, dict):
        return "not built yet"
    for name, said in WHY.items():
        if name in key.parts and old.get(name) != key.parts[name]:
            new, was = key.parts[name], old.get(name)
            if isinstance(new, dict) and isinstance(was, dict):
                changed = [field for field in new if was.get(field) != new[field]]
                return f"{name}.{changed[0]} changed" if changed else said
            return said
    return "the format changed"
