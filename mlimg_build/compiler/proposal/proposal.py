"""Propose a spec: look at what is there, resolve its names, and leave the rest as own categories to be placed."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlimg_build.compiler.plan_stage import Understanding, understand
from mlimg_build.compiler.proposal.class_file import class_file_text, sources_to_name, with_class_file
from mlimg_build.compiler.proposal.folder_contents import absolute
from mlimg_build.compiler.proposal.layouts import Layout, layouts_of
from mlimg_build.compiler.proposal.named_categories import (
    NamedCategories,
    OwnCategory,
    named_categories,
    taken_lines,
)
from mlimg_build.compiler.proposal.spec_text import spec_text
from mlimg_build.compiler.understood import Understood
from mlimg_build.errors import MlimgError, Problem
from mlimg_build.spec import parse_spec

__all__ = ["Proposal", "propose"]

ENTITY = "n00001740"  # the noun above all, which no name needs to be


@dataclass(frozen=True, slots=True)
class Proposal:
    """The text of a spec, what is understood with it, what is to be looked at, and the own categories in it.

    `files` are the texts of the files that it names and that are to be written, too. `failed` tells that the sources
    could not be read with what was guessed; `problems` say why.
    """

    text: str
    sources: dict[str, Understood]
    problems: tuple[Problem, ...]
    own: tuple[OwnCategory, ...]
    files: Mapping[Path, str] = field(default_factory=dict)
    failed: bool = False


def propose(path: Path, spec: Path, progress: Callable[[str], None] = lambda message: None) -> Proposal:
    """Return a spec for what lies at `path`, to be written to `spec`; lists and folders are read, and no image.

    A name that no noun has becomes a category of one's own. Where one seems misspelt, a file has the names, in which a
    person puts them right. If the sources cannot be read with what was guessed, the text is proposed all the same.

    Raises:
        SourceError: those of `layouts_of`.
    """
    layouts = _distinct(layouts_of(path))
    with tempfile.TemporaryDirectory() as room:
        return _proposed(layouts, spec, Path(room), progress)


def _proposed(layouts: Sequence[Layout], spec: Path, room: Path, progress: Callable[[str], None]) -> Proposal:
    folder = absolute(spec).parent
    name = re.sub(r"[^a-z0-9._-]+", "-", spec.stem.lower()).strip("._-") or "dataset"
    text = spec_text(name, layouts, NamedCategories(), (), folder)
    files: dict[Path, str] = {}
    named = NamedCategories()
    try:
        found, named = _resolved(text, spec, room, progress)
        sources = sources_to_name(layouts, named)
        draft, final, own_file, own_draft = layouts, layouts, None, None
        if sources:
            own_file, own_draft = absolute(spec).with_suffix(".classes.csv"), room / "classes.csv"
            files[own_file] = class_file_text(sources, named)
            own_draft.write_text(files[own_file], encoding="utf-8")
            draft = with_class_file(layouts, sources, own_draft)
            final = with_class_file(layouts, sources, own_file)
        text = spec_text(name, final, named, (), folder, own_file)
        if named.own:
            found = _understood(spec_text(name, draft, named, (), folder, own_draft), spec, room, progress)
        text = spec_text(name, final, named, [*taken_lines(found)], folder, own_file)
    except MlimgError as error:
        return Proposal(text, {}, tuple(error.problems), named.own, files, failed=True)
    return Proposal(text, found.sources, found.warnings, named.own, files)


def _resolved(
    text: str, spec: Path, room: Path, progress: Callable[[str], None]
) -> tuple[Understanding, NamedCategories]:
    """Return what is understood without own categories, and those to be proposed, also if no name is a noun."""
    try:
        found = _understood(text, spec, room, progress)
    except MlimgError as error:
        if error.code != "no-category":
            raise
        found = _understood(f"{text}\nvocabulary: {{include: [{ENTITY}]}}\n", spec, room, progress)
        named = named_categories(found)
        if not named.own:
            raise
        return found, named
    return found, named_categories(found)


def _understood(text: str, spec: Path, room: Path, progress: Callable[[str], None]) -> Understanding:
    loaded = parse_spec(text, str(spec), absolute(spec).parent, os.environ)
    return understand(loaded, room, progress)


def _distinct(layouts: Sequence[Layout]) -> list[Layout]:
    """Return the layouts with a name each: a second one of a name gets a number."""
    taken: dict[str, int] = {}
    made = []
    for one in layouts:
        taken[one.name] = taken.get(one.name, 0) + 1
        number = taken[one.name]
        made.append(one if number == 1 else replace(one, name=f"{one.name}-{number}"))
    return made
