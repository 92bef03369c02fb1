"""Warn of unresolved names, unreviewed and unsure decisions, ambiguous senses, duplicate names, unused own ones."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from mlimg_build.category_ids import is_own
from mlimg_build.errors import Problem
from mlimg_build.labels import Decision, MappedCategory, Named, near_ties, same_names, unsure
from mlimg_build.spec import LoadedSpec, Mapping, nearest
from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.noun_names import told_apart

__all__ = ["accepted_from", "doubts", "unmatched_reviews"]

SHOWN = 8  # names of one source in one problem
LIKELY = 0.3  # score from which a near spelling is suggested
FEW = 4  # names in a problem that explains each
MISSPELT = (
    100  # most decisions on a source that may be misspelt: of more, the file is about another collection, too
)
FIND = (
    "`mlimg map SPEC --to FILE` lists them: write the WordNet id of each (`mlimg synset NAME`) and who decided, "
    "and name the file as `vocabulary: {mapping: {file: FILE}}`; what is no noun is a category of its own: "
    "`vocabulary: {own: {SLUG: {name: NAME}}}`"
)
REVIEW = "`mlimg map SPEC` lists them first; decide in the file of `vocabulary.mapping.file`"


def doubts(loaded: LoadedSpec, placed: Sequence[MappedCategory], graph: NounGraph) -> Iterator[Problem]:
    """Yield one problem per source and kind of doubt, a warning or an error as the spec says.

    Excluded categories are ignored. A name with two likely senses, or that several categories share, is reported
    whatever the spec's policy is, unless a person decided about it; `accept_from` silences the former too.
    """
    mapping = loaded.spec.vocabulary.mapping
    accepted = accepted_from(mapping)
    if mapping.unresolved != "drop":
        yield from _listed(
            loaded,
            "unresolved",
            [row for row in placed if row.fate == "unresolved"],
            "no noun of WordNet is called",
            FIND if mapping.file is None else REVIEW,
            mapping.unresolved,
        )
    if mapping.unreviewed in ("warn", "error"):
        yield from _listed(
            loaded,
            "unreviewed",
            [
                row
                for row in placed
                if row.fate == "used" and row.unreviewed and row.decision.score < accepted
            ],
            "nobody has confirmed what a rule found for",
            "decide in the file of `vocabulary.mapping.file`, or set `vocabulary.mapping.unreviewed: accept`",
            mapping.unreviewed,
        )
    yield from _near_ties(loaded, near_ties(placed, accepted), graph)
    if mapping.unreviewed == "accept":
        yield from _unsure(loaded, unsure(placed, accepted), graph)
    yield from _own_unused(loaded, placed, graph)
    yield from _same_names(loaded, same_names(placed))


def unmatched_reviews(
    loaded: LoadedSpec, reviewed: Collection[tuple[str, str]], known: Sequence[Named]
) -> Iterator[Problem]:
    """Yield a warning about decisions of the mapping file on ids that no source has, where one is spelt nearly so.

    A file may be about more categories than the sources have; an id that resembles one that nobody decided about is
    rather misspelt.
    """
    there = {(named.source, named.id): named.name for named in known}
    open_ids: dict[str, list[str]] = defaultdict(list)
    for source, key in there:
        if (source, key) not in reviewed:
            open_ids[source].append(key)
    told = []
    for source, ids in open_ids.items():
        rows = [key for own, key in reviewed if own == source]
        unmatched = [key for key in rows if (source, key) not in there]
        if rows and len(unmatched) == len(rows):
            example = f"it has {ids[0]}, and the file {rows[0]}"
            message = (
                f"none of the {len(rows):,} decisions on source {source} is about a category of it: {example}"
            )
            hint = "ids change with `classes`: write the column category as `mlimg map SPEC` does"
            place = loaded.place("vocabulary", "mapping", "file")
            yield Problem("mapping-unmatched", message, place, hint, "warning")
            continue
        for key in unmatched if len(unmatched) <= MISSPELT else ():
            if (near := nearest(key, ids)) is not None:
                told.append(f"{key} of {source} (did you mean {near}, {there[source, near]!r}?)")
    if told:
        what = "a row decides" if len(told) == 1 else f"{len(told):,} rows decide"
        message = f"{what} about a category that its source does not have: {_some(told, FEW)}"
        hint = "correct the column category: the decision has no effect"
        place = loaded.place("vocabulary", "mapping", "file")
        yield Problem("mapping-unmatched", message, place, hint, "warning")


def _near_ties(loaded: LoadedSpec, rows: Sequence[MappedCategory], graph: NounGraph) -> Iterator[Problem]:
    """Yield one warning per source about names whose second sense is nearly as likely."""
    by_source = defaultdict(list)
    for row in rows:
        decision = row.decision
        wnids = (decision.wnid or "", decision.alternatives[0].wnid)
        kinds = told_apart(graph, wnids, [_kind(graph, wnid) for wnid in wnids])
        taken, second = (f"{wnid}{kind}" for wnid, kind in zip(wnids, kinds, strict=True))
        by_source[decision.source].append(
            f"{decision.name or decision.id!r} ({taken} was taken, or {second})"
        )
    for source, names in by_source.items():
        message = f"source {source}: a second sense is nearly as likely: {_some(names, FEW)}"
        yield Problem("near-tie", message, loaded.place("sources", source), REVIEW, "warning")


def _unsure(loaded: LoadedSpec, rows: Sequence[MappedCategory], graph: NounGraph) -> Iterator[Problem]:
    """Yield one warning per source about names that a rule took with a low score."""
    by_source = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.decision.score):
        decision = row.decision
        wnid = decision.wnid or ""
        taken = f"{wnid}{_kind(graph, wnid)}"
        by_source[decision.source].append(f"{decision.name or decision.id!r} ({taken}: {decision.score:.2f})")
    for source, names in by_source.items():
        message = f"source {source}: not sure what names mean, and nobody has said it: {_some(names, FEW)}"
        yield Problem("unsure-name", message, loaded.place("sources", source), REVIEW, "warning")


def _own_unused(loaded: LoadedSpec, placed: Sequence[MappedCategory], graph: NounGraph) -> Iterator[Problem]:
    """Yield a warning about own categories that no name became, and that have no such category below them."""
    if not graph.own:
        return
    reached = {wnid for row in placed for wnid in (row.wnid, row.decision.wnid) if wnid is not None}
    reached |= {above for wnid in reached if wnid in graph for above in graph.ancestors(wnid)}
    reached |= {*loaded.spec.vocabulary.include}
    unused = [one.id for one in graph.own if one.id not in reached]
    if not unused:
        return
    taken = {
        row.decision.name or row.decision.id: row.decision.wnid
        for row in placed
        if row.decision.wnid is None or not is_own(row.decision.wnid)
    }
    told = []
    for wnid in unused[:FEW]:
        near = nearest(graph.name(wnid), taken)
        told.append(f"{wnid} (did you mean {near!r}, {taken[near] or 'unresolved'}?)" if near else wnid)
    more = f" and {len(unused) - FEW:,} more" if len(unused) > FEW else ""
    what = "own category is" if len(unused) == 1 else "own categories are"
    message = f"{len(unused):,} {what} no name of a source: {', '.join(told)}{more}"
    hint = "its id or `name` is the source's own name, but for case, `_` and `-`; remove what no source has"
    yield Problem("own-unused", message, loaded.place("vocabulary", "own"), hint, "warning")


def _same_names(loaded: LoadedSpec, groups: Sequence[Sequence[MappedCategory]]) -> Iterator[Problem]:
    """Yield one warning per source about names that several of its categories share."""
    by_source = defaultdict(list)
    for group in groups:
        ids = ", ".join(row.decision.id for row in group)
        by_source[group[0].decision.source].append(f"{group[0].decision.name!r} ({ids})")
    for source, names in by_source.items():
        message = f"source {source}: several categories have one name: {_some(names, FEW)}"
        yield Problem("same-name", message, loaded.place("sources", source), REVIEW, "warning")


def _kind(graph: NounGraph, wnid: str) -> str:
    """Return the hypernym of a synset in words; its name would not help, because that is the ambiguous name."""
    above = graph.ancestors(wnid)
    return f", a kind of {graph.name(above[0])}" if above else ""


def _some(names: Sequence[str], shown: int) -> str:
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def accepted_from(mapping: Mapping) -> float:
    """Return the score from which an unconfirmed decision counts as confirmed; infinity if the spec sets none."""
    return math.inf if mapping.accept_from is None else mapping.accept_from


def _listed(
    loaded: LoadedSpec, field: str, rows: Sequence[MappedCategory], what: str, hint: str, policy: str
) -> Iterator[Problem]:
    for source in dict.fromkeys(row.decision.source for row in rows):
        names = [_name(row.decision) for row in rows if row.decision.source == source]
        yield Problem(
            f"{field}-name",
            f"source {source}: {what} {_some(names, SHOWN)}",
            loaded.place("vocabulary", "mapping", field),
            hint,
            "error" if policy == "error" else "warning",
        )


def _name(decision: Decision) -> str:
    """Return the name of a category, and the noun that it is probably a misspelling of if none is called so."""
    name = repr(decision.name or decision.id)
    best = decision.alternatives[0] if decision.wnid is None and decision.alternatives else None
    if best is None or not best.near or best.score < LIKELY:
        return name
    what = "its head is" if best.relation == "is_a" else "is it"
    return f"{name} ({what} {best.near!r}, {best.wnid}?)"
