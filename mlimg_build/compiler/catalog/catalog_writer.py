"""Sort a source's stream into the tables of a catalog by external partitions of the key range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.arrow_tables import StoredTable, hash_names
from mlimg_build.compiler.catalog.external_partitions import BITS, ExternalPartitions
from mlimg_build.compiler.engine.threads import in_threads
from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources import DRAWN, IMAGES, NOT_INSIDE, WHOLE_FILE, Batch, Notes
from mlimg_build.sources.image_paths import composed_column

__all__ = ["STATEMENTS", "CatalogWriter", "sorted_statements"]

STATEMENTS = pa.schema(
    [
        ("key", pa.uint64()),
        ("category", pa.int32()),
        ("state", pa.int8()),
        ("confidence", pa.float64()),
        ("record", pa.int64()),
    ]
)
ROWS = pa.schema(
    [*IMAGES, ("key", pa.uint64()), ("draw", pa.uint64()), ("split", pa.int8()), ("inside", pa.int64())]
)
NAMES = pa.schema(
    [("key", pa.uint64()), ("name", pa.string())]
)  # of images that labels name but that are not in the same batch
CATEGORY_BITS = np.uint64(
    20
)  # of the sort code of statements; with more categories they are sorted column by column
TEXTS = 1 << 16
LARGE, MANY = 1 << 23, 1 << 20  # rows of a large range, and of one image in it
IMAGES_FILE, STATEMENTS_FILE = "images.arrow", "statements.arrow"

Keys = npt.NDArray[np.uint64]


@dataclass(slots=True)
class _Range:
    """The finished rows of one range of keys, and the names of some images that are noted, with the number of all."""

    images: pa.Table
    statements: pa.Table
    noted: dict[str, tuple[int, list[str]]] = field(default_factory=dict)  # by "again" and "in-two-splits"


class CatalogWriter:
    """Receives the batches of a source and writes `images.arrow` and `statements.arrow` to a folder.

    Images are unique and sorted by key; statements are sorted by image, category, state (absent first), confidence
    and record, one per (image, category, state, confidence). An image that only labels name gets a row with status
    `missing`. `category_ids` numbers the declared categories, then the others in the order of their first use.
    """

    def __init__(self, source: str, declared: Sequence[str], folder: Path) -> None:
        self.category_ids: dict[str, int] = {key: i for i, key in enumerate(dict.fromkeys(declared))}
        self._prefix = f"{source}/"
        self._folder = folder
        spill = folder / "unsorted"
        spill.mkdir(parents=True)
        self._images = ExternalPartitions(spill, "images", ROWS)
        self._statements = ExternalPartitions(spill, "statements", STATEMENTS)
        self._names = ExternalPartitions(spill, "names", NAMES)

    def add(self, batch: Batch) -> None:
        """Add a batch of images, of labels, or of both."""
        near: tuple[pa.Array, Keys] | None = None
        if batch.images is not None:
            names = batch.images.column("name")
            keys, draws = hash_names(self._prefix, _texts(names))
            splits = np.full(len(keys), DRAWN, np.int8) if batch.splits is None else batch.splits
            inside = np.full(len(keys), NOT_INSIDE) if batch.inside is None else batch.inside
            beside = (keys, draws, splits, inside)
            columns = [*batch.images.columns, *map(pa.array, beside)]
            self._images.add(pa.record_batch(columns, schema=ROWS))
            near = names, keys
        if batch.labels is not None:
            self._add_labels(batch.labels, near)

    def _add_labels(self, batch: pa.RecordBatch, near: tuple[pa.Array, Keys] | None) -> None:
        """Add statements; `near` are the names and keys of the images in the same batch."""
        position, names = _coded(batch.column("name"))
        if near is not None and names.equals(near[0]):
            keys = near[1]
        else:
            keys, _ = hash_names(self._prefix, _texts(names))
            apart = np.full(len(keys), True) if near is None else ~np.isin(keys, near[1])
            if apart.any():
                self._names.add(
                    pa.record_batch([pa.array(keys[apart]), names.filter(pa.array(apart))], schema=NAMES)
                )
        category, ids = _coded(batch.column("category"))
        number = np.full(len(ids), -1, np.int32)
        used = np.flatnonzero(np.bincount(category, minlength=len(ids)))
        for i, key in zip(used.tolist(), composed_column(ids.take(pa.array(used))).to_pylist(), strict=True):
            number[i] = self.category_ids.setdefault(key, len(self.category_ids))
        self._statements.add(
            pa.record_batch(
                [
                    pa.array(keys[position]),
                    pa.array(number[category]),
                    batch.column("state"),
                    batch.column("confidence"),
                    batch.column("record"),
                ],
                schema=STATEMENTS,
            )
        )

    def finish(self, categories: Sequence[str], notes: Notes, again: str) -> tuple[StoredTable, StoredTable]:
        """Write the images and the statements, whose categories become positions in `categories`; return both tables.

        Repeated images are noted under the code `again`, those of several splits as `in-two-splits`.

        Raises:
            SourceError: `id-collision` if two images have the same hash.
        """
        final = np.empty(len(self.category_ids), np.int32)
        for position, key in enumerate(categories):
            if key in self.category_ids:
                final[self.category_ids[key]] = position
        groups = (self._images, self._statements, self._names)
        divided = any(group.in_files for group in groups)
        if divided:
            for group in groups:
                group.divide()

        def sort(number: int) -> _Range:
            return self._range(number, final, divided)

        paths = self._folder / IMAGES_FILE, self._folder / STATEMENTS_FILE
        with (
            pa.OSFile(str(paths[0]), "wb") as first,
            pa.OSFile(str(paths[1]), "wb") as second,
            pa.ipc.new_file(first, ROWS) as images,
            pa.ipc.new_file(second, STATEMENTS) as statements,
        ):
            for made in in_threads(sort, range(1 << BITS if divided else 1)):
                # one batch per range, even if empty, so that both tables can be read in parallel
                images.write_batch(_as_batch(made.images))
                statements.write_batch(_as_batch(made.statements))
                for code, (count, examples) in made.noted.items():
                    for i, example in enumerate(examples):
                        rest = count - len(examples) if i == 0 else 0
                        notes.add(again if code == "again" else code, example, 1 + rest)
        return StoredTable(paths[0]), StoredTable(paths[1])

    def _range(self, number: int, final: npt.NDArray[np.int32], divided: bool) -> _Range:
        listed, said = self._images.take(number), self._statements.take(number)
        _require_spread(listed, "rows")
        _require_spread(said, "labels")
        statements = sorted_statements(said, final, BITS if divided else 0)
        images = self._with_missing(listed, statements.column("key").to_numpy(), number)
        order = _order_of_images(images)
        images = images.take(pa.array(order)).combine_chunks()
        keys = images.column("key").to_numpy()
        twice = np.flatnonzero(keys[1:] == keys[:-1]) + 1
        if not len(twice):
            return _Range(images, statements)
        before, after = (images.select(["name", "status"]).take(pa.array(at)) for at in (twice - 1, twice))
        other = pc.not_equal(before.column("name"), after.column("name"))
        if pc.any(other).as_py():
            names = (part.column("name").filter(other)[0].as_py() for part in (after, before))
            message = f"{' and '.join(names)} have one hash"
            raise SourceError(Problem("id-collision", message, hint="rename one of the images"))
        names, same = after.column("name"), pc.equal(before.column("status"), after.column("status"))
        split = images.column("split").to_numpy()
        torn = pa.array(split[twice - 1] != split[twice])
        noted = {"again": names.filter(same), "in-two-splits": names.filter(torn)}
        once = np.full(len(keys), True)
        once[twice] = False
        kept = images.filter(pa.array(once)).combine_chunks()
        found = {code: (len(some), some.slice(0, Notes().kept).to_pylist()) for code, some in noted.items()}
        return _Range(kept, statements, found)

    def _with_missing(self, images: pa.Table, stated: Keys, number: int) -> pa.Table:
        """Return the images, with rows of status `missing` for the others that `stated` (sorted keys) refers to."""
        wanted = stated[np.append(True, stated[1:] != stated[:-1])] if len(stated) else stated
        known = np.sort(images.column("key").to_numpy())
        at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
        absent = wanted[known[at] != wanted] if len(known) else wanted
        if not len(absent):
            return images
        names = self._names.take(number)
        keys, first = np.unique(names.column("key").to_numpy(), return_index=True)
        found = names.column("name").take(pa.array(first[np.searchsorted(keys, absent)])).to_pylist()
        return pa.concat_tables([images, pa.Table.from_batches([self._missing(found)])])

    def _missing(self, names: list[str]) -> pa.RecordBatch:
        n = len(names)
        keys, draws = hash_names(self._prefix, names)
        values: dict[str, Any] = {
            "name": names,
            "path": names,
            "offset": np.full(n, WHOLE_FILE),
            "size": np.full(n, -1),
            "status": ["missing"] * n,
            "licence": [""] * n,
            "author": [""] * n,
            "mtime": np.zeros(n, np.int64),
            "ctime": np.zeros(n, np.int64),
            "key": keys,
            "draw": draws,
            "split": np.full(n, DRAWN),
            "inside": np.full(n, NOT_INSIDE),
        }
        return pa.record_batch([pa.array(values[part.name], part.type) for part in ROWS], schema=ROWS)


def _as_batch(table: pa.Table) -> pa.RecordBatch:
    columns = [column.combine_chunks() for column in table.columns]
    return pa.record_batch(columns, schema=table.schema)


def _texts(column: pa.Array) -> Iterator[str]:
    """Yield the values of a column, few of them as Python's at a time."""
    for start in range(0, len(column), TEXTS):
        yield from column.slice(start, TEXTS).to_pylist()


