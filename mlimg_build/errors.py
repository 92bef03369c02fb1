"""Every error that mlimg raises on purpose, and the problem they carry.

MlimgError                  a problem that the user can do something about; the CLI shows it and exits 1
├── SpecError               a file written by people is wrong: spec, backend, mapping (all problems at once)
├── WordNetError            a WordNet release cannot be read, or an id is not in it
├── SourceError             a source as a whole cannot be read; a single bad image is a row, not an error
│   └── TransientError      a file of a source was not read for a temporary reason: the build tries again
├── LabelError              labels contradict each other where the spec forbids it, or a hierarchy has a cycle
├── ImageError              an image does not decode fully; the build turns it into the row's status
├── DecoderMissing          a format of images needs a library that is not installed; says nothing about the image
├── DatasetError            a dataset cannot be opened, read or written
│   └── DamagedDataset      bytes differ from their digest (names shard and image)
├── BackendError            the cluster of a backend cannot be used
├── TrainingError           a network cannot be trained, evaluated or used
│   ├── CheckpointError     a checkpoint or a model's files are damaged, or belong to something else
│   └── LossNotFinite       the loss or its gradient is NaN or infinite (names the step and its images)
└── BuildError              a build cannot continue
    ├── BelowRequired       built, and below a threshold of the spec's `require` (exit 4)
    ├── LockChanged         the decisions differ from those of the lock (exit 3, with the list of changes)
    └── Interrupted         stopped by the user; a rerun resumes from here (exit 130)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

__all__ = [
    "LISTED",
    "BackendError",
    "BelowRequired",
    "BuildError",
    "CheckpointError",
    "DamagedDataset",
    "DatasetError",
    "DecoderMissing",
    "ImageError",
    "Interrupted",
    "LabelError",
    "LockChanged",
    "LossNotFinite",
    "MlimgError",
    "NoSuchSplit",
    "Place",
    "Problem",
    "SourceError",
    "SpecError",
    "TrainingError",
    "TransientError",
    "WordNetError",
    "first_problems",
    "more_problems",
]

LISTED = 100  # problems of one kind that are listed; a person mends some and asks again


LONGEST = 1 << 16  # characters of a message or a hint, both of which may quote what a file says
LONGEST_LINE = 4000


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a text file: `line` and `column` count from 1, `width` is the length to underline."""

    file: str
    line: int
    column: int
    width: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a stable code, one sentence without a full stop, where, and what to do about it.

    Of a long message or hint, and of each long line of them, only the beginning is kept.
    """

    code: str
    message: str
    place: Place | None = None
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", _cut(self.message))
        object.__setattr__(self, "hint", self.hint and _cut(self.hint))

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        hint = f"\nhint: {self.hint}" if self.hint else ""
        return f"{where}{self.severity}[{self.code}]: {self.message}{hint}"


def first_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Return the first `LISTED` problems, and how many more there are as a last one."""
    rest = iter(problems)
    first = list(islice(rest, LISTED))
    more = sum(1 for _ in rest)
    return [*first, more_problems(f"{more:,}", first[0].severity)] if more else first


def more_problems(count: str, severity: Literal["error", "warning"] = "error") -> Problem:
    """Return the problem that stands for those that are not listed."""
    hint = "mend the ones above, then look again"
    return Problem("more-problems", f"{count} more are not listed", hint=hint, severity=severity)


def _cut(text: str) -> str:
    """Return a text, or its beginning and how much more there is; so for each of its lines.

    >>> _cut("why"), _cut("x" * 5000)[3990:]
    ('why', 'xxxxxxxxxx… (1,000 characters more)')
    """
    if len(text) <= LONGEST_LINE:
        return text
    lines = [_beginning(line, LONGEST_LINE) for line in text.split("\n")]
    return _beginning("\n".join(lines), LONGEST)


def _beginning(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} characters more)"


class MlimgError(Exception):
    """One or more problems that end the command; `exit_code` is the process's exit status."""

    exit_code = 1

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[MlimgError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)

    @property
    def code(self) -> str:
        return self.problems[0].code


class SpecError(MlimgError):
    """A file written by people is wrong; holds every problem of the file, sorted by place."""


class WordNetError(MlimgError):
    """A WordNet release cannot be read, or an id does not exist in it."""


class SourceError(MlimgError):
    """A source as a whole cannot be read."""


class TransientError(SourceError):
    """A file of a source was not read for a temporary reason, which says nothing about the file."""


class LabelError(MlimgError):
    """Labels contradict each other where the spec forbids it, or a hierarchy has a cycle."""


class ImageError(MlimgError):
    """An image does not decode fully; `code` is the status of its row, in kebab-case."""


class DecoderMissing(MlimgError):
    """A format of images needs a library that is not installed."""


class DatasetError(MlimgError):
    """A dataset cannot be opened, read or written."""


class NoSuchSplit(DatasetError, AttributeError):
    """A dataset has no split of that name; an `AttributeError`, too, so that `hasattr(dataset, "train")` is False."""


class DamagedDataset(DatasetError):
    """Stored bytes differ from their digest."""


class BackendError(MlimgError):
    """The cluster of a backend cannot be used."""


class TrainingError(MlimgError):
    """A network cannot be trained, evaluated or used."""


class CheckpointError(TrainingError):
    """A checkpoint or a model's files are damaged, or belong to something else."""


class LossNotFinite(TrainingError):
    """The loss is NaN or infinite; no checkpoint is written after it."""


class BuildError(MlimgError):
    """A build cannot continue."""


class LockChanged(BuildError):
    """The decisions from the sources differ from the lock; one problem per change."""

    exit_code = 3


class BelowRequired(BuildError):
    """Everything is built, and some of it is below what the spec requires; one problem per requirement."""

    exit_code = 4


class Interrupted(BuildError):
    """Stopped by the user; what is done is recorded and a rerun resumes from there."""

    exit_code = 130
