"""Laws of closures, cycles and the file, on small random graphs."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.errors import WordNetError
from mlimg_build.wordnet import RELATIONS, NounGraph, find_cycle, load, save, transitive_closure
from mlimg_build.wordnet.closure import Edges, from_pairs
from mlimg_build.wordnet.content import Content
from mlimg_build.wordnet.morphology import fold

Pairs = list[tuple[int, int]]


def edges_of(pairs: Pairs, n: int) -> Edges:
    return from_pairs(np.array(pairs, dtype=np.int32).reshape(-1, 2), n)


@st.composite
def digraphs(draw: st.DrawFn, acyclic: bool = False) -> tuple[Pairs, int]:
    n = draw(st.integers(1, 9))
    node = st.integers(0, n - 1)
    pairs = draw(st.lists(st.tuples(node, node), max_size=20))
    return [pair for pair in pairs if pair[0] > pair[1] or not acyclic], n


@st.composite
def graphs(draw: st.DrawFn) -> NounGraph:
    pairs, n = draw(digraphs(acyclic=True))
    lemma = st.text(st.sampled_from("abAB_'.é"), min_size=1, max_size=4)
    lists = draw(st.lists(st.lists(lemma, min_size=1, max_size=3), min_size=n, max_size=n))
    words = [word for words in lists for word in words]
    order = sorted(range(len(words)), key=lambda i: (fold(words[i]), i))
    offsets = draw(st.lists(st.integers(0, 99_999_999), min_size=n, max_size=n, unique=True))
    relation = draw(st.sampled_from(RELATIONS))
    return NounGraph(
        Content(
            release=draw(st.text(max_size=3)),
            offsets=np.array(sorted(offsets), dtype=np.int32),
            lexfiles=np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), dtype=np.uint8),
            lexnames=("noun.animal", "noun.food"),
            word_start=np.cumsum([0, *map(len, lists)]).astype(np.int32),
            words=tuple(words),
            sense_order=np.array(order, dtype=np.int32),
            pairs={
                name: np.array(sorted(set(pairs)) if name == relation else [], dtype=np.int32).reshape(-1, 2)
                for name in RELATIONS
            },
            exceptions=draw(st.dictionaries(lemma, st.tuples(lemma), max_size=2)),
        )
    )


SMALL = NounGraph(
    Content(
        release="0.1",
        offsets=np.array([10, 20], dtype=np.int32),
        lexfiles=np.array([0, 0], dtype=np.uint8),
        lexnames=("noun.animal",),
        word_start=np.array([0, 1, 3], dtype=np.int32),
        words=("animal", "dog", "domestic_dog"),
        sense_order=np.array([0, 1, 2], dtype=np.int32),
        pairs={
            name: np.array([(1, 0)] if name == "hypernym" else [], np.int32).reshape(-1, 2)
            for name in RELATIONS
        },
        exceptions={"dawgs": ("dog",)},
    )
)


@given(digraphs())
def test_closure_is_what_warshall_finds(digraph: tuple[Pairs, int]) -> None:
    pairs, n = digraph
    reach = np.zeros((n, n), dtype=bool)
    for child, parent in pairs:
        reach[child, parent] = True
    for middle in range(n):
        reach |= np.outer(reach[:, middle], reach[middle])
    closure = transitive_closure(edges_of(pairs, n))
    assert (closure.toarray() == reach).all()
    assert closure.nnz == reach.sum()
    assert closure.has_sorted_indices


@given(digraphs())
def test_closure_is_transitive_and_closed(digraph: tuple[Pairs, int]) -> None:
    closure = transitive_closure(edges_of(*digraph))
    assert not ((closure @ closure) > closure).nnz
    assert (transitive_closure(closure) != closure).nnz == 0


@given(digraphs())
def test_cycle_is_found_exactly_where_there_is_one(digraph: tuple[Pairs, int]) -> None:
    pairs, n = digraph
    cycle = find_cycle(edges_of(pairs, n))
    cyclic = np.flatnonzero(transitive_closure(edges_of(pairs, n)).diagonal())
    assert bool(cycle) == bool(cyclic.size)
    if cycle:
        assert cycle[0] == cycle[-1] == cyclic[0]
        assert set(pairwise(cycle)) <= set(pairs)
        assert len(set(cycle)) == len(cycle) - 1


@given(graphs())
@settings(max_examples=40)
def test_ancestors_are_the_closure_nearest_first(graph: NounGraph) -> None:
    closure = graph.closure(RELATIONS).toarray()
    for i, wnid in enumerate(graph.wnids):
        ancestors = graph.indices(graph.ancestors(wnid, RELATIONS))
        assert sorted(ancestors.tolist()) == np.flatnonzero(closure[i]).tolist()
        descendants = graph.indices(graph.descendants(wnid, RELATIONS))
        assert sorted(descendants.tolist()) == np.flatnonzero(closure[:, i]).tolist()


@given(graphs())
@settings(max_examples=30)
def test_what_was_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, graph: NounGraph) -> None:
    folder = tmp_path_factory.mktemp("graph")
    save(graph, folder / "a.npz")
    loaded = load(folder / "a.npz")
    save(loaded, folder / "b.npz")
    assert loaded == graph
    assert loaded.digest == graph.digest
    assert (loaded.release, loaded.wnids) == (graph.release, graph.wnids)
    assert [loaded.lemmas(wnid) for wnid in loaded.wnids] == [graph.lemmas(wnid) for wnid in graph.wnids]
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["a.npz", "b.npz"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("small") / "small.npz"
    save(SMALL, path)
    return path.read_bytes()


@given(data=st.data())
@settings(max_examples=200)
def test_changed_byte_is_refused_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, saved: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(saved) - 1))
    byte = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.npz"
    path.write_bytes(saved[:place] + bytes([byte]) + saved[place + 1 :])
    try:
        assert load(path) == SMALL
    except WordNetError as error:
        assert error.code == "wordnet-damaged"  # noqa: PT017
