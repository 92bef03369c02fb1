"""Report lists and folders of images that do not match, with examples and a fix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.compute as pc

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.catalog.list_joins import Join
from mlimg_build.compiler.catalog.near_names import WORDS
from mlimg_build.errors import Problem
from mlimg_build.spec import LoadedSpec

__all__ = ["problems_of_joins"]


def problems_of_joins(loaded: LoadedSpec, catalogs: Sequence[Catalog]) -> Iterator[Problem]:
    """Yield one problem for each list or folder that mostly lacks the other's images.

    It is an error if a list names no image of a folder that has images. Images without rights are reported too.
    """
    used = [
        (root.resolve(), len(catalog.images) if catalog.join is None else catalog.join.used)
        for catalog in catalogs
        if (root := loaded.spec.sources[catalog.name].images) is not None
    ]
    for catalog in catalogs:
        root, join = loaded.spec.sources[catalog.name].images, catalog.join
        if join is not None:
            spare = 0 if root is None else _spare(join, root.resolve(), used)
            yield from _of_list(loaded, catalog, root, spare)
            yield from _of_folder(loaded, catalog.name, join, spare)
        yield from _of_rights(loaded, catalog)


def _spare(join: Join, root: Path, used: Sequence[tuple[Path, int]]) -> int:
    """Return how many images of a folder no source uses; 0 if a source has a parent folder, as its use is unknown."""
    if any(root != other and root.is_relative_to(other) for other, _ in used):
        return 0
    return max(0, join.there - sum(images for other, images in used if other.is_relative_to(root)))


def _of_list(loaded: LoadedSpec, catalog: Catalog, root: Path | None, spare: int) -> Iterator[Problem]:
    name, join, images = catalog.name, catalog.join, catalog.images
    assert join is not None  # noqa: S101  the caller asked
    lost = join.listed - join.found
    if not lost or not (2 * lost > join.listed or join.spelled):
        return
    place = loaded.place("sources", name, "images")
    if root is None:
        message = f"source {name}: {lost:,} images of its lists are paths, and it names no folder"
        yield Problem("list-not-found", message, place, "give the folder as `images`", "warning")
    elif not join.found and spare <= 0 and not join.tars:
        others = " but those of other sources" if join.there else ""
        message = f"source {name}: its folder holds no image{others}, and its lists name {join.listed:,}"
        hint = "put the images there, or correct `images`; without them rows have labels only"
        yield Problem("folder-empty", message, place, hint, "warning")
    else:
        number = f"{lost:,} of {join.listed:,}" if join.found else f"none of {join.listed:,}"
        verb = "are not" if join.found and lost > 1 else "is not" if join.found else "is"
        message = f"source {name}: {number} images that its lists name {verb} in its folder{_shown(join)}"
        urls = sum(  # not expected in the folder
            pc.sum(pc.equal(chunk, "not_fetched")).as_py() or 0 for chunk in images.chunks("status")
        )
        mostly = not join.found and 2 * lost > join.listed + urls
        yield Problem("list-not-found", message, place, _hint(root, join), "error" if mostly else "warning")


def _shown(join: Join) -> str:
    """Return an example of each side, to follow the message."""
    if join.near is None:
        return f": lists say {join.lost}{f', the folder has {join.spare}' if join.spare else ''}"
    listed, there, kinds = join.near
    words = " and ".join(WORDS[kind] for kind in kinds)
    return f": lists say {listed}, the folder has {there} ({words} {'differs' if _one(kinds) else 'differ'})"


def _one(kinds: Sequence[str]) -> bool:
    return len(kinds) == 1 and kinds[0] in ("folder", "suffix")


def _hint(root: Path, join: Join) -> str:
    """Return a hint on how to make the lists match the folder."""
    if join.near is None:
        if join.found:
            return "where only a part of the images is meant to be there, nothing is to be done"
        return "nothing in the folder is called so: is `images` the folder of these lists?"
    listed, there, kinds = join.near
    if "folder" in kinds:
        if listed.endswith(f"/{there}"):
            prefix = listed.removesuffix(there)
            above = str(root).removesuffix(f"/{prefix.strip('/')}")
            moved = f"let `images` be {above}, or take" if above != str(root) else "take"
            return f"{moved} {prefix} out of the lists"
        if there.endswith(f"/{listed}"):
            return f"let `images` be {root}/{there.removesuffix(listed).rstrip('/')}, or write the folder in the lists"
        return "write paths below `images` in the lists"
    return "write names in the lists as the files have them; upper case, suffixes and zeros are not guessed"


def _of_folder(loaded: LoadedSpec, name: str, join: Join, spare: int) -> Iterator[Problem]:
    """Yield a warning if most of a folder is in no list of the sources that share it."""
    if join.found and 2 * spare > join.there and join.spare:
        message = (
            f"source {name}: {spare:,} of the {join.there:,} images in its folder are in none of its lists, "
            f"such as {join.spare}"
        )
        hint = "they are no part of the dataset; is a list missing?"
        place = loaded.place("sources", name, "images")
        yield Problem("folder-not-listed", message, place, hint, "warning")


def _of_rights(loaded: LoadedSpec, catalog: Catalog) -> Iterator[Problem]:
    count = catalog.notes.counts.get("image-without-rights", 0)
    if count:
        example = catalog.notes.examples["image-without-rights"][0]
        message = f"source {catalog.name}: {count:,} images have no row in its rights, such as {example}"
        hint = "they get the `licence` and `author` of the source; is it the file of these images?"
        place = loaded.place("sources", catalog.name, "rights")
        yield Problem("rights-not-found", message, place, hint, "warning")
