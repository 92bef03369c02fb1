"""Digests of content: equal if the values are equal, however they are compressed or stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset.format.layout import FORMAT

__all__ = ["attributes_digest", "canonical", "columns_digest", "copies_digest", "dataset_digest", "order_key"]


def canonical(value: object) -> bytes:
    """Return `value` as canonical JSON: sorted keys, no spaces, ASCII.

    >>> canonical({"b": 1, "a": ["é"]})
    b'{"a":["\\\\u00e9"],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def columns_digest(columns: Iterable[tuple[str, NDArray[Any]]]) -> str:
    """Return the sha256 (hex) of the name, dtype, shape and little-endian bytes of every column, in the order given.

    >>> import numpy as np
    >>> one = columns_digest([("a", np.array([1, 2], "<i4"))])
    >>> one == columns_digest([("a", np.array([1, 2], ">i4"))])
    True
    >>> one == columns_digest([("a", np.array([1, 2], "<i8"))])
    False
    """
    digest = hashlib.sha256()
    for name, values in columns:
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        header = canonical({"name": name, "dtype": little.dtype.str, "shape": list(little.shape)})
        digest.update(len(header).to_bytes(8, "little"))
        digest.update(header)
        digest.update(np.ascontiguousarray(little).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def copies_digest(tables: Mapping[str, Iterable[tuple[str, NDArray[Any]]]]) -> str:
    """Return the digest (hex) of the columns of all tables of copies."""
    return columns_digest(
        (f"{table}/{name}", values) for table, columns in tables.items() for name, values in columns
    )


def dataset_digest(
    *,
    tables: Mapping[str, Sequence[str]],
    categories: str,
    mappings: str,
    pairs: str,
    copies: str,
    splits: Mapping[str, tuple[int, Sequence[tuple[str, str]]]],
) -> str:
    """Return the sha256 (hex) that identifies a dataset's content.

    `categories`, `mappings`, `pairs` and `copies` are digests of columns; a split gives (images_per_shard, [(images
    digest, labels digest), …]). The digest of a shard covers its images through the column of their sha256.
    """
    content = {
        "format": FORMAT,
        "tables": {name: list(values) for name, values in tables.items()},
        "categories": categories,
        "mappings": mappings,
        "pairs": pairs,
        "copies": copies,
        "splits": {
            name: {"images_per_shard": size, "shards": [list(pair) for pair in shards]}
            for name, (size, shards) in splits.items()
        },
    }
    return hashlib.sha256(canonical(content)).hexdigest()


def attributes_digest(attributes: Mapping[str, object]) -> str:
    """Return the sha256 (hex) of all root attributes but this one: it covers what no other digest does."""
    rest = {name: value for name, value in attributes.items() if name != "attributes_digest"}
    return hashlib.sha256(canonical(rest)).hexdigest()


def order_key(image_id: bytes) -> bytes:
    """Return the sort key of a split's images, the sha256 of the id's UTF-8 bytes, so that a prefix is a sample."""
    return hashlib.sha256(image_id).digest()
