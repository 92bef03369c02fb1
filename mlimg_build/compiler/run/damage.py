"""Say that stored results were damaged, whether they could be made anew or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlimg_build.compiler.engine.cache import Store
from mlimg_build.errors import Interrupted, MlimgError, Problem

__all__ = ["damage_warnings", "telling_damage"]

NAMED = 3  # damaged results that are described
HINT = (
    "a disk that loses bits, or something that writes into .mlimg; `mlimg verify` checks other datasets "
    "of this folder, which may share the damaged files"
)


def damage_warnings(store: Store) -> tuple[Problem, ...]:
    """Return a warning that results were damaged and made anew; nothing if none was."""
    if not store.damaged:
        return ()
    return (Problem("result-damaged", f"{_told(store)} made anew", hint=HINT, severity="warning"),)


@contextmanager
def telling_damage(store: Store) -> Iterator[None]:
    """Add the problem `result-damaged` to an error inside the block if results of the store were damaged."""
    try:
        yield
    except Interrupted:
        raise
    except MlimgError as error:
        if not store.damaged:
            raise
        problem = Problem("result-damaged", f"{_told(store)} removed, to be made anew", hint=HINT)
        raise type(error)([*error.problems, problem]) from error


def _told(store: Store) -> str:
    named, count = "; ".join(store.damaged[:NAMED]), len(store.damaged)
    more = f" and {count - NAMED:,} more" if count > NAMED else ""
    return f"{count:,} damaged {'result was' if count == 1 else 'results were'} found ({named}{more}) and"
