"""Whatever a server does, its URL gets the state that fits, and an answer that says what happened."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest

from mlimg_build.fetch.names.lookups import NoSuchHost
from tests.support.fetch_runs import Fetched, Names, fetched, quick
from tests.support.hostile_http import HostileServer, jpeg

EXPECTED = {  # by path
    "/ok/0/a": "ok: 200",
    "/ok/300000/a": "ok: 200",
    "/chunked/300000/a": "ok: 200",
    "/http10/a": "ok: 200",
    "/hints/a": "ok: 200",
    "/zipped/a": "ok: 200",
    "/cookie/a": "ok: 200",
    "/203/a": "not_an_image: an HTML page",
    "/redirect/1/a": "ok: 200",
    "/redirect/5/a": "ok: 200",
    "/redirect/6/a": "bad_redirect: more than 5 redirects",
    "/loop/0": "bad_redirect: 307 in a circle",
    "/to-file/a": "bad_redirect: 302 to file:///etc/passwd: the scheme file: only http and https",
    "/to-ftp/a": "bad_redirect: 302 to ftp://images.example/a.jpg: the scheme ftp: only http and https",
    "/to-nothing/a": "bad_redirect: 302 to http://: no host",
    "/to-private/a": "address_refused: 10.1.2.3 is private",
    "/to-metadata/a": "address_refused: 169.254.169.254 is link-local",
    "/to/http:%2F%2Finside.example/a": "address_refused: 192.168.1.1 is private",
    "/to/http:%2F%2F0x0a000001/a": "address_refused: 10.0.0.1 is private",
    "/to/http:%2F%2F[::ffff:10.0.0.1]/a": "address_refused: ::ffff:a00:1 is private",
    "/nowhere/a": "odd_answer: 302",
    "/404/a": "gone: 404",
    "/410/a": "gone: 410",
    **{f"/{status}/a": f"forbidden: {status}" for status in (401, 402, 403, 407, 451)},
    **{f"/{status}/a": f"temporary: {status}" for status in (408, 425, 429, 500, 502, 503, 504, 521)},
    **{
        f"/{status}/a": f"odd_answer: {status}"
        for status in (201, 202, 206, 300, 304, 400, 405, 406, 418, 999)
    },
    "/204/a": "not_an_image: 204",
    "/205/a": "not_an_image: 205",
    "/html/a": "not_an_image: an HTML page",
    "/html-as-jpeg/a": "not_an_image: an HTML page",
    "/svg/a": "not_an_image: an SVG drawing",
    "/empty/a": "not_an_image: an empty body",
    "/tiny/a": "not_an_image: an image of a few bytes",
    "/brotli/a": "odd_answer: Content-Encoding: br",
    "/placeholder/a": "ok: 200",
    "/huge/a": "too_large: Content-Length: 1,000,000,000,000 bytes",
    "/endless/a": "too_large: over 1,048,576 bytes",
    "/gzip-bomb/a": "too_large: over 1,048,576 bytes when expanded",
    "/trickle/a": "too_slow: less than 500 bytes in 0.5 s",
    "/stall/a": "too_slow: less than 500 bytes in 0.5 s",
    "/silent/a": "temporary: read timed out after 5 s",
    "/half-headers/a": "temporary: read timed out after 5 s",
    "/endless-hints/a": "temporary: read timed out after 5 s",
    "/short/a": "temporary: connection lost in the body",
    "/cut-chunks/a": "temporary: connection lost in the body",
    "/reset/a": "temporary: connection lost in the body",
    "/long/a": "temporary: ",
    "/close/a": "temporary: connection lost before an answer",
    "/garbage/a": "temporary: bytes where an answer should begin",
    "/two-lengths/a": "odd_answer: no HTTP: Duplicate Content-Length",
    "/endless-headers/a": "odd_answer: no HTTP: Too many headers received",
    "/long-header/a": "odd_answer: no HTTP: Got more than 8190 bytes when reading",
}
EXPECTED_PORTS = {  # by the kind of the port
    "https": "ok: 200",
    "expired": "tls: certificate: certificate has expired",
    "wrong-host": "tls: certificate: Hostname mismatch",
    "unknown": "tls: certificate: unable to get local issuer certificate",
    "closed": "temporary: connection refused",
    "full": "temporary: connect timed out after 4 s",
    "mute": "temporary: connect timed out after 4 s",
}
EXPECTED_HOSTS = {
    "absent.test": "no_such_host: no such host",
    "empty.test": "no_such_host: no such host",
    "again.test": "temporary: DNS: Temporary failure in name resolution",
    "late.test": "temporary: no answer of DNS within 0.3 s",
    "loopback6.test": "address_refused: ::1 is loopback",
    "inside.example": "address_refused: 192.168.1.1 is private",
}
EXPECTED_URLS = {
    "http://10.0.0.1/a": "address_refused: 10.0.0.1 is private",
    "http://[::1]/a": "address_refused: ::1 is loopback",
    "http://169.254.169.254/latest": "address_refused: 169.254.169.254 is link-local",
    "file:///etc/passwd": "bad_url: the scheme file: only http and https",
    "no url at all": "bad_url: no scheme",
    "": "bad_url: no scheme",
}


def host_of(path: str) -> str:
    """A host of its own for each path, so that no trouble of one is another's."""
    return f"h{hashlib.sha256(path.encode()).hexdigest()[:8]}.images.example"


