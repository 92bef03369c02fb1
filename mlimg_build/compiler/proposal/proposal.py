"""Propose a spec: look at what is there, resolve its names, and leave the rest as own categories to be placed."""

from __future__ import annotations

import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlimg_build.category_ids import own_slugs
from mlimg_build.compiler.facts.unused_categories import LOST
from mlimg_build.compiler.pipeline import Understanding, understand
from mlimg_build.compiler.proposal.layouts import Layout, layouts_of
from mlimg_build.compiler.proposal.spec_text import OwnCategory, spec_text
from mlimg_build.compiler.understood import Understood
from mlimg_build.errors import LabelError, MlimgError, Problem
from mlimg_build.spec import parse_spec
from mlimg_build.text_limits import NAME, over

__all__ = ["Proposal", "propose"]

PLACED = "\nvocabulary: {include: [n00001740]}\n"  # entity: lets a spec be understood none of whose names is a noun


@dataclass(frozen=True, slots=True)
class Proposal:
    """The text of a spec, what is understood with it, what is to be looked at, and the own categories in it.

    `failed` tells that the sources could not be read with what was guessed; `problems` say why.
    """

    text: str
    sources: dict[str, Understood]
    problems: tuple[Problem, ...]
    own: tuple[OwnCategory, ...]
    failed: bool = False


def propose(path: Path, spec: Path, progress: Callable[[str], None] = lambda message: None) -> Proposal:
    """Return a spec for what lies at `path`, to be written to `spec`; lists and folders are read, and no image.

    A name that no noun has becomes a category of one's own. If the sources cannot be read with what was guessed, the
    text is proposed all the same.

    Raises:
        SourceError: those of `layouts_of`.
    """
    layouts = _distinct(layouts_of(path))
    folder = spec.absolute().parent
    name = re.sub(r"[^a-z0-9._-]+", "-", spec.stem.lower()).strip("._-") or "dataset"
    own: tuple[OwnCategory, ...] = ()
    text = spec_text(name, layouts, own, folder)
    with tempfile.TemporaryDirectory() as room:
        try:
            found = _first_understood(text, spec, Path(room), progress)
            own = tuple(_own(found))
            if own:
                text = spec_text(name, layouts, own, folder)
                found = _understood(text, spec, Path(room), progress)
        except MlimgError as error:
            return Proposal(text, {}, tuple(error.problems), own, failed=True)
    return Proposal(text, found.sources, found.warnings, own)


def _understood(text: str, spec: Path, room: Path, progress: Callable[[str], None]) -> Understanding:
    loaded = parse_spec(text, str(spec), spec.absolute().parent, os.environ)
    return understand(loaded, room, progress)


def _first_understood(text: str, spec: Path, room: Path, progress: Callable[[str], None]) -> Understanding:
    """Return what is understood before there is an own category, even if no name is a noun."""
    try:
        return _understood(text, spec, room, progress)
    except LabelError as error:
        if error.code != "no-category":
            raise
        found = _understood(text + PLACED, spec, room, progress)
        if not any(_own(found)):
            raise
        return found


def _distinct(layouts: Sequence[Layout]) -> list[Layout]:
    """Return the layouts with a name each: a second one of a name gets a number."""
    taken: dict[str, int] = {}
    made = []
    for one in layouts:
        taken[one.name] = taken.get(one.name, 0) + 1
        number = taken[one.name]
        made.append(one if number == 1 else replace(one, name=f"{one.name}-{number}"))
    return made


def _own(found: Understanding) -> Iterator[OwnCategory]:
    """Yield an own category for each name that led to no category, those in the most images first.

    That of a defect's folder may be `good`, and that of a diagnosis `no`: what is no name elsewhere is one here.
    """
    above = {(row.decision.source, row.decision.id): row.decision for row in found.placed}
    wanted = [one for one in found.unused if one.reason in LOST and _can_be_shown(one.name)]
    slugs = own_slugs((one.name for one in wanted), (one.name or one.id for one in above.values()))
    for one in wanted:
        slug = slugs.pop(one.name, None)
        if slug is None:  # an earlier one has the name
            continue
        decision = above[one.source, one.category]
        below = decision.wnid if one.reason == "is_a" else None
        images = "1 image" if one.images == 1 else f"{one.images:,} images"
        near = (
            [f"{found.graph.name(other.wnid)} {other.wnid}" for other in decision.alternatives[:2]]
            if below is None
            else []
        )
        if one.reason not in ("unresolved", "is_a"):
            images = f"{images}; {one.meaning}"
        known = f"{images}; is it {' or '.join(near)}?" if near else images
        yield OwnCategory(slug, " ".join(one.name.split()), below, known)


def _can_be_shown(name: str) -> bool:
    """Return whether a name can be that of an own category: neither too long nor with a control character."""
    kinds = map(unicodedata.category, "".join(name.split()))
    return not over(name, NAME) and not {"Cc", "Cs"} & {*kinds}
