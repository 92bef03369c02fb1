"""What a loop logs of connections that end badly, which a fetch has in its outcomes already.

Servers that end a connection in the middle of TLS make loops complain, hundreds of times in a large fetch; without a
handler Python writes that to the terminal. What concerns no connection is logged as before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["without_connection_messages"]

_REPEATED = ("socket.send() raised exception", "SSL connection is closed")


@contextmanager
def without_connection_messages(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Keep a loop from logging errors of its connections while a `with` lasts."""
    logger = logging.getLogger("asyncio")
    loop.set_exception_handler(_unless_of_connection)
    logger.addFilter(_is_other)
    try:
        yield
    finally:
        logger.removeFilter(_is_other)


def _unless_of_connection(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if "transport" not in context and "protocol" not in context:
        loop.default_exception_handler(context)


def _is_other(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_REPEATED)
