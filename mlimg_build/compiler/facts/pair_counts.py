"""Learn pairs of co-occurring categories from the statements of the sources that the spec names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from mlimg_build.compiler.catalog.blocks import cuts, statement_blocks
from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.catalog.statement_filter import StatementFilter
from mlimg_build.compiler.engine.cache import Key, Store
from mlimg_build.compiler.engine.pools import in_processes, process_count
from mlimg_build.compiler.facts.curated_files import read_accepted, read_vetoes
from mlimg_build.compiler.facts.predictions import (
    of_catalog,
    of_images,
    read_predictions,
    refuse_strangers_only,
)
from mlimg_build.digests import file_digest
from mlimg_build.labels import (
    ABSENT,
    PRESENT,
    Block,
    Counts,
    Hierarchy,
    Pairs,
    Policy,
    Statements,
    Vocabulary,
    count_lacking,
    count_together,
    information_content,
    judge_pairs,
    learn_pairs,
    narrowed,
    resolve_contradictions,
    without_implied,
)
from mlimg_build.spec import Cooccurrence, LoadedSpec, digest_of
from mlimg_build.wordnet import NounGraph

__all__ = ["FoundPairs", "find_pairs", "pairs_digest"]

FORMAT = 4
BLOCK = 1 << 17  # statements that are multiplied at once: their products fit in the CPU cache
SMALL = 1 << 22  # up to so many statements, starting processes takes longer than counting
PARTS = 2  # ranges per process, to balance the load

Looked = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]


@dataclass(frozen=True, slots=True)
class FoundPairs:
    """The pairs of a spec, and for each what people should know.

    In `pairs`, those that a person vetoed and those left out as doubtful are marked `vetoed`: they add no label.
    `adds` is how many images of `add_to` have the antecedent and not the consequent: each gets the label, unless it
    is stated absent or a more specific pair adds it. `doubt` is a position in `DOUBTS`; `veto` and `accepted` are the
    decisions of people.
    """

    pairs: Pairs
    adds: npt.NDArray[np.int64]
    doubt: npt.NDArray[np.uint8]
    veto: npt.NDArray[np.bool_]
    accepted: npt.NDArray[np.bool_]

    @classmethod
    def none(cls) -> FoundPairs:
        """Return no pairs."""
        nothing = np.zeros(0, np.bool_)
        return cls(Pairs.none(), np.zeros(0, np.int64), np.zeros(0, np.uint8), nothing, nothing)


def find_pairs(
    loaded: LoadedSpec,
    catalogs: Sequence[Catalog],
    vocabulary: Vocabulary,
    positions: Sequence[npt.NDArray[np.int32]],
    hierarchy: Hierarchy,
    graph: NounGraph,
    store: Store | None,
) -> FoundPairs:
    """Return the pairs that the spec's `annotation.cooccurrence` finds; none if the spec has no such part.

    `positions` are those of `Facts`. Counts are cached in `store` for the same statements and thresholds; vetoes and
    doubts are applied on every call.

    Raises:
        SpecError: if the list of vetoes or the predictions cannot be read, or the predictions do not fit the sources.
    """
    wanted = loaded.spec.annotation.cooccurrence
    if wanted is None:
        return FoundPairs.none()
    named = wanted.add_to or tuple(catalog.name for catalog in catalogs)
    learnt = [(i, catalog) for i, catalog in enumerate(catalogs) if catalog.name in wanted.learn_from]
    added = [(i, catalog) for i, catalog in enumerate(catalogs) if catalog.name in named]
    key = _key(loaded, wanted, catalogs, learnt, added, positions, hierarchy, vocabulary)
    if store is None or not store.sound(key):
        pairs, adds = _counted(loaded, wanted, catalogs, learnt, added, positions, hierarchy, vocabulary)
        if store is not None:
            with store.create(key) as (folder, _):
                columns = {field.name: getattr(pairs, field.name) for field in fields(Pairs)}
                np.savez(folder / "pairs.npz", adds=adds, **columns)
    else:
        with np.load(store.path(key) / "pairs.npz", allow_pickle=False) as arrays:
            pairs, adds = Pairs(**{field.name: arrays[field.name] for field in fields(Pairs)}), arrays["adds"]
    rules = loaded.spec.annotation
    levels = None if rules.machine_levels == "all" else rules.machine_levels
    levels = levels if rules.positives == "ancestors" else 0
    found = _judged(pairs, adds, wanted, vocabulary, graph)
    pairs = found.pairs
    kept = without_implied(pairs, hierarchy, levels)
    dropped = pairs.vetoed & ~found.veto  # of these, pairs implied by a more specific one are not listed
    whole = without_implied(replace(pairs, vetoed=found.veto), hierarchy, levels)
    own, n = _keys(pairs, len(hierarchy)), len(hierarchy)
    at = np.isin(own, _keys(kept, n)) & (~dropped | np.isin(own, _keys(whole, n)))
    return FoundPairs(pairs.take(at), found.adds[at], found.doubt[at], found.veto[at], found.accepted[at])


def _keys(pairs: Pairs, n: int) -> npt.NDArray[np.int64]:
    """Return a unique number for each pair, given n categories."""
    keys: npt.NDArray[np.int64] = pairs.antecedent * np.int64(n) + pairs.consequent
    return keys


def _counted(
    loaded: LoadedSpec,
    wanted: Cooccurrence,
    catalogs: Sequence[Catalog],
    learnt: Sequence[tuple[int, Catalog]],
    added: Sequence[tuple[int, Catalog]],
    positions: Sequence[npt.NDArray[np.int32]],
    hierarchy: Hierarchy,
    vocabulary: Vocabulary,
) -> tuple[Pairs, npt.NDArray[np.int64]]:
    """Return the learnt pairs, before vetoes and doubts, and how many labels each would add."""
    positives = loaded.spec.annotation.positives == "ancestors"
    category_of = vocabulary.category_of
    predicted = None
    place = loaded.place("annotation", "cooccurrence", "predictions")
    if wanted.predictions is not None:
        seen = read_predictions(wanted.predictions, vocabulary.wnids, wanted.min_score, place)
        roots = [loaded.spec.sources[catalog.name].images for catalog in catalogs]
        predicted = of_images(catalogs, roots, {i for i, _ in learnt}, seen)

    def counting(given: Sequence[tuple[int, Catalog]], *, looking: bool) -> _Counting:
        readings = tuple(
            _Reading(
                catalog,
                category_of[positions[i]],
                StatementFilter(
                    loaded.spec.sources[catalog.name].min_confidence,
                    category_of[positions[i]],
                    vocabulary.narrower[positions[i]],
                ),
                of_catalog(catalog, i, predicted) if looking and predicted is not None else None,
            )
            for i, catalog in given
        )
        if looking and predicted is not None:
            looked = sum(len(reading.looked[0]) for reading in readings if reading.looked is not None)
            refuse_strangers_only([catalog for _, catalog in given], predicted, looked, place)
        return _Counting(
            readings, hierarchy, loaded.spec.annotation.conflicts, not wanted.skip_related, positives
        )

    counts = _counts(counting(learnt, looking=True))
    pairs = learn_pairs(
        counts,
        hierarchy,
        min_probability=wanted.min_probability,
        min_images=wanted.min_images,
        confidence=wanted.confidence,
        skip_related=wanted.skip_related,
    )
    adds = np.zeros(len(pairs), np.int64)
    known = {i for i, _ in learnt}
    if predicted is None and known <= {i for i, _ in added}:  # these are counted already
        adds += pairs.images - pairs.together
        added = [(i, catalog) for i, catalog in added if i not in known]
    if len(pairs):
        adds += _lacking(counting(added, looking=False), pairs)
    return pairs, adds


def _lacking(counting: _Counting, pairs: Pairs) -> npt.NDArray[np.int64]:
    """Return how many images of the readings have each antecedent and not the consequent."""
    whole = [(number, 0, len(reading.catalog.statements)) for number, reading in enumerate(counting.readings)]
    blocks = (
        block
        for number, start, stop in whole
        for block in counting.blocks(counting.readings[number], start, stop)
    )
    return count_lacking(
        blocks, counting.hierarchy, pairs.antecedent, pairs.consequent, positives=counting.positives
    )


def pairs_digest(pairs: Pairs) -> str:
    """Return the sha256 (hex) of everything in the pairs that affects labels."""
    digest = hashlib.sha256()
    used = ~pairs.vetoed
    for column in (pairs.antecedent[used], pairs.consequent[used]):
        digest.update(column.astype("<i8").tobytes())
    digest.update(pairs.bound[used].astype("<f4").tobytes())
    return digest.hexdigest()


def _folders(loaded: LoadedSpec) -> dict[str, list[str]]:
    """Return for each source its image folder's name and the sources with that folder or a parent of it.

    They decide which source a prediction belongs to.
    """
    roots = {name: part.images for name, part in loaded.spec.sources.items() if part.images is not None}
    return {
        name: [
            root.name,
            *(
                f"{other}: {root.relative_to(above)}"
                for other, above in roots.items()
                if root.is_relative_to(above)
            ),
        ]
        for name, root in roots.items()
    }


def _key(
    loaded: LoadedSpec,
    wanted: Cooccurrence,
    catalogs: Sequence[Catalog],
    learnt: Sequence[tuple[int, Catalog]],
    added: Sequence[tuple[int, Catalog]],
    positions: Sequence[npt.NDArray[np.int32]],
    hierarchy: Hierarchy,
    vocabulary: Vocabulary,
) -> Key:
    category_of = vocabulary.category_of
    order = hashlib.sha256()
    for part in (hierarchy.hops.indptr, hierarchy.hops.indices):
        order.update(np.ascontiguousarray(part).astype("<i8").tobytes())

    def read(given: Sequence[tuple[int, Catalog]]) -> dict[str, Any]:
        return {
            catalog.name: {
                "catalog": catalog.digest,
                "categories": hashlib.sha256(category_of[positions[i]].astype("<i4").tobytes()).hexdigest(),
                "narrower": hashlib.sha256(vocabulary.narrower[positions[i]].tobytes()).hexdigest(),
                "min_confidence": loaded.spec.sources[catalog.name].min_confidence,
            }
            for i, catalog in given
        }

    parts: dict[str, Any] = {
        "sources": read(learnt),
        "add_to": read(added),
        "order": order.hexdigest(),
        "min_probability": wanted.min_probability,
        "min_images": wanted.min_images,
        "confidence": wanted.confidence,
        "skip_related": wanted.skip_related,
        "positives": loaded.spec.annotation.positives,
        "conflicts": loaded.spec.annotation.conflicts,
    }
    if wanted.predictions is not None:
        parts["predictions"] = file_digest(wanted.predictions)
        parts["min_score"] = wanted.min_score
        parts["folders"] = _folders(loaded)  # they tell files of one name apart
        parts["others"] = {catalog.name: catalog.digest for catalog in catalogs}
        parts["vocabulary"] = digest_of(list(vocabulary.wnids))  # predictions name ids, not positions
    return Key("cooccurrence", FORMAT, parts)


@dataclass(frozen=True, slots=True)
class _Reading:
    """A catalog, the category of the vocabulary for each of its own, and which of its statements count.

    `looked` are the predictions for its images, if any; see `of_catalog`.
    """

    catalog: Catalog
    category_of: npt.NDArray[np.int32]
    rule: StatementFilter
    looked: Looked | None


@dataclass(frozen=True, slots=True)
class _Counting:
    """Counts co-occurrences in a range of the statements of one reading, given as (its position, start, stop)."""

    readings: tuple[_Reading, ...]
    hierarchy: Hierarchy
    conflicts: Policy
    related: bool
    positives: bool

    def __call__(self, where: tuple[int, int, int]) -> Counts:
        number, start, stop = where
        blocks = self.blocks(self.readings[number], start, stop)
        return count_together(blocks, self.hierarchy, related=self.related, positives=self.positives)

    def blocks(self, reading: _Reading, start: int, stop: int) -> Iterator[Block]:
        """Yield the presences of a catalog that no absence refutes, in blocks of whole images."""
        for said in statement_blocks(reading.catalog, BLOCK, start, stop):
            counts = reading.rule.counts(said.category, said.state, said.confidence)
            image, category = said.key.view(np.int64)[counts], reading.category_of[said.category[counts]]
            state = said.state[counts]
            if (state == ABSENT).any():
                sure = said.confidence[counts]
                kept = _standing(image, category, state, sure, self.hierarchy, self.conflicts)
                image, category = image[kept], category[kept]
            if reading.looked is None:
                yield Block(image, category)
            else:
                looked = _between(reading.looked, image)
                known = np.isin(image, looked[0])  # images without predictions do not count
                yield Block(image[known], category[known], *looked)


def _counts(counting: _Counting) -> Counts:
    """Return the counts over all readings; large ones are counted in processes, because scipy uses one core."""
    total = sum(len(reading.catalog.statements) for reading in counting.readings)
    size = SMALL if total <= SMALL else -(-total // (PARTS * process_count()))
    ranges = [
        (number, start, stop)
        for number, reading in enumerate(counting.readings)
        for start, stop in cuts(reading.catalog, size)
    ]
    found = map(counting, ranges) if total <= SMALL else in_processes(counting, ranges)
    return reduce(Counts.__add__, found, Counts.none(len(counting.hierarchy)))


def _between(looked: Looked, image: npt.NDArray[np.int64]) -> Looked:
    """Return the predictions, which are sorted by key, from the lowest to the highest of the images."""
    if not len(image):
        return looked[0][:0], looked[1][:0]
    start = int(np.searchsorted(looked[0], image.min()))
    stop = int(np.searchsorted(looked[0], image.max(), side="right"))
    return looked[0][start:stop], looked[1][start:stop]


def _standing(
    image: npt.NDArray[np.int64],
    category: npt.NDArray[np.int32],
    state: npt.NDArray[np.int8],
    confidence: npt.NDArray[np.float64],
    hierarchy: Hierarchy,
    conflicts: Policy,
) -> npt.NDArray[np.bool_]:
    """Return bool[statements]: the presences that no absence refutes; all statements of images without an absence."""
    row = np.cumsum(np.append(False, image[1:] != image[:-1]))
    denying = np.zeros(int(row[-1]) + 1, dtype=bool)
    denying[row[state == ABSENT]] = True
    asked = denying[row]
    some = np.flatnonzero(asked)
    said = Statements.of(
        row[some], category[some], state[some], narrowed(confidence[some]), np.zeros(len(some)), some
    )
    standing, _ = resolve_contradictions(said, hierarchy, conflicts)
    kept: npt.NDArray[np.bool_] = ~asked
    kept[standing.record[standing.state == PRESENT]] = True
    return kept


def _judged(
    pairs: Pairs,
    adds: npt.NDArray[np.int64],
    wanted: Cooccurrence,
    vocabulary: Vocabulary,
    graph: NounGraph,
) -> FoundPairs:
    """Return the pairs with people's decisions and the doubts of the settings; a veto overrides an acceptance."""
    wnids = vocabulary.wnids
    content = np.ones(len(pairs))
    if wanted.min_content and len(pairs):
        content = information_content(graph, [wnids[low] for low in pairs.antecedent.tolist()])
    doubt = judge_pairs(pairs, adds, content, min_content=wanted.min_content, max_ratio=wanted.max_ratio)
    vetoes: set[tuple[str, str]] = set()
    accepted: set[tuple[str, str]] = set()
    if wanted.vetoes is not None:
        vetoes, accepted = read_vetoes(wanted.vetoes), read_accepted(wanted.vetoes)
    found = zip(pairs.antecedent.tolist(), pairs.consequent.tolist(), strict=True)
    named = [(wnids[low], wnids[high]) for low, high in found]
    veto = np.array([pair in vetoes for pair in named], np.bool_)
    fine = np.array([pair in accepted for pair in named], np.bool_)
    left_out = veto | ((doubt > 0) & ~fine & (wanted.doubtful == "drop"))
    return FoundPairs(replace(pairs, vetoed=left_out), adds, doubt, veto, fine)
