"""Report copies that people should check: those that differ in their labels, split or source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlimg_build.compiler.copies.copy_tables import CopyMembers, MergedCopies
from mlimg_build.compiler.copies.duplicates import Copy
from mlimg_build.compiler.plan.image_groups import Groups
from mlimg_build.compiler.plan.row_files import RowIndex
from mlimg_build.compiler.plan.shard_work import ShardWork
from mlimg_build.errors import LabelError, Problem
from mlimg_build.spec import LoadedSpec

__all__ = ["CopyFinding", "copy_findings", "refuse_contradicting_copies", "torn_by_copies"]

NAMED = 4  # copies of one file, or categories of one copy, that a message names


@dataclass(frozen=True, slots=True)
class CopyFinding:
    """One file that occurs several times: the ids of its images, the one that counts first, and what differs."""

    images: tuple[str, ...]
    other_labels: bool
    message: str


def copy_findings(
    groups: Sequence[Sequence[Copy]], rows: RowIndex, work: Sequence[ShardWork], names: Sequence[str]
) -> tuple[CopyFinding, ...]:
    """Return one finding per file whose copies differ; those that differ in labels come first.

    `names` are those of the categories.
    """
    members = CopyMembers(groups, rows, work)
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
    return tuple(sorted(found, key=lambda one: not one.other_labels))


def refuse_contradicting_copies(loaded: LoadedSpec, merged: MergedCopies) -> None:
    """Raises `LabelError` if merged copies of an image have contradicting statements and the spec allows none."""
    spec = loaded.spec
    if spec.duplicates.exact == "merge" and merged.contradictions and spec.annotation.conflicts == "error":
        raise LabelError(
            Problem(
                "contradiction",
                f"{merged.counts.contradictions} statements about copies of one image contradict each other, and the "
                f"spec allows none; the first: {'; '.join(merged.contradictions)}",
                loaded.place("annotation", "conflicts"),
                hint="settle them with `conflicts: prefer_verified` or `drop`, correct the sources, or let each copy "
                "keep its own labels with `duplicates: {exact: report}`",
            )
        )


def torn_by_copies(loaded: LoadedSpec, grouped: Groups | None, merged: MergedCopies) -> list[Problem]:
    """Return a warning if images count in another split than their group because they are copies; [] without groups."""
    files = merged.counts.across_splits
    if grouped is None or not merged.moved or not files:
        return []
    place = loaded.place("split", "by") if loaded.spec.split.by else None
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
