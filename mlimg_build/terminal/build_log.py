"""The log of a build, beside its dataset: every step with its time, all problems, what each run ended with."""

from __future__ import annotations

import logging
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from mlimg_build import __version__
from mlimg_build.errors import MlimgError
from mlimg_build.printable import printable

from .console import err

__all__ = ["LOG", "build_log", "say"]


class _Printable(logging.Filter):
    """Escapes what is not printable in a message, whoever writes it."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage().encode("utf-8", "backslashreplace").decode()  # a name that is no UTF-8
        record.msg, record.args = printable(text), None
        return True


LOG = logging.getLogger("mlimg")
LOG.propagate = False
LOG.setLevel(logging.INFO)
LOG.addFilter(_Printable())
LOG.addHandler(logging.NullHandler())
LARGEST = 8 << 20  # bytes, at which a log becomes NAME.log.1 and a new one begins


class _Lines(logging.Formatter):
    """A line begins with the time (UTC) and how grave it is; what is not printable is escaped."""

    def __init__(self) -> None:
        super().__init__("%(asctime)sZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _File(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the name is logging's
        """Stop writing: a full disk ends a build where it matters, and never for its log."""
        LOG.removeHandler(self)


def say(text: str) -> None:
    """Print what a command did to stderr, and log it; once, where the log goes to stderr, too."""
    if not any(type(handler) is logging.StreamHandler for handler in LOG.handlers):
        err.print(text)
    LOG.info(text)


@contextmanager
def build_log(path: Path, *, verbose: bool = False) -> Iterator[None]:
    """Append what is logged in the block to the file `path`, and with `verbose` write it to stderr, too.

    A log that cannot be opened is left out: what cannot be written there ends the build itself.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)] if verbose else []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(
            _File(path, maxBytes=LARGEST, backupCount=1, encoding="utf-8", errors="backslashreplace")
        )
    except OSError:
        pass
    for handler in handlers:
        handler.setFormatter(_Lines())
        LOG.addHandler(handler)
    begun = time.monotonic()
    try:
        versions = f"mlimg {__version__}, Python {platform.python_version()}, {os.cpu_count() or 1} cores"
        LOG.info("%s: %s", versions, shlex.join(["mlimg", *sys.argv[1:]]))
        yield
    except KeyboardInterrupt:
        LOG.warning("interrupted after %.1f s", time.monotonic() - begun)
        raise
    except MlimgError as error:
        for problem in error.problems:
            LOG.error("%s: %s", problem.code, problem.message)
        LOG.info("failed after %.1f s", time.monotonic() - begun)
        raise
    except Exception:
        LOG.exception("failed after %.1f s", time.monotonic() - begun)
        raise
    else:
        LOG.info("done after %.1f s", time.monotonic() - begun)
    finally:
        for handler in handlers:
            LOG.removeHandler(handler)
            handler.close()
