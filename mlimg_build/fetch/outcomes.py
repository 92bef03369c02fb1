"""The outcomes of asking for a URL: one state a cause, and when asking again is worth it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["REFUSED", "STATES", "Outcome", "State"]

_DAY = 86_400.0
NEVER = float("inf")


class State(IntEnum):
    """The state of a URL as a stable uint8 code, with `meaning` (one sentence) and `again` (seconds).

    `again` is the age from which a rerun asks again: 0 for at once, infinity for never. A name is also the name of the
    status that a row of a dataset gets, but for `ok`, which stands for bytes that are still to be decoded.

    >>> State.gone.value, State.gone.again == 90 * 86_400
    (1, True)
    """

    meaning: str
    again: float

    def __new__(cls, number: int, meaning: str, again: float) -> State:
        """Create a member that is the integer `number`."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.meaning = meaning
        member.again = again
        return member

    ok = 0, "The bytes of an image came whole", NEVER
    gone = 1, "The server says that there is no such image (404, 410)", 90 * _DAY
    forbidden = 2, "The server refuses to send the image (401, 402, 403, 407, 451)", 30 * _DAY
    no_such_host = 3, "The name of the host does not exist", 30 * _DAY
    temporary = 4, "The host or the way to it did not work: a time-out, 429, 5xx, DNS, a lost connection", 0.0
    tls = 5, "The host has no valid certificate or speaks no TLS that is safe", 7 * _DAY
    too_large = 6, "The answer has more bytes than the limit allows", 90 * _DAY
    too_slow = 7, "The answer came slower than the least rate, or not before the deadline", 1 * _DAY
    not_an_image = 8, "The answer is no image: a page, an empty body, another kind of file", 30 * _DAY
    placeholder = 9, "The answer is a picture that stands for a missing one", 90 * _DAY
    changed = 10, "The image has other bytes than those that the release was made of", 30 * _DAY
    opted_out = (
        11,
        "The site reserves its rights: robots.txt, TDM reservation, X-Robots-Tag or Content-Usage",
        30 * _DAY,
    )
    licence_refused = 12, "The licence of the image is not among those that the spec allows", NEVER
    withdrawn = 13, "The image was taken down", NEVER
    address_refused = (
        14,
        "The host is at an address that may not be asked: private, loopback, link-local",
        7 * _DAY,
    )
    bad_redirect = (
        15,
        "The server redirects in a circle, too often, or to what is neither http nor https",
        30 * _DAY,
    )
    bad_url = 16, "The URL is none that can be asked for", NEVER
    odd_answer = 17, "The server answers in a way that gives no image and fits no other state", 7 * _DAY

    @property
    def code(self) -> str:
        """The name in kebab-case, as errors and tables show it."""
        return self.name.replace("_", "-")


STATES: tuple[State, ...] = tuple(State)
REFUSED = (State.opted_out, State.withdrawn)
"""States that somebody asked for: they count for datasets that have the image already, too."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking for one URL.

    `answer` says in one line what was met last: `404`, `read timed out after 20 s` or, for `opted_out`, the rule
    and where it stands. `body` holds the bytes if `state` is `ok`, else it is empty. `attempts` counts requests for
    this URL, redirects not counted; `retry_after` is what the server asked for, in seconds, 0 if nothing. `final_url`
    is where redirects led.
    """

    state: State
    answer: str
    body: bytes = b""
    attempts: int = 1
    retry_after: float = 0.0
    final_url: str = ""
