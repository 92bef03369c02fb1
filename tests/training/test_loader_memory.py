"""Room in /dev/shm for batches of processes: counted before they start, and an error if it fills later."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.dataset import Dataset, open_dataset  # noqa: E402
from mlimg_build.errors import TrainingError  # noqa: E402
from mlimg_build.spec import Backend, LoadedSpec, TrainingBackend  # noqa: E402
from mlimg_build.training import BatchLoader, BatchPlan  # noqa: E402
from mlimg_build.training.data import loader_memory  # noqa: E402
from mlimg_build.training.data.loader_memory import (  # noqa: E402
    needed_bytes,
    piece_bytes,
    pieces_at_once,
    require_room,
)
from tests.training.test_batches import stream as any_stream  # noqa: E402
from tests.training.test_runs import part  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SMALL = 16 << 20


def stream(dataset: Dataset, **changes: object) -> BatchPlan:
    """Batches that processes make."""
    return any_stream(dataset, decoder="whole", **changes)


def test_a_piece_of_256_images_of_224_pixels_takes_38_megabytes(dataset: Dataset) -> None:
    plan = stream(dataset, batch_size=1024, sizes=((0, 24),))
    assert (plan.pieces, plan.piece_images) == (4, 256)
    assert 38 * 10**6 < piece_bytes(plan, 256, 224) < 39 * 10**6
    assert [pieces_at_once(plan, workers, prefetch) for workers, prefetch in ((1, 1), (2, 2))] == [5, 8]
    assert [needed_bytes(plan, steps, 2, 2) // piece_bytes(plan, 256, 24) for steps in (1, 100)] == [4, 8]


def test_the_largest_size_of_the_steps_to_come_counts(dataset: Dataset) -> None:
    plan = stream(dataset, batch_size=64, sizes=((0, 24), (2, 96)))
    assert needed_bytes(plan, 3, 1, 2) > 3 * 3 * 96 * 96 * 64 > needed_bytes(plan, 2, 1, 2)


def test_too_little_room_is_an_error_with_what_fits(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = stream(dataset, batch_size=256, sizes=((0, 224),))
    need = needed_bytes(plan, 100, 4, 2)
    free = SimpleNamespace(f_frsize=4096, f_bavail=need // 4096, f_blocks=1 << 20)
    monkeypatch.setattr(loader_memory.os, "statvfs", lambda path: free)
    require_room(plan, 100, 4, 2)
    free.f_bavail -= 1
    with pytest.raises(TrainingError) as caught:
        require_room(plan, 100, 4, 2)
    (problem,) = caught.value.problems
    assert problem.code == "loader-failed"
    assert "9 pieces of 256 images" in problem.message
    assert problem.hint
    assert "loader_workers: 3" in problem.hint
    assert f"--shm-size={-(-need // 2**20) + 1}m" in problem.hint
    free.f_bavail = (64 << 20) // 4096  # as Docker gives
    with pytest.raises(TrainingError, match="loader_workers: 0"):
        require_room(plan, 100, 1, 2)
    require_room(plan, 100, 0, 2)
    require_room(plan, 1, 1, 2)  # one piece is all that is made
    free.f_bavail = free.f_blocks = 0  # a tmpfs without a limit
    require_room(plan, 100, 4, 2)


def test_a_training_looks_before_it_starts(
    built: tuple[LoadedSpec, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlimg_build.compiler.model_stage import make_model

    shutil.copytree(built[1], tmp_path / "small.zarr")
    whole = part(built[0]).model_copy(update={"decoder": "whole"})  # so that processes load
    by_processes = replace(built[0], spec=built[0].spec.model_copy(update={"training": whole}))
    little = SimpleNamespace(f_frsize=4096, f_bavail=20, f_blocks=20)
    monkeypatch.setattr(loader_memory.os, "statvfs", lambda path: little)
    with pytest.raises(TrainingError, match=r"room for 0\.1 MiB"):
        make_model(by_processes, tmp_path, Backend(training=TrainingBackend(loader_workers=1)))
    assert not list(tmp_path.glob("small.runs/*/checkpoints"))
    made = make_model(
        by_processes, tmp_path, Backend()
    )  # nobody asked for processes: there are none, which is said
    assert {"loader-room"} <= {warning.code for warning in made.warnings}


def in_small_shared_memory(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this module with a /dev/shm of `SMALL` bytes; skips where no such mount may be made."""
    mount = f"mount -t tmpfs -o size={SMALL} tmpfs /dev/shm"
    for flags in ("-m", "-rm"):
        tried = subprocess.run(
            ["unshare", flags, "sh", "-c", mount], capture_output=True, text=True, check=False, timeout=30
        )
        if not tried.returncode:
            break
    else:
        pytest.skip(f"no mount namespace: {tried.stderr.strip()}")
    command = f'{mount} && exec "$@"'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["unshare", flags, "sh", "-c", command, "sh", sys.executable, "-m", __name__, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("unshare"), reason="there is no `unshare`")
def test_loaders_use_what_is_counted_and_full_memory_is_an_error(dataset: Dataset) -> None:
    with TemporaryDirectory(dir="/tmp") as folder:  # other temporary folders may lie in /dev/shm
        done = in_small_shared_memory(str(shutil.copytree(dataset.path, Path(folder) / "small.zarr")))
    assert done.returncode == 0, done.stderr
    peak, need = (int(word) for word in done.stdout.splitlines()[0].split())
    assert 0.9 * need < peak <= need
    assert "loader-failed" in done.stdout
    assert "No space left on device" in done.stdout
    assert "Traceback" not in done.stderr


def main(path: str) -> None:
    """Print what is used at most and what was counted; then fill the memory, and print the error that follows."""
    import time

    def used() -> int:
        at = os.statvfs("/dev/shm")
        return (at.f_blocks - at.f_bfree) * at.f_frsize

    plan = stream(open_dataset(path), batch_size=64, sizes=((0, 64),))
    batches = BatchLoader(plan, 0, 100).load(2)
    first = next(batches)
    before, until = -1, time.monotonic() + 30
    while (now := used()) != before and time.monotonic() < until:  # until no more is made ahead
        before = now
        time.sleep(1)
    print(now, needed_bytes(plan, 100, 2, 2))
    with Path("/dev/shm/full").open("wb") as full:
        os.posix_fallocate(full.fileno(), 0, SMALL - now)
    try:
        print(len([first, *batches]))  # none is given back
    except TrainingError as error:
        print(error)


if __name__ == "__main__":
    main(sys.argv[1])
