"""Decide the facts of a collection: the mapping of source categories, the vocabulary, its hierarchy and pairs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.catalog.counts import count_groups, count_present, count_stated
from mlimg_build.compiler.catalog.unknown_ids import with_folders
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.facts.category_groups import NestingUse, groups_of, nested_groups, nesting_use
from mlimg_build.compiler.facts.category_names import nameless_categories
from mlimg_build.compiler.facts.colabels import colabels
from mlimg_build.compiler.facts.curated_files import UNSIGNED, Review, read_parts, read_reviewed
from mlimg_build.compiler.facts.flat_vocabulary import same_slugs
from mlimg_build.compiler.facts.id_lists import read_categories, read_ids
from mlimg_build.compiler.facts.mapping_warnings import accepted_from, doubts, unmatched_reviews
from mlimg_build.compiler.facts.pair_counts import FoundPairs, find_pairs, pairs_digest
from mlimg_build.compiler.facts.unsigned_rows import unsigned_in
from mlimg_build.compiler.facts.unused_categories import LOST, own_lines, unused_categories
from mlimg_build.errors import LabelError, Problem, SpecError, WordNetError
from mlimg_build.labels import (
    Decision,
    Hierarchy,
    Named,
    Pairs,
    Thresholds,
    Vocabulary,
    build_vocabulary,
    decide,
    from_graph,
    from_pairs,
    tree_by_rule,
)
from mlimg_build.labels.hierarchy.names import synset_named
from mlimg_build.sources import Category, Nesting, read_dictionary, read_nesting
from mlimg_build.sources.synset_names import leading_wnid
from mlimg_build.spec import LoadedSpec, Nearest, OpenImagesSource, Tree
from mlimg_build.wordnet import NounGraph

__all__ = ["Facts", "SourceCategory", "dag_of", "decide_facts", "load_rules", "save_rules"]


SYNSETS_OF = "3.0"  # the release whose names of synsets LVIS and NLTK have
NAMED = 5  # source categories that the error "no-category" names


@dataclass(frozen=True, slots=True)
class SourceCategory:
    """One row of the mappings: a category of a source, by the indices of both."""

    source: int
    number: int  # in the catalog's own list


@dataclass(frozen=True, slots=True)
class Facts:
    """The decisions for the whole collection; all later steps treat images one by one.

    `rows[i]` is the source category of `vocabulary.placed[i]`; `positions[s]` maps the category numbers of source s
    to these positions (-1: no statement names the category, and the source declares no complete vocabulary).
    `nested` tells of the sources with a hierarchy that was read how much it helps.
    """

    vocabulary: Vocabulary
    hierarchy: Hierarchy
    found: FoundPairs
    rows: tuple[SourceCategory, ...]
    positions: tuple[npt.NDArray[np.int32], ...]
    warnings: tuple[Problem, ...]
    nested: Mapping[str, NestingUse] = field(default_factory=dict)

    @property
    def pairs(self) -> Pairs:
        """The pairs of co-occurring categories."""
        return self.found.pairs

    @property
    def digest(self) -> str:
        """The sha256 (hex) of the categories, the hierarchy and the pairs, from which labels are derived."""
        digest = hashlib.sha256("\n".join(self.vocabulary.wnids).encode())
        for matrix in (self.hierarchy.parents, self.hierarchy.hops):
            for part in (matrix.indptr, matrix.indices, matrix.data):
                digest.update(np.ascontiguousarray(part).astype("<i8").tobytes())
        digest.update(pairs_digest(self.pairs).encode())
        return digest.hexdigest()


def decide_facts(
    loaded: LoadedSpec,
    catalogs: Sequence[Catalog],
    graph: NounGraph,
    store: Store | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> Facts:
    """Return the facts that follow from a spec and the catalogs of its sources; slow counts are cached in `store`.

    Raises:
        SpecError: if a mapping, list or tree cannot be read, or if names are unreviewed or unresolved and the spec
            forbids it.
        WordNetError: if the release lacks an id.
        LabelError: if the vocabulary is empty.
    """
    spec = loaded.spec
    named, rows, positions = _used(catalogs, graph, flat=spec.vocabulary.kind == "flat")
    wanted = spec.vocabulary.mapping
    reviewed = read_reviewed(wanted.file, spec.sources, graph) if wanted.file else {}
    excluded = {
        (catalog.name, key) for catalog in catalogs for key in read_ids(spec.sources[catalog.name].exclude)
    }
    nameless = nameless_categories(loaded, named, reviewed.keys() | excluded)
    if nameless:
        raise SpecError(nameless)
    decisions, nested = _decisions(loaded, catalogs, named, excluded, graph, reviewed, store)
    per_source = [count_present(catalog, spec.sources[catalog.name].min_confidence) for catalog in catalogs]
    vocabulary = build_vocabulary(
        decisions,
        [int(per_source[row.source][row.number]) for row in rows],
        graph,
        thresholds=Thresholds(
            {catalog.name: spec.sources[catalog.name].min_images_per_category for catalog in catalogs},
            spec.vocabulary.min_images_per_category,
        ),
        present=_present(loaded, catalogs, positions),
        join=spec.vocabulary.join,
        collapse=spec.vocabulary.collapse,
        excluded=excluded,
        exclude=read_categories(spec.vocabulary.exclude),
        exclude_below=read_categories(spec.vocabulary.exclude_below),
        include=spec.vocabulary.include,
        ancestors=spec.vocabulary.ancestors,
        drop_below_score=accepted_from(wanted) if wanted.unreviewed == "drop" else 0.0,
        drop_is_a=wanted.is_a == "drop",
    )
    warnings = [
        *doubts(loaded, vocabulary.placed, graph),
        *unsigned_in(loaded, vocabulary.placed, graph),
        *unmatched_reviews(loaded, reviewed.keys(), named),
        *same_slugs(loaded, graph),
    ]
    if not len(vocabulary):
        fates = Counter(row.fate for row in vocabulary.placed)
        listed = ", ".join(f"{count} {fate}" for fate, count in fates.items())
        unused = unused_categories(spec, vocabulary.placed, graph)
        named_ones = "; ".join(f"{one.name or one.category}: {one.meaning}" for one in unused[:NAMED])
        more = f"; and {len(unused) - NAMED} more" if len(unused) > NAMED else ""
        hint = "decide in the file of `vocabulary.mapping.file`, or look at the thresholds and exclusions"
        if strangers := [one for one in unused if one.reason in LOST]:
            hint = "\n".join([f"{hint};", *own_lines(strangers, [one.name or one.id for one in named])])
        nothing = Problem(
            "no-category",
            f"no category is left of {len(vocabulary.placed)}: {listed} ({named_ones}{more})",
            loaded.place("vocabulary"),
            hint=hint,
        )
        raise LabelError([nothing, *(replace(problem, severity="error") for problem in warnings)])
    errors = [problem for problem in warnings if problem.severity == "error"]
    if errors:
        raise SpecError(errors)
    hierarchy = _hierarchy(loaded, vocabulary, graph)
    if spec.annotation.cooccurrence is not None:
        progress("counting what goes together")
    pairs = find_pairs(loaded, catalogs, vocabulary, positions, hierarchy, graph, store)
    return Facts(vocabulary, hierarchy, pairs, tuple(rows), tuple(positions), tuple(warnings), nested)


def _decisions(
    loaded: LoadedSpec,
    catalogs: Sequence[Catalog],
    named: Sequence[Named],
    excluded: Collection[tuple[str, str]],
    graph: NounGraph,
    reviewed: Mapping[tuple[str, str], Review],
    store: Store | None,
) -> tuple[list[Decision], dict[str, NestingUse]]:
    """Return a decision for every category, and how much the hierarchies tell that were read for it.

    Categories that a source excludes are not looked up and may have any id.
    """
    wanted = [category for category in named if (category.source, category.id) not in excluded]
    used = wanted[:]
    unsaid = {
        category.source
        for category in wanted
        if category.wnid is None and (category.source, category.id) not in reviewed
    }
    asked = [catalog for catalog in catalogs if catalog.name in unsaid]
    parents: dict[tuple[str, str], Sequence[str]] = {}
    beside: dict[tuple[str, str], Sequence[tuple[tuple[str, str], int]]] = {}
    nestings: dict[str, Nesting] = {}
    for catalog in asked:
        part = loaded.spec.sources[catalog.name]
        if isinstance(part, OpenImagesSource) and part.hierarchy:
            names = {category.id: category.name for category in catalog.categories}
            nestings[catalog.name] = nesting = read_nesting(part.hierarchy, names)
            groups = nested_groups(catalog, nesting, wanted, partial(_known_wnid, graph=graph))
        else:
            groups = groups_of(catalog, wanted)
        parents.update(groups.parents)
        wanted += groups.named
        beside.update(colabels(catalog, part.min_confidence, store))
    try:
        decided = decide(
            wanted,
            graph,
            reviewed={key: review.wnid for key, review in reviewed.items()},
            synonyms="synonyms" in loaded.spec.vocabulary.merge,
            policy=loaded.spec.vocabulary.mapping.policy,
            parents=parents,
            colabels=beside,
        )
    except WordNetError as error:
        raise with_folders(error, loaded.spec, catalogs, used, graph) from error
    nested = {
        source: nesting_use(nesting, source, [one.id for one in used if one.source == source], decided, graph)
        for source, nesting in nestings.items()
        if graph.wordnet is not None
    }
    found = iter(decided)  # those of the groups come last, and are not asked for
    return [
        Decision(category.source, category.id, category.name, None, "unresolved")
        if (category.source, category.id) in excluded
        else _signed(next(found), reviewed)
        for category in named
    ], nested


def _signed(decision: Decision, reviewed: Mapping[tuple[str, str], Review]) -> Decision:
    review = reviewed.get((decision.source, decision.id))
    if review is None:
        return decision
    by = () if review.reviewer == UNSIGNED else (f"by {review.reviewer}",)
    return replace(decision, relation=review.relation, reviewer=review.reviewer, evidence=by)


def _used(
    catalogs: Sequence[Catalog], graph: NounGraph, *, flat: bool = False
) -> tuple[list[Named], list[SourceCategory], list[npt.NDArray[np.int32]]]:
    """Return the categories that a statement names, or that a source with a complete vocabulary declares.

    They come as names, as rows of the mappings, and as the positions of `Facts`. In a flat vocabulary, an id of WordNet
    is a name like any other.
    """
    named: list[Named] = []
    rows: list[SourceCategory] = []
    positions = []
    for source, catalog in enumerate(catalogs):
        stated = count_stated(catalog) > 0
        position = np.full(len(catalog.categories), -1, dtype=np.int32)
        for number, category in enumerate(catalog.categories):
            if stated[number] or catalog.complete:
                position[number] = len(rows)
                rows.append(SourceCategory(source, number))
                wnid = None if flat else _wnid(category, graph)
                named.append(Named(catalog.name, category.id, category.name, wnid))
        positions.append(position)
    return named, rows, positions


def _wnid(category: Category, graph: NounGraph) -> str | None:
    """Return the WordNet id of a category: that of its source, one at the start of its id or name, or its synset's.

    The number of a sense (`tench.n.01`) is that of one release: the names of synsets are those of WordNet 3.0.
    """
    wnid = category.wnid or leading_wnid(category.id) or leading_wnid(category.name)
    if wnid is None and category.synset and graph.release == SYNSETS_OF:
        return synset_named(graph, category.synset)
    return wnid


def _known_wnid(category: Category, graph: NounGraph) -> str | None:
    """Return the WordNet id of a category, None for one that the release lacks."""
    wnid = _wnid(category, graph)
    return wnid if wnid in graph else None


def _present(
    loaded: LoadedSpec, catalogs: Sequence[Catalog], positions: Sequence[npt.NDArray[np.int32]]
) -> Callable[[npt.NDArray[np.int32]], npt.NDArray[np.int64]]:
    """Return a function that counts the images of groups of source categories; see `count_groups`."""
    least = [loaded.spec.sources[catalog.name].min_confidence for catalog in catalogs]
    return partial(count_groups, catalogs, positions, least)


def _hierarchy(loaded: LoadedSpec, vocabulary: Vocabulary, graph: NounGraph) -> Hierarchy:
    wanted = loaded.spec.hierarchy
    if isinstance(wanted.parents, Tree):
        return _tree(loaded, vocabulary, wanted.parents.tree, graph)
    if wanted.parents != "all":
        _refuse_parts(loaded, "a tree by rule climbs no parts")
        collapse = isinstance(wanted.parents, Nearest) and wanted.parents.collapse_only_leaf
        return tree_by_rule(graph, vocabulary.wnids, collapse_only_leaf=collapse)
    return dag_of(loaded, vocabulary.wnids, graph)


def dag_of(loaded: LoadedSpec, wnids: Sequence[str], graph: NounGraph) -> Hierarchy:
    """Return WordNet's hierarchy of the categories, with the parts and joins of the spec.

    Raises `WordNetError` `cycle` at the place of the parts or joins that cause a cycle.
    """
    wanted = loaded.spec.hierarchy
    relations = [
        name for name in ("hypernym", "instance_hypernym") if getattr(wanted.relations, name) == "all"
    ]
    parts = read_parts(wanted.relations.part_holonym, graph) if wanted.relations.part_holonym else []
    joined = _joined(loaded, graph)
    place = loaded.place("vocabulary", "join")  # WordNet alone has no cycle
    try:
        if parts and joined:
            from_graph(graph, wnids, relations, joined)  # to tell which of the two causes a cycle
        if parts:
            place = loaded.place("hierarchy", "relations", "part_holonym")
        return from_graph(graph, wnids, relations, [*parts, *joined])
    except WordNetError as error:
        raise WordNetError(
            replace(problem, place=place) if problem.code == "cycle" else problem
            for problem in error.problems
        ) from error


def _tree(loaded: LoadedSpec, vocabulary: Vocabulary, path: Path, graph: NounGraph) -> Hierarchy:
    _refuse_parts(loaded, "a tree from a file holds every parent, so the list of parts would not be read")
    dictionary = read_dictionary(path)
    try:
        return from_pairs(
            vocabulary.wnids,
            [
                (child, dictionary.wnids[parent])
                for child, parent in zip(dictionary.wnids, dictionary.parents, strict=True)
                if parent >= 0
            ]
            + [(node.id, parent) for node in graph.own for parent in node.below],
        )
    except LabelError as error:
        place = loaded.place("hierarchy", "parents", "tree")
        raise LabelError(replace(problem, place=place) for problem in error.problems) from error


def _refuse_parts(loaded: LoadedSpec, message: str) -> None:
    if loaded.spec.hierarchy.relations.part_holonym:
        place = loaded.place("hierarchy", "relations", "part_holonym")
        raise SpecError(Problem("tree-and-parts", message, place, "remove one of the two"))


def _joined(loaded: LoadedSpec, graph: NounGraph) -> list[tuple[str, str]]:
    """Return (old, new) for each joined category: it implies the new one, unless it is an ancestor of it."""
    return [
        (old, new)
        for new, olds in loaded.spec.vocabulary.join.items()
        for old in olds
        if old not in graph.ancestors(new)
    ]


def save_rules(path: Path, facts: Facts) -> None:
    """Write the hierarchy and the pairs, from which labels are derived, to a file for the workers."""
    hierarchy, pairs = facts.hierarchy, facts.pairs
    with path.open("wb") as stream:
        np.savez(
            stream,
            n=len(hierarchy),
            **{
                f"{name}_{part}": getattr(getattr(hierarchy, name), part)
                for name in ("parents", "hops")
                for part in ("indptr", "indices", "data")
            },
            **{f"pairs_{field.name}": getattr(pairs, field.name) for field in fields(Pairs)},
        )


def load_rules(path: Path) -> tuple[Hierarchy, Pairs]:
    """Return the hierarchy and the pairs that `save_rules` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        n = int(arrays["n"])
        parents, hops = (
            sparse.csr_array(
                tuple(arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr")), shape=(n, n)
            )
            for name in ("parents", "hops")
        )
        pairs = Pairs(**{field.name: arrays[f"pairs_{field.name}"] for field in fields(Pairs)})
    down = sparse.csr_array(hops.T)
    down.sort_indices()
    return Hierarchy(parents, hops, down), pairs
