"""Compare the rules of two specs, as `dataset_rules` gives them, key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mlimg_build.spec.dataset_rules import UNKNOWN

__all__ = ["RuleChange", "rule_changes", "rule_text", "unknown_rules"]

SEVERAL = 6  # most entries of a list or mapping that are written out


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A key of a spec whose value differs, and its values, None if a side has none; `place` is its line or ""."""

    path: tuple[str, ...]
    before: Any
    after: Any
    place: str = ""

    @property
    def key(self) -> str:
        """The key with dots, as `annotation.conflicts`."""
        return ".".join(map(str, self.path))

    @property
    def texts(self) -> tuple[str, str]:
        """The two values as text; of long lists, what was removed and what was added."""
        old, new = self.before, self.after
        if isinstance(old, list) and isinstance(new, list) and max(len(old), len(new)) > SEVERAL:
            gone, come = ([one for one in a if one not in b] for a, b in ((old, new), (new, old)))
            return (
                f"{len(old):,} entries{_some('without', gone)}",
                f"{len(new):,} entries{_some('with', come)}",
            )
        return rule_text(old), rule_text(new)

    def __str__(self) -> str:
        return f"{self.key}: {' → '.join(self.texts)}"


def _some(what: str, entries: list[Any]) -> str:
    more = f" and {len(entries) - SEVERAL:,} more" if len(entries) > SEVERAL else ""
    return f", {what} {', '.join(map(rule_text, entries[:SEVERAL]))}{more}" if entries else ""


def rule_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[RuleChange]:
    """Yield the keys whose values differ, in the order of a spec; of two mappings each key, of other values the whole.

    Sources that only one side has are left out: they are no rule; so are values that are `UNKNOWN`.

    >>> [str(one) for one in rule_changes({"split": {"validation": 0.1}}, {"split": {"validation": 0.2}})]
    ['split.validation: 0.1 → 0.2']
    """
    both = before.get("sources"), after.get("sources")
    names = [set(part) if isinstance(part, dict) else set() for part in both]
    for change in _changes((), before, after):
        if change.path[0] != "sources" or len(change.path) > 2 or change.path[-1] in names[0] & names[1]:
            yield change


def _changes(
    path: tuple[str, ...], before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[RuleChange]:
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if old == new or UNKNOWN in (old, new):
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changes((*path, key), old, new)
        else:
            yield RuleChange((*path, key), _known(old), _known(new))


def _known(value: Any) -> Any:
    """Return a value without the `UNKNOWN` ones in it."""
    if not isinstance(value, dict):
        return value
    return {key: _known(item) for key, item in value.items() if item is not UNKNOWN}


def unknown_rules(rules: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the keys whose values are `UNKNOWN`, with dots."""
    for key, value in rules.items():
        if value is UNKNOWN:
            yield ".".join(map(str, (*path, key)))
        elif isinstance(value, dict):
            yield from unknown_rules(value, (*path, key))


def rule_text(value: Any) -> str:
    """Return a value as a spec writes it, on one line; long lists and mappings are cut.

    >>> rule_text(None), rule_text(True), rule_text(["a", "b"]), rule_text({"k": 0.5})
    ('none', 'true', '[a, b]', '{k: 0.5}')
    """
    if value is None:
        return "none"
    if isinstance(value, list | dict) and len(value) > SEVERAL:
        kept = value[:SEVERAL] if isinstance(value, list) else dict([*value.items()][:SEVERAL])
        text = rule_text(kept)
        return f"{text[:-1]}, and {len(value) - SEVERAL:,} more{text[-1]}"
    try:
        text = yaml.safe_dump(
            value, default_flow_style=True, width=1 << 30, sort_keys=False, allow_unicode=True
        )
    except RecursionError:
        return "nested too deep to be shown"
    return text.removesuffix("\n").removesuffix("\n...").strip()
