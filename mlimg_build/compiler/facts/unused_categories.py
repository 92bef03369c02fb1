"""List the source categories whose labels do not count, each with its reason, its images and a remedy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from mlimg_build.compiler.facts.id_lists import read_ids
from mlimg_build.labels import MappedCategory
from mlimg_build.labels.mapping.name_kinds import name_kind
from mlimg_build.spec import Spec, TableSource
from mlimg_build.wordnet import NounGraph

__all__ = ["REASONS", "Reason", "UnusedCategory", "reason_codes", "unused_categories"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a source category is not used: `meaning` follows its name, `remedy` is a change that would use it.

    Both may hold {source}, {category}, {synset}, {wnid} and {score}.
    """

    meaning: str
    remedy: str


SEPARATORS = (";", "|", ",", "/")
ROW = "a row `{source},{category},WNID` in the file of `vocabulary.mapping.file`"
REASONS: dict[str, Reason] = {
    "unresolved": Reason("no noun of WordNet has this name", ROW),
    "number": Reason("a number, and no name", ROW),
    "truth": Reason("a truth value, and no name", ROW),
    "no_thing": Reason("a word for no thing in particular, or for how an image was judged", ROW),
    "no_value": Reason("a word for a missing value", ROW),
    "is_a": Reason(
        "only known to be a kind of {synset}",
        "`vocabulary: {{mapping: {{is_a: use}}}}`, or a row of the mapping file that says `same_as`"
        " ({source},{category},WNID)",
    ),
    "unreviewed": Reason(
        "nobody confirmed that it is {synset} (score {score:.2f})",
        "`vocabulary: {{mapping: {{unreviewed: accept}}}}`, or " + ROW,
    ),
    "rare_in_source": Reason(
        "in too few images of its source",
        "a lower `sources.{source}.min_images_per_category`",
    ),
    "rare": Reason(
        "its category, {synset}, is in too few images of all sources",
        "a lower `vocabulary.min_images_per_category`",
    ),
    "source_exclude": Reason("excluded by its source", "remove it from `sources.{source}.exclude`"),
    "exclude": Reason("{synset} is excluded", "remove {wnid} from `vocabulary.exclude`"),
    "exclude_below": Reason(
        "{synset} lies below what is excluded", "change `vocabulary.exclude_below`, which holds {wnid}"
    ),
    "dropped": Reason("left out by the mapping file", "give its row in the mapping file a wnid"),
}
"""Every reason for which a source category is not used, by its code; those that most likely need work come first."""


@dataclass(frozen=True, slots=True)
class UnusedCategory:
    """A source category that is not used; `images` counts those for which it is stated present with confidence."""

    source: str
    category: str
    name: str
    images: int
    reason: str
    meaning: str
    remedy: str


def reason_codes(spec: Spec, placed: Sequence[MappedCategory]) -> list[str]:
    """Return the code of the reason for each source category, "" if it is used."""
    excluded = {name: frozenset(read_ids(part.exclude)) for name, part in spec.sources.items()}
    exclude = frozenset(read_ids(spec.vocabulary.exclude))
    return [_code(spec, row, excluded, exclude) for row in placed]


def _code(
    spec: Spec, row: MappedCategory, excluded: dict[str, frozenset[str]], exclude: Collection[str]
) -> str:
    decision = row.decision
    if row.fate == "used":
        return ""
    if row.fate == "rare":
        part = spec.sources[decision.source]
        return "rare_in_source" if row.images < part.min_images_per_category else "rare"
    if row.fate == "excluded":
        if decision.id in excluded[decision.source]:
            return "source_exclude"
        return "exclude" if {decision.wnid, row.joined, row.wnid} & {*exclude} else "exclude_below"
    if row.fate == "unresolved":
        return name_kind(decision.name or decision.id) or "unresolved"
    return row.fate


def unused_categories(
    spec: Spec, placed: Sequence[MappedCategory], graph: NounGraph
) -> tuple[UnusedCategory, ...]:
    """Return every source category that is not used, those with the most images first."""
    made = [
        _unused(row, code, graph.name, isinstance(spec.sources[row.decision.source], TableSource))
        for row, code in zip(placed, reason_codes(spec, placed), strict=True)
        if code
    ]
    return tuple(sorted(made, key=lambda one: (-one.images, one.source, one.category)))


def _unused(row: MappedCategory, code: str, name: Callable[[str], str], table: bool) -> UnusedCategory:
    decision, reason = row.decision, REASONS[code]
    wnid = row.wnid or decision.wnid or ""
    told = {
        "source": _cell(decision.source),
        "category": _cell(decision.id),
        "synset": f"{name(wnid)} {wnid}" if wnid else "",
        "wnid": wnid,
        "score": decision.score,
    }
    return UnusedCategory(
        source=decision.source,
        category=decision.id,
        name=decision.name or decision.id,
        images=row.images,
        reason=code,
        meaning=reason.meaning.format(**told),
        remedy=reason.remedy.format(**told) + _separated(decision.id, code, table),
    )


def _cell(text: str) -> str:
    """Return a cell of a CSV row, quoted if necessary."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text


def _separated(label: str, code: str, table: bool) -> str:
    """Return a remedy for a label of a table that may be several labels with another separator; "" if it is not."""
    if not table or code not in ("unresolved", "is_a"):
        return ""
    found = next(
        (mark for mark in SEPARATORS if len([part for part in label.split(mark) if part.strip()]) > 1), None
    )
    return f"; or, if it is several labels, `separator: {found!r}` in the source" if found else ""
