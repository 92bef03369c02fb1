"""Warn of likely mistakes in a source: unread synsets, unknown people, low scores, other class names, no bytes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.lists.class_lists import class_list
from mlimg_build.sources.lists.class_names import class_names, name_of
from mlimg_build.sources.synset_names import leading_wnid
from mlimg_build.spec import LoadedSpec, nearest

__all__ = ["source_warnings"]

LOW = 0.5  # a lower confidence of a machine means rather that the category is absent
SHOWN = 3
NEAR = 20  # categories without a class name that are compared with the rows of the file
SYNSETS = ("nearly-a-synset", "tar-unreadable")  # notes of a synset that is skipped as a whole


DAMAGED = ("tar-cut", "tar-empty", "folder-unreadable")  # notes of which nobody knows how much is lost
TARS = {
    "tar-unreadable": (
        "{count} tars are not read",
        "an uncompressed tar is read in place; get it again, or decompress it",
    ),
    "tar-cut": ("{count} tars are damaged or cut", "get them again; the samples behind the damage are lost"),
    "tars-of-splits": (
        "the names of tars say splits",
        "write them in `splits`; without it images of all tars are drawn",
    ),
}


def source_warnings(loaded: LoadedSpec, catalogs: Sequence[Catalog]) -> Iterator[Problem]:
    """Yield warnings about each source, and an error if none of its categories is in its file of classes."""
    for catalog in catalogs:
        yield from _of_synsets(loaded, catalog)
        yield from _of_damage(loaded, catalog)
        yield from _of_tars(loaded, catalog)
        yield from _of_speakers(loaded, catalog)
        yield from _of_scores(loaded, catalog)
        yield from _of_cells(loaded, catalog)
        yield from _of_classes(loaded, catalog)
        yield from _of_bytes(loaded, catalog)
        yield from _of_numbers(loaded, catalog)


def _of_synsets(loaded: LoadedSpec, catalog: Catalog) -> Iterator[Problem]:
    notes = catalog.notes
    lost = [example for code in SYNSETS for example in notes.examples.get(code, ())]
    if lost and loaded.spec.sources[catalog.name].type == "imagenet":
        count = sum(notes.counts[code] for code in SYNSETS)
        what = "1 synset is" if count == 1 else f"{count:,} synsets are"
        message = f"source {catalog.name}: {what} not read, such as {', '.join(lost[:SHOWN])}"
        hint = "a synset is a folder or an uncompressed tar, n01440764 or n01440764.tar; a name may follow the id"
        yield Problem(
            "synset-not-read", message, loaded.place("sources", catalog.name, "images"), hint, "warning"
        )


def _of_damage(loaded: LoadedSpec, catalog: Catalog) -> Iterator[Problem]:
    notes = catalog.notes
    lost = [example for code in DAMAGED for example in notes.examples.get(code, ())]
    if lost:
        count = sum(notes.counts[code] for code in DAMAGED)
        what = "1 tar or folder is" if count == 1 else f"{count:,} tars or folders are"
        message = f"source {catalog.name}: {what} damaged or closed, and nobody knows how much is lost: "
        hint = "get a damaged tar again; a folder needs the permission to be listed"
        yield Problem(
            "content-lost",
            message + "; ".join(lost[:SHOWN]),
            loaded.place("sources", catalog.name),
            hint,
            "warning",
        )


def _of_tars(loaded: LoadedSpec, catalog: Catalog) -> Iterator[Problem]:
    if loaded.spec.sources[catalog.name].type != "webdataset":
        return
    place = loaded.place("sources", catalog.name, "tars")
    for code, (what, hint) in TARS.items():
        if count := catalog.notes.counts.get(code, 0):
            shown = "; ".join(catalog.notes.examples[code][:SHOWN])
            message = f"source {catalog.name}: {what.format(count=f'{count:,}')}, such as {shown}"
            yield Problem(code, message, place, hint, "warning")


def _of_speakers(loaded: LoadedSpec, catalog: Catalog) -> Iterator[Problem]:
    place = loaded.place("sources", catalog.name, "people")
    for example in catalog.notes.examples.get("no-such-people", ()):
        message = f"source {catalog.name}: {example}, so all of it counts as a machine's"
        yield Problem("no-such-people", message, place, "name in `people` who is a person", "warning")
    for example in catalog.notes.examples.get("no-speakers", ()):
        message = f"source {catalog.name}: {example}"
        yield Problem("no-speakers", message, place, "give the column, or leave `people` out", "warning")


def _of_cells(loaded: LoadedSpec, catalog: Catalog) -> Iterator[Problem]:
    notes, place = catalog.notes, loaded.place("sources", catalog.name, "columns", "labels")
    if count := notes.counts["cell-without-meaning"]:
        shown = "; ".join(notes.examples["cell-without-meaning"][:SHOWN])
        message = (
            f"source {catalog.name}: {count:,} cells of categories have values that mean nothing: {shown}"
        )
        hint = "say what every value means, such as `values: {1: present, 0: absent, -1: unknown}`"
        yield Problem("cells-without-meaning", message, place, hint, "warning")
    for example in notes.examples.get("other-separator", ()):
        other = example[0]
        count = notes.counts["other-separator"]
        message = (
            f"source {catalog.name}: {count:,} cells of labels hold {other!r}, and none has the separator: "
            f"{example.partition(': ')[2]}"
        )
        hint = f"if labels are separated by it, write `separator: {json.dumps(other)}`"
        yield Problem("other-separator", message, place, hint, "warning")


def _of_scores(loaded: LoadedSpec, catalog: Catalog) -> Iterator[Problem]:
    if "min_confidence" in loaded.spec.sources[catalog.name].model_fields_set:
        return
    count, lowest = 0, 1.0
    for chunk in catalog.statements.chunks("confidence"):
        values = chunk.to_numpy()
        low = values[values < LOW]
        count, lowest = count + len(low), min(lowest, float(low.min(initial=1)))
    if count:
        message = (
            f"source {catalog.name}: {count:,} of its {len(catalog.statements):,} labels have a confidence below {LOW} "
            f"(the lowest {lowest:.3g}), and all of them count as present"
        )
        hint = f"write `min_confidence: {LOW}`, or another; `min_confidence: 0` takes them all"
        yield Problem("low-confidence", message, loaded.place("sources", catalog.name), hint, "warning")


def _of_classes(loaded: LoadedSpec, catalog: Catalog) -> Iterator[Problem]:
    path = getattr(loaded.spec.sources[catalog.name], "classes", None)
    if path is None:
        return
    what = f"the class names of source {catalog.name}"
    try:
        tars = loaded.spec.sources[catalog.name].type == "webdataset"
        names = dict(class_list(path, what)) if tars else class_names(path, what)
    except SourceError:  # reported when the catalog of the source is made
        return
    times = np.zeros(len(catalog.categories), np.int64)
    for chunk in catalog.statements.chunks("category"):
        times += np.bincount(chunk.to_numpy(), minlength=len(times))
    used = [one.id for one, count in zip(catalog.categories, times.tolist(), strict=True) if count]
    lacking = [key for key in used if name_of(names, key) is None and leading_wnid(key) is None]
    own = path == loaded.spec.vocabulary.own
    if 2 * len(lacking) <= len(used) or (own and len(lacking) < len(used)):
        if not own:  # a file of own categories has the names that are no nouns, and perhaps few
            yield from _of_other_classes(loaded, catalog, path.name, names, used, lacking)
        return
    shown = ", ".join(repr(key) for key in lacking[:SHOWN])
    there = ", ".join(repr(key) for key in [*names][:SHOWN])
    if len(lacking) == len(used):
        message = f"source {catalog.name}: none of its {len(used):,} categories is in {path.name}"
    else:
        message = (
            f"source {catalog.name}: {len(lacking):,} of its {len(used):,} categories are not in {path.name}"
        )
    yield Problem(
        "classes-not-found",
        f"{message}: images have {shown}, the file {there}",
        loaded.place("sources", catalog.name, "classes"),
        "write the ids in the file as folders or labels have them; upper case and zeros are not guessed",
        "error" if len(lacking) == len(used) else "warning",
    )


def _of_other_classes(
    loaded: LoadedSpec,
    catalog: Catalog,
    file: str,
    names: Collection[str],
    used: Sequence[str],
    lacking: Sequence[str],
) -> Iterator[Problem]:
    """Warn of rows of a file of classes that are spelt nearly as a category which has none; of all in a folder's."""
    part = loaded.spec.sources[catalog.name]
    place = loaded.place("sources", catalog.name, "classes")
    if shift := _shift(used, names):
        message = (
            f"source {catalog.name}: {file} does not name {', '.join(lacking[:SHOWN])}, and each of its labels "
            f"would have a name if they were {'greater' if shift > 0 else 'less'} by 1"
        )
        hint = "if one counts from 0 and the other from 1, every name is that of its neighbour: write the ids alike"
        yield Problem("classes-shifted", message, place, hint)
        return
    seen = {*used}
    unmatched = [key for key in names if key not in seen]
    near = {key: row for key in lacking[:NEAR] if (row := nearest(key, unmatched)) is not None}
    told = [f"{row!r} (did you mean {key!r}?)" for key, row in near.items()]
    if part.type == "folder":  # whose categories are all there
        told += [repr(row) for row in unmatched if row not in near.values()]
    if told:
        what = "1 row names" if len(told) == 1 else f"{len(told):,} rows name"
        more = f" and {len(told) - SHOWN:,} more" if len(told) > SHOWN else ""
        message = (
            f"source {catalog.name}: {what} no category of it: {', '.join(told[:SHOWN])}{more} in {file}"
        )
        hint = "write the ids as folders or labels have them; a header, if there is one, is id,name"
        yield Problem("classes-unused", message, place, hint, "warning")


