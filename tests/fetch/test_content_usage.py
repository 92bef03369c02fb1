"""Content-Usage in robots.txt and as a header field: the examples of the drafts of the IETF's working group aipref."""

from __future__ import annotations

import pytest

from mlimg_build.fetch.rights.content_usage import signalled_preference, training_preference
from mlimg_build.fetch.rights.response_headers import header_refusal
from mlimg_build.fetch.rights.robots import read_robots
from mlimg_build.fetch.rights.signals import RightsPolicy
from mlimg_build.fetch.rights.structured_fields import LONGEST_FIELD, tokens_of

SITE = "https://example.com"

# draft-ietf-aipref-attach-05, 3.4
EXAMPLE = """\
User-Agent: *
Allow: /
Disallow: /never/
Content-Usage: train-ai=n
Content-Usage: /ai-ok/ train-ai=y

User-Agent: ExampleBot
Allow: /
Content-Usage: train-ai=y
"""


def evidence(text: str, path: str, token: str = "mlimg") -> str:
    found = read_robots(200, text.encode(), RightsPolicy(product_token=token)).refusal(SITE + path)
    return f"{found.signal}: {found.evidence}" if found else ""


@pytest.mark.parametrize(
    ("token", "path", "expected"),
    [
        ("mlimg", "/test", "content-usage: robots.txt line 4: Content-Usage: train-ai=n for *"),
        ("mlimg", "/never/test", "robots: robots.txt line 3: Disallow: /never/ for *"),
        ("mlimg", "/ai-ok/test", ""),
        ("examplebot", "/test", ""),
        ("examplebot", "/never/test", ""),
    ],
)
def test_the_table_of_attach_05_holds(token: str, path: str, expected: str) -> None:
    assert evidence(EXAMPLE, path, token) == expected


def test_the_first_examples_of_attach_05_refuse() -> None:
    assert evidence("User-Agent: *\nAllow: /\nContent-Usage: train-ai=n\n", "/a")
    fields = [("Date", "Wed, 23 Apr 2025 04:48:02 GMT"), ("Content-Usage", "train-ai=n")]
    found = header_refusal(fields, RightsPolicy())
    assert found
    assert (found.signal, found.evidence) == ("content-usage", "Content-Usage: train-ai=n")


@pytest.mark.parametrize(
    ("rules", "path", "refused"),
    [
        ("Content-Usage: /photos train-ai=n", "/photos/1", True),
        ("Content-Usage: /photos train-ai=n", "/other", False),
        ("content-usage :\t/photos\ttrain-ai=n # no", "/photos/1", True),
        ("Content-Usage: / train-ai=n\nContent-Usage: /a train-ai=y", "/a/b", False),
        (
            "Content-Usage: /a train-ai=y\nContent-Usage: /a train-ai=n",
            "/a",
            True,
        ),  # equal paths: the stricter
        ("Content-Usage: /a*c train-ai=n", "/abc", True),
        ("Content-Usage: /a$ train-ai=n", "/ab", False),
        (
            "Content-Usage: /a search=n\nContent-Usage: train-ai=n",
            "/a",
            False,
        ),  # the longest rule says nothing of it
        ("Content-Usage: /%7Ejoe train-ai=n", "/~joe", True),
        ("Content-Usage: /photos", "/photos", False),
        ("Content-Usage: photos train-ai=n", "/photos", False),  # no path, and no dictionary
        ("Content-Usage: bots=n", "/a", True),
        ("Content-Signal: search=yes,ai-train=no", "/a", True),
        ("Content-Signal: /blog/ ai-train=no", "/a", False),
        ("Content-Signal: /blog/ ai-train=no, search=yes", "/blog/a", True),
        ("Content-Signal: ai-train=yes\nContent-Usage: train-ai=n", "/a", True),
        ("Content-Signal: ai-input=no", "/a", False),
    ],
)
def test_the_longest_path_decides_and_of_equal_paths_the_stricter(
    rules: str, path: str, refused: bool
) -> None:
    assert bool(evidence(f"User-agent: *\n{rules}\n", path)) == refused


def test_a_rule_of_content_usage_ends_a_list_of_names() -> None:
    text = "User-agent: mlimg\nContent-Usage: train-ai=y\nUser-agent: *\nDisallow: /\n"
    assert not evidence(text, "/a")


def test_ignored_content_usage_refuses_nothing() -> None:
    policy = RightsPolicy(content_usage="ignore")
    assert read_robots(200, EXAMPLE.encode(), policy).refusal(SITE + "/test") is None
    assert header_refusal([("content-usage", "train-ai=n")], policy) is None


