"""Read the bytes of an image from a file, a tar or a Parquet file, and check that it is the file that was planned."""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from pathlib import Path, PurePosixPath
from types import TracebackType

from mlimg_build.errors import Place, SourceError, TransientError
from mlimg_build.regular_files import open_regular
from mlimg_build.sources.embedded.page_reader import FileState, PageError, PageReader
from mlimg_build.sources.protocol import NOT_INSIDE, WHOLE_FILE
from mlimg_build.sources.read_errors import away, changed, is_gone, is_of_one_file, unread

__all__ = ["ImageReader"]

PLAIN = (
    os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
)  # opening a pipe must not block
PIECE = 1 << 30
LISTINGS = 4  # folders whose last listing is cached


class ImageReader:
    """Reads images below a root and keeps the last `kept_open` tars and Parquet files open; close it when done.

    `source` and `place` are the name of the source and the place of its folder in the spec, for errors.
    """

    def __init__(
        self, root: Path, source: str = "", place: Place | None = None, *, kept_open: int = 8
    ) -> None:
        self.root = root
        self.source = source
        self.place = place
        self.kept_open = kept_open
        self._open: OrderedDict[str, int] = OrderedDict()
        self._pages = PageReader()
        self._listed: OrderedDict[Path, tuple[tuple[int, int, int], frozenset[str]]] = OrderedDict()

    def __enter__(self) -> ImageReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, path: str, offset: int, size: int, inside: int = NOT_INSIDE) -> bytes:
        """Return the bytes of an image; fewer than `size` if a tar was truncated.

        Raises `OSError`, and the errors of `PageReader.read` for a value `inside` a page.
        """
        if offset == WHOLE_FILE:
            descriptor = open_regular(self.root / path)
            try:
                return _stretch(descriptor, 0, os.fstat(descriptor).st_size)
            finally:
                os.close(descriptor)
        descriptor = self._descriptor(path)
        if inside != NOT_INSIDE:
            status = os.fstat(descriptor)
            state = FileState(path, status.st_size, status.st_mtime_ns)
            return self._pages.read(descriptor, state, offset, inside)
        end = min(offset + size, os.fstat(descriptor).st_size)  # a damaged size must not claim all memory
        return _stretch(descriptor, offset, end)

    def read_planned(
        self, path: str, offset: int, size: int, mtime: int, inside: int = NOT_INSIDE
    ) -> tuple[bytes, int]:
        """Return the bytes of an image and the ctime (ns) of its file, after checking that the plan saw this file.

        The file must have the given `mtime` (ns) before and after reading, and the given `size` if it is the image's
        own. By the ctime a later plan detects a changed file whose mtime was set back; it is 0 if it changed during
        the reading.

        Raises:
            PageError: as `PageReader.read` does, for a value `inside` a page, with the ctime.
            FileNotFoundError: if a fresh listing of the existing folder lacks the file.
            SourceError: `source-changed` if it is another file than the plan saw.
            TransientError: `source-away`, `file-unreadable` or `read-failed`, none of them a fact about the file.
        """
        for _ in range(2):
            try:
                return self._read_planned(path, offset, size, mtime, inside)
            except OSError as error:
                self._forget(path)  # a stale handle stays stale
                if not is_gone(error):
                    raise self._why(path, error) from error
                if not self._is_listed(path):
                    raise FileNotFoundError(error.errno, "gone", path) from error
        raise away(self.source, f"{path} is listed in its folder and leads nowhere", self.place)

    def close(self) -> None:
        """Close every tar."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _read_planned(self, path: str, offset: int, size: int, mtime: int, inside: int) -> tuple[bytes, int]:
        if offset != WHOLE_FILE:
            return self._compared(self._descriptor(path), path, offset, size, mtime, inside)
        descriptor = os.open(self.root / path, PLAIN)
        try:
            return self._compared(descriptor, path, offset, size, mtime, inside)
        finally:
            os.close(descriptor)

    def _compared(
        self, descriptor: int, path: str, offset: int, size: int, mtime: int, inside: int
    ) -> tuple[bytes, int]:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise changed(self.source, path, "it is no plain file any more", self.place)
        if offset == WHOLE_FILE:
            if before.st_size != size:
                what = f"it had {size:,} bytes and has {before.st_size:,}"
                raise changed(self.source, path, what, self.place)
            offset = 0
        if before.st_mtime_ns != mtime:
            raise changed(self.source, path, "it was written since", self.place)
        if inside != NOT_INSIDE:
            state = FileState(path, before.st_size, mtime)
            data = self._value(descriptor, state, offset, inside)
        else:
            data = _stretch(descriptor, offset, min(offset + size, before.st_size))
        after = os.fstat(descriptor)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise changed(self.source, path, "it changed while it was read", self.place)
        if inside == NOT_INSIDE and len(data) != size:
            raise changed(self.source, path, "it is shorter than it was", self.place)
        return data, before.st_ctime_ns if after.st_ctime_ns == before.st_ctime_ns else 0

    def _value(self, descriptor: int, state: FileState, offset: int, inside: int) -> bytes:
        try:
            return self._pages.read(descriptor, state, offset, inside)
        except PageError as error:
            now = os.fstat(descriptor)
            if (now.st_size, now.st_mtime_ns) != (state.size, state.mtime):
                raise changed(self.source, state.path, "it changed while it was read", self.place) from None
            error.ctime = now.st_ctime_ns
            raise

    def _why(self, path: str, error: OSError) -> SourceError:
        """Return the error for an `OSError` other than "no such file", by whether the folder can be listed."""
        if is_of_one_file(error):
            try:
                with os.scandir((self.root / path).parent) as entries:
                    next(entries, None)
            except OSError as other:
                return self._lost(str(PurePosixPath(path).parent), other)
            return unread(self.source, path, error, self.place)
        try:
            os.stat(f"{self.root}/.")  # noqa: PTH116
        except OSError as other:
            return self._lost(".", other)
        return unread(self.source, path, error, self.place)

    def _is_listed(self, path: str) -> bool:
        """Return whether a fresh listing of its folder has the file. Raises `TransientError` if the folder is lost."""
        *above, name = PurePosixPath(path).parts
        return name in self._listing(self.root.joinpath(*above), name)

    def _listing(self, folder: Path, name: str) -> frozenset[str]:
        """Return the names in a folder, from the cache if the folder is unchanged and the cached names lack `name`."""
        known = self._listed.get(folder)
        try:
            status = folder.stat()
            state = (status.st_dev, status.st_ino, status.st_mtime_ns)
            if known is not None and known[0] == state and name not in known[1]:
                return known[1]
            names = frozenset(os.listdir(folder))  # noqa: PTH208  names, a million of them in little time
        except OSError as error:
            raise self._lost(str(folder.relative_to(self.root)), error) from error
        if not names:
            raise self._empty(str(folder.relative_to(self.root)))
        self._listed[folder] = (state, names)
        while len(self._listed) > LISTINGS:
            self._listed.popitem(last=False)
        return names

    def _lost(self, below: str, error: OSError) -> TransientError:
        """Return the error for a folder that cannot be listed: the root if that is lost or empty, else the folder."""
        if below not in ("", "."):
            try:
                with os.scandir(self.root) as entries:
                    if next(entries, None) is None:
                        return self._empty(".")
            except OSError as other:
                return self._lost(".", other)
        why = "is not there any more" if is_gone(error) else f"cannot be listed ({error.strerror})"
        return away(self.source, f"{_folder(below)} {why}: {self.root / below}", self.place)

    def _empty(self, below: str) -> TransientError:
        return away(self.source, f"{_folder(below)} is empty now: {self.root / below}", self.place)

    def _forget(self, path: str) -> None:
        descriptor = self._open.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)

    def _descriptor(self, path: str) -> int:
        if path not in self._open:
            opened = os.open(self.root / path, PLAIN)
            while len(self._open) >= self.kept_open:
                os.close(self._open.popitem(last=False)[1])
            self._open[path] = opened
        self._open.move_to_end(path)
        return self._open[path]


def _folder(below: str) -> str:
    return "its folder" if below in ("", ".") else f"the folder {below}"


def _stretch(descriptor: int, start: int, stop: int) -> bytes:
    """Return the bytes `start` to `stop` of an open file, fewer if it ends before."""
    first = os.pread(descriptor, min(max(stop - start, 0), PIECE), start)
    if len(first) >= stop - start:
        return first
    pieces = [first]
    start += len(first)
    while start < stop and (piece := os.pread(descriptor, min(stop - start, PIECE), start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)
