"""Matplotlib figures as inline SVG that takes its colours and fonts from the page around it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["COLOURS", "blank", "inline"]

COLOURS = {  # placeholder colours, replaced by the style sheet's variables of these names
    "ink": "#010203",
    "muted": "#010204",
    "line": "#010205",
    "present": "#010206",
    "absent": "#010207",
    "second": "#010208",
    "paper": "#010209",
    "faint": "#01020a",
}
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # text is measured in matplotlib's own font, shown in the page's
    "font.size": 10.5,
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.7,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "legend.frameon": False,
    "legend.labelcolor": COLOURS["muted"],
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "path.simplify": True,
}


@contextmanager
def blank(width: float = 5.6, height: float = 3.3) -> Iterator[tuple[Figure, Axes]]:
    """Yield an empty figure in the page's style, and its axes; sizes in inches of 72 points."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def inline(figure: Figure, name: str, told: str) -> str:
    """Return the figure as an `<svg>` element; equal figures give equal bytes.

    `told` is its text for screen readers; `name` keeps the ids of this figure apart from those of others on the page.
    """
    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return _adapted(stream.getvalue(), told)


def _adapted(text: str, told: str) -> str:
    """Adapt matplotlib's SVG file to a page: no prolog, no namespaces, no repeated ids, no fixed colours."""
    body = text[text.index("<svg") :].strip()
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = body.replace("xlink:href", "href")
    body = re.sub(r"font: ([^;\"']*?)(\d+(?:\.\d+)?)px [^;\"]*", r"font-size: \2px", body)
    for variable, colour in COLOURS.items():
        body = body.replace(colour, f"var(--{variable})")
    viewbox = re.search(r'viewBox="([^"]*)"', body)
    start = f'<svg class="plot" viewBox="{viewbox.group(1) if viewbox else ""}" role="img" aria-label="{escape(told)}">'
    body = start + body[body.index(">") + 1 :]
    return re.sub(r">\s+<", "><", body)
