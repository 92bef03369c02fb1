"""Convert a spec's `annotation` to the rules of label derivation."""

from __future__ import annotations

from dataclasses import dataclass

from mlimg_build.labels import Policy, Rules
from mlimg_build.spec import Spec

__all__ = ["AnnotationRules", "annotation_rules"]


@dataclass(frozen=True, slots=True)
class AnnotationRules:
    """What an image's statements imply, how contradictions are resolved, and which images get labels of pairs.

    `add_to` are the numbers of the sources whose images get labels by co-occurrence.
    """

    rules: Rules
    conflicts: Policy
    add_to: tuple[int, ...]


def annotation_rules(spec: Spec) -> AnnotationRules:
    """Return the rules of the spec's `annotation`."""
    part, names = spec.annotation, list(spec.sources)
    pairs = part.cooccurrence
    return AnnotationRules(
        rules=Rules(
            positives=part.positives == "ancestors",
            negatives=part.negatives == "descendants",
            machine_levels=None if part.machine_levels == "all" else part.machine_levels,
            strongest=part.implied_confidence == "strongest",
        ),
        conflicts=part.conflicts,
        add_to=() if pairs is None else tuple(map(names.index, pairs.add_to or names)),
    )
