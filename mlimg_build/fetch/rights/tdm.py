"""Reservations of text and data mining: `/.well-known/tdmrep.json` and the header fields of the same protocol.

TDM Reservation Protocol (TDMRep), Final Community Group Report of the W3C's group, 10 May 2024. A value that the report
does not know is an error and sets nothing. Its techniques for HTML, EPUB and PDF do not concern images.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mlimg_build.fetch.rights.path_patterns import LONGEST_PATH, PathPattern, path_of_url
from mlimg_build.fetch.rights.signals import Refusal, one_line

__all__ = [
    "LARGEST_TDMREP",
    "MOST_TDM_RULES",
    "TDMREP_PATH",
    "Reservation",
    "TdmFile",
    "header_reservation",
    "read_tdmrep",
    "tdm_refusal",
]

TDMREP_PATH = "/.well-known/tdmrep.json"
LARGEST_TDMREP = 500 * 1024  # bytes
MOST_TDM_RULES = 1_000
DEEPEST_JSON = 32
MOST_NOTICES = 10

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


@dataclass(frozen=True, slots=True)
class Reservation:
    """A value that is set: whether mining is reserved, where a policy lies (a URL, or empty), and where that stands."""

    reserved: bool
    policy: str
    evidence: str


@dataclass(frozen=True, slots=True)
class TdmFile:
    """The rules of a `tdmrep.json` in their order, and what was wrong with it: printable lines, at most ten."""

    rules: tuple[tuple[PathPattern, Reservation], ...] = ()
    notices: tuple[str, ...] = ()

    def reservation(self, url: str) -> Reservation | None:
        """Return what the first rule that matches the path of a URL sets; None if no rule matches.

        The first in sequence counts, not the longest: so says the report. Of a URL, 8192 characters are compared.
        """
        path = path_of_url(url[:LONGEST_PATH])
        return next((found for pattern, found in self.rules if pattern.matches(path)), None)


def read_tdmrep(status: int | None, body: bytes) -> TdmFile:
    r"""Return the rules of an answer for `TDMREP_PATH`; any status but 2xx means that the site reserves nothing there.

    A file that cannot be read reserves nothing and leaves a notice, as does a rule. In three points a file is read more
    readily than by the report, each in favour of the site: one rule without brackets, `true` and `"1"` for 1, and a
    rule with errors gives way to the next that matches. A file over `LARGEST_TDMREP` bytes or nested deeper than 32 is
    not read; of more than `MOST_TDM_RULES` rules, the first are.

    >>> file = read_tdmrep(200, b'[{"location": "/img/*.jpg$", "tdm-reservation": 1}]')
    >>> file.reservation("https://example.org/img/a.jpg").evidence
    'tdmrep.json rule 1: tdm-reservation 1 for /img/*.jpg$'
    >>> read_tdmrep(200, b"<html>").notices
    ('tdmrep.json is no JSON: Expecting value: line 1 column 1 (char 0)',)
    """
    if status is None or not 200 <= status < 300:
        return TdmFile()
    if len(body) > LARGEST_TDMREP:
        return TdmFile(notices=(f"tdmrep.json has more than {LARGEST_TDMREP} bytes and is not read",))
    if _depth(body) > DEEPEST_JSON:
        return TdmFile(notices=(f"tdmrep.json is nested deeper than {DEEPEST_JSON} and is not read",))
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        return TdmFile(notices=(one_line(f"tdmrep.json is no JSON: {error}"),))
    notices: list[str] = []
    if isinstance(content, dict):
        notices.append("tdmrep.json is one rule without brackets, which is read as a list of one")
        content = [content]
    if not isinstance(content, list):
        return TdmFile(notices=("tdmrep.json has no list of rules",))
    if len(content) > MOST_TDM_RULES:
        notices.append(f"tdmrep.json has {len(content)} rules, of which the first {MOST_TDM_RULES} are read")
    rules = []
    for number, entry in enumerate(content[:MOST_TDM_RULES], 1):
        rule = _rule(number, entry)
        if isinstance(rule, str):
            notices.append(one_line(f"tdmrep.json rule {number}: {rule}"))
        else:
            rules.append(rule)
    return TdmFile(tuple(rules), tuple(notices[:MOST_NOTICES]))


def header_reservation(headers: Iterable[tuple[str, str]]) -> Reservation | None:
    """Return what the fields `tdm-reservation` and `tdm-policy` of a response set; None if they set nothing.

    Of several values that contradict each other, a reservation counts; of several policies, the first.

    >>> header_reservation([("TDM-Reservation", "1"), ("tdm-policy", "https://example.org/p.json")]).evidence
    'tdm-reservation: 1, tdm-policy: https://example.org/p.json'
    >>> header_reservation([("tdm-reservation", "yes")]) is None
    True
    """
    fields = [(name.lower(), value) for name, value in headers]
    values = [one.strip() for name, value in fields if name == "tdm-reservation" for one in value.split(",")]
    policies = [value.strip() for name, value in fields if name == "tdm-policy" and value.strip()]
    if "1" in values:
        policy = one_line(policies[0]) if policies else ""
        return Reservation(
            True, policy, f"tdm-reservation: 1, tdm-policy: {policy}" if policy else "tdm-reservation: 1"
        )
    return Reservation(False, "", "tdm-reservation: 0") if "0" in values else None


def tdm_refusal(*reservations: Reservation | None) -> Refusal | None:
    """Return the refusal of the first reservation that is set, None if it reserves nothing or none is set.

    In the order of precedence: that of the header field first, which supersedes the file's, `0` as well as `1`
    (report, "Processing priority"). Absence of one resets nothing.

    >>> file, header = Reservation(True, "", "tdmrep.json rule 1"), Reservation(False, "", "tdm-reservation: 0")
    >>> tdm_refusal(header, file) is None, tdm_refusal(None, file)
    (True, Refusal(signal='tdm', evidence='tdmrep.json rule 1'))
    """
    first = next((found for found in reservations if found is not None), None)
    return Refusal("tdm", first.evidence) if first and first.reserved else None


def _rule(number: int, entry: object) -> tuple[PathPattern, Reservation] | str:
    """A rule, or what is wrong with it."""
    if not isinstance(entry, dict):
        return "no object"
    location, value, policy = entry.get("location"), entry.get("tdm-reservation"), entry.get("tdm-policy")
    if not isinstance(location, str) or len(location) > LONGEST_PATH:
        return "no location"
    pattern = PathPattern.parse(location.strip())
    if not pattern.can_match:
        return f"the location {location[:80]} starts with neither / nor *, so it matches nothing"
    if not isinstance(value, int | str) or value not in (0, 1, "0", "1"):
        return "tdm-reservation is neither 0 nor 1"
    reserved = int(value) == 1
    policy = one_line(policy) if reserved and isinstance(policy, str) and policy.strip() else ""
    evidence = f"tdmrep.json rule {number}: tdm-reservation {int(value)} for {location[:80]}"
    return pattern, Reservation(reserved, policy, f"{evidence}, tdm-policy {policy}" if policy else evidence)


def _depth(body: bytes) -> int:
    """How deep brackets are nested outside strings; what is no JSON gives some number, too."""
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
