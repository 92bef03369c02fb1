"""Show what was understood of each source, so that a person sees at once whether it is what they meant."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.text import Text

from mlimg_build.quantities import counted

from .console import out, percent

if TYPE_CHECKING:
    from mlimg_build.compiler.facts.category_groups import NestingUse
    from mlimg_build.compiler.understood import ExampleImage, ExampleLabel, Understood

__all__ = ["show_understood"]

INDENT = 12  # columns before the text of a line
UNSURE = 0.7
MERGED = 5  # groups of categories that are shown
FEW = 0.5  # share of the categories that a hierarchy helps below which it is said what the others have


def show_understood(found: Mapping[str, Understood]) -> None:
    """Print, for each source, what was read and as what, with examples from image to synset."""
    for name, one in found.items():
        out.print()
        out.print(Text.assemble((name, "bold"), f" ({one.type}) was understood as"))
        for what, text in _lines(one):
            for number, line in enumerate(wrap(text, max(out.width - INDENT, 20)) or [""]):
                out.print(Text(f"  {'' if number else what:<{INDENT - 2}}{line}"))


def _lines(one: Understood) -> list[tuple[str, str]]:
    """Return the lines about a source, each with what it is about."""
    labels = f"{one.present:,} present, {one.absent:,} absent"
    machines = f", {one.by_machines:,} of them by machines" if one.by_machines else ""
    what = f"{counted(one.images, 'image')}, {counted(one.categories, 'category', 'categories')}"
    becoming = "" if one.becoming == one.categories else f", which become {one.becoming:,}"
    none = f"; {counted(one.unlabelled, 'image')} without a label" if one.unlabelled else ""
    lines = [("rows", f"{what}{becoming}; labels: {labels}{machines}{none}")]
    lines += [("reads", f"{column}: {meaning}") for column, meaning in one.columns]
    if one.hierarchy is not None:
        lines.append(("hierarchy", _hierarchy(one.hierarchy)))
    placed = [f"{count:,} {split or 'drawn'}" for split, count in one.splits.items()]
    lines.append(("splits", ", ".join(placed)))
    statuses = ", ".join(f"{count:,} {_words(status)}" for status, count in one.statuses.items())
    met = f"{one.met:,} images met a file ({percent(one.met / one.images if one.images else 0)})"
    lines.append(("files", f"{met}; {statuses}" if statuses else met))
    lines += _names(one)
    for image in one.examples:
        lines += _example(image)
    bare, some = one.bare
    if bare:
        more = ", …" if bare > len(some) else ""
        lines.append(("no label", f"{counted(bare, 'category', 'categories')}: {', '.join(some)}{more}"))
    for name, rows in (("noted", one.noted), ("left out", one.left_out)):
        for what, count, meaning, shown in rows:
            categories = what[:1].isdigit()
            text = f"{what} with {counted(count, 'label')}" if categories else f"{count:,} {what}"
            more = ", …" if shown and not categories and count > len(shown) else ""
            told = f" ({', '.join(shown)}{more})" if shown else ""
            lines.append((name, f"{text}: {meaning}{told}"))
    return lines


def _names(one: Understood) -> list[tuple[str, str]]:
    """Return a line for each listed category with what it becomes, then what several become together."""
    lines = []
    for i, each in enumerate(one.named):
        text = f"{each.category} ({counted(each.images, 'image')})"
        if each.wnid is None:
            became = f"not used ({_words(each.fate)})"
        else:
            kind = f", a kind of {each.above}" if each.above and each.score < 1 else ""
            score = "" if each.score >= 1 else f", score {each.score:.2f}{', unsure' * (each.score < UNSURE)}"
            became = f"{each.name} {each.wnid}{kind}{score}".strip()
        lines.append(("" if i else "names", f"{text} → {became}"))
    rest = one.categories - len(one.named)
    if lines and rest > 0:
        lines.append(("", f"and {rest:,} more: `mlimg map SPEC` lists all"))
    lines += [("merged", f"{', '.join(names)} → {into}") for into, names in one.merged[:MERGED]]
    if len(one.merged) > MERGED:
        lines.append(("", f"and {len(one.merged) - MERGED:,} more"))
    return lines


def _hierarchy(use: NestingUse) -> str:
    """Return how many categories a hierarchy helps to understand, and why they are few."""
    text = f"{use.helped:,} of {use.categories:,} categories have a parent that helps"
    if use.nameless:
        nodes = "1 node that tells" if use.nameless == 1 else f"{use.nameless:,} nodes that tell"
        text += f"; {nodes} nothing, as `classes` lacks the name"
    if not use.helped:
        return f"{text}; are its {use.nodes:,} nodes the classes of `classes`?"
    if use.helped < FEW * use.categories:
        return f"{text}; of the others only the names are known"
    return text


def _example(image: ExampleImage) -> list[tuple[str, str]]:
    about = [image.path, image.row, _words(image.status)]
    lines = [("example", ", ".join(filter(None, about)))]
    lines += [("", f"→ {_label(label)}") for label in image.labels if label.present]
    absent = [_label(label) for label in image.labels if not label.present]
    if absent:
        lines.append(("", f"→ absent: {'; '.join(absent)}"))
    if image.more:
        lines.append(("", f"and {image.more:,} more labels"))
    return lines


def _label(label: ExampleLabel) -> str:
    sure = f" {label.confidence:.3g}" if label.confidence < 1 else ""
    if label.wnid is None:
        return f"{label.category}{sure}: not used ({_words(label.fate)})"
    score = "" if label.score >= 1 else f", score {label.score:.2f}"
    return f"{label.category}{sure}: {label.name} {label.wnid}{score}"


def _words(status: str) -> str:
    return status.replace("_", " ")
