"""Tell by its names and first rows what a folder or a file holds: the sources that a spec would declare for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlimg_build.compiler.proposal.folder_contents import (
    absolute,
    entries,
    folders_of_images,
    head,
    holds_images,
    images_in,
    name_of,
    told,
)
from mlimg_build.compiler.proposal.layout import Layout, slug
from mlimg_build.compiler.proposal.listed_layouts import (
    coco_layout,
    coco_layouts,
    is_coco,
    open_images_layout,
)
from mlimg_build.compiler.proposal.table_layout import TABLES, table_layout
from mlimg_build.errors import Problem, SourceError
from mlimg_build.labels.mapping.name_kinds import name_kind, names_of_splits, split_of
from mlimg_build.quantities import counted
from mlimg_build.sources.embedded.file_splits import name_of_split
from mlimg_build.sources.image_files import is_image_name
from mlimg_build.sources.synset_names import leading_wnid
from mlimg_build.sources.webdataset.tar_files import split_of_tar, split_words
from mlimg_build.spec.path_patterns import escaped
from mlimg_build.spec.suggestions import did_you_mean

__all__ = ["Layout", "layouts_of"]

PLACES = {"train": "train", "validation": "validation"}
WRITTEN = ("folder,name,below", "label,name,below", "source,category,")  # how files beside a spec begin
DATASETS = 64  # folders beside one another that may be datasets; more are categories
DEEPEST = 3  # folders around all that are looked into
KNOWN = (
    "known are a folder for each category, ImageNet's folders or tars (n01440764), Open Images' and COCO's files, "
    "tables of images and labels (CSV, TSV, Parquet), Parquet with images, tars of samples, a folder of such datasets; "
    "`mlimg init SPEC` writes a spec with the lines of each"
)


def layouts_of(path: Path) -> list[Layout]:
    """Return the sources that a path holds, likely ones only; nothing but names, headers and first rows is read.

    Raises:
        SourceError: `source-missing` if there is nothing, `layout-unknown` if it is of no known layout, with what was
            found there and what would be known.
    """
    if not path.exists():
        hint = f"{did_you_mean(path)}correct the path"
        raise SourceError(Problem("source-missing", f"there is nothing at {path}", hint=hint))
    found = [*(_of_folder(path, name_of(path), 0) if path.is_dir() else _of_file(path))]
    if found:
        return found
    raise SourceError(_without_categories(path) or _unknown(path))


def _unknown(path: Path) -> Problem:
    return Problem(
        "layout-unknown", f"{path} is of no layout that is known, found were: {told(path)}", hint=KNOWN
    )


def _without_categories(path: Path) -> Problem | None:
    """Return the problem of images that nothing names, with the folder above if its folders look like categories."""
    folder = path if path.is_dir() else path.parent
    images = images_in(folder)
    if not images or (path is not folder and not is_image_name(path.name)):
        return None
    if path is folder:
        message = f"{path} holds {counted(images, 'image')}, and neither folders of categories nor labels"
    else:
        message = f"{path} is one image, and nothing says what it shows"
    above = absolute(folder).parent
    beside = folders_of_images(above)
    if len(beside) > 1:
        named = folder.parent if folder.name not in ("", "..") else above
        hint = f"{above.name or above} holds {len(beside):,} folders of images, which look like categories: "
        hint += f"did you mean `mlimg init SPEC --from {named}`?"
    else:
        hint = "move the images into a folder for each category, or write a CSV of image,label beside them"
    return Problem("layout-unknown", message, hint=hint)


def _of_folder(path: Path, name: str, depth: int) -> Iterator[Layout]:
    """Yield the sources of a folder; `name` is what one of them is called, `depth` how many folders are around it."""
    folders, files = entries(path)
    tars = [file for file in files if file.endswith(".tar")]
    synsets = [one for one in (*folders, *tars) if leading_wnid(one.removesuffix(".tar")) is not None]
    if synsets and 2 * len(synsets) > len(folders) + len(tars):
        others = [one for one in (*folders, *tars) if one not in synsets]
        yield Layout(slug(name), {"type": "imagenet", "images": path}, tuple(_strangers(others)))
        return
    annotated = [*coco_layouts(path, folders)]
    if annotated:
        yield from annotated
        return
    crowd = open_images_layout(path, name, folders, files)
    if crowd is not None:
        yield crowd
        return
    if tars:
        yield _of_tars(path, name, tars)
        return
    parquet = [file for file in files if file.endswith(".parquet")]
    parquet = parquet or [f"data/{file}" for file in entries(path / "data")[1] if file.endswith(".parquet")]
    if len(parquet) > 1:
        words = {name_of_split(Path(file).name) for file in parquet}
        keys, remarks = _split_keys(words if "" not in words else [])
        images = (path / parquet[0]).parent
        yield Layout(slug(name), {"type": "parquet", "images": images, **keys}, remarks)
        return
    lists = [file for file in files if _may_be_table(path / file)]
    below = [*_of_folders(path, name, folders, files, depth)] if len(lists) == 1 or not parquet else []
    if len(lists) == 1 or parquet:
        yield from _of_table(path, path / (parquet or lists)[0], folders, below)
        return
    yield from below


def _of_tars(path: Path, name: str, tars: Sequence[str]) -> Layout:
    words = split_words(tars)
    sure = all(len(split_of_tar(tar, dict.fromkeys(words, ""))) == 1 for tar in tars)
    keys, remarks = _split_keys(words if sure else [])
    return Layout(slug(name), {"type": "webdataset", "tars": _pattern(path) / "*.tar", **keys}, remarks)


def _split_keys(words: Iterable[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the key `splits` for two splits or more that the names of files tell, and remarks; nothing for fewer."""
    splits = {word: PLACES.get(split_of(word) or "", "none") for word in sorted(words)}
    if len(splits) < 2:
        return {}, ()
    left = (f"{word} is left out: say where it goes" for word, place in splits.items() if place == "none")
    return {"splits": splits}, tuple(left)


