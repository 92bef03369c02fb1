"""Compare a finished build with what its spec requires."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.model_stage import Modelled
from mlimg_build.errors import Problem
from mlimg_build.spec import LoadedSpec
from mlimg_build.spec.models.requirements import OF_TRANSFER

__all__ = ["require_dataset", "require_model"]

HINTS = {
    "images_with_bytes": "NAME.failures.csv lists the others with their reasons",
    "fetched": "NAME.failures.csv lists the others with their reasons; a build asks again for what may come now",
    "images_labelled": "NAME.left-out.csv lists the others with their reasons",
    "mapping_reviewed": "`mlimg map` writes the decisions to be reviewed",
}
HINT = "everything is built and kept; lower the threshold if it is right so"


def require_dataset(loaded: LoadedSpec, built: Built, fraction: float) -> list[Problem]:
    """Return an error for each requirement on the dataset that it does not meet, at its place in the spec."""
    summary = built.summary
    labelled = built.images + sum(summary["left_out"].values())
    at_urls = sum(built.at_urls.values()) - built.at_urls.get("withdrawn", 0)
    reached = {
        "images": built.images,
        "images_with_bytes": _share(built.images - sum(built.failed.values()), built.images),
        "fetched": _share(built.at_urls.get("ok", 0), at_urls) if at_urls else None,
        "images_labelled": _share(built.images, labelled) if fraction >= 1 else None,
        "categories": summary["categories"],
        "mapping_reviewed": _share(summary["mapping_reviewed"], summary["fates"].get("used", 0)),
    }
    return _below(loaded, reached, fraction)


def require_model(loaded: LoadedSpec, made: Modelled, fraction: float) -> list[Problem]:
    """Return an error for each requirement on the model that it does not meet; 0 is what was not measured."""
    measured = made.evaluation or {"unknown_as_absent": {}, "verified": {}}
    reached = {
        "validation_map": measured["unknown_as_absent"].get("map") or 0.0,
        "validation_map_verified": measured["verified"].get("map") or 0.0,
    }
    if made.transfer is not None:
        reached |= {key: made.transfer.get(key.removeprefix("transfer_")) or 0.0 for key in OF_TRANSFER}
    return _below(loaded, reached, fraction)


def _below(loaded: LoadedSpec, reached: Mapping[str, Any], fraction: float) -> list[Problem]:
    wanted = loaded.spec.require
    if fraction < 1 and not wanted.at_fraction:
        return []
    problems = []
    for key, value in reached.items():
        least = getattr(wanted, key)
        if least is None or value is None or value >= least:
            continue
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        message = f"{key} is {shown}, and {least:g} is required"
        hint = f"{HINTS[key]}; {HINT}" if key in HINTS else HINT
        problems.append(
            Problem(
                "below-required",
                message,
                loaded.place("require", key),
                hint.replace("NAME", loaded.spec.name),
            )
        )
    return problems


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
