"""What was understood of each source: rows, columns, splits, files that were met, examples, what is left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.facts.category_groups import NestingUse
from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.compiler.source_columns import source_columns
from mlimg_build.label_states import PRESENT
from mlimg_build.labels import MappedCategory
from mlimg_build.sources import DRAWN, place_of, written_place
from mlimg_build.sources.note_codes import NOTE_CODES
from mlimg_build.spec import SPLITS, Spec
from mlimg_build.wordnet import NounGraph

__all__ = ["ExampleImage", "ExampleLabel", "NamedCategory", "Understood", "understood"]

EXAMPLES = 5
LOOKED_AT = 20 * EXAMPLES  # images out of which the examples are chosen
NAMES = 20  # categories that are listed; of more, the least certain
SURE = 0.9  # score from which a listed name is not said to be unsure
SHOWN = 3  # examples of what is left out
LABELS = 6  # of an example, the present ones first; more are counted
MET = ("", "truncated")
FATES = {
    "unresolved": "no synset fits their name",
    "dropped": "the mapping file drops them",
    "excluded": "the spec excludes them",
    "rare": "they have too few images",
    "unreviewed": "nobody reviewed their synset, and the spec drops such",
    "is_a": "they are only known to be kinds of a synset, and the spec drops such",
    "no_value": "their name is a word for a missing value",
}


@dataclass(frozen=True, slots=True)
class ExampleLabel:
    """A label as the source states it, and the synset that it becomes, with its score; None if it is not used."""

    category: str
    present: bool
    confidence: float
    wnid: str | None
    name: str
    score: float
    fate: str


@dataclass(frozen=True, slots=True)
class ExampleImage:
    """An image of a source: the file that it is, or why there is none; the row of its list; its labels."""

    name: str
    path: str
    status: str
    row: str
    labels: tuple[ExampleLabel, ...]
    more: int  # labels that are not listed


@dataclass(frozen=True, slots=True)
class NamedCategory:
    """A category of a source, and what became of it: the category of the dataset with its place, or why it has none."""

    category: str
    images: int
    wnid: str | None
    name: str
    above: str
    score: float
    fate: str


@dataclass(frozen=True, slots=True)
class Understood:
    """One source as it was read.

    `columns` are pairs of what is read and what it means. `splits` counts images by the source's own split, "" where
    they are drawn. `met` counts the images that met a file. `becoming` counts the categories that those of the source
    become, `named` lists those with images, the least certain first if there are too many, `merged` are groups of
    several that become one. `unlabelled` counts the images without any statement, `bare` has the number of categories
    without any, and some of their names. `left_out` are (what, rows or labels, meaning, examples), `noted` the same of
    what is used although something is odd about it.
    """

    type: str
    images: int
    present: int
    absent: int
    by_machines: int
    categories: int
    becoming: int
    named: tuple[NamedCategory, ...]
    merged: tuple[tuple[str, tuple[str, ...]], ...]
    columns: tuple[tuple[str, str], ...]
    splits: dict[str, int]
    met: int
    statuses: dict[str, int]
    examples: tuple[ExampleImage, ...]
    left_out: tuple[tuple[str, int, str, tuple[str, ...]], ...]
    hierarchy: NestingUse | None
    unlabelled: int
    bare: tuple[int, tuple[str, ...]]
    noted: tuple[tuple[str, int, str, tuple[str, ...]], ...]

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self)


def understood(
    spec: Spec, catalogs: Sequence[Catalog], facts: Facts, graph: NounGraph
) -> dict[str, Understood]:
    """Return what was understood of each source, by its name. Reads the catalogs once, no image."""
    found = {}
    for number, catalog in enumerate(catalogs):
        placed = {
            row.number: facts.vocabulary.placed[i] for i, row in enumerate(facts.rows) if row.source == number
        }
        nested = facts.nested.get(catalog.name)
        found[catalog.name] = _of_source(spec, catalog, placed, graph, nested)
    return found


def _of_source(
    spec: Spec,
    catalog: Catalog,
    placed: dict[int, MappedCategory],
    graph: NounGraph,
    nested: NestingUse | None,
) -> Understood:
    part = spec.sources[catalog.name]
    statuses, splits = Counter[str](), Counter[int]()
    for batch in catalog.images.batches(["status", "split"]):
        counts = batch.column("status").value_counts().to_pylist()
        statuses.update({one["values"]: one["counts"] for one in counts})
        values, times = np.unique(batch.column("split").to_numpy(), return_counts=True)
        splits.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
    present = absent = machines = labelled = 0
    told, last = set[int](), None
    for batch in catalog.statements.batches(["key", "category", "state", "confidence"]):
        if not len(batch):  # nobody labelled these images
            continue
        state, confidence = batch.column("state").to_numpy(), batch.column("confidence").to_numpy()
        keys = batch.column("key").to_numpy()
        told.update(np.unique(batch.column("category").to_numpy()).tolist())
        labelled += int(np.count_nonzero(keys[1:] != keys[:-1])) + (keys[0] != last)
        last = keys[-1]
        present += int(np.count_nonzero(state == PRESENT))
        absent += int(np.count_nonzero(state != PRESENT))
        machines += int(np.count_nonzero(confidence < 1))
    fixed = part.split if part.split != "auto" else ""
    return Understood(
        type=part.type,
        images=len(catalog.images),
        present=present,
        absent=absent,
        by_machines=machines,
        categories=len(catalog.categories),
        becoming=len({mapped.wnid for mapped in placed.values() if mapped.fate == "used"}),
        named=tuple(_named(placed, graph)),
        merged=tuple(_merged(placed, graph)),
        columns=tuple(source_columns(part)),
        splits={
            (fixed or (SPLITS[split] if split != DRAWN else "")): splits[split]
            if not fixed
            else len(catalog.images)
            for split in sorted(splits)
        },
        met=sum(statuses[status] for status in MET),
        statuses={status: count for status, count in sorted(statuses.items()) if status},
        examples=tuple(_examples(catalog, placed, graph)),
        left_out=tuple(_left_out(catalog, placed)),
        hierarchy=nested,
        unlabelled=len(catalog.images) - int(labelled),
        bare=_bare(catalog, told),
        noted=tuple(_notes(catalog, lost=False)),
    )


def _examples(
    catalog: Catalog, placed: dict[int, MappedCategory], graph: NounGraph
) -> Iterator[ExampleImage]:
    """Yield labelled images of as many categories as there are, out of the first ones in the order of hashes."""
    images = catalog.images.slice(0, LOOKED_AT).select(["name", "path", "status", "key"]).to_pylist()
    if not images:
        return
    last = images[-1]["key"]
    stated: dict[int, list[dict[str, Any]]] = {}
    for batch in catalog.statements.batches():
        keys = batch.column("key").to_numpy()
        stop = int(np.searchsorted(keys, last, side="right"))
        for row in batch.slice(0, stop).to_pylist():
            stated.setdefault(row["key"], []).append(row)
        if stop < len(keys):
            break
    chosen = [one for one in images if one["key"] in stated] or images
    for image in _of_many_categories(chosen, stated)[:EXAMPLES]:
        rows = sorted(stated.get(image["key"], []), key=lambda row: row["state"] != PRESENT)
        labels = tuple(_label(catalog, row, placed, graph) for row in rows[:LABELS])
        row = _row(catalog, rows[0]["record"]) if rows else ""
        yield ExampleImage(
            image["name"], image["path"], image["status"], row, labels, max(len(rows) - LABELS, 0)
        )


def _of_many_categories(
    images: list[dict[str, Any]], stated: dict[int, list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Return the images in their order, those first that have a category which none before them has."""
    seen = set[int]()
    first: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []
    for image in images:
        own = {row["category"] for row in stated.get(image["key"], [])}
        (rest if own <= seen else first).append(image)
        seen |= own
    return [*first, *rest]


