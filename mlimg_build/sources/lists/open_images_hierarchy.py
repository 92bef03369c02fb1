"""Read Open Images' hierarchy of boxable classes, a JSON file, as the parents of each category."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlimg_build.errors import Place, Problem, SourceError
from mlimg_build.sources.lists.line_blocks import require_file, unreadable

__all__ = ["read_nesting"]

WHAT = "the hierarchy"
HINT = "expected nodes with `name` and `children`, or with `LabelName` and `Subcategory` or `Part`"
_BRACKETS = re.compile(r"\([^)]*\)")
BELOW = ("children", "Subcategory", "Part")


def read_nesting(path: Path, names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the nearest categories above each category: id → sorted ids; categories with none are absent.

    `names` maps the ids of the class descriptions to names. A node is a category by its `LabelName`, or by a `name`
    that exactly one id has, ignoring case, with or without the part in parentheses (Bat is "Bat (Animal)"). Other nodes
    are skipped: their children belong to the nearest category above. A class may occur in several places.

    Raises:
        SourceError: `nesting-unreadable` if the file is no JSON, `nesting-shape` with every invalid node; those of
            `require_file`; `list-unreadable` if it cannot be read.
    """
    require_file(path, WHAT)
    try:
        root = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        place = Place(str(path), error.lineno, error.colno)
        raise SourceError(Problem("nesting-unreadable", f"{WHAT} is no JSON: {error.msg}", place)) from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(path, WHAT, str(error), HINT) from error
    ids = _ids(names)
    problems: list[Problem] = []
    above: dict[str, set[str]] = defaultdict(set)
    for key, parent in _edges(path, root, ids, names, problems):
        above[key].add(parent)
    if problems:
        raise SourceError(problems)
    return {key: tuple(sorted(above[key])) for key in sorted(above)}


def _ids(names: Mapping[str, str]) -> dict[str, set[str]]:
    """Return name → ids; a name without its parentheses is included only if no id has exactly that name."""
    whole: dict[str, set[str]] = defaultdict(set)
    bare: dict[str, set[str]] = defaultdict(set)
    for key, name in names.items():
        whole[_folded(name)].add(key)
        bare[_folded(_BRACKETS.sub("", name))].add(key)
    return {**bare, **whole}


def _edges(
    path: Path, root: Any, ids: Mapping[str, set[str]], names: Mapping[str, str], problems: list[Problem]
) -> Iterator[tuple[str, str]]:
    """Yield the (category, nearest category above) pairs of a tree; invalid nodes are added to `problems`."""
    queue: list[tuple[Any, str | None, str]] = [(root, None, "")]
    for node, parent, where in queue:  # grows during the iteration
        if not isinstance(node, dict) or not isinstance(node.get("LabelName", node.get("name")), str):
            message = f"{WHAT} has no node at {where or 'its top'}"
            problems.append(Problem("nesting-shape", message, Place(str(path), 1, 1), HINT))
            continue
        key = _category(node, ids, names)
        if key is not None and parent is not None and key != parent:
            yield key, parent
        for field in BELOW:
            children = node.get(field, [])
            if isinstance(children, list):
                queue += [(child, key or parent, f"{where}/{field}/{i}") for i, child in enumerate(children)]
            else:
                queue.append((children, key or parent, f"{where}/{field}"))


def _category(node: Mapping[str, Any], ids: Mapping[str, set[str]], names: Mapping[str, str]) -> str | None:
    """Return the category id of a node, None if the class descriptions lack it or its name is ambiguous."""
    if "LabelName" in node:
        return node["LabelName"] if node["LabelName"] in names else None
    found = ids.get(_folded(node["name"]), set())
    return next(iter(found)) if len(found) == 1 else None


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())