# draft-ietf-aipref-vocab-07, 6
@pytest.mark.parametrize(
    ("text", "preference"),
    [
        ("train-ai=y, search=n", "allow"),
        ("train-ai=n", "disallow"),
        ('train-ai=y, train-ai, search=n, search="n"', "unknown"),
        ("train-ai;allow=n, train-ai=y", "allow"),
        ('train-ai;has;parameters="?";', "unknown"),
        ('train-ai;has;parameters="?"', "unknown"),
        ("train-ai=n;p=1", "disallow"),
        ("Train-AI=n", "unknown"),
        ("train-ai=N", "unknown"),
        ("train-ai=no", "unknown"),
        ('train-ai="n"', "unknown"),
        ("train-ai=(n)", "unknown"),
        ("train-ai=n, new.label=*x", "disallow"),
        ("", "unknown"),
        ("train-ai=ñ", "unknown"),
        # the hierarchies of vocab-01 to -04
        ("bots=n", "disallow"),
        ("all=n, train-ai=y", "allow"),
        ("tdm=n", "disallow"),
        ("tdm=n, ai=y", "allow"),
        ("ai=n", "disallow"),
        ("bots=y, train-ai=n", "disallow"),
        ("train-genai=n", "unknown"),
        ("search=n", "unknown"),
    ],
)
def test_a_preference_is_what_the_vocabulary_says(text: str, preference: str) -> None:
    assert training_preference(text)[0] == preference


def test_several_lines_of_a_header_are_one_dictionary() -> None:
    lines = [("Content-Usage", "train-ai=n"), ("content-usage", "train-ai=y")]
    assert header_refusal(lines, RightsPolicy()) is None  # the last of one name counts
    assert header_refusal([*lines, ("Content-Usage", "train-ai=n")], RightsPolicy())


# RFC 9651, 3.2 and 4.2, written here as pairs of a text and what its members are
@pytest.mark.parametrize(
    ("text", "members"),
    [
        ('en="Applepie", da=:w4ZibGV0w6ZydGU=:', {"en": None, "da": None}),
        ("a=?0, b, c; foo=bar", {"a": None, "b": None, "c": None}),
        ("rating=1.5, feelings=(joy sadness)", {"rating": None, "feelings": None}),
        ("a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid", {"a": None, "b": None, "c": None, "d": None}),
        ("foo=1, bar=2", {"foo": None, "bar": None}),
        ("a=@1659578233", {"a": None}),
        ('a=%"This is intended for display to %c3%bcsers."', {"a": None}),
        ("a=foo123/456:x*", {"a": "foo123/456:x*"}),
        ("  a=b\t ,\t c=d ", {"a": "b", "c": "d"}),
        ("a=(), b=( x )", {"a": None, "b": None}),
        ("*k=*t", {"*k": "*t"}),
    ],
)
def test_a_dictionary_is_read(text: str, members: dict[str, str | None]) -> None:
    assert tokens_of(text) == members


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a=b,",
            ",a",
            "a b",
            "a=",
            "a==b",
            "=b",
            "A=b",
            "a=b;",
            "a=b;P",
            "a=(b",
            "a=(b)c",
            "a=(b,c)",
            "a=(b(c))",
            'a=("b""c")',
        ),
        *(
            'a="b',
            'a="\\x"',
            'a="ä"',
            "a=:b",
            "a=:!:",
            "a=?2",
            "a=@1.5",
            "a=@",
            "a=1.",
            "a=1.2345",
            "a=-",
            "a=--1",
        ),
        *(
            "a=1234567890123456",
            "a=1234567890123.1",
            'a=%"%ff"',
            'a=%"%C3%BC"',
            'a=%"b',
            "\ta=b",
            "a=b\n",
            "a=b;c=(",
        ),
        "a=" + "b" * LONGEST_FIELD,
    ],
)
def test_what_breaks_the_syntax_is_no_dictionary(text: str) -> None:
    assert tokens_of(text) is None


@pytest.mark.parametrize(
    ("text", "preference"),
    [
        ("search=yes,ai-train=no,use=reference", "disallow"),
        ("AI-Train = No", "disallow"),
        ("ai-train=yes", "allow"),
        ("ai-train=yes, ai-train=no", "disallow"),
        ("ai-train=maybe", "unknown"),
        ("ai-trainer=no", "unknown"),
    ],
)
def test_a_content_signal_is_read(text: str, preference: str) -> None:
    assert signalled_preference(text)[0] == preference
