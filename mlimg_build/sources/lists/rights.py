"""Read the licence and author of single images from a CSV as published by Open Images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.image_ids import image_ids
from mlimg_build.sources.image_paths import composed_column
from mlimg_build.sources.lists.delimited import read_table, without_words
from mlimg_build.sources.lists.text_sizes import within
from mlimg_build.sources.protocol import Notes
from mlimg_build.text_limits import ID, RIGHTS

__all__ = ["Rights", "read_rights"]


@dataclass(frozen=True, slots=True)
class Rights:
    """Sorted digests of image ids, and for each a position in `licences` and in `authors`: 24 bytes per image."""

    ids: np.ndarray
    licence: np.ndarray
    author: np.ndarray
    licences: tuple[str, ...]
    authors: tuple[str, ...]

    def of(self, names: Sequence[str], licence: str, author: str) -> tuple[list[str], list[str]]:
        """Return the licence and the author of each image; the given defaults where the CSV has none."""
        at, known = self._rows(names)
        return (
            [
                (self.licences[self.licence[i]] if there else "") or licence
                for i, there in zip(at, known, strict=True)
            ],
            [
                (self.authors[self.author[i]] if there else "") or author
                for i, there in zip(at, known, strict=True)
            ],
        )

    def without(self, names: Sequence[str]) -> list[str]:
        """Return the images that the CSV does not contain."""
        return [name for name, there in zip(names, self._rows(names)[1], strict=True) if not there]

    def _rows(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the row of each image, and whether it has one."""
        wanted = _digests(names)
        at = np.minimum(np.searchsorted(self.ids, wanted), max(len(self.ids) - 1, 0))
        return at, self.ids[at] == wanted if len(self.ids) else np.zeros(len(wanted), dtype=bool)


def read_rights(path: Path, what: str, notes: Notes) -> Rights:
    """Return the rights in a CSV with ImageID, License and Author; the first row of an image counts.

    A row whose ImageID is a path also counts for the id derived from that path.
    """
    ids: list[np.ndarray] = []
    codes: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    values: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for batch, numbers in read_table(path, what, notes, ["ImageID", "License", "Author"]):
        short = np.ones(len(batch), bool)
        for name, most in (("ImageID", ID), ("License", RIGHTS), ("Author", RIGHTS)):
            short &= within(batch.column(name), most, name, numbers, path.name, notes)
        rows = batch if short.all() else batch.filter(pa.array(short))
        given = composed_column(pc.utf8_trim_whitespace(rows.column(0)))
        meant = image_ids(given, (), notes)
        other = np.flatnonzero(pc.not_equal(given, meant).to_numpy(zero_copy_only=False))
        ids += [_digests(given.to_pylist()), _digests(meant.take(pa.array(other)).to_pylist())]
        for column, coded, known in zip(rows.columns[1:], codes, values, strict=True):
            code = _coded(column, known)
            coded += [code, code[other]]
    joined = np.concatenate(ids)
    order = np.argsort(joined, kind="stable")
    licence, author = (np.concatenate(coded)[order] for coded in codes)
    return Rights(joined[order], licence, author, tuple(values[0]), tuple(values[1]))


def _coded(column: pa.Array, known: dict[str, int]) -> np.ndarray:
    """Return int32[n]: the position of each value in `known`, to which new values are added."""
    encoded = without_words(pc.utf8_trim_whitespace(column)).dictionary_encode()
    codes = [known.setdefault(value, len(known)) for value in encoded.dictionary.to_pylist()]
    coded: np.ndarray = np.array(codes, dtype=np.int32)[encoded.indices.to_numpy()]
    return coded


def _digests(names: Sequence[str]) -> np.ndarray:
    """Return bytes16[n]: a 16-byte BLAKE2b digest of each name, as names may have any length."""
    return np.array([blake2b(name.encode(), digest_size=16).digest() for name in names], dtype="S16")
