"""Tell what of a list of withdrawn images met nothing, and which other datasets still hold some of them."""

from __future__ import annotations

from pathlib import Path

from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.takedown.held_images import Listed, held_rows
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import DatasetError, Problem
from mlimg_build.quantities import counted

__all__ = ["remains"]


def remains(made: Plan, dataset: Path) -> tuple[Problem, ...]:
    """Return warnings of a finished build: sha256 that no image had, and datasets beside it that hold withdrawn images.

    The datasets are those of other fractions and names in the folder; one that cannot be read is told, too.
    """
    withdrawn = made.withdrawn
    if not withdrawn:
        return ()
    place = made.loaded.place("rights", "withdrawn")
    problems = []
    unmet = sorted(withdrawn.digests - set(withdrawn.found.values()))
    if unmet and made.fraction >= 1:
        told = counted(len(unmet), "sha256", "sha256")
        message = f"{told} of the list of withdrawn images met no image that has bytes"
        hint = f"the first is {unmet[0]}; nothing is to be done if they were taken down by id or URL, too"
        problems.append(Problem("withdrawn-unknown", message, place, hint, severity="warning"))
    listed = Listed.of(withdrawn)
    for other in sorted(dataset.parent.glob("*.zarr")):
        if other.name == dataset.name:
            continue
        try:
            with open_dataset(other) as opened:
                count = sum(1 for _ in held_rows(opened, listed))
        except DatasetError as error:
            message = f"{other} cannot be read, so it is not known whether it holds withdrawn images: {error}"
            hint = "delete it, or look with `mlimg verify DATASET --absent LIST`"
            problems.append(Problem("withdrawn-remains", message, place, hint, severity="warning"))
            continue
        if count:
            message = f"{other} still holds {counted(count, 'image')} of the list of withdrawn images"
            hint = "build it again or delete it; this build does not touch it"
            problems.append(Problem("withdrawn-remains", message, place, hint, severity="warning"))
    return tuple(problems)
