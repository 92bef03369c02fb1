"""Load and check specs, with the place of each of their values."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mlimg_build.errors import Place, Problem
from mlimg_build.spec.canonical import digest_of
from mlimg_build.spec.cross_checks import check_spec
from mlimg_build.spec.document import Document
from mlimg_build.spec.models.sources import TableSource
from mlimg_build.spec.models.specification import Spec
from mlimg_build.spec.models.table_columns import AllBut
from mlimg_build.spec.named_synsets import resolve_names
from mlimg_build.spec.paths import PathUse, paths_of
from mlimg_build.spec.reached import unreached
from mlimg_build.spec.reading import read_model, read_text, require_text

__all__ = ["LoadedSpec", "file_paths", "load_spec", "parse_spec"]

BARE_VARIABLE = re.compile(r"\$[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A spec that has no errors, with its text.

    `path` is as given; `text` as written, before variables are replaced; `digest` is the sha256 (hex) of the
    canonical JSON of the document before variables are replaced, with ids for the names of synsets: neither comments,
    layout, the paths of a machine nor the way in which a synset is named change it.
    """

    spec: Spec
    path: str
    text: str
    digest: str
    warnings: tuple[Problem, ...]
    document: Document = field(repr=False, compare=False)

    def place(self, *path: str | int) -> Place:
        """Return the place of the value at `path`, or of its nearest ancestor that is written.

        A value that spans lines is shown by its key. `loaded.place("sources", "flickr", "images")`.
        """
        return self.document.value_place(path)


def load_spec(path: Path, variables: Mapping[str, str] | None = None) -> LoadedSpec:
    """Load the spec in the file at `path`; `variables` are the environment unless given.

    Raises:
        SpecError: with all problems of the file, sorted by place.
    """
    require_text(path.absolute(), "the path of the spec")
    text = read_text(path, "spec")
    return parse_spec(text, str(path), path.parent, os.environ if variables is None else variables)


def parse_spec(text: str, file: str, directory: Path, variables: Mapping[str, str]) -> LoadedSpec:
    """Parse the spec in `text`; `file` is its name in problems, relative paths are below `directory`.

    Raises:
        SpecError: with all problems of the text, sorted by place.
    """
    prepare = partial(resolve_names, directory=directory, variables=variables)
    spec, document = read_model(Spec, text, file, directory, variables, check=check_spec, prepare=prepare)
    spec = _without_group_columns(spec)
    return LoadedSpec(spec, file, text, digest_of(document.data), tuple(_warnings(spec, document)), document)


def file_paths(loaded: LoadedSpec) -> list[PathUse]:
    """Return every path that the spec names: its keys in the spec, the absolute path, and what it must lead to."""
    return paths_of(loaded.spec)


def _without_group_columns(spec: Spec) -> Spec:
    """Return the spec with the columns of groups in each `all_but` of a table that they are read from."""
    changed = {}
    for name, part in spec.sources.items():
        if not isinstance(part, TableSource) or not isinstance(part.columns.labels, AllBut):
            continue
        by = part.group or (spec.split.by if part.split == "auto" else None)
        if by is not None and by.column is not None and by.column not in part.columns.labels.all_but:
            labels = AllBut(all_but=(*part.columns.labels.all_but, by.column))
            columns = part.columns.model_copy(update={"labels": labels})
            changed[name] = part.model_copy(update={"columns": columns})
    return spec.model_copy(update={"sources": {**spec.sources, **changed}}) if changed else spec


def _warnings(spec: Spec, document: Document) -> Iterator[Problem]:
    for one in unreached(spec):
        yield Problem("never-reached", one.message, document.value_place(one.path), one.hint, "warning")
    for where, _, _ in paths_of(spec):
        written = document.written.get(where) or document.written.get(where[:-1]) or ""
        place = document.value_place(where)
        if written.startswith("~"):
            message = "~ is not the home folder here but a name"
            yield Problem("path-tilde", message, place, "write ${HOME} instead", "warning")
        if bare := BARE_VARIABLE.search(written.replace("$$", "")):
            message = f"{bare[0]} is not replaced: variables need braces"
            yield Problem(
                "bare-variable", message, place, f"write ${{{bare[0][1:]}}}, or $$ for a dollar", "warning"
            )
