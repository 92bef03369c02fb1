"""Suggest which path was probably meant by one that leads to nothing."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from mlimg_build.spec.path_patterns import MAGIC
from mlimg_build.spec.suggestions import nearest

__all__ = ["did_you_mean", "similar_path"]

MOST = 20_000  # entries of a folder that are compared


def similar_path(path: Path, *, folder: bool | None = None) -> Path | None:
    """Return the path that is there and most like one that is not; None if there is none.

    The first part that is not there is replaced by the most similar name beside it, and what follows is kept if that
    leads on. `folder` says whether the path is to be that of a folder (True) or of a file (False).
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  no link is followed
    missing = next((one for one in (*reversed(path.parents), path) if not _is_there(one)), None)
    if missing is None or MAGIC.search(missing.name):
        return None
    last = missing == path
    wanted = folder if last else True
    found = nearest(missing.name, _names(missing.parent, wanted, hidden=missing.name.startswith(".")))
    if found is None:
        return None
    rest = path.relative_to(missing)
    whole = missing.parent / found / rest
    return whole if last or MAGIC.search(str(rest)) or _is_there(whole) else missing.parent / found


def did_you_mean(path: Path, *, folder: bool | None = None) -> str:
    """Return "did you mean NAME? " for a path that leads to nothing; "" if nothing is similar.

    It is the name alone if the folder around it is right, else the path.
    """
    found = similar_path(path, folder=folder)
    if found is None:
        return ""
    beside = found.parent == Path(os.path.abspath(path)).parent  # noqa: PTH100
    return f"did you mean {found.name if beside else found}? "


def _names(folder: Path, wanted: bool | None, *, hidden: bool) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [
                entry.name
                for entry in islice(entries, MOST)
                if entry.name.startswith(".") == hidden and (wanted is None or entry.is_dir() == wanted)
            ]
    except OSError:
        return []


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
