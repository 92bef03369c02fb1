"""Read Open Images' hierarchy of boxable classes, a JSON file, as the parents of each category."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlimg_build.errors import Place, Problem, SourceError
from mlimg_build.sources.lists.line_blocks import require_file, unreadable, whole_text
from mlimg_build.text_limits import SMALL_FILE

__all__ = ["read_nesting"]

MOST = 100  # problems of a file that are told together
WHAT = "the hierarchy"
HINT = "expected nodes with `name` and `children`, or with `LabelName` and `Subcategory` or `Part`"
_BRACKETS = re.compile(r"\([^)]*\)")
BELOW = ("children", "Subcategory", "Part")


class _Node(NamedTuple):
    """A node of the tree, its nearest category, and the number of the node that it is below, with the step to it."""

    node: Any
    parent: str | None
    above: int
    step: str


def read_nesting(path: Path, names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the nearest categories above each category: id → sorted ids; categories with none are absent.

    `names` maps the ids of the class descriptions to names. A node is a category by its `LabelName`, or by a `name`
    that exactly one id has, ignoring case, with or without the part in parentheses (Bat is "Bat (Animal)"). Other nodes
    are skipped: their children belong to the nearest category above. A class may occur in several places.

    Raises:
        SourceError: `nesting-unreadable` if the file is no JSON, `nesting-shape` with the first `MOST` invalid nodes;
            those of `require_file`; `list-unreadable` if it cannot be read.
    """
    require_file(path, WHAT)
    try:
        root = json.loads(whole_text(path, WHAT, SMALL_FILE, HINT))
    except json.JSONDecodeError as error:
        place = Place(str(path), error.lineno, error.colno)
        raise SourceError(Problem("nesting-unreadable", f"{WHAT} is no JSON: {error.msg}", place)) from error
    except RecursionError as error:
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
    queue: list[_Node] = [_Node(root, None, -1, "")]
    for number, (node, parent, _, _) in enumerate(queue):  # grows during the iteration
        if not isinstance(node, dict) or not isinstance(node.get("LabelName", node.get("name")), str):
            message = f"{WHAT} has no node at {_where(queue, number) or 'its top'}"
            problems.append(Problem("nesting-shape", message, Place(str(path), 1, 1), HINT))
            if len(problems) == MOST:
                return
            continue
        key = _category(node, ids, names)
        if key is not None and parent is not None and key != parent:
            yield key, parent
        for field in BELOW:
            children = node.get(field, [])
            if isinstance(children, list):
                above = key or parent
                queue += [_Node(child, above, number, f"/{field}/{i}") for i, child in enumerate(children)]
            else:
                queue.append(_Node(children, key or parent, number, f"/{field}"))


def _where(queue: Sequence[_Node], number: int) -> str:
    """Return the path of a node from the top, such as "/Subcategory/0/Part/3"."""
    steps: list[str] = []
    while number >= 0:
        steps.append(queue[number].step)
        number = queue[number].above
    return "".join(reversed(steps))


def _category(node: Mapping[str, Any], ids: Mapping[str, set[str]], names: Mapping[str, str]) -> str | None:
    """Return the category id of a node, None if the class descriptions lack it or its name is ambiguous."""
    if "LabelName" in node:
        return node["LabelName"] if node["LabelName"] in names else None
    found = ids.get(_folded(node["name"]), set())
    return next(iter(found)) if len(found) == 1 else None


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())
