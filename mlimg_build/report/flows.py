"""Flows for the Sankey diagrams: of images from source to split, of labels from source to rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mlimg_build.report.formatting import status_name
from mlimg_build.report.sankey import Flow, Link, Node
from mlimg_build.report.statistics import Statistics

__all__ = ["RULE_NAMES", "image_flow", "label_flow"]

RULE_NAMES = {
    "stated": "stated by a source",
    "ancestors": "implied: all above",
    "descendants": "implied: all below",
    "cooccurrence": "added: goes with another",
    "cooccurrence_ancestors": "added: all above that",
}
SHORT = {
    "ancestors": "all above",
    "descendants": "all below",
    "cooccurrence": "goes with",
    "cooccurrence_ancestors": "above that",
}
LEFT_OUT = "left out"


def image_flow(
    numbers: Statistics, sources: Sequence[str], statuses: Sequence[str], meanings: Mapping[str, str]
) -> Flow:
    """Return the flow of images by source → stored, failed (by status) or left out → split."""
    stored, failed = numbers.scan.stored, numbers.scan.failed
    nodes = [Node(f"source {i}", name, 0, "plain") for i, name in enumerate(sources)]
    nodes.append(Node("ok", "stored", 1, "good", "Decoded whole, and their bytes are in the dataset"))
    links = [
        Link(f"source {i}", "ok", int(total)) for i, total in enumerate(stored.sum(axis=(0, 2)).tolist())
    ]
    for code in failed.sum(axis=(0, 1)).argsort(kind="stable")[::-1].tolist():
        name = statuses[code]
        nodes.append(Node(f"status {code}", status_name(name), 1, "bad", meanings.get(name, "")))
        for i, total in enumerate(failed[:, :, code].sum(axis=0).tolist()):
            links.append(Link(f"source {i}", f"status {code}", total))
    if numbers.left_out:
        nodes.append(Node(LEFT_OUT, LEFT_OUT, 1, "faint", "Images of which no label counts"))
        of_source = Counter[str]()
        for one in numbers.left_out_by:
            of_source[one.source] += one.count
        links += [Link(f"source {sources.index(name)}", LEFT_OUT, n) for name, n in of_source.items()]
    for number, split in enumerate(numbers.splits):
        nodes.append(Node(f"split {number}", split.replace("_", " "), 2, "plain"))
        links.append(Link("ok", f"split {number}", int(stored[number].sum())))
        for code, total in enumerate(failed[number].sum(axis=0).tolist()):
            links.append(Link(f"status {code}", f"split {number}", total))
    return Flow(
        "Images, from their sources to the splits",
        ("source", "became", "split"),
        tuple(nodes),
        tuple(links),
        "images",
    )


def label_flow(numbers: Statistics, sources: Sequence[str]) -> Flow:
    """Return the flow of labels by the source they rest on → present or absent → the rule that added them."""
    there = [name for name in sources if name in numbers.sources]
    nodes = [Node(f"source {name}", name, 0, "plain") for name in there]
    nodes += [Node("present", "present", 1, "good"), Node("absent", "absent", 1, "away")]
    nodes += [
        Node(f"rule {rule}", RULE_NAMES.get(rule, rule), 2, "plain", short=SHORT.get(rule, rule))
        for rule in _rules(numbers)
    ]
    links = []
    for state in ("present", "absent"):
        links += [Link(f"source {name}", state, numbers.sources[name][state]) for name in there]
        links += [Link(state, f"rule {rule}", numbers.rules[rule][state]) for rule in _rules(numbers)]
    return Flow(
        "Labels, from statements to rules",
        ("rests on", "says", "by rule"),
        tuple(nodes),
        tuple(links),
        "labels",
    )


def _rules(numbers: Statistics) -> list[str]:
    known = [rule for rule in RULE_NAMES if rule in numbers.rules]
    return [*known, *(rule for rule in numbers.rules if rule not in known)]
