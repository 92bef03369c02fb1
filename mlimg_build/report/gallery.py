"""Sample images and the reason of every label of theirs, ready to be shown."""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .journey import RULE_NAMES

__all__ = ["Chip", "Picture", "Quarrel", "Reason", "Step", "picture", "quarrel", "step_of"]

CHIPS = 12  # labels of a kind that are named below a picture
REASONS = 6  # chains of a kind that are written out
PLACE = re.compile(r":(\d+)$")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a chain: what was done ("source", "mapping", "implication"), in words, and where the spec says so.

    `line` is the line of the spec, None where the spec does not write the rule.
    """

    kind: str
    text: str
    place: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an image has a label."""

    wnid: str
    name: str
    state: str
    how: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Chip:
    """A label as a word: `kind` is "stated", "machine", "implied" or "absent"."""

    name: str
    wnid: str
    kind: str
    note: str


@dataclass(frozen=True, slots=True)
class Quarrel:
    """A contradiction told: what it was and what stands, and who said which side."""

    image: str
    text: str
    place: str
    line: int | None
    absent: tuple[Step, ...]
    present: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of the gallery; `thumbnail` is a data URI, or "" where there is no picture."""

    id: str
    split: str
    row: int
    status: str
    width: int
    height: int
    licence: str
    author: str
    thumbnail: str
    alt: str
    chips: tuple[Chip, ...]
    more: int
    reasons: tuple[Reason, ...]
    alike: int
    quarrels: tuple[Quarrel, ...]


def picture(told: Mapping[str, Any], thumbnail: bytes) -> Picture:
    """An image as `explain` tells of it, with a small JPEG of it (b"" for none).

    Of many labels of one kind the first ones are shown and the others counted, in `more` (names) and `alike`
    (chains).
    """
    labels: list[Mapping[str, Any]] = sorted(told["labels"], key=_weight)
    chips, more = _limited([_chip(label) for label in labels], CHIPS, lambda chip: chip.kind)
    reasons, alike = _limited(
        [_reason(label) for label in labels], REASONS, lambda reason: (reason.how, reason.state)
    )
    stated = [label["name"] for label in labels if label["state"] == "present" and label["rule"] == "stated"]
    what = f"labelled {', '.join(stated[:4])}" if stated else "without a stated label"
    return Picture(
        id=told["image"],
        split=told["split"],
        row=told["row"],
        status=told["status"],
        width=told["width"],
        height=told["height"],
        licence=told["licence"],
        author=told["author"],
        thumbnail=f"data:image/jpeg;base64,{base64.b64encode(thumbnail).decode()}" if thumbnail else "",
        alt=f"Image {told['image']}, {what}",
        chips=tuple(chips),
        more=more,
        reasons=tuple(reasons),
        alike=alike,
        quarrels=tuple(quarrel(told["image"], clash) for clash in told["contradictions"]),
    )


def quarrel(image: str, clash: Mapping[str, Any]) -> Quarrel:
    """A contradiction as `explain` tells of it."""
    return Quarrel(
        image=image,
        text=clash["text"],
        place=clash["place"],
        line=_line(clash["place"]),
        absent=tuple(step_of(step) for step in clash["absent"]),
        present=tuple(step_of(step) for step in clash["present"]),
    )


def step_of(step: Mapping[str, str]) -> Step:
    """A step as `explain` tells of it.

    >>> step_of({"step": "source", "text": "said", "place": "my.yaml:7"}).line
    7
    """
    return Step(step["step"], step["text"], step["place"], _line(step["place"]))


def _line(place: str) -> int | None:
    found = PLACE.search(place)
    return int(found.group(1)) if found else None


def _weight(label: Mapping[str, Any]) -> tuple[bool, bool, str]:
    """Presences before absences, statements before what follows from them."""
    return label["state"] != "present", label["rule"] != "stated", label["name"]


def _chip(label: Mapping[str, Any]) -> Chip:
    stated, machine = label["rule"] == "stated", label["confidence"] < 1
    if label["state"] == "absent":
        kind = "absent" if stated else "absent implied"
    else:
        kind = "implied" if not stated else "machine" if machine else "stated"
    how = f"by a machine, {label['confidence']:g}" if machine else "verified"
    note = f"{label['state']}, {RULE_NAMES.get(label['rule'], label['rule'])}, {how}"
    return Chip(label["name"], label["wnid"], kind, note)


def _reason(label: Mapping[str, Any]) -> Reason:
    how = RULE_NAMES.get(label["rule"], label["rule"])
    steps = tuple(step_of(step) for step in label["chain"])
    return Reason(label["wnid"], label["name"], label["state"], how, steps)


def _limited(items: Sequence[Any], most: int, kind: Any) -> tuple[list[Any], int]:
    """At most so many items of each kind, in order, and how many that leaves out."""
    seen: dict[Any, int] = defaultdict(int)
    kept = []
    for item in items:
        seen[kind(item)] += 1
        if seen[kind(item)] <= most:
            kept.append(item)
    return kept, len(items) - len(kept)
