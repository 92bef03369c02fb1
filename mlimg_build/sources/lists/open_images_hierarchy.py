"""Read Open Images' hierarchy of boxable classes, a JSON file, as the parents of each category."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlimg_build.errors import Place, Problem, SourceError
from mlimg_build.sources.lists.line_blocks import require_file, unreadable, whole_text
from mlimg_build.text_limits import SMALL_FILE

__all__ = ["Nesting", "read_nesting"]

MOST = 100  # problems of a file that are told together
WHAT = "the hierarchy"
HINT = "expected nodes with `name` and `children`, or with `LabelName` and `Subcategory` or `Part`"
_BRACKETS = re.compile(r"\([^)]*\)")
BELOW = ("children", "Subcategory", "Part")
OUTSIDE = "node of the hierarchy: "  # begins the id of a node that is no category


class Nesting(NamedTuple):
    """What is nested in what.

    `parents` maps the id of each node to the sorted ids of the nearest nodes above it; those with none are absent.
    `named` maps the ids of nodes that are no category to their names. `nodes` counts all nodes, `nameless` those whose
    `LabelName` the class descriptions lack and that have no name themselves: they are passed through.
    """

    parents: dict[str, tuple[str, ...]]
    named: dict[str, str]
    nodes: int
    nameless: int


class _Node(NamedTuple):
    """A node of the tree, the id that it lies below, and the number of the node above it, with the step to it."""

    node: Any
    parent: str | None
    above: int
    step: str


def read_nesting(path: Path, names: Mapping[str, str]) -> Nesting:
    """Return what the nodes of a hierarchy lie below.

    `names` maps the ids of the class descriptions to names. A node is a category by its `LabelName`, or by a `name`
    that exactly one id has, ignoring case, with or without the part in parentheses (Bat is "Bat (Animal)"). Another
    node with a name has an id of its own, for its name tells what lies below it; the children of one without a name
    belong to the nearest node above. A class may occur in several places.

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
    problems: list[Problem] = []
    tree = _Tree(names)
    tree.read(path, root, problems)
    if problems:
        raise SourceError(problems)
    parents = {key: tuple(sorted(tree.above[key])) for key in sorted(tree.above)}
    return Nesting(parents, dict(sorted(tree.named.items())), tree.nodes, tree.nameless)


def _ids(names: Mapping[str, str]) -> dict[str, set[str]]:
    """Return name → ids; a name without its parentheses is included only if no id has exactly that name."""
    whole: dict[str, set[str]] = defaultdict(set)
    bare: dict[str, set[str]] = defaultdict(set)
    for key, name in names.items():
        whole[_folded(name)].add(key)
        bare[_folded(_BRACKETS.sub("", name))].add(key)
    return {**bare, **whole}


class _Tree:
    """The nodes of a hierarchy while they are read."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names, self.ids = names, _ids(names)
        self.above: dict[str, set[str]] = defaultdict(set)
        self.named: dict[str, str] = {}
        self.nodes = self.nameless = 0

    def read(self, path: Path, root: Any, problems: list[Problem]) -> None:
        """Read the nodes from the top; the first `MOST` invalid ones are added to `problems`."""
        queue: list[_Node] = [_Node(root, None, -1, "")]
        for number, (node, parent, _, _) in enumerate(queue):  # grows during the iteration
            if not isinstance(node, dict) or not isinstance(node.get("LabelName", node.get("name")), str):
                message = f"{WHAT} has no node at {_where(queue, number) or 'its top'}"
                problems.append(Problem("nesting-shape", message, Place(str(path), 1, 1), HINT))
                if len(problems) == MOST:
                    return
                continue
            key = self._key(node)
            if key is not None and parent is not None and key != parent:
                self.above[key].add(parent)
            for field in BELOW:
                children = node.get(field, [])
                if isinstance(children, list):
                    above = key or parent
                    queue += [
                        _Node(child, above, number, f"/{field}/{i}") for i, child in enumerate(children)
                    ]
                else:
                    queue.append(_Node(children, key or parent, number, f"/{field}"))

    def _key(self, node: Mapping[str, Any]) -> str | None:
        """Return the id of the category that a node is, its own if it is none and has a name, else None."""
        self.nodes += 1
        if node.get("LabelName") in self.names:
            return str(node["LabelName"])
        name = node["name"] if isinstance(node.get("name"), str) else ""
        folded = _folded(name)
        if not folded:
            self.nameless += 1
            return None
        found = self.ids.get(folded, set()) if "LabelName" not in node else set()
        if len(found) == 1:
            return next(iter(found))
        self.named.setdefault(f"{OUTSIDE}{folded}", name)
        return f"{OUTSIDE}{folded}"


def _where(queue: Sequence[_Node], number: int) -> str:
    """Return the path of a node from the top, such as "/Subcategory/0/Part/3"."""
    steps: list[str] = []
    while number >= 0:
        steps.append(queue[number].step)
        number = queue[number].above
    return "".join(reversed(steps))


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())
