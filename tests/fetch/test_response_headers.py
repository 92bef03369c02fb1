"""X-Robots-Tag, and which of several header fields decides."""

from __future__ import annotations

import pytest

from mlimg_build.fetch.rights.response_headers import header_refusal, x_robots_refusal
from mlimg_build.fetch.rights.signals import LONGEST_EVIDENCE, Refusal, RightsPolicy, one_line
from mlimg_build.fetch.rights.tdm import Reservation

DATE = "unavailable_after: Wednesday, 25 Jun 2010 15:00:00 PST"


@pytest.mark.parametrize(
    ("lines", "evidence"),
    [
        (["noai"], "X-Robots-Tag: noai"),
        (["NoImageAI"], "X-Robots-Tag: noimageai"),
        (["noindex, noai"], "X-Robots-Tag: noai"),
        (["noindex", " noimageai "], "X-Robots-Tag: noimageai"),
        (["noai noimageai"], "X-Robots-Tag: noai"),
        (["mlimg: noai"], "X-Robots-Tag: mlimg: noai"),
        (["MLimg : noindex , noai"], "X-Robots-Tag: MLimg: noai"),
        (["*: noai"], "X-Robots-Tag: *: noai"),
        (["googlebot: nofollow, mlimg: noai"], "X-Robots-Tag: mlimg: noai"),
        (["googlebot: noai", "noai"], "X-Robots-Tag: noai"),
        ([f"{DATE}, noai"], "X-Robots-Tag: noai"),
        (["unavailable_after: 25 Jun 2010, 15:00:00 PST, noai"], "X-Robots-Tag: noai"),
        ([f"noarchive, mlimg: {DATE}, max-snippet: 20, noai"], "X-Robots-Tag: mlimg: noai"),
        (["max-image-preview: large noai"], "X-Robots-Tag: noai"),
    ],
)
def test_a_directive_that_concerns_us_refuses(lines: list[str], evidence: str) -> None:
    found = x_robots_refusal(lines, "mlimg")
    assert found
    assert found.evidence == evidence


@pytest.mark.parametrize(
    "lines",
    [
        *(
            ["noindex"],
            ["none"],
            ["noindex, nofollow, noarchive"],
            ["all"],
            [""],
            [],
            ["noaindex"],
            ["xnoai"],
        ),
        *(
            ["googlebot: noai"],
            ["otherbot: noindex, noai"],
            ["mlimg: all, googlebot: noai"],
            ["no ai"],
            ["noai=1"],
        ),
        *([DATE], ["mlimg-test: noai"], ["https://noai.example/noai"]),
    ],
)
def test_a_directive_for_others_or_for_search_refuses_nothing(lines: list[str]) -> None:
    assert x_robots_refusal(lines, "mlimg") is None


ALL = [
    ("X-Robots-Tag", "noai"),
    ("TDM-Reservation", "1"),
    ("CONTENT-USAGE", "train-ai=n"),
    ("x-robots-tag", "none"),
]


@pytest.mark.parametrize(
    ("ignored", "signal"),
    [
        ((), "x-robots-tag"),
        (("x_robots_tag",), "tdm"),
        (("x_robots_tag", "tdm"), "content-usage"),
        (("x_robots_tag", "tdm", "content_usage"), None),
    ],
)
def test_each_signal_is_obeyed_unless_it_is_ignored(ignored: tuple[str, ...], signal: str | None) -> None:
    found = header_refusal(ALL, RightsPolicy(**dict.fromkeys(ignored, "ignore")))
    assert (found.signal if found else None) == signal


def test_the_field_of_tdmrep_supersedes_its_file() -> None:
    file = Reservation(True, "", "tdmrep.json rule 1")
    assert header_refusal([], RightsPolicy(), file) == Refusal("tdm", "tdmrep.json rule 1")
    assert header_refusal([("tdm-reservation", "0")], RightsPolicy(), file) is None
    assert header_refusal([("tdm-reservation", "2")], RightsPolicy(), file)  # an error sets nothing
    assert header_refusal([], RightsPolicy(tdm="ignore"), file) is None


def test_evidence_is_one_printable_line_of_bounded_length() -> None:
    found = Refusal("robots", "a\x1b]0;x\x07\u202e\udcff\u200b\n\tb" + "ä" * 1000)
    assert found.evidence.isprintable()
    assert len(found.evidence) == LONGEST_EVIDENCE
    assert found.evidence.startswith("a\\x1b]0;x\\x07\\u202e\\udcff\\u200b b")
    assert one_line(one_line("\x00" * 500)) == one_line("\x00" * 500)


@pytest.mark.parametrize("token", ["", "ml img", "mlimg/1", "*", "m" * 65, "mlimg\n", "ß"])
def test_a_product_token_that_no_site_could_address_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="product token"):
        RightsPolicy(product_token=token)
