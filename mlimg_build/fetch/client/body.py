"""Reads the body of an answer within bounds of size, memory and time, and tells early that it is no image."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import suppress

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from mlimg_build.fetch.client.answers import HEAD_BYTES, AnswerRefused, not_an_image
from mlimg_build.fetch.client.memory_budget import Lease
from mlimg_build.fetch.client.pace import Pace
from mlimg_build.fetch.outcomes import State

__all__ = ["drain", "read_body", "read_image"]

FIRST = 256 * 1024  # bytes that a body of unknown length takes of the budget at first
STEP = 1 << 20  # bytes that are expanded at a time
DRAINED = 64 * 1024  # bytes of a body that nobody wants, read so that the connection can be kept
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 47}


async def read_image(response: aiohttp.ClientResponse, lease: Lease, pace: Pace, max_bytes: int) -> bytes:
    """Return the bytes of an image.

    Raises:
        AnswerRefused: the body is no image, too large, too slow, or encoded in a way that was not asked for.
        aiohttp.ClientError: the connection was lost.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return await read_body(response, lease, pace, max_bytes, images_only=True)
    body = await read_body(response, lease, pace, max_bytes)
    if kind := not_an_image(
        body[:HEAD_BYTES]
    ):  # else the header is wrong, and the bytes are an image as they are
        if encoding not in _WINDOW_BITS:
            raise AnswerRefused(State.odd_answer, f"Content-Encoding: {encoding[:40]}")
        body = await _expanded(body, encoding, lease, pace, max_bytes)
        kind = not_an_image(body[:HEAD_BYTES])
    if kind:
        raise AnswerRefused(State.not_an_image, kind)
    return body


async def read_body(
    response: aiohttp.ClientResponse,
    lease: Lease,
    pace: Pace,
    max_bytes: int,
    *,
    images_only: bool = False,
    cut: bool = False,
) -> bytes:
    """Return the bytes of a body as they come; `cut` returns the first `max_bytes` of one that is larger.

    Raises:
        AnswerRefused: it is too large or too slow; with `images_only`, its first bytes are not those of an image.
        aiohttp.ClientError: the connection was lost.
    """
    length = None
    if "Transfer-Encoding" not in response.headers:
        with suppress(ValueError):
            length = int(response.headers.get("Content-Length", ""))
    if length is not None and length > max_bytes and not cut:
        raise AnswerRefused(State.too_large, f"Content-Length: {length:,} bytes")
    await _grow(lease, pace, min(FIRST if length is None else length, max_bytes))
    chunks: list[bytes] = []
    size, is_checked = 0, not images_only
    content = response.content
    protocol = response.connection.protocol if response.connection is not None else None
    while chunk := await content.readany():
        chunks.append(chunk)
        size += len(chunk)
        if not is_checked and size >= 16:
            is_checked = True
            if kind := not_an_image(b"".join(chunks)[:HEAD_BYTES] if len(chunks) > 1 else chunk[:HEAD_BYTES]):
                raise AnswerRefused(State.not_an_image, kind)
        if size > max_bytes:
            if cut:
                break
            raise AnswerRefused(State.too_large, f"over {max_bytes:,} bytes")
        pace.received(len(chunk))
        if size > lease.size:
            await _grow(lease, pace, min(2 * size, max_bytes))
    if length is not None and protocol is not None and isinstance(protocol.exception(), HttpProcessingError):
        raise AnswerRefused(State.temporary, f"more bytes than Content-Length: {length:,}")
    if not is_checked:
        raise AnswerRefused(State.not_an_image, not_an_image(b"".join(chunks)) or "an image of a few bytes")
    return b"".join(chunks)[:max_bytes] if cut else b"".join(chunks)


async def drain(response: aiohttp.ClientResponse) -> None:
    """Read the rest of a body if it is short, so that its connection can be kept."""
    left = DRAINED
    while left > 0 and (chunk := await response.content.readany()):
        left -= len(chunk)


async def _grow(lease: Lease, pace: Pace, size: int) -> None:
    if not lease.try_grow(size):
        await pace.paused(lease.grow(size))


async def _expanded(body: bytes, encoding: str, lease: Lease, pace: Pace, max_bytes: int) -> bytes:
    """The bytes that a compressed body stands for, at most `max_bytes`: a small body may stand for very many.

    They are counted first and kept only if they are not too many.
    """
    size = await _expanded_size(body, encoding, max_bytes)
    await _grow(lease, pace, size + len(body))
    return zlib.decompressobj(_WINDOW_BITS[encoding]).decompress(body, size) if size else b""


async def _expanded_size(body: bytes, encoding: str, max_bytes: int) -> int:
    machine = zlib.decompressobj(_WINDOW_BITS[encoding])
    size, rest = 0, body
    try:
        while rest and not machine.eof:
            size += len(machine.decompress(rest, STEP))
            rest = machine.unconsumed_tail
            if size > max_bytes:
                raise AnswerRefused(State.too_large, f"over {max_bytes:,} bytes when expanded")
            await asyncio.sleep(0)  # others have their turn
    except zlib.error as error:
        raise AnswerRefused(State.odd_answer, f"Content-Encoding {encoding}: {error}") from error
    if not machine.eof:
        raise AnswerRefused(State.temporary, "connection lost in a compressed body")
    return size
