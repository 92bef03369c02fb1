"""A name server on the loopback: what it answers for each name is up to a function."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType

NO_NAME, FAILURE = "NXDOMAIN", "SERVFAIL"
CODES = {NO_NAME: 3, FAILURE: 2}


class NameServer:
    """Answers questions for A records (RFC 1035); a context manager that listens from its making.

    `answer` gets a name in lower case and returns an IPv4 address, `NO_NAME`, `FAILURE`, or None for no answer at all.
    """

    def __init__(self, answer: Callable[[str], str | None]) -> None:
        self.asked: Counter[str] = Counter()
        self._answer = answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Its address and port."""
        return "{}:{}".format(*self._socket.getsockname())

    def __enter__(self) -> NameServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", self._socket.getsockname())  # ends the thread
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            asked, sender = self._socket.recvfrom(4096)
            if not asked:
                return
            labels, at = [], 12
            while asked[at]:
                labels.append(asked[at + 1 : at + 1 + asked[at]].decode("ascii").lower())
                at += 1 + asked[at]
            (kind,) = struct.unpack(">H", asked[at + 1 : at + 3])
            name = ".".join(labels)
            self.asked[name] += kind == 1
            found = self._answer(name)
            if found is None:
                continue
            code = CODES.get(found, 0)
            records = b""
            if not code and kind == 1:
                records = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(found)
            head = asked[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, int(bool(records)), 0, 0)
            self._socket.sendto(head + asked[12 : at + 5] + records, sender)
