"""List the source categories whose labels do not count, each with its reason, its images and a remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from mlimg_build.category_ids import loose_name, own_slugs, slug_of
from mlimg_build.compiler.facts.id_lists import read_categories, read_ids
from mlimg_build.labels import MappedCategory
from mlimg_build.labels.mapping.name_kinds import name_kind
from mlimg_build.printable import printable_json
from mlimg_build.spec import Spec, TableSource
from mlimg_build.wordnet import NounGraph

__all__ = [
    "LOST",
    "REASONS",
    "Reason",
    "UnusedCategory",
    "in_yaml",
    "own_lines",
    "reason_codes",
    "unused_categories",
]

LONGEST = 200  # characters of a name in a hint
PLAIN = re.compile(r"[^\W\d_][\w ]*[^\W_]", re.ASCII)  # no more than what surely needs no quotes
WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null"))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a source category is not used: `meaning` follows its name, `remedy` is a change that would use it.

    Both may hold {source}, {category}, {synset}, {wnid}, {score}, {slug} and {quoted}, the name in YAML.
    """

    meaning: str
    remedy: str


SEPARATORS = (";", "|", ",", "/")
ROW = "a row `{source},{category},WNID` in the file of `vocabulary.mapping.file`"
REASONS: dict[str, Reason] = {
    "unresolved": Reason(
        "no noun of WordNet has this name",
        "a category of its own, `vocabulary: {{own: {{{slug}: {{name: {quoted}}}}}}}`, or " + ROW,
    ),
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


LOST = ("unresolved", "number", "truth", "no_thing", "is_a")
"""The reasons for which an image counts as lost: what its labels are called led to no category. An exclusion, a
threshold, a missing value or a missing label is no such reason: the spec or the source says so."""

DECLARED = 12  # own categories that a hint writes out


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
    exclude = frozenset(read_categories(spec.vocabulary.exclude))
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
    flat = spec.vocabulary.kind == "flat"
    made = [
        _unused(row, code, graph.name, isinstance(spec.sources[row.decision.source], TableSource), flat)
        for row, code in zip(placed, reason_codes(spec, placed), strict=True)
        if code
    ]
    return tuple(sorted(made, key=lambda one: (-one.images, one.source, one.category)))


def _unused(
    row: MappedCategory, code: str, name: Callable[[str], str], table: bool, flat: bool
) -> UnusedCategory:
    decision, reason = row.decision, REASONS[code]
    if flat and code == "no_value":
        reason = Reason(reason.meaning, "`vocabulary: {{include: ['own:{slug}']}}`, if it is a name here")
    wnid = row.wnid or decision.wnid or ""
    told = {
        "source": _cell(decision.source),
        "category": _cell(decision.id),
        "synset": f"{name(wnid)} {wnid}" if wnid else "",
        "wnid": wnid,
        "score": decision.score,
        "slug": slug_of(decision.name or decision.id) or "SLUG",
        "quoted": in_yaml(decision.name or decision.id),
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


def own_lines(unused: Sequence[UnusedCategory], others: Iterable[str] = ()) -> list[str]:
    """Return the lines of a hint that declare names as own categories, as a spec has them.

    `others` are the names of all other source categories, which no own category may be called.
    """
    names = list(dict.fromkeys(one.name for one in unused))
    declared = own_slugs((name for name in names if len(name) <= LONGEST), [*others, *names])
    chosen = list(declared.items())[:DECLARED]
    left = len({*map(loose_name, names)}) - len(chosen)
    return [
        "what is no noun of WordNet becomes a category of its own, with `below: ID` if it is a kind of something:",
        "  vocabulary:",
        "    own:",
        *(f"      {in_yaml(slug)}: {{name: {in_yaml(name)}}}" for name, slug in chosen),
        *([f"      # and {left:,} more"] if left else []),
        "  a misspelt name becomes an id: put it right in a CSV of folder,name,below that",
        "  `classes: FILE` of the source and `own: FILE` name (docs/own-categories.md)",
    ]


def in_yaml(text: str, *, key: bool = False) -> str:
    """Return a text as a spec has it, in quotes if it needs them; in a value, `$$` is a dollar that is no variable's.

    >>> in_yaml("with mask"), in_yaml("3/4: left"), in_yaml("no"), in_yaml("${HOME}"), in_yaml("5 $")
    ('with mask', '"3/4: left"', '"no"', '"$${HOME}"', '"5 $"')
    """
    if not key and ("$$" in text or "${" in text):
        text = text.replace("$", "$$")
    plain = PLAIN.fullmatch(text) is not None and text.casefold() not in WORDS
    return text if plain else printable_json(json.dumps(text, ensure_ascii=False))


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
