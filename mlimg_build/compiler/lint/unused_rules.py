"""Find rules of a spec without effect: they name something that does not exist, or change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mlimg_build.category_ids import folded_id
from mlimg_build.compiler.copies.copy_tables import merge_copies
from mlimg_build.compiler.copies.duplicates import groups_of_copies, ordered_groups
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.facts.curated_files import part_lines, review_lines, veto_lines
from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.compiler.facts.id_lists import lines_of
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.row_files import RowIndex
from mlimg_build.compiler.plan.shard_work import ShardWork
from mlimg_build.compiler.run.assembly import noted
from mlimg_build.compiler.run.label_counts import by_rule
from mlimg_build.errors import Place, Problem
from mlimg_build.labels import RULES, merges
from mlimg_build.sources.image_paths import composed
from mlimg_build.spec import LoadedSpec, Spec
from mlimg_build.wordnet import NounGraph

__all__ = ["unused_rules"]


def unused_rules(plan: Plan, store: Store) -> tuple[Problem, ...]:
    """Return one warning, with its place, per rule of the spec or of a list it names that had no effect.

    Annotation rules are checked only if the labels of all shards are built.
    """
    loaded, facts, graph = plan.loaded, plan.facts, plan.graph
    found = [*_vocabulary(loaded, facts, graph), *_sources(loaded, facts), *_lists(loaded, facts, graph)]
    if len(plan.work) == len(plan.rows.shards) and all(work.labels_cached for work in plan.work):
        found += _annotation(loaded, facts, plan.rows, plan.work, store)
    return tuple(sorted(found, key=lambda one: _order(one.place)))


def _order(place: Place | None) -> tuple[str, int, int]:
    return (place.file, place.line, place.column) if place else ("", 0, 0)


def _unused(place: Place, message: str) -> Problem:
    return Problem("rule-unused", message, place, "remove it, or correct what it names", "warning")


def _vocabulary(loaded: LoadedSpec, facts: Facts, graph: NounGraph) -> Iterator[Problem]:
    placed = facts.vocabulary.placed
    part = loaded.spec.vocabulary
    named = {row.decision.wnid for row in placed if row.decision.wnid}
    reached = {row.wnid for row in placed if row.wnid}
    for into, olds in part.join.items():
        for i, old in enumerate(olds):
            if old not in named:
                place = loaded.place("vocabulary", "join", into, i)
                yield _unused(place, f"no source category is {_called(graph, old)}, so none is joined")
    collapsed = {row.wnid for row in placed if row.moved == "collapse"}
    for i, wnid in enumerate(part.collapse):
        if wnid not in collapsed:
            message = f"no source category lies below {_called(graph, wnid)}, so none is collapsed"
            yield _unused(loaded.place("vocabulary", "collapse", i), message)
    excluded = {
        wnid for row in placed if row.fate == "excluded" for wnid in (row.decision.wnid, row.wnid) if wnid
    }
    wanted = {*part.include} if part.ancestors == "none" else named | reached
    for field in ("exclude", "exclude_below"):
        for place, wnid in _ids(loaded, ("vocabulary", field), getattr(part, field)):
            below = {wnid, *graph.descendants(wnid)} if field == "exclude_below" else {wnid}
            above = part.ancestors != "none" and any(wnid in graph.ancestors(one) for one in wanted if one)
            if not below & (excluded | {*part.include}) and not above:
                yield _unused(place, f"no source category is {_called(graph, wnid)}, so none is excluded")
    used = {row.wnid for row in placed if row.fate == "used"}
    for i, wnid in enumerate(part.include):
        if wnid in used:
            message = f"{_called(graph, wnid)} is a category by its sources already"
            yield _unused(loaded.place("vocabulary", "include", i), message)
    if part.min_images_per_category and not any(row.fate == "rare" for row in placed):
        message = f"every category has at least {part.min_images_per_category:,} images"
        yield _unused(loaded.place("vocabulary", "min_images_per_category"), message)
    written = ("vocabulary", "merge") in loaded.document.keys
    if written and "synonyms" in part.merge and not merges(facts.vocabulary)["synonyms"].categories:
        yield _unused(loaded.place("vocabulary", "merge"), "no category was merged because of its name")


def _sources(loaded: LoadedSpec, facts: Facts) -> Iterator[Problem]:
    placed = facts.vocabulary.placed
    for name, part in loaded.spec.sources.items():
        known = {row.decision.id for row in placed if row.decision.source == name}
        for place, key in _ids(loaded, ("sources", name, "exclude"), part.exclude):
            if key not in known:
                yield _unused(place, f"no label of source {name} is about {key}, so none is excluded")
        rare = any(row.decision.source == name and row.fate == "rare" for row in placed)
        if part.min_images_per_category and not rare:
            message = f"every category of source {name} has at least {part.min_images_per_category:,} images"
            yield _unused(loaded.place("sources", name, "min_images_per_category"), message)


def _lists(loaded: LoadedSpec, facts: Facts, graph: NounGraph) -> Iterator[Problem]:
    spec, placed, wnids = loaded.spec, facts.vocabulary.placed, facts.vocabulary.wnids
    if spec.vocabulary.mapping.file:
        known = {(row.decision.source, row.decision.id) for row in placed}
        for place, key in review_lines(spec.vocabulary.mapping.file):
            if key not in known:
                yield _unused(place, f"no label of source {key[0]} is about {key[1]}")
    if spec.hierarchy.relations.part_holonym:
        kept = {*wnids}
        for place, (part, whole) in part_lines(spec.hierarchy.relations.part_holonym):
            below = kept & {part, *graph.descendants(part)}
            above = kept & {whole, *graph.ancestors(whole)}
            if not below or not above:
                yield _unused(
                    place, f"no category is {_called(graph, whole if below else part)} or joined through it"
                )
    wanted = spec.annotation.cooccurrence
    if wanted is not None:
        pairs = facts.pairs
        found = zip(pairs.antecedent.tolist(), pairs.consequent.tolist(), strict=True)
        there = {(wnids[low], wnids[high]) for low, high in found}
        if not there:
            yield _unused(
                loaded.place("annotation", "cooccurrence"), "no two categories go together so often"
            )
        for place, pair in veto_lines(wanted.vetoes) if wanted.vetoes else ():
            if pair not in there:
                yield _unused(place, f"{pair[0]} and {pair[1]} are no pair that was found, so none is vetoed")


def _annotation(
    loaded: LoadedSpec, facts: Facts, rows: RowIndex, work: Sequence[ShardWork], store: Store
) -> Iterator[Problem]:
    counted = by_rule(work, store, len(facts.vocabulary)).sum(axis=(0, 2))
    for field, rule, value, what in (
        ("positives", "ancestors", "ancestors", "no label implied an ancestor"),
        ("negatives", "descendants", "descendants", "no verified absence implied a descendant's"),
    ):
        path = ("annotation", field)
        set_ = getattr(loaded.spec.annotation, field) == value
        if path in loaded.document.keys and set_ and not counted[RULES.index(rule)]:
            yield _unused(loaded.place(*path), what)
    clashes = any(noted(store, one.labels, "contradictions") for one in work)
    asked = ("annotation", "conflicts") in loaded.document.keys
    if asked and not clashes and not _copies_contradict(loaded.spec, facts, rows, work, store):
        yield _unused(loaded.place("annotation", "conflicts"), "no labels contradicted each other")
    if len(facts.pairs) and not counted[RULES.index("cooccurrence")]:
        message = "the pairs that were found added no label"
        yield _unused(loaded.place("annotation", "cooccurrence"), message)


def _copies_contradict(
    spec: Spec, facts: Facts, rows: RowIndex, work: Sequence[ShardWork], store: Store
) -> bool:
    """Return whether the spec merges copies and copies of one image, among the built ones, contradict each other."""
    if spec.duplicates.exact != "merge":
        return False
    groups = ordered_groups(groups_of_copies(spec, work, store))
    return merge_copies(groups, spec, facts, rows, work, merge=False).counts.contradictions > 0


def _ids(
    loaded: LoadedSpec, path: tuple[str | int, ...], given: Sequence[str] | Path
) -> Iterator[tuple[Place, str]]:
    if isinstance(given, Path):
        fold = folded_id if path[0] == "vocabulary" else str
        yield from ((place, fold(composed(key))) for place, key in lines_of(given))
    else:
        yield from ((loaded.place(*path, i), composed(key)) for i, key in enumerate(given))


def _called(graph: NounGraph, wnid: str) -> str:
    return f"{graph.name(wnid)} {wnid}"
