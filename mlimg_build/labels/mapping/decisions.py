"""Decide what a source's category is: by its id, a file that people keep, an own category's name, or its own name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mlimg_build.category_ids import is_own
from mlimg_build.errors import Problem, WordNetError
from mlimg_build.labels.mapping.calibration import head_support, trust
from mlimg_build.labels.mapping.candidates import BASE, HEAD, WRITTEN, Candidate, Lexicon, candidates
from mlimg_build.labels.mapping.company import RARE, Company
from mlimg_build.labels.mapping.decision import Alternative, Decision, Named
from mlimg_build.labels.mapping.evidence import Reasons
from mlimg_build.labels.mapping.name_kinds import name_kind
from mlimg_build.labels.mapping.near_spellings import near_spellings
from mlimg_build.labels.mapping.own_names import OwnNames
from mlimg_build.labels.mapping.places import SPLIT, GroupKinds, other_place
from mlimg_build.labels.mapping.scores import POLICIES, Context, believe, own_features
from mlimg_build.labels.mapping.senses import Floats, Landscape, Senses
from mlimg_build.labels.mapping.source_relations import colabel_weights, label_shares, parent_weights
from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.morphology import fold

__all__ = ["decide"]

Key = tuple[str, str]

TOLD = 0.1  # score from which the evidence names a near spelling

NO_NAME = {
    "": "no noun is called that",
    "no_value": "a word for a missing value, no name",
    "number": "a number, no name",
    "truth": "a truth value, no name",
    "no_thing": "a word for no thing in particular, no name",
}
"""Why no synset fits, by `name_kind`."""


def decide(
    categories: Sequence[Named],
    graph: NounGraph,
    *,
    reviewed: Mapping[Key, str | None] | None = None,
    synonyms: bool = True,
    policy: str = "weighted",
    parents: Mapping[Key, Sequence[str]] | None = None,
    colabels: Mapping[Key, Sequence[tuple[Key, int]]] | None = None,
) -> list[Decision]:
    """Return one decision per category, in the order given; no decision depends on that order.

    `reviewed` maps (source, category id) to the id that people chose, None to leave the category out; it overrides
    everything. A name that an own node of the graph has is that node, whatever WordNet calls so. Another name is
    looked up in all its forms, and of its senses the one with the highest score under `policy` (a name of `POLICIES`)
    is taken. With `synonyms`, the ids of other categories count. `parents` maps (source, category id) to ids of the
    source that are above it, `colabels` to the labels of the same images with the number of images.

    Raises:
        WordNetError: "unknown-synset" with every id that the release lacks.
        ValueError: for an unknown policy.
    """
    if policy not in POLICIES:
        raise ValueError(f"{policy!r} is not one of the policies {', '.join(POLICIES)}")
    reviewed = reviewed or {}
    stated = {(named.source, named.id): named.wnid for named in categories}
    _require_known({**stated, **reviewed}, graph)
    given = {key: chosen for key, wnid in stated.items() if (chosen := reviewed.get(key, wnid)) is not None}
    own = OwnNames.of(graph)
    for named in categories:
        key = (named.source, named.id)
        if key not in reviewed and named.wnid is None and (named_own := own.found(named)) is not None:
            given[key] = named_own[0]
    open_ = {
        (named.source, named.id, named.name) for named in categories if (named.source, named.id) not in given
    }
    open_ = {name for name in open_ if name[:2] not in reviewed}
    found = (
        _Found(sorted(open_), given, graph, synonyms, policy, parents or {}, colabels or {})
        if open_ and graph.wordnet is not None
        else None
    )
    return [_decision(named, reviewed, own, found) for named in categories]


def _decision(
    named: Named, reviewed: Mapping[Key, str | None], own: OwnNames, found: _Found | None
) -> Decision:
    key = (named.source, named.id)
    if key in reviewed:
        return Decision(*key, named.name, reviewed[key], "file", score=1.0, evidence=("decided by people",))
    if named.wnid is not None:
        said = ("the source gives the id",)
        return Decision(*key, named.name, named.wnid, "same_id", score=1.0, evidence=said)
    if (decision := own.decision(named)) is not None:
        return decision
    return _unresolved(named) if found is None else found.decision(named)


def _unresolved(named: Named, near: tuple[Alternative, ...] = ()) -> Decision:
    why = [NO_NAME[name_kind(named.name or named.id)]]
    if near and near[0].score >= TOLD:
        why.append(f"it is spelt nearly as {near[0].near}")
    return Decision(
        named.source, named.id, named.name, None, "unresolved", alternatives=near, evidence=tuple(why)
    )


class _Found:
    """The decisions of the rules for the categories that neither people nor ids decide."""

    def __init__(
        self,
        names: Sequence[tuple[str, str, str]],
        given: Mapping[Key, str],
        graph: NounGraph,
        synonyms: bool,
        policy: str,
        parents: Mapping[Key, Sequence[str]],
        colabels: Mapping[Key, Sequence[tuple[Key, int]]],
    ) -> None:
        self.graph = graph
        self.lexicon = Lexicon.of(graph)
        self.landscape = Landscape.of(graph)
        self.parents = parents
        self.row = {name: i for i, name in enumerate(names)}
        self.by_id = frozenset(given.values()) if synonyms else frozenset()
        # Categories with an id follow if another one has them as parents or as labels of its images.
        related = sorted(_asked(names, given, parents, colabels, synonyms))
        self.rows = rows = {
            (source, key): i for i, (source, key, _) in enumerate([*names, *((*key, "") for key in related)])
        }
        choices = [self._candidates(name or key) for _, key, name in names]
        choices += [(Candidate(given[key], "", WRITTEN, 1, 1),) for key in related]
        self.names = [name or key for _, key, name in names] + [graph.name(given[key]) for key in related]
        self.folded = {fold(name) for name in self.names}
        self.heads = Counter(fold(choice[0].form) for choice in choices if choice and choice[0].is_head)
        self.senses = Senses.of(choices, graph, self.landscape)
        known = np.zeros(len(graph))
        known[graph.indices(sorted(self.by_id))] = 1.0
        decided = [bool(choice) for choice in choices]
        self.context = Context(
            known,
            parent_weights(rows, [self._telling(choice) for choice in choices], parents),
            colabel_weights(rows, decided, colabels),
            label_shares(rows, decided, colabels),
        )
        own = own_features(self.names, self.senses, graph, self.landscape)
        self.belief = believe(self.senses, own, self.landscape, self.context, POLICIES[policy])
        self.company = Company(self.senses, self.belief.share, known, self.landscape, graph)
        ranked = np.lexsort((np.arange(len(self.senses)), -self.belief.score, self.senses.owner))
        self.ranked: dict[int, list[int]] = defaultdict(list)
        for at in ranked.tolist():
            self.ranked[int(self.senses.owner[at])].append(at)
        self.reasons = Reasons(
            self.names, self.senses, self.belief, self.context, self.landscape, graph, self.chosen
        )
        self.odd = self._regrouped(given) if parents else {}
        self.near = self._near(len(names), known)

    def _candidates(self, name: str) -> tuple[Candidate, ...]:
        """Return the candidates of a name; a single person or place has neither kinds nor a plural.

        What is no name (a number, a word for a missing value) has none, although WordNet has nouns for many: nan, NA.
        """
        found = () if name_kind(name) else candidates(name, self.lexicon)
        return tuple(
            one
            for one in found
            if one.kind not in (BASE, HEAD) or not self.landscape.instance[self.graph.index(one.wnid)]
        )

    def _telling(self, choice: Sequence[Candidate]) -> bool:
        """Return whether a parent with these candidates tells anything: every noun lies below the top of WordNet."""
        top = self.landscape.size.max()
        return any(self.landscape.size[self.graph.index(one.wnid)] < top for one in choice)

    def _near(self, names: int, known: Floats) -> dict[int, tuple[Alternative, ...]]:
        """Return near spellings by row: of names that have no candidate, and of those known by their head only."""
        chosen = [self.chosen(row) for row in range(names)]
        heads = {row for row, at in enumerate(chosen) if at is not None and self.senses.found[at].is_head}
        rows = [row for row, at in enumerate(chosen) if at is None or row in heads]
        taken = [at for at in chosen if at is not None and not self.senses.found[at].is_head]
        believed = np.bincount(self.senses.node[taken], self.belief.share[taken], minlength=len(known))
        found = near_spellings(
            [self.names[row] for row in rows],
            [row in heads for row in rows],
            self.graph,
            np.minimum(known + believed, 1.0),
        )
        return dict(zip(rows, found, strict=True))

    def chosen(self, row: int) -> int | None:
        """Return the candidate that was taken for a row, None if it has none."""
        return self.ranked[row][0] if row in self.ranked else None

    def decision(self, named: Named) -> Decision:
        """Return the decision for a category."""
        key = (named.source, named.id)
        row = self.row[(*key, named.name)]
        ranked, near = self.ranked.get(row), self.near.get(row, ())
        if not ranked:
            return _unresolved(named, near)
        best = self.senses.found[ranked[0]]
        method = "head" if best.is_head else "synonym" if best.wnid in self.by_id else "lemma"
        said, support = list(self.reasons.clauses(ranked[0])), None
        if best.is_head:
            form = fold(best.form)
            known, names = form in self.folded or best.wnid in self.by_id, self.heads[form]
            support = head_support(known, names)
            said += ["its head is a category itself"] * known
            said += [f"{names} names have this head"] * (names > 1)
        if near and near[0].score >= TOLD:
            said.append(f"the whole is spelt nearly as {near[0].near}")
        company = self.company.of(ranked[0])
        if company < RARE and support is None:
            said.append("a single place, person or thing, unlike the other categories")
        shares = [trust(float(self.belief.share[at]), support, company) for at in ranked]
        if not best.is_head and (other := self._other_place(key, ranked)) is not None:
            shares[0] = min(shares[0], SPLIT)
            sense, place = (f"{self.graph.name(wnid)} {wnid}" for wnid in other)
            said.append(f"its source puts it below {place}, too, where {sense} fits")
        if row in self.odd:
            shares[:2] = SPLIT, min(shares[1], SPLIT)
            said.append(self.odd[row])
        return Decision(
            *key,
            named.name,
            best.wnid,
            method,
            best.form,
            _likeliest(
                (
                    Alternative(self.senses.found[at].wnid, share, "is_a" if best.is_head else "same_as")
                    for at, share in zip(ranked[1:], shares[1:], strict=True)
                ),
                near,
            ),
            score=shares[0],
            relation="is_a" if best.is_head else "same_as",
            evidence=tuple(said),
        )

    def _other_place(self, key: Key, ranked: Sequence[int]) -> tuple[str, str] | None:
        """Return `other_place` of a category whose candidates are `ranked`."""
        rows = [
            row for above in self.parents.get(key, ()) if (row := self.rows.get((key[0], above))) is not None
        ]
        above = [self.senses.found[at] for row in rows if (at := self.chosen(row)) is not None]
        parents = {one.wnid for one in above if not one.is_head}
        if len(parents) < 2 or len(ranked) < 2:
            return None
        taken, *others = (self.senses.found[at].wnid for at in ranked)
        return other_place(taken, others, parents, self.graph)

    def _regrouped(self, given: Mapping[Key, str]) -> dict[int, str]:
        """Take a sense of the kind of its group for each category that else were the only one of another kind there.

        Returns what to say of it, by row.
        """
        kinds = {key: self.graph.lexname(wnid) for key, wnid in given.items() if not is_own(wnid)}
        for key, row in self.rows.items():
            at = self.chosen(row)
            if at is not None and not self.senses.found[at].is_head:
                kinds.setdefault(key, self._kind(at))
        groups, why = GroupKinds(self.parents, kinds), {}
        for key, row in self.rows.items():
            taken, *others = self.ranked.get(row) or [-1]
            whole = [at for at in others if not self.senses.found[at].is_head]
            odd = groups.odd(key, [self._kind(at) for at in whole]) if whole else None
            if odd is None:
                continue
            kind, node, count = odd
            better = next(at for at in whole if self._kind(at) == kind)
            self.ranked[row] = [better, taken, *(at for at in others if at != better)]
            wnid, above = self.senses.found[taken].wnid, self.rows.get((key[0], node))
            group = node if above is None else self.names[above]
            why[row] = (
                f"{count} others that its source puts below {group!r} are of the kind {kind.partition('.')[2]}: "
                f"by its name alone it would be {self.graph.name(wnid)} {wnid}"
            )
        return why

    def _kind(self, at: int) -> str:
        return self.graph.lexname(self.senses.found[at].wnid)


def _likeliest(senses: Iterable[Alternative], near: Iterable[Alternative]) -> tuple[Alternative, ...]:
    """Return the alternatives of a name by falling score, of equals the senses first, each synset once."""
    ranked = sorted([*senses, *near], key=lambda one: -one.score)
    first: dict[str, Alternative] = {}
    for one in ranked:
        first.setdefault(one.wnid, one)
    return tuple(first.values())


def _asked(
    names: Sequence[tuple[str, str, str]],
    given: Mapping[Key, str],
    parents: Mapping[Key, Sequence[str]],
    colabels: Mapping[Key, Sequence[tuple[Key, int]]],
    synonyms: bool,
) -> set[Key]:
    """Return the categories with an id that are parents of one without, or labels of its images (with `synonyms`)."""
    asked: set[Key] = set()
    for source, key, _ in names if synonyms else ():
        asked |= {other for other, _ in colabels.get((source, key), ())}
    if parents:
        asked |= {(source, parent) for (source, _), above in parents.items() for parent in above}
    return asked & given.keys()


def _require_known(given: Mapping[tuple[str, str], str | None], graph: NounGraph) -> None:
    stated = {(source, wnid) for (source, _), wnid in given.items() if wnid is not None}
    missing = {wnid for wnid in {wnid for _, wnid in stated} if wnid not in graph}  # each looked up once
    unknown = sorted((source, wnid) for source, wnid in stated if wnid in missing)
    if unknown:
        raise WordNetError(
            Problem(
                "unknown-synset",
                (f"WordNet {graph.release} has no noun " if graph.wordnet else "there is no category ")
                + ", ".join(f"{wnid} ({source})" for source, wnid in unknown),
                hint="set `wordnet: {path: …}` to the release that the ids are of, or decide about their"
                " categories in the file of `vocabulary.mapping.file` (no id leaves a category out)",
            )
        )
