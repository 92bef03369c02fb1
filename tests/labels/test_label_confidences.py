"""Stored confidences: a fraction never becomes the word of people."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlimg_build.labels import at_least, narrowed, written
from mlimg_build.labels.derivation.confidences import LARGEST_FRACTION, SMALLEST_FRACTION

SHARES = st.floats(0, 1, width=64)


@given(arrays(np.float64, st.integers(0, 20), elements=SHARES))
@example(np.array([np.nextafter(1, 0), np.nextafter(0, 1), 1 - 2**-25, 1 - 2**-26, 2.0**-150, 0.0, 1.0]))
def test_a_fraction_is_stored_as_the_nearest_that_is_neither_0_nor_1(given_values: np.ndarray) -> None:
    stored = narrowed(given_values)
    assert stored.dtype == np.float32
    assert np.array_equal(stored == 1, given_values == 1)
    assert np.array_equal(stored == 0, given_values == 0)
    fraction = (given_values > 0) & (given_values < 1)
    nearest = np.clip(given_values[fraction].astype(np.float32), SMALLEST_FRACTION, LARGEST_FRACTION)
    assert np.array_equal(stored[fraction], nearest)
    assert np.array_equal(narrowed(stored.astype(np.float64)), stored)


@given(st.lists(SHARES, max_size=20))
def test_storing_keeps_the_order(values: list[float]) -> None:
    assert (np.diff(narrowed(np.sort(np.array(values)))) >= 0).all()


@given(st.decimals(0, 1, places=4), st.decimals(0, 1, places=4), st.sampled_from([np.float32, np.float64]))
def test_a_typed_value_reaches_a_threshold_where_its_decimal_does(
    value: object, least: object, kind: type[np.floating]
) -> None:
    assert at_least(np.array([value], kind), float(str(least)))[0] == (value >= least)  # type: ignore[operator]


def test_a_threshold_is_not_rounded_to_the_value() -> None:
    assert not at_least(np.array([0.79999999]), 0.8)[0]
    assert at_least(np.array([0.8], np.float32), 0.8)[0]
    assert not at_least(np.array([0.8], np.float32), 0.80000001)[0]


@pytest.mark.parametrize("digits", [1, 3, 6])
@given(st.floats(0, 1, width=32, exclude_min=True, exclude_max=True))
@example(float(LARGEST_FRACTION))
@example(float(SMALLEST_FRACTION))
def test_no_fraction_is_shown_as_a_fact(digits: int, confidence: float) -> None:
    assert 0 < float(written(confidence, digits)) < 1
