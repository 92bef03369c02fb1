"""Messages for PyYAML's errors about broken syntax."""

from __future__ import annotations

import re

import yaml

from mlimg_build.errors import Place, Problem

__all__ = ["TooDeep", "explain"]

# (what PyYAML says, the sentence, the hint, whether the place is where the construct began)
SENTENCES: tuple[tuple[str, str, str, bool], ...] = (
    (r"found character '\\t'", "a tab stands where YAML wants spaces", "indent with spaces", False),
    (
        r"mapping values are not allowed here",
        "there is a colon where none can be",
        "check the indentation, and put text that holds `: ` in quotes",
        False,
    ),
    (r"could not find expected ':'", "there is a key without a colon", "write `key: value`", True),
    (
        r"while scanning a quoted scalar.*found unexpected (end of stream|document separator)",
        "the quoted text is never closed",
        "close the quote",
        True,
    ),
    (
        r"while parsing a flow sequence.*expected ',' or '\]'",
        "the list that starts here is not closed",
        "close it with ], and separate its entries with commas",
        True,
    ),
    (
        r"while parsing a flow mapping.*expected ',' or '\}'",
        "the mapping that starts here is not closed",
        "close it with }, separate its entries with commas, and quote ${VARIABLES} inside it",
        True,
    ),
    (
        r"expected <block end>, but found",
        "the line does not fit the lines above it",
        "give keys of one level the same indentation",
        False,
    ),
    (
        r"found undefined alias",
        "there is no anchor for this alias",
        "define it first with &name, or put text that starts with * in quotes",
        False,
    ),
    (
        r"expected a single document",
        "a second document starts here",
        "remove the line `---`: one file holds one document",
        False,
    ),
    (
        r"found character '.' that cannot start any token",
        "a value cannot start with this character",
        "put the text in quotes",
        False,
    ),
    (
        r"found unknown escape character",
        "there is no such escape in double quotes",
        "write \\\\ for a backslash",
        False,
    ),
)


class TooDeep(Exception):
    """Nesting beyond what a spec can need; `mark` is its position."""

    def __init__(self, mark: yaml.Mark) -> None:
        super().__init__()
        self.mark = mark


def explain(error: Exception, text: str, file: str, deepest: int, reached: yaml.Mark | None) -> Problem:
    """Return the problem for an exception of PyYAML; `reached` is where it stopped."""
    if isinstance(error, TooDeep):
        return Problem(
            "yaml-too-deep",
            f"values are nested deeper than {deepest} levels",
            _place(error.mark, file),
            "no part of this language is that deep; look for brackets that are not closed",
        )
    if isinstance(error, yaml.reader.ReaderError):
        before = re.split("\r\n|[\n\r\x85\u2028\u2029]", text[: error.position])
        letter = text[error.position] if error.position < len(text) else "?"
        return Problem(
            "yaml-syntax",
            f"the character U+{ord(letter):04X} is not allowed",
            Place(file, len(before), len(before[-1]) + 1),
            "remove it; it is invisible in most editors",
        )
    if not isinstance(error, yaml.MarkedYAMLError):
        # ValueError and OverflowError come from the number of an escape or of a %YAML line
        hint = "correct the escape, or write the character itself"
        return Problem("yaml-syntax", "a number here stands for no character", _place(reached, file), hint)
    said = f"{error.context or ''} {error.problem or ''}".strip()
    for pattern, sentence, hint, at_start in SENTENCES:
        if re.search(pattern, said, re.DOTALL):
            mark = (error.context_mark if at_start else None) or error.problem_mark or error.context_mark
            return Problem("yaml-syntax", sentence, _place(mark, file), hint)
    mark = error.problem_mark or error.context_mark
    hint = "put text that holds special characters in quotes, and check the indentation"
    return Problem("yaml-syntax", f"not YAML: {said}", _place(mark, file), hint)


def _place(mark: yaml.Mark | None, file: str) -> Place:
    return Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
