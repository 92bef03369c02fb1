"""What strangers write is read in bounded time and never raises, whatever it is; Protego and the line shown agree."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego

from mlimg_build.fetch.rights.content_usage import signalled_preference, training_preference
from mlimg_build.fetch.rights.path_patterns import PathPattern, canonical_path, path_of_url
from mlimg_build.fetch.rights.response_headers import header_refusal
from mlimg_build.fetch.rights.robots import LARGEST_ROBOTS, read_robots
from mlimg_build.fetch.rights.robots_groups import decoded, group_of
from mlimg_build.fetch.rights.signals import LONGEST_EVIDENCE, Refusal, RightsPolicy, one_line
from mlimg_build.fetch.rights.structured_fields import tokens_of
from mlimg_build.fetch.rights.tdm import LARGEST_TDMREP, read_tdmrep

POLICY = RightsPolicy()
WORDS = st.sampled_from(
    [
        *(
            "User-agent: ",
            "user-agent:*\n",
            "mlimg",
            "*",
            "Disallow: ",
            "Allow:",
            "Content-Usage: ",
            "train-ai=n",
            "/",
            "$",
        ),
        *(
            "\n",
            "\r",
            "\r\n",
            "#",
            "%",
            "%2F",
            "%24",
            "?",
            " ",
            "\t",
            "a",
            "ä",
            "\udcff",
            "\0",
            "Crawl-delay: ",
            "1",
            "=",
            ",",
        ),
        *("Content-Signal: ai-train=no", "\x85", "\u2028", ":", "https://", "index.html"),
    ]
)
TEXTS = st.lists(WORDS, max_size=40).map("".join) | st.text(max_size=200)
PATHS = st.lists(
    st.sampled_from([*"/ab*$?=&#%", "%2F", "%2f", "%24", "%61", "ä", " ", ".jpg"]), max_size=12
).map("".join)


def printable(refusal: Refusal | None) -> bool:
    return refusal is None or (
        refusal.evidence.isprintable() and 0 < len(refusal.evidence) <= LONGEST_EVIDENCE
    )


@given(TEXTS, PATHS | st.text(max_size=60))
def test_any_text_is_a_robots_txt(text: str, path: str) -> None:
    found = read_robots(200, text.encode("utf-8", "surrogatepass"), POLICY)
    for url in (f"https://example.com/{path}", f"https://example.com{path}", path):
        assert printable(found.refusal(url))
    assert found.crawl_delay is None or 0 <= found.crawl_delay <= 86_400


@given(st.binary(max_size=300), st.text(max_size=40))
def test_any_bytes_are_a_robots_txt_and_a_tdmrep_json(body: bytes, url: str) -> None:
    assert printable(read_robots(200, body, POLICY).refusal(url))
    file = read_tdmrep(200, body)
    assert all(notice.isprintable() and len(notice) <= LONGEST_EVIDENCE for notice in file.notices)
    assert file.reservation(url) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["Disallow", "Allow"]), PATHS.map(lambda path: f"/{path}")), max_size=6
    ),
    PATHS,
)
def test_protego_decides_and_the_line_that_is_shown_matches(rules: list[tuple[str, str]], path: str) -> None:
    """But for an escaped slash in a query (RFC 9309, 2.2.2) and a `%` that begins no escape, which Protego leaves."""
    text = "User-agent: *\n" + "".join(f"{field}: {rule}\n" for field, rule in rules)
    url = f"https://example.com/{path}"
    refusal = read_robots(200, text.encode(), POLICY).refusal(url)
    assert not refusal or re.match(r"robots\.txt line [0-9]+: Disallow: /", refusal.evidence)
    if not re.search("%2f|%(?![0-9a-f]{2})", f"{text}{path}".lower()):
        assert (refusal is None) == Protego.parse(text).can_fetch(url, "mlimg")


@given(TEXTS)
def test_a_canonical_path_stays_as_it_is(text: str) -> None:
    path = canonical_path(text)
    assert canonical_path(path) == path
    assert path.isascii()
    pattern = PathPattern.parse(text)
    assert PathPattern.parse(pattern.text) == pattern
    assert path_of_url(path_of_url(text)) == path_of_url(text)


@given(st.text(alphabet="ab", max_size=8), st.text(alphabet="ab*", max_size=8), st.booleans())
def test_a_pattern_matches_as_a_regular_expression_would(path: str, pattern: str, anchored: bool) -> None:
    expression = "/" + pattern.replace("*", ".*") + ("$" if anchored else "")
    assert PathPattern.parse(f"/{pattern}{'$' if anchored else ''}").matches(f"/{path}") == bool(
        re.match(expression, f"/{path}")
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(["x-robots-tag", "tdm-reservation", "Content-Usage", "a"]), TEXTS),
        max_size=5,
    )
)
def test_any_headers_are_read(headers: list[tuple[str, str]]) -> None:
    assert printable(header_refusal(headers, POLICY))


@given(TEXTS | st.text(alphabet='a=n,; ()"\\%:@?1.-*', max_size=30))
def test_any_text_is_a_preference_or_none(text: str) -> None:
    assert training_preference(text)[0] in ("allow", "disallow", "unknown")
    assert signalled_preference(text)[0] in ("allow", "disallow", "unknown")
    members = tokens_of(text)
    assert members is None or all(re.fullmatch(r"[a-z*][a-z0-9_.*-]*", key) for key in members)


@given(st.text(max_size=300))
def test_any_text_becomes_one_line_once(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= LONGEST_EVIDENCE
    assert one_line(line) == line


HALF = LARGEST_ROBOTS // 2
STARS = b"User-agent: *\n"
NASTY = {
    "one pattern of a quarter of a million stars": STARS + b"Disallow: /" + b"*a" * (HALF - 20) + b"b\n",
    "the same with an end": STARS + b"Disallow: /" + b"*a" * (HALF - 20) + b"$\n",
    "one long part": STARS + b"Disallow: /*" + b"a" * (LARGEST_ROBOTS - 40) + b"\n",
    "30,000 prefixes": STARS + b"".join(b"Disallow:/%d\n" % number for number in range(30_000)),
    "999 patterns of 40 stars": STARS
    + b"".join(b"Disallow:/*%sb%d\n" % (b"*".join([b"aaaaaaaab"] * 40), number) for number in range(999)),
    "999 preferences with stars": STARS
    + b"".join(b"Content-Usage:/*%sb%d train-ai=n\n" % (b"a" * 440, number) for number in range(999)),
    "33,000 patterns": STARS + b"".join(b"Disallow:*%d\n" % number for number in range(33_000)),
    "25,000 names": b"".join(b"User-agent: m%d\n" % number for number in range(25_000)) + b"Disallow: /\n",
    "names again and again": b"User-agent: *\nUser-agent: mlimg\n" * 10_000 + b"Disallow: /\n",
    "spaces": STARS + b"Disallow" + b" " * (LARGEST_ROBOTS - 30) + b":/\n",
    "escapes": STARS + b"Disallow: /" + b"%4" * (HALF - 20),
    "line ends": b"\r" * LARGEST_ROBOTS,
    "a dictionary": STARS + b"Content-Usage: " + b"a=(1 1);" * (LARGEST_ROBOTS // 8 - 10),
}


@pytest.mark.parametrize("body", NASTY.values(), ids=NASTY)
def test_the_worst_robots_txt_costs_bounded_time(body: bytes) -> None:
    """Measured on a busy machine: at most 1.6 s for a file and 0.09 s for a URL."""
    start = time.perf_counter()
    robots = read_robots(200, body, POLICY)
    assert time.perf_counter() - start < 15
    for path in ("a" * 8000, "aaaaaaaab" * 880, "1"):
        start = time.perf_counter()
        assert printable(robots.refusal(f"https://example.com/{path}"))
        assert time.perf_counter() - start < 2


def test_a_url_that_is_too_long_is_refused_where_there_are_rules() -> None:
    url = "https://example.com/" + "a" * 10_000_000
    found = read_robots(200, b"User-agent: *\nDisallow: /*b$\n", POLICY).refusal(url)
    assert found
    assert found.evidence == "robots.txt has rules, and the URL is over 8192 characters"
    assert read_robots(404, b"", POLICY).refusal(url) is None


@pytest.mark.parametrize(
    "body",
    [
        b'[{"location": "/' + b"*a" * 4000 + b'b", "tdm-reservation": 1},' * 60 + b"1]",
        b"[" + b'{"location": "/*a*b", "tdm-reservation": 1},' * 11_000 + b"1]",
        b'"' + b'\\"' * (LARGEST_TDMREP // 2 - 2),
        b"[1," * 32 + b"[" * (LARGEST_TDMREP - 200),
        b'["' * (LARGEST_TDMREP // 2),
        b"[" + b"1e9," * (LARGEST_TDMREP // 4 - 2) + b"1]",
    ],
    ids=["long", "many", "string", "deep", "strings", "numbers"],
)
def test_the_worst_tdmrep_json_costs_bounded_time(body: bytes) -> None:
    assert len(body) <= LARGEST_TDMREP
    start = time.perf_counter()
    file = read_tdmrep(200, body)
    file.reservation("https://example.com/" + "a" * 8000)
    assert time.perf_counter() - start < 5
    assert file.notices


@pytest.mark.parametrize(
    "value", ["a;" * 8000, "a=(" * 5000, "a=(1" + " 1" * 8000, '"' * 16_000, "a=" + "1" * 16_000, ", " * 8000]
)
def test_the_worst_header_costs_bounded_time(value: str) -> None:
    start = time.perf_counter()
    for name in ("content-usage", "x-robots-tag", "tdm-reservation", "tdm-policy"):
        assert header_refusal([(name, value)] * 20, POLICY) is None
    assert time.perf_counter() - start < 2


def test_a_file_of_names_alone_keeps_the_group_empty() -> None:
    assert group_of(decoded(b"User-agent: mlimg\n" * 1000), "mlimg").rules == ()
