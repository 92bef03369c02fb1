"""A name is looked up once, within a time, and what is not a failure for ever is not kept for long."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from mlimg_build.fetch.names import lookups, resolver
from mlimg_build.fetch.names.lookups import NameThreads, NoSuchHost, addresses_of
from mlimg_build.fetch.names.resolver import AddressRefused, CheckedResolver
from tests.support.fetch_runs import Names


def test_a_failure_that_passes_is_asked_again_and_an_absent_name_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resolver, "FAILED_SECONDS", 0.0)
    names = Names(
        {
            "again.test": [socket.gaierror(socket.EAI_AGAIN, "try again"), ["1.1.1.1"]],
            "absent.test": [NoSuchHost("absent.test")],
            "inside.test": [["10.0.0.1"]],
        }
    )

    async def ask() -> None:
        checked = CheckedResolver(names)
        with pytest.raises(OSError, match="DNS: try again"):
            await checked.resolve("again.test", 80)
        (found,) = await checked.resolve("again.test", 80)
        assert (found["host"], found["port"], found["family"]) == ("1.1.1.1", 80, socket.AF_INET)
        for _ in range(3):
            with pytest.raises(NoSuchHost):
                await checked.resolve("absent.test")
            with pytest.raises(AddressRefused, match=r"10\.0\.0\.1 is private"):
                await checked.resolve("inside.test")

    asyncio.run(ask())
    assert names.asked == ["again.test", "again.test", "absent.test", "inside.test"]


def test_an_asker_that_gives_up_takes_nothing_from_the_others() -> None:
    async def slowly(host: str) -> list[str]:
        await asyncio.sleep(0.05)
        return ["1.1.1.1"]

    async def ask() -> None:
        checked = CheckedResolver(slowly)
        first = asyncio.create_task(checked.resolve("a.test"))
        second = asyncio.create_task(checked.resolve("a.test"))
        await asyncio.sleep(0.01)
        first.cancel()
        assert len(await second) == 1
        assert checked.lookups == 1

    asyncio.run(ask())


def test_look_ups_at_a_time_are_bounded() -> None:
    running, most = 0, 0

    async def look_up(host: str) -> list[str]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        return ["1.1.1.1"]

    async def ask() -> None:
        checked = CheckedResolver(look_up, most=3)
        await asyncio.gather(*(checked.resolve(f"h{n}.test") for n in range(20)))

    asyncio.run(ask())
    assert most == 3


def test_threads_that_hang_hold_up_neither_others_nor_the_end() -> None:
    release = threading.Event()
    asked: list[str] = []

    def look_up(host: str) -> list[str]:
        asked.append(host)
        if host.startswith("hangs"):
            release.wait(10)
        return ["1.1.1.1"]

    async def ask() -> None:
        threads = NameThreads(2, look_up)
        checked = CheckedResolver(threads, seconds=0.1)
        start = time.monotonic()
        results = await asyncio.gather(
            *(checked.resolve(host) for host in ("hangs1", "quick1", "quick2")), return_exceptions=True
        )
        assert isinstance(results[0], OSError)
        assert [isinstance(result, list) for result in results] == [False, True, True]
        with pytest.raises(OSError, match="within"):
            await checked.resolve("hangs2")
        for number in range(20):  # both threads hang: what is given up is passed over
            with pytest.raises(OSError, match="within"):
                await asyncio.wait_for(checked.resolve(f"late{number}"), 1)
            if number == 2:
                release.set()
                break
        assert time.monotonic() - start < 2
        await asyncio.sleep(0.05)
        assert await checked.resolve("after")
        threads.close()

    asyncio.run(ask())
    assert not any(host.startswith("late") for host in asked)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), NoSuchHost),
        (socket.gaierror(socket.EAI_NODATA, "No address associated with hostname"), NoSuchHost),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), socket.gaierror),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"), socket.gaierror),
        (UnicodeError("label too long"), NoSuchHost),
    ],
)
def test_a_name_that_does_not_exist_is_told_from_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, error: Exception, expected: type[Exception]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(lookups.socket, "getaddrinfo", fail)
    with pytest.raises(expected) as raised:
        addresses_of("a.test")
    assert isinstance(raised.value, NoSuchHost) == (expected is NoSuchHost)
