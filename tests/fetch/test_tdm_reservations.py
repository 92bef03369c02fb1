"""tdmrep.json and its header fields: the examples of the report, and files that are none."""

from __future__ import annotations

import json

import pytest

from mlimg_build.fetch.rights.tdm import (
    LARGEST_TDMREP,
    MOST_TDM_RULES,
    Reservation,
    TdmFile,
    header_reservation,
    read_tdmrep,
    tdm_refusal,
)

SITE = "https://provider.com"


def reserved(file: TdmFile, path: str) -> bool | None:
    found = file.reservation(SITE + path)
    return found.reserved if found else None


def rules(*entries: tuple[str, object]) -> TdmFile:
    content = [{"location": location, "tdm-reservation": value} for location, value in entries]
    return read_tdmrep(200, json.dumps(content).encode())


def test_the_first_example_reserves_every_file() -> None:
    file = read_tdmrep(200, b'[\n {\n "location": "/",\n "tdm-reservation": 1\n }\n]')
    assert reserved(file, "/any/image.png") is True
    assert reserved(file, "") is True
    assert not file.notices


def test_the_second_example_reserves_two_groups_and_frees_the_third() -> None:
    file = read_tdmrep(
        200,
        b"""[{"location": "/directory-a/", "tdm-reservation": 1},
        {"location": "/directory-b/html/", "tdm-reservation": 1,
         "tdm-policy":"https://provider.com/policies/policy.json"},
        {"location": "/directory-b/images/*.jpg", "tdm-reservation": 0}]""",
    )
    assert reserved(file, "/directory-a/x.pdf") is True
    assert file.reservation(SITE + "/directory-b/html/x.html") == Reservation(
        True,
        "https://provider.com/policies/policy.json",
        "tdmrep.json rule 2: tdm-reservation 1 for /directory-b/html/, "
        "tdm-policy https://provider.com/policies/policy.json",
    )
    assert reserved(file, "/directory-b/images/x.jpg") is False
    assert reserved(file, "/directory-b/images/x.png") is None


def test_the_first_rule_that_matches_counts_not_the_longest() -> None:
    assert reserved(rules(("/", 1), ("/free/", 0)), "/free/a") is True
    assert reserved(rules(("/free/", 0), ("/", 1)), "/free/a") is False


@pytest.mark.parametrize(
    ("location", "matching", "other"),
    [
        ("/this/path/exactly$", "/this/path/exactly", "/this/path/exactly/1"),
        ("/this/*/then", "/this/a/b/then/c", "/this/then"),
        ("/path/foo-%24", "/path/foo-$", "/path/foo-"),
        ("/Case", "/Case", "/case"),
        ("/a%62c", "/abc", "/ab"),
        ("*.jpg$", "/a/b.jpg", "/a/b.jpg?c"),
        ("*", "/", None),
    ],
)
def test_locations_match_as_the_report_says(location: str, matching: str, other: str | None) -> None:
    assert reserved(rules((location, 1)), matching) is True
    assert other is None or reserved(rules((location, 1)), other) is None


@pytest.mark.parametrize(
    ("value", "expected"), [(1, True), ("1", True), (True, True), (0, False), ("0", False)]
)
def test_a_value_that_says_it_is_read(value: object, expected: bool) -> None:
    assert reserved(rules(("/", value)), "/a") is expected


def test_a_policy_is_processed_only_with_a_reservation() -> None:
    """The report: agents should not process the policy of what is not reserved."""
    for value, policy in ((1, "https://provider.com/p"), (0, "")):
        content = [{"location": "/", "tdm-reservation": value, "tdm-policy": "https://provider.com/p"}]
        found = read_tdmrep(200, json.dumps(content).encode()).reservation(SITE)
        assert found
        assert found.policy == policy
        assert ("tdm-policy" in found.evidence) == bool(policy)


