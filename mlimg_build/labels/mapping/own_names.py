"""The names of own categories: a source's category with such a name is that category, without a guess."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from mlimg_build.category_ids import OWN, folded_id, folded_name, loose_name
from mlimg_build.labels.mapping.decision import Decision, Named
from mlimg_build.wordnet import NounGraph

__all__ = ["OwnNames"]


@dataclass(frozen=True, slots=True)
class OwnNames:
    """The own nodes of a graph by id, by folded name, and by name or slug with `_` and `-` as spaces.

    `loose` lacks what several nodes share: in a flat vocabulary `with_mask` and `with mask` are two.
    """

    ids: frozenset[str]
    exact: dict[str, str]
    loose: dict[str, str]
    flat: bool

    @classmethod
    def of(cls, graph: NounGraph) -> OwnNames:
        """Return the names of a graph's own nodes."""
        loose: dict[str, set[str]] = defaultdict(set)
        for node in graph.own:
            for text in (node.name, node.id.removeprefix(OWN)):
                loose[loose_name(text)].add(node.id)
        return cls(
            frozenset(node.id for node in graph.own),
            {folded_name(node.name): node.id for node in graph.own},
            {name: min(ids) for name, ids in loose.items() if len(ids) == 1},
            graph.own != () and graph.wordnet is None,
        )

    def found(self, named: Named) -> tuple[str, str] | None:
        """Return the own category that a source's category names, and what of it is the name; None if it names none."""
        if not self.ids:
            return None
        text = named.name or named.id
        if (wnid := self.exact.get(folded_name(text))) is not None:
            return wnid, "its name"
        if (wnid := folded_id(text)) in self.ids:
            return wnid, "its id"
        if (wnid := self.loose.get(loose_name(text), "")) in self.ids:
            return wnid, "its name or slug, but for _ and -"
        return None

    def decision(self, named: Named) -> Decision | None:
        """Return the decision for a category that names an own one, None for others."""
        if (found := self.found(named)) is None:
            return None
        evidence = () if self.flat else (found[1],)
        return Decision(named.source, named.id, named.name, found[0], "own", score=1.0, evidence=evidence)