def _coded(column: pa.Array) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """Return the indices and the dictionary of the column, which is encoded unless it is a dictionary already."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return coded.indices.to_numpy(), coded.dictionary


def _require_spread(table: pa.Table, what: str) -> None:
    """Raise `SourceError` if a range is so large because it is about few images: all of it is sorted in memory.

    A sample of the keys is looked at.
    """
    step = len(table) // MANY
    if step < LARGE // MANY:
        return
    sample = np.concatenate([chunk.to_numpy()[::step] for chunk in table.column("key").chunks])
    count = int(np.unique(sample, return_counts=True)[1].max()) * step
    if count > MANY:
        message = f"an image has more than {MANY:,} {what}"
        raise SourceError(Problem("image-repeated", message, hint="list an image once, with each label once"))


def _order_of_images(images: pa.Table) -> npt.NDArray[np.int64]:
    """Return the order of the images by key, status, split and path, a drawn split last; equal ones keep theirs."""
    keys = images.column("key").to_numpy()
    order = np.argsort(keys)
    ordered = keys[order]
    same = np.append(False, ordered[1:] == ordered[:-1]) if len(ordered) else np.zeros(0, bool)
    tied = np.flatnonzero(same | np.append(same[1:], False))
    if len(tied):
        at = np.sort(order[tied])
        rows = images.select(["key", "status", "split", "path"]).take(pa.array(at))
        rank = pc.cast(rows.column("split"), pa.uint8(), safe=False)  # the drawn one, -1, becomes 255
        rows = rows.set_column(2, "split", rank)
        by = [(name, "ascending") for name in rows.column_names]
        order[tied] = at[pc.sort_indices(rows, by).to_numpy()]
    return order


def sorted_statements(statements: pa.Table, final: npt.NDArray[np.int32], known: int) -> pa.Table:
    """Sort by key, category, state, confidence and record; keep one of each (key, category, state, confidence).

    The first `known` bits of all keys are equal. The sort code has the next bits of the key, then the category. Where
    that is ambiguous, by keys with a common prefix or by repeated (key, category), the order is corrected.
    """
    key, number, state, confidence, row = (statements.column(name).to_numpy() for name in STATEMENTS.names)
    number = final[number]
    code = ((key << np.uint64(known)) >> CATEGORY_BITS << CATEGORY_BITS) | number.astype(np.uint64)
    order = np.argsort(code)
    key = key[order]
    if len(final) >> int(CATEGORY_BITS) or (key[1:] < key[:-1]).any():
        order = np.lexsort((row, confidence, state, number, statements.column("key").to_numpy()))
        key = statements.column("key").to_numpy()[order]
    number = number[order]
    same = (key[1:] == key[:-1]) & (number[1:] == number[:-1])
    if same.any():
        tied = np.flatnonzero(np.append(False, same) | np.append(same, False))
        group = np.cumsum(np.append(True, ~same))[tied]
        at = order[tied]
        order[tied] = at[np.lexsort((row[at], confidence[at], state[at], group))]
    state, confidence, row = state[order], confidence[order], row[order]
    columns = [key, number, state, confidence, row]
    if same.any():
        same &= (state[1:] == state[:-1]) & (confidence[1:] == confidence[:-1])
        first = np.append(True, ~same)
        columns = [column[first] for column in columns]
    return pa.table(columns, schema=STATEMENTS)
