"""A small spec over a table or folders of photographs, and what a build makes of it, in words."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mlimg_build.compiler.pipeline import build
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import MlimgError, Problem
from mlimg_build.spec import load_spec
from tests.support.photographs import crops
from tests.support.runs import inline

HEAD = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"


@cache
def photographs() -> list[bytes]:
    """Eight small JPEG files, no two alike."""
    return crops("chelsea", 8, side=48)


@dataclass(slots=True)
class Outcome:
    """What a build led to: its problems, or its images, labels, failures and notes."""

    root: Path
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    labels: dict[str, dict[str, float]] = field(default_factory=dict)  # image → category → ±confidence
    status: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)  # code → first example
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def error(self) -> str:
        """The first error in the words of the tool, without the test's folder; "" where the build was done."""
        if not self.problems:
            return ""
        message = self.problems[0].message.replace(f"{self.root}/", "").replace("|", " ")
        return f"error `{self.problems[0].code}`: {message.splitlines()[0]}"

    def note(self, code: str) -> str:
        """The first example of what was passed over."""
        return f"passed over: `{code}` {self.notes[code]}"

    def warned(self, code: str) -> str:
        """The first warning of a code."""
        return next(f"warning `{code}`" for problem in self.warnings if problem.code == code)

    def label(self, image: str) -> str:
        """The labels of an image in words."""
        words = {1.0: "present", -1.0: "absent"}
        return (
            ", ".join(
                f"{name} {words.get(value, f'{value:.10g}')}"
                for name, value in sorted(self.labels[image].items())
            )
            or "no label"
        )


class World:
    """A folder with images and lists, and the build of a spec over them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def image(self, path: str, number: int = 0) -> Path:
        """A photograph at a path below the folder."""
        return self.file(path, photographs()[number])

    def file(self, path: str, data: bytes | str) -> Path:
        """A file at a path below the folder."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.encode() if isinstance(data, str) else data)
        return place

    def run(self, sources: str, rest: str = "", files: Mapping[str, bytes | str] | None = None) -> Outcome:
        """What a build of these sources (lines of YAML, one a source) leads to."""
        for path, data in (files or {}).items():
            self.file(path, data)
        lines = "".join(f"  {line}\n" for line in sources.splitlines())
        spec = self.file("x.yaml", f"{HEAD}{lines}{rest}")
        try:
            loaded = load_spec(spec)
            made = build(loaded, self.root / "out", inline())
        except MlimgError as error:
            return Outcome(self.root, problems=tuple(error.problems))
        if made.failure is not None:
            return Outcome(self.root, problems=tuple(made.failure.problems))
        outcome = Outcome(self.root, warnings=made.warnings, summary=made.summary)
        with open_dataset(made.dataset) as dataset:
            for name in dataset.splits:
                for image in getattr(dataset, name):
                    outcome.status[image.id] = image.status
                    outcome.labels[image.id] = {
                        label.name: float(label.state * label.confidence) for label in image.labels
                    }
        if made.failures:
            with made.failures.open(newline="") as stream:
                outcome.reasons = {row["image"]: row["reason"] for row in csv.DictReader(stream)}
        if made.passed_over:
            with made.passed_over.open(newline="") as stream:
                for row in csv.DictReader(stream):
                    outcome.notes.setdefault(row["code"], row["example"])
        return outcome

    def table(self, rows: bytes | str, spec: str = "", rest: str = "") -> Outcome:
        """A build of a table with the header `image,labels` and the images a.jpg … d.jpg."""
        for number, name in enumerate("abcd"):
            if not (self.root / f"img/{name}.jpg").exists():
                self.image(f"img/{name}.jpg", number)
        self.file("t.csv", rows)
        return self.run(f"t: {{type: table, table: t.csv, images: img{spec}}}", rest)
