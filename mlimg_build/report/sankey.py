"""Sankey diagrams, quantities that flow through columns of nodes, drawn as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from mlimg_build.report.formatting import count

__all__ = ["Flow", "Link", "Node", "draw"]

BAR = 10.0  # width of a node
TALL = 250.0  # height of the fullest column's bars
SLOT = 38.0  # height that a node's two lines of text need
GAP = 8.0
THIN = 1.5  # of the smallest link, so that it is visible
TOP = 30.0
LETTER = 7.6  # width of a letter, rounded up
LETTERS = 26  # of a label beside the streams


@dataclass(frozen=True, slots=True)
class Node:
    """One node: `kind` is a CSS class, `note` is added to its tooltip, `short` is its label if there is little room."""

    key: str
    label: str
    column: int
    kind: str
    note: str = ""
    short: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """The quantity that flows from one node to another."""

    source: str
    target: str
    count: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A diagram: headings of columns, nodes in order from top to bottom, links; `unit` is what is counted."""

    title: str
    headings: tuple[str, ...]
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    unit: str


@dataclass(slots=True)
class _Placed:
    node: Node
    x: float
    y: float
    height: float
    total: int
    used_in: float = 0.0
    used_out: float = 0.0


def draw(flow: Flow, *, width: int, narrow: bool = False) -> str:
    """Return the flow as an `<svg>` element, all text escaped; `narrow` writes the labels over the streams."""
    links = [link for link in flow.links if link.count > 0]
    thickness = _thickness(flow, links)
    margins = (4.0, 4.0) if narrow else _margins(flow)
    placed, height = _place(flow, links, thickness, width, margins)
    parts = [
        f'<svg class="flow" viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{escape(_told(flow, links))}">'
    ]
    last = len(flow.headings) - 1
    for column, heading in enumerate(flow.headings):
        x, anchor = _heading(column, last, width, margins, narrow)
        parts.append(
            f'<text class="heading" x="{x:.1f}" y="14" text-anchor="{anchor}">{escape(heading)}</text>'
        )
    parts += [_ribbon(link, placed, thickness, flow) for link in _ordered(links, placed)]
    room = _room(flow, (width - sum(margins)) / max(last, 1) - 30)
    for item in placed.values():
        parts.append(_node(item, last, flow.unit, room[item.node.column], narrow))
    return "".join([*parts, "</svg>"])


def _thickness(flow: Flow, links: Sequence[Link]) -> dict[tuple[str, str], float]:
    """Return the thickness of each link: in proportion to its count, at least `THIN`."""
    column = {node.key: node.column for node in flow.nodes}
    out = [0] * len(flow.headings)
    for link in links:
        out[column[link.source]] += link.count
    scale = TALL / max(*out, 1)
    return {(link.source, link.target): max(THIN, link.count * scale) for link in links}


def _place(
    flow: Flow,
    links: Sequence[Link],
    thickness: dict[tuple[str, str], float],
    width: int,
    margins: tuple[float, float],
) -> tuple[dict[str, _Placed], float]:
    step = (width - sum(margins) - BAR) / max(len(flow.headings) - 1, 1)
    columns: list[list[_Placed]] = [[] for _ in flow.headings]
    for node in flow.nodes:
        into = [link for link in links if link.target == node.key]
        out = [link for link in links if link.source == node.key]
        if not into and not out:
            continue
        sides = [sum(thickness[link.source, link.target] for link in side) for side in (into, out)]
        total = max(sum(link.count for link in side) for side in (into, out))
        columns[node.column].append(
            _Placed(node, margins[0] + node.column * step, 0.0, max(*sides, THIN), total)
        )
    heights = [sum(max(item.height, SLOT) + GAP for item in items) - GAP for items in columns]
    tallest = max(*heights, SLOT)
    for items, height in zip(columns, heights, strict=True):
        y = TOP + (tallest - height) / 2
        for item in items:
            slot = max(item.height, SLOT)
            item.y = y + (slot - item.height) / 2
            y += slot + GAP
    return {item.node.key: item for items in columns for item in items}, TOP + tallest + 6


