"""Refuse to lose more than a few images because a name resolved to nothing or to its head word only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.facts.unused_categories import LOST, UnusedCategory, own_lines
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.errors import LabelError, Problem
from mlimg_build.quantities import counted, percent
from mlimg_build.spec import LoadedSpec

__all__ = ["lost_problems", "refuse_lost"]

WORST = 5  # names that the error lists


def refuse_lost(plan: Plan) -> None:
    """Raises `LabelError` `images-lost` if a source loses a larger share of its images than `allow_lost`."""
    if problems := lost_problems(plan):
        raise LabelError(problems)


def lost_problems(plan: Plan) -> list[Problem]:
    """Return an error for each source of a plan that loses too many images; see `refuse_lost`."""
    return [*_lost(plan.loaded, plan.inputs.catalogs, plan.rows.left_out, plan.unused_categories)]


def _lost(
    loaded: LoadedSpec,
    catalogs: Sequence[Catalog],
    left_out: Mapping[str, Mapping[str, int]],
    unused: Sequence[UnusedCategory],
) -> Iterator[Problem]:
    """Yield an error for each source that loses too many images, with the worst names and what to write.

    The share is that of each source, so that a large source does not hide what a small one loses. `left_out` counts the
    images of each source by reason, `unused` has the names, those in the most images first.
    """
    allowed = loaded.spec.vocabulary.allow_lost
    for catalog in catalogs:
        reasons = left_out.get(catalog.name, {})
        lost, images = sum(reasons.get(reason, 0) for reason in LOST), len(catalog.images)
        if lost <= allowed * images:
            continue
        names = [one for one in unused if one.source == catalog.name and one.reason in LOST]
        worst = "; ".join(
            f"{one.name[:60]!r} ({counted(one.images, 'image')}: {one.meaning})" for one in names[:WORST]
        )
        more = f"; and {len(names) - WORST:,} more" if len(names) > WORST else ""
        yield Problem(
            "images-lost",
            f"source {catalog.name}: {lost:,} of {counted(images, 'image')} ({percent(lost / images)}, and allow_lost "
            f"is {percent(allowed)}) would be left out, as no category was found for their names: {worst}{more}",
            loaded.place("sources", catalog.name),
            _hint(loaded, names, [one.name or one.id for other in catalogs for one in other.categories]),
        )


def _hint(loaded: LoadedSpec, names: Sequence[UnusedCategory], others: Sequence[str]) -> str:
    return "\n".join(
        [
            *own_lines(names, others),
            f"or write what each name means into the file of `mlimg map {loaded.path}`, leave names out with `exclude`",
            "of the source, or say that so many images may be lost: `vocabulary: {allow_lost: SHARE}`",
        ]
    )
