"""Which signals of rights are obeyed, and how a refusal names the rule that stands behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mlimg_build.printable import printable

__all__ = ["LONGEST_EVIDENCE", "Obedience", "Refusal", "RightsPolicy", "Signal", "one_line"]

Obedience = Literal["obey", "ignore"]
Signal = Literal["robots", "content-usage", "x-robots-tag", "tdm", "licence"]

LONGEST_EVIDENCE = 200  # characters
PRODUCT_TOKEN = re.compile(r"[A-Za-z_-]{1,64}")


@dataclass(frozen=True, slots=True)
class RightsPolicy:
    """Which signals are obeyed, and the name under which sites address this crawler.

    `content_usage` is for robots.txt and for the header field; `tdm` for the file and for the header field.

    Raises:
        ValueError: the product token has other characters than letters, `_` and `-` (RFC 9309, 2.2.1), or over 64.

    >>> RightsPolicy().tdm
    'obey'
    >>> RightsPolicy(product_token="mlimg/0.2")
    Traceback (most recent call last):
        ...
    ValueError: 'mlimg/0.2' is no product token: 1 to 64 letters, '_' and '-' (RFC 9309, 2.2.1)
    """

    robots: Obedience = "obey"
    tdm: Obedience = "obey"
    x_robots_tag: Obedience = "obey"
    content_usage: Obedience = "obey"
    product_token: str = "mlimg"  # noqa: S105  a name, no secret

    def __post_init__(self) -> None:
        """Refuse what no robots.txt could address."""
        if not PRODUCT_TOKEN.fullmatch(self.product_token):
            raise ValueError(
                f"{self.product_token!r} is no product token: 1 to 64 letters, '_' and '-' (RFC 9309, 2.2.1)"
            )


@dataclass(frozen=True, slots=True)
class Refusal:
    r"""A signal that forbids the use of a URL; `evidence` is one printable line that names the rule and its place.

    Evidence quotes strangers, so it is made safe here, whoever creates it: see `one_line`.

    >>> Refusal("x-robots-tag", "X-Robots-Tag: noai\x1b[2J\n").evidence
    'X-Robots-Tag: noai\\x1b[2J'
    """

    signal: Signal
    evidence: str

    def __post_init__(self) -> None:
        """Make the evidence one printable line of at most `LONGEST_EVIDENCE` characters."""
        object.__setattr__(self, "evidence", one_line(self.evidence))


def one_line(text: str) -> str:
    r"""Return the text as one printable line: white space is one space, the rest is written out or cut at 200.

    >>> one_line("a\r\n b\u202ec\udce9")
    'a b\\u202ec\\udce9'
    """
    text = printable(" ".join(text[: 4 * LONGEST_EVIDENCE].split()))
    text = "".join(
        character if character.isprintable() else _written(character)
        for character in text[: LONGEST_EVIDENCE + 1]
    )
    return text if len(text) <= LONGEST_EVIDENCE else text[: LONGEST_EVIDENCE - 1] + "…"


def _written(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65_536 else f"\\U{code:08x}"
