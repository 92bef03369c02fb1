"""Read a model's predictions, the Parquet of `mlimg predict`, and match them with the images of catalogs."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.errors import Place, Problem, SpecError
from mlimg_build.labels import at_least
from mlimg_build.sources.image_paths import composed_column
from mlimg_build.sources.lists.parquet_batches import TooLargeError, bounded_batches
from mlimg_build.sources.lists.text_sizes import text_sizes
from mlimg_build.text_limits import CELL, NAME

__all__ = ["Predicted", "of_catalog", "of_images", "read_predictions", "refuse_strangers_only"]

DEEPEST = 8  # path components at the end of a path that are compared


def read_predictions(path: Path, wnids: tuple[str, ...], min_score: float, place: Place) -> pa.Table:
    """Return (image, category) of all predictions of at least `min_score`; category -1 once for an image without any.

    Raises:
        SpecError: `predictions-unreadable` if the file has another schema, a score is not from 0 to 1, or no label is
            a category of the spec.
    """
    images, rows, categories = [], [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    strangers, known, first = "", False, 0
    try:
        for batch in bounded_batches(path, ["image", "labels"]):
            image, row, wnid, score = _flat(batch, path, first, place)
            category = pc.fill_null(pc.index_in(wnid, value_set=pa.array(wnids, pa.string())), -1).to_numpy()
            known |= bool((category >= 0).any())
            strangers = strangers or (str(wnid[0]) if len(wnid) else "")
            outside = np.flatnonzero(~((score >= 0) & (score <= 1)))
            if len(outside):
                message = f": {image[int(row[outside[0]])]} has the score {score[outside[0]]}"
                raise _unreadable(path, message, place, "a score is from 0 to 1; ")
            seen = at_least(score, min_score) & (category >= 0)
            nothing = np.setdiff1d(np.arange(len(image)), row[seen])
            images.append(image)
            rows.append(np.concatenate([row[seen], nothing]) + first)
            categories.append(np.concatenate([category[seen], np.full(len(nothing), -1)]).astype(np.int32))
            first += len(image)
    except TooLargeError as error:
        message = f": it needs more memory than is given to it: {error}"
        raise _unreadable(path, message, place, "write smaller row groups or pages; ") from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        pa.ArrowException,
        MemoryError,
    ) as error:
        raise _unreadable(path, f": {str(error).splitlines()[0]}", place) from error
    if strangers and not known:
        raise _unreadable(
            path, f": {strangers} and all others that it names are no categories of this spec", place
        )
    coded = pa.concat_arrays([*images, pa.array([], pa.string())]).dictionary_encode()
    codes = coded.indices.take(pa.array(np.concatenate(rows)))
    return pa.table(
        {
            "image": pa.DictionaryArray.from_arrays(codes, coded.dictionary),
            "category": pa.array(np.concatenate(categories)),
        }
    )


def _flat(
    batch: pa.RecordBatch, path: Path, first: int, place: Place
) -> tuple[pa.Array, npt.NDArray[np.int64], pa.Array, npt.NDArray[np.float64]]:
    """Return the images of a batch, and of each label its row, wnid and score.

    Raises:
        SpecError: `predictions-unreadable` if the name of an image is too long.
    """
    long = np.flatnonzero(text_sizes(batch.column("image")) > CELL)
    if len(long):
        row = first + int(long[0]) + 1
        raise _unreadable(path, f": the image of row {row} has more than {CELL:,} bytes", place)
    image, labels = (batch.column(name) for name in ("image", "labels"))
    row, flat = pc.list_parent_indices(labels).to_numpy(), pc.list_flatten(labels)
    wnid, score = (pc.struct_field(flat, name) for name in ("wnid", "score"))
    if len(wnid) and not pa.types.is_null(wnid.type):
        short = text_sizes(wnid) <= NAME  # no category has a longer one
        if not short.all():
            wnid = pc.if_else(pa.array(short), wnid, None)
    kind = pa.float32() if pa.types.is_float32(score.type) else pa.float64()  # `at_least` needs the precision
    scores = pc.fill_null(score.cast(kind), 0.0).to_numpy(zero_copy_only=False)
    return pc.fill_null(image.cast(pa.string()), ""), row, wnid.cast(pa.string()), scores


def _unreadable(path: Path, why: str, place: Place, hint: str = "") -> SpecError:
    expected = (
        "expected the columns image (text) and labels (lists of wnid, name, score), as "
        "`mlimg predict MODEL IMAGES --to FILE.parquet` writes them"
    )
    message = f"the predictions cannot be read: {path}{why}"
    return SpecError(Problem("predictions-unreadable", message, place, hint=hint + expected))


@dataclass(frozen=True, slots=True)
class Predicted:
    """Predictions by image: the distinct images, and in `image` the position of the image of each row of `seen`.

    `owners` has the numbers of the catalogs that an image belongs to: several if they share the file, none if no
    catalog has it or if it matches different files of several catalogs equally well; `shared` counts the latter.
    """

    seen: pa.Table
    images: pa.Array
    image: npt.NDArray[np.int32]
    owners: Mapping[int, Sequence[int]]
    shared: int
    example: str  # an image of `shared`


def of_images(
    catalogs: Sequence[Catalog], roots: Sequence[Path | None], asked: Collection[int], seen: pa.Table
) -> Predicted:
    """Return the predictions with the catalogs of each image: those whose paths have the longest match.

    All sources of a spec must be given, with their folders of images: files with the same name in two folders are
    different images. `asked` are the numbers of the catalogs that the predictions are for.
    """
    coded = seen.column("image").combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks() if coded.num_chunks else coded
    images = composed_column(coded.dictionary)
    claims: dict[
        int, list[tuple[int, str, int]]
    ] = {}  # image → (depth, file, catalog) of the longest matches
    for number, (catalog, root) in enumerate(zip(catalogs, roots, strict=True)):
        found = _places(catalog, images)
        at = np.flatnonzero(found >= 0)
        files = _paths_of(catalog, found[at])
        folder, above = ("", "") if root is None else (root.name, os.path.normpath(root.absolute()))
        for i, image, file in zip(at.tolist(), images.take(pa.array(at)).to_pylist(), files, strict=True):
            claim = (_alike(image, (folder, *file.split("/"))), f"{above}/{file}", number)
            known = claims.get(i, [])
            if not known or claim[0] > known[0][0]:
                claims[i] = [claim]
            elif claim[0] == known[0][0]:
                known.append(claim)
    alike = [
        i
        for i, known in claims.items()
        if len({file for _, file, _ in known}) > 1 and any(number in asked for *_, number in known)
    ]
    owners = {i: [number for *_, number in known] for i, known in claims.items()}
    for i in alike:
        owners[i] = []
    return Predicted(
        seen, images, coded.indices.to_numpy(), owners, len(alike), images[alike[0]].as_py() if alike else ""
    )


def of_catalog(
    catalog: Catalog, number: int, predicted: Predicted
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return the predictions for images of the catalog with this number: (key, category), sorted by key.

    An image is identified by the end of its path, the longest match first; an end that several predicted images share
    identifies none of them.
    """
    keys = np.concatenate([chunk.to_numpy() for chunk in catalog.images.chunks("key")]).view(np.int64)
    own = np.zeros(len(predicted.images), bool)
    own[[i for i, numbers in predicted.owners.items() if number in numbers]] = True
    found = np.where(own, _places(catalog, predicted.images), -1)
    at = found[predicted.image]
    key, category = keys[at[at >= 0]], predicted.seen.column("category").to_numpy()[at >= 0]
    order = np.argsort(key, kind="stable")
    return key[order], category[order]


