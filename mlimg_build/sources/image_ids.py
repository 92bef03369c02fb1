"""Derive image ids from paths: the last part of a path without its suffix."""

from __future__ import annotations

from collections.abc import Container

import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.image_files import SUFFIXES, stem
from mlimg_build.sources.image_paths import composed, composed_column, normal_path
from mlimg_build.sources.protocol import Notes

__all__ = ["image_id", "image_ids"]

A_PATH = rf"[/\\]|(?i:{'|'.join(f'[.]{suffix[1:]}' for suffix in sorted(SUFFIXES))})$"


def image_id(path: str) -> str:
    """Return the id of the image at a path, in NFC.

    >>> image_id("train/0a1b.jpg"), image_id("train\\\\0a1b.JPG"), image_id("0a1b")
    ('0a1b', '0a1b', '0a1b')
    """
    return composed(stem(normal_path(path.replace("\\", "/"))).rsplit("/", 1)[-1])


def image_ids(given: pa.Array, known: Container[str], notes: Notes) -> pa.Array:
    """Return the ids of a list in NFC; paths that are no `known` id are reduced to their id, which is noted."""
    column = composed_column(given)
    odd = pc.match_substring_regex(column, A_PATH)
    if not pc.any(odd).as_py():
        return column
    spelled = column.filter(odd).to_pylist()
    plain = [text if text in known else image_id(text) for text in spelled]
    for text, name in zip(spelled, plain, strict=True):
        if text != name:
            notes.add("other-spelling", f"{text} is {name}")
    return pc.replace_with_mask(column, odd, pa.array(plain, pa.string()))
