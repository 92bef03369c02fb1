"""Keep libtiff's own messages off the terminal.

libtiff prints to stderr whatever it dislikes in a file, from C and without the file's name; the status of the image
says the same. The handler is set back when no thread decodes any more. In builds of Pillow that hide libtiff's
functions (such as those for Windows) the messages remain.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock

from PIL import _imaging

__all__ = ["quiet_libtiff"]

_lock = Lock()
_inside = 0
_before: int | None = None


@contextmanager
def quiet_libtiff() -> Iterator[None]:
    """While inside, libtiff prints no errors; threads can be inside at the same time."""
    global _inside, _before  # noqa: PLW0603  libtiff's handler is one for the process
    set_handler = _set_handler()
    if set_handler is None:
        yield
        return
    with _lock:
        if not _inside:
            _before = set_handler(None)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                set_handler(_before)


@lru_cache(maxsize=1)
def _set_handler() -> ctypes._NamedFuncPointer | None:
    """Return libtiff's TIFFSetErrorHandler, which returns the handler before; None if it cannot be found."""
    try:
        found = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (AttributeError, OSError):
        return None
    found.argtypes, found.restype = [ctypes.c_void_p], ctypes.c_void_p
    return found
