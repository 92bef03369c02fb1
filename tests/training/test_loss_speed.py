"""How long a loss takes, forward and backward, beside torch's own on targets that are written out beforehand.

`make bench` runs it at the published size, 512 images over 11,166 categories; else, in every test run, it is tiny.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from torch import Tensor, nn  # noqa: E402

from mlimg_build.spec import LOSSES  # noqa: E402
from mlimg_build.training import SparseLabels, SparseTargets, dense  # noqa: E402
from mlimg_build.training.loss.entry_loss import EntryLoss  # noqa: E402
from mlimg_build.training.loss.losses import make_loss  # noqa: E402

FULL = os.environ.get("MLIMG_BENCH") == "full"
IMAGES, CATEGORIES, TURNS = (512, 11_166, 9) if FULL else (8, 40, 1)
STATED = 10  # labels an image


def batch() -> SparseLabels:
    """Ten labels an image, all present."""
    chance = torch.Generator().manual_seed(0)
    image = torch.arange(IMAGES).repeat_interleave(STATED)
    category = torch.cat([torch.randperm(CATEGORIES, generator=chance)[:STATED] for _ in range(IMAGES)])
    return SparseLabels(image, category, torch.ones(len(image)))


def timed(logits: Tensor, work: Callable[[], Tensor]) -> tuple[float, float]:
    """Seconds of the clock and of the processor for the loss and its gradient."""
    logits.grad = None
    clock, busy = time.perf_counter(), time.process_time()
    work().backward()
    return time.perf_counter() - clock, time.process_time() - busy


def medians(rounds: list[tuple[float, float]]) -> tuple[float, float]:
    clock, busy = zip(*rounds, strict=True)
    return median(clock), median(busy)


@pytest.mark.bench
@pytest.mark.parametrize("threads", sorted({1, os.cpu_count() or 1}))
def test_a_loss_takes_no_longer_than_binary_cross_entropy(
    threads: int, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, before = batch(), torch.get_num_threads()
    written = dense(labels, IMAGES, CATEGORIES, "absent")
    logits = torch.randn(IMAGES, CATEGORIES, generator=torch.Generator().manual_seed(1)).sub_(4)
    logits.requires_grad_()
    plain = nn.BCEWithLogitsLoss()
    lines = [f"{IMAGES} × {CATEGORIES:,}, {STATED} labels an image, {threads} computing threads, on a CPU"]
    torch.set_num_threads(threads)
    torch.rand(1 << 20).pow(
        2.5
    )  # torch 2.14's log1p on AVX-512, which both use, is slow before and fast afterwards
    try:
        for kind, unknown in itertools.product(LOSSES, ("absent", "masked")):
            loss = make_loss(LOSSES[kind].model_validate({"kind": kind}), CATEGORIES, 0)
            work = partial(step, loss, logits, SparseTargets(labels, unknown))
            ours: list[tuple[float, float]] = []
            theirs: list[tuple[float, float]] = []
            for _ in range(TURNS + 1):  # the first is not counted
                theirs.append(timed(logits, lambda: plain(logits, written)))
                ours.append(timed(logits, work))
            (clock, busy), (base, base_busy) = medians(ours[1:]), medians(theirs[1:])
            lines.append(
                f"{kind}, {unknown}: {clock * 1e3:.1f} ms ({busy * 1e3:.1f} of processor time) against "
                f"{base * 1e3:.1f} ({base_busy * 1e3:.1f}): {clock / base:.2f} times ({busy / base_busy:.2f})"
            )
            if FULL and threads == 1:  # where other work takes a core, threads wait for each other
                assert busy / base_busy < 1.5
    finally:
        torch.set_num_threads(before)
    with capsys.disabled():
        print("\n" + "\n".join(lines))


def step(loss: EntryLoss, logits: Tensor, targets: SparseTargets) -> Tensor:
    """What training does with a batch."""
    loss.observe(targets, 0)
    return loss(logits, targets)
