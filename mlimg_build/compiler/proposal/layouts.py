"""Tell by its names and first rows what a folder or a file holds: the source that a spec would declare for it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from mlimg_build.compiler.proposal.table_layout import TABLES, table_layout
from mlimg_build.errors import Problem, SourceError
from mlimg_build.labels.mapping.name_kinds import names_of_splits, split_of
from mlimg_build.regular_files import open_regular
from mlimg_build.sources.embedded.file_splits import name_of_split
from mlimg_build.sources.image_files import is_hidden, is_image_name, is_text
from mlimg_build.sources.synset_names import leading_wnid
from mlimg_build.sources.webdataset.tar_files import split_of_tar, split_words
from mlimg_build.spec.path_patterns import escaped

__all__ = ["Layout", "layouts_of"]

MOST = 20_000  # entries of a folder that are looked at
PEEKED = 64  # entries of a folder in it
HEAD = 1 << 16  # bytes of a JSON
PLACES = {"train": "train", "validation": "validation"}


@dataclass(frozen=True, slots=True)
class Layout:
    """A source as a spec would declare it: its name, its keys with their values, and remarks for the reader."""

    name: str
    keys: Mapping[str, Any]
    remarks: tuple[str, ...] = field(default=())


def layouts_of(path: Path) -> list[Layout]:
    """Return the sources that a path holds, likely ones only; nothing but names, headers and first rows is read.

    Raises:
        SourceError: `source-missing` if there is nothing, `layout-unknown` if it is of no known layout, with what was
            found there.
    """
    if not path.exists():
        raise SourceError(Problem("source-missing", f"there is nothing at {path}", hint="correct the path"))
    found = [*(_of_folder(path) if path.is_dir() else _of_file(path))]
    if found:
        return found
    raise SourceError(
        Problem(
            "layout-unknown",
            f"{path} is of no layout that is known: {_told(path)}",
            hint="known are folders of categories, ImageNet's, Open Images' and COCO's files, tables (CSV, TSV, "
            "Parquet), Parquet with images, webdataset tars; `mlimg init` writes a spec with the lines of each",
        )
    )


def _of_folder(path: Path) -> Iterator[Layout]:
    names, folders, files = path.name or "images", *_entries(path)
    tars = [name for name in files if name.endswith(".tar")]
    synsets = [name for name in (*folders, *tars) if leading_wnid(name.removesuffix(".tar")) is not None]
    if synsets and 2 * len(synsets) > len(folders) + len(tars):
        others = [name for name in (*folders, *tars) if name not in synsets]
        yield Layout(_slug(names), {"type": "imagenet", "images": path}, tuple(_strangers(others)))
        return
    annotated = [*_coco_files(path, folders)]
    if annotated:
        yield from annotated
        return
    crowd = _open_images(path, folders, files)
    if crowd is not None:
        yield crowd
        return
    if tars:
        yield _of_tars(path, tars)
        return
    parquet = [name for name in files if name.endswith(".parquet")]
    parquet = parquet or [f"data/{name}" for name in _entries(path / "data")[1] if name.endswith(".parquet")]
    if len(parquet) > 1:
        told = {name_of_split(Path(name).name) for name in parquet}
        keys, remarks = _split_keys(told if "" not in told else [])
        images = (path / parquet[0]).parent
        yield Layout(_slug(names), {"type": "parquet", "images": images, **keys}, remarks)
        return
    lists = [name for name in files if Path(name).suffix.lower() in TABLES]
    if len(lists) == 1 or parquet:
        for one in _of_file(path / (parquet or lists)[0]):
            yield replace(one, remarks=(*one.remarks, *_beside(path, folders)))
        return
    if names_of_splits(folders):
        yield from _of_splits(path, folders)
    elif folders and any(_holds_images(path / name) for name in folders):
        remarks = (*_strays(files), *_nested(path, folders))
        yield Layout(_slug(names), {"type": "folder", "images": path}, remarks)


def _of_tars(path: Path, tars: Sequence[str]) -> Layout:
    words = split_words(tars)
    sure = all(len(split_of_tar(name, dict.fromkeys(words, ""))) == 1 for name in tars)
    keys, remarks = _split_keys(words if sure else [])
    pattern = _pattern(path) / "*.tar"
    return Layout(_slug(path.name or "images"), {"type": "webdataset", "tars": pattern, **keys}, remarks)


def _split_keys(told: Iterable[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the key `splits` for two splits or more that the names of files tell, and remarks; nothing for fewer."""
    splits = {name: PLACES.get(split_of(name) or "", "none") for name in sorted(told)}
    if len(splits) < 2:
        return {}, ()
    return {"splits": splits}, tuple(_left_out(splits))


