"""Plots of counts: images per category by rank, and labels per image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from mlimg_build.report.formatting import compact, count
from mlimg_build.report.plots import COLOURS, blank, inline

__all__ = ["Series", "axis", "histogram", "rank", "some", "spread", "thinned"]

FEW = 60  # values up to which each has its own bar
MOST = 40  # bars at most otherwise


Series = tuple[str, NDArray[np.float64], NDArray[np.float64], str]
"""A line: its name, x, y, and its colour."""


def axis(axes: Axes, which: str, *, whole: bool = True) -> None:
    """Set few ticks with short numbers on an axis, "x" or "y"; `whole` allows only integers."""
    chosen = axes.xaxis if which == "x" else axes.yaxis
    if chosen.get_scale() == "log":
        chosen.set_major_locator(LogLocator(10, numticks=8))
        chosen.set_minor_locator(NullLocator())
    else:
        chosen.set_major_locator(MaxNLocator(6, integer=whole, steps=[1, 2, 2.5, 5, 10]))
    chosen.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))


def rank(positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> str:
    """Draw the images per category by rank on two logarithmic axes; return SVG, or "" if there are none."""
    lines = [
        (name, np.sort(values[values > 0])[::-1], COLOURS[colour])
        for name, values, colour in (
            ("present", positives, "present"),
            ("verified absent", negatives, "absent"),
        )
    ]
    lines = [line for line in lines if len(line[1])]
    if not lines:
        return ""
    with blank() as (figure, axes):
        for name, values, colour in lines:
            marker = "o" if len(values) < FEW else ""
            x = np.arange(1, len(values) + 1)
            axes.loglog(x, values, color=colour, marker=marker, ms=3.5, lw=1.8, label=name)
        most = max(int(values.max()) for _, values, _ in lines)
        axes.set_ylim(0.8, max(most * 1.6, 10))
        axes.set_xlim(0.9, max(max(len(values) for _, values, _ in lines) * 1.3, 10))
        axis(axes, "x")
        axis(axes, "y")
        axes.set_xlabel("rank of the category")
        axes.set_ylabel("images")
        if len(lines) > 1:
            axes.legend(loc="lower left")
        told = "; ".join(
            f"{name}: {count(len(values))} categories, from {count(values[0])} images down to {count(values[-1])}"
            for name, values, _ in lines
        )
        return inline(figure, "rank", f"Images per category by rank, logarithmic axes. {told}")


def histogram(name: str, counts: NDArray[np.int64], colour: str, what: str) -> str:
    """Draw how many images have k labels, `counts[k]`; return SVG, or "" if no image has any."""
    top = int(np.flatnonzero(counts)[-1]) if counts.any() else 0
    if not top:
        return ""
    values = np.arange(top + 1)
    width = 1 if top <= FEW else -(-(top + 1) // MOST)
    starts = values[::width]
    heights = np.add.reduceat(counts[: top + 1], starts)
    with blank() as (figure, axes):
        middles = starts + (width - 1) / 2
        axes.bar(middles, heights, width=width * (0.86 if width == 1 else 0.94), color=COLOURS[colour])
        axis(axes, "x")
        axis(axes, "y")
        axes.grid(visible=False, axis="x")
        axes.set_xlabel(f"labels {what} in an image" + (f", {width} to a bar" if width > 1 else ""))
        axes.set_ylabel("images")
        mean = float((counts[: top + 1] * values).sum() / counts.sum())
        told = f"Labels {what} per image: on average {mean:.1f}, at most {top}"
        return inline(figure, f"histogram {name}", told)


def some(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the histogram without the images that have no such label, which would dwarf the others."""
    return np.concatenate([[0], counts[1:]])


def spread(counts: NDArray[np.int64]) -> tuple[float, int, int]:
    """Return the mean, the median and the largest number of labels per image.

    >>> spread(np.array([1, 0, 3]))
    (1.5, 2, 2)
    """
    total = int(counts.sum())
    if not total:
        return 0.0, 0, 0
    values = np.arange(len(counts))
    median = int(np.searchsorted(np.cumsum(counts), (total + 1) // 2))
    return float((counts * values).sum() / total), median, int(np.flatnonzero(counts)[-1])


def thinned(values: Sequence[object], most: int) -> list[int]:
    """Return the positions of at most `most` values, evenly spaced, the last included.

    >>> thinned([1.0] * 10, 4)
    [0, 3, 6, 9]
    """
    if len(values) <= most:
        return list(range(len(values)))
    return sorted({round(i * (len(values) - 1) / (most - 1)) for i in range(most)})
