"""Which licences a spec allows: identifiers of SPDX with `*` for what may differ, and `unknown`.

| pattern | allows | but not |
| --- | --- | --- |
| `CC-BY-2.0` | this licence | its ports, `CC-BY-2.0-UK` |
| `CC-BY-*` | CC BY in each version and port | CC-BY-NC-2.0, CC-BY-SA-4.0, CC-BY-ND-2.0 |
| `CC-BY-SA-*` | CC BY-SA in each version and port | CC-BY-NC-SA-2.0 |
| `CC-BY-*-*` | CC BY with exactly one more element: NC, ND or SA | CC-BY-2.0, CC-BY-NC-SA-2.0 |
| `CC-BY-*-*-*` | CC BY with exactly two more | CC-BY-2.0, CC-BY-SA-4.0 |
| `*` | each licence that is known, `LicenseRef-All-Rights-Reserved` included | rows without one |
| `unknown` | rows without a licence, or with one that is not known | all else |

So a star at the end is a version with its port, and elsewhere exactly one element: none adds a condition unseen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mlimg_build.fetch.rights.signals import Refusal

__all__ = ["UNKNOWN", "allowed", "licence_refusal", "pattern_problem"]

UNKNOWN = "unknown"

_PATTERN = re.compile(r"(?:[A-Za-z0-9.]+|\*)(?:-(?:[A-Za-z0-9.]+|\*))*")
_VERSION = r"[0-9]+(?:\.[0-9]+)*(?:-(?:[a-z]{2}|igo|scotland))?"
_ELEMENT = r"[a-z][a-z0-9]*"


def allowed(licence: str | None, patterns: Iterable[str]) -> bool:
    """Return whether one of the patterns allows a licence (an identifier, None if it is unknown); case does not matter.

    A pattern that is none (`pattern_problem`) allows nothing, and no patterns at all allow nothing.

    >>> allowed("CC-BY-2.0", ["CC-BY-*"]), allowed("CC-BY-NC-2.0", ["CC-BY-*"]), allowed("CC-BY-NC-2.0", ["CC-BY-*-*"])
    (True, False, True)
    >>> allowed(None, ["*", "CC-BY-*"]), allowed(None, ["unknown"]), allowed("CC-BY-3.0-DE", ["cc-by-*"])
    (False, True, True)
    """
    return any(_allows(pattern, licence) for pattern in patterns)


def pattern_problem(pattern: str) -> str | None:
    """Return what is wrong with a pattern as a person wrote it, None if it is one.

    >>> pattern_problem("CC-BY*")
    "'CC-BY*' is no licence: names and stars with '-' between them, as in CC-BY-4.0 or CC-BY-*"
    """
    if len(pattern) <= 100 and _PATTERN.fullmatch(pattern):
        return None
    return (
        f"{pattern[:100]!r} is no licence: names and stars with '-' between them, as in CC-BY-4.0 or CC-BY-*"
    )


def licence_refusal(licence: str | None, patterns: Iterable[str]) -> Refusal | None:
    """Return the refusal of a licence that no pattern allows.

    >>> licence_refusal("CC-BY-NC-2.0", ["CC-BY-*", "CC0-1.0"])
    Refusal(signal='licence', evidence='licence CC-BY-NC-2.0 is not among CC-BY-*, CC0-1.0')
    """
    patterns = tuple(patterns)
    if allowed(licence, patterns):
        return None
    name = f"licence {licence}" if licence else "unknown licence"
    return Refusal("licence", f"{name} is not among {', '.join(patterns) or 'none'}")


def _allows(pattern: str, licence: str | None) -> bool:
    pattern = pattern.lower()
    if licence is None or pattern == UNKNOWN:
        return licence is None and pattern == UNKNOWN
    if pattern_problem(pattern):
        return False
    if pattern == "*":
        return True
    *parts, last = pattern.split("-")
    written = [_ELEMENT if part == "*" else re.escape(part) for part in parts]
    written.append(_VERSION if last == "*" else re.escape(last))
    return re.fullmatch("-".join(written), licence.lower()) is not None