def _left_out(splits: Mapping[str, str]) -> Iterator[str]:
    """Yield a remark for each split that goes nowhere."""
    return (f"{name} is left out: say where it goes" for name, place in splits.items() if place == "none")


def _pattern(path: Path) -> Path:
    """Return a path whose brackets and stars stand for themselves where a pattern is read."""
    return Path(escaped(str(path)))


def _beside(path: Path, folders: Sequence[str]) -> Iterator[str]:
    """Yield the remark that the folders beside a table may be categories, too."""
    named = [
        name
        for name in folders
        if split_of(name) is None and any(map(is_image_name, _entries(path / name)[1]))
    ]
    if len(named) > 1:
        yield f"labels are those of the table; {{type: folder, images: {path.name}}} takes the {len(named)} folders"


def _of_splits(path: Path, folders: Sequence[str]) -> Iterator[Layout]:
    """Yield the source of a folder of splits, or of the one folder that holds those of the categories."""
    whole = [name for name in folders if split_of(name) == ""]
    if len(folders) == 1 and whole:
        yield from _of_folder(path / whole[0])
        return
    splits = {name: PLACES.get(split_of(name) or "", "none") for name in folders}
    inside = {name: _entries(path / name) for name in folders}
    below = [one for one in folders if inside[one][0]]
    if not below:
        return
    wnids = [name for name in inside[below[0]][0] if leading_wnid(name) is not None]
    kind = "imagenet" if 2 * len(wnids) > len(inside[below[0]][0]) else "folder"
    keys = {"type": kind, "images": path, "splits": splits}
    yield Layout(_slug(path.name), keys, tuple(_left_out(splits)))


def _coco_files(path: Path, folders: Sequence[str]) -> Iterator[Layout]:
    """Yield a source for each COCO JSON in the folder or in `annotations`, with the folder of its images.

    Beside files of instances, those of captions and keypoints are left out: they are about the same images.
    """
    for place in (path / "annotations", path):
        found = [name for name in _entries(place)[1] if name.endswith(".json") and _is_coco(place / name)]
        chosen = [name for name in found if name.startswith("instances")] or found
        left = [name for name in found if name not in chosen]
        for name in chosen:
            made = _of_coco(place / name, path, folders)
            if left and name == chosen[0]:
                more = f" and {len(left) - 1:,} more" if len(left) > 1 else ""
                made = replace(
                    made, remarks=(*made.remarks, f"{left[0]}{more} left out, as no file of instances")
                )
            yield made


def _of_coco(file: Path, path: Path, folders: Sequence[str]) -> Layout:
    """Return the source of one COCO JSON, whose images lie below `path` or in one of its folders."""
    ending = file.stem.rsplit("_", 1)[-1]
    sure = next((one for one in folders if one == ending), None)
    images = sure or next((one for one in folders if one in ("images", "train", "val")), None)
    keys: dict[str, Any] = {"type": "coco", "annotations": [file]}
    if images is not None:
        keys["images"] = path / images
    elif any(is_image_name(name) for name in _entries(path)[1]):
        keys["images"] = path
    split = split_of(ending)
    if split in PLACES:
        keys["split"] = PLACES[split]
    remarks = []
    if "images" not in keys:
        remarks.append("no folder of its images was found: only URLs are kept")
    elif sure is None:
        remarks.append("`images` is a guess: see how many met a file")
    return Layout(_slug(file.stem), keys, tuple(remarks))


def _is_coco(path: Path) -> bool:
    head = _head(path)
    return head.lstrip().startswith("{") and any(
        f'"{key}"' in head for key in ("images", "annotations", "categories")
    )


