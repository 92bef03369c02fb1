"""A URL has one spelling as a key, and what cannot be asked is said to be so."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlimg_build.fetch.names.urls import LONGEST, BadUrl, join_url, parse_url

NORMAL = {
    "http://images.example/a.jpg": "http://images.example/a.jpg",
    "HTTPS://Images.Example/A.jpg": "https://images.example/A.jpg",
    " http://images.example/a.jpg\n": "http://images.example/a.jpg",
    "http://images.example": "http://images.example/",
    "http://images.example?x=1": "http://images.example/?x=1",
    "http://images.example:80/a": "http://images.example/a",
    "https://images.example:443/a": "https://images.example/a",
    "https://images.example:80/a": "https://images.example:80/a",
    "http://images.example:/a": "http://images.example/a",
    "http://images.example:08080/a": "http://images.example:8080/a",
    "http://images.example./a": "http://images.example/a",
    "http://images.example/a#part": "http://images.example/a",
    "http://images.example/a b": "http://images.example/a%20b",
    "http://images.example/a%20b%zz%7E~": "http://images.example/a%20b%zz%7E~",
    "http://images.example/größe.jpg?q=ü": "http://images.example/gr%C3%B6%C3%9Fe.jpg?q=%C3%BC",
    'http://images.example/<a>"{b}|^`': "http://images.example/%3Ca%3E%22%7Bb%7D%7C%5E%60",
    "http://images.example/a/../b/./c/..": "http://images.example/b/",
    "http://images.example/a/%2E%2e/b": "http://images.example/b",
    "http://images.example/../../a": "http://images.example/a",
    "http://images.example/a//b/": "http://images.example/a//b/",
    "http://images.example/a..b/.c/d.": "http://images.example/a..b/.c/d.",
    "http://images.example\\a\\b": "http://images.example/a/b",
    "http://bücher.example/": "http://xn--bcher-kva.example/",
    "http://\uff25\uff38ample.com/": "http://example.com/",
    "http://my_host.images.example/": "http://my_host.images.example/",
    "http://127.0.0.1/": "http://127.0.0.1/",
    "http://127.1/": "http://127.0.0.1/",
    "http://2130706433/": "http://127.0.0.1/",
    "http://0x7f000001/": "http://127.0.0.1/",
    "http://0177.0.0.01/": "http://127.0.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/": "http://127.0.0.1/",
    "http://127。0。0。1/": "http://127.0.0.1/",
    "http://[::1]/": "http://[::1]/",
    "http://[0:0:0:0:0:FFFF:7F00:1]:8080/": "http://[::ffff:7f00:1]:8080/",
}
BAD = [
    *(
        "",
        "images.example/a",
        "//images.example/a",
        "file:///etc/passwd",
        "ftp://images.example/a",
        "data:,x",
    ),
    *(
        "javascript:alert(1)",
        "http:",
        "http:/",
        "http://",
        "http:///a",
        "http:images.example/a",
        "http://:80/",
    ),
    *("http://user@images.example/", "http://user:word@images.example/", "http://@images.example/"),
    *("http://images.example:0/", "http://images.example:65536/", "http://images.example:99999999999/"),
    *(
        "http://images.example:80x/",
        "http://images example/",
        "http://images..example/",
        "http://-/",
        "http://./",
    ),
    *(
        "http://%31%32%37.0.0.1/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://1.2.3.0x100/",
        "http://a.b.09/",
    ),
    *(
        "http://4294967296/",
        "http://[::1/",
        "http://[::g]/",
        "http://[1.2.3.4]/",
        "http://::1/",
        "http://a]b/",
    ),
    *("http://images.example/a\tb", "http://images.example/a\nHost: other", "http://images.example/\x00"),
    *(
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 127 + "example/",
        "http://images.example/" + "a" * 4096,
    ),
    *("http://images.example/" + "ü" * 1000, "http://a\u202eb.example/", "x" * 100_000),
]


@pytest.mark.parametrize(("text", "normal"), NORMAL.items())
def test_a_url_is_written_in_one_way(text: str, normal: str) -> None:
    assert parse_url(text).text == normal
    assert parse_url(normal).text == normal


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:40])
def test_what_cannot_be_asked_is_bad_and_says_why(text: str) -> None:
    with pytest.raises(BadUrl, match=r"\w"):
        parse_url(text)


@given(st.text(max_size=60), st.text(max_size=60))
@example("a.example", "/..%2f/")
@example("0x.0x", "\\..\\")
def test_whatever_is_parsed_is_ascii_short_and_stays_as_it_is(host: str, path: str) -> None:
    try:
        url = parse_url(f"http://{host}/{path}")
    except BadUrl:
        return
    assert url.text.isascii()
    assert url.text.isprintable()
    assert len(url.text) <= LONGEST
    assert parse_url(url.text) == url
    assert url.origin + url.target == url.text
    assert url.target.startswith("/")
    assert "/../" not in url.target.partition("?")[0]


@given(st.text(alphabet="abc.:/@\\?#[]%0123x-", max_size=40))
def test_the_host_that_is_checked_is_the_host_that_is_asked(text: str) -> None:
    """What connects reads the text again: both must see the same host and port."""
    try:
        url = parse_url(f"http://{text}")
    except BadUrl:
        return
    parts = urlsplit(url.text)
    assert (parts.hostname, parts.port or 80) == (url.host, url.port)


@pytest.mark.parametrize(
    ("location", "joined"),
    [
        ("/b", "http://images.example:8080/b"),
        ("b", "http://images.example:8080/a/b"),
        ("../b", "http://images.example:8080/b"),
        ("?q", "http://images.example:8080/a/c?q"),
        ("#f", "http://images.example:8080/a/c?x"),
        ("", "http://images.example:8080/a/c?x"),
        ("//other.example/b", "http://other.example/b"),
        ("\\\\other.example/b", "http://other.example/b"),
        ("/\\other.example/b", "http://other.example/b"),
        ("https://other.example/b c", "https://other.example/b%20c"),
        ("b?x=http://other.example/", "http://images.example:8080/a/b?x=http://other.example/"),
    ],
)
def test_a_location_leads_where_browsers_go(location: str, joined: str) -> None:
    assert join_url(parse_url("http://images.example:8080/a/c?x"), location).text == joined


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://", "//user@other.example/", "//"])
def test_a_location_that_cannot_be_asked_is_bad(location: str) -> None:
    with pytest.raises(BadUrl):
        join_url(parse_url("http://images.example/a"), location)