def _named(placed: dict[int, MappedCategory], graph: NounGraph) -> Iterator[NamedCategory]:
    rows = [mapped for mapped in placed.values() if mapped.images]
    if len(rows) > NAMES:
        rows = sorted(rows, key=lambda row: (row.fate == "used", row.decision.score, -row.images))[:NAMES]
        rows = [row for row in rows if row.fate != "used" or row.decision.score < SURE]
    for mapped in rows:
        decision = mapped.decision
        wnid = mapped.wnid if mapped.fate == "used" else None
        above = graph.ancestors(wnid)[:1] if wnid is not None and wnid in graph else ()
        yield NamedCategory(
            decision.name or decision.id,
            mapped.images,
            wnid,
            graph.name(wnid) if wnid is not None and wnid in graph else "",
            graph.name(above[0]) if above else "",
            decision.score,
            mapped.fate,
        )


def _merged(placed: dict[int, MappedCategory], graph: NounGraph) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each category that several of the source become, with the names of those."""
    into = defaultdict[str, list[str]](list)
    for mapped in placed.values():
        if mapped.fate == "used" and mapped.wnid is not None:
            into[mapped.wnid].append(mapped.decision.name or mapped.decision.id)
    for wnid, names in into.items():
        if len(names) > 1:
            yield f"{graph.name(wnid) if wnid in graph else ''} {wnid}".strip(), tuple(names)


def _row(catalog: Catalog, record: int) -> str:
    number, row = place_of(record)
    return written_place(catalog.lists[number], row) if catalog.lists and record else ""


def _label(
    catalog: Catalog, row: dict[str, Any], placed: dict[int, MappedCategory], graph: NounGraph
) -> ExampleLabel:
    category, mapped = catalog.categories[row["category"]], placed.get(row["category"])
    used = mapped is not None and mapped.fate == "used"
    wnid = mapped.wnid if mapped is not None and used else None
    return ExampleLabel(
        category=category.name or category.id,
        present=row["state"] == PRESENT,
        confidence=row["confidence"],
        wnid=wnid,
        name=graph.name(wnid) if wnid is not None and wnid in graph else "",
        score=mapped.decision.score if mapped is not None else 0.0,
        fate=mapped.fate if mapped is not None else "never",
    )


def _bare(catalog: Catalog, told: Collection[int]) -> tuple[int, tuple[str, ...]]:
    """Return how many categories of a source no statement is about, and the first names of them."""
    bare = [one.name or one.id for number, one in enumerate(catalog.categories) if number not in told]
    return len(bare), tuple(bare[:SHOWN])


def _notes(catalog: Catalog, *, lost: bool) -> Iterator[tuple[str, int, str, tuple[str, ...]]]:
    for code, count in sorted(catalog.notes.counts.items()):
        if NOTE_CODES[code].lost == lost:
            yield code, count, NOTE_CODES[code].meaning, tuple(catalog.notes.examples.get(code, ())[:SHOWN])


def _left_out(
    catalog: Catalog, placed: dict[int, MappedCategory]
) -> Iterator[tuple[str, int, str, tuple[str, ...]]]:
    yield from _notes(catalog, lost=True)
    fates = defaultdict[str, list[MappedCategory]](list)
    for mapped in placed.values():
        if mapped.fate != "used":
            fates[mapped.fate].append(mapped)
    for fate, rows in sorted(fates.items()):
        what = "1 category" if len(rows) == 1 else f"{len(rows):,} categories"
        rows.sort(key=lambda row: -row.images)
        names = tuple(row.decision.name or row.decision.id for row in rows[:SHOWN])
        yield what, sum(row.images for row in rows), FATES.get(fate, fate), names
