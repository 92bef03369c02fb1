"""Write the page of a review: categories in doubt with small pictures, within limits of number and size."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from mlimg_build.atomic import replace_file
from mlimg_build.compiler.lint.mapping_review import merged_rows
from mlimg_build.compiler.lint.packed_ids import packed_ids
from mlimg_build.compiler.lint.review_items import ReviewItem, folder_of, review_items
from mlimg_build.compiler.lint.review_pictures import ImagePlace
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.errors import DatasetError, MlimgError, Problem
from mlimg_build.images import BadImage, decode_fully, encode
from mlimg_build.report import Option, ReviewCard, ReviewPage, data_uri, render_review
from mlimg_build.sources.image_reader import ImageReader
from mlimg_build.sources.protocol import WHOLE_FILE

__all__ = ["write_page"]

CARDS = 1000  # categories on one page
PICTURES = 3  # of a category
PICTURE_BYTES = 12 << 20  # of all thumbnails together
SIDE, QUALITY = 132, 70  # of a thumbnail: its short side in pixels, and libjpeg's quality
BIGGEST = 64 << 20  # bytes of an image file that is read
PIXELS = 100_000_000  # of an image that is decoded


def write_page(
    plan: Plan, to: Path, review: Path, reviewer: str, *, whole: bool = False, names: Collection[str] = ()
) -> tuple[int, int]:
    """Write the page to `to`, atomically; return how many categories are on it, and how many have no room there.

    It gives back the CSV `review` with what is decided; the rows that people signed there are kept. The categories
    are those of `review_items`.

    Raises:
        DatasetError: `not-replaceable` if `to` is a folder.
        SpecError: those of `review_items` and `merged_rows`.
    """
    if to.is_dir():
        hint = "name a file, such as review.html"
        raise DatasetError(Problem("not-replaceable", f"{to} is a folder", hint=hint))
    columns, rows = merged_rows(plan.loaded.spec, plan.facts, plan.graph, review)
    at = {(row[columns.index("source")], row[columns.index("category")]): i for i, row in enumerate(rows)}
    there = {key: dict(zip(columns, rows[i], strict=True)) for key, i in at.items()}
    items = review_items(plan, PICTURES, whole=whole, names=names, rows=there)
    shown = items[:CARDS]
    cards = [
        _card(item, at[item.key], thumbnails)
        for item, thumbnails in zip(shown, _thumbnails(plan, shown), strict=True)
    ]
    signed = columns.index("reviewer")
    page = ReviewPage(
        title=plan.loaded.spec.name,
        key=f"{plan.loaded.spec.name} {plan.loaded.digest[:16]}",
        file=review.name,
        reviewer=reviewer,
        cards=cards,
        left_out=len(items) - len(shown),
        without_picture=sum(not card.thumbnails for card in cards),
        signed=sum(bool(row[signed]) for row in rows),
        columns=columns,
        rows=rows,
        kicker="Names to decide" if whole or names else "Names in doubt",
        release=plan.graph.release,
        ids=packed_ids(plan.graph),
        own=tuple(one.id for one in plan.graph.own),
    )
    to.parent.mkdir(parents=True, exist_ok=True)
    replace_file(to, render_review(page).encode())
    return len(cards), page.left_out


def _card(item: ReviewItem, row: int, thumbnails: Sequence[tuple[str, str]]) -> ReviewCard:
    options = tuple(Option(**asdict(one)) for one in item.candidates)
    return ReviewCard(
        row,
        item.source,
        item.category,
        item.name,
        item.images,
        item.evidence,
        options,
        tuple(thumbnails),
        item.rule,
        item.wnid if item.reviewer else None,
    )


def _thumbnails(plan: Plan, items: Sequence[ReviewItem]) -> Iterator[list[tuple[str, str]]]:
    """Yield the thumbnails of each item, as long as all together stay below `PICTURE_BYTES`."""
    left = PICTURE_BYTES
    with ExitStack() as stack:
        readers: dict[str, ImageReader | None] = {}
        for source in plan.loaded.spec.sources:
            root = folder_of(plan.loaded.spec, source)
            readers[source] = stack.enter_context(ImageReader(root, source)) if root else None
        for item in items:
            found = []
            for place in item.pictures:
                uri = _thumbnail(readers[place.source], place) if left > 0 else ""
                left -= len(uri)
                if uri:
                    found.append((uri, place.name))
            yield found


def _thumbnail(reader: ImageReader | None, place: ImagePlace) -> str:
    """Return a thumbnail as a data URI, "" for a file that cannot be read or shown: a build says why."""
    if reader is None or place.size > BIGGEST:
        return ""
    try:
        if place.offset == WHOLE_FILE and (reader.root / place.path).stat().st_size > BIGGEST:
            return ""
        data = reader.read(place.path, place.offset, place.size)
        return data_uri(encode(data, decode_fully(data, PIXELS), SIDE, QUALITY)[0])
    except (BadImage, OSError, ValueError, MlimgError):
        return ""
