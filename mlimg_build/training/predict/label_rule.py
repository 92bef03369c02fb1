"""From which score on `mlimg predict` gives labels, and whether the model's evaluation speaks against it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlimg_build.training.model.model_files import read_card
from mlimg_build.training.predict.predictions import LIKELY
from mlimg_build.training.runs import read_evaluation

__all__ = ["HARDLY", "LabelRule", "label_rule"]

HARDLY = 1.05  # mAP over that of guessing by frequency, up to which a model is hardly better


@dataclass(frozen=True, slots=True)
class LabelRule:
    """From which score on labels are given: `likely`, unless a person gives `least`.

    `origin` tells where the threshold comes from: "min-score" (`least`), "f1" (the best F1 of the evaluation),
    "default" (0.5), or "softmax", which has none. `by_frequency` is the model's mAP and that of guessing by frequency
    if the model is hardly better than that, else None.
    """

    likely: float
    least: float | None
    origin: Literal["min-score", "f1", "default", "softmax"]
    by_frequency: tuple[float, float] | None = None

    @property
    def threshold(self) -> float | None:
        """The threshold in use; None if every score is a label."""
        if self.least is not None:
            return self.least
        return None if self.origin == "softmax" else self.likely

    def record(self) -> dict[str, Any]:
        """Return the threshold and where it comes from, JSON-able."""
        return {
            "threshold": self.threshold,
            "threshold_from": None if self.threshold is None else self.origin,
        }


def label_rule(folder: Path, least: float | None) -> LabelRule:
    """Return the rule of a model: the threshold in its `evaluation.json`, or 0.5 if there is none.

    Raises:
        CheckpointError: `model-missing` or `model-unreadable`.
    """
    if read_card(folder).activation == "softmax":
        return LabelRule(0.0, least, "softmax" if least is None else "min-score")
    told = read_evaluation(folder) or {}
    threshold = _share(told, "f1", "threshold")
    found, baseline = (_share(told, "unknown_as_absent", name) for name in ("map", "baseline"))
    by_frequency = None
    if found is not None and baseline is not None and found <= HARDLY * baseline:
        by_frequency = found, baseline
    origin: Literal["min-score", "f1", "default"] = "default" if threshold is None else "f1"
    likely = LIKELY if threshold is None else threshold
    return LabelRule(likely, least, origin if least is None else "min-score", by_frequency)


def _share(told: Any, *names: str) -> float | None:
    """Return a number from 0 to 1 of an evaluation; None if it is missing or something else."""
    for name in names:
        told = told.get(name) if isinstance(told, dict) else None
    if isinstance(told, bool) or not isinstance(told, int | float) or not math.isfinite(told):
        return None
    return float(told) if 0 <= told <= 1 else None
