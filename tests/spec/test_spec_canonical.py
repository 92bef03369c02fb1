"""One value has one text."""

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.spec import canonical_json, digest_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_the_text_reads_back_as_the_value(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), json_values))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    assert digest_of(dict(reversed(value.items()))) == digest_of(value)


def test_the_text_is_as_agreed() -> None:
    assert canonical_json({"ü": (1, 2.5), "a": [None, True]}) == '{"a":[null,true],"ü":[1,2.5]}'.encode()
    assert canonical_json(1e-4) == b"0.0001"
    assert digest_of({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("value", [{1, 2}, Path("/data"), b"x", {1: 2}, np.float64(1), Decimal(1), object()])
def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="value"):
        canonical_json({"part": [value]})


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800"])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical_json({"part": value})


def test_a_value_in_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="nested"):
        canonical_json(value)
