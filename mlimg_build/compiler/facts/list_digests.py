"""Digest the files beside a spec that affect the dataset: mappings, lists, trees, groups, predictions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from mlimg_build.digests import file_digest
from mlimg_build.errors import Problem, SpecError
from mlimg_build.spec import LoadedSpec, file_paths

__all__ = ["list_digests", "refuse_changed"]

DECIDE = ("sources", "vocabulary", "hierarchy", "split", "annotation", "rights")
"""The parts of a spec whose files affect the content of a dataset; WordNet has a digest of its own."""


def list_digests(loaded: LoadedSpec, known: Collection[Path] = ()) -> dict[str, str]:
    """Return path in the spec, such as `vocabulary.mapping.file` → sha256 (hex) and name of the file, in spec order.

    Files in `known`, such as those that a source reads, are left out.

    Raises:
        SpecError: `list-unreadable` at the place in the spec if a file cannot be read.
    """
    digests: dict[str, str] = {}
    for where, path in _files(loaded):
        if path not in known:
            try:
                digest = file_digest(path)
            except OSError as error:
                message = f"the file cannot be read: {path}: {error.strerror or error}"
                place = loaded.place(*where)
                raise SpecError(Problem("list-unreadable", message, place, "correct its path")) from error
            digests[".".join(map(str, where))] = f"{digest}  {path.name}"
    return digests


def refuse_changed(loaded: LoadedSpec, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Raises `SpecError` `list-changed` with every file whose digest differs between `before` and `after`."""
    changed = [
        Problem(
            "list-changed",
            f"{path.name} was changed while it was read",
            loaded.place(*where),
            "run the command again",
        )
        for where, path in _files(loaded)
        for name in [".".join(map(str, where))]
        if before.get(name) != after.get(name)
    ]
    if changed:
        raise SpecError(changed)


def _files(loaded: LoadedSpec) -> Iterator[tuple[tuple[str | int, ...], Path]]:
    for where, path, kind in file_paths(loaded):
        if kind == "file" and where[0] in DECIDE:
            yield where, path
