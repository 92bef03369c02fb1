"""The noun graph: lookups of synsets, lemmas and relations in one WordNet release, and in what a spec adds to it."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mlimg_build.category_ids import OWN
from mlimg_build.errors import Problem, WordNetError
from mlimg_build.wordnet.closure import Edges, find_cycle, from_pairs, reach, transitive_closure
from mlimg_build.wordnet.content import RELATIONS, Content
from mlimg_build.wordnet.glosses import Glosses
from mlimg_build.wordnet.morphology import base_forms, fold
from mlimg_build.wordnet.near_ids import near_offsets
from mlimg_build.wordnet.wnids import format_wnid, parse_wnid, parse_wnids

HYPERNYMS = ("hypernym", "instance_hypernym")
NEAR = 3  # ids that a hint names
COMPARED = 2000  # own ids that one is compared with


@dataclass(frozen=True, slots=True)
class OwnNoun:
    """A category that a spec adds: its id `own:SLUG` (folded), its name, and the ids that it lies below."""

    id: str
    name: str
    below: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NounGraph:
    """The noun synsets of a WordNet release, numbered 0 … n - 1 by ascending id; equal if the digests are.

    `own` are nodes that are no synsets: the last ones, by ascending id (`own_nouns.with_own` adds them); `wordnet` is
    the graph without them, None if there are no others. `glosses`, where it was loaded with them, are no part of the
    digest.

    Raises:
        WordNetError: "wordnet-damaged" if the content violates an invariant of noun graphs.
    """

    content: Content
    own: tuple[OwnNoun, ...] = ()
    wordnet: NounGraph | None = None
    glosses: Glosses | None = None
    digest: str = field(init=False)
    _own: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        flaw = self.content.flaw(len(self.own))
        if flaw:
            raise _error("wordnet-damaged", f"The noun graph is damaged: {flaw}", "compile it again")
        if not self.own:
            object.__setattr__(self, "wordnet", self)
        first = len(self) - len(self.own)
        object.__setattr__(self, "_own", {one.id: first + i for i, one in enumerate(self.own)})
        content = self.content.digest()
        digest = hashlib.sha256(f"{content}{self.own_digest}".encode()).hexdigest() if self.own else content
        object.__setattr__(self, "digest", digest)

    @property
    def release(self) -> str:
        """The WordNet release, such as "3.0"; "" for a graph of own nodes alone."""
        return self.content.release

    @property
    def own_digest(self) -> str:
        """The sha256, in hex, of the own nodes: their ids, names and parents."""
        text = json.dumps([[one.id, one.name, sorted({*one.below})] for one in self.own])
        return hashlib.sha256(text.encode()).hexdigest()

    def record(self) -> dict[str, dict[str, str | int]]:
        """Return what locks and datasets keep: `wordnet`, if there is one, and `own`, if a category is own."""
        known, found = self.wordnet, dict[str, dict[str, str | int]]()
        if known is not None:
            found["wordnet"] = {"release": known.release, "digest": known.digest}
        if self.own:
            found["own"] = {"categories": len(self.own), "digest": self.own_digest}
        return found

    def __len__(self) -> int:
        return len(self.content.offsets)

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, NounGraph) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"NounGraph(WordNet {self.release}, {len(self)} synsets, digest {self.digest[:12]}…)"

    def __contains__(self, wnid: object) -> bool:
        if not isinstance(wnid, str):
            return False
        return wnid in self._own or self._find(parse_wnid(wnid)) is not None

    def index(self, wnid: str) -> int:
        """Return the position of a synset in id order.

        Raises:
            WordNetError: "bad-wnid" if `wnid` is not `n` and eight digits, "unknown-synset" if the release has
                no such synset, or if there is no such own node.
        """
        if wnid in self._own:
            return self._own[wnid]
        offset = parse_wnid(wnid)
        if wnid.startswith(OWN):
            raise _error("unknown-synset", self.lacks(wnid), self.near(wnid))
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

    def lacks(self, wnid: str) -> str:
        """Return the sentence that there is no such category."""
        if self.wordnet is None or wnid.startswith(OWN):
            return f"there is no own category {wnid}"
        return f"WordNet {self.release} has no noun {wnid}"

    def near(self, wnid: str) -> str:
        """Return a hint that names ids like one that does not exist."""
        if wnid.startswith(OWN):
            found = [one.id for one in self.own]
            close = get_close_matches(wnid, found[:COMPARED], NEAR) or found[:NEAR]
            if not close:
                return "declare it in `vocabulary.own`"
            return f"there is {', '.join(close)}; or declare it in `vocabulary.own`"
        offset = parse_wnid(wnid)
        if offset is None or self.wordnet is None:
            return "an id is n and eight digits, or own: and the name of an own category"
        known = self.wordnet.content.offsets
        close = [format_wnid(one) for one in near_offsets(offset, known, NEAR)]
        return f"near it are {', '.join(f'{one} ({self.name(one)})' for one in close)}"

    def indices(self, wnids: Sequence[str]) -> NDArray[np.int32]:
        """Return the position of each synset, int32[len(wnids)]; -1 for an id that does not exist."""
        wanted = parse_wnids(wnids)
        place = np.searchsorted(self.content.offsets, wanted).clip(max=len(self) - 1)
        found = np.where(self.content.offsets[place] == wanted, place, -1).astype(np.int32)
        if self.own:
            for i in np.flatnonzero(wanted < 0).tolist():
                found[i] = self._own.get(wnids[i], -1)
        return found

    def wnid(self, index: int) -> str:
        """Return the id of the synset at `index`. Raises `IndexError` if there is none."""
        if not 0 <= index < len(self):
            raise IndexError(f"synset {index} of {len(self)}")
        if index >= len(self) - len(self.own):
            return self.own[index - len(self)].id
        return format_wnid(int(self.content.offsets[index]))

    @property
    def wnids(self) -> list[str]:
        """Every id, sorted: `wnids[i]` is the synset at index i."""
        synsets = self.content.offsets[: len(self) - len(self.own)]
        return [*map(format_wnid, synsets.tolist()), *(one.id for one in self.own)]

    def lemmas(self, wnid: str) -> tuple[str, ...]:
        """Return the lemmas of a synset in WordNet's order and spelling (underscores). Raises the errors of `index`."""
        index = self.index(wnid)
        return self.content.words[self.content.word_start[index] : self.content.word_start[index + 1]]

    def name(self, wnid: str) -> str:
        """Return the first lemma of a synset, with spaces, or an own node's name. Raises the errors of `index`."""
        if wnid in self._own:
            return self.own[self._own[wnid] - len(self)].name
        return self.lemmas(wnid)[0].replace("_", " ")

    def gloss(self, wnid: str) -> str:
        """Return a synset's definition and examples as WordNet writes them; "" for own nodes and without glosses.

        They are read from their file when one is asked for.

        Raises:
            WordNetError: "wordnet-damaged" if that file cannot be read, and the errors of `index`.
        """
        self.index(wnid)
        known = self.wordnet
        return "" if known is None or known.glosses is None or wnid in self._own else known.glosses.of(wnid)

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
