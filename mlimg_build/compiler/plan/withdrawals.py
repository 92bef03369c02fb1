"""The images that a spec takes down: by id, by URL, or by the sha256 of their bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.engine.cache import Store, read_json, write_json
from mlimg_build.compiler.facts.id_lists import text_of
from mlimg_build.errors import Place, Problem, SpecError
from mlimg_build.fetch.names.urls import LONGEST, BadUrl, parse_url
from mlimg_build.sources.image_paths import composed
from mlimg_build.spec import LoadedSpec

__all__ = ["LEDGER", "STATUS", "Withdrawals", "normal_url", "read_withdrawals", "record_found", "withdrawals"]

STATUS = "withdrawn"
FOUND = "withdrawn.json"  # in the store: sha256 → the ids of images that had these bytes
LEDGER = "ledger"  # there in place of a sha256: the ledger of a store that specs share says that they are taken down
DIGEST = re.compile(r"[0-9a-fA-F]{64}")
URL = re.compile(r"https?://", re.IGNORECASE)
COMMENT = re.compile(r"(?:^|\s)#.*")  # a # within a word belongs to it, as in a URL


@dataclass(frozen=True, slots=True)
class Withdrawals:
    """The entries of a list: ids of images, URLs (in normal form), sha256 (hex).

    `found` are the ids of images whose bytes had a listed sha256: known once they were packed or fetched.
    """

    ids: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()
    found: Mapping[str, str] = field(default_factory=dict)  # id → sha256

    def __bool__(self) -> bool:
        return bool(self.ids or self.urls or self.digests or self.found)

    @property
    def digest(self) -> str:
        """Return a digest (hex) of what decides which rows are taken down; "" if none is."""
        named = sorted({*self.ids, *self.urls, *self.found})
        return hashlib.sha256("\n".join(named).encode("utf-8", "surrogatepass")).hexdigest() if named else ""

    def chosen(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Return bool[rows]: which rows, with the columns `id`, `path` and `status`, are taken down."""
        named = pa.array(sorted({*self.ids, *self.found}), pa.string())
        found: npt.NDArray[np.bool_] = pc.is_in(batch.column("id"), value_set=named).to_numpy(
            zero_copy_only=False
        )
        if self.urls:
            found = found.copy()
            at_urls = np.flatnonzero(
                pc.equal(batch.column("status"), "not_fetched").to_numpy(zero_copy_only=False)
            )
            paths = batch.column("path").take(pa.array(at_urls)).to_pylist()
            found[at_urls] |= np.array([normal_url(path) in self.urls for path in paths], np.bool_)
        return found

    def met(self, ids: Iterable[str], paths: Iterable[str]) -> set[str]:
        """Return the entries that name images with these ids, or at these URLs."""
        urls = {normal_url(path) for path in paths} if self.urls else set()
        return {*(self.ids & {*ids}), *(self.urls & urls)}


def normal_url(text: str) -> str:
    """Return a URL in normal form, or the text itself if it is none.

    >>> normal_url("HTTP://A.example"), normal_url("photos/1.jpg")
    ('http://a.example/', 'photos/1.jpg')
    """
    try:
        return parse_url(text).text
    except BadUrl:
        return text


def read_withdrawals(path: Path) -> Withdrawals:
    """Return the entries of a list: one a line, `#` before comments.

    64 hexadecimal digits are a sha256, what begins with `http://` or `https://` is a URL, all else is an id.

    Raises:
        SpecError: `list-unreadable` if it cannot be read, or an entry has more than 4,096 characters.
    """
    ids, urls, digests = set(), set(), set()
    for number, line in enumerate(text_of(path, "the list of withdrawn images").splitlines(), start=1):
        entry = COMMENT.sub("", line).strip()
        if len(entry) > LONGEST:
            message = f"an entry has {len(entry):,} characters, and at most {LONGEST:,} are read"
            place = Place(str(path), number, 1)
            raise SpecError(Problem("list-unreadable", message, place, "correct or remove it"))
        if DIGEST.fullmatch(entry):
            digests.add(entry.lower())
        elif URL.match(entry):
            urls.add(normal_url(entry))
        elif entry:
            ids.add(composed(entry))
    return Withdrawals(frozenset(ids), frozenset(urls), frozenset(digests))


def withdrawals(loaded: LoadedSpec, store: Store) -> Withdrawals:
    """Return what a spec takes down, with the ids that builds into the store found for its sha256 or in a ledger.

    Raises:
        SpecError: `list-unreadable`.
    """
    path = loaded.spec.rights.withdrawn
    listed = Withdrawals() if path is None else read_withdrawals(path)
    found = {
        str(image): sha256
        for sha256, ids in sorted(read_json(store.root / FOUND).items())
        if (sha256 in listed.digests or sha256 == LEDGER) and isinstance(ids, list)
        for image in ids
    }
    return Withdrawals(listed.ids, listed.urls, listed.digests, found)


def record_found(store: Store, found: Iterable[tuple[str, str]]) -> None:
    """Record (sha256, id) of images whose bytes are taken down, so that every later plan knows them."""
    found = list(found)
    if not found:
        return
    known: dict[str, Collection[str]] = {**read_json(store.root / FOUND)}
    for sha256, image in found:
        known[sha256] = sorted({*known.get(sha256, ()), image})
    write_json(store.root / FOUND, known)
