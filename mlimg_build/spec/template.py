"""A spec to start from."""

from __future__ import annotations

import re
from importlib.resources import files

from mlimg_build.errors import Problem, SpecError
from mlimg_build.spec.field_types import is_slug
from mlimg_build.spec.yaml.scalars import resolve, shown

__all__ = ["init_text"]


def init_text(name: str) -> str:
    """Return a commented, valid spec of that name.

    Raises:
        SpecError: `wrong-value` if `name` is not lower-case letters, digits, dots, `-` and `_`.
    """
    if not is_slug(name):
        raise SpecError(
            Problem(
                "wrong-value",
                f"{shown(name)} is not a name for a dataset",
                hint="a name is lower-case letters, digits, dots, - and _, starting with a letter or digit",
            )
        )
    template = files("mlimg_build.spec").joinpath("init.yaml").read_text(encoding="utf-8")
    written = name if isinstance(resolve(name), str) else f'"{name}"'
    return re.sub(r"(?m)^name: \S+", f"name: {written}", template, count=1)
