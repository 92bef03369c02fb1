"""A web server that behaves as badly as servers do: what it does stands in the path, or in the host.

`/ok/105000/7` sends a JPEG of 105,000 bytes that no other path has, `/404/x` a 404, `/trickle/x` a byte now and then;
`BEHAVIOURS` has them all. A host whose first label is `does-NAME` does NAME whatever the path, and `robots-NAME` has
the robots.txt NAME of `ROBOTS`. Raw sockets, as a library for servers cannot misbehave enough.

    python -m tests.support.hostile_http --port 8080 --tls-port 8443 --authority ca.pem
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import io
import socket
import ssl
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import trustme
from PIL import Image

PLACEHOLDER = b"\x89PNG\r\n\x1a\n" + b"no longer here" * 40
NAMES = ("images.example", "*.images.example", "127.0.0.1", "localhost")  # of the certificates that are right
HTML = b"<!DOCTYPE html><html><head><title>Gone</title></head><body>This picture has moved.</body></html>"
ROBOTS = {
    "deny": b"User-agent: *\nDisallow: /\n",
    "part": b"User-agent: *\nDisallow: /ok/private/\n",
    "delay": b"User-agent: *\nCrawl-delay: 0.2\n",
    "long": b"User-agent: *\nDisallow: /ok/private/\n" + b"# filler\n" * 200_000,
}
Talk = tuple["HostileServer", "Request", asyncio.StreamWriter]
Behaviour = Callable[["HostileServer", "Request", asyncio.StreamWriter], Awaitable[bool | None]]


class Request:
    """A request: its path in parts behind the name of the behaviour, its headers in lower case."""

    def __init__(self, text: str) -> None:
        line, *headers = text.split("\r\n")
        self.path = line.split(" ")[1] if line.count(" ") >= 2 else "/"
        self.headers = {
            name.strip().lower(): value.strip() for name, _, value in (h.partition(":") for h in headers)
        }
        self.host = self.headers.get("host", "")
        self.parts = self.path.partition("?")[0].split("/")[2:]
        self.name = self.path.partition("?")[0].split("/")[1]
        label = self.host.partition(".")[0].partition(":")[0]
        self.robots = label.removeprefix("robots-") if label.startswith("robots-") else ""
        if label.startswith("does-"):
            self.name = label.removeprefix("does-")

    def number(self, index: int = 0, default: int = 0) -> int:
        """A number in the path."""
        return int(self.parts[index]) if len(self.parts) > index and self.parts[index].isdigit() else default


@lru_cache(maxsize=256)
def small_jpeg(color: int) -> bytes:
    """A JPEG of 32 × 32 pixels in one of 256 colours."""
    out = io.BytesIO()
    Image.new("RGB", (32, 32), (color, 255 - color, color * 7 % 256)).save(out, "JPEG")
    return out.getvalue()


def jpeg(path: str, size: int = 0) -> bytes:
    """A JPEG for a path, which stands in a comment of it; with more comments if it has to have `size` bytes."""
    image = small_jpeg(zlib.crc32(path.encode()) % 256)
    comments = comment(path.encode())
    left = size - len(image) - len(comments)
    while left > 4:
        piece = min(left, 65_000)
        comments += comment(bytes(piece - 4))
        left -= piece
    return image[:2] + comments + image[2:]


def comment(text: bytes) -> bytes:
    """A COM segment."""
    return b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text


def head(status: int, length: int | None, *more: str, kind: str = "image/jpeg") -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", *more]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(status: int, body: bytes, *more: str, kind: str = "image/jpeg") -> bytes:
    """An answer with its length."""
    return head(status, len(body), *more, kind=kind) + body


async def sent(out: asyncio.StreamWriter) -> None:
    """Wait until more may be sent, and let others have their turn; a client that has gone ends the sending."""
    await out.drain()
    await asyncio.sleep(0)
    if out.transport.is_closing():
        raise ConnectionResetError


async def ok(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    body = jpeg(request.path, request.number())
    out.write(head(200, len(body)))
    out.write(body)


async def redirect(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    left = request.number(default=1)
    where = f"/redirect/{left - 1}/x" if left > 1 else "/ok/0/after-redirect"
    out.write(answer(302, b"moved", f"Location: {where}", kind="text/plain"))


async def to(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(answer(301, b"", f"Location: {unquote('/'.join(request.parts))}"))


async def loop(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(answer(307, b"", f"Location: /loop/{1 - request.number()}"))


async def trickle(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(head(200, 1_000_000) + jpeg(request.path)[:100])
    while True:
        out.write(b"x")
        await sent(out)
        await asyncio.sleep(0.02)


async def endless(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(head(200, None, "Transfer-Encoding: chunked"))
    first = jpeg(request.path)
    out.write(b"%x\r\n" % len(first) + first + b"\r\n")
    while True:
        out.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
        await sent(out)


async def endless_headers(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10**9):
        out.write(b"X-Header-%d: %s\r\n" % (number, b"x" * 1000))
        await sent(out)


async def long_header(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(b"HTTP/1.1 200 OK\r\nX-Header: ")
    for _ in range(10**9):
        out.write(b"x" * 10_000)
        await sent(out)


async def hints(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    await ok(server, request, out)


async def endless_hints(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    while True:
        out.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await sent(out)
        await asyncio.sleep(0.01)


async def short(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> bool:
    body = jpeg(request.path, 20_000)
    out.write(head(200, len(body)) + body[:10_000])
    return False


async def long(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> bool:
    body = jpeg(request.path, 20_000)
    out.write(head(200, 10_000) + body)
    return False


async def gzip_bomb(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(answer(200, bomb(), "Content-Encoding: gzip"))


@lru_cache(maxsize=1)
def bomb() -> bytes:
    """64 MiB that begin as a JPEG, in 300 KiB."""
    return gzip.compress(jpeg("/bomb") + bytes(64 << 20), 1)


async def zipped(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(answer(200, gzip.compress(jpeg(request.path)), "Content-Encoding: gzip"))


async def brotli(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(answer(200, b"\x0b\x02\x80hello\x03" * 10, "Content-Encoding: br"))


async def chunked(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    body = jpeg(request.path, request.number())
    out.write(head(200, None, "Transfer-Encoding: chunked"))
    for start in range(0, len(body), 5000):
        piece = body[start : start + 5000]
        out.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
    out.write(b"0\r\n\r\n")


async def cut_chunks(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> bool:
    body = jpeg(request.path, 20_000)
    out.write(head(200, None, "Transfer-Encoding: chunked") + b"%x\r\n" % len(body) + body[:9000])
    return False


async def http10(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> bool:
    out.write(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg(request.path))
    return False


async def garbage(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> bool:
    out.write(b"\x16\x03\x01 who knows what this is\r\n\r\n\r\n")
    return False


async def close(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> bool:
    return False


async def reset(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> bool:
    out.write(head(200, 20_000) + jpeg(request.path)[:200])
    await out.drain()
    await asyncio.sleep(0.02)
    out.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    out.transport.abort()
    return False


async def silent(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def half_headers(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await asyncio.sleep(3600)


async def stall(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(head(200, 1_000_000) + jpeg(request.path, 50_000))
    await asyncio.sleep(3600)


async def slow(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    await asyncio.sleep(request.number() / 1000)
    out.write(answer(200, jpeg(request.path)))


async def busy(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    status = request.number(default=503)
    out.write(answer(status, b"busy", f"Retry-After: {request.number(1, 1)}", kind="text/plain"))


async def flaky(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    if server.requests[request.path] <= request.number():
        out.write(answer(503, b"not yet", kind="text/plain"))
    else:
        await ok(server, Request(f"GET /ok/0/{request.path} HTTP/1.1\r\n"), out)


async def cookie(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    if "cookie" in request.headers:
        out.write(answer(500, b"a cookie came back"))
    else:
        out.write(answer(200, jpeg(request.path), "Set-Cookie: id=1; Path=/"))


async def reserved(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
    out.write(answer(200, jpeg(request.path), "X-Robots-Tag: noai"))


async def two_lengths(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> bool:
    out.write(head(200, 10, "Content-Length: 20") + jpeg(request.path))
    return False


async def huge(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> bool:
    out.write(head(200, 10**12) + jpeg(request.path))
    return False


def fixed(status: int, body: bytes, *more: str, kind: str = "image/jpeg") -> Behaviour:
    """A behaviour that sends always the same."""

    async def send(server: HostileServer, request: Request, out: asyncio.StreamWriter) -> None:
        out.write(answer(status, body, *more, kind=kind))

    return send


BEHAVIOURS: dict[str, Behaviour] = {
    **{
        name.__name__.replace("_", "-"): name
        for name in (ok, redirect, to, loop, trickle, endless, hints, short, long)
    },
    **{name.__name__.replace("_", "-"): name for name in (endless_headers, long_header, endless_hints)},
    **{
        name.__name__.replace("_", "-"): name
        for name in (gzip_bomb, zipped, brotli, chunked, cut_chunks, http10)
    },
    **{
        name.__name__.replace("_", "-"): name
        for name in (garbage, close, reset, silent, half_headers, stall, slow)
    },
    **{name.__name__.replace("_", "-"): name for name in (busy, flaky, cookie, reserved, two_lengths, huge)},
    "html": fixed(200, HTML, kind="text/html"),
    "html-as-jpeg": fixed(200, HTML),
    "svg": fixed(
        200, b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', kind="image/svg+xml"
    ),
    "empty": fixed(200, b""),
    "tiny": fixed(200, b"\xff\xd8\xff"),
    "placeholder": fixed(200, PLACEHOLDER, kind="image/png"),
    "nowhere": fixed(302, b""),
    "to-file": fixed(302, b"", "Location: file:///etc/passwd"),
    "to-ftp": fixed(302, b"", "Location: ftp://images.example/a.jpg"),
    "to-private": fixed(302, b"", "Location: http://10.1.2.3/a.jpg"),
    "to-metadata": fixed(302, b"", "Location: http://169.254.169.254/latest/meta-data/"),
    "to-nothing": fixed(302, b"", "Location: http://"),
}


class HostileServer:
    """The server, its ports by kind, and what it has seen; `start` runs it in a thread of its own."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.connections = self.active = self.most_active = 0
        self.headers: dict[str, dict[str, str]] = {}
        self.ended: dict[str, float] = {}
        self.ports: dict[str, int] = {}
        self.dead: set[str] = set()  # paths that answer 404 whatever they did before
        self.authority = trustme.CA()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    def url(self, path: str, host: str = "images.example", kind: str = "http") -> str:
        """The URL of a path at a host, by `http`, `https`, or a kind of TLS that is wrong."""
        return (
            f"{'http' if kind in ('http', 'full', 'closed') else 'https'}://{host}:{self.ports[kind]}{path}"
        )

    def write_authority(self, path: Path) -> Path:
        """Write the certificate of the authority that signs the others."""
        self.authority.cert_pem.write_to_path(path)
        return path

    async def listen(self, port: int = 0, tls_port: int = 0, host: str = "127.0.0.1") -> None:
        """Open all ports."""
        bomb()
        past = datetime.now(UTC) - timedelta(days=30)
        contexts = {
            "http": None,
            "https": self._context(self.authority.issue_cert(*NAMES)),
            "expired": self._context(
                self.authority.issue_cert(*NAMES, not_before=past, not_after=past + timedelta(days=1))
            ),
            "wrong-host": self._context(self.authority.issue_cert("other.test")),
            "unknown": self._context(trustme.CA().issue_cert(*NAMES)),
        }
        for kind, context in contexts.items():
            wanted = {"http": port, "https": tls_port}.get(kind, 0)
            server = await asyncio.start_server(
                self._talk, host, wanted, ssl=context, backlog=4096, limit=1 << 17
            )
            self.ports[kind] = server.sockets[0].getsockname()[1]
            self._servers.append(server)
        server = await asyncio.start_server(self._say_nothing, host, 0)
        self._servers.append(server)
        self.ports["mute"] = server.sockets[0].getsockname()[1]
        self._open_odd_ports(host)

    def start(self) -> HostileServer:
        """Run in a thread; return when all ports are open."""
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()

        async def begin() -> None:
            await self.listen()
            ready.set()

        def run() -> None:
            assert self._loop is not None
            asyncio.set_event_loop(self._loop)
            self._loop.set_exception_handler(lambda *_: None)  # clients that go are no news
            self._loop.create_task(begin())
            self._loop.run_forever()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert ready.wait(20)
        return self

    def stop(self) -> None:
        """Drop all connections and end the thread."""
        assert self._loop is not None
        assert self._thread is not None
        loop = self._loop

        async def end() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for server in self._servers:
                server.close()
            loop.stop()

        asyncio.run_coroutine_threadsafe(end(), loop)
        self._thread.join(20)
        loop.close()
        for one in self._sockets:
            one.close()

    def _context(self, certificate: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context

    def _open_odd_ports(self, host: str) -> None:
        """A port whose queue of connections is full, and one that nobody listens at."""
        full = socket.socket()
        full.bind((host, 0))
        full.listen(0)
        self.ports["full"] = full.getsockname()[1]
        self._sockets.append(full)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            self._sockets.append(filler)
        closed = socket.socket()
        closed.bind((host, 0))  # bound, so that nobody else gets it, and not listening
        self.ports["closed"] = closed.getsockname()[1]
        self._sockets.append(closed)

    async def _say_nothing(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        out.close()

    async def _talk(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ssl.SSLError
            ):
                while True:
                    request = Request((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
                    if not await self._answered(request, out) or request.headers.get("connection") == "close":
                        break
        finally:
            out.close()

    async def _answered(self, request: Request, out: asyncio.StreamWriter) -> bool:
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            return await self._behaved(request, out)
        finally:
            self.active -= 1
            self.ended[request.path] = time.monotonic()

    async def _behaved(self, request: Request, out: asyncio.StreamWriter) -> bool:
        self.requests[request.path] += 1
        self.headers[request.path] = request.headers
        if request.path == "/robots.txt":
            await self._robots(request, out)
        elif request.path in self.dead:
            out.write(answer(404, b"", kind="text/plain"))
        elif request.name in BEHAVIOURS:
            if await BEHAVIOURS[request.name](self, request, out) is False:
                return False
        elif request.name.isdigit():
            status = int(request.name)
            out.write(head(status, None) if status in (204, 304) else answer(status, HTML, kind="text/html"))
        else:
            out.write(answer(404, b"", kind="text/plain"))
        await out.drain()
        return True

    async def _robots(self, request: Request, out: asyncio.StreamWriter) -> None:
        self.requests[f"{request.host}/robots.txt"] += 1
        if request.robots.isdigit():
            out.write(answer(int(request.robots), b"", kind="text/plain"))
        elif request.robots == "slow":
            await asyncio.sleep(0.3)
            out.write(answer(404, b"", kind="text/plain"))
        elif request.robots == "moved":
            out.write(answer(301, b"", "Location: /robots/elsewhere.txt"))
        elif request.robots in ROBOTS:
            out.write(answer(200, ROBOTS[request.robots], kind="text/plain"))
        else:
            out.write(answer(404, b"", kind="text/plain"))


def main() -> None:
    """Serve until the standard input closes or the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls-port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--authority", type=Path, help="where to write the certificate of the authority")
    asked = parser.parse_args()
    server = HostileServer()
    if asked.authority:
        server.write_authority(asked.authority)

    async def serve() -> None:
        await server.listen(asked.port, asked.tls_port, asked.host)
        print(" ".join(f"{kind}={port}" for kind, port in server.ports.items()), flush=True)
        await asyncio.Event().wait()

    with suppress(KeyboardInterrupt):
        asyncio.run(serve())


if __name__ == "__main__":
    main()
