"""Read a file into its document and its model, with every problem of the file at once."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from heapq import nsmallest
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mlimg_build.errors import LISTED, Place, Problem, SpecError, more_problems
from mlimg_build.regular_files import open_regular
from mlimg_build.spec.document import Document
from mlimg_build.spec.model_fields import is_tag
from mlimg_build.spec.suggestions import did_you_mean
from mlimg_build.spec.validation_messages import Finding, finding_of
from mlimg_build.spec.yaml.reader import BIGGEST, read_document, too_big

__all__ = ["read_model", "read_text", "require_text"]

Model = TypeVar("Model", bound=BaseModel)


def require_text(path: Path, what: str) -> None:
    """Raises `SpecError` `path-not-utf-8` if a path cannot be written into a dataset or shown."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise SpecError(
            Problem(
                "path-not-utf-8", f"{what} is not UTF-8: {shown}", hint="rename its folder, or use another"
            )
        ) from None


def read_text(path: Path, what: str) -> str:
    """Return the text of a file written by people, without a byte order mark.

    Raises:
        SpecError: `spec-missing`, `spec-unreadable`, `yaml-too-big`, `yaml-not-utf8`.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as stream:
            content = stream.read(BIGGEST + 4)
    except (FileNotFoundError, NotADirectoryError):
        raise SpecError(
            Problem(
                "spec-missing",
                f"there is no {what} {path}",
                hint=f"{did_you_mean(path, folder=False)}check the path; mlimg init writes a spec to start from",
            )
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SpecError(
            Problem(
                "spec-unreadable",
                f"the {what} {path} cannot be read: {reason}",
                hint="name a file that you may read",
            )
        ) from None
    if len(content) > BIGGEST:
        raise SpecError(too_big(str(path)))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace").split("\n")
        place = Place(str(path), len(before), len(before[-1]) + 1)
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        raise SpecError(Problem("yaml-not-utf8", message, place, "save the file as UTF-8")) from None


def read_model(
    model: type[Model],
    text: str,
    file: str,
    directory: Path,
    variables: Mapping[str, str],
    *,
    check: Callable[[dict[str, Any]], Iterable[Finding]] = lambda data: (),
    prepare: Callable[[Document], None] = lambda document: None,
) -> tuple[Model, Document]:
    """Parse the text into a model; return it and its document. Relative paths are below `directory`.

    `check` yields further findings from the data; `prepare` may change the document before that.

    Raises:
        SpecError: with the first `LISTED` problems of the text, sorted by place, and the number of the others.
    """
    with _uncollected():
        return _read(model, text, file, directory, variables, check, prepare)


def _read(
    model: type[Model],
    text: str,
    file: str,
    directory: Path,
    variables: Mapping[str, str],
    check: Callable[[dict[str, Any]], Iterable[Finding]],
    prepare: Callable[[Document], None],
) -> tuple[Model, Document]:
    document = read_document(text, file)
    prepare(document)
    data = document.substituted(variables)
    checked = iter(check(data))
    findings = list(islice(checked, LISTED))
    cut = next(checked, None) is not None
    result: Model | None = None
    more = document.unlisted
    try:
        result = model.model_validate(data, context={"directory": directory.absolute()})
    except ValidationError as error:
        details = [
            detail for detail in error.errors(include_url=False) if _path(detail) not in document.faulty
        ]
        more += max(len(details) - LISTED, 0)
        for detail in nsmallest(LISTED, details, key=lambda one: _by_line(document.value_place(_path(one)))):
            bare = finding_of(detail, model, None)
            written = document.written.get(bare.path)
            findings.append(finding_of(detail, model, written) if written is not None else bare)
    # a typo in a key that must be there is one mistake, not two
    meant = {(finding.path[:-1], finding.key) for finding in findings if finding.code == "unknown-key"}
    problems = {*document.problems}
    for finding in findings:
        explained = finding.code == "missing-key" and (finding.path, finding.key) in meant
        if explained or finding.path in document.faulty:
            continue
        place = (document.key_place if finding.at_key else document.value_place)(finding.path)
        problems.add(Problem(finding.code, finding.message, place, finding.hint or None))
    if problems or result is None:
        first = sorted(problems, key=_by_place)
        more += max(len(first) - LISTED, 0)
        rest = [more_problems(f"at least {more + 1:,}" if cut else f"{more:,}")] if more or cut else []
        raise SpecError([*first[:LISTED], *rest])
    return result, document


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collect no garbage in the block: that takes a fifth of the time if 100,000s of objects are all in use."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _path(detail: ErrorDetails) -> tuple[str | int, ...]:
    """Return the path in the file to which an error of pydantic belongs."""
    return tuple(step for step in detail["loc"] if not is_tag(step))


def _by_place(problem: Problem) -> tuple[int, int, str, str]:
    return *_by_line(problem.place), problem.code, problem.message


def _by_line(place: Place | None) -> tuple[int, int]:
    return (0, 0) if place is None else (place.line, place.column)
