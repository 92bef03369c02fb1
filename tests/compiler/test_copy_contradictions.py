"""Contradictions among copies: the tally against every pair of them, one by one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.compiler.copies.copy_contradictions import CopyPair, Told, tally_copies

CATEGORY, WHO = st.integers(0, 2), st.sampled_from(["rows", "plain/a.csv", "plain/b.csv"])
TOLD = st.builds(
    Told,
    denied=st.dictionaries(CATEGORY, WHO),
    present=st.lists(st.tuples(CATEGORY, CATEGORY, WHO), max_size=4),
)


def one_by_one(group: Sequence[Told]) -> tuple[Counter[CopyPair], dict[CopyPair, tuple[int, int]]]:
    """Every copy that denies with every other that states."""
    count: Counter[CopyPair] = Counter()
    first: dict[CopyPair, tuple[int, int]] = {}
    for (i, one), (j, other) in permutations(enumerate(group), 2):
        for category, via, who in other.present:
            if category in one.denied:
                pair = CopyPair(category, one.denied[category], via, who)
                count[pair] += 1
                first.setdefault(pair, (i, j))
    return count, first


@given(st.lists(TOLD, max_size=7))
def test_the_tally_is_what_every_pair_of_copies_gives(group: list[Told]) -> None:
    tallied = list(tally_copies(group))
    count, first = one_by_one(group)
    assert {pair: times for pair, times, _ in tallied} == count
    assert {pair: where for pair, _, where in tallied} == first
    assert len(tallied) == len(count)


def test_what_a_copy_says_against_itself_is_no_contradiction_of_copies() -> None:
    both = Told({1: "rows"}, [(1, 1, "rows")])
    assert list(tally_copies([both, Told()])) == []
    assert list(tally_copies([both, both])) == [(CopyPair(1, "rows", 1, "rows"), 2, (0, 1))]


def test_twenty_thousand_copies_are_tallied_in_less_than_a_second() -> None:
    group = [Told({1: "rows"}, [(2, 2, "plain")]), Told({2: "plain"}, [(1, 0, "rows")])] * 10_000
    started = time.process_time()
    tallied = {pair: times for pair, times, _ in tally_copies(group)}
    assert tallied == {CopyPair(1, "rows", 0, "rows"): 10**8, CopyPair(2, "plain", 2, "plain"): 10**8}
    assert time.process_time() - started < 1