def _pattern(path: Path) -> Path:
    """Return a path whose brackets and stars stand for themselves where a pattern is read."""
    return Path(escaped(str(path)))


def _may_be_table(path: Path) -> bool:
    """Return whether a file is a table by its suffix, and none of those that mlimg writes beside a spec."""
    return path.suffix.lower() in TABLES and not head(path).startswith(WRITTEN)


def _of_table(path: Path, table: Path, folders: Sequence[str], below: Sequence[Layout]) -> Iterator[Layout]:
    """Yield the source of a table; where it is none and folders beside it are a source, that one, and say so."""
    try:
        found = [*_of_file(table)]
    except SourceError as error:
        if not below:
            raise
        remark = f"left out, as it is no table of labels: {error.problems[0].message}"
        yield replace(below[0], remarks=(remark, *below[0].remarks))
        yield from below[1:]
        return
    for one in found:
        yield replace(one, remarks=(*one.remarks, *_beside(path, folders)))


def _beside(path: Path, folders: Sequence[str]) -> Iterator[str]:
    """Yield the remark that the folders beside a table may be categories, too."""
    named = [one for one in folders if split_of(one) is None and images_in(path / one)]
    if len(named) > 1:
        yield f"labels are those of the table; {{type: folder, images: {path.name}}} takes the {len(named)} folders"


def _of_folders(
    path: Path, name: str, folders: Sequence[str], files: Sequence[str], depth: int
) -> Iterator[Layout]:
    """Yield the sources of a folder of folders: of the one in it, of splits, of datasets, or of categories."""
    inner = [*_of_the_one(path, name, folders, depth)]
    if inner:
        yield from inner
    elif names_of_splits(folders):
        yield from _of_splits(path, name, folders)
    elif datasets := [*_of_datasets(path, folders, depth)]:
        yield from datasets
    elif folders and any(holds_images(path / one) for one in folders):
        remarks = [*_strays(files), *_deep(path, folders)]
        yield Layout(slug(name), {"type": "folder", "images": path}, tuple(remarks))


def _of_the_one(path: Path, name: str, folders: Sequence[str], depth: int) -> Iterator[Layout]:
    """Yield the sources of the one folder in a folder, unless it is that of the only category."""
    if len(folders) != 1 or depth == DEEPEST:
        return
    inside = entries(path / folders[0])[0]
    if inside and all(name_kind(one) == "number" for one in inside) and split_of(folders[0]) is None:
        return
    remark = f"{name_of(path)} holds one folder, {folders[0]}, and what is in that was taken"
    named = name if split_of(folders[0]) is not None else folders[0]
    for one in _of_folder(path / folders[0], named, depth + 1):
        yield replace(one, remarks=(remark, *one.remarks))


