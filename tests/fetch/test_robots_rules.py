"""robots.txt means what RFC 9309 says: its examples, its answers by status, and what real files hold besides."""

from __future__ import annotations

import pytest
from protego import Protego

from mlimg_build.fetch.rights.robots import CACHE_SECONDS, MOST_REDIRECTS, Robots, read_robots
from mlimg_build.fetch.rights.robots_groups import LARGEST_ROBOTS
from mlimg_build.fetch.rights.signals import RightsPolicy

SITE = "https://example.com"

# RFC 9309, 5.1
SIMPLE = """\
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""


def robots(text: str | bytes, token: str = "mlimg", **policy: str) -> Robots:
    body = text if isinstance(text, bytes) else text.encode()
    return read_robots(200, body, RightsPolicy(product_token=token, **policy))


def evidence(text: str | bytes, path: str, token: str = "mlimg") -> str:
    found = robots(text, token).refusal(SITE + path)
    return found.evidence if found else ""


@pytest.mark.parametrize(
    ("token", "path", "line"),
    [
        ("mlimg", "/a.gif", 2),
        ("mlimg", "/a.gif?b", 0),
        ("mlimg", "/example/a.png", 3),
        ("mlimg", "/publications/a.png", 0),
        ("mlimg", "/publications/a.gif", 0),  # the Allow is longer
        ("mlimg", "/other", 0),
        ("foobot", "/other", 7),
        ("foobot", "/example/page.html", 0),
        ("foobot", "/example/allowed.gif", 0),
        ("foobot", "/example/other.gif", 7),
        ("barbot", "/example/page.html", 13),
        ("bazbot", "/example/page.html", 13),
        ("bazbot", "/a.gif", 0),
        ("quxbot", "/example/a.gif", 0),  # a group without rules allows all
    ],
)
def test_the_first_example_of_the_rfc_decides_and_names_the_line(token: str, path: str, line: int) -> None:
    found = evidence(SIMPLE, path, token)
    assert found.startswith(f"robots.txt line {line}: Disallow: " if line else "")
    assert bool(found) == bool(line)


def test_the_longest_match_of_the_second_example_wins() -> None:
    text = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"
    assert (
        evidence(text, "/example/page/disallowed.gif", "foobot")
        == "robots.txt line 3: Disallow: /example/page/disallowed.gif for foobot"
    )
    assert not evidence(text, "/example/page/", "foobot")


def test_equally_long_rules_allow() -> None:
    assert not evidence("User-agent: *\nDisallow: /page\nAllow: /page\n", "/page")


def test_groups_of_one_crawler_are_one_group() -> None:
    text = (
        "user-agent: ExampleBot\ndisallow: /foo\ndisallow: /bar\n\nuser-agent: ExampleBot\ndisallow: /baz\n"
    )
    assert [bool(evidence(text, path, "examplebot")) for path in ("/foo", "/bar", "/baz", "/a")] == [
        1,
        1,
        1,
        0,
    ]
    assert not evidence(text, "/foo", "otherbot")


def test_a_crawler_with_a_group_of_its_own_does_not_obey_the_group_for_all() -> None:
    text = "User-agent: *\nDisallow: /\n\nUser-agent: MLIMG\nDisallow: /private\n"
    assert not evidence(text, "/a")
    assert evidence(text, "/private/a") == "robots.txt line 5: Disallow: /private for mlimg"


@pytest.mark.parametrize("name", ["ml", "mlimgs", "img", "my-mlimg", "*Orkash*"])
def test_a_token_is_compared_whole(name: str) -> None:
    """Protego alone takes `ml` for a part of `mlimg` that counts."""
    assert not evidence(f"User-agent: {name}\nDisallow: /\n", "/a")


@pytest.mark.parametrize(
    "name", ["mlimg/1.0", "mlimg (+https://example.com)", "*mlimg*", "MLimg", "mlimg # us"]
)
def test_what_follows_a_token_does_not_matter(name: str) -> None:
    assert evidence(f"User-agent: {name}\nDisallow: /\n", "/a") == "robots.txt line 2: Disallow: / for mlimg"


# RFC 9309, 2.2.2: a rule as the site wrote it, and URLs that match it
@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz"),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar"),
        ("/foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar?baz=https://foo.bar"),
        ("/foo/bar/ツ", "/foo/bar/%E3%83%84"),
        ("/foo/bar/%E3%83%84", "/foo/bar/ツ"),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz"),
        ("/foo/bar/baz", "/foo/bar/%62%61%7a"),
    ],
)
def test_escapes_and_the_characters_they_stand_for_are_equal(rule: str, path: str) -> None:
    assert evidence(f"User-agent: *\nDisallow: {rule}\n", path).startswith("robots.txt line 2: ")
    assert not evidence(f"User-agent: *\nDisallow: {rule}\n", "/foo/ba")


@pytest.mark.parametrize(
    ("rule", "matching", "other"),
    [
        ("/this/path/exactly$", "/this/path/exactly", "/this/path/exactly/not"),
        ("/this/*/exactly", "/this/a/b/exactly", "/this/exactly"),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", "/path/file-with-a-b.html"),
        ("/path/foo-%24", "/path/foo-$", "/path/foo-"),
        ("/a # comment", "/ab", "/b"),
        ("/fish*.php", "/fishheads/catfish.php?id=1", "/Fish.PHP"),
        ("/*.php$", "/a/b.php", "/a.php?b"),
        ("/a*a$", "/aa", "/a"),
        ("/100%", "/100%25", "/100%2A"),
        ("/a%2Fb", "/a%2fb", "/a/b"),
    ],
)
def test_special_characters_match_as_the_rfc_says(rule: str, matching: str, other: str) -> None:
    text = f"User-agent: *\nDisallow: {rule}\n"
    assert evidence(text, matching)
    assert not evidence(text, other)


def test_the_longest_of_several_rules_is_shown_and_the_first_of_equal_ones() -> None:
    text = "User-agent: *\nDisallow: /a\nDisallow: /a/b\nDisallow: /a/*\nDisallow: /\n"
    assert evidence(text, "/a/b/c") == "robots.txt line 3: Disallow: /a/b for *"
    assert evidence(text, "/a/c") == "robots.txt line 4: Disallow: /a/* for *"
    assert evidence("User-agent: *\nDisallow: /a$\n", "/a$b") == "robots.txt line 2: Disallow: /a$ for *"


def test_robots_txt_itself_is_always_allowed() -> None:
    assert not evidence("User-agent: *\nDisallow: /\n", "/robots.txt")


def test_other_records_neither_begin_nor_end_a_group() -> None:
    text = "User-agent: a\nSitemap: https://example.com/s.xml\nHost: example.com\nUser-agent: mlimg\nDisallow: /x\n"
    assert evidence(text, "/x") == "robots.txt line 5: Disallow: /x for mlimg"
    assert not evidence("User-agent: *\nDisallow:\nSitemap: /\nUser-agent: b\nDisallow: /", "/x")


@pytest.mark.parametrize(
    "line",
    ["DISALLOW:/x", " disallow : /x ", "Dissallow: /x", "Disalow: /x", "Disallow /x", "\tDisallow:\t/x\t# y"],
)
def test_a_line_that_errs_is_read_as_it_was_meant(line: str) -> None:
    assert evidence(f"User agent: *\n{line}\n", "/x.jpg") == "robots.txt line 2: Disallow: /x for *"


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /x\r\n",
        b"User-agent: *\rDisallow: /x\r",
        b"User-agent: *\nDisallow: /x",
        b"\nUser-agent: *\n\n\nDisallow: /x\n",
        "User-agent: *\nDisallow: /x\n".encode("utf-16"),
        b"\xfe\xff" + "User-agent: *\nDisallow: /x\n".encode("utf-16-be"),
        b"# caf\xe9 \xff\nUser-agent: *\nDisallow: /x\n",
        b"\0User-agent: *\nUser-agent: *\nDisallow: /x\n",
    ],
)
def test_line_ends_marks_and_odd_bytes_change_nothing(body: bytes) -> None:
    assert ": Disallow: /x for *" in evidence(body, "/x.jpg")


def test_a_path_in_latin_1_is_the_path_that_it_names() -> None:
    assert evidence(b"User-agent: *\nDisallow: /caf\xe9/\n", "/caf%E9/a.jpg") == (
        "robots.txt line 2: Disallow: /caf\\udce9/ for *"
    )


def test_no_group_is_no_rule() -> None:
    assert not evidence("Disallow: /\n", "/a")
    assert not evidence("<html><body>404</body></html>", "/a")


def test_a_rule_that_is_a_whole_url_is_no_rule() -> None:
    """Real files name other hosts so, above all those for tests and staging."""
    assert not evidence("User-agent: *\nDisallow: https://test.example.com/\nDisallow: photos/\n", "/photos/")


@pytest.mark.parametrize("status", [200, 204, 299])
def test_a_success_has_rules(status: int) -> None:
    assert read_robots(status, b"User-agent: *\nDisallow: /", RightsPolicy()).refusal(SITE)


@pytest.mark.parametrize("status", [301, 308, 400, 401, 403, 404, 410, 418, 451, 499])
def test_a_file_that_is_not_there_allows_all(status: int) -> None:
    """RFC 9309, 2.3.1.3, and 2.3.1.2 for redirects without an end."""
    found = read_robots(status, b"User-agent: *\nDisallow: /", RightsPolicy())
    assert found.refusal(SITE + "/a") is None
    assert not found.temporary


@pytest.mark.parametrize("status", [500, 503, 599, 429, 100, 700, None])
def test_a_file_that_cannot_be_reached_disallows_all_for_now(status: int | None) -> None:
    """RFC 9309, 2.3.1.4."""
    found = read_robots(status, b"", RightsPolicy())
    refusal = found.refusal(SITE + "/a")
    assert found.temporary
    assert refusal
    assert refusal.evidence == (
        f"robots.txt: {f'answered {status}' if status else 'no answer'}, so all is disallowed for now"
    )
    assert read_robots(status, b"", RightsPolicy(robots="ignore")).refusal(SITE) is None


def test_the_numbers_of_the_rfc_are_kept() -> None:
    assert CACHE_SECONDS == 24 * 3600  # 2.4
    assert MOST_REDIRECTS >= 5  # 2.3.1.2
    assert LARGEST_ROBOTS >= 500 * 1024  # 2.5


def test_rules_within_500_kib_count_and_a_rule_that_is_cut_does_not() -> None:
    head = b"User-agent: *\nDisallow: /first\n"
    inside = head + b"#" * (LARGEST_ROBOTS - len(head) - 15) + b"\nDisallow: /in\n"
    assert len(inside) == LARGEST_ROBOTS
    assert evidence(inside + b"Disallow: /out\n", "/in")
    assert not evidence(inside + b"Disallow: /out\n", "/out")
    cut = (
        head + b"#" * (LARGEST_ROBOTS - len(head) - 12) + b"\nDisallow: /private\n"
    )  # `Disallow: /` is inside
    assert cut[:LARGEST_ROBOTS].endswith(b"Disallow: /")
    assert not evidence(cut, "/a")
    assert evidence(cut, "/first")


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ("Crawl-delay: 10", 10.0),
        ("crawl-delay: 0.5 # half", 0.5),
        ("Crawl-delay: 1\nCrawl-delay: 7", 7.0),
        ("Crawl-delay: 1e300", 86_400.0),
        ("Crawl-delay: ten\nCrawl-delay: nan\nCrawl-delay: -1\nCrawl-delay: inf\nCrawl-delay:", None),
        ("Disallow: /", None),
    ],
)
def test_a_crawl_delay_is_returned_if_it_is_a_number(lines: str, seconds: float | None) -> None:
    assert robots(f"User-agent: *\n{lines}\n").crawl_delay == seconds
    assert robots(f"User-agent: other\n{lines}\n").crawl_delay is None


# files of the kinds that Protego's own tests have, with what a crawler meets in each
FILES = (
    "User-agent: *\nDisallow: /tmp/*/b\nDisallow: /*.html$\nAllow: /tmp/a/b/ok\n",
    "User-agent: *\nDisallow: /\nAllow: /p$\nAllow: /\xc3\xa4/\nAllow: /*?page=\n",
    "User-agent: *\nDisallow: /s*e?\nDisallow: /%7Ejoe/\nDisallow: /a%3cd.html\nAllow: /a%3Cd.htm\n",
    "User-agent: *\nCrawl-delay: 1\nRequest-rate: 1/5\nDisallow: //x\nDisallow: /a//b\n",
    "User-agent: *\nDisallow: *\nAllow: /i*g\n",
    "User-agent: *\nDisallow: /$\nDisallow: /a$b\nDisallow: /**/c\n",
    SIMPLE,
)
PATHS = (
    *("/", "/p", "/p/", "/tmp/x/b", "/tmp/a/b/ok", "/a.html", "/a.html?b", "/ä/1", "/%C3%A4/1", "/x?page=2"),
    *(
        "/se?",
        "/size?e?",
        "/~joe/i.jpg",
        "/%7ejoe/",
        "/a<d.html",
        "/a%3Cd.htm",
        "//x",
        "/a//b",
        "/img",
        "/ig",
    ),
    *("/a$b", "/a%24b", "/z/c", "/example/a", "/a.gif", "/a.gif#b", "", "?q", "/%", "/%zz", "/a b"),
)


@pytest.mark.parametrize("text", FILES)
def test_the_decisions_are_those_of_protego(text: str) -> None:
    judge, ours = Protego.parse(text), robots(text)
    for path in PATHS:
        assert (ours.refusal(SITE + path) is None) == judge.can_fetch(SITE + path, "mlimg"), path


def test_a_group_with_very_many_wildcards_is_not_followed_in_part() -> None:
    text = "User-agent: *\n" + "".join(f"Disallow: /*{number}\n" for number in range(1001))
    assert (
        evidence(text, "/a") == "robots.txt: more than 1000 rules with wildcards for *, not followed in part"
    )
    assert not evidence("User-agent: *\n" + "Disallow: /*x\n" * 5000, "/a")  # a rule counts once


def test_ignored_robots_txt_refuses_nothing() -> None:
    assert robots(SIMPLE, robots="ignore").refusal(SITE + "/example/a.gif") is None
