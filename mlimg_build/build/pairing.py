"""Pairs of categories that go together, learnt from the label rows of the sources that the spec names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlimg_build.build.blocks import statement_blocks
from mlimg_build.build.catalog import Catalog
from mlimg_build.build.decisions import read_vetoes
from mlimg_build.build.store import Key, Store
from mlimg_build.errors import Problem, SpecError
from mlimg_build.labels import Block, Hierarchy, Pairs, Vocabulary, count_together, learn_pairs
from mlimg_build.spec import Cooccurrence, LoadedSpec

__all__ = ["find_pairs", "pairs_digest"]

FORMAT = 2
BLOCK = 1 << 17  # statements that are multiplied at once: their products stay in the cache
DEEPEST = 8  # folders of a path that tell images apart


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
    learnt = [(i, catalog) for i, catalog in enumerate(catalogs) if catalog.name in wanted.learn_from]
    category_of = vocabulary.category_of
    key = _key(loaded, wanted, learnt, category_of, positions, hierarchy)
    if store is None or not store.has(key):
        seen = _predictions(loaded, wanted, vocabulary)
        blocks = (
            block
            for i, catalog in learnt
            for block in _blocks(
                catalog, category_of[positions[i]], loaded.spec.sources[catalog.name].min_confidence, seen
            )
        )
        pairs = learn_pairs(
            count_together(blocks, hierarchy, related=not wanted.skip_related),
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
    return _vetoed(pairs, wanted, vocabulary)


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
) -> Key:
    order = hashlib.sha256()
    for part in (hierarchy.hops.indptr, hierarchy.hops.indices):
        order.update(np.ascontiguousarray(part).astype("<i8").tobytes())
    parts: dict[str, Any] = {
        "sources": {
            catalog.name: {
                "catalog": catalog.digest,
                "categories": hashlib.sha256(category_of[positions[i]].astype("<i4").tobytes()).hexdigest(),
                "min_confidence": loaded.spec.sources[catalog.name].min_confidence,
            }
            for i, catalog in learnt
        },
        "order": order.hexdigest(),
        "min_probability": wanted.min_probability,
        "min_images": wanted.min_images,
        "confidence": wanted.confidence,
        "skip_related": wanted.skip_related,
    }
    if wanted.predictions is not None:
        with wanted.predictions.open("rb") as stream:
            parts["predictions"] = hashlib.file_digest(stream, "sha256").hexdigest()
        parts["min_score"] = wanted.min_score
    return Key("cooccurrence", FORMAT, parts)


def _blocks(
    catalog: Catalog, category_of: npt.NDArray[np.int32], min_confidence: float, seen: pa.Table | None
) -> Iterator[Block]:
    """What a catalog states present, a few million statements at a time, whole images only."""
    looked = None if seen is None else _of_catalog(catalog, seen)
    for key, stated, confidence in statement_blocks(catalog, BLOCK):
        category = category_of[stated]
        kept = (confidence > 0) & (confidence >= np.float32(min_confidence)) & (category >= 0)
        image = key.view(np.int64)
        if looked is None:
            yield Block(image[kept], category[kept])
        else:
            kept &= np.isin(image, looked[0])  # of an image that no model looked at, nothing can be said
            yield Block(image[kept], category[kept], *looked)


def _predictions(loaded: LoadedSpec, wanted: Cooccurrence, vocabulary: Vocabulary) -> pa.Table | None:
    """(image, category) of everything that a model sees with enough score; category -1 for what is no category."""
    if wanted.predictions is None:
        return None
    try:
        table = pq.read_table(wanted.predictions, columns=["image", "labels"])
        labels = table.column("labels").combine_chunks()
        image = table.column("image").combine_chunks()
        if isinstance(labels, pa.ChunkedArray):
            labels = labels.chunk(0) if labels.num_chunks else pa.array([], labels.type)
        if isinstance(image, pa.ChunkedArray):
            image = image.chunk(0) if image.num_chunks else pa.array([], image.type)
        flat = pc.list_flatten(labels)
        wnid, score = (
            pc.struct_field(flat, "wnid"),
            pc.struct_field(flat, "score").to_numpy(zero_copy_only=False),
        )
    except (OSError, KeyError, pa.ArrowException) as error:
        raise SpecError(
            Problem(
                "predictions-unreadable",
                f"the predictions cannot be read: {wanted.predictions}: {error}",
                loaded.place("annotation", "cooccurrence", "predictions"),
                hint="make them with `mlimg predict MODEL IMAGES --to FILE.parquet`",
            )
        ) from error
    category = pc.fill_null(
        pc.index_in(wnid, value_set=pa.array(vocabulary.wnids, pa.string())), -1
    ).to_numpy()
    category = np.where(score >= np.float32(wanted.min_score), category, -1).astype(np.int32)
    row = pc.list_parent_indices(labels).to_numpy()
    nothing = np.setdiff1d(np.arange(len(image)), row)  # an image that was looked at, and nothing was seen
    return pa.table(
        {
            "image": image.take(pa.array(np.concatenate([row, nothing]))),
            "category": pa.array(np.concatenate([category, np.full(len(nothing), -1, np.int32)])),
        }
    )


def _of_catalog(catalog: Catalog, seen: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The predictions for images of the catalog, sorted by key; an image is known by the end of its path."""
    images = catalog.images
    paths, keys = images.column("path").combine_chunks(), images.column("key").to_numpy().view(np.int64)
    names = images.column("name").combine_chunks()
    found = np.full(len(seen), -1, np.int64)
    for depth in range(DEEPEST, 0, -1):
        folders = "[^/]+/" * (depth - 1)
        end = pc.struct_field(pc.extract_regex(seen.column("image"), f"(?P<end>{folders}[^/]+)$"), "end")
        bare = pc.replace_substring_regex(end, r"\.[A-Za-z]+$", "")
        for text, known in ((end, paths), (end, names), (bare, names)):
            at = pc.fill_null(pc.index_in(text, value_set=known), -1).to_numpy()
            found = np.where(found < 0, at, found)
    kept = found >= 0
    key, category = keys[found[kept]], seen.column("category").to_numpy()[kept]
    order = np.argsort(key, kind="stable")
    return key[order], category[order]


def _vetoed(pairs: Pairs, wanted: Cooccurrence, vocabulary: Vocabulary) -> Pairs:
    if wanted.vetoes is None:
        return pairs
    vetoes = read_vetoes(wanted.vetoes)
    wnids = vocabulary.wnids
    found = zip(pairs.antecedent.tolist(), pairs.consequent.tolist(), strict=True)
    vetoed = np.array([(wnids[low], wnids[high]) in vetoes for low, high in found], dtype=bool)
    return Pairs(pairs.antecedent, pairs.consequent, pairs.together, pairs.images, pairs.bound, vetoed)