def _shift(used: Sequence[str], names: Collection[str]) -> int:
    """Return by how much numbers of classes have to be moved so that all have a name; 0 if they have, or never do."""
    if not used or not all(key.isdecimal() and key.isascii() for key in used):
        return 0
    numbers, named = {*map(int, used)}, {int(key) for key in names if key.isdecimal()}
    if numbers <= named:
        return 0
    return next((step for step in (1, -1) if {number + step for number in numbers} <= named), 0)


def _of_numbers(loaded: LoadedSpec, catalog: Catalog) -> Iterator[Problem]:
    """Warn of files whose numbers of classes differ."""
    if count := catalog.notes.counts.get("names-differ", 0):
        what = "1 file has" if count == 1 else f"{count:,} files have"
        example = catalog.notes.examples["names-differ"][0]
        message = f"source {catalog.name}: {what} other names of classes than the first: {example}"
        hint = "each file's own names were taken; other programs take those of the first file for all"
        yield Problem("names-differ", message, loaded.place("sources", catalog.name), hint, "warning")


def _of_bytes(loaded: LoadedSpec, catalog: Catalog) -> Iterator[Problem]:
    count = catalog.notes.counts.get("row-without-bytes", 0)
    if count:
        example = catalog.notes.examples["row-without-bytes"][0]
        message = f"source {catalog.name}: {count:,} rows hold no bytes of an image, such as {example}"
        hint = (
            "write the images into the files (datasets: `ds.with_format('arrow').map(embed_table_storage, "
            "batched=True)`), or let `images` be the folder in which both lie"
        )
        place = loaded.place("sources", catalog.name, "images")
        yield Problem("rows-without-bytes", message, place, hint, "warning")
