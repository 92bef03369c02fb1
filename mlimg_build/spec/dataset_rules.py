"""The keys of a spec that affect its dataset, as plain nested data that can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mlimg_build.errors import MlimgError
from mlimg_build.spec.document import Document
from mlimg_build.spec.document import Path as Where
from mlimg_build.spec.loading import parse_spec
from mlimg_build.spec.models.specification import Spec
from mlimg_build.spec.variables import INSIDE, MARK

__all__ = ["UNKNOWN", "StoredRules", "dataset_rules", "rule_places", "stored_rules"]

PARTS = ("sources", "vocabulary", "hierarchy", "annotation", "images", "duplicates", "split", "dataset")
"""The parts of a spec that affect its dataset; WordNet's release is recorded by its digest."""

UNKNOWN = object()
"""The value of a rule that a dataset does not know: it was written with a variable."""

StoredRules = tuple[dict[str, Any], dict[Where, str]]
"""The rules of a spec, and the place of each key that it writes."""


def dataset_rules(spec: Spec) -> dict[str, Any]:
    """Return the keys that affect the dataset with their values, defaults included, as nested JSON types.

    A file is its name without folders; the paths of sources, whose content has a digest, are left out.
    """
    rules: dict[str, Any] = {part: _plain(getattr(spec, part)) for part in PARTS if part != "sources"}
    sources = {name: _plain(_without_paths(source)) for name, source in spec.sources.items()}
    return {"sources": sources, **rules}


def rule_places(document: Document) -> dict[Where, str]:
    """Return `FILE:LINE` of every key that a document writes, FILE without folders."""
    return {path: f"{Path(place.file).name}:{place.line}" for path, place in document.keys.items() if path}


def stored_rules(text: str, file: str, directory: Path) -> StoredRules | None:
    """Return the rules of the spec that a dataset stores, None if this version cannot read it without its variables.

    Values that are written with a variable are `UNKNOWN`: what it was then is not known.
    """
    written = [INSIDE.fullmatch(mark[1]) for mark in MARK.finditer(text) if mark[1]]
    variables = {found[1]: f"${{{found[1]}}}" for found in written if found and found[2] is None}
    try:
        loaded = parse_spec(text, file, directory, variables)
    except MlimgError:
        return None
    rules = dataset_rules(loaded.spec)
    for path, value in loaded.document.written.items():
        if re.search(r"(?<!\$)\$\{", value):
            _forget(rules, path)
    return rules, rule_places(loaded.document)


def _forget(rules: dict[str, Any], path: Where) -> None:
    """Make the value at a path `UNKNOWN`; of a list in which one entry is unknown, the whole list."""
    holder: Any = rules
    for i, key in enumerate(path):
        if not isinstance(holder, dict) or key not in holder:
            return
        if i + 1 == len(path) or not isinstance(holder[key], dict):
            holder[key] = UNKNOWN
            return
        holder = holder[key]


def _without_paths(source: BaseModel) -> Iterator[tuple[str, Any]]:
    for key, value in source:
        several = isinstance(value, tuple) and any(isinstance(item, Path) for item in value)
        if not (isinstance(value, Path) or several):
            yield key, value


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return value.name
    if isinstance(value, BaseModel | Iterator):
        return {key: _plain(item) for key, item in value}
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
