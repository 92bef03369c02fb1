"""Why an image has a label: the source's row, the mapping, the implication, each with its line in the spec."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlimg_build.dataset import Dataset, Image, Label, open_dataset
from mlimg_build.errors import DatasetError, Problem
from mlimg_build.sources import place_of
from mlimg_build.spec import nearest
from mlimg_build.spec.composing import read_document
from mlimg_build.spec.document import Document

__all__ = ["explain", "explain_in"]

STATES = {1: "present", -1: "absent"}
METHOD_TEXT = {
    "same_id": "the source gives the WordNet id",
    "file": "decided in the mapping file",
    "synonym": "a lemma of a category that is here by its id",
    "lemma": "a lemma, taken in its likeliest sense",
    "head": "a kind of what the head of its name is",
}
METHOD_PLACE: dict[str, tuple[str | int, ...]] = {
    "same_id": ("vocabulary", "merge"),
    "file": ("vocabulary", "mapping", "file"),
    "synonym": ("vocabulary", "merge"),
    "lemma": ("vocabulary", "mapping"),
    "head": ("vocabulary", "mapping"),
}


def explain(path: Path, image: str, category: str | None = None) -> dict[str, Any]:
    """The labels of an image (or the one asked for), each with its chain; JSON-able.

    `image` is an id, with or without its source, `category` a WordNet id or a name. Raises `DatasetError` where there
    is no such image or category.
    """
    with open_dataset(path) as dataset:
        return explain_in(dataset, image, category)


def explain_in(dataset: Dataset, image: str, category: str | None = None) -> dict[str, Any]:
    """The same for a dataset that is open."""
    return _Explained(dataset, _find(dataset, image)).told(category)


def _find(dataset: Dataset, image: str) -> Image:
    try:
        return dataset.find(image)
    except DatasetError:
        for source in dataset.sources:
            try:
                return dataset.find(f"{source}/{image}")
            except DatasetError:
                continue
        raise


class _Explained:
    def __init__(self, dataset: Dataset, image: Image) -> None:
        self.dataset = dataset
        self.image = image
        self.categories = dataset.categories
        self.document: Document = read_document(dataset.attributes["spec"], dataset.attributes["spec_file"])

    def told(self, category: str | None) -> dict[str, Any]:
        chosen = self._named_by(category) if category else None
        labels = [label for label in self.image.labels if chosen is None or label.category in chosen]
        told: dict[str, Any] = {
            "image": self.image.id,
            "split": self.image.split,
            "row": self.image.row,
            "status": self.image.status,
            "width": self.image.width,
            "height": self.image.height,
            "licence": self.image.licence,
            "author": self.image.author,
            "labels": [self._label(label) for label in labels],
            "contradictions": self._contradictions(chosen),
        }
        known = {label.category for label in labels}
        told["unknown"] = [self._unknown(number) for number in chosen or () if number not in known]
        return told

    def _named_by(self, text: str) -> list[int]:
        """The categories of an id or a name; a name may be that of several."""
        if text in self.categories.wnid:
            return [self.categories.index(text)]
        wanted = text.casefold().replace("_", " ")
        found = [i for i, name in enumerate(self.categories.names) if name.casefold() == wanted]
        if not found:
            near = nearest(wanted, self.categories.names)
            hint = f'did you mean "{near}"?' if near else "`categories.csv` in the lock lists the categories"
            raise DatasetError(Problem("category-unknown", f"no category is called {text!r}", hint=hint))
        return found

    def _named(self, category: int) -> str:
        return f"{self.categories.names[category]} {self.categories.wnid[category]}"

    def _label(self, label: Label) -> dict[str, Any]:
        chain = self._statement(label.mapping, label.record, label.state, label.confidence)
        if label.rule != "stated":
            low, high = (label.via, label.category) if label.state > 0 else (label.category, label.via)
            path = self._path(low, high)
            names = [self.categories.names[i] for i in (path if label.state > 0 else reversed(path))]
            rule = "positives" if label.state > 0 else "negatives"
            follows = "so is all that is above it" if label.state > 0 else "so is all that is below it"
            text = f"{names[0]} is {STATES[label.state]}, and {follows}: {' → '.join(names)}"
            chain.append({"step": "implication", "text": text, "place": self._place("annotation", rule)})
        return {
            "wnid": label.wnid,
            "name": label.name,
            "state": STATES[label.state],
            "confidence": round(float(label.confidence), 6),
            "rule": label.rule,
            "via": self.categories.wnid[label.via],
            "source": label.source,
            "chain": chain,
        }

    def _statement(self, mapping: int, record: int, state: int, confidence: float) -> list[dict[str, str]]:
        row = self.dataset.mappings[mapping]
        source = self.dataset.attributes["sources"][row.source]
        name = f" {row.name!r}" if row.name and row.name != row.id else ""
        number, line = place_of(record)
        where = (
            f"{source['lists'][number]}:{line}"
            if record
            else f"the place of {self.image.id} in the folders of {row.source}"
        )
        how = "verified" if confidence >= 1 else f"by a machine, {confidence:.7g}"
        said = f"{where} says {row.id}{name} is {STATES[state]} ({how})"
        evidence = f"; {row.evidence}" if row.evidence else ""
        placed = f"{row.id}{name} is {self._named(row.category)}: {METHOD_TEXT[row.method]}{evidence}"
        return [
            {"step": "source", "text": said, "place": self._place("sources", row.source)},
            {"step": "mapping", "text": placed, "place": self._place(*METHOD_PLACE[row.method])},
        ]

    def _contradictions(self, chosen: list[int] | None) -> list[dict[str, Any]]:
        told = []
        for clash in self.image.contradictions:
            touched = {clash.absent, *self._path(clash.present, clash.absent)}
            if chosen is not None and not any(i in touched or clash.absent in self._above(i) for i in chosen):
                continue
            kept = {1: "the presence stands", -1: "the absence stands", 0: "neither stands"}[clash.kept]
            absent, present = self._named(clash.absent), self._named(clash.present)
            told.append(
                {
                    "text": f"{absent} said to be absent, {present} present; {kept}",
                    "place": self._place("annotation", "conflicts"),
                    "absent": self._statement(clash.absent_mapping, clash.absent_record, -1, 1.0),
                    "present": self._statement(
                        clash.present_mapping, clash.present_record, 1, clash.confidence
                    ),
                }
            )
        return told

    def _unknown(self, category: int) -> str:
        return (
            f"nothing is known about {self._named(category)} in this image: no source states it, "
            "and no statement that stands implies it"
        )

    def _place(self, *path: str | int) -> str:
        """The line of the spec; of a rule that the spec does not write, the default is said."""
        place = self.document.key_place(path)
        written = path in self.document.keys
        return (
            f"{place.file}:{place.line}"
            if written
            else f"{place.file}, {'.'.join(map(str, path))} by default"
        )

    def _above(self, category: int) -> set[int]:
        found: set[int] = set()
        front = [category]
        while front:
            for parent in self.categories.parents[front.pop()]:
                if parent not in found:
                    found.add(parent)
                    front.append(parent)
        return found

    def _path(self, low: int, high: int) -> Sequence[int]:
        """A shortest chain of parents from `low` up to `high`, both included."""
        queue: list[tuple[int, list[int]]] = [(0, [low])]
        seen: set[int] = set()
        while queue:
            hops, path = heapq.heappop(queue)
            if path[-1] == high:
                return path
            if path[-1] not in seen:
                seen.add(path[-1])
                for parent in self.categories.parents[path[-1]]:
                    heapq.heappush(queue, (hops + 1, [*path, parent]))
        return [low, high]
