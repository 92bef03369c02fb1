"""Every image once a pass, mixed, and the same from any position on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.training import ShuffleOrder
from mlimg_build.training.data.shuffle_order import splitmix64

masks = st.integers(1, 9).flatmap(
    lambda per_shard: st.tuples(
        st.just(per_shard),
        st.lists(st.lists(st.booleans(), min_size=per_shard, max_size=per_shard), min_size=1, max_size=6),
        st.integers(1, per_shard),
    )
)


def usable(drawn: tuple[int, list[list[bool]], int]) -> list[NDArray[np.bool_]]:
    """Shards of which one in the middle and the last may be part-full, with at least one image that can be used."""
    _, shards, last = drawn
    made = [np.array(mask) for mask in shards]
    made[-1] = made[-1][:last]
    made[len(made) // 2] = made[len(made) // 2][:last]
    made[0][0] = True
    return made


@given(masks, st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_a_pass_has_every_usable_image_once(
    drawn: tuple[int, list[list[bool]], int], window: int, seed: int
) -> None:
    shards = usable(drawn)
    order = ShuffleOrder(shards, window, seed)
    rows = np.flatnonzero(np.concatenate(shards))
    for number in range(3):
        assert sorted(order.rows(number * len(order), len(order)).tolist()) == rows.tolist()


@given(masks, st.integers(1, 4), st.lists(st.integers(0, 60), min_size=2, max_size=6))
def test_any_position_can_be_asked_for_alone(
    drawn: tuple[int, list[list[bool]], int], window: int, starts: list[int]
) -> None:
    shards = usable(drawn)
    whole = ShuffleOrder(shards, window, 1).rows(0, 100)
    order = ShuffleOrder(shards, window, 1)
    for start in starts:
        assert order.rows(start, 40).tolist() == whole[start : start + 40].tolist()


def test_neighbours_part_and_passes_differ() -> None:
    order = ShuffleOrder([np.ones(100, bool)] * 10, 4, 0)
    first, second = order.rows(0, 1000), order.rows(1000, 1000)
    assert (first != second).mean() > 0.9
    assert (np.abs(np.diff(first)) == 1).mean() < 0.05
    shards = first[:400] // 100  # a window of four shards
    assert len(np.unique(shards)) == 4
    assert len(np.unique(shards[:40])) == 4
    assert (first != ShuffleOrder([np.ones(100, bool)] * 10, 4, 1).rows(0, 1000)).mean() > 0.9


def test_the_order_is_the_same_on_every_machine_and_with_every_version() -> None:
    assert (
        int(splitmix64(0)) == 0xE220A8397B1DCDAF
    )  # the first output of SplitMix64 with seed 0, as published
    order = ShuffleOrder([np.ones(5, bool), np.ones(3, bool)], 2, 42)
    assert order.rows(0, 16).tolist() == [5, 2, 0, 7, 6, 1, 4, 3, 5, 4, 0, 3, 7, 1, 2, 6]
