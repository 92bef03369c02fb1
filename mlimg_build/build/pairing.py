"""Pairs of categories that go together, learnt from the label rows of the sources that the spec names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from mlimg_build.build.blocks import cuts, statement_blocks
from mlimg_build.build.catalog import Catalog
from mlimg_build.build.decisions import read_vetoes
from mlimg_build.build.predicted import of_catalog, read_predictions, refuse_strangers_only
from mlimg_build.build.processes import in_processes, process_count
from mlimg_build.build.store import Key, Store
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
    count_together,
    learn_pairs,
    narrowed,
    settle,
    without_implied,
)
from mlimg_build.spec import Cooccurrence, LoadedSpec, digest_of

__all__ = ["find_pairs", "pairs_digest"]

FORMAT = 3
BLOCK = 1 << 17  # statements that are multiplied at once: their products stay in the cache
SMALL = 1 << 22  # so many statements are counted in about the time that processes need besides
PARTS = 2  # of each process, which end at different times

Looked = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]


def find_pairs(
    loaded: LoadedSpec,
    catalogs: Sequence[Catalog],
    vocabulary: Vocabulary,
    positions: Sequence[npt.NDArray[np.int32]],
    hierarchy: Hierarchy,
    store: Store | None,
) -> Pairs:
    """The pairs that the spec's `annotation.cooccurrence` finds; none where it has none.

    `positions` are those of `Facts`. Counting is done once for the same statements and thresholds and kept in
    `store`; vetoes are read anew. Raises `SpecError` for lists of vetoes and predictions that cannot be read.
    """
    wanted = loaded.spec.annotation.cooccurrence
    if wanted is None:
        return Pairs.none()
    positives = loaded.spec.annotation.positives == "ancestors"
    learnt = [(i, catalog) for i, catalog in enumerate(catalogs) if catalog.name in wanted.learn_from]
    category_of = vocabulary.category_of
    key = _key(loaded, wanted, learnt, category_of, positions, hierarchy, vocabulary)
    if store is None or not store.has(key):
        seen = None
        if wanted.predictions is not None:
            place = loaded.place("annotation", "cooccurrence", "predictions")
            seen = read_predictions(wanted.predictions, vocabulary.wnids, wanted.min_score, place)
        readings = tuple(
            _Reading(
                catalog,
                category_of[positions[i]],
                vocabulary.narrower[positions[i]],
                loaded.spec.sources[catalog.name].min_confidence,
                None if seen is None else of_catalog(catalog, seen),
            )
            for i, catalog in learnt
        )
        if seen is not None:
            looked = sum(len(reading.looked[0]) for reading in readings if reading.looked is not None)
            refuse_strangers_only([catalog for _, catalog in learnt], seen, looked, place)
        counting = _Counting(
            readings, hierarchy, loaded.spec.annotation.conflicts, not wanted.skip_related, positives
        )
        pairs = learn_pairs(
            _counts(counting),
            hierarchy,
            min_probability=wanted.min_probability,
            min_images=wanted.min_images,
            confidence=wanted.confidence,
            skip_related=wanted.skip_related,
        )
        if store is not None:
            with store.create(key) as (folder, _):
                np.savez(
                    folder / "pairs.npz",
                    **{field.name: getattr(pairs, field.name) for field in fields(Pairs)},
                )
    else:
        with np.load(store.path(key) / "pairs.npz", allow_pickle=False) as arrays:
            pairs = Pairs(**{field.name: arrays[field.name] for field in fields(Pairs)})
    rules = loaded.spec.annotation
    levels = None if rules.machine_levels == "all" else rules.machine_levels
    levels = levels if rules.positives == "ancestors" else 0
    return without_implied(_vetoed(pairs, wanted, vocabulary), hierarchy, levels)


def pairs_digest(pairs: Pairs) -> str:
    """sha256 over everything of the pairs that labels follow from; hex."""
    digest = hashlib.sha256()
    used = ~pairs.vetoed
    for column in (pairs.antecedent[used], pairs.consequent[used]):
        digest.update(column.astype("<i8").tobytes())
    digest.update(pairs.bound[used].astype("<f4").tobytes())
    return digest.hexdigest()


def _key(
    loaded: LoadedSpec,
    wanted: Cooccurrence,
    learnt: Sequence[tuple[int, Catalog]],
    category_of: npt.NDArray[np.int32],
    positions: Sequence[npt.NDArray[np.int32]],
    hierarchy: Hierarchy,
    vocabulary: Vocabulary,
) -> Key:
    order = hashlib.sha256()
    for part in (hierarchy.hops.indptr, hierarchy.hops.indices):
        order.update(np.ascontiguousarray(part).astype("<i8").tobytes())
    parts: dict[str, Any] = {
        "sources": {
            catalog.name: {
                "catalog": catalog.digest,
                "categories": hashlib.sha256(category_of[positions[i]].astype("<i4").tobytes()).hexdigest(),
                "narrower": hashlib.sha256(vocabulary.narrower[positions[i]].tobytes()).hexdigest(),
                "min_confidence": loaded.spec.sources[catalog.name].min_confidence,
            }
            for i, catalog in learnt
        },
        "order": order.hexdigest(),
        "min_probability": wanted.min_probability,
        "min_images": wanted.min_images,
        "confidence": wanted.confidence,
        "skip_related": wanted.skip_related,
        "positives": loaded.spec.annotation.positives,
        "conflicts": loaded.spec.annotation.conflicts,
    }
    if wanted.predictions is not None:
        with wanted.predictions.open("rb") as stream:
            parts["predictions"] = hashlib.file_digest(stream, "sha256").hexdigest()
        parts["min_score"] = wanted.min_score
        parts["vocabulary"] = digest_of(list(vocabulary.wnids))  # predictions name ids, not positions
    return Key("cooccurrence", FORMAT, parts)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What of a catalog counts: the category of each of its own, which say nothing by absence, and from when on.

    `looked` are the predictions for its images, if any; see `of_catalog`.
    """

    catalog: Catalog
    category_of: npt.NDArray[np.int32]
    narrower: npt.NDArray[np.bool_]
    least: float
    looked: Looked | None