@pytest.fixture(scope="module")
def world(server: HostileServer, authority: Path) -> Fetched:
    """All that can happen, at the same time."""
    names = Names(
        {
            "absent.test": [NoSuchHost("absent.test")],
            "empty.test": [[]],
            "again.test": [socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")],
            "late.test": [60.0],
            "loopback6.test": [["::1", "fe80::1"]],
            "inside.example": [["192.168.1.1"]],
        }
    )
    urls = [
        *(server.url(path, host_of(path)) for path in EXPECTED),
        *(server.url(f"/ok/0/{kind}", kind=kind) for kind in EXPECTED_PORTS),
        *(f"http://{host}/a" for host in EXPECTED_HOSTS),
        *EXPECTED_URLS,
    ]
    return fetched(urls, quick(authority, connect_seconds=4.0), names=names)


def shown(world: Fetched, url: str) -> str:
    outcome = world.outcomes[url]
    return f"{outcome.state.name}: {outcome.answer}"


@pytest.mark.parametrize("path", EXPECTED)
def test_an_answer_gets_the_state_that_fits(world: Fetched, server: HostileServer, path: str) -> None:
    assert shown(world, server.url(path, host_of(path))).startswith(EXPECTED[path])


@pytest.mark.parametrize("kind", EXPECTED_PORTS)
def test_a_connection_gets_the_state_that_fits(world: Fetched, server: HostileServer, kind: str) -> None:
    assert shown(world, server.url(f"/ok/0/{kind}", kind=kind)).startswith(EXPECTED_PORTS[kind])


@pytest.mark.parametrize("host", EXPECTED_HOSTS)
def test_a_look_up_gets_the_state_that_fits(world: Fetched, host: str) -> None:
    assert shown(world, f"http://{host}/a") == EXPECTED_HOSTS[host]


@pytest.mark.parametrize("url", EXPECTED_URLS)
def test_a_url_that_is_not_asked_gets_the_state_that_fits(world: Fetched, url: str) -> None:
    assert shown(world, url) == EXPECTED_URLS[url]


@pytest.mark.parametrize(
    "path", ["/ok/0/a", "/ok/300000/a", "/chunked/300000/a", "/http10/a", "/hints/a", "/zipped/a"]
)
def test_the_bytes_of_an_image_come_as_they_were_sent(
    world: Fetched, server: HostileServer, path: str
) -> None:
    size = 300_000 if "300000" in path else 0
    assert world.outcomes[server.url(path, host_of(path))].body == jpeg(path, size)


def test_only_images_and_pictures_that_are_refused_have_bytes(world: Fetched) -> None:
    for outcome in world.outcomes.values():
        assert bool(outcome.body) == (outcome.state.name == "ok")


def test_an_outcome_tells_where_redirects_led_and_counts_requests(
    world: Fetched, server: HostileServer
) -> None:
    path = "/redirect/5/a"
    outcome = world.outcomes[server.url(path, host_of(path))]
    assert outcome.final_url == server.url("/ok/0/after-redirect", host_of(path))
    assert outcome.attempts == 1
    assert world.outcomes["no url at all"].attempts == 0


def test_requests_say_who_asks_and_what_for(world: Fetched, server: HostileServer) -> None:
    headers = server.headers["/ok/0/a"]
    assert headers["user-agent"].startswith("mlimg/")
    assert headers["accept-encoding"] == "identity"
    assert "cookie" not in headers


def test_bytes_that_are_too_many_do_not_reach_the_next_answer(server: HostileServer) -> None:
    urls = [
        server.url(f"/{kind}/{number}", "longer.images.example")
        for number in range(5)
        for kind in ("long", "ok/0")
    ]
    run = fetched(urls, quick(per_host=1))
    assert run.states() == ["temporary", "ok"] * 5
    assert all(run.outcomes[url].body == jpeg(url[url.index("/ok") :]) for url in urls[1::2])


def test_counts_are_those_of_the_outcomes(world: Fetched) -> None:
    assert world.counts.outcomes.total() == len(world.outcomes)
    assert world.counts.body_bytes == sum(len(outcome.body) for outcome in world.outcomes.values())
