"""`mlimg verify --labels`: derive every label of a dataset again from its origin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from mlimg_build.dataset import Dataset, Split, open_dataset
from mlimg_build.dataset.verification import Finding
from mlimg_build.explain.copy_proofs import copy_flaws
from mlimg_build.labels import (
    ABSENT,
    FLAWS,
    PRESENT,
    RULES,
    STATED,
    Hierarchy,
    LabelTable,
    Pairs,
    Rules,
    from_pairs,
    prove,
)

__all__ = ["Proof", "hierarchy_of", "prove_labels", "table_of"]

SHOWN = 20  # findings of one kind that are listed in full


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of a proof of labels: the numbers of labels, of images and of labels by rule, and the flaws."""

    labels: int
    images: int
    by_rule: dict[str, int]
    findings: tuple[Finding, ...]
    flaws: int  # all of them; `findings` lists the first of each kind

    @property
    def ok(self) -> bool:
        """Whether every label follows from its origin, and none is missing."""
        return not self.flaws


def prove_labels(path: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Proof:
    """Derive all labels of the dataset at `path` again; return what differs. Memory: the labels of one shard.

    Needs nothing but the dataset: its categories, mappings, pairs and the rules that its attributes name.
    `progress` is called after each shard with the numbers of images done and in all.

    Raises:
        DatasetError: if the dataset cannot be read.
    """
    with open_dataset(path) as dataset:
        return _Prover(dataset, progress).run()


def hierarchy_of(dataset: Dataset) -> Hierarchy:
    """Return the hierarchy over the categories of a dataset."""
    wnids, parents = dataset.categories.wnid, dataset.categories.parents
    return from_pairs(wnids, [(wnids[i], wnids[j]) for i, above in enumerate(parents) for j in above])


def table_of(split: Split, shard: int) -> LabelTable:
    """Return the labels of one shard; images count from its first row."""
    spans = split.spans("labels", shard).astype(np.int64)
    image = np.repeat(np.arange(len(spans)), spans[:, 1] - spans[:, 0])
    names = [field.name for field in fields(LabelTable) if field.name != "image"]
    return LabelTable(image=image, **{name: split.column(f"labels/{name}", shard) for name in names})


class _Prover:
    def __init__(self, dataset: Dataset, progress: Callable[[int, int], None]) -> None:
        self.dataset, self.progress = dataset, progress
        self.hierarchy = hierarchy_of(dataset)
        (said,) = dataset.attributes_of_build("annotation")
        levels = said["machine_levels"]
        self.rules = Rules(
            positives=said["positives"] == "ancestors",
            negatives=said["negatives"] == "descendants",
            machine_levels=levels if isinstance(levels, int) else None,
            strongest=said["implied_confidence"] == "strongest",
        )
        self.add_to = [number for number, name in enumerate(dataset.sources) if name in said["add_to"]]
        pairs = dataset.pairs
        self.pairs = Pairs(
            antecedent=np.array([pair.antecedent for pair in pairs], np.int32),
            consequent=np.array([pair.consequent for pair in pairs], np.int32),
            together=np.array([pair.together for pair in pairs], np.int64),
            images=np.array([pair.images for pair in pairs], np.int64),
            bound=np.array([pair.bound for pair in pairs], np.float32),
            vetoed=np.zeros(len(pairs), np.bool_),
        )
        mappings = dataset.mappings[:]
        self.category_of = np.asarray(dataset.mappings.category, np.int32)
        self.source_of = np.array([dataset.sources.index(row.source) for row in mappings], np.int64)
        self.narrower = np.array([row.narrower for row in mappings], np.bool_)
        self.findings: list[Finding] = []
        self.kinds: dict[str, int] = {}
        self.counts = np.zeros((2, len(self.hierarchy)), np.int64)
        self.by_rule = np.zeros(len(RULES), np.int64)

    def run(self) -> Proof:
        total, done = sum(len(split) for split in self.dataset.splits.values()), 0
        for split in self.dataset.splits.values():
            for shard in range(split.shards):
                done += self._shard(split, shard)
                self.progress(done, total)
        categories = self.dataset.categories
        for state, stored, found in zip(
            ("present", "absent"), (categories.positives, categories.negatives), self.counts, strict=True
        ):
            for number in np.flatnonzero(stored != found).tolist():
                name = f"{categories.names[number]} {categories.wnid[number]}"
                message = (
                    f"{name} is said to be {state} in {stored[number]:,} images, and is in {found[number]:,}"
                )
                self._find("count-differs", message)
        for code, message, image in copy_flaws(
            self.dataset, self.hierarchy, self.category_of, self.rules, self.pairs, self.add_to
        ):
            self._find(code, message, None, None, image)
        return Proof(
            labels=int(self.by_rule.sum()),
            images=done,
            by_rule={name: int(count) for name, count in zip(RULES, self.by_rule, strict=True) if count},
            findings=tuple(self.findings),
            flaws=sum(self.kinds.values()),
        )

    def _shard(self, split: Split, shard: int) -> int:
        table = table_of(split, shard)
        source = split.column("images/source", shard)
        flaws = prove(
            table,
            self.hierarchy,
            self.category_of,
            self.rules,
            self.pairs,
            np.isin(source, self.add_to),
        )
        found = [*flaws, *self._statements(split, shard, table)]
        if found:
            ids = split.texts("images/id", shard)
            for row, code in found:
                number = int(table.category[row])
                named = len(self.hierarchy) > number >= 0
                name = f"{self.dataset.categories.names[number]}" if named else f"category {number}"
                message = f"{name}: {FLAWS.get(code) or STATEMENT_FLAWS[code]}"
                self._find(f"label-{code}", message, split.name, shard, ids[int(table.image[row])])
        category, states = (split.column(f"counted/{name}", shard) for name in ("category", "state"))
        known = (category >= 0) & (category < len(self.hierarchy))
        for i, state in enumerate((PRESENT, ABSENT)):
            chosen = category[known & (states == state)]
            self.counts[i] += np.bincount(chosen, minlength=len(self.hierarchy))
        self.by_rule += np.bincount(table.rule[table.rule < len(RULES)], minlength=len(RULES))
        return len(source)

    def _statements(self, split: Split, shard: int, table: LabelTable) -> Iterator[tuple[int, str]]:
        """Yield the rows of labels whose statement is another source's, or an absence that implies nothing."""
        known = (table.mapping >= 0) & (table.mapping < len(self.source_of))
        mapping = np.where(known, table.mapping, 0)
        source = split.column("labels/source", shard).astype(np.int64)
        other = known & (self.source_of[mapping] != source) if len(self.source_of) else known
        silent = known & (table.state == ABSENT) & (table.rule == STATED)
        if len(self.narrower):
            silent &= self.narrower[mapping]
        yield from ((row, "other-source") for row in np.flatnonzero(other).tolist())
        yield from ((row, "silent") for row in np.flatnonzero(silent).tolist())

    def _find(
        self,
        code: str,
        message: str,
        split: str | None = None,
        shard: int | None = None,
        image: str | None = None,
    ) -> None:
        self.kinds[code] = self.kinds.get(code, 0) + 1
        if self.kinds[code] <= SHOWN:
            self.findings.append(Finding(code, split, shard, image, message))


STATEMENT_FLAWS = {
    "other-source": "it is said to rest on another source than the source category that it names",
    "silent": "it rests on the absence of a narrower category, which says nothing of this one",
}
