"""Write the spec that is proposed: sources with remarks, and categories of one's own to be placed."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlimg_build.compiler.facts.unused_categories import in_yaml
from mlimg_build.compiler.proposal.class_file import INLINE
from mlimg_build.compiler.proposal.folder_contents import absolute
from mlimg_build.compiler.proposal.layout import Layout
from mlimg_build.compiler.proposal.named_categories import LISTED, NamedCategories, OwnCategory
from mlimg_build.printable import printable

__all__ = ["spec_text"]

PATH = re.compile(
    r"/?[A-Za-z_][\w-]*(/[\w-][\w.-]*)+|[A-Za-z_][\w-]*(\.[A-Za-z][\w-]*)+"
)  # a path that YAML reads as text without quotes
WIDTH = 80


def spec_text(
    name: str,
    layouts: Sequence[Layout],
    named: NamedCategories,
    taken: Sequence[str],
    folder: Path,
    own_file: Path | None = None,
) -> str:
    """Return a spec with these sources; paths are relative to `folder`, that of the spec, if they lie below it.

    `taken` are lines on what names were taken for. With `own_file`, that file has the own categories.
    """
    return "\n".join([*_lines(name, layouts, named, taken, folder, own_file), ""])


def _lines(
    name: str,
    layouts: Sequence[Layout],
    named: NamedCategories,
    taken: Sequence[str],
    folder: Path,
    own_file: Path | None,
) -> Iterator[str]:
    yield "# `mlimg check --deep FILE` shows what it means, `mlimg build FILE` builds it."
    yield "mlimg: 1"
    yield f"name: {_value(name, folder)}"
    yield "version: 0.1.0"
    yield ""
    yield "sources:"
    for one in layouts:
        for remark in one.remarks:
            yield from _comment(remark, "  ")
        yield f"  {one.name}:"
        yield from (f"    {key}: {_value(value, folder)}" for key, value in one.keys.items())
    if taken:
        yield ""
        yield from _comment(
            "What names were taken for, and the chance that it is right; what is wrong is decided in the file that "
            "`mlimg map FILE` writes:"
        )
        for line in taken:
            yield from _comment(line, "", "  ")
    if named.own:
        yield ""
        yield "vocabulary:"
        yield from _intro(named, own_file)
        yield from _in_file(layouts, named, own_file, folder) if own_file else _inline(named)
    if not any("split" in one.keys or "splits" in one.keys for one in layouts):
        yield ""
        yield "split: {validation: 0.1}    # drawn by the images' ids"
    yield ""
    yield "# training:      # the network; `transfer: {source: …}` tunes it to one source,"
    yield "#   model: resnet50    # as a classifier with one label an image"
    yield "# without a GPU: model: resnet18, image_size: 64, batch_size: 32, epochs: 5"


def _intro(named: NamedCategories, own_file: Path | None) -> Iterator[str]:
    """Yield the comment on the own categories."""
    for source, (need, names) in named.mostly.items():
        yield from _comment(
            f"{need:,} of the {names:,} names of {source} are no nouns, so all are proposed as categories of your own "
            "(`kind: flat` in place of `own` takes all names so, without any nouns).",
            "  ",
        )
    if not named.mostly:
        yield from _comment("Names that no noun has become categories of your own.", "  ")
    if own_file is None:
        yield from _comment("`below: ID` puts one below a noun, `mlimg synset WORD` finds its id.", "  ")
    left = named.left + (0 if own_file else max(len(named.declared()) - INLINE, 0))
    if left:
        what = "1 more is" if left == 1 else f"{left:,} more are"
        yield from _comment(f"{what} left out: too many, too long, or without a letter.", "  ")


def _in_file(
    layouts: Sequence[Layout], named: NamedCategories, own_file: Path, folder: Path
) -> Iterator[str]:
    """Yield the lines of own categories that a file has, and what is asked about each."""
    yield from _comment(
        f"They are in {own_file.name}, which names the folders or labels, too: put a name right there, and its id "
        "follows. A name that is an id of WordNet is that noun; `below` says what one is a kind of.",
        "  ",
    )
    renamed = {one.name for one in layouts if one.keys.get("classes") == own_file}
    if any(one.source not in renamed for one in named.own):
        yield from _comment("Rows without a folder or label have the names that their sources have.", "  ")
    few = len(named.own) <= LISTED
    listed = named.own if few else [one for one in named.own if one.remark.endswith("?")][:LISTED]
    for one in listed:
        yield from _comment(f"{one.name}: {one.remark}", "  ", "  ")
    if not few:
        yield from _comment(f"and {len(named.own) - len(listed):,} more", "  ", "  ")
    yield f"  own: {_value(own_file, folder)}"


def _inline(named: NamedCategories) -> Iterator[str]:
    yield "  own:"
    for one in named.declared()[:INLINE]:
        yield from _declared(one)


def _declared(one: OwnCategory) -> Iterator[str]:
    below = f", below: {one.below}" if one.below else ""
    line = f"    {in_yaml(one.slug, key=True)}: {{name: {in_yaml(one.name)}{below}}}"
    if len(line) + len(one.remark) + 6 <= WIDTH:
        yield f"{line}    # {' '.join(printable(one.remark).split())}"
    else:
        yield from _comment(one.remark, "    ")
        yield line


def _comment(text: str, before: str = "", inside: str = "") -> Iterator[str]:
    """Yield a text as lines of a comment; `before` stands before the `#`, `inside` behind it."""
    first = f"{before}# {inside}"
    yield from textwrap.wrap(
        " ".join(printable(text).split()),
        WIDTH,
        initial_indent=first,
        subsequent_indent=f"{first}  " if inside else first,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _value(value: Any, folder: Path) -> str:
    """Return a value as YAML in flow style, in one line."""
    if isinstance(value, Path):
        whole = absolute(value)
        path = str(whole.relative_to(folder) if whole.is_relative_to(folder) else whole)
        return path if PATH.fullmatch(path) else in_yaml(path)
    if isinstance(value, Mapping):
        pairs = (f"{in_yaml(key, key=True)}: {_value(item, folder)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item, folder) for item in value)}]"
    return in_yaml(value) if isinstance(value, str) else json.dumps(value)