def _places(catalog: Catalog, images: pa.Array) -> npt.NDArray[np.int64]:
    """Return the row of the catalog for each predicted image, -1 where none matches it alone."""
    found = np.full(len(images), -1, np.int64)
    for depth in range(DEEPEST, 0, -1):
        folders = "[^/]+/" * (depth - 1)
        end = pc.struct_field(pc.extract_regex(images, f"(?P<end>{folders}[^/]+)$"), "end")
        bare = pc.replace_substring_regex(end, r"\.[A-Za-z]+$", "")
        for text, column in ((end, "path"), (end, "name"), (bare, "name")):
            at = np.where(found < 0, _rows_of(catalog, text, column), -1)
            taken = np.bincount(at[at >= 0], minlength=len(catalog.images)) > 1
            taken[found[found >= 0]] = True
            found = np.where((at >= 0) & ~taken[at], at, found)
    return found


def _rows_of(catalog: Catalog, texts: pa.Array, column: str) -> npt.NDArray[np.int64]:
    """Return the first row of the catalog whose column has each text, -1 where none has; paths are compared in NFC."""
    found = np.full(len(texts), -1, np.int64)
    start = 0
    for chunk in catalog.images.chunks(column):
        known = composed_column(chunk) if column == "path" else chunk
        at = pc.fill_null(pc.index_in(texts, value_set=known), -1).to_numpy(zero_copy_only=False)
        found = np.where((found < 0) & (at >= 0), at + start, found)
        start += len(chunk)
    return found


def _paths_of(catalog: Catalog, rows: npt.NDArray[np.int64]) -> list[str]:
    """Return the paths of these rows of the catalog, in their order."""
    order = np.argsort(rows, kind="stable")
    wanted, paths, start = rows[order], [pa.array([], pa.string())], 0
    for chunk in catalog.images.chunks("path"):
        first, last = np.searchsorted(wanted, (start, start + len(chunk)))
        paths.append(chunk.take(pa.array(wanted[first:last] - start)))
        start += len(chunk)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    found: list[str] = pa.concat_arrays(paths).take(pa.array(back)).to_pylist()
    return found


def _alike(image: str, file: Sequence[str]) -> int:
    """Return how many components at the end of a path equal those of a file; `image` may lack the suffix."""
    parts = image.split("/")
    count = 0
    for one, other in zip(reversed(parts), reversed(file), strict=False):
        if one != other and not (count == 0 and other.startswith(one.rpartition(".")[0] or one)):
            break
        count += 1
    return count


def refuse_strangers_only(
    catalogs: Sequence[Catalog], predicted: Predicted, known: int, place: Place
) -> None:
    """Raises `SpecError` unless the predictions match the catalogs; `known` is how many predictions do.

    The code is `predictions-shared` if some match several sources, `predictions-not-found` if none matches.
    """
    seen = predicted.seen
    if predicted.shared:
        what = "image" if predicted.shared == 1 else "images"
        message = (
            f"{predicted.shared:,} predicted {what}, such as {predicted.example}, may be of several sources"
        )
        hint = "predict with the folders of the sources in the paths, so that they tell the images apart"
        raise SpecError(Problem("predictions-shared", message, place, hint))
    if known or not len(seen):
        return
    images = next((catalog.images for catalog in catalogs if len(catalog.images)), None)
    example = "" if images is None else f", such as {images.slice(0, 1).column('path')[0].as_py()}"
    raise SpecError(
        Problem(
            "predictions-not-found",
            f"none of the predictions, such as for {seen.column('image')[0].as_py()}, is for an image of "
            f"{' or '.join(catalog.name for catalog in catalogs)}{example}",
            place,
            hint="an image is known by the end of its path; predict the images of the sources in `learn_from`",
        )
    )
