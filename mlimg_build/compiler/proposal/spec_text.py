"""Write the spec that is proposed: sources with remarks, and categories of one's own to be placed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlimg_build.compiler.facts.unused_categories import in_yaml
from mlimg_build.compiler.proposal.layouts import Layout
from mlimg_build.printable import printable

__all__ = ["OwnCategory", "spec_text"]

PATH = re.compile(r"/?[A-Za-z_][\w-]*(/[\w-][\w.-]*)+")  # a path that YAML reads as text without quotes


class OwnCategory(NamedTuple):
    """A category that a spec adds: what it is a kind of, if that is known, and a remark."""

    slug: str
    name: str
    below: str | None
    remark: str


def spec_text(name: str, layouts: Sequence[Layout], own: Sequence[OwnCategory], folder: Path) -> str:
    """Return a spec with these sources; paths are relative to `folder`, that of the spec, if they lie below it."""
    return "\n".join([*_lines(name, layouts, own, folder), ""])


def _lines(name: str, layouts: Sequence[Layout], own: Sequence[OwnCategory], folder: Path) -> Iterator[str]:
    yield "# `mlimg check --deep FILE` shows what is understood of it, `mlimg build FILE` builds it."
    yield "mlimg: 1"
    yield f"name: {_value(name, folder)}"
    yield "version: 0.1.0"
    yield ""
    yield "sources:"
    for one in layouts:
        yield from (f"  # {' '.join(printable(remark).split())}" for remark in one.remarks)
        yield f"  {one.name}:"
        yield from (f"    {key}: {_value(value, folder)}" for key, value in one.keys.items())
    if own:
        yield ""
        yield "vocabulary:"
        yield "  own:    # names that no noun has; `below: ID` puts one below a noun, `mlimg synset WORD` finds its id"
        for category in own:
            below = f", below: {category.below}" if category.below else ""
            yield f"    {in_yaml(category.slug)}: {{name: {in_yaml(category.name)}{below}}}    # {category.remark}"
    if not any("split" in one.keys or "splits" in one.keys for one in layouts):
        yield ""
        yield "split: {validation: 0.1}    # drawn by the images' ids"
    yield ""
    yield "# training:      # the network; a classifier with one label an image is `transfer: {source: …}` behind it"
    yield "#   model: resnet50"


def _value(value: Any, folder: Path) -> str:
    """Return a value as YAML in flow style, in one line."""
    if isinstance(value, Path):
        absolute = value.absolute()
        path = str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)
        return path if PATH.fullmatch(path) else in_yaml(path)
    if isinstance(value, Mapping):
        pairs = (f"{in_yaml(key, key=True)}: {_value(item, folder)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item, folder) for item in value)}]"
    return in_yaml(value) if isinstance(value, str) else json.dumps(value)
