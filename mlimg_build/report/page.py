"""The page: one HTML file without external resources, rendered from plain values."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mlimg_build.report import charts
from mlimg_build.report import formatting as wording
from mlimg_build.report.coverage import Coverage
from mlimg_build.report.decisions import Decided, Decisions
from mlimg_build.report.flows import RULE_NAMES
from mlimg_build.report.gallery import ContradictionCard, Picture
from mlimg_build.report.model_data import Example, Model, PerCategory
from mlimg_build.report.statistics import Statistics
from mlimg_build.report.tree import Branch

__all__ = [
    "ClashRow",
    "Failure",
    "Head",
    "LeftOutRow",
    "Page",
    "TogetherRow",
    "Trained",
    "Tree",
    "as_script",
    "environment",
    "render",
]

FEW = 10  # categories listed as best, and as worst


@dataclass(frozen=True, slots=True)
class Head:
    """The name and the inputs of the dataset; `file` is the spec's name, `spec` its text."""

    name: str
    version: str
    description: str
    fraction: float
    digest: str
    file: str
    spec: str
    spec_digest: str
    nouns: tuple[tuple[str, str, str], ...]  # what the vocabulary is made of: name, digest, kind
    mlimg_version: str
    format: str
    sources: tuple[tuple[str, str, str], ...]  # name, type, digest

    @property
    def command(self) -> str:
        """The command that builds the same dataset again."""
        part = "" if self.fraction >= 1 else f" --fraction {self.fraction:g}"
        return f"mlimg build {self.file}{part}"

    @property
    def lines(self) -> list[str]:
        """The lines of the spec, counted as YAML counts them."""
        return self.spec.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")


@dataclass(frozen=True, slots=True)
class Tree:
    """The hierarchy: the branches written out, the number of `hidden` roots, and the records of all categories."""

    top: Sequence[Branch]
    hidden: int
    records: Mapping[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class ClashRow:
    """Two categories by id and name that contradict each other, how often, and which side is kept."""

    absent: str
    absent_name: str
    present: str
    present_name: str
    stands: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TogetherRow:
    """A pair of categories of which the first implies the second by co-occurrence, and the labels it `added`.

    `together` of `images` had both; `bound` is a lower bound of that share.
    """

    antecedent: str
    antecedent_name: str
    consequent: str
    consequent_name: str
    together: int
    images: int
    bound: float
    added: int


@dataclass(frozen=True, slots=True)
class LeftOutRow:
    """Images of a source without a row in the dataset: the code of the reason, what it means, how many."""

    source: str
    reason: str
    meaning: str
    count: int


@dataclass(frozen=True, slots=True)
class Failure:
    """The images of one status that have no bytes: what it means, how many, some ids."""

    status: str
    meaning: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """A model and its plots by name; `strange` if it was trained on another dataset than this.

    `thumbnails` are data URIs of the images in the evaluation's `examples`, "" where there is no picture.
    """

    model: Model
    plots: Mapping[str, str]
    strange: bool
    thumbnails: Sequence[str] = ()

    @property
    def judged(self) -> tuple[tuple[Example, str], ...]:
        """The examples of the evaluation with their thumbnails."""
        found = self.model.evaluation.examples if self.model.evaluation else ()
        return tuple(zip(found, self.thumbnails, strict=False))

    @property
    def ranked(self) -> tuple[PerCategory, ...]:
        """The categories that were measured, the best first: by verified labels if there are any."""
        found = self.model.evaluation.categories if self.model.evaluation else ()
        measured = [row for row in found if _precision(row) is not None]
        return tuple(sorted(measured, key=lambda row: (-(_precision(row) or 0), row.wnid)))

    @property
    def best(self) -> tuple[PerCategory, ...]:
        return self.ranked[:FEW]

    @property
    def worst(self) -> tuple[PerCategory, ...]:
        """The categories with the lowest precision, the worst first; none of them is among the best."""
        return tuple(reversed(self.ranked[max(FEW, len(self.ranked) - FEW) :]))


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that the page shows; SVG texts come from `flow` and `plots`, which escape."""

    head: Head
    numbers: Statistics
    flows: Sequence[tuple[str, str, str]]  # title, wide, narrow
    plots: Mapping[str, str]
    tree: Tree
    decisions: Decisions
    clashes: Sequence[ClashRow]
    clash_pairs: int
    quarrels: Sequence[ContradictionCard]
    together: Sequence[TogetherRow]  # those that added the most first
    together_pairs: int  # of which the rows above are the first
    left_out_pairs: Mapping[str, int]  # found in the images and not used, by reason
    failures: Sequence[Failure]
    left_out: Sequence[LeftOutRow]
    pictures: Sequence[Picture]
    trained: Trained | None
    problems: Sequence[str] = ()
    coverage: Coverage | None = None


def render(page: Page) -> str:
    """Return the HTML of the page; everything from the data is escaped, and equal pages give equal text."""
    return (
        environment()
        .get_template("page.html")
        .render(
            page=page,
            n=page.numbers,
            tree_json=as_script(page.tree.records),
            mapping_json=as_script(_columns(page.decisions.rows)),
            searchable=len(page.decisions.rows) > page.decisions.written,
        )
    )


def _precision(row: PerCategory) -> float | None:
    return row.unknown_as_absent if row.verified is None else row.verified


def _columns(rows: Sequence[Decided]) -> dict[str, list[str]]:
    names = ("source", "id", "name", "wnid", "category", "method", "fate", "evidence")
    return {name: [getattr(row, name) for row in rows] for name in names}


def as_script(value: object) -> Markup:
    """Return JSON that is safe inside a script element: no `<` ends it or opens a comment."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704


@cache
def environment() -> Environment:
    """Return the templates of the pages, with everything escaped; made once a process."""
    environment = Environment(
        loader=PackageLoader("mlimg_build.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("compact", "count", "percent", "score", "share", "size", "status_name"):
        environment.filters[name] = getattr(wording, name)
    environment.filters["shell"] = shlex.quote
    environment.filters["precision"] = _precision
    environment.filters["rule"] = lambda rule: RULE_NAMES.get(rule, rule)
    environment.filters["svg"] = Markup
    environment.filters["spread"] = charts.spread
    environment.filters["method"] = lambda name: wording.METHOD_NAMES.get(name, name)
    return environment
