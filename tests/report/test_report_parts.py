"""Flows, trees and plots: what they draw follows from the numbers alone."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.dataset import Categories
from mlimg_build.dataset.format.text import pack
from mlimg_build.report import branches, charts, draw, records
from mlimg_build.report.sankey import Flow, Link, Node
from tests.support.html_page import parse


def flow(counts: list[list[int]]) -> Flow:
    """Two columns joined by these counts."""
    nodes = [Node(f"a{i}", f"left {i}", 0, "plain") for i in range(len(counts))]
    nodes += [Node(f"b{j}", f"right {j}", 1, "good") for j in range(len(counts[0]))]
    links = [Link(f"a{i}", f"b{j}", n) for i, row in enumerate(counts) for j, n in enumerate(row)]
    return Flow("test", ("from", "to"), tuple(nodes), tuple(links), "things")


@given(
    st.lists(st.lists(st.integers(0, 10**9), min_size=3, max_size=3), min_size=1, max_size=6), st.booleans()
)
def test_nodes_never_overlap_and_every_stream_is_seen(counts: list[list[int]], narrow: bool) -> None:
    drawn = parse(draw(flow(counts), width=400, narrow=narrow))
    streams = drawn.all("path", "stream")
    assert len(streams) == sum(count > 0 for row in counts for count in row)
    columns: dict[str, list[tuple[float, float]]] = {}
    for bar in drawn.all("rect"):
        y, height = float(bar.attributes["y"]), float(bar.attributes["height"])
        assert height >= 1.4
        columns.setdefault(bar.attributes["x"], []).append((y, y + height))
    for bars in columns.values():
        assert all(above[1] < below[0] for above, below in pairwise(bars))


def packed(name: str, values: list[str]) -> dict[str, np.ndarray]:
    data, stops = pack(values, name)
    return {name: data, f"{name}_stop": stops}


def categories(parents: list[list[int]], positives: list[int]) -> Categories:
    """Categories called by their number."""
    names = [f"c{i}" for i in range(len(parents))]
    return Categories(
        {
            **packed("wnid", [f"n{i:08}" for i in range(len(parents))]),
            **packed("name", names),
            "positives": np.array(positives),
            "negatives": np.zeros(len(parents), np.int64),
            "parent_start": np.cumsum([0, *map(len, parents)]),
            "parent_index": np.array([p for row in parents for p in row], np.int32),
        }
    )


def test_a_category_stands_under_each_of_its_parents_the_most_frequent_first() -> None:
    top, hidden = branches(categories([[], [0], [0], [1, 2]], [9, 1, 5, 1]))
    (root,) = top
    assert hidden == 0
    assert [child.name for child in root.children] == ["c2", "c1"]
    assert [child.children[0].name for child in root.children] == ["c3", "c3"]


def test_a_tree_too_large_to_write_out_says_what_is_hidden() -> None:
    many = categories([[], *([0] for _ in range(3_000)), *([1] for _ in range(50))], [1] * 3_051)
    (root,), _ = branches(many)
    assert (len(root.children), root.hidden, root.open) == (0, 3_000, False)
    assert len(records(many, [root])["wnid"]) == 3_051


def test_a_lattice_whose_places_explode_is_cut() -> None:
    layers = [[]] + [[i] if i == 0 else [i, i - 1] for i in range(60)]
    top, _ = branches(categories(layers, [1] * len(layers)))
    places, front = 0, list(top)
    while front:
        places += 1
        front.extend(front.pop().children)
    assert places <= 400


@pytest.mark.parametrize("counts", [[0], [5], [0, 3], [3, 0, 0, 1], [1] * 500])
def test_a_histogram_of_anything_is_drawn_or_left_out(counts: list[int]) -> None:
    drawn = charts.histogram("h", np.array(counts), "present", "present")
    assert bool(drawn) == (len(counts) > 1)
    if drawn:
        assert parse(drawn).all("svg", "plot")
        assert drawn == charts.histogram("h", np.array(counts), "present", "present")


def test_ranks_of_nothing_are_left_out_and_of_one_are_a_point() -> None:
    none = np.zeros(3, np.int64)
    assert charts.rank(none, none) == ""
    assert "1 categories, from 7 images" in charts.rank(np.array([7]), np.array([0]))
    assert not re.findall(r"https?:", charts.rank(np.array([7]), np.array([2])))
