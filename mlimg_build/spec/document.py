"""The plain data of one file, with the place of each key and value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mlimg_build.errors import LISTED, Place, Problem
from mlimg_build.spec.variables import substitute, takes_default

__all__ = ["Document", "Path"]

Path = tuple[str | int, ...]


@dataclass(slots=True)
class Document:
    """The data of one file, and the place of every key and value in it."""

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    written: dict[Path, str] = field(default_factory=dict)  # scalars as written in the file
    problems: list[Problem] = field(default_factory=list)  # at most `LISTED`
    unlisted: int = 0  # problems that are not in `problems`
    faulty: set[Path] = field(default_factory=set)  # values with a problem, of which no other is reported
    defaulted: set[Path] = field(default_factory=set)  # values that use the default of a variable

    def key_place(self, path: Path) -> Place:
        """Return the place of the key at `path`; for an entry of a list, of the entry; else of its nearest ancestor."""
        return self.keys.get(path) or self.value_place(path)

    def value_place(self, path: Path) -> Place:
        """Return the place of the value at `path`, or of its nearest ancestor that is written in the file."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.values:
                return self.values[path[:end]]
        return Place(self.file, 1, 1)

    def add_problem(self, code: str, message: str, place: Callable[[], Place], hint: str) -> None:
        """Add a problem of the file, or only count it if there are many."""
        if len(self.problems) < LISTED:
            self.problems.append(Problem(code, message, place(), hint))
        else:
            self.unlisted += 1

    def substituted(self, variables: Mapping[str, str]) -> Any:
        """Return the data with variables replaced and lists as tuples; failures are added to `problems`."""

        def replaced(value: Any, path: Path) -> Any:
            if isinstance(value, dict):
                return {key: replaced(item, (*path, key)) for key, item in value.items()}
            if isinstance(value, list):
                return tuple(replaced(item, (*path, i)) for i, item in enumerate(value))
            if not isinstance(value, str):
                return value
            text, faults = substitute(value, variables)
            if takes_default(value, variables):
                self.defaulted.add(path)
            for fault in faults:
                self.faulty.add(path)
                self.add_problem(fault.code, fault.message, partial(self.value_place, path), fault.hint)
            return text

        return replaced(self.data, ())
