"""Licences as real lists write them, and which of them a spec allows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.fetch.rights.licence_patterns import allowed, licence_refusal, pattern_problem
from mlimg_build.fetch.rights.licences import flickr_licence, licence_id

KINDS = ("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")
VERSIONS = ("1.0", "2.0", "2.5", "3.0", "4.0")


@pytest.mark.parametrize(("kind", "version"), [*itertools.product(KINDS, VERSIONS)])
def test_every_licence_of_creative_commons_is_known_in_every_spelling(kind: str, version: str) -> None:
    expected = f"CC-{kind.upper()}-{version}"
    url = f"creativecommons.org/licenses/{kind}/{version}"
    spellings = [
        *(
            f"https://{url}/",
            f"http://{url}",
            f"//{url}/",
            f"https://www.{url}/deed.en",
            f"http://{url}/deed",
        ),
        *(
            f"https://{url}/legalcode",
            f"https://{url}/legalcode.txt",
            f"https://{url}/deed.zh_TW",
            f"{url}//",
        ),
        *(f"https://{url}/?ref=openverse", f"https://{url}/#x", f" HTTPS://{url.upper()}/ "),
        *(
            f"CC {kind.upper()} {version}",
            f"cc-{kind}-{version}",
            f"CC-{kind.upper()} {version}",
            f"CC {kind} v{version}",
        ),
        *(f"cc_{kind.replace('-', '_')}_{version}", f"Creative Commons {kind.upper()} {version}", expected),
    ]
    assert {text: licence_id(text) for text in spellings} == dict.fromkeys(spellings, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://creativecommons.org/licenses/by/2.0/uk/", "CC-BY-2.0-UK"),
        ("https://creativecommons.org/licenses/by-sa/3.0/de/deed.de", "CC-BY-SA-3.0-DE"),
        ("https://creativecommons.org/licenses/by/3.0/igo/legalcode", "CC-BY-3.0-IGO"),
        ("https://creativecommons.org/licenses/by/2.5/scotland/", "CC-BY-2.5-SCOTLAND"),
        ("https://creativecommons.org/licenses/by-sa/2.1/jp/", "CC-BY-SA-2.1-JP"),
        ("https://creativecommons.org/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/deed.en", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/legalcode", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("http://creativecommons.org/licenses/publicdomain/", "CC-PDDC"),
        ("CC-BY 2.0 (uk)", "CC-BY-2.0-UK"),
        ("CC BY-SA 3.0 de", "CC-BY-SA-3.0-DE"),
        ("CC0", "CC0-1.0"),
        ("cc-zero", "CC0-1.0"),
        ("cc0-1.0", "CC0-1.0"),
        ("odbl-1.0", "ODbL-1.0"),
        ("mit", "MIT"),
        ("Creative Commons Attribution-ShareAlike 4.0 International", "CC-BY-SA-4.0"),
        (
            "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0 International Public License",
            "CC-BY-NC-ND-4.0",
        ),
        ("Attribution 2.0 Generic", "CC-BY-2.0"),
        ("Attribution-NonCommercial-NoDerivs 3.0 Unported", "CC-BY-NC-ND-3.0"),
        ("Creative Commons Attribution Non-Commercial Share Alike 2.0 Generic", "CC-BY-NC-SA-2.0"),
        ("No known copyright restrictions", "LicenseRef-No-Known-Copyright"),
        ("http://flickr.com/commons/usage/", "LicenseRef-No-Known-Copyright"),
        ("https://www.flickr.com/commons/usage/", "LicenseRef-No-Known-Copyright"),
        ("United States Government Work", "LicenseRef-US-Government-Work"),
        ("http://www.usa.gov/copyright.shtml", "LicenseRef-US-Government-Work"),
        ("Public domain", "LicenseRef-Public-Domain"),
        ("Public Domain Mark", "CC-PDM-1.0"),
        ("LicenseRef-My-Own", "LicenseRef-My-Own"),
    ],
)
def test_a_spelling_of_a_real_list_is_known(text: str, expected: str) -> None:
    assert licence_id(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "4",
            "1",
            "CC",
            "CC BY",
            "CC BY-SA",
            "by",
            "by/2.0",
            "Attribution",
            "Attribution License",
            "free",
        ),
        *(
            "CC BY 5.0",
            "CC BY 2",
            "CC BY 2.0, CC BY-NC 2.0",
            "CC BY 2.0 or later",
            "not CC BY 2.0",
            "CC BY 2.0 uk us",
        ),
        *(
            "CC BY 4.0 de",
            "CC BY 2.1",
            "CC SA 2.0",
            "CC NC-BY 2.0",
            "CC BY-BY 2.0",
            "CC BY-SA-ND 4.0",
            "CC-BY-4.0+",
        ),
        *(
            "https://creativecommons.org/",
            "https://creativecommons.org/licenses/",
            "https://creativecommons.org/licenses/by/",
        ),
        *(
            "https://creativecommons.org/licenses/by/2.0x/",
            "https://creativecommons.org/licenses/by/2.0/uk/us/",
        ),
        *(
            "https://creativecommons.org.evil.example/licenses/by/2.0/",
            "https://evil.example/creativecommons.org/licenses/by/2.0/",
        ),
        *(
            "https://evil.example/?creativecommons.org/licenses/by/2.0/",
            "https://creativecommons.org/licenses/nc/1.0/",
        ),
        *(
            "see https://creativecommons.org/licenses/by/2.0/",
            "https://creativecommons.org/publicdomain/zero/2.0/",
        ),
        *(
            "cc-by-sa-4.0,3.0,2.5",
            "GFDL",
            "http://flickr.com/commons/usage/x",
            "no known",
            "LicenseRef-",
            "CC BY 2.0" * 100,
        ),
        *(
            "Attribution-Attribution 4.0 International",
            "Creative Commons 4.0",
            "Attribution-ShareAlike-NoDerivs 4.0",
        ),
    ],
)
def test_nothing_is_guessed_from_a_fragment(text: str) -> None:
    assert licence_id(text) is None


FLICKR = (
    *("LicenseRef-All-Rights-Reserved", "CC-BY-NC-SA-2.0", "CC-BY-NC-2.0", "CC-BY-NC-ND-2.0", "CC-BY-2.0"),
    *("CC-BY-SA-2.0", "CC-BY-ND-2.0", "LicenseRef-No-Known-Copyright", "LicenseRef-US-Government-Work"),
    *("CC0-1.0", "CC-PDM-1.0"),
)
COCO = (  # licenses of instances_val2017.json: id, name, url
    (1, "Attribution-NonCommercial-ShareAlike License", "http://creativecommons.org/licenses/by-nc-sa/2.0/"),
    (2, "Attribution-NonCommercial License", "http://creativecommons.org/licenses/by-nc/2.0/"),
    (3, "Attribution-NonCommercial-NoDerivs License", "http://creativecommons.org/licenses/by-nc-nd/2.0/"),
    (4, "Attribution License", "http://creativecommons.org/licenses/by/2.0/"),
    (5, "Attribution-ShareAlike License", "http://creativecommons.org/licenses/by-sa/2.0/"),
    (6, "Attribution-NoDerivs License", "http://creativecommons.org/licenses/by-nd/2.0/"),
    (7, "No known copyright restrictions", "http://flickr.com/commons/usage/"),
    (8, "United States Government Work", "http://www.usa.gov/copyright.shtml"),
)


def test_numbers_of_flickr_are_known_up_to_ten() -> None:
    assert tuple(flickr_licence(str(number)) for number in range(11)) == FLICKR
    assert [flickr_licence(text) for text in ("11", "-1", "04", "1.0", "")] == [None] * 5


@pytest.mark.parametrize(("number", "name", "url"), COCO)
def test_number_name_and_url_of_coco_say_the_same(number: int, name: str, url: str) -> None:
    assert licence_id(url) == flickr_licence(name) == flickr_licence(str(number)) == FLICKR[number]
    assert licence_id(url.replace("http:", "https:")) == FLICKR[number]


EVERY = [f"CC-{kind.upper()}-{version}" for kind in KINDS for version in VERSIONS]


@pytest.mark.parametrize(
    ("pattern", "kinds"),
    [
        ("CC-BY-*", {"BY"}),
        ("CC-BY-SA-*", {"BY-SA"}),
        ("CC-BY-NC-*", {"BY-NC"}),
        ("CC-BY-*-*", {"BY-SA", "BY-ND", "BY-NC"}),
        ("CC-BY-*-*-*", {"BY-NC-SA", "BY-NC-ND"}),
        ("cc-by-nc-sa-*", {"BY-NC-SA"}),
        ("*", {kind.upper() for kind in KINDS}),
        ("CC-*", set()),
        ("CC0-*", set()),
        ("CC-BY*", set()),
        ("unknown", set()),
    ],
)
def test_a_star_adds_no_condition_unseen(pattern: str, kinds: set[str]) -> None:
    assert {one for one in EVERY if allowed(one, [pattern])} == {
        f"CC-{kind}-{version}" for kind in kinds for version in VERSIONS
    }


def test_a_port_is_allowed_with_its_version_but_not_by_its_name_alone() -> None:
    assert allowed("CC-BY-3.0-DE", ["CC-BY-*"])
    assert allowed("CC-BY-3.0-IGO", ["CC-BY-*"])
    assert allowed("CC-BY-SA-3.0-DE", ["CC-BY-*-*"])
    assert not allowed("CC-BY-3.0-DE", ["CC-BY-3.0"])
    assert not allowed("CC-BY-2.0-UK", ["CC-BY-*-*"])
    assert not allowed("GPL-2.0-only", ["GPL-*-only"])  # in the middle, a star is a word, no version


def test_an_unknown_licence_is_allowed_by_its_word_only() -> None:
    assert allowed(None, ["CC0-1.0", "Unknown"])
    assert not allowed(None, ["*"])
    assert not allowed(None, [])
    assert not allowed("CC0-1.0", [])
    assert allowed("CC0-1.0", ["CC0-*"])
    assert licence_refusal("CC0-1.0", ["*"]) is None
    found = licence_refusal(None, ["CC-BY-*"])
    assert found
    assert found.evidence == "unknown licence is not among CC-BY-*"


@pytest.mark.parametrize(
    "pattern", ["", "CC BY", "CC-BY*", "*CC", "CC--BY", "-", "CC-BY-", "CC-(a|b)", "x" * 101]
)
def test_a_pattern_that_is_none_allows_nothing_and_is_told(pattern: str) -> None:
    assert pattern_problem(pattern)
    assert not allowed("CC-BY-2.0", [pattern])


@given(st.text(max_size=500) | st.from_regex(r"(?i)(https?://)?creativecommons\.org/[a-z/.0-9-]*\Z"))
def test_any_text_is_a_licence_or_unknown(text: str) -> None:
    for found in (licence_id(text), flickr_licence(text)):
        assert found is None or (found.isascii() and found.isprintable() and len(found) <= 80)
        assert found is None or licence_id(found) == found


@given(st.text(max_size=120), st.none() | st.text(max_size=120))
def test_any_pattern_is_bounded_and_never_raises(pattern: str, licence: str | None) -> None:
    assert allowed(licence, [pattern]) in (True, False)
    assert pattern_problem(pattern) is None or len(pattern_problem(pattern) or "") < 1200
