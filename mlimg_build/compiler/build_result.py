"""What a build left, and whether it is of use."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mlimg_build.errors import BuildError, Problem
from mlimg_build.images import Status

__all__ = ["Built", "ProvedShards"]


class ProvedShards(NamedTuple):
    """How many shards are wholly what the lock says, of how many; the lock does not know the others."""

    same: int
    built: int


@dataclass(frozen=True, slots=True)
class Built:
    """What a build left: the dataset and its digest, the lock, the list of failures (None where there is none)."""

    dataset: Path
    digest: str
    lock: Path
    failures: Path | None
    passed_over: Path | None  # what the sources held and could not be used
    left_out: Path | None  # images of the sources without a label that counts
    failed: dict[str, int]  # status → images
    asked_again: (
        int  # of them, those that were gone since the plan or could not be read: the next run asks again
    )
    images: int
    read: int  # images that this run read
    seconds: float  # that the tasks took
    workers: int
    peak_memory: int  # of a worker, bytes
    summary: dict[str, Any]
    warnings: tuple[Problem, ...]
    copies: dict[str, Any]  # as the dataset's attribute has them: how many, and among which images
    proved: ProvedShards | None = None  # None without a lock

    @property
    def failure(self) -> BuildError | None:
        """The error "no-bytes" where no image has any: what was built holds labels only."""
        reasons = Counter(self.failed)
        if reasons.total() < self.images:
            return None
        listed = " and ".join(f"{count:,} {status}" for status, count in reasons.most_common(3))
        (likeliest, _), *_ = reasons.most_common(1)
        meaning, hint = Status[likeliest].meaning, Status[likeliest].hint
        return BuildError(
            Problem(
                "no-bytes",
                f"none of the {self.images:,} images has bytes ({listed}); {self.dataset} holds their labels only",
                hint=f"{likeliest}: {meaning[:1].lower()}{meaning[1:]}; {hint}. Each image with its reason is in "
                f"{self.failures}",
            )
        )
