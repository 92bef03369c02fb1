"""Look up the fields of the models: which keys a place of the spec can have, and their descriptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo

__all__ = ["described", "is_tag", "keys_at", "leaves_of"]

Loc = tuple[str | int, ...]


def is_tag(step: str | int) -> bool:
    """Return whether a step of a pydantic location names an alternative of a union, and so nothing in the file."""
    return isinstance(step, str) and (step == "[key]" or (step.startswith("<") and step.endswith(">")))


def keys_at(root: type[BaseModel], loc: Loc) -> list[str]:
    """Return the keys that the mapping at `loc` can have, sorted; empty if it can have any or none.

    `loc` is a location of pydantic, with its tags of unions.
    """
    found, _ = _descend(root, loc)
    return sorted({key for model in found if _is_model(model) for key in model.model_fields})


def holders_of(root: type[BaseModel], loc: Loc, key: str) -> list[str]:
    """Return the keys that the mapping at `loc` can have whose own mappings have the key `key`, sorted."""
    found, _ = _descend(root, loc)
    fields = {
        name: field.annotation
        for model in found
        if _is_model(model)
        for name, field in model.model_fields.items()
    }
    return sorted(
        name
        for name, annotation in fields.items()
        if any(_is_model(leaf) and key in leaf.model_fields for leaf, _ in leaves_of([annotation]))
    )


def described(root: type[BaseModel], loc: Loc) -> str:
    """Return `path: description` of the innermost field on the way to `loc`; "" if there is none."""
    _, trail = _descend(root, loc)
    if not trail:
        return ""
    path, field = trail[-1]
    return f"{'.'.join(path)}: {field.description}" if field.description else ""


def _descend(root: type[BaseModel], loc: Loc) -> tuple[list[Any], list[tuple[list[str], FieldInfo]]]:
    """Return the annotations that `loc` leads to, and the fields on the way."""
    here: list[Any] = [root]
    trail: list[tuple[list[str], FieldInfo]] = []
    path: list[str] = []
    for step in loc:
        if is_tag(step):
            here = [leaf for leaf, tag in leaves_of(here) if tag == step] or here
            continue
        path.append(str(step))
        following: list[Any] = []
        for leaf, _ in leaves_of(here):
            if _is_model(leaf):
                field = leaf.model_fields.get(str(step))
                if field is not None:
                    following.append(field.annotation)
                    trail.append((list(path), field))
            elif get_origin(leaf) is dict:
                following.append(get_args(leaf)[1])
            elif get_origin(leaf) is tuple:
                following.append(get_args(leaf)[0])
        here = following
    return [leaf for leaf, _ in leaves_of(here)], trail


def leaves_of(annotations: list[Any], tag: str | None = None) -> Iterator[tuple[Any, str | None]]:
    """Yield the alternatives of unions, each with its tag."""
    for annotation in annotations:
        if get_origin(annotation) is Annotated:
            inner, *notes = get_args(annotation)
            tags = [note.tag for note in notes if isinstance(note, Tag)]
            yield from leaves_of([inner], tags[0] if tags else tag)
        elif _is_model(annotation) or get_origin(annotation) in (dict, tuple):
            yield annotation, tag
        elif get_args(annotation) and get_origin(annotation) is not type:
            yield from leaves_of(list(get_args(annotation)), tag)
        else:
            yield annotation, tag


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