@pytest.mark.parametrize("value", [2, -1, 1.5, "yes", "", None, [], {}, "01", 10**30])
def test_another_value_sets_nothing_and_is_told(value: object) -> None:
    file = rules(("/", value), ("/a", 1))
    assert file.notices == ("tdmrep.json rule 1: tdm-reservation is neither 0 nor 1",)
    assert reserved(file, "/b") is None
    assert reserved(file, "/a") is True  # the rule with the error gives way to the next


@pytest.mark.parametrize(
    "entry", [1, None, "x", [], {}, {"location": 1}, {"location": "a/", "tdm-reservation": 1}]
)
def test_a_rule_that_is_none_is_told(entry: object) -> None:
    file = read_tdmrep(200, json.dumps([entry]).encode())
    assert not file.rules
    assert len(file.notices) == 1
    assert file.notices[0].startswith("tdmrep.json rule 1: ")


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"{",
            b"<html>",
            b"[1,]",
            b"\xff\xfe\xff",
            b'"x"',
            b"1",
            b"null",
            b"[" * 100_000,
            b'{"a":' * 50_000,
        ),
        *(
            b"[" + b"9" * 5000 + b"]",
            b'"' + b"\\" * 99_999,
            b"[" * 33 + b"]" * 33,
            b" " * (LARGEST_TDMREP + 1),
        ),
    ],
)
def test_a_file_that_is_none_reserves_nothing_and_is_told(body: bytes) -> None:
    file = read_tdmrep(200, body)
    assert file.reservation(SITE) is None
    assert len(file.notices) == 1
    assert file.notices[0].isprintable()


def test_brackets_in_strings_are_no_nesting() -> None:
    assert reserved(rules(("/" + "[" * 100 + '\\"{', 0), ("/", 1)), "/a") is True


def test_one_rule_without_brackets_is_read_and_told() -> None:
    file = read_tdmrep(200, b'{"location": "/", "tdm-reservation": 1}')
    assert reserved(file, "/a") is True
    assert file.notices == ("tdmrep.json is one rule without brackets, which is read as a list of one",)


def test_the_first_rules_of_too_many_are_read() -> None:
    file = rules(*[(f"/{number}/", 1) for number in range(MOST_TDM_RULES + 1)])
    assert len(file.rules) == MOST_TDM_RULES
    assert "the first 1000 are read" in file.notices[0]
    assert len(rules(*[("x", 1)] * 500).notices) == 10


@pytest.mark.parametrize("status", [None, 301, 403, 404, 500, 503])
def test_no_file_is_no_reservation(status: int | None) -> None:
    assert read_tdmrep(status, b'[{"location": "/", "tdm-reservation": 1}]') == TdmFile()


def test_a_file_may_have_a_mark_or_be_utf_16() -> None:
    text = '[{"location": "/ä", "tdm-reservation": 1}]'
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert reserved(read_tdmrep(200, text.encode(encoding)), "/%C3%A4/1.jpg") is True


# the examples of the header field
def test_the_header_of_the_report_reserves() -> None:
    fields = [
        ("Date", "Wed, 14 Jul 2021 12:07:48 GMT"),
        ("Content-type", "image/jpg"),
        ("tdm-reservation", "1"),
    ]
    assert header_reservation(fields) == Reservation(True, "", "tdm-reservation: 1")
    policy = "https://provider.com/policies/policy.json"
    assert header_reservation([*fields, ("tdm-policy", policy)]) == Reservation(
        True, policy, f"tdm-reservation: 1, tdm-policy: {policy}"
    )
    found = tdm_refusal(header_reservation(fields))
    assert found
    assert found.evidence == "tdm-reservation: 1"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["0"], False),
        ([" 1 "], True),
        (["0", "1"], True),
        (["0, 1"], True),
        (["2"], None),
        (["true"], None),
        (["2", "0"], False),
        ([""], None),
        ([], None),
    ],
)
def test_of_several_values_a_reservation_counts(values: list[str], expected: bool | None) -> None:
    found = header_reservation([("Tdm-Reservation", value) for value in values])
    assert (found.reserved if found else None) is expected


def test_a_policy_alone_reserves_nothing() -> None:
    assert header_reservation([("tdm-policy", "https://provider.com/p")]) is None
