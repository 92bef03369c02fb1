"""The images of a shard that came from URLs, as a worker that packs it takes them out of the content store."""

from __future__ import annotations

from collections.abc import Callable

from mlimg_build.compiler.engine.cache import Key, Store
from mlimg_build.compiler.plan.fetched_rows import FetchedRow, read_fetched
from mlimg_build.errors import BuildError, Problem
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.content_store import ContentStore, open_content_store
from mlimg_build.images import BadImage, Status

__all__ = ["FetchedImages"]

Taken = Callable[[], tuple[bytes, int]]


class FetchedImages:
    """What came of the URLs of one shard; nothing where nobody asked for them."""

    def __init__(self, store: Store, fetched: Key | None, content: str) -> None:
        self._store, self._key, self._place = store, fetched, content
        self._rows: dict[int, FetchedRow] = {} if fetched is None else read_fetched(store.path(fetched))
        self._lost: list[str] = []
        self._content: ContentStore | None = None

    def taking(self, row: int, status: str) -> Taken | None:
        """Return a function that returns the bytes of a row, with 0 for the ctime of a file; None if it has no URL.

        `status` is that of the planned row: what is taken down has none either.

        The function raises `BadImage` with the state of the URL if there are no bytes.
        """
        found = self._rows.get(row) if status == Status.not_fetched.name else None
        return None if found is None else lambda: (self._bytes(found), 0)

    def _bytes(self, found: FetchedRow) -> bytes:
        if found.state != State.ok.name:
            status = Status[found.state]
            raise BadImage.because(status, found.answer or status.meaning)
        if self._content is None:
            self._content = open_content_store(self._place)
        data = self._content.read(found.digest)
        if data is None:
            self._lost.append(found.digest)
            raise BadImage.because(Status.not_fetched, "the store lost its bytes")
        return data

    def raise_lost(self) -> None:
        """Raise `BuildError` `stored-image-lost` if the store lacks bytes that came; they are asked for again then."""
        if not self._lost or self._key is None:
            return
        self._store.drop(self._key)
        others = f" and {len(self._lost) - 1:,} others of its shard" if len(self._lost) > 1 else ""
        message = f"the store has no whole file {self._lost[0]}{others}, though its URL was fetched"
        hint = "run the same command again: what is missing is fetched again, but for --offline"
        raise BuildError(Problem("stored-image-lost", message, hint=hint))
