"""Names are looked up at the name servers that a backend names."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("aiodns", reason="the extra `fetch` is not installed")

from mlimg_build.fetch.fetcher import new_event_loop
from mlimg_build.fetch.names.lookups import NoSuchHost
from mlimg_build.fetch.names.name_servers import look_up_at
from tests.support.name_server import FAILURE, NO_NAME, NameServer

ANSWERS = {"a.example": "127.0.0.5", "none.example": NO_NAME, "broken.example": FAILURE}


def looked_up(host: str) -> list[str]:
    with (
        NameServer(lambda name: ANSWERS.get(name, NO_NAME)) as server,
        asyncio.Runner(loop_factory=new_event_loop) as runner,
    ):

        async def ask() -> list[str]:
            return await look_up_at([server.address])(host)

        return runner.run(ask())


def test_a_name_has_the_addresses_that_its_server_says() -> None:
    assert looked_up("a.example") == ["127.0.0.5"]


def test_a_name_that_does_not_exist_is_told_from_a_server_that_fails() -> None:
    with pytest.raises(NoSuchHost):
        looked_up("none.example")
    with pytest.raises(OSError, match=r"broken\.example") as found:
        looked_up("broken.example")
    assert not isinstance(found.value, NoSuchHost)
