"""How fast a build reads, proves and stores images: one worker against two, alternating.

`make bench` runs it on 100,000 images (the tars of tiny-imagenet as five sources); else on a few.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median

import pytest

from mlimg_build.compiler.pipeline import build
from mlimg_build.spec import load_spec
from tests.support.runs import backend

FULL = os.environ.get("MLIMG_BENCH") == "full"


def spec_text(data: Path) -> str:
    """A spec over the same tars five times, under five names."""
    sources = "".join(f"  s{i}:\n    type: imagenet\n    images: {data}\n" for i in range(5))
    return f"mlimg: 1\nname: speed\nversion: 1.0.0\nsources:\n{sources}"


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.timeout(900)
def test_images_a_second_with_one_and_two_workers(
    collection: Path, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    data = collection / "synsets"
    if FULL:
        data = request.getfixturevalue("shared_data") / "tiny-imagenet" / "train"
    (tmp_path / "speed.yaml").write_text(spec_text(data))
    loaded = load_spec(tmp_path / "speed.yaml")
    rates: dict[int, list[float]] = {1: [], 2: []}
    digests, peak = set(), 0
    for turn in range(3 if FULL else 1):
        for workers, measured in rates.items():
            built = build(loaded, tmp_path / f"{workers}-{turn}", backend(workers))
            measured.append(built.read / built.seconds)
            digests.add(built.digest)
            peak = max(peak, built.peak_memory)
    assert len(digests) == 1
    one, two = (median(rates[workers]) for workers in (1, 2))
    with capsys.disabled():
        print(
            f"\n{built.images:,} images: {one:,.0f} images/s with 1 worker, {two:,.0f} with 2 ({two / one:.2f} times)"
        )
        print(f"peak memory of a worker {peak / 2**20:.0f} MiB")
