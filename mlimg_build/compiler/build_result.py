"""The result of a build."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mlimg_build.errors import BuildError, Problem
from mlimg_build.images import Status

__all__ = ["Built", "Fetched", "ProvedShards"]


class ProvedShards(NamedTuple):
    """The number of shards whose results all match the lock, of `built`; the lock lacks digests of the others."""

    same: int
    built: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch did: URLs that were asked for, rows by state of their URL, rows that nobody asked for, seconds.

    `withdrawn` are (why, image id) of rows that turned out to be taken down: by the sha256 of what came, or as the
    ledger of a store that several specs share says so.
    """

    asked: int
    states: dict[str, int]
    unasked: int
    seconds: float
    withdrawn: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """The result of a build: the dataset and its digest, the lock, the listings (None if empty), and statistics."""

    dataset: Path
    digest: str
    lock: Path
    failures: Path | None
    passed_over: Path | None  # list of what the sources contain and could not be used
    left_out: Path | None  # list of images of the sources without a label that counts
    failed: dict[str, int]  # status → images
    asked_again: (
        int  # of them, those that were gone since the plan or could not be read: the next run asks again
    )
    images: int
    read: int  # images read by this run
    seconds: float  # duration of the tasks
    workers: int
    peak_memory: int  # of a worker, bytes
    summary: dict[str, Any]
    warnings: tuple[Problem, ...]
    copies: dict[str, Any]  # as in the dataset's attribute: counts, and among which images they were searched
    proved: ProvedShards | None = None  # None without a lock
    fetched: Fetched | None = None  # None if no image lies at a URL, or nothing was to be fetched
    attribution: Path | None = None  # list of authors, licences and URLs
    at_urls: dict[str, int] = field(default_factory=dict)  # state of the URL → images; "" for not asked

    @property
    def failure(self) -> BuildError | None:
        """The error `no-bytes` if no image has bytes, so that the dataset holds labels only; else None."""
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
