"""The types of the values in a spec: names, WordNet ids, paths, sizes, numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from mlimg_build.category_ids import OWN, SLUG_LONGEST, folded_id, is_own, is_wnid, slug_of
from mlimg_build.category_ids import is_slug as is_own_slug
from mlimg_build.spec.path_patterns import escaped
from mlimg_build.spec.suggestions import listed, nearest
from mlimg_build.spec.variables import Substituted
from mlimg_build.spec.yaml.scalars import resolve, shown

__all__ = [
    "ByteSize",
    "File",
    "FileOrFolder",
    "FileOrFolderGiven",
    "Files",
    "FilesOrFolder",
    "Flag",
    "Folder",
    "Kind",
    "Number",
    "OptionalFile",
    "OptionalFolder",
    "OwnSlug",
    "Part",
    "Share",
    "Slug",
    "TarPatterns",
    "Version",
    "Whole",
    "Wnid",
    "distinct",
    "increasing",
    "is_slug",
    "known_type",
    "refusal",
    "tag_of",
]

SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
CATEGORY = rf"n[0-9]{{8}}|{OWN}\S{{1,{SLUG_LONGEST}}}"  # as a schema can say it; `is_own` says more
SLUG_HINT = f"after {OWN} come letters, digits, _ and -, at most {SLUG_LONGEST}"
# semver.org, "Is there a suggested regular expression"
VERSION = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(?:-(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)
UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
SIZE = re.compile(r"([0-9]{1,15})\s*(" + "|".join(UNITS) + ")")


class Part(BaseModel):
    """A part of a spec: frozen, with no other keys than its own, and no guessing of types."""

    # built on first use: `mlimg --help` needs the classes, not their validators
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """Metadata of a path field: what the path must lead to."""

    kind: Literal["file", "folder", "file or folder", "file, folder or pattern", "tars"]


def refusal(
    code: Literal["wrong-value", "wrong-type", "missing-key", "bad-wnid"],
    sentence: str,
    hint: str | Callable[[], str] = "",
    at: tuple[str | int, ...] = (),
) -> PydanticCustomError:
    """Return the error with which a validator refuses a value; `at` is the path from the value to the faulty part.

    A hint that takes time to find is a function, called only for the errors that are listed.
    """
    return PydanticCustomError(code, "{sentence}", {"sentence": sentence, "hint": hint, "at": at})


def known_type(value: Any, types: tuple[str, ...], what: str) -> Any:
    """Return the value if its `type` is one of `types`, or if it is no mapping at all; raises a refusal otherwise."""
    if not isinstance(value, dict):
        return value
    if "type" not in value:

        def typo() -> str:
            near = nearest("type", (key for key in value if isinstance(key, str)))
            kinds = f"write the kind of {what}: type: {listed(types, 'or')}"
            return f'did you mean "type" by "{near}"?' if near else kinds

        raise refusal("missing-key", '"type" is missing', typo)
    given = value["type"]
    if isinstance(given, str) and given in types:
        return value

    def meant() -> str:
        near = nearest(given, types) if isinstance(given, str) else None
        return f'did you mean "{near}"?' if near else f"the kind of {what} decides which other keys it has"

    raise refusal("wrong-value", f"expected {listed(types, 'or')}, found {shown(given)}", meant, at=("type",))


def tag_of(name: str) -> str:
    """Return the tag of an alternative in a union; no key can look like it."""
    return f"<{name}>"


def is_slug(text: str) -> bool:
    """Return whether the text is a name: lower-case letters, digits, `.`, `_`, `-`, at most 100.

    >>> is_slug("ml-images"), is_slug("ML Images")
    (True, False)
    """
    return SLUG.fullmatch(text) is not None


def _slug(text: str) -> str:
    if is_slug(text):
        return text
    better = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    hint = "a name is lower-case letters, digits, dots, - and _, starting with a letter or digit"
    raise refusal(
        "wrong-value", f"{shown(text)} is not a name", f"{hint}: {better[:100]}" if is_slug(better) else hint
    )


def _version(value: Any) -> Any:
    if isinstance(value, str) and len(value) <= 100 and VERSION.fullmatch(value):
        return str(value)
    hint = "write three numbers with dots, and for a trial 1.0.0-rc.1 (semver.org)"
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        hint = f"{hint}: {float(value)}.0"
    raise refusal("wrong-value", f"expected a version such as 1.0.0, found {shown(value)}", hint)


def _wnid(value: Any) -> Any:
    if isinstance(value, str) and is_wnid(value):
        return str(value)
    if isinstance(value, str) and is_own(value):
        return folded_id(value)
    hint = "a WordNet id is the letter n and eight digits"
    if isinstance(value, str) and value[: len(OWN)].casefold() == OWN:
        better = slug_of(value[len(OWN) :])
        raise refusal(
            "bad-wnid",
            f"{shown(value)} is not the id of an own category",
            f"{SLUG_HINT}{f': {OWN}{better}' if better else ''}",
        )
    digits = str(value).lower().removeprefix("n")
    if not isinstance(value, bool | float) and digits.isascii() and digits.isdigit() and len(digits) <= 8:
        hint = f"{hint}: n{digits.zfill(8)}"
    raise refusal("bad-wnid", f"expected a WordNet id such as n02084071, found {shown(value)}", hint)


def _own_slug(value: Any) -> Any:
    bare = value[len(OWN) :] if isinstance(value, str) and value[: len(OWN)].casefold() == OWN else value
    if not isinstance(bare, str) or is_own_slug(bare):
        return value
    better = slug_of(bare)
    hint = f"{SLUG_HINT}: write {better}, and the text itself as `name`" if better else SLUG_HINT
    raise refusal("wrong-value", f"{shown(value)} is not the name of an own category", hint)


def _path(value: Any, info: ValidationInfo) -> Any:
    return _below((info.context or {}).get("directory", Path()), value)


def _pattern(value: Any, info: ValidationInfo) -> Any:
    """Return a pattern below the folder of the spec, whose own name is no part of a pattern."""
    return _below(Path(escaped(str((info.context or {}).get("directory", Path())))), value)


def _below(directory: Path, value: Any) -> Any:
    if value is None or isinstance(value, Path):
        return value
    if not isinstance(value, str):
        hint = f'put it in quotes: "{value}"' if isinstance(value, bool | int | float) else ""
        raise refusal("wrong-type", f"expected a path, found {shown(value)}", hint)
    if not value.strip() or "\0" in value:
        raise refusal("wrong-value", f"expected a path, found {shown(value) if value else 'empty text'}")
    return directory / str(value)


def _paths(value: Any) -> Any:
    return value if isinstance(value, tuple) else (value,)


def _scalar(value: Any) -> Any:
    """Return the number or boolean that a variable holds; quoted text without a variable stays text."""
    return resolve(value) if isinstance(value, Substituted) else value


def _bytes(value: Any) -> Any:
    value = _scalar(value)
    if not isinstance(value, str):
        return value
    found = SIZE.fullmatch(value.strip())
    if found is None:
        hint = f'write a number of bytes, or a number with one of {", ".join(UNITS)}: "4 MiB"'
        raise refusal("wrong-value", f"expected a size in bytes, found {shown(value)}", hint)
    return int(found[1]) * UNITS[found[2]]


def distinct(values: tuple[Any, ...], what: str) -> None:
    """Raises a refusal that names the first value that occurs twice, if there is one."""
    seen = set()
    for i, value in enumerate(values):
        if value in seen:
            raise refusal("wrong-value", f"{shown(value)} is in {what} twice", "keep one of them", at=(i,))
        seen.add(value)


def increasing(values: Iterable[float]) -> bool:
    """Return whether each value is greater than the one before it."""
    return all(a < b for a, b in pairwise(values))


PATH_SCHEMA = {"type": "string", "minLength": 1}
PATHS_SCHEMA = {"anyOf": [PATH_SCHEMA, {"type": "array", "items": PATH_SCHEMA, "minItems": 1}]}
OPTIONAL_SCHEMA = {"anyOf": [PATH_SCHEMA, {"type": "null"}]}
BYTES_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": f"^{SIZE.pattern}$"}]
}

Slug = Annotated[
    str, AfterValidator(_slug), WithJsonSchema({"type": "string", "pattern": f"^{SLUG.pattern}$"})
]
Version = Annotated[
    str, BeforeValidator(_version), WithJsonSchema({"type": "string", "pattern": f"^{VERSION.pattern}$"})
]
# a name is replaced by its id before the models see it (named_synsets), so the schema allows it
Wnid = Annotated[str, BeforeValidator(_wnid), WithJsonSchema({"type": "string", "pattern": r"^\S.*$"})]
OwnSlug = Annotated[
    str,
    BeforeValidator(_own_slug),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": len(OWN) + SLUG_LONGEST}),
]
Whole = Annotated[int, BeforeValidator(_scalar)]
Number = Annotated[float, BeforeValidator(_scalar)]
Flag = Annotated[bool, BeforeValidator(_scalar)]
Share = Annotated[float, BeforeValidator(_scalar), Field(ge=0, le=1)]
ByteSize = Annotated[int, Field(gt=0), BeforeValidator(_bytes), WithJsonSchema(BYTES_SCHEMA)]
OnePath = Annotated[Path, BeforeValidator(_path)]
File = Annotated[Path, BeforeValidator(_path), WithJsonSchema(PATH_SCHEMA), Kind("file")]
Folder = Annotated[Path, BeforeValidator(_path), WithJsonSchema(PATH_SCHEMA), Kind("folder")]
OptionalFile = Annotated[Path | None, BeforeValidator(_path), WithJsonSchema(OPTIONAL_SCHEMA), Kind("file")]
OptionalFolder = Annotated[
    Path | None, BeforeValidator(_path), WithJsonSchema(OPTIONAL_SCHEMA), Kind("folder")
]
FileOrFolder = Annotated[
    Path | None, BeforeValidator(_path), WithJsonSchema(OPTIONAL_SCHEMA), Kind("file or folder")
]
FilesOrFolder = Annotated[
    Path, BeforeValidator(_path), WithJsonSchema(PATH_SCHEMA), Kind("file, folder or pattern")
]
FileOrFolderGiven = Annotated[
    Path, BeforeValidator(_path), WithJsonSchema(PATH_SCHEMA), Kind("file or folder")
]
TarPatterns = Annotated[
    tuple[Annotated[Path, BeforeValidator(_pattern)], ...],
    Field(min_length=1),
    BeforeValidator(_paths),
    WithJsonSchema(PATHS_SCHEMA),
    Kind("tars"),
]
Files = Annotated[
    tuple[OnePath, ...],
    Field(min_length=1),
    BeforeValidator(_paths),
    WithJsonSchema(PATHS_SCHEMA),
    Kind("file"),
]