def _of_datasets(path: Path, folders: Sequence[str], depth: int) -> Iterator[Layout]:
    """Yield the sources of the folders of a folder if most of those with images are datasets, and no categories."""
    if not 0 < len(folders) <= DATASETS or depth == DEEPEST:
        return
    found = {one: _of_dataset(path / one, one, depth + 1) for one in folders}
    known = [one for one in folders if any(_is_dataset(layout) for layout in found[one])]
    plain = [one for one in folders if not found[one] and images_in(path / one)]
    if not known or len(plain) > len(known):
        return
    left = [one for one in folders if not found[one]]
    remarks = [f"left out of {name_of(path)}, as nothing in it was known: {', '.join(left)}"] if left else []
    for one in folders:
        for layout in found[one]:
            named = slug(one) if len(found[one]) == 1 else ""
            source = replace(layout, name=named or slug(f"{one}-{layout.name}"))
            yield replace(source, remarks=(*remarks, *source.remarks))
            remarks = []


def _of_dataset(path: Path, name: str, depth: int) -> list[Layout]:
    """Return the sources of a folder among others; none of what mlimg built itself."""
    if any(one.endswith(".zarr") for one in (name, *entries(path)[0])):
        return []
    try:
        return [*_of_folder(path, name, depth)]
    except SourceError:  # a table that has no column of images or labels
        return []


def _is_dataset(layout: Layout) -> bool:
    """Return whether a source is surely more than folders of images."""
    return layout.keys["type"] != "folder" or "splits" in layout.keys


def _of_splits(path: Path, name: str, folders: Sequence[str]) -> Iterator[Layout]:
    """Yield the source of a folder of splits, each with the folders or tars of its categories."""
    inside = {one: _named_in(path / one) for one in folders}
    if not any(inside.values()):
        return
    splits = {one: PLACES.get(split_of(one) or "", "none") if inside[one] else "none" for one in folders}
    first = next(names for names in inside.values() if names)
    wnids = [one for one in first if leading_wnid(one.removesuffix(".tar")) is not None]
    kind = "imagenet" if 2 * len(wnids) > len(first) else "folder"
    remarks = [
        f"{one} is left out: say where it goes"
        if inside[one]
        else f"{one} is left out, as its {counted(images_in(path / one), 'image')} lie in no folders of categories"
        for one, place in splits.items()
        if place == "none"
    ]
    yield Layout(slug(name), {"type": kind, "images": path, "splits": splits}, tuple(remarks))


def _named_in(path: Path) -> list[str]:
    """Return the names of the folders, and of the tars of synsets, that lie in a split."""
    folders, files = entries(path)
    return [*folders, *(one for one in files if one.endswith(".tar") and leading_wnid(one[:-4]) is not None)]


def _of_file(path: Path) -> Iterator[Layout]:
    suffix = path.suffix.lower()
    if suffix == ".json" and is_coco(path):
        folder = path.parent.parent if path.parent.name == "annotations" else path.parent
        yield coco_layout(folder, path, entries(folder)[0])
    elif suffix == ".tar":
        yield Layout(slug(path.stem), {"type": "webdataset", "tars": _pattern(path)})
    elif suffix in TABLES:
        keys, remarks = table_layout(path)
        yield Layout(slug(path.stem), keys, remarks)


def _strays(files: Sequence[str]) -> Iterator[str]:
    images = sum(is_image_name(name) for name in files)
    if images:
        lies = "lies" if images == 1 else "lie"
        yield f"{counted(images, 'image')} {lies} beside the folders, without a category"


def _strangers(names: Sequence[str]) -> Iterator[str]:
    """Yield the remark that folders beside those of synsets are left out."""
    if names:
        what = counted(len(names), "folder or tar", "folders or tars")
        yield f"{what} without a WordNet id left out: {', '.join(names[:3])}"


def _deep(path: Path, folders: Sequence[str]) -> Iterator[str]:
    """Yield the remark that the folders in the folders may be the categories, of all or of some."""
    plain = [one for one in folders[:DATASETS] if images_in(path / one)]
    if plain:
        deeper = [one for one in folders[:DATASETS] if one not in plain and folders_of_images(path / one)]
        if deeper:
            named = ", ".join(deeper[:3])
            yield f"the folders in {named} are no categories: `images: {path.name}/{deeper[0]}` takes those"
    elif len(folders) <= DATASETS:
        deep: dict[str, Any] = {one: folders_of_images(path / one) for one in folders}
        example = next((f"{path.name}/{one}" for one, inside in deep.items() if len(inside) > 1), "")
        if example:
            yield (
                f"the categories are the {counted(len(folders), 'folder')}, though images lie in folders below them: "
                f"`--from {example}` takes those of one"
            )
