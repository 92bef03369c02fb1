"""The plain data of one file, which knows where each of its keys and values stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlimg_build.errors import Place, Problem
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
    written: dict[Path, str] = field(default_factory=dict)  # scalars as they stand in the file
    problems: list[Problem] = field(default_factory=list)
    faulty: set[Path] = field(default_factory=set)  # values of which nothing more is to be said
    defaulted: set[Path] = field(default_factory=set)  # values in which a variable's default stands

    def key_place(self, path: Path) -> Place:
        """Where the key at `path` stands; for an entry of a list, the entry; else its nearest ancestor."""
        return self.keys.get(path) or self.value_place(path)

    def value_place(self, path: Path) -> Place:
        """Where the value at `path` stands, or that of its nearest ancestor which is written in the file."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.values:
                return self.values[path[:end]]
        return Place(self.file, 1, 1)

    def substituted(self, variables: Mapping[str, str]) -> Any:
        """The data with variables replaced and lists as tuples; what fails is added to `problems`."""

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
                self.problems.append(Problem(fault.code, fault.message, self.value_place(path), fault.hint))
            return text

        return replaced(self.data, ())
