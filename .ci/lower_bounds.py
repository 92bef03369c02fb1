"""Prints the lowest version of each dependency that pyproject.toml allows, as constraints for pip."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
BOUND = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?>=([0-9.]+)$")


def main(extras: list[str]) -> None:
    """Prints those of the project itself and of the named extras."""
    wanted = PROJECT["dependencies"] + [
        one for extra in extras for one in PROJECT["optional-dependencies"][extra]
    ]
    for requirement in wanted:
        if (found := BOUND.match(requirement)) is not None:
            print("{}=={}".format(*found.groups()))


if __name__ == "__main__":
    main(sys.argv[1:])
