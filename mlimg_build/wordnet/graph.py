"""The noun graph: lookups of synsets, lemmas and relations in one WordNet release."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mlimg_build.errors import Problem, WordNetError
from mlimg_build.wordnet.closure import Edges, find_cycle, from_pairs, reach, transitive_closure
from mlimg_build.wordnet.content import RELATIONS, Content
from mlimg_build.wordnet.morphology import base_forms, fold
from mlimg_build.wordnet.wnids import format_wnid, parse_wnid, parse_wnids

HYPERNYMS = ("hypernym", "instance_hypernym")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NounGraph:
    """The noun synsets of a WordNet release, numbered 0 … n - 1 by ascending id; equal if the digests are.

    Raises:
        WordNetError: "wordnet-damaged" if the content violates an invariant of noun graphs.
    """

    content: Content
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        flaw = self.content.flaw()
        if flaw:
            raise _error("wordnet-damaged", f"The noun graph is damaged: {flaw}", "compile it again")
        object.__setattr__(self, "digest", self.content.digest())

    @property
    def release(self) -> str:
        """The WordNet release, such as "3.0"."""
        return self.content.release

    def __len__(self) -> int:
        return len(self.content.offsets)

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, NounGraph) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"NounGraph(WordNet {self.release}, {len(self)} synsets, digest {self.digest[:12]}…)"

    def __contains__(self, wnid: object) -> bool:
        return isinstance(wnid, str) and self._find(parse_wnid(wnid)) is not None

    def index(self, wnid: str) -> int:
        """Return the position of a synset in id order.

        Raises:
            WordNetError: "bad-wnid" if `wnid` is not `n` and eight digits, "unknown-synset" if the release has
                no such synset.
        """
        offset = parse_wnid(wnid)
        if offset is None:
            hint = 'write "n" and the eight digits of the synset\'s offset, such as n02084071'
            raise _error("bad-wnid", f"{wnid!r} is not the id of a WordNet noun", hint)
        index = self._find(offset)
        if index is None:
            near = self.wnid(int(np.abs(self.content.offsets - offset).argmin()))
            message = f"WordNet {self.release} has no noun synset {wnid}"
            hint = f"an id belongs to one release; the nearest in this one is {near} ({self.name(near)})"
            raise _error("unknown-synset", message, hint)
        return index

    def indices(self, wnids: Sequence[str]) -> NDArray[np.int32]:
        """Return the position of each synset, int32[len(wnids)]; -1 for an id that does not exist."""
        wanted = parse_wnids(wnids)
        place = np.searchsorted(self.content.offsets, wanted).clip(max=len(self) - 1)
        return np.where(self.content.offsets[place] == wanted, place, -1).astype(np.int32)

    def wnid(self, index: int) -> str:
        """Return the id of the synset at `index`. Raises `IndexError` if there is none."""
        if not 0 <= index < len(self):
            raise IndexError(f"synset {index} of {len(self)}")
        return format_wnid(int(self.content.offsets[index]))

    @property
    def wnids(self) -> list[str]:
        """Every id, sorted: `wnids[i]` is the synset at index i."""
        return [format_wnid(offset) for offset in self.content.offsets.tolist()]

    def lemmas(self, wnid: str) -> tuple[str, ...]:
        """Return the lemmas of a synset in WordNet's order and spelling (underscores). Raises the errors of `index`."""
        index = self.index(wnid)
        return self.content.words[self.content.word_start[index] : self.content.word_start[index + 1]]

    def name(self, wnid: str) -> str:
        """Return the first lemma of a synset, with spaces. Raises the errors of `index`."""
        return self.lemmas(wnid)[0].replace("_", " ")

    def lexname(self, wnid: str) -> str:
        """Return the lexicographer file of a synset, such as "noun.animal". Raises the errors of `index`."""
        return self.content.lexnames[int(self.content.lexfiles[self.index(wnid)])]

    def senses(self, lemma: str) -> tuple[str, ...]:
        """Return the synsets of a lemma in sense order, () if it is unknown.

        Upper and lower case are equal, and so are spaces and underscores; inflected forms are not reduced.
        """
        key, words, order = fold(lemma), self.content.words, self.content.sense_order
        first = last = bisect_left(order, key, key=lambda word: words[word].lower())
        while last < len(order) and words[order[last]].lower() == key:
            last += 1
        synsets = np.searchsorted(self.content.word_start, order[first:last], side="right") - 1
        # A synset that spells the lemma in two ways (Ma and mA) has it twice.
        return tuple(dict.fromkeys(self.wnid(index) for index in synsets.tolist()))

    def morphy(self, word: str) -> tuple[str, ...]:
        """Return the lemmas that `word` may be a form of, lower case with underscores; `word` first if it is one.

        They come from WordNet's exception list, else from its rules of detachment (morphy(7WN)).
        """
        return base_forms(word, self.content.exceptions, lambda form: bool(self.senses(form)))

    def edges(self, relation: str) -> Edges:
        """Return the direct edges of a relation, bool[n, n]: row = child or part, column = parent or whole.

        Raises:
            WordNetError: "unknown-relation".
        """
        return from_pairs(self._pairs((relation,)), len(self))

    def closure(self, relations: Sequence[str] = HYPERNYMS, extra: Sequence[tuple[str, str]] = ()) -> Edges:
        """Return the strict transitive closure of relations, bool[n, n] with sorted indices: row under column.

        `extra` adds (child, parent) pairs of ids. Later calls with the same arguments return the same matrix, whose
        arrays are read-only.

        Raises:
            WordNetError: "cycle" with its path if a synset would be its own ancestor, "unknown-relation", and
                those of `index`.
        """
        return _closure(self, tuple(relations), tuple((child, parent) for child, parent in extra))

    def ancestors(self, wnid: str, relations: Sequence[str] = HYPERNYMS) -> tuple[str, ...]:
        """Return every synset above `wnid`, nearest first, ties by id. Raises the errors of `index` and `edges`."""
        children, parents = self._pairs(relations).T
        return self._reach(wnid, children, parents)

    def descendants(self, wnid: str, relations: Sequence[str] = HYPERNYMS) -> tuple[str, ...]:
        """Return every synset below `wnid`, nearest first, ties by id. Raises the errors of `index` and `edges`."""
        children, parents = self._pairs(relations).T
        return self._reach(wnid, parents, children)

    def _find(self, offset: int | None) -> int | None:
        if offset is None:
            return None
        # With a Python integer numpy copies the column to int64 first, which takes ten times as long.
        index = int(self.content.offsets.searchsorted(np.int32(offset)))
        return index if index < len(self) and self.content.offsets[index] == offset else None

    def _reach(self, wnid: str, sources: NDArray[np.int32], targets: NDArray[np.int32]) -> tuple[str, ...]:
        found = reach(self.index(wnid), sources, targets, len(self))
        return tuple(self.wnid(index) for index in found.tolist())

    def _pairs(self, relations: Sequence[str]) -> NDArray[np.int32]:
        for relation in relations:
            if relation not in RELATIONS:
                message = f"{relation!r} is not a relation between nouns"
                raise _error("unknown-relation", message, f"the relations are {', '.join(RELATIONS)}")
        none = np.empty((0, 2), dtype=np.int32)
        return np.concatenate([none, *(self.content.pairs[relation] for relation in relations)])

    def _path(self, cycle: Sequence[int], relations: Sequence[str]) -> str:
        def label(index: int) -> str:
            return f"{self.name(self.wnid(index))} ({self.wnid(index)})"

        def relation(child: int, parent: int) -> str:
            edge = np.array([child, parent])
            named = (*relations, *RELATIONS)  # an added pair may be one that WordNet has a name for
            known = (name for name in named if (self.content.pairs[name] == edge).all(axis=1).any())
            return next(known, "extra")

        steps = (f" -{relation(a, b)}-> {label(b)}" for a, b in pairwise(cycle))
        return label(cycle[0]) + "".join(steps)


@lru_cache(maxsize=2)  # a plan asks three times, and a session of a notebook for every plan
def _closure(graph: NounGraph, relations: tuple[str, ...], extra: tuple[tuple[str, str], ...]) -> Edges:
    added = [(graph.index(child), graph.index(parent)) for child, parent in extra]
    pairs = [graph._pairs(relations), np.array(added, dtype=np.int32).reshape(-1, 2)]
    edges = from_pairs(np.concatenate(pairs), len(graph))
    cycle = find_cycle(edges)
    if cycle:
        message = f"The hierarchy has a cycle: {graph._path(cycle, relations)}"
        raise _error("cycle", message, "leave out one of the edges that the path shows")
    closed = transitive_closure(edges)
    for array in (closed.data, closed.indices, closed.indptr):
        array.flags.writeable = False
    return closed


def _error(code: str, message: str, hint: str) -> WordNetError:
    return WordNetError(Problem(code, message, hint=hint))
