"""The page on which people decide what source categories mean: one HTML file that gives back a CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlimg_build.report.page import as_script, environment

__all__ = ["Option", "ReviewCard", "ReviewPage", "render_review"]


@dataclass(frozen=True, slots=True)
class Option:
    """A synset that a category may be; `near` is the lemma that is spelt nearly so, or ""; `gloss` may be ""."""

    wnid: str
    synset: str
    chain: tuple[str, ...]
    score: float
    relation: str
    near: str
    gloss: str


@dataclass(frozen=True, slots=True)
class ReviewCard:
    """A category that is to be decided: `row` is its row in the CSV, `thumbnails` are (data URI, image name)."""

    row: int
    source: str
    category: str
    name: str
    images: int
    evidence: tuple[str, ...]
    options: tuple[Option, ...]
    thumbnails: tuple[tuple[str, str], ...]
    rule: str  # what a rule took, in words, which a decision keeps; "" if there is nothing to keep
    decided: str | None  # what people decided already, None if nobody did


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """All that the page shows, and the whole CSV that it gives back with the decisions filled in.

    `left_out` counts categories in doubt that are not on the page, `signed` the rows that have a reviewer already.
    """

    title: str
    key: str  # under which a browser keeps what is decided and not downloaded
    file: str
    reviewer: str
    cards: Sequence[ReviewCard]
    left_out: int
    without_picture: int
    signed: int
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    kicker: str
    release: str  # of WordNet
    ids: str  # of WordNet, as `packed_ids` writes them
    own: Sequence[str]  # the ids of own categories


def render_review(page: ReviewPage) -> str:
    """Return the HTML of the page; everything from outside is escaped, and equal pages give equal text."""
    data = {
        "key": page.key,
        "file": page.file,
        "columns": [*page.columns],
        "rows": [[*row] for row in page.rows],
        "release": page.release,
        "ids": page.ids,
        "own": [*page.own],
    }
    return environment().get_template("review.html").render(page=page, data=as_script(data))
