"""Say in which folder or tar an id lies that WordNet lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow.compute as pc

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.errors import WordNetError
from mlimg_build.labels import Named
from mlimg_build.spec import Spec
from mlimg_build.wordnet import NounGraph

__all__ = ["with_folders"]


def with_folders(
    error: WordNetError, spec: Spec, catalogs: Sequence[Catalog], named: Sequence[Named], graph: NounGraph
) -> WordNetError:
    """Return an error of `decide` that names the folder or tar of each unknown id that has one.

    That is the first part of the path of an image, below the source's `images`, that has the id in its name.
    """
    (problem, *_) = error.problems
    if problem.code != "unknown-synset":
        return error
    message = problem.message
    for catalog in catalogs:
        unknown = sorted(
            {one.wnid for one in named if one.source == catalog.name and one.wnid} - _known(graph, named)
        )
        for wnid in unknown:
            if folder := _folder(spec, catalog, wnid):
                message = message.replace(f"{wnid} ({catalog.name})", f"{wnid} ({catalog.name}: {folder})")
    return WordNetError([replace(problem, message=message), *error.problems[1:]])


def _known(graph: NounGraph, named: Sequence[Named]) -> set[str]:
    return {one.wnid for one in named if one.wnid is not None and one.wnid in graph}


def _folder(spec: Spec, catalog: Catalog, wnid: str) -> str:
    """Return the folder or tar with the id in its name, below the last folder of `images`; "" if there is none."""
    root = getattr(spec.sources[catalog.name], "images", None)
    if root is None:
        return ""
    for batch in catalog.images.batches(["path"]):
        paths = batch.column("path")
        for path in paths.filter(pc.match_substring(paths, wnid, ignore_case=True)).to_pylist():
            folders = path.split("/") if path.endswith(".tar") else path.split("/")[:-1]
            at = next((i for i, part in enumerate(folders) if wnid in part.lower()), None)
            if at is not None:
                return "/".join([root.name, *folders[: at + 1]])
    return ""