def _open_images(path: Path, folders: Sequence[str], files: Sequence[str]) -> Layout | None:
    """Return the source of a folder with Open Images' lists, None without them."""
    lists = [
        name
        for name in files
        if name.endswith(".csv") and "LabelName" in _head(path / name).split("\n", 1)[0]
    ]
    labels = [name for name in lists if "ImageID" in _head(path / name).split("\n", 1)[0]]
    classes = next(
        (name for name in files if name.startswith("class-descriptions") and name.endswith(".csv")), None
    )
    images = next((name for name in folders if name in ("images", "train", "validation", "test")), None)
    if not labels or classes is None or images is None:
        return None
    keys = {"type": "open_images", "images": path / images, "labels": [path / name for name in labels]}
    return Layout(_slug(path.name), {**keys, "classes": path / classes})


def _of_file(path: Path) -> Iterator[Layout]:
    suffix = path.suffix.lower()
    if suffix == ".json" and _is_coco(path):
        root = path.parent.parent if path.parent.name == "annotations" else path.parent
        yield _of_coco(path, root, _entries(root)[0])
    elif suffix == ".tar":
        yield Layout(_slug(path.stem), {"type": "webdataset", "tars": _pattern(path)})
    elif suffix in TABLES:
        keys, remarks = table_layout(path)
        yield Layout(_slug(path.stem), keys, remarks)


def _entries(path: Path) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files in a folder, sorted, of very many the first."""
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(path) as entries:
            for entry in islice(entries, MOST):
                if is_text(entry.name) and not is_hidden(entry.name):
                    (folders if entry.is_dir() else files).append(entry.name)
    except OSError:
        return [], []
    return sorted(folders), sorted(files)


def _holds_images(path: Path) -> bool:
    folders, files = _entries(path)
    deeper = (name for one in folders[:PEEKED] for name in _entries(path / one)[1][:PEEKED])
    return any(is_image_name(name) for name in (*files[:PEEKED], *deeper))


def _head(path: Path) -> str:
    try:
        descriptor = open_regular(path)
    except OSError:
        return ""
    try:
        return os.read(descriptor, HEAD).decode(errors="replace")
    finally:
        os.close(descriptor)


def _strays(files: Sequence[str]) -> Iterator[str]:
    images = sum(is_image_name(name) for name in files)
    if images:
        yield f"{images:,} images lie beside the folders and have no category"


def _strangers(names: Sequence[str]) -> Iterator[str]:
    """Yield the remark that folders beside those of synsets are left out."""
    if names:
        what = "folder or tar" if len(names) == 1 else "folders or tars"
        yield f"{len(names):,} {what} without a WordNet id left out: {', '.join(names[:3])}"


def _nested(path: Path, folders: Sequence[str]) -> Iterator[str]:
    """Yield the remark that some categories hold folders, whose names are not read."""
    deeper = []
    for name in folders[:PEEKED]:
        inside, files = _entries(path / name)
        if not any(map(is_image_name, files)) and any(
            any(map(is_image_name, _entries(path / name / one)[1])) for one in inside[:PEEKED]
        ):
            deeper.append(name)
    if deeper:
        yield f"the folders in {', '.join(deeper[:3])} are no categories: `images: {path.name}/{deeper[0]}` takes those"


def _told(path: Path) -> str:
    if not path.is_dir():
        return f"a file {path.suffix or 'without a suffix'}"
    folders, files = _entries(path)
    kinds = sorted({Path(name).suffix.lower() or "no suffix" for name in files})
    listed = ", ".join(json.dumps(name, ensure_ascii=False) for name in folders[:3])
    return f"{len(folders):,} folders ({listed}), {len(files):,} files ({', '.join(kinds[:5])})"


def _slug(name: str) -> str:
    """Return a name of a source.

    >>> _slug("My Photos (2)"), _slug("???")
    ('my-photos-2', 'source')
    """
    kept = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._") else " "
        for letter in name.lower()
    )
    return "-".join(kept.split()).strip("._-")[:60] or "source"