def _ordered(links: Sequence[Link], placed: dict[str, _Placed]) -> list[Link]:
    """Return the links from top to bottom, so that streams leave and arrive without crossing at a node."""
    return sorted(links, key=lambda link: (placed[link.source].y, placed[link.target].y))


def _ribbon(
    link: Link, placed: dict[str, _Placed], thickness: dict[tuple[str, str], float], flow: Flow
) -> str:
    source, target, thick = placed[link.source], placed[link.target], thickness[link.source, link.target]
    x0, y0 = source.x + BAR, source.y + source.used_out
    x1, y1 = target.x, target.y + target.used_in
    source.used_out += thick
    target.used_in += thick
    middle = (x0 + x1) / 2
    path = (
        f"M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
        f"V{y1 + thick:.1f}C{middle:.1f} {y1 + thick:.1f} {middle:.1f} {y0 + thick:.1f} {x0:.1f} {y0 + thick:.1f}Z"
    )
    kind = source.node.kind if target.node.kind == "plain" else target.node.kind
    told = f"{source.node.label} → {target.node.label}: {count(link.count)} {flow.unit}"
    return f'<path class="stream {kind}" d="{path}"><title>{escape(told)}</title></path>'


def _node(item: _Placed, last: int, unit: str, room: float, narrow: bool) -> str:
    node, middle = item.node, item.y + item.height / 2
    left = node.column == 0
    outside_left, outside_right = left and not narrow, node.column == last and not narrow
    before = outside_left or (narrow and node.column == last)
    x, anchor = (item.x - 8, "end") if before else (item.x + BAR + 8, "start")
    label = (node.short or node.label) if narrow else node.label
    letters = LETTERS if outside_left or outside_right else max(8, int(room / LETTER))
    label = label if len(label) <= letters else label[: letters - 1] + "…"
    told = f"{node.label}: {count(item.total)} {unit}" + (f". {node.note}" if node.note else "")
    return (
        f'<g class="node {node.kind}"><title>{escape(told)}</title>'
        f'<rect x="{item.x:.1f}" y="{item.y:.1f}" width="{BAR:.0f}" height="{item.height:.1f}" rx="2"/>'
        f'<text class="name" x="{x:.1f}" y="{middle - 3:.1f}" text-anchor="{anchor}">{escape(label)}</text>'
        f'<text class="count" x="{x:.1f}" y="{middle + 13:.1f}" text-anchor="{anchor}">{count(item.total)}</text></g>'
    )


def _room(flow: Flow, gap: float) -> list[float]:
    """Return the width for the labels of each column between columns: those of the last two share a gap."""
    last = len(flow.headings) - 1
    longest = max((len(node.short or node.label) for node in flow.nodes if node.column == last), default=0)
    taken = min(longest * LETTER, gap / 2)
    return [
        gap if column < last - 1 else gap - taken if column < last else taken for column in range(last + 1)
    ]


def _heading(
    column: int, last: int, width: int, margins: tuple[float, float], narrow: bool
) -> tuple[float, str]:
    left, right = margins
    if column == 0:
        return (left, "start") if narrow else (left - 8, "end")
    if column == last:
        return (width - right, "end") if narrow else (width - right + 8, "start")
    x = left + column * (width - left - right - BAR) / last
    return (x, "start") if narrow else (x + BAR + 8, "start")


def _margins(flow: Flow) -> tuple[float, float]:
    """Return the widths for the labels left of the first column and right of the last."""
    last = len(flow.headings) - 1
    longest = [
        max((len(node.label) for node in flow.nodes if node.column == at), default=0) for at in (0, last)
    ]
    left, right = (16 + LETTER * max(8, min(letters, LETTERS)) for letters in longest)
    return left, right


def _told(flow: Flow, links: Sequence[Link]) -> str:
    names = {node.key: node.label for node in flow.nodes}
    listed = [f"{names[link.source]} to {names[link.target]} {count(link.count)}" for link in links[:24]]
    return f"{flow.title}, in {flow.unit}: {'; '.join(listed)}"
