"""What a dataset takes of a URL, from what the ledger knows of it and what the spec allows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from mlimg_build.fetch.outcomes import NEVER, State
from mlimg_build.fetch.rights.licence_patterns import licence_refusal
from mlimg_build.fetch.rights.licences import licence_id
from mlimg_build.fetch.store.ledger import worth_asking
from mlimg_build.fetch.store.ledger_log import Record

__all__ = ["SIGNALS", "Decision", "FetchPolicy", "decide", "holds"]

SIGNALS = ("robots", "content-usage", "x-robots-tag", "tdm")


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """What a spec allows: the signals of rights that it obeys, its licences, its limit in bytes, its placeholders.

    `licences` are patterns of SPDX ids, None for any; `placeholders` and `withdrawn` are sha256 in hex.
    """

    signals: frozenset[str] = frozenset(SIGNALS)
    licences: tuple[str, ...] | None = None
    max_bytes: int = 64 << 20
    placeholders: frozenset[str] = frozenset()
    withdrawn: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """The state that a row gets, why in one line, the sha256 (hex) of its bytes if it is ok, and when to ask again.

    `ask` tells whether the URL is to be asked for now; `again_at` is the time (seconds since 1970) from which it is
    worth asking, infinite if it never is. A row whose URL was never asked for has no state.
    """

    state: State | None
    answer: str = ""
    digest: str = field(default="")
    ask: bool = False
    again_at: float = NEVER


def decide(
    record: Record | None, policy: FetchPolicy, now: float, licence: str = "", expected: str = ""
) -> Decision:
    """Return what a row takes of its URL; `licence` is the text of the source, `expected` the sha256 of a release.

    What was asked for under fewer signals than the policy obeys is asked again, and so is what was refused for a signal
    that it does not obey, or for a lower limit.

    >>> decide(Record("http://a.example/", State.ok, digest="ab"), FetchPolicy(), 0.0).ask  # nothing was obeyed then
    True
    """
    if record is not None and record.state == State.withdrawn:
        return Decision(State.withdrawn, f"sha256 {record.digest}" if record.digest else record.answer)
    if policy.licences is not None and (refused := _refused(licence, policy.licences)):
        return Decision(State.licence_refused, refused)
    if record is not None and record.digest and record.digest in policy.withdrawn:
        return Decision(State.withdrawn, f"sha256 {record.digest}")
    if expected and expected in policy.withdrawn:
        return Decision(State.withdrawn, f"sha256 {expected}")
    if record is None or not holds(record, policy):
        return Decision(None, ask=True)
    found = record
    if record.state == State.ok and record.digest in policy.placeholders:
        found = replace(record, state=State.placeholder, answer=f"sha256 {record.digest}")
    elif record.state == State.ok and expected and record.digest != expected:
        found = replace(record, state=State.changed, answer=f"sha256 {record.digest}, it was {expected}")
    ask = worth_asking(found, now)
    again = found.time + found.state.again if found.state.again < NEVER else NEVER
    digest = found.digest if found.state == State.ok else ""
    return Decision(found.state, found.answer, digest, ask, again)


def holds(record: Record, policy: FetchPolicy) -> bool:
    """Return whether a record answers the question that this policy asks."""
    obeyed = frozenset(record.signals)
    if record.state == State.opted_out:
        return record.answer.partition(":")[0] in policy.signals
    if record.state == State.too_large:
        return policy.max_bytes <= record.size
    if record.state == State.ok:
        return policy.signals <= obeyed and record.size <= policy.max_bytes
    return True


@lru_cache(maxsize=4096)
def _refused(licence: str, patterns: tuple[str, ...]) -> str:
    refusal = licence_refusal(licence_id(licence), patterns)
    return "" if refusal is None else refusal.evidence
