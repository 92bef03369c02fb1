"""Explain why an image has a label: the source's row, the mapping, the implication, each with its line in the spec."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlimg_build.dataset import Dataset, Image, Label, open_dataset
from mlimg_build.errors import DamagedDataset, DatasetError, Problem
from mlimg_build.explain.category_origin import describe_category
from mlimg_build.explain.category_senses import graph_of, sense_of
from mlimg_build.explain.spec_lines import STATES, SpecLocations, categories_named, statement_text
from mlimg_build.labels import written
from mlimg_build.quantities import percent
from mlimg_build.sources import place_of, written_place
from mlimg_build.sources.image_files import stem

__all__ = ["explain", "explain_category", "explain_in", "unused_category"]


def explain(path: Path, image: str, category: str | None = None) -> dict[str, Any]:
    """Return the labels of an image, or those of one category, each with its chain; JSON-able.

    `image` is an id, with or without its source, `category` a WordNet id or a name.

    Raises:
        DatasetError: those of `open_dataset`, `image-unknown`, `category-unknown`.
    """
    with open_dataset(path) as dataset:
        return explain_in(dataset, image, category)


def explain_in(dataset: Dataset, image: str, category: str | None = None) -> dict[str, Any]:
    """Return the same as `explain`, for an open dataset."""
    return _Explained(dataset, _find(dataset, image)).told(category)


def explain_category(path: Path, text: str) -> dict[str, Any]:
    """Return `describe_category` of the dataset at `path`. Raises `DatasetError` if there is no such category."""
    with open_dataset(path) as dataset:
        return describe_category(dataset, text)


def _find(dataset: Dataset, image: str) -> Image:
    try:
        return dataset.find(image)
    except DatasetError as error:
        if (found := _among_sources(dataset, image)) is not None:
            return found
        for other in dict.fromkeys((stem(image), stem(image).rsplit("/", 1)[-1], image.rsplit("/", 1)[-1])):
            if other != image and (near := _among_sources(dataset, other)) is not None:
                (problem, *_) = error.problems
                raise DatasetError(replace(problem, hint=f"did you mean {near.id}?")) from error
        raise


def _among_sources(dataset: Dataset, image: str) -> Image | None:
    """Return the image with an id, which may lack its source; None if there is none."""
    for name in (image, *(f"{source}/{image}" for source in dataset.sources)):
        with suppress(DatasetError):
            return dataset.find(name)
    return None


def unused_category(path: Path, text: str) -> list[dict[str, str]]:
    """Return the source categories of an id or name that are mapped to no category, with their evidence; JSON-able."""
    wanted = text.casefold().replace("_", " ")
    with open_dataset(path) as dataset:
        return [
            {"source": row.source, "category": row.id, "name": row.name, "evidence": row.evidence}
            for row in dataset.mappings[:]
            if row.category < 0 and wanted in (row.id.casefold().replace("_", " "), row.name.casefold())
        ]


class _Explained:
    def __init__(self, dataset: Dataset, image: Image) -> None:
        self.dataset = dataset
        self.image = image
        self.categories = dataset.categories
        self.places = SpecLocations(dataset)
        self.graph = graph_of(dataset)

    def told(self, category: str | None) -> dict[str, Any]:
        chosen = categories_named(self.dataset, category) if category else None
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
            "copies": list(self.image.copies),
            "counts": self.image.counts,
            "labels": [self._label(label) for label in labels],
            "contradictions": self._contradictions(chosen),
        }
        known = {label.category for label in labels}
        told["unknown"] = [self._unknown(number) for number in chosen or () if number not in known]
        return told

    def _named(self, category: int) -> str:
        return f"{self.categories.names[category]} {self.categories.wnid[category]}"

    def _sense(self, category: int) -> str:
        sense = sense_of(self.dataset, category, self.graph)
        return f" ({sense})" if sense else ""

    def _label(self, label: Label) -> dict[str, Any]:
        chain = self._chain(label)
        return {
            "wnid": label.wnid,
            "name": label.name,
            "sense": sense_of(self.dataset, label.category, self.graph),
            "state": STATES[label.state],
            "confidence": float(written(label.confidence)),
            "rule": label.rule,
            "via": self.categories.wnid[label.via],
            "source": label.source,
            "member": label.member,
            "chain": chain,
        }

    def _chain(self, label: Label, behind: frozenset[int] = frozenset()) -> list[dict[str, str]]:
        """Return the steps from the statement to the label, each with its line in the spec.

        `behind` are the categories that the chain has come through. Raises `DamagedDataset` `label-unfounded` if
        there is no such chain.
        """
        if label.rule == "stated":
            return self._statement(label.mapping, label.record, label.state, label.confidence, label.member)
        if label.rule.startswith("cooccurrence"):
            origin = next((other for other in self.image.labels if other.category == label.via), None)
            if origin is None or label.via in behind:
                raise _unfounded(self.image, f"the label {label.name}")
            chain = self._chain(origin, behind | {label.category})
        else:
            chain = self._statement(label.mapping, label.record, label.state, label.confidence, label.member)
        return [*chain, self._step(label)]

    def _step(self, label: Label) -> dict[str, str]:
        if label.rule == "cooccurrence":
            sides = (label.via, label.category)
            pairs = (pair for pair in self.dataset.pairs if (pair.antecedent, pair.consequent) == sides)
            if (pair := next(pairs, None)) is None:
                raise _unfounded(self.image, f"the label {label.name}")
            text = (
                f"{self.categories.names[label.via]} goes with {self.categories.names[label.category]}: "
                f"{pair.together:,} of {pair.images:,} images had both, a share of at least {percent(pair.bound)}"
            )
            place = self.places.of("annotation", "cooccurrence")
            return {"step": "cooccurrence", "text": text, "place": place}
        low, high = (label.via, label.category) if label.state > 0 else (label.category, label.via)
        path = self._path(low, high)
        names = [self.categories.names[i] for i in (path if label.state > 0 else reversed(path))]
        rule = "positives" if label.state > 0 else "negatives"
        follows = "so is all that is above it" if label.state > 0 else "so is all that is below it"
        text = f"{names[0]} is {STATES[label.state]}, and {follows}: {' → '.join(names)}"
        return {"step": "implication", "text": text, "place": self.places.of("annotation", rule)}

    def _statement(
        self, mapping: int, record: int, state: int, confidence: float, member: str
    ) -> list[dict[str, str]]:
        """Return the statement of a list about the image or its copy `member`, and the mapping of its category."""
        row = self.dataset.mappings[mapping] if mapping >= 0 else None
        if row is None or row.category < 0:
            raise _unfounded(self.image, "a label")
        source = self.dataset.attributes_of_build("sources")[0].get(row.source, {"lists": []})
        name = f" {row.name!r}" if row.name and row.name != row.id else ""
        number, line = place_of(record)
        known = number < len(source["lists"])
        where = (
            written_place(source["lists"][number] if known else f"list {number}", line)
            if record
            else f"the place of {member} in the folders of {row.source}"
        )
        if member != self.image.id:
            where = f"of its copy {member}, {where}"
        how = "verified" if confidence >= 1 else f"by a machine, {written(confidence, 7)}"
        said = f"{where} says {row.id}{name} is {STATES[state]} ({how})"
        return [
            {"step": "source", "text": said, "place": self.places.of("sources", row.source)},
            {
                "step": "mapping",
                "text": statement_text(self.dataset, row),
                "place": self.places.of_method(row.method, row.synset or ""),
            },
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
                    "place": self.places.of("annotation", "conflicts"),
                    "absent": self._statement(
                        clash.absent_mapping, clash.absent_record, -1, 1.0, clash.absent_member
                    ),
                    "present": self._statement(
                        clash.present_mapping,
                        clash.present_record,
                        1,
                        clash.confidence,
                        clash.present_member,
                    ),
                }
            )
        return told

    def _unknown(self, category: int) -> str:
        return (
            f"nothing is known about {self._named(category)}{self._sense(category)} in this image: "
            "no source states it, and no statement that stands implies it"
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
        """Return a shortest chain of parents from `low` up to `high`, both included."""
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


def _unfounded(image: Image, what: str) -> DamagedDataset:
    message = f"{what} of {image.id} does not follow from what it names as its origin"
    return DamagedDataset(Problem("label-unfounded", message, hint="run `mlimg verify --labels`"))
