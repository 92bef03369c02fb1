"""Record which results the last builds used; two variants of each stage are kept, so that reverting is cheap."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from mlimg_build.compiler.engine.cache import read_json, write_json
from mlimg_build.compiler.engine.store_usage import last_used

__all__ = ["KEPT", "digests_of", "last_build", "read_variants", "record_variant"]

FILE = "variants.json"
KEPT = 2

Variants = Mapping[str, Mapping[str, list[list[str]]]]
"""Dataset name → stage → the digests that a build used, one list per variant, the newest first."""


def read_variants(root: Path) -> Variants:
    """Return what the builds into a store recorded; empty if none has ended or the record is damaged."""
    found = read_json(root / FILE)
    try:
        return {
            name: {
                stage: [[str(one) for one in digests] for digests in listed]
                for stage, listed in stages.items()
            }
            for name, stages in found.items()
        }
    except (AttributeError, TypeError):
        return {}


def record_variant(
    root: Path, dataset: str, used: Mapping[str, Collection[str]], datasets: Collection[str]
) -> Variants:
    """Record what a build of `dataset` used as the newest variant of each stage; return the whole record.

    A stage that was not used gets a variant without digests. Records of datasets not in `datasets` are removed.
    """
    before = {name: stages for name, stages in read_variants(root).items() if name in datasets}
    own = before.get(dataset, {})
    now: dict[str, list[list[str]]] = {}
    for stage in sorted(own.keys() | used.keys()):
        newest = sorted(used.get(stage, ()))
        now[stage] = [newest, *(digests for digests in own.get(stage, []) if digests != newest)][:KEPT]
    recorded = {**before, dataset: now}
    write_json(root / FILE, recorded)
    return recorded


def digests_of(variants: Variants, newest: int = KEPT) -> dict[str, set[str]]:
    """Return the digests of the `newest` variants of every dataset, by stage.

    >>> recorded = {"a.zarr": {"rows": [["2"], ["1"]]}, "a@0.1.zarr": {"rows": [["3"]]}}
    >>> {stage: sorted(digests) for stage, digests in digests_of(recorded, newest=1).items()}
    {'rows': ['2', '3']}
    """
    found: dict[str, set[str]] = {}
    for stages in variants.values():
        for stage, listed in stages.items():
            found.setdefault(stage, set()).update(_all(listed[:newest]))
    return found


def last_build(root: Path) -> float:
    """Return when the last build into a store ended, in seconds since 1970; 0 if none has."""
    return last_used(root / FILE)


def _all(listed: Iterable[Iterable[str]]) -> Iterable[str]:
    return (digest for digests in listed for digest in digests)
