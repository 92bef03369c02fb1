"""A server that speaks as much of S3 as a store of files needs, on the loopback; it can fail, too."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["ObjectServer", "serving_objects"]


class ObjectServer(ThreadingHTTPServer):
    """Objects by their path, what was asked for by method, and how many requests still fail with which status."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.failing: list[int] = []
        self.refusing = 0  # a status for all
        self.read_only = False

    @property
    def settings(self) -> dict[str, str]:
        """The variables of the environment with which it is found."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server_address[1]}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }


class _Handler(BaseHTTPRequestHandler):
    server: ObjectServer
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._fails():
            self.server.objects[self._path()] = data
            self._answer(200, b"", data)

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            self._list(query.get("prefix", [""])[0])
        else:
            self._get()

    def do_HEAD(self) -> None:
        self._get()

    def do_DELETE(self) -> None:
        if not self._fails():
            self.server.objects.pop(self._path(), None)
            self._answer(204, b"")

    def do_POST(self) -> None:
        """Delete several objects."""
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if not self._fails():
            keys = re.findall("<Key>(.*?)</Key>", text)
            for key in keys:
                self.server.objects.pop(f"{self._path().rstrip('/')}/{unquote(key)}", None)
            done = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            self._answer(200, f"<DeleteResult>{done}</DeleteResult>".encode())

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _fails(self) -> bool:
        self.server.asked[self.command] += 1
        status = self.server.failing.pop() if self.server.failing else self.server.refusing
        if self.server.read_only and self.command not in ("GET", "HEAD"):
            status = 403
        if status:
            self._answer(status, b"<Error><Code>Failing</Code><Message>on purpose</Message></Error>")
        return bool(status)

    def _get(self) -> None:
        if self._fails():
            return
        data = self.server.objects.get(self._path())
        if data is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")
        else:
            self._answer(200, data, data)

    def _list(self, prefix: str) -> None:
        if self._fails():
            return
        bucket = self._path().rstrip("/")
        keys = sorted(key.removeprefix(f"{bucket}/") for key in self.server.objects)
        listed = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;x&quot;</ETag>"
            f"<Size>{len(self.server.objects[f'{bucket}/{key}'])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys
            if key.startswith(prefix)
        )
        listed += "<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
        head = f"<Name>{bucket[1:]}</Name><Prefix>{prefix}</Prefix><KeyCount>{len(keys)}</KeyCount>"
        body = f"<ListBucketResult>{head}{listed}</ListBucketResult>"
        self._answer(200, body.encode())

    def _answer(self, status: int, body: bytes, data: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{md5(data, usedforsecurity=False).hexdigest()}"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serving_objects() -> Iterator[ObjectServer]:
    """Run the server in a thread."""
    server = ObjectServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
