"""A fetch is fair to hosts, bounded, polite, and ends when it is told to."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from mlimg_build.fetch import fetcher
from mlimg_build.fetch.fetcher import fetch
from mlimg_build.fetch.names.lookups import NoSuchHost
from mlimg_build.fetch.outcomes import Outcome, State
from mlimg_build.fetch.scheduling.sites import Document, SiteDocument
from tests.support.fetch_runs import Names, fetched, quick
from tests.support.hostile_http import HostileServer

LONG = ("connect_seconds", "answer_seconds", "deadline_seconds", "rate_seconds", "lookup_seconds")


class PlainRules:
    """Rules by the words of a robots.txt, enough to see when they are asked for and obeyed."""

    def __init__(self, document: Document) -> None:
        words = document.body.decode().split()
        self._prefixes = [after for word, after in pairwise(words) if word == "Disallow:"]
        self.crawl_delay = float(words[words.index("Crawl-delay:") + 1]) if "Crawl-delay:" in words else 0.0

    def refusal(self, url: str) -> str:
        path = "/" + url.split("/", 3)[3]
        return next((f"Disallow: {one}" for one in self._prefixes if path.startswith(one)), "")

    def header_refusal(self, headers: Iterable[tuple[str, str]], url: str) -> str:
        return next((f"{name}: {value}" for name, value in headers if name == "X-Robots-Tag"), "")


class PlainRights:
    """A policy that wants robots.txt, and another file that may fail."""

    documents = (SiteDocument("/robots.txt", max_bytes=1000), SiteDocument("/503/other.json", required=False))

    def __init__(self) -> None:
        self.seen: list[tuple[str, Mapping[str, Document]]] = []

    def site_rules(self, origin: str, documents: Mapping[str, Document]) -> PlainRules:
        self.seen.append((origin, documents))
        return PlainRules(documents["/robots.txt"])


@pytest.fixture(params=["uvloop", "asyncio"])
def _either_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    else:
        monkeypatch.setattr(fetcher, "new_event_loop", asyncio.new_event_loop)


@pytest.mark.usefixtures("_either_loop")
@pytest.mark.parametrize("kind", ["http", "https"])
def test_connections_are_kept_for_the_next_request(server: HostileServer, authority: Path, kind: str) -> None:
    before = server.connections
    run = fetched((server.url(f"/ok/5000/{n}", kind=kind) for n in range(60)), quick(authority, per_host=2))
    assert run.states() == ["ok"] * 60
    assert server.connections - before <= 5  # two, and the last ones, which are told to close
    assert run.names.asked == ["images.example"]


def test_a_host_that_goes_on_is_not_kept_waiting_by_one_that_is_slow(server: HostileServer) -> None:
    ended: dict[str, float] = {}
    slow = [server.url(f"/slow/1000/{n}", "slow.images.example") for n in range(8)]
    fast = [server.url(f"/ok/0/{n}", "fast.images.example") for n in range(100)]
    start = time.monotonic()

    def end(url: str, _: Outcome) -> None:
        ended[url] = time.monotonic() - start

    fetch(((url, url) for url in (*slow, *fast)), quick(concurrency=8, per_host=4), end, look_up=Names())
    assert max(ended[url] for url in fast) < max(ended[url] for url in slow)
    assert sorted(ended[url] for url in fast)[50] < min(ended[url] for url in slow)
    assert max(ended[url] for url in slow) > 2.0  # four at a time


def test_rules_that_take_long_to_read_keep_no_other_host_waiting(server: HostileServer) -> None:
    class SlowRights(PlainRights):
        documents = (SiteDocument("/robots.txt"),)  # of one host, 500 KB

        def site_rules(self, origin: str, documents: Mapping[str, Document]) -> PlainRules:
            if len(documents["/robots.txt"].body) > 100_000:
                time.sleep(1.0)
            return super().site_rules(origin, documents)

    long = server.url("/ok/0/1", "robots-long.images.example")
    others = [server.url(f"/slow/50/{n}", "other.images.example") for n in range(8)]
    order: list[str] = []
    fetch(
        ((url, url) for url in (long, *others)),
        quick(concurrency=2, per_host=1),
        lambda url, _: order.append(url),
        rights=SlowRights(),
        look_up=Names(),
    )
    assert order[-1] == long
    assert len(order) == 9


def test_no_host_has_more_requests_at_a_time_than_it_may(server: HostileServer) -> None:
    server.most_active = server.active
    fetched((server.url(f"/slow/20/{n}", "few.images.example") for n in range(30)), quick(per_host=3))
    assert server.most_active == 3


def test_what_fails_for_a_time_is_asked_again(server: HostileServer) -> None:
    path = "/flaky/2/once"
    run = fetched([server.url(path)], quick(attempts=3))
    (outcome,) = run.outcomes.values()
    assert (outcome.state, outcome.attempts, server.requests[path]) == (State.ok, 3, 3)
    run = fetched([server.url("/flaky/2/twice")], quick(attempts=2))
    (outcome,) = run.outcomes.values()
    assert (outcome.state, outcome.answer, outcome.attempts) == (State.temporary, "503", 2)


def test_a_pause_that_a_server_asks_for_is_kept(server: HostileServer) -> None:
    start = time.monotonic()
    run = fetched([server.url("/busy/429/1", "busy.images.example")], quick(attempts=2))
    assert time.monotonic() - start >= 1.0
    (outcome,) = run.outcomes.values()
    assert (outcome.state, outcome.answer, outcome.retry_after, outcome.attempts) == (
        State.temporary,
        "429",
        1.0,
        2,
    )


def test_a_pause_that_is_too_long_is_left_to_the_next_run(server: HostileServer) -> None:
    host = "later.images.example"
    urls = [server.url("/busy/503/3600", host), *(server.url(f"/ok/0/{n}", host) for n in range(20))]
    start = time.monotonic()
    run = fetched(urls, quick(attempts=3, per_host=1))
    assert time.monotonic() - start < 1.0
    assert run.states() == ["temporary"] * 21
    assert run.counts.requests == 1
    assert {outcome.answer for outcome in run.outcomes.values() if not outcome.attempts} == {"not asked: 503"}
    assert all(outcome.retry_after > 3590 for outcome in run.outcomes.values())


def test_a_host_that_fails_costs_a_few_time_outs_and_not_one_for_each_url(server: HostileServer) -> None:
    urls = [server.url(f"/a/{n}", "full.images.example", "full") for n in range(500)]
    start = time.monotonic()
    run = fetched(urls, quick(per_host=4, failures=4, attempts=2))
    assert time.monotonic() - start < 4.0
    assert run.states() == ["temporary"] * 500
    assert run.counts.requests < 16
    last = run.outcomes[urls[-1]]
    assert last.answer == "not asked: connect timed out after 1 s (4 failures in a row)"
    assert last.attempts == 0


def test_a_host_with_a_bad_certificate_is_asked_a_few_times(server: HostileServer, authority: Path) -> None:
    urls = [server.url(f"/a/{n}", kind="expired") for n in range(100)]
    run = fetched(urls, quick(authority, per_host=2, failures=3))
    assert run.states() == ["tls"] * 100
    assert run.counts.requests <= 5


def test_a_name_that_changes_to_a_private_address_gains_nothing(server: HostileServer) -> None:
    """DNS rebinding: the connection goes to the address that was checked, and another answer is checked again."""
    names = Names({"rebind.images.example": [["127.0.0.1"], ["10.0.0.1"]]})
    urls = [server.url(f"/ok/0/{n}", "rebind.images.example") for n in range(30)]
    assert fetched(urls, quick(), names=names).states() == ["ok"] * 30
    assert names.asked == ["rebind.images.example"]
    assert fetched(urls[:2], quick(), names=names).states() == ["address_refused"] * 2


def test_of_several_addresses_those_that_are_private_are_left_out(server: HostileServer) -> None:
    names = Names({"mixed.images.example": [["10.0.0.1", "127.0.0.1", "169.254.169.254"]]})
    assert fetched([server.url("/ok/0/1", "mixed.images.example")], quick(), names=names).states() == ["ok"]


def test_without_leave_nothing_of_this_machine_is_asked(server: HostileServer) -> None:
    before = server.connections
    run = fetched([server.url("/ok/0/1"), server.url("/ok/0/1", "127.0.0.1")], quick(allowed_networks=()))
    assert run.states() == ["address_refused"] * 2
    assert server.connections == before


def test_many_askers_share_one_look_up() -> None:
    names = Names({"absent.test": [NoSuchHost("absent.test")], "late.test": [60.0]})
    urls = [f"http://{host}/{n}" for n in range(50) for host in names.hosts]
    run = fetched(urls, quick(failures=1000), names=names)
    assert sorted(names.asked) == ["absent.test", "late.test"]
    assert set(run.states()) == {"no_such_host", "temporary"}


def test_robots_are_asked_once_an_origin_and_before_anything_else(server: HostileServer) -> None:
    host = "robots-part.images.example"
    rights = PlainRights()
    urls = [server.url(f"/ok/{kind}/{n}", host) for n in range(30) for kind in ("private", "0")]
    run = fetched(urls, quick(), rights=rights)
    assert run.states().count("ok") == run.states().count("opted_out") == 30
    assert server.requests[f"{host}:{server.ports['http']}/robots.txt"] == 1
    assert not any(path.startswith("/ok/private/") for path in server.requests)
    ((origin, documents),) = rights.seen
    assert origin == f"http://{host}:{server.ports['http']}"
    assert documents["/503/other.json"].status == 503
    refused = next(one for one in run.outcomes.values() if one.state == State.opted_out)
    assert (refused.answer, refused.attempts) == ("Disallow: /ok/private/", 0)


@pytest.mark.parametrize(
    ("robots", "states"),
    [("404", {"ok"}), ("403", {"ok"}), ("503", {"temporary"}), ("deny", {"opted_out"}), ("slow", {"ok"})],
)
def test_urls_wait_for_the_rules_of_their_site(server: HostileServer, robots: str, states: set[str]) -> None:
    host = f"robots-{robots}.images.example"
    run = fetched((server.url(f"/ok/0/{n}", host) for n in range(5)), quick(attempts=2), rights=PlainRights())
    assert set(run.states()) == states
    if robots == "503":
        assert {outcome.answer for outcome in run.outcomes.values()} == {"/robots.txt: 503"}


def test_of_a_robots_file_that_is_too_long_the_beginning_is_read(server: HostileServer) -> None:
    rights = PlainRights()
    host = "robots-long.images.example"
    run = fetched([server.url("/ok/private/1", host)], quick(), rights=rights)
    assert run.states() == ["opted_out"]
    assert len(rights.seen[0][1]["/robots.txt"].body) == 1000


def test_the_site_to_which_a_redirect_leads_has_its_say(server: HostileServer) -> None:
    target = server.url("/ok/0/1", "robots-deny.images.example").replace("/", "%2F")
    run = fetched([server.url(f"/to/{target}", "free.images.example")], quick(), rights=PlainRights())
    (outcome,) = run.outcomes.values()
    assert (outcome.state, outcome.answer) == (State.opted_out, "Disallow: /")
    assert outcome.final_url.startswith("http://robots-deny.images.example")


def test_a_header_that_reserves_rights_is_obeyed_before_the_body_is_read(server: HostileServer) -> None:
    run = fetched([server.url("/reserved/1")], quick(), rights=PlainRights())
    (outcome,) = run.outcomes.values()
    assert (outcome.state, outcome.answer, outcome.body) == (State.opted_out, "X-Robots-Tag: noai", b"")


def test_a_crawl_delay_is_kept(server: HostileServer) -> None:
    start = time.monotonic()
    host = "robots-delay.images.example"
    run = fetched((server.url(f"/ok/0/{n}", host) for n in range(4)), quick(), rights=PlainRights())
    assert run.states() == ["ok"] * 4
    assert time.monotonic() - start > 0.6  # three times 0.2 s


def test_a_crawl_delay_of_an_origin_that_others_ask_too_is_longer(server: HostileServer) -> None:
    start = time.monotonic()
    urls = [server.url(f"/ok/0/{n}", "robots-delay.images.example") for n in range(3)]
    origin = urls[0].removesuffix("/ok/0/0")
    run = fetched(urls, quick(shared=frozenset({origin}), sharing=3), rights=PlainRights())
    assert run.states() == ["ok"] * 3
    assert time.monotonic() - start > 1.2  # twice 0.6 s


def test_bodies_in_memory_are_bounded_and_all_come_in_the_end(server: HostileServer) -> None:
    urls = [
        server.url(f"/{kind}/400000/{n}", f"h{n % 5}.images.example")
        for n in range(30)
        for kind in ("ok", "chunked")
    ]
    held: list[int] = []

    async def store(url: str, outcome: Outcome) -> None:
        held.append(len(outcome.body))
        await asyncio.sleep(0.005)

    settings = quick(memory_bytes=1_000_000, answer_seconds=5.0, deadline_seconds=20.0)
    counts = fetch(((url, url) for url in urls), settings, store, look_up=Names())
    assert held == [400_000] * 60
    assert counts.most_memory <= 1_000_000 + settings.max_bytes


def test_urls_are_read_only_so_far_ahead(server: HostileServer) -> None:
    read, ended = 0, 0
    furthest = 0

    def urls() -> Iterator[tuple[int, str]]:
        nonlocal read, furthest
        for read in range(1, 301):
            furthest = max(furthest, read - ended)
            yield read, server.url(f"/ok/0/{read}")

    def end(_: int, outcome: Outcome) -> None:
        nonlocal ended
        ended += 1

    fetch(urls(), quick(waiting=20), end, look_up=Names())
    assert ended == 300
    assert furthest <= 21


def test_requests_may_come_from_what_is_asynchronous(server: HostileServer) -> None:
    async def urls() -> AsyncIterator[tuple[int, str]]:
        for number in range(20):
            await asyncio.sleep(0.001)
            yield number, server.url(f"/ok/0/{number}")

    found: list[int] = []
    fetch(urls(), quick(), lambda number, _: found.append(number), look_up=Names())
    assert sorted(found) == list(range(20))


def test_nothing_to_fetch_ends_at_once() -> None:
    assert fetched([], quick()).counts.requests == 0


@pytest.mark.usefixtures("_either_loop")
def test_a_stop_ends_all_within_a_second(server: HostileServer, authority: Path) -> None:
    stop = threading.Event()
    urls = [
        server.url(f"/{kind}/1", f"h{n}.images.example", "http" if n % 2 else "https")
        for n in range(40)
        for kind in ("silent", "stall", "trickle", "half-headers")
    ]
    hanging = Names({f"h{n}.images.example": [60.0] for n in range(10)})
    stopped: list[float] = []

    def end() -> None:
        stopped.append(time.monotonic())
        stop.set()

    threading.Timer(0.7, end).start()
    run = fetched(
        urls,
        quick(authority, **dict.fromkeys(LONG, 60)),
        names=hanging,
        stop=stop,
    )
    assert time.monotonic() - stopped[0] < 1.0
    assert run.counts.stopped
    assert not run.outcomes


@pytest.mark.few(1)
@pytest.mark.usefixtures("_either_loop")
@pytest.mark.parametrize("kind", ["http", "https"])
def test_a_server_that_never_ends_is_not_read_on(server: HostileServer, authority: Path, kind: str) -> None:
    """Its connection ends with its outcome, not with the leave of TLS, for which it would never come."""
    paths = ["/endless-headers/end", "/long-header/end", "/endless/end"]
    start = time.monotonic()
    urls = [
        server.url(path, f"h{n}.images.example", kind) for n, path in enumerate((*paths, "/slow/2000/end"))
    ]
    run = fetched(urls, quick(authority, answer_seconds=5.0))
    assert sorted(run.states()) == ["odd_answer", "odd_answer", "ok", "too_large"]
    assert all(start < server.ended[path] < start + 1.5 for path in paths)


def test_what_a_consumer_raises_ends_the_fetch(server: HostileServer) -> None:
    def full(url: str, outcome: Outcome) -> None:
        raise OSError(28, "No space left on device")

    async def full_later(url: str, outcome: Outcome) -> None:
        await asyncio.sleep(0)
        raise OSError(28, "No space left on device")

    def broken() -> Iterator[tuple[str, str]]:
        yield "a", server.url("/ok/0/1")
        raise ValueError("no more rows")

    for consumer in (full, full_later):
        urls = [server.url("/ok/0/1"), server.url("/silent/1"), "no url"]
        with pytest.raises(OSError, match="No space left"):
            fetch(((url, url) for url in urls), quick(), consumer, look_up=Names())
    with pytest.raises(ValueError, match="no more rows"):
        fetch(broken(), quick(), lambda *_: None, look_up=Names())


def test_ctrl_c_ends_a_fetch_and_look_ups_that_hang_do_not_keep_the_process(server: HostileServer) -> None:
    code = f"""
import time
from mlimg_build.fetch.names import lookups
from tests.support.fetch_runs import quick
lookups.addresses_of.__code__ = (lambda host: __import__("time").sleep(600)).__code__
from mlimg_build.fetch.fetcher import fetch
urls = ["http://hangs.test/", "http://127.0.0.1:{server.ports["http"]}/silent/1"]
print("begins", flush=True)
try:
    fetch(enumerate(urls), quick(answer_seconds=60, lookup_seconds=60, deadline_seconds=90), print)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    time.sleep(0.5)
    start = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=20)
    assert time.monotonic() - start < 5  # on a busy machine; the look-up hangs for 600
    assert rest == "interrupted\n"
    assert process.returncode == 0
