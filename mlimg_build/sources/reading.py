"""The bytes of one image, from a file of its own or from inside a tar."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from types import TracebackType

from mlimg_build.sources.protocol import WHOLE_FILE

__all__ = ["Bytes"]


class Bytes:
    """Reads images below a root and keeps the last few tars open; close it when done."""

    def __init__(self, root: Path, kept_open: int = 8) -> None:
        self.root = root
        self.kept_open = kept_open
        self._open: OrderedDict[str, int] = OrderedDict()

    def __enter__(self) -> Bytes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, path: str, offset: int, size: int) -> bytes:
        """The bytes of an image as they are; fewer than `size` where a tar was cut. Raises `OSError`."""
        if offset == WHOLE_FILE:
            return (self.root / path).read_bytes()
        descriptor = self._descriptor(path)
        end = min(offset + size, os.fstat(descriptor).st_size)  # a damaged size must not claim all memory
        pieces = []
        while offset < end and (piece := os.pread(descriptor, end - offset, offset)):
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Closes every tar."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _descriptor(self, path: str) -> int:
        if path not in self._open:
            opened = os.open(self.root / path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            while len(self._open) >= self.kept_open:
                os.close(self._open.popitem(last=False)[1])
            self._open[path] = opened
        self._open.move_to_end(path)
        return self._open[path]
