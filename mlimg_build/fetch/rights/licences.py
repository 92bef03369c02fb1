"""Licences of images as lists write them, as identifiers of SPDX. What is not known as a whole stays unknown.

Creative Commons has ports of its licences to countries, of which the list of SPDX has some only; all are written in
the form that it uses for those, `CC-BY-2.0-UK`. Statements that are no licence have names of the form that SPDX
reserves for such: `LicenseRef-No-Known-Copyright`, `LicenseRef-US-Government-Work`, `LicenseRef-Public-Domain`,
`LicenseRef-All-Rights-Reserved`.
"""

from __future__ import annotations

import re

__all__ = ["LONGEST_LICENCE", "flickr_licence", "licence_id"]

LONGEST_LICENCE = 400  # characters; a text over that is a licence's text, not its name

NO_KNOWN_COPYRIGHT = "LicenseRef-No-Known-Copyright"
US_GOVERNMENT = "LicenseRef-US-Government-Work"
PUBLIC_DOMAIN = "LicenseRef-Public-Domain"
ALL_RIGHTS_RESERVED = "LicenseRef-All-Rights-Reserved"

_KINDS = ("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")
_UNPORTED = ("1.0", "2.0", "2.5", "3.0", "4.0")
_PORTED = ("1.0", "2.0", "2.1", "2.5", "3.0")  # version 4.0 has no ports; 2.1 is of ports alone
_ELEMENTS = {
    "attribution": "by",
    "noncommercial": "nc",
    "noderivs": "nd",
    "noderivatives": "nd",
    "noderivativeworks": "nd",
    "sharealike": "sa",
}

_CC_URL = re.compile(
    r"""(?:https?:)?(?://)?(?:www\.)?creativecommons\.org/
    (?:licenses/(?P<kind>[a-z-]+)/(?P<version>[0-9.]+)(?:/(?P<port>[a-z]{2}|igo|scotland))?
      | publicdomain/(?P<tool>zero|mark)/1\.0
      | licenses/(?P<old>publicdomain))
    (?:/(?:deed|legalcode)(?:\.[a-z]{2,3}(?:[_-][a-z]{2,4})?)?(?:\.txt)?)?/*(?:[?\#].*)?""",
    re.VERBOSE,
)
_CC_NAME = re.compile(
    r"""(?:creative\ commons|cc)[ -](?P<kind>by(?:[ -](?:nc|nd|sa))*)[ -]v?(?P<version>[0-9]\.[0-9])
    (?:[ -]\(?(?P<port>[a-z]{2}|igo|scotland)\)?)?""",
    re.VERBOSE,
)
_LONG_NAME = re.compile(
    r"""(?:creative\ commons[ ])?(?P<kind>attribution(?:[ -]+(?:non-?commercial|no-?deriv(?:ative(?:s|[ ]works)|s)
    |share[ -]?alike))*)[ ](?:licen[cs]e[ ])?v?(?P<version>[0-9]\.[0-9])
    (?:[ ](?P<area>generic|unported|international))?(?:[ ](?:public[ ])?licen[cs]e)?""",
    re.VERBOSE,
)

_STATEMENTS = {
    "no known copyright restrictions": NO_KNOWN_COPYRIGHT,
    "no known copyright restriction": NO_KNOWN_COPYRIGHT,
    "flickr-no known copyright restrictions": NO_KNOWN_COPYRIGHT,
    "united states government work": US_GOVERNMENT,
    "us government work": US_GOVERNMENT,
    "u.s. government work": US_GOVERNMENT,
    "pd-usgov": US_GOVERNMENT,
    "public domain": PUBLIC_DOMAIN,
    "pd": PUBLIC_DOMAIN,
    "all rights reserved": ALL_RIGHTS_RESERVED,
    "cc0": "CC0-1.0",
    "cc-0": "CC0-1.0",
    "cc zero": "CC0-1.0",
    "cc-zero": "CC0-1.0",
    "cc0 1.0": "CC0-1.0",
    "cc0 1.0 universal": "CC0-1.0",
    "creative commons zero": "CC0-1.0",
    "creative commons cc0": "CC0-1.0",
    "creative commons zero v1.0 universal": "CC0-1.0",
    "cc0 1.0 universal (cc0 1.0) public domain dedication": "CC0-1.0",
    "public domain dedication (cc0)": "CC0-1.0",
    "pdm": "CC-PDM-1.0",
    "pdm 1.0": "CC-PDM-1.0",
    "cc pdm 1.0": "CC-PDM-1.0",
    "public domain mark": "CC-PDM-1.0",
    "public domain mark 1.0": "CC-PDM-1.0",
    "flickr-public domain mark": "CC-PDM-1.0",
}
_STATEMENT_URLS = {
    "flickr.com/commons/usage": NO_KNOWN_COPYRIGHT,
    "usa.gov/copyright.shtml": US_GOVERNMENT,
    "usa.gov/government-copyright": US_GOVERNMENT,
}
# of the list of SPDX, what images and data are given under besides Creative Commons
_SPDX = {
    name.lower(): name
    for name in (
        *("CC0-1.0", "CC-PDDC", "CC-PDM-1.0", "ODbL-1.0", "ODC-By-1.0", "PDDL-1.0", "LAL-1.2", "LAL-1.3"),
        *("CDLA-Permissive-1.0", "CDLA-Permissive-2.0", "CDLA-Sharing-1.0", "C-UDA-1.0", "NIST-PD"),
        *("OGL-UK-1.0", "OGL-UK-2.0", "OGL-UK-3.0", "OGL-Canada-2.0", "etalab-2.0", "OGDL-Taiwan-1.0"),
        *("DL-DE-BY-2.0", "DL-DE-ZERO-2.0", "GFDL-1.1", "GFDL-1.2", "GFDL-1.3"),
        *(f"GFDL-1.{minor}-{which}" for minor in (1, 2, 3) for which in ("only", "or-later")),
        *(
            "Apache-2.0",
            "MIT",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "ISC",
            "0BSD",
            "Unlicense",
            "WTFPL",
            "MPL-2.0",
        ),
        *("GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later"),
    )
}
_LICENSE_REF = re.compile(r"LicenseRef-[A-Za-z0-9.-]{1,64}")  # SPDX 2.3, annex D: a name of one's own

