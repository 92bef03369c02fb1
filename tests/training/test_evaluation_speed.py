"""How long an evaluation takes beside the network: its sums over batches, its ranking, its thresholds and examples.

`make bench` runs it at the published size, 88,739 images over 11,166 categories, 4 GB of made scores in the temporary
folder; else, in every test run, it is tiny. Each part has a process of its own, which computes in one thread.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from torch import Tensor  # noqa: E402

from mlimg_build.training import SparseLabels  # noqa: E402
from mlimg_build.training.evaluate.calibration import own_thresholds  # noqa: E402
from mlimg_build.training.evaluate.category_tree import CategoryTree  # noqa: E402
from mlimg_build.training.evaluate.examples import by_image, example_images  # noqa: E402
from mlimg_build.training.evaluate.metrics import (  # noqa: E402
    Inversions,
    average_precision,
    depths,
    implied_pairs,
    precision_recall,
)
from mlimg_build.training.evaluate.running_metrics import KS, RunningMetrics, entries_of  # noqa: E402
from mlimg_build.training.evaluate.score_table import EntryTable, score_table  # noqa: E402

FULL = os.environ.get("MLIMG_BENCH") == "full"
IMAGES, CATEGORIES = (88_739, 11_166) if FULL else (300, 60)
BATCH = 64
POSITIVE = 0.7
CPU = torch.device("cpu")


class Made:
    """Made scores and labels: a tree of categories, the most frequent near its roots, and a leaf an image or two.

    An image has a path from a category to its root, about ten labels, a verified absence, and one image in four
    has a label of a machine below it, of confidence 0.8 or 0.6. Scores are normal; what is present scores higher.
    """

    def __init__(self, images: int, categories: int) -> None:
        chance = np.random.default_rng(0)
        self.images, self.categories = images, categories
        above = (chance.random(categories) * np.arange(categories)).astype(int)
        self.parents = [() if number < 4 else (int(above[number]),) for number in range(categories)]
        frequency = 1 / (50 + np.arange(categories)[::-1])
        self.leaf = chance.choice(categories, images, p=frequency / frequency.sum())
        self.machine = chance.choice(categories, images)
        self.absent = chance.choice(categories, images)
        self._paths: dict[int, list[int]] = {}

    def path(self, category: int) -> list[int]:
        if category not in self._paths:
            self._paths[category] = [
                category,
                *(above for one in self.parents[category] for above in self.path(one)),
            ]
        return self._paths[category]

    def batches(self) -> Iterator[tuple[int, SparseLabels]]:
        """The labels of each batch, with the position of its first image."""
        for first in range(0, self.images, BATCH):
            image, category, target = [], [], []
            for at in range(first, min(first + BATCH, self.images)):
                known = {int(self.absent[at]): 0.0}
                if at % 4 == 0:
                    known[int(self.machine[at])] = 0.8 if at % 8 else 0.6
                known |= dict.fromkeys(self.path(int(self.leaf[at])), 1.0)
                image += [at - first] * len(known)
                category += known
                target += known.values()
            yield first, SparseLabels(torch.tensor(image), torch.tensor(category), torch.tensor(target))

    def logits(self, first: int, labels: SparseLabels) -> Tensor:
        """float32[images of the batch, categories]: about 1 in 600 scores more than 0.5, as labels do."""
        count = min(BATCH, self.images - first)
        found = torch.randn((count, self.categories), generator=torch.Generator().manual_seed(first))
        found.mul_(2).sub_(6)
        found[labels.image, labels.category] += 5 * labels.target
        return found


class Scores:
    """The made labels, and the made scores in a file as an evaluation keeps them."""

    def __init__(self, folder: Path, images: int, categories: int) -> None:
        self.made, self.folder = Made(images, categories), folder
        self.shape = images, categories

    def opened(self) -> NDArray[np.float32]:
        return np.memmap(self.folder / "scores", np.float32, "r", shape=self.shape)

    def batches(self) -> Iterator[tuple[Tensor, SparseLabels]]:
        scores = self.opened()
        for first, labels in self.made.batches():
            yield torch.from_numpy(scores[first : first + BATCH].copy()), labels

    def table(self) -> EntryTable:
        return EntryTable(*self.shape, *entries_of(list(self.made.batches())), POSITIVE)


def over_batches(scores: Scores, add: Callable[[Tensor, SparseLabels], Any]) -> tuple[float, float]:
    """Seconds of the clock and of the processor that `add` takes over all batches, but not what makes them."""
    clock = busy = 0.0
    for logits, labels in scores.batches():
        start = time.perf_counter(), time.process_time()
        add(logits, labels)
        clock, busy = clock + time.perf_counter() - start[0], busy + time.process_time() - start[1]
    return clock, busy


def timed(work: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    start = time.perf_counter(), time.process_time()
    found = work()
    return found, (time.perf_counter() - start[0], time.process_time() - start[1])


def summed(scores: Scores) -> tuple[Any, tuple[float, float]]:
    running = RunningMetrics(scores.made.parents, 0, POSITIVE, CPU)
    spent = over_batches(scores, running.add)
    best = running.assumed.best_threshold()
    assert best is not None
    return {**running.record(), "threshold": best.score, "f1": best.f1}, spent


def inversions(scores: Scores) -> tuple[Any, tuple[float, float]]:
    found = Inversions(implied_pairs(scores.made.parents))
    spent = over_batches(scores, lambda logits, labels: found.add(logits))
    return found.shares(), spent


def at_k(scores: Scores) -> tuple[Any, tuple[float, float]]:
    def add(logits: Tensor, labels: SparseLabels) -> None:
        positive = torch.zeros(logits.shape, dtype=torch.bool)
        positive[labels.image, labels.category] = labels.target >= POSITIVE
        precision_recall(logits, positive, KS)

    return None, over_batches(scores, add)


def stored(scores: Scores) -> tuple[Any, tuple[float, float]]:
    with score_table(*scores.shape) as table:
        done = 0

        def add(logits: Tensor, labels: SparseLabels) -> None:
            nonlocal done
            table[done : done + len(logits)] = logits.numpy()
            done += len(logits)

        return None, over_batches(scores, add)


def ranked(scores: Scores, *, verified: bool) -> tuple[Any, tuple[float, float]]:
    table, opened = scores.table(), scores.opened()
    found, spent = timed(lambda: average_precision(opened, partial(table.block, verified=verified)))
    return [found.value.tolist(), found.baseline.tolist()], spent


def thresholds(scores: Scores) -> tuple[Any, tuple[float, float]]:
    table, opened = scores.table(), scores.opened()
    common = json.loads((scores.folder / "sums").read_text())["threshold"]
    found, spent = timed(lambda: own_thresholds(opened, partial(table.block, verified=False), common))
    return [found.threshold.tolist(), found.common_macro, found.macro, found.micro], spent


def examples(scores: Scores) -> tuple[Any, tuple[float, float]]:
    image, category, target = entries_of(list(scores.made.batches()))
    common = json.loads((scores.folder / "sums").read_text())["threshold"]
    names = [f"made/{number}" for number in range(scores.made.images)]
    counts = np.bincount(category, minlength=scores.made.categories).tolist()
    opened = scores.opened()

    def work() -> Any:
        entries = by_image(scores.made.images, image, category, target)
        return example_images(
            opened, entries, CategoryTree(scores.made.parents, counts), common, POSITIVE, names
        )

    return timed(work)


PARTS: dict[str, Callable[[Scores], tuple[Any, tuple[float, float]]]] = {
    "sums": summed,
    "of these the hierarchy": inversions,
    "of these precision at k": at_k,
    "scores to a file": stored,
    "average precision, verified": partial(ranked, verified=True),
    "average precision, unknown as absent": partial(ranked, verified=False),
    "thresholds": thresholds,
    "examples": examples,
    "depths": lambda scores: timed(lambda: depths(scores.made.parents)),
}


@pytest.mark.bench
def test_an_evaluation_of_the_published_size_takes_minutes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Made(IMAGES, CATEGORIES)
    with (tmp_path / "scores").open("wb") as stream:
        for first, labels in made.batches():
            stream.write(made.logits(first, labels).numpy())
    lines = [
        f"{IMAGES:,} images × {CATEGORIES:,} categories, {len(implied_pairs(made.parents)):,} pairs, 1 thread"
    ]
    whole = 0.0
    for name in PARTS:
        clock, busy, peak = apart(tmp_path, name) if FULL else run(tmp_path, IMAGES, CATEGORIES, name)
        whole += 0 if name.startswith("of these") else busy
        lines.append(f"{name}: {clock:.2f} s, {busy:.2f} of processor time, peak {int(peak) >> 10:,} MiB")
    lines.append(f"in all {whole:.1f} s of processor time")
    value, baseline = json.loads((tmp_path / "average precision, unknown as absent").read_text())
    assert np.nanmean(value) > 10 * np.nanmean(baseline) if FULL else np.nanmean(value) > np.nanmean(baseline)
    assert not FULL or whole < 200
    with capsys.disabled():
        print("\n" + "\n".join(lines))


def apart(folder: Path, name: str) -> list[float]:
    """What `run` returns, in a process of its own."""
    command = [sys.executable, __file__, str(folder), str(IMAGES), str(CATEGORIES), name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def run(folder: Path, images: int, categories: int, name: str) -> list[float]:
    """Run one part and keep what it found; return seconds of the clock and the processor, and the peak in KiB."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found, spent = PARTS[name](Scores(folder, images, categories))
    finally:
        torch.set_num_threads(before)
    (folder / name).write_text(json.dumps(found))
    return [*spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
