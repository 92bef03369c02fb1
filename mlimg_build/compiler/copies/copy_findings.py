"""Copies that people should look at: those that differ in what is said of them, in their split or their source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlimg_build.compiler.copies.copy_tables import CopyCounts, CopyMembers, MergedCopies, merge_copies
from mlimg_build.compiler.copies.duplicates import Copy
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.errors import Problem

__all__ = ["CopyFinding", "copy_findings", "torn_by_copies"]

NAMED = 4  # copies of one file, or categories of one copy, that a message names


@dataclass(frozen=True, slots=True)
class CopyFinding:
    """One file that lies there several times: the ids of its images, the one that counts first, and what differs."""

    images: tuple[str, ...]
    other_labels: bool
    message: str


def copy_findings(
    plan: Plan, groups: Sequence[Sequence[Copy]], names: Sequence[str]
) -> tuple[CopyCounts, tuple[CopyFinding, ...]]:
    """The copies in numbers, and one finding a file whose copies differ in something; other labels come first.

    `names` are those of the categories.
    """
    members = CopyMembers(plan, groups)
    found = []
    edges = np.searchsorted(members.statements.image, np.arange(len(members.ids) + 1)).tolist()
    for start, stop in zip(members.start.tolist(), members.stop.tolist(), strict=True):
        stated = [
            tuple(
                sorted(
                    {
                        f"{'' if state > 0 else 'no '}{names[category]}"
                        for category, state in zip(
                            members.statements.category[low:high].tolist(),
                            members.statements.state[low:high].tolist(),
                            strict=True,
                        )
                    }
                )
            )
            for low, high in zip(edges[start:stop], edges[start + 1 : stop + 1], strict=True)
        ]
        splits = dict.fromkeys(members.split_name[start:stop].tolist())
        other = len(set(stated)) > 1
        if other or len(splits) > 1 or len(set(members.source[start:stop].tolist())) > 1:
            ids = tuple(members.ids[start:stop])
            said = "; ".join(
                f"{name}: {_listed(labels) or 'nothing'}"
                for name, labels in list(zip(ids, stated, strict=True))[:NAMED]
            )
            more = f"; and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
            where = f" ({', '.join(splits)})" if len(splits) > 1 else ""
            found.append(CopyFinding(ids, other, f"{said}{more}{where}"))
    counts = merge_copies(plan, groups, merge=False).counts
    return counts, tuple(sorted(found, key=lambda one: not one.other_labels))


def torn_by_copies(plan: Plan, merged: MergedCopies) -> list[Problem]:
    """The warning that copies take images out of the split of their group; none where the spec has no groups."""
    files = merged.counts.across_splits
    if plan.groups is None or not merged.moved or not files:
        return []
    place = plan.loaded.place("split", "by") if plan.loaded.spec.split.by else None
    what = "1 file lies" if files == 1 else f"{files:,} files lie"
    message = (
        f"{what} in groups of several splits and {'counts' if files == 1 else 'count'} in one of them, so these groups "
        f"are on both sides: {', '.join(merged.moved[:NAMED])}"
    )
    hint = "give the copies one group, or take all but one of them out of the sources"
    return [Problem("copies-across-groups", message, place, hint, "warning")]


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - NAMED:,} more" if len(labels) > NAMED else ""
    return ", ".join(labels[:NAMED]) + more
