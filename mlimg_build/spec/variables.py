"""`${NAME}` and `${NAME:-default}` in the text values of a document; `$$` is a dollar."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Fault", "Substituted", "substitute", "takes_default"]

MARK = re.compile(r"\$\$|\$\{([^}]*)(\}?)")
INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class Substituted(str):
    """Text in which a variable was replaced: `12` is a number where one is expected, else text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a variable cannot be replaced: `code` is `unset-variable` or `bad-variable`."""

    code: str
    message: str
    hint: str


def substitute(text: str, variables: Mapping[str, str]) -> tuple[str, list[Fault]]:
    """Return the text with its variables replaced, and what is wrong with them.

    An empty variable counts as unset if there is a default, as in a shell. Replaced text is not replaced again.

    >>> substitute("${ROOT}/train $$5 ${N:-2}", {"ROOT": "/data"})
    ('/data/train $5 2', [])
    """
    faults: list[Fault] = []

    def replacement(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        inside = INSIDE.fullmatch(found[1])
        if inside is None or not found[2]:
            faults.append(
                Fault(
                    "bad-variable",
                    f"{found[0][:60]} is not a variable",
                    "write ${NAME} or ${NAME:-default}, and $$ for a dollar",
                )
            )
            return found[0]
        name, default = inside[1], inside[2]
        value = variables.get(name)
        if default is not None:
            return value or default
        if value is None:
            faults.append(
                Fault(
                    "unset-variable",
                    f"the variable {name} is not set",
                    f"set it (export {name}=…), or write ${{{name}:-default}}",
                )
            )
            return found[0]
        return value

    replaced = MARK.sub(replacement, text)
    return (Substituted(replaced) if "${" in text else replaced), faults


def takes_default(text: str, variables: Mapping[str, str]) -> bool:
    """Return whether a variable of the text is replaced by its default because it is not set.

    >>> takes_default("${ROOT:-data}/train", {}), takes_default("${ROOT:-data}/train", {"ROOT": "/data"})
    (True, False)
    """
    found = (INSIDE.fullmatch(mark[1]) for mark in MARK.finditer(text) if mark[0] != "$$" and mark[2])
    return any(inside and inside[2] is not None and not variables.get(inside[1]) for inside in found)