# flickr.photos.licenses.getInfo, as YFCC100M, Open Images and COCO (there 1 to 8) have them
_FLICKR = (
    ("All Rights Reserved", ALL_RIGHTS_RESERVED),
    ("Attribution-NonCommercial-ShareAlike License", "CC-BY-NC-SA-2.0"),
    ("Attribution-NonCommercial License", "CC-BY-NC-2.0"),
    ("Attribution-NonCommercial-NoDerivs License", "CC-BY-NC-ND-2.0"),
    ("Attribution License", "CC-BY-2.0"),
    ("Attribution-ShareAlike License", "CC-BY-SA-2.0"),
    ("Attribution-NoDerivs License", "CC-BY-ND-2.0"),
    ("No known copyright restrictions", NO_KNOWN_COPYRIGHT),
    ("United States Government Work", US_GOVERNMENT),
    ("Public Domain Dedication (CC0)", "CC0-1.0"),
    ("Public Domain Mark", "CC-PDM-1.0"),
)
_FLICKR_NAMES = {name.lower(): licence for name, licence in _FLICKR}


def licence_id(text: str) -> str | None:
    """Return the identifier of the licence that a text or URL names as a whole, None if it is not known.

    A name without its version is unknown, as is a bare number, a list of several licences, and a sentence that mentions
    one. Case, white space around, `_` for a space and a trailing slash do not matter.

    >>> licence_id("https://creativecommons.org/licenses/by-nc-sa/2.0/deed.de"), licence_id("CC BY-SA 3.0 DE")
    ('CC-BY-NC-SA-2.0', 'CC-BY-SA-3.0-DE')
    >>> licence_id("cc-by-sa-4.0"), licence_id("Creative Commons Attribution 4.0 International"), licence_id("cc0-1.0")
    ('CC-BY-SA-4.0', 'CC-BY-4.0', 'CC0-1.0')
    >>> licence_id("CC BY"), licence_id("CC BY 2.0 or later"), licence_id("4"), licence_id("CC BY 2.0, CC BY-NC 2.0")
    (None, None, None, None)
    """
    if len(text) > LONGEST_LICENCE:
        return None
    if _LICENSE_REF.fullmatch(text.strip()):
        return text.strip()
    plain = " ".join(text.lower().replace("_", " ").split())
    if "creativecommons.org" in plain:
        return _of_url(plain.replace(" ", "_"))
    found = _SPDX.get(plain) or _STATEMENTS.get(plain) or _STATEMENT_URLS.get(_host_and_path(plain))
    if found:
        return found
    if named := _CC_NAME.fullmatch(plain):
        return _creative_commons(named["kind"].replace(" ", "-"), named["version"], named["port"])
    if long := _LONG_NAME.fullmatch(plain):
        words = re.sub("[ -]", "", long["kind"])
        elements = re.findall("|".join(sorted(_ELEMENTS, key=len, reverse=True)), words)
        return _creative_commons("-".join(_ELEMENTS[one] for one in elements), long["version"], None)
    return None


def flickr_licence(text: str) -> str | None:
    """Return the licence of Flickr's number or name, for lists of which it is known that they come from there.

    The names have no version: Flickr's were 2.0 until June 2025, when it began with 4.0. Numbers over 10, which it gave
    to those, are unknown here. COCO's numbers are the same, but each file of COCO has its own table with URLs.

    >>> flickr_licence("4"), flickr_licence("Attribution-NoDerivs License"), flickr_licence("11")
    ('CC-BY-2.0', 'CC-BY-ND-2.0', None)
    """
    plain = " ".join(text[: LONGEST_LICENCE + 1].split()).lower()
    if re.fullmatch("[0-9]|10", plain):
        return _FLICKR[int(plain)][1]
    return _FLICKR_NAMES.get(plain) or licence_id(text)


def _of_url(url: str) -> str | None:
    found = _CC_URL.fullmatch(url)
    if not found:
        return None
    if found["tool"]:
        return "CC0-1.0" if found["tool"] == "zero" else "CC-PDM-1.0"
    if found["old"]:
        return "CC-PDDC"
    return _creative_commons(found["kind"], found["version"], found["port"])


def _creative_commons(kind: str, version: str, port: str | None) -> str | None:
    """The identifier of a licence if Creative Commons has such a one; `by-nd-nc` is how version 1.0 had it."""
    kind = "by-nc-nd" if kind == "by-nd-nc" else kind
    if kind not in _KINDS or version not in (_PORTED if port else _UNPORTED):
        return None
    return f"CC-{kind.upper()}-{version}{f'-{port.upper()}' if port else ''}"


def _host_and_path(url: str) -> str:
    return re.sub(r"^(?:https?:)?//", "", url).removeprefix("www.").rstrip("/")
