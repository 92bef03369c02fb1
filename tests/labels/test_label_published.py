"""The published dictionary and rows of ML-Images, beside what this algebra makes of them."""

from __future__ import annotations

from collections.abc import Mapping

from mlimg_build.labels import PRESENT, Hierarchy, imply
from tests.support.label_world import Published, Said, confidences, row_of, statements

FIRST_RULE_WINS = {9, 13, 16, 29, 30, 32, 39, 42}
"""Rows, from 1, in which the published file keeps the confidence of the first rule that gave a label, though
a stronger statement implies it: a machine's vehicle 0.9 above a verified craft."""
SAID_TWICE = {14, 21, 29, 30, 39}
"""Rows, from 1, in which a machine said both a category and one above it: table and furniture."""


def above(hierarchy: Hierarchy, category: int) -> set[int]:
    return set(hierarchy.hops[[category]].indices.tolist())


def test_the_tree_has_its_published_figures(published: Published) -> None:
    tree = published.tree
    assert len(tree) == 11_166
    assert tree.pairs == 83_422
    assert {published.names[root].split(",")[0] for root in tree.roots} == {
        "thing",
        "matter",
        "object",
        "atmospheric phenomenon",
    }
    assert tree.depths.max() == 16
    assert round(float(tree.depths.mean()), 4) == 7.4711


def test_the_dag_over_the_same_ids_implies_more(published: Published) -> None:
    dag, tree = published.dag, published.tree
    assert len(dag) == 11_166
    assert dag.pairs == 88_196
    both = (dag.hops > 0).multiply(tree.hops > 0).nnz
    assert dag.pairs - both == 4_849, "pairs that the tree misses"
    assert tree.pairs - both == 75, "pairs that WordNet lacks"
    dog, domestic = published.wnids.index("n02084071"), published.wnids.index("n01317541")
    assert domestic in above(dag, dog)
    assert domestic not in above(tree, dog)


def test_a_verified_label_comes_with_every_ancestor(published: Published) -> None:
    verified = 0
    for row in published.rows:
        for category in (category for category, sure in row.items() if sure == 1):
            assert above(published.tree, category) <= row.keys()
            verified += 1
    assert (len(published.rows), sum(map(len, published.rows)), verified) == (50, 417, 254)


def test_closing_the_verified_labels_adds_nothing(published: Published) -> None:
    for row in published.rows:
        verified = {category: sure for category, sure in row.items() if sure == 1}
        assert confidences(imply(row_of(verified), published.tree)).keys() <= row.keys()


def test_one_machine_level_reproduces_every_row(published: Published) -> None:
    """A row can come from statements where all of its labels that imply nothing outside it give it back."""
    differing = set()
    for number, row in enumerate(published.rows, start=1):
        possible = {
            category: sure
            for category, sure in row.items()
            if confidences(imply(row_of({category: sure}), published.tree, machine_levels=1)).keys()
            <= row.keys()
        }
        again = confidences(imply(row_of(possible), published.tree, machine_levels=1))
        assert again.keys() == row.keys()
        assert all(again[category] >= sure for category, sure in row.items())
        if again != row:
            differing.add(number)
    assert differing == FIRST_RULE_WINS


def test_the_most_specific_labels_of_a_row_give_it_back(published: Published) -> None:
    differing = set()
    for number, row in enumerate(published.rows, start=1):
        implied = set().union(*(above(published.tree, category) for category in row))
        specific = {category: sure for category, sure in row.items() if category not in implied}
        again = confidences(imply(row_of(specific), published.tree, machine_levels=1))
        assert again.keys() <= row.keys()
        if again.keys() != row.keys():
            differing.add(number)
    assert differing == SAID_TWICE


def most_specific(row: Mapping[int, float], tree: Hierarchy) -> list[tuple[int, float]]:
    """What somebody must have said, in the order of the row, for the published rule to give exactly the row.

    A label that an earlier one implies was not said. Any other was, unless it implies what the row does not have:
    then a label below it was said again.
    """
    said: list[tuple[int, float]] = []
    there: set[int] = set()

    def implied(category: int, sure: float) -> set[int]:
        return {category} | (
            above(tree, category) if sure == 1 else set(tree.parents[[category]].indices.tolist())
        )

    for category, sure in row.items():
        if category in there:
            continue
        fits = (other for other in [category, *row] if category in implied(other, sure) <= row.keys())
        spoken = next(fits)
        said.append((spoken, sure))
        there |= implied(spoken, sure)
    return said


def test_all_published_rows_come_from_their_most_specific_labels(published: Published) -> None:
    """Labels, confidences and all, in the mode that imitates the published data."""
    shorter = 0
    for row in published.rows:
        said = most_specific(row, published.tree)
        columns = statements(
            Said(0, category, PRESENT, sure, category, record) for record, (category, sure) in enumerate(said)
        )
        again = confidences(imply(columns, published.tree, machine_levels=1, strongest=False))
        assert again == row
        shorter += len(said) < len(row)
    assert (shorter, len(published.rows)) == (50, 50)


def test_with_all_levels_machine_labels_reach_beyond_the_published_rows(published: Published) -> None:
    longer = [row for row in published.rows if len(imply(row_of(row), published.tree)) > len(row)]
    assert len(longer) > 20
