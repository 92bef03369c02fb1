"""Plots of a training: loss, learning rate, evaluations, and precision by frequency of the category."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mlimg_build.report.charts import Series, axis, thinned
from mlimg_build.report.formatting import compact, count
from mlimg_build.report.model_data import Band, Reliability, Run
from mlimg_build.report.plots import COLOURS, blank, inline

__all__ = ["band_name", "bands", "loss", "measures", "rate", "reliability", "smoothed"]

POINTS = 500  # of a line at most


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the exponential moving average with its initial bias corrected (Kingma, Ba 2015, section 3).

    Its memory is about a twentieth of the run, so that it lags as little on a short run as on a long one.

    >>> smoothed(np.array([2.0, 2.0, 2.0])).tolist()
    [2.0, 2.0, 2.0]
    """
    made, average = np.empty(len(values)), 0.0
    memory = 1 - 1 / max(2.0, len(values) / 20)
    for i, value in enumerate(values.tolist()):
        average = memory * average + (1 - memory) * value
        made[i] = average / (1 - memory ** (i + 1))
    return np.round(made, 12)


def loss(runs: Sequence[tuple[str, Run]], name: str) -> str:
    """Draw the loss of each run, raw and smoothed; return SVG, or "" if no run has any step."""
    runs = [(label, run) for label, run in runs if run.steps]
    if not runs:
        return ""
    with blank() as (figure, axes):
        told = []
        for (label, run), colour in zip(runs, _colours(), strict=False):
            steps = np.array([step.step for step in run.steps], float)
            values = np.array([step.loss for step in run.steps], float)
            even = smoothed(values)
            kept = thinned(run.steps, POINTS)
            axes.plot(steps[kept], values[kept], color=colour, lw=0.8, alpha=0.3)
            axes.plot(steps[kept], even[kept], color=colour, lw=2, label=label)
            told.append(f"{label} from {even[0]:.3g} to {even[-1]:.3g}")
        axis(axes, "x")
        axis(axes, "y", whole=False)
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        if len(runs) > 1:
            axes.legend(loc="upper right")
        return inline(figure, f"loss {name}", f"Training loss by step, smoothed: {'; '.join(told)}")


def rate(run: Run, name: str) -> str:
    """Draw the learning rate by step; return SVG, or "" if the run does not record it."""
    steps = [step for step in run.steps if step.rate is not None]
    if not steps:
        return ""
    kept = thinned(steps, POINTS)
    values = [step.rate or 0.0 for step in steps]
    with blank() as (figure, axes):
        axes.plot([steps[i].step for i in kept], [values[i] for i in kept], color=COLOURS["second"], lw=2)
        axis(axes, "x")
        axis(axes, "y", whole=False)
        axes.set_ylim(0)
        axes.set_xlabel("step")
        axes.set_ylabel("learning rate")
        told = f"Learning rate by step: at most {max(values):.3g}, at the end {values[-1]:.3g}"
        return inline(figure, f"rate {name}", told)


def measures(lines: Sequence[tuple[str, Run, str]], name: str, what: str) -> str:
    """Draw measures of the evaluations by step, as SVG: each line is a label, a run, and the name of a measure."""
    series: list[Series] = []
    for (label, run, measure), colour in zip(lines, _colours(), strict=False):
        found = [(m.step, value) for m in run.evaluations if (value := getattr(m, measure)) is not None]
        if found:
            x, y = np.array(found, float).T
            series.append((label, x, y, COLOURS["muted"] if measure == "baseline" else colour))
    if not series:
        return ""
    with blank() as (figure, axes):
        for label, x, y, colour in series:
            dashed = colour == COLOURS["muted"]
            axes.plot(
                x,
                y,
                color=colour,
                lw=2,
                ls="--" if dashed else "-",
                marker="" if dashed else "o",
                ms=4,
                label=label,
            )
        axis(axes, "x")
        axis(axes, "y", whole=False)
        axes.set_ylim(0, min(1.0, 1.15 * max(float(y.max()) for _, _, y, _ in series)) or 1.0)
        axes.set_xlabel("step")
        axes.set_ylabel(what)
        figure.legend(loc="outside upper left", ncols=2, fontsize=9.5)
        told = "; ".join(f"{label} {y[-1]:.3f} at step {x[-1]:.0f}" for label, x, y, _ in series)
        return inline(figure, f"measures {name}", f"{what} by step. At the end: {told}")


