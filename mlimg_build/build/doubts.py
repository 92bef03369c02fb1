"""What a spec wants to hear of its mapping: names that nothing resolves, and decisions that nobody reviewed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlimg_build.errors import Problem
from mlimg_build.labels import FOUND, Placed
from mlimg_build.spec import LoadedSpec

__all__ = ["doubts"]

SHOWN = 8  # names of one source in one problem


def doubts(loaded: LoadedSpec, placed: Sequence[Placed]) -> Iterator[Problem]:
    """One problem a source and kind of doubt, a warning or an error as the spec says; none for what is excluded."""
    mapping = loaded.spec.vocabulary.mapping
    if mapping.unresolved != "drop":
        yield from _listed(
            loaded,
            "unresolved",
            [row for row in placed if row.fate == "unresolved"],
            "no noun of WordNet is called",
            "decide in the file of `vocabulary.mapping.file`: source,category,wnid",
            mapping.unresolved,
        )
    if mapping.unreviewed in ("warn", "error"):
        yield from _listed(
            loaded,
            "unreviewed",
            [row for row in placed if row.fate == "used" and row.decision.method in FOUND],
            "nobody has confirmed what a rule found for",
            "decide in the file of `vocabulary.mapping.file`, or set `vocabulary.mapping.unreviewed: accept`",
            mapping.unreviewed,
        )


def _listed(
    loaded: LoadedSpec, field: str, rows: Sequence[Placed], what: str, hint: str, policy: str
) -> Iterator[Problem]:
    for source in dict.fromkeys(row.decision.source for row in rows):
        names = [repr(row.decision.name or row.decision.id) for row in rows if row.decision.source == source]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield Problem(
            f"{field}-name",
            f"source {source}: {what} {', '.join(names[:SHOWN])}{more}",
            loaded.place("vocabulary", "mapping", field),
            hint,
            "error" if policy == "error" else "warning",
        )
