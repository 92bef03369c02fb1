"""Files of strangers: only regular ones are opened, and none is read whose size was not looked at before."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

__all__ = ["MOST", "open_regular", "read_object", "read_regular"]

MOST = 64 << 20  # bytes of a file that is read whole, unless its reader says otherwise


def open_regular(path: Path) -> int:
    """Open a file for reading and return its descriptor. A link is followed; a pipe or a device is not waited for.

    Raises:
        OSError: as `os.open` does, and for what is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return descriptor


def read_regular(path: Path, most: int = MOST) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        OSError: as `open_regular` does, and if the file has more than `most` bytes.
    """
    descriptor = open_regular(path)
    try:
        size = os.fstat(descriptor).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, and {most:,} are read at most", str(path))
        parts = []
        while size > 0 and (part := os.read(descriptor, size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def read_object(path: Path, most: int = MOST) -> dict[str, Any]:
    """Return the JSON object in a regular file.

    Raises:
        OSError: as `read_regular` does.
        ValueError: if it holds no JSON object, or one that is nested too deeply.
    """
    try:
        found = json.loads(read_regular(path, most))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found