def bands(found: Sequence[Band]) -> str:
    """Draw the mean average precision by band of frequency, as SVG, beside that of scoring by frequency."""
    if not found:
        return ""
    verified = any(band.verified.map is not None for band in found)
    sorts = [("unknown taken as absent", "unknown_as_absent", COLOURS["second"])]
    if verified:
        sorts.insert(0, ("verified labels only", "verified", COLOURS["present"]))
    width = 0.8 / len(sorts)
    with blank(5.6, 3.5) as (figure, axes):
        for i, (label, field, colour) in enumerate(sorts):
            precisions = [getattr(band, field) for band in found]
            x = np.arange(len(found)) + (i - (len(sorts) - 1) / 2) * width
            heights = [precision.map or 0.0 for precision in precisions]
            axes.bar(x, heights, width * 0.92, color=colour, label=label)
            for at, precision in zip(x, precisions, strict=True):
                if precision.map is not None:
                    axes.annotate(
                        f"{precision.map:.2f}", (at, precision.map), (0, 3), textcoords="offset points",
                        ha="center", fontsize=9, color=COLOURS["ink"],
                    )  # fmt: skip
                if precision.baseline is not None:
                    ends = [at - width * 0.46, at + width * 0.46]
                    axes.plot(ends, [precision.baseline] * 2, color=COLOURS["ink"], lw=1.6)
        if any(getattr(band, field).baseline is not None for band in found for _, field, _ in sorts):
            axes.plot([], [], color=COLOURS["ink"], lw=1.6, label="scored by frequency")
        names = [f"{band_name(band)}\n{count(band.categories)} cat." for band in found]
        axes.set_xticks(np.arange(len(found)), names, fontsize=9)
        axes.grid(visible=False, axis="x")
        axes.set_ylim(0, 1.0)
        axes.set_xlabel("training images of a category")
        axes.set_ylabel("mAP")
        figure.legend(loc="outside upper left", ncols=2, fontsize=9.5)
        told = "; ".join(f"{band_name(band)} images: {_told(band)}" for band in found)
        return inline(figure, "bands", f"Mean average precision by training images of a category. {told}")


def reliability(found: Sequence[Reliability]) -> str:
    """Draw the share of present labels by score as SVG, one line for each kind of entries, beside the diagonal."""
    words = {
        "unknown_as_absent": ("unknown taken as absent", COLOURS["second"]),
        "verified": ("verified labels only", COLOURS["present"]),
    }
    lines = []
    for one in found:
        points = [
            (score, share, n) for n, score, share in one.bins if score is not None and share is not None
        ]
        if points and one.kind in words:
            lines.append((*words[one.kind], np.array(points, float), one))
    if not lines:
        return ""
    with blank(5.6, 3.5) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=COLOURS["muted"], lw=1.2, ls="--", label="as often as the score says")
        for label, colour, places, _ in lines:
            score, share, entries = places.T
            axes.plot(score, share, color=colour, lw=2, label=label)
            axes.scatter(
                score, share, s=6 + 90 * entries / max(entries.max(), 1), color=colour, lw=0, alpha=0.8
            )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("score")
        axes.set_ylabel("share present")
        figure.legend(loc="outside upper left", ncols=2, fontsize=9.5)
        told = "; ".join(f"{label}: calibration error {one.error or 0:.3f}" for label, _, _, one in lines)
        return inline(figure, "reliability", f"Share of present labels by score. {told}")


def band_name(band: Band) -> str:
    """Return the band in words.

    >>> from mlimg_build.report.model_data import Precision
    >>> none = Precision(None, 0, None)
    >>> band_name(Band(10, 99, 3, none, none)), band_name(Band(1000, None, 3, none, none))
    ('10 to 99', '1k+')
    """
    return (
        f"{compact(band.first)}+" if band.last is None else f"{compact(band.first)} to {compact(band.last)}"
    )


def _told(band: Band) -> str:
    value = band.unknown_as_absent.map
    return "nothing measured" if value is None else f"{value:.3f}"


def _colours() -> Iterable[str]:
    return (COLOURS["present"], COLOURS["second"], COLOURS["absent"], COLOURS["muted"])
