"""`mlimg cache` and `NAME.runs`: checkpoints of finished runs go, what models need stays."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.command import mlimg

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.compiler.cache_stage import cache_contents, prune_cache  # noqa: E402
from mlimg_build.compiler.model_stage import make_model, runs_held  # noqa: E402
from mlimg_build.spec import Backend, LoadedSpec, TrainingBackend, load_spec  # noqa: E402

OFTEN = TrainingBackend(loader_workers=0, checkpoint_minutes=0, keep_checkpoints=3, keep_finished=3)


@pytest.fixture(scope="module")
def trained(
    built: tuple[LoadedSpec, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[LoadedSpec, Path]:
    """A dataset with its model, transfer and network from scratch, whose runs keep three checkpoints each."""
    loaded, dataset = built
    out = tmp_path_factory.mktemp("trained") / "out"
    subprocess.run(["cp", "-a", dataset.parent, out], check=True)
    for kind in ("runs", "model"):  # that other tests may have made with settings of theirs
        shutil.rmtree(out / f"{loaded.spec.name}.{kind}", ignore_errors=True)
    make_model(loaded, out, Backend(training=OFTEN))
    return loaded, out


@pytest.fixture
def out(trained: tuple[LoadedSpec, Path], tmp_path: Path) -> Path:
    """A copy that a test may prune."""
    subprocess.run(["cp", "-a", trained[1], tmp_path / "out"], check=True)
    return tmp_path / "out"


def checkpoints(out: Path) -> dict[str, list[str]]:
    """The names of the checkpoints of each run in a folder."""
    return {
        str(path.parent.relative_to(out)): sorted(file.name for file in path.glob("*.pt"))
        for path in sorted(out.rglob("checkpoints"))
    }


def disk_use(folder: Path) -> int:
    """The bytes of all files below a folder, each once however many links it has."""
    states = [path.lstat() for path in folder.rglob("*") if path.is_file()]
    return sum({state.st_ino: state.st_size for state in states}.values())


def test_runs_are_listed_with_their_checkpoints(out: Path) -> None:
    runs = cache_contents([], out).runs
    assert sorted((run.name, run.finished, run.checkpoints) for run in runs) == [
        ("training", True, 3),
        ("transfer", True, 3),
        ("transfer from scratch", True, 3),
    ]
    assert sum(run.bytes for run in runs) < disk_use(out / "small.runs")
    done = mlimg("cache", "--out", out)
    shown = [line for line in done.stdout.splitlines() if " trans" in line or " training" in line]
    assert len(shown) == 3
    assert "unfinished" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


@pytest.mark.parametrize("optimizer", [False, True])
def test_a_prune_frees_what_it_announced_and_keeps_the_last_checkpoint(out: Path, optimizer: bool) -> None:
    last = {run: names[-1:] for run, names in checkpoints(out).items()}
    before = disk_use(out)
    announced = prune_cache([], out, optimizer=optimizer, dry_run=True)
    assert disk_use(out) == before
    pruned = prune_cache([], out, optimizer=optimizer)
    assert checkpoints(out) == last
    assert before - disk_use(out) == pruned.bytes > 0
    assert announced.bytes == pytest.approx(pruned.bytes, rel=5e-3)  # a file is not tensors alone
    again = prune_cache([], out, optimizer=optimizer)
    assert (again.bytes, again.runs) == (0, ())


def test_a_model_is_evaluated_used_and_made_no_second_time_after_a_prune(
    trained: tuple[LoadedSpec, Path], out: Path
) -> None:
    model, dataset = out / "small.model", out / "small.zarr"
    before = json.loads(mlimg("evaluate", model, dataset, "--json").stdout)
    assert mlimg("cache", "prune", "--optimizer", "--out", out).returncode == 0
    assert json.loads(mlimg("evaluate", model, dataset, "--json").stdout) == before
    assert mlimg("evaluate", model / "transfer", dataset, "--json").returncode == 0
    assert make_model(trained[0], out, Backend(training=OFTEN)).again


def test_from_a_slim_checkpoint_is_refused_with_what_to_do(
    trained: tuple[LoadedSpec, Path], out: Path
) -> None:
    path = Path(trained[0].path)
    longer = path.with_name("longer.yaml")
    longer.write_text(path.read_text().replace("  epochs: 2\n  steps_per", "  epochs: 3\n  steps_per"))
    prune_cache([load_spec(longer)], out, optimizer=True)
    (last,) = (out / "small.runs").glob("*/checkpoints/step-00000008.pt")
    done = mlimg("train", longer, "--out", out, "--from", last)
    assert done.returncode == 1
    assert "checkpoint-slim" in done.stderr
    assert "hint" in done.stderr


def test_a_run_that_is_not_finished_keeps_all_it_has(out: Path) -> None:
    for card in (out / "small.runs").rglob("model.json"):
        card.unlink()
    before = checkpoints(out)
    assert prune_cache([], out, optimizer=True).runs == ()
    assert checkpoints(out) == before


def test_runs_of_a_training_that_is_going_on_are_left_alone(out: Path) -> None:
    before = checkpoints(out)
    with runs_held(out / "small.runs"):
        pruned = prune_cache([], out)
    assert [problem.code for problem in pruned.busy] == ["training-running"]
    assert checkpoints(out) == before
