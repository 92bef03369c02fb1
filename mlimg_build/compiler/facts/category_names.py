"""Detect sources whose categories have no names: folders that are splits, class numbers as labels."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from mlimg_build.errors import Problem, SourceError
from mlimg_build.labels import Named
from mlimg_build.labels.mapping.name_kinds import name_kind, names_of_splits, split_of
from mlimg_build.sources.image_files import is_folder
from mlimg_build.sources.lists.class_names import open_images_id
from mlimg_build.spec import FolderSource, LoadedSpec, ParquetSource, TableSource

__all__ = ["folder_problems", "nameless_categories"]

MOST = 0.5  # the share of a source's names, from which its labels count as class numbers
SHOWN = 5
SPLITS = {"train": "train", "validation": "validation"}
PLAIN = re.compile(r"(?!(?i:null|true|false|yes|no|on|off|y|n)$)[A-Za-z][\w/.-]*")


def nameless_categories(
    loaded: LoadedSpec, named: Iterable[Named], decided: Collection[tuple[str, str]]
) -> list[Problem]:
    """Return one error for each source whose categories are splits or numbers, at the place of the source.

    Categories with a WordNet id, and those in `decided` (reviewed or excluded by a person), do not count.
    """
    names: dict[str, dict[str, str]] = {}
    for category in named:
        if category.wnid is None and (category.source, category.id) not in decided:
            names.setdefault(category.source, {})[category.id] = category.name or category.id
    return [problem for source, given in names.items() for problem in _problems(loaded, source, given)]


def folder_problems(loaded: LoadedSpec) -> list[Problem]:
    """Return the errors that the names of folders alone show, without reading a source; none with a mapping file."""
    if loaded.spec.vocabulary.mapping.file is not None:
        return []
    found: list[Problem] = []
    for source, part in loaded.spec.sources.items():
        if isinstance(part, FolderSource) and part.classes is None:
            above = [part.images / name for name in part.splits] or [part.images]
            folders = {name: name for path in above for name in _folders(path) if name[:1] != "."}
            found += _problems(loaded, source, folders)
    return found


def _folders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if is_folder(entry))
    except (OSError, SourceError):
        return []


def _problems(loaded: LoadedSpec, source: str, given: dict[str, str]) -> Iterator[Problem]:
    """Yield the problems of a source; `given` is category id → name, and the id of a folder source is its folder."""
    part, names = loaded.spec.sources[source], [*given.values()]
    if isinstance(part, FolderSource) and names_of_splits(names):
        yield Problem(
            "folders-are-splits",
            f"source {source}: the folders {_listed(names)} are splits or hold all images, and no categories",
            loaded.place("sources", source),
            _split_hint(source, _as_written(part.images, Path(loaded.path)), [*given]),
        )
        return
    if loaded.spec.vocabulary.kind == "flat":  # a number is a name there
        return
    kinds = [name_kind(name) for name in names]
    numbers = [key for key, kind in zip(given, kinds, strict=True) if kind == "number"]
    if numbers and len(numbers) >= MOST * sum(kind != "no_value" for kind in kinds):
        what = "the folders are named by" if isinstance(part, FolderSource) else "the labels are"
        yield Problem(
            "numeric-labels",
            f"source {source}: {what} numbers, and a number is no name: {_listed(numbers)}",
            loaded.place("sources", source),
            _number_hint(source, part, numbers[0]),
        )

    ids = [key for key, name in given.items() if open_images_id(name.replace(" ", "_")) is not None]
    if ids and len(ids) >= MOST * len(names) and isinstance(part, FolderSource | TableSource):
        what = "the folders are named by" if isinstance(part, FolderSource) else "the labels are"
        yield Problem(
            "ids-without-names",
            f"source {source}: {what} ids of Open Images, and nothing says their names: {_listed(ids)}",
            loaded.place("sources", source),
            f"name the file of class descriptions in source {source}: `classes: class-descriptions.csv`, rows such as "
            f"{open_images_id(ids[0]) or ids[0]},Dog",
        )


def _split_hint(source: str, images: Path, names: list[str]) -> str:
    """Return the line of a spec that says where the splits go, or that takes the folder around all images."""
    splits = {name: SPLITS.get(split_of(name) or "", "none") for name in names}
    if set(splits.values()) == {"none"}:
        places = [f"{images / name}" for name in names]
        lines = [f"  {source}: {{type: folder, images: {_quoted(place)}}}" for place in places]
        return "\n".join(["take the folder that holds those of the categories, such as", *lines])
    placed = ", ".join(f"{_quoted(name)}: {place}" for name, place in splits.items())
    line = f"  {source}: {{type: folder, images: {_quoted(str(images))}, splits: {{{placed}}}}}"
    return f"say where each goes (none leaves it out), such as\n{line}"


def _quoted(text: str) -> str:
    """Return a text as YAML reads it back."""
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _as_written(images: Path, spec: Path) -> Path:
    """Return the folder as a spec would name it: relative to the spec's own folder if it is below that."""
    folder = spec.absolute().parent
    return images.relative_to(folder) if images.is_relative_to(folder) else images


def _number_hint(source: str, part: object, example: str) -> str:
    if isinstance(part, FolderSource | ParquetSource | TableSource):
        return (
            f"give their names in a CSV of id and name ({example},tench) with `classes: FILE` in source {source},"
            " or decide in the file of `vocabulary.mapping.file`: source,category,wnid"
        )
    return "decide in the file of `vocabulary.mapping.file`: source,category,wnid"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
