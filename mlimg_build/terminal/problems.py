"""Show problems with their place and what to do about them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from rich.text import Text

from mlimg_build.errors import LISTED, Problem, first_problems
from mlimg_build.regular_files import read_regular

from .build_log import LOG
from .console import err

__all__ = ["show_problems"]


def show_problems(problems: Iterable[Problem]) -> None:
    """Write every problem to stderr with its place and what to do about it; of very many, the first."""
    from mlimg_build.spec import render  # noqa: PLC0415  pydantic is slow to load

    listed = list(problems)
    text_of = cache(_text_of)
    errors, others = (
        [one for one in listed if (one.severity == "error") is wrong] for wrong in (True, False)
    )
    for problem in listed:
        LOG.log(logging.WARNING if problem.severity == "warning" else logging.ERROR, "%s", problem)
    for problem in [*first_problems(others), *errors] if len(others) > LISTED else listed:
        shown = Text(render(problem, text_of))
        shown.highlight_regex(r"^error\[[^\]]*\]", "bold red")
        shown.highlight_regex(r"^warning\[[^\]]*\]", "bold yellow")
        shown.highlight_regex(r"(?m)^hint:", "bold cyan")
        shown.highlight_regex(r"(?m)\^+$", "red")
        err.print(shown)
        err.print()
    if len(errors) > 1:
        err.print(f"{len(errors)} problems")


def _text_of(file: str) -> str | None:
    try:
        return read_regular(Path(file)).decode()
    except (OSError, ValueError):
        return None