@dataclass(frozen=True, slots=True)
class _Counting:
    """Counts what goes together in a range of the statements of one reading: (its position, start, stop)."""

    readings: tuple[_Reading, ...]
    hierarchy: Hierarchy
    conflicts: Policy
    related: bool
    positives: bool

    def __call__(self, where: tuple[int, int, int]) -> Counts:
        number, start, stop = where
        blocks = self._blocks(self.readings[number], start, stop)
        return count_together(blocks, self.hierarchy, related=self.related, positives=self.positives)

    def _blocks(self, reading: _Reading, start: int, stop: int) -> Iterator[Block]:
        """What a catalog states present and nobody refutes, so many statements at a time, whole images only."""
        for key, stated, confidence in statement_blocks(reading.catalog, BLOCK, start, stop):
            category = reading.category_of[stated]
            counts = (category >= 0) & ((confidence >= reading.least) | (confidence == 0))
            counts &= (confidence > 0) | ~reading.narrower[stated]
            image, category, sure = key.view(np.int64)[counts], category[counts], confidence[counts]
            if (sure == 0).any():
                image, category = _standing(image, category, sure, self.hierarchy, self.conflicts)
            if reading.looked is None:
                yield Block(image, category)
            else:
                looked = _between(reading.looked, image)
                known = np.isin(image, looked[0])  # where no model looked, nothing can be said
                yield Block(image[known], category[known], *looked)


def _counts(counting: _Counting) -> Counts:
    """The counts over all readings; large ones are counted in processes, because scipy uses one core."""
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
    """The predictions, sorted by key, from the lowest to the highest of the images."""
    if not len(image):
        return looked[0][:0], looked[1][:0]
    start = int(np.searchsorted(looked[0], image.min()))
    stop = int(np.searchsorted(looked[0], image.max(), side="right"))
    return looked[0][start:stop], looked[1][start:stop]


def _standing(
    image: npt.NDArray[np.int64],
    category: npt.NDArray[np.int32],
    confidence: npt.NDArray[np.float64],
    hierarchy: Hierarchy,
    conflicts: Policy,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The presences that stand once contradictions are settled; only images with an absence can have any."""
    row = np.cumsum(np.append(False, image[1:] != image[:-1]))
    denying = np.zeros(int(row[-1]) + 1, dtype=bool)
    denying[row[confidence == 0]] = True
    asked = denying[row]
    some = np.flatnonzero(asked)
    absent = confidence[some] == 0
    said = Statements.of(
        row[some],
        category[some],
        np.where(absent, ABSENT, PRESENT),
        narrowed(np.where(absent, 1, confidence[some])),
        np.zeros(len(some)),
        some,
    )
    standing, _ = settle(said, hierarchy, conflicts)
    kept = ~asked
    kept[standing.record[standing.state == PRESENT]] = True
    return image[kept], category[kept]


def _vetoed(pairs: Pairs, wanted: Cooccurrence, vocabulary: Vocabulary) -> Pairs:
    if wanted.vetoes is None:
        return pairs
    vetoes = read_vetoes(wanted.vetoes)
    wnids = vocabulary.wnids
    found = zip(pairs.antecedent.tolist(), pairs.consequent.tolist(), strict=True)
    vetoed = np.array([(wnids[low], wnids[high]) in vetoes for low, high in found], dtype=bool)
    return Pairs(pairs.antecedent, pairs.consequent, pairs.together, pairs.images, pairs.bound, vetoed)
