"""Tallies of labels, of whole shards and of damaged ones."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlimg_build.dataset.format.counts import label_tally


@pytest.mark.parametrize("wild", [False, True])
@given(data=st.data(), count=st.integers(0, 60))
def test_every_label_is_counted_once(wild: bool, data: st.DataObject, count: int) -> None:
    states = st.integers(-128, 127) if wild else st.sampled_from([-1, 1])
    rules, sources = (st.integers(0, most) for most in ((255, 65535) if wild else (4, 3)))
    state, rule, source = (
        data.draw(arrays.arrays(dtype, count, elements=kind))
        for dtype, kind in (("i1", states), ("u1", rules), ("u2", sources))
    )
    seen = Counter(zip(state.tolist(), rule.tolist(), source.tolist(), strict=True))
    assert label_tally(state, rule, source) == sorted((*key, number) for key, number in seen.items())


def test_wild_codes_cost_no_memory() -> None:
    state, rule, source = np.array([127], "i1"), np.array([255], "u1"), np.array([65535], "u2")
    tracemalloc.start()
    try:
        assert label_tally(state, rule, source) == [(127, 255, 65535, 1)]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20  # an array of all codes has 16 GiB
    finally:
        tracemalloc.stop()
