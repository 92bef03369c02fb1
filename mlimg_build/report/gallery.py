"""Sample images with the reason of each of their labels, as the page shows them."""

from __future__ import annotations

import base64
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlimg_build.labels import written
from mlimg_build.report.flows import RULE_NAMES

__all__ = [
    "Chip",
    "ContradictionCard",
    "Implied",
    "Picture",
    "Reason",
    "Step",
    "data_uri",
    "picture",
    "quarrel",
    "step_of",
]

CHIPS = {
    "stated": 8,
    "machine": 8,
    "implied": 6,
    "absent": 5,
    "absent implied": 4,
}  # labels named below a picture, by kind
WAYS = 10  # chains shown from a statement to labels that it implies
STATEMENTS = 12  # statements shown per image
PLACE = re.compile(r":(\d+)$")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a chain: what was done ("source", "mapping", "implication"), in words, and its place in the spec.

    `line` is the line of the spec, None if the spec does not write the rule.
    """

    kind: str
    text: str
    place: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Implied:
    """The labels that follow from a statement by one rule: the chains to them; `alike` more are not shown."""

    kind: str
    text: str
    place: str
    line: int | None
    ways: tuple[str, ...]
    alike: int


@dataclass(frozen=True, slots=True)
class Reason:
    """A statement of a source and the labels that rest on it; `name` is "" if it is no label itself."""

    state: str
    name: str
    steps: tuple[Step, ...]
    implied: tuple[Implied, ...]


@dataclass(frozen=True, slots=True)
class Chip:
    """A label as a word: `kind` is "stated", "machine", "implied" or "absent"."""

    name: str
    wnid: str
    kind: str
    note: str


@dataclass(frozen=True, slots=True)
class ContradictionCard:
    """A contradiction: a sentence on it and on what was kept, and the steps to each side."""

    image: str
    text: str
    place: str
    line: int | None
    absent: tuple[Step, ...]
    present: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of the gallery; `thumbnail` is a data URI, or "" if there is no picture."""

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
    untold: int
    quarrels: tuple[ContradictionCard, ...]


def picture(told: Mapping[str, Any], thumbnail: bytes) -> Picture:
    """Return the gallery entry of an image from the output of `explain` and a small JPEG (b"" for none).

    Of each kind the first labels are named and the others counted in `more`; `untold` counts statements not shown.
    """
    labels: list[Mapping[str, Any]] = sorted(told["labels"], key=_weight)
    chips, more = _limited([_chip(label) for label in labels])
    reasons = _reasons(labels)
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
        thumbnail=data_uri(thumbnail),
        alt=f"Image {told['image']}, {what}",
        chips=tuple(chips),
        more=more,
        reasons=tuple(reasons[:STATEMENTS]),
        untold=len(reasons[STATEMENTS:]),
        quarrels=tuple(quarrel(told["image"], clash) for clash in told["contradictions"]),
    )


def data_uri(thumbnail: bytes) -> str:
    """Return a small JPEG as a data URI; "" for b"".

    >>> data_uri(b"abc"), data_uri(b"")
    ('data:image/jpeg;base64,YWJj', '')
    """
    return f"data:image/jpeg;base64,{base64.b64encode(thumbnail).decode()}" if thumbnail else ""


def quarrel(image: str, clash: Mapping[str, Any]) -> ContradictionCard:
    """Return the card of a contradiction from the output of `explain`."""
    return ContradictionCard(
        image=image,
        text=clash["text"],
        place=clash["place"],
        line=_line(clash["place"]),
        absent=tuple(step_of(step) for step in clash["absent"]),
        present=tuple(step_of(step) for step in clash["present"]),
    )


def step_of(step: Mapping[str, str]) -> Step:
    """Return a step from the output of `explain`.

    >>> step_of({"step": "source", "text": "said", "place": "my.yaml:7"}).line
    7
    """
    return Step(step["step"], step["text"], step["place"], _line(step["place"]))


def _line(place: str) -> int | None:
    found = PLACE.search(place)
    return int(found.group(1)) if found else None


def _weight(label: Mapping[str, Any]) -> tuple[bool, bool, str]:
    """Return a sort key: present labels before absent ones, statements before what follows from them."""
    return label["state"] != "present", label["rule"] != "stated", label["name"]


def _chip(label: Mapping[str, Any]) -> Chip:
    stated, machine = label["rule"] == "stated", label["confidence"] < 1
    if label["state"] == "absent":
        kind = "absent" if stated else "absent implied"
    else:
        kind = "implied" if not stated else "machine" if machine else "stated"
    said = "by a machine" if label["rule"] in ("stated", "ancestors") else "with confidence"
    how = f"{said}, {written(label['confidence'], 3)}" if machine else "verified"
    note = f"{label['state']}, {RULE_NAMES.get(label['rule'], label['rule'])}, {how}"
    return Chip(label["name"], label["wnid"], kind, note)


def _reasons(labels: Sequence[Mapping[str, Any]]) -> list[Reason]:
    """Return the statements in the order of `labels`, each with what rests on it."""
    told: dict[tuple[str, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for label in labels:
        told[label["state"], *(step["text"] for step in label["chain"][:2])].append(label)
    return [_reason(resting) for resting in told.values()]


def _reason(labels: Sequence[Mapping[str, Any]]) -> Reason:
    stated = [label["name"] for label in labels if len(label["chain"]) <= 2]
    rules: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for label in labels:
        for step in label["chain"][2:]:
            text, _, way = step["text"].partition(": ")
            rules[step["step"], text, step["place"]].append(way or label["name"])
    implied = []
    for (kind, text, place), ways in rules.items():
        whole = _whole(ways)
        implied.append(Implied(kind, text, place, _line(place), whole[:WAYS], len(whole[WAYS:])))
    return Reason(
        state=labels[0]["state"],
        name=", ".join(stated),
        steps=tuple(step_of(step) for step in labels[0]["chain"][:2]),
        implied=tuple(implied),
    )


def _whole(ways: Sequence[str]) -> tuple[str, ...]:
    """Return the chains without those that are the beginning of a longer one.

    >>> _whole(["cat → animal", "cat → animal → entity"])
    ('cat → animal → entity',)
    """
    passed = {way[:at] for way in ways for at in range(len(way)) if way.startswith(" → ", at)}
    return tuple(sorted({way for way in ways if way not in passed}))


def _limited(chips: Sequence[Chip]) -> tuple[list[Chip], int]:
    """Return the first chips of each kind, in order, and how many were left out."""
    seen: Counter[str] = Counter()
    kept = []
    for chip in chips:
        seen[chip.kind] += 1
        if seen[chip.kind] <= CHIPS[chip.kind]:
            kept.append(chip)
    return kept, len(chips) - len(kept)
