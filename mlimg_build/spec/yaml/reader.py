"""Read YAML text into a document: plain data by the rules of YAML 1.2, with the place of each key and value."""

from __future__ import annotations

from functools import partial
from typing import Any

import yaml

from mlimg_build.errors import Place, Problem, SpecError
from mlimg_build.spec.document import Document, Path
from mlimg_build.spec.yaml.errors import TooDeep, explain
from mlimg_build.spec.yaml.rendering import LINE_BREAK
from mlimg_build.spec.yaml.scalars import resolve

__all__ = ["BIGGEST", "read_document", "too_big"]

BIGGEST = 1 << 20  # bytes of a file written by people
DEEPEST = 32  # levels of nesting
MOST_ALIASED = 10_000  # values that aliases may repeat
HALF_A_CHARACTER = ("yaml-syntax", "half of a character")
WHOLE_CHARACTERS = "write the character itself instead of \\u escapes"
TEXT_TAG = "tag:yaml.org,2002:str"
PLAIN_WORD = "plain"  # the tag of a word that is neither quoted nor tagged
TAGS = {PLAIN_WORD, TEXT_TAG, "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"}
KINDS = {
    yaml.ScalarNode: TEXT_TAG,
    yaml.SequenceNode: "tag:yaml.org,2002:seq",
    yaml.MappingNode: "tag:yaml.org,2002:map",
}


def read_document(text: str, file: str) -> Document:
    """Return the document in `text`; duplicate keys, tags and merge keys are in its `problems`.

    Numbers, booleans and null follow YAML 1.2.

    Raises:
        SpecError: for broken syntax, no mapping, more than 1 MiB or 32 levels, aliases that repeat more than 10,000
            values.
    """
    if len(text.encode("utf-8", "surrogatepass")) > BIGGEST:
        raise SpecError(too_big(file))
    loader: _Composer | None = None
    try:
        loader = _Composer(text)
        root = loader.get_single_node()
    except (yaml.YAMLError, TooDeep, ValueError, OverflowError) as error:
        reached = loader.get_mark() if loader else None
        raise SpecError(explain(error, text, file, DEEPEST, reached)) from None
    document = Document(file)
    if root is None:
        raise SpecError(
            Problem(
                "yaml-empty",
                "the file says nothing",
                Place(file, 1, 1),
                "mlimg init writes a spec to start from",
            )
        )
    if not isinstance(root, yaml.MappingNode):
        place = _span(root, file, LINE_BREAK.split(text))
        what = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        raise SpecError(
            Problem(
                "yaml-not-a-mapping",
                f"expected a mapping of keys to values, found {what}",
                place,
                "write `key: value`",
            )
        )
    document.data = _Walk(document, LINE_BREAK.split(text)).value(root, (), 0)
    return document


def too_big(file: str) -> Problem:
    """Return the problem for a file of more than 1 MiB."""
    return Problem(
        "yaml-too-big",
        "the file is bigger than 1 MiB",
        Place(file, 1, 1),
        "move long lists to text files and name these",
    )


class _Composer(yaml.SafeLoader):
    """PyYAML's composer of nodes, with a limit of depth before recursion fails."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.depth > DEEPEST:
            raise TooDeep(self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """Return the tag of a node without one: PyYAML's own would follow YAML 1.1."""
        return PLAIN_WORD if kind is yaml.ScalarNode and implicit[0] else KINDS[kind]


class _Walk:
    """Converts nodes to data; fills the document's places and problems."""

    def __init__(self, document: Document, lines: list[str]) -> None:
        self.document = document
        self.lines = lines
        self.seen: set[int] = set()
        self.aliased = 0  # values repeated so far
        self.inside = 0  # aliases above the current node

    def value(self, node: yaml.Node, path: Path, depth: int) -> Any:
        again = id(node) in self.seen
        self.seen.add(id(node))
        self.inside += again
        self.aliased += self.inside > 0
        if self.aliased > MOST_ALIASED or (again and depth > DEEPEST):
            place = self.document.key_place(path[:1])
            message = f"aliases repeat more than {MOST_ALIASED:,} values"
            if depth > DEEPEST:
                message = "an alias leads back into itself or too deep"
            raise SpecError(
                Problem("yaml-aliases", message, place, "write the values out, or move them to a text file")
            )
        if node.tag not in TAGS:
            self.document.faulty.add(path)
            self._problem(
                "yaml-tag",
                f"the tag {_short(node.tag)} is not allowed",
                node,
                "remove the tag: values are plain data",
            )
        self._mark(node, path)
        result = self._data(node, path, depth)
        self.inside -= again
        return result

    def _data(self, node: yaml.Node, path: Path, depth: int) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        self.document.written[path] = node.value
        if _halved(node.value):
            self.document.faulty.add(path)
            self._problem(*HALF_A_CHARACTER, node, hint=WHOLE_CHARACTERS)
            return ""
        return resolve(node.value) if node.tag == PLAIN_WORD else node.value

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(
                    "yaml-syntax",
                    "a key must be text",
                    key_node,
                    "write `key: value`; text with { or [ needs quotes",
                )
                continue
            key = key_node.value
            here = (*path, key)
            if key == "<<" and key_node.style is None:
                message = "merge keys are not part of this language"
                self._problem("yaml-merge-key", message, key_node, "write the keys out")
                self.document.faulty.add(path)
                continue
            if _halved(key):
                self._problem(*HALF_A_CHARACTER, key_node, hint=WHOLE_CHARACTERS)
                continue
            if key in result:
                first = self.document.keys[here].line
                hint = f"it is first written on line {first}; keep one of them"
                self._problem(
                    "yaml-duplicate-key", f'the key "{_short(key)}" is written twice', key_node, hint
                )
                continue
            self.document.keys[here] = self.place(key_node)
            result[key] = self.value(value_node, here, depth + 1)
        return result

    def _mark(self, node: yaml.Node, path: Path) -> None:
        place = self.place(node)
        key = self.document.keys.get(path)
        many_lines = node.end_mark.line > node.start_mark.line and not isinstance(node, yaml.ScalarNode)
        empty = node.start_mark.index == node.end_mark.index
        # what spans lines, or is not written at all, is best shown by its key
        self.document.values[path] = key if key is not None and (many_lines or empty) else place

    def place(self, node: yaml.Node) -> Place:
        return _span(node, self.document.file, self.lines)

    def _problem(self, code: str, message: str, node: yaml.Node, hint: str) -> None:
        self.document.add_problem(code, message, partial(self.place, node), hint)


def _span(node: yaml.Node, file: str, lines: list[str]) -> Place:
    """Return the place of a node, underlined to its end or to the end of its first line."""
    start, end = node.start_mark, node.end_mark
    if end.line == start.line:
        width = end.column - start.column
    elif isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return _span(node.value[0][0], file, lines)
    else:
        width = len(lines[start.line].rstrip()) - start.column if start.line < len(lines) else 1
    return Place(file, start.line + 1, start.column + 1, max(1, width))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def _halved(text: str) -> bool:
    """Return whether the text holds a lone surrogate, which no file can."""
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)
