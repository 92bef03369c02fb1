"""Which rows of a dataset hold bytes, labels or authors of listed images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlimg_build.compiler.plan.withdrawals import Withdrawals, normal_url
from mlimg_build.compiler.takedown.stored_images import rows_with_digests
from mlimg_build.dataset import Dataset, Split
from mlimg_build.dataset.read.array_files import read_array, read_texts
from mlimg_build.errors import MlimgError

__all__ = ["Finding", "Listed", "held_rows", "result_rows"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something of a listed image that is still there: the entry, what it is (bytes, labels, …), and where."""

    entry: str
    what: str
    place: str


@dataclass(frozen=True, slots=True)
class Listed:
    """The entries to look for; an id `SOURCE/URL` is named by its URL, too."""

    ids: frozenset[str]
    urls: frozenset[str]
    digests: frozenset[str]

    @classmethod
    def of(cls, withdrawn: Withdrawals) -> Listed:
        """Return the entries of a list, with the ids that their sha256 were found to be."""
        return cls(withdrawn.ids | set(withdrawn.found), withdrawn.urls, withdrawn.digests)

    def names(self, text: str) -> str:
        """Return the entry that a text is, as an id or a URL, or as an id that ends in a URL; "" if none.

        >>> listed = Listed(frozenset({"web/1.jpg"}), frozenset({"http://a.example/2"}), frozenset())
        >>> listed.names("web/1.jpg"), listed.names("web/http://a.example/2"), listed.names("web/3.jpg")
        ('web/1.jpg', 'http://a.example/2', '')
        """
        if text in self.ids:
            return text
        if self.urls and "://" in text:
            at = max(text.lower().find("http://"), text.lower().find("https://"))
            found = normal_url(text[at:]) if at >= 0 else ""
            if found in self.urls:
                return found
        return ""


def held_rows(dataset: Dataset, listed: Listed, *, read: bool = False) -> Iterator[Finding]:
    """Yield what a dataset holds of listed images; one shard's columns are in memory at a time.

    With `read`, the bytes of every image are read and digested, too: those that changed in place are found.
    """
    for split in dataset.splits.values():
        for shard in range(split.shards):
            yield from _of_shard(dataset, split, shard, listed, read=read)


def result_rows(folder: Path, listed: Listed, place: str) -> Iterator[Finding]:
    """Yield what a stored shard of images, in a folder of the cache, holds of listed images.

    Raises:
        DamagedDataset: `column-unreadable`.
    """
    ids, authors = (read_texts(folder, name).tolist() for name in ("id", "author"))
    start, stop, licence = (read_array(folder / name) for name in ("start", "stop", "licence"))
    told = {
        "bytes": stop > start,
        "licence": licence > 0,
        "author": np.array([author != "" for author in authors]),
    }
    for row, image in enumerate(ids):
        entry = listed.names(image)
        for what, there in told.items() if entry else ():
            if there.reshape(-1)[row]:
                yield Finding(entry, what, f"{place}, {image}")
    for name in ("digest", "source_digest"):
        if (folder / name).exists():
            for row, sha256 in rows_with_digests(read_array(folder / name), listed.digests).items():
                yield Finding(sha256, "bytes", f"{place}, {ids[row]}")


def _of_shard(dataset: Dataset, split: Split, shard: int, listed: Listed, *, read: bool) -> Iterator[Finding]:
    place = f"{dataset.path.name}/{split.name}/shard {shard}"
    ids = split.texts("images/id", shard).tolist()
    spans = split.spans("images", shard)
    labels, clashes = split.spans("labels", shard), split.spans("contradictions", shard)
    told = {
        "bytes": spans[:, 1] > spans[:, 0],
        "labels": labels[:, 1] > labels[:, 0],
        "contradictions": clashes[:, 1] > clashes[:, 0],
        "author": np.array(
            [bool(author) for author in split.texts("images/author", shard).tolist()], np.bool_
        ),
        "licence": split.column("images/licence", shard) > 0,
    }
    for row, image in enumerate(ids):
        entry = listed.names(image)
        for what, there in told.items() if entry else ():
            if there[row]:
                yield Finding(entry, what, f"{place}, {image}")
    names = ("digest", "source_digest") if dataset.layout.source_digest else ("digest",)
    for name in names:
        for row, sha256 in rows_with_digests(split.column(f"images/{name}", shard), listed.digests).items():
            what = "bytes" if told["bytes"][row] else "digest"
            yield Finding(sha256, what, f"{place}, {ids[row]}")
    if read:
        yield from _read(split, shard, ids, listed, place, np.flatnonzero(told["bytes"]))


def _read(
    split: Split, shard: int, ids: list[str], listed: Listed, place: str, rows: NDArray[np.int64]
) -> Iterator[Finding]:
    """Yield the images whose bytes are listed, or are not those of their digest, so that nobody knows what they are."""
    first = split.rows(shard).start
    digests = split.column("images/digest", shard)
    for row in rows.tolist():
        try:
            found = hashlib.sha256(split.read(first + row))
        except MlimgError as error:
            yield Finding("", f"unreadable bytes ({error})", f"{place}, {ids[row]}")
            continue
        if found.hexdigest() in listed.digests:
            yield Finding(found.hexdigest(), "bytes", f"{place}, {ids[row]}")
        elif found.digest() != digests[row].tobytes():
            yield Finding("", "bytes that are not those of its digest", f"{place}, {ids[row]}")
