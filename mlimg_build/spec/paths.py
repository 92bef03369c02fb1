"""The paths of a spec, and the spec without them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mlimg_build.spec.field_types import Kind

__all__ = ["PathKind", "PathUse", "paths_of", "without_paths"]

PathKind = Literal["file", "folder", "file or folder", "file, folder or pattern", "tars"]
PathUse = tuple[tuple[str | int, ...], Path, PathKind]


def paths_of(model: BaseModel) -> list[PathUse]:
    """Return every path in the model: the keys that lead to it, the path, what it must lead to."""
    return list(_uses(model, (), "file"))


def without_paths(model: BaseModel) -> dict[str, Any]:
    """Return the model as plain JSON types, with all defaults and without paths, as part of a content key.

    The caller adds to its key the digests of the files that the paths lead to.
    """
    return {key: _plain(value) for key, value in model if not _is_path(value)}


def _uses(value: Any, where: tuple[str | int, ...], kind: PathKind) -> Iterator[PathUse]:
    if isinstance(value, Path):
        yield where, value, kind
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _uses(getattr(value, name), (*where, name), _kind(field))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _uses(item, (*where, key), kind)
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _uses(item, (*where, i), kind)


def _kind(field: FieldInfo) -> PathKind:
    notes = [
        *field.metadata,
        *(get_args(field.annotation)[1:] if get_origin(field.annotation) is Annotated else ()),
    ]
    return next((note.kind for note in notes if isinstance(note, Kind)), "file")


def _is_path(value: Any) -> bool:
    return isinstance(value, Path) or (
        isinstance(value, tuple) and any(isinstance(item, Path) for item in value)
    )


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return without_paths(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not _is_path(item)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
