"""The names of integer labels in a Parquet file's schema, as Hugging Face's `datasets` writes them.

Its key `huggingface` holds a JSON: {"info": {"features": {COLUMN: {"_type": "ClassLabel", "names": […]}}}}; lists are
{"_type": "Sequence" or "List", "feature": …}, or a list of one feature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlimg_build.text_limits import SMALL_FILE

__all__ = ["class_labels"]

KEY = b"huggingface"
LISTS = ("Sequence", "List", "LargeList")
DEEPEST = 16


def class_labels(metadata: Mapping[bytes, bytes] | None, column: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names of a column's labels, None if there are none; `column` has its name and those of fields in it.

    >>> kept = {b"huggingface": b'{"info": {"features": {"y": {"_type": "ClassLabel", "names": ["cat", "dog"]}}}}'}
    >>> class_labels(kept, ["y"]), class_labels(kept, ["z"])
    (('cat', 'dog'), None)

    Raises `ValueError` if the JSON is too long or not of this form.
    """
    text = (metadata or {}).get(KEY)
    if text is None:
        return None
    if len(text) > SMALL_FILE:
        raise ValueError(f"its features have {len(text):,} bytes, and at most {SMALL_FILE:,} are read")
    try:
        found: Any = json.loads(text)
    except RecursionError:
        raise ValueError("its features are nested too deeply") from None
    for key in ("info", "features", *column):
        found = _without_lists(found)
        found = found.get(key) if isinstance(found, dict) else None
    found = _without_lists(found)
    if not isinstance(found, dict) or found.get("_type") != "ClassLabel":
        return None
    names = found.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def _without_lists(feature: Any) -> Any:
    for _ in range(DEEPEST):
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif isinstance(feature, dict) and feature.get("_type") in LISTS and "feature" in feature:
            feature = feature["feature"]
        else:
            break
    return feature
