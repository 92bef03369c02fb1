"""The header fields of an answer that forbid its use: X-Robots-Tag, Content-Usage and those of TDMRep.

X-Robots-Tag has no standard. The directives `noai` and `noimageai` are DeviantArt's of November 2022, which other hosts
took over; that a name before a colon addresses one crawler, and what may follow it, is Google's documentation of
"robots meta tag, X-Robots-Tag". `noindex`, `nofollow`, `none`, `noarchive` and the others speak of search results and
links: they do not concern a dataset and refuse nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mlimg_build.fetch.rights.content_usage import training_preference
from mlimg_build.fetch.rights.signals import Refusal, RightsPolicy
from mlimg_build.fetch.rights.tdm import Reservation, header_reservation, tdm_refusal

__all__ = ["REFUSING", "content_usage_refusal", "header_refusal", "x_robots_refusal"]

REFUSING = ("noai", "noimageai")

_READ = frozenset(("x-robots-tag", "content-usage", "tdm-reservation", "tdm-policy"))
_NAMED = re.compile(r"[ \t]*((?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]+|\*)[ \t]*:")
_WITH_VALUE = frozenset(("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"))


def header_refusal(
    headers: Iterable[tuple[str, str]], policy: RightsPolicy, tdm_file: Reservation | None = None
) -> Refusal | None:
    """Return what forbids the use of an answer, None if nothing does.

    `headers` are all fields of the answer, one pair a line, names in any case; `tdm_file` is what `tdmrep.json` sets
    for the URL, which a header field of TDMRep supersedes. Takes time in proportion to the headers. Never raises.

    >>> header_refusal([("x-robots-tag", "noindex, NoAI")], RightsPolicy())
    Refusal(signal='x-robots-tag', evidence='X-Robots-Tag: noai')
    >>> header_refusal([("Content-Usage", "train-ai=n")], RightsPolicy(content_usage="ignore")) is None
    True
    """
    fields = [(name.lower(), value) for name, value in headers if name.lower() in _READ]
    found: Refusal | None = None
    if policy.x_robots_tag == "obey":
        found = x_robots_refusal(
            (value for name, value in fields if name == "x-robots-tag"), policy.product_token
        )
    if found is None and policy.tdm == "obey":
        found = tdm_refusal(header_reservation(fields), tdm_file)
    if found is None and policy.content_usage == "obey" and fields:
        found = content_usage_refusal(value for name, value in fields if name == "content-usage")
    return found


def x_robots_refusal(values: Iterable[str], product_token: str) -> Refusal | None:
    """Return the refusal of an X-Robots-Tag among the field lines of an answer.

    A name before a colon addresses what follows it, up to the next name or the end of the line, to one crawler; `*` is
    all of them. Directives are separated by commas, or by spaces as some write; a date with commas or colons in it is
    none of them.

    >>> x_robots_refusal(["googlebot: noai", "unavailable_after: Fri, 25 Jun 2027 15:00:00 PST, noimageai"], "mlimg")
    Refusal(signal='x-robots-tag', evidence='X-Robots-Tag: noimageai')
    >>> x_robots_refusal(["mlimg: noindex, noai"], "mlimg").evidence
    'X-Robots-Tag: mlimg: noai'
    """
    for line in values:
        agent, ours = "", True
        for piece in line.split(","):
            text = piece
            named = _NAMED.match(piece)
            if named and named[1].lower() not in _WITH_VALUE:
                agent, text = named[1], piece[named.end() :]
                ours = agent == "*" or agent.lower() == product_token.lower()
            for word in text.lower().split() if ours else ():
                if word in REFUSING:
                    return Refusal("x-robots-tag", f"X-Robots-Tag: {agent + ': ' if agent else ''}{word}")
    return None


def content_usage_refusal(values: Iterable[str]) -> Refusal | None:
    """Return the refusal of `Content-Usage` (draft-ietf-aipref-attach-05, 2); lines are joined (RFC 9651, 4.2).

    >>> content_usage_refusal(["search=y", "train-ai=n"])
    Refusal(signal='content-usage', evidence='Content-Usage: train-ai=n')
    """
    preference, label = training_preference(", ".join(values))
    return Refusal("content-usage", f"Content-Usage: {label}=n") if preference == "disallow" else None
