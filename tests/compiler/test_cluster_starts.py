"""A local cluster that cannot start ends a build with one error that says why, and leaves no process behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import dask
import psutil
import pytest
from distributed import Client

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.engine import cluster
from mlimg_build.compiler.engine.start_failures import explaining_start
from mlimg_build.compiler.pipeline import build
from mlimg_build.errors import BackendError
from mlimg_build.spec import Backend, LoadedSpec, LocalCluster
from tests.support.runs import backend

SCRIPT = """
import json, os, resource, sys
from pathlib import Path
import mlimg_build.compiler.pipeline as pipeline
from mlimg_build.errors import MlimgError
from mlimg_build.spec import Backend, LocalCluster, load_spec

spec, out, before = sys.argv[1:]
exec(before)
try:
    print(json.dumps(pipeline.build(load_spec(Path(spec)), Path(out), Backend(cluster=LocalCluster(workers=2))).digest))
except MlimgError as error:
    print(json.dumps([[problem.code, problem.message, problem.hint] for problem in error.problems]))
"""
GONE = "os.mkdir(out + '-gone'); os.chdir(out + '-gone'); os.rmdir(out + '-gone')"
FEW = "resource.setrlimit(resource.RLIMIT_NOFILE, (25, 25))"


def run(spec: LoadedSpec, out: Path, before: str) -> object:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, spec.path, str(out), before],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_workers_get_a_folder_that_exists(spec: LoadedSpec, built: Built, tmp_path: Path) -> None:
    assert run(spec, tmp_path / "out", GONE) == built.digest


@pytest.mark.slow
def test_few_descriptors_are_said(spec: LoadedSpec, tmp_path: Path) -> None:
    assert run(spec, tmp_path / "out", FEW) == [
        [
            "workers-not-started",
            "the workers could not be started: too many open files",
            "raise the limit of open files (`ulimit -n`), or take fewer workers; `--backend inline` builds without "
            "workers",
        ]
    ]


def test_a_slow_machine_is_said_and_nothing_is_left(spec: LoadedSpec, tmp_path: Path) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    hasty = Backend(cluster=LocalCluster(workers=1, timeout_seconds=0.05))
    with pytest.raises(BackendError) as caught:
        build(spec, tmp_path / "out", hasty)
    assert caught.value.code == "workers-not-started"
    assert "within 0.05 s" in str(caught.value)
    assert "cluster.timeout_seconds" in str(caught.value)
    with dask.config.set({"distributed.comm.timeouts.connect": "1ms"}), pytest.raises(BackendError) as caught:
        build(spec, tmp_path / "out", backend(1))
    assert "did not start within" in str(caught.value)
    left = [process for process in psutil.Process().children(recursive=True) if process.pid not in before]
    workers = [process for process in left if "spawn_main" in " ".join(process.cmdline())]
    assert workers == []
    assert not any((tmp_path / "out" / ".mlimg" / "small" / "tmp").iterdir())


def test_a_build_that_is_stopped_while_workers_start_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: object, **options: object) -> Client:
        os.kill(os.getpid(), signal.SIGTERM)
        return Client(*arguments, **options)

    monkeypatch.setattr(cluster, "Client", stopped)
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with (
        pytest.raises(KeyboardInterrupt),
        cluster.cluster_client(LocalCluster(workers=1), tmp_path / "scratch", lambda: "", 1),
    ):
        pytest.fail("it was not stopped")
    left = [process for process in psutil.Process().children(recursive=True) if process.pid not in before]
    assert [process for process in left if "spawn_main" in " ".join(process.cmdline())] == []


def test_a_daemonic_process_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    with pytest.raises(BackendError) as caught, explaining_start(1):
        pass
    assert "a daemonic process may not start workers" in str(caught.value)
    assert "--backend inline" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OSError(28, "No space left on device", "/tmp/x"), "TMPDIR"),
        (PermissionError(13, "Permission denied", "/out"), "permissions"),
        (FileNotFoundError(2, "No usable temporary directory found"), "temporary folder"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "ulimit -u"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (ValueError("what nobody thought of"), "--backend inline"),
    ],
)
def test_the_cause_is_said_with_what_helps(error: Exception, hint: str) -> None:
    with pytest.raises(BackendError) as caught, explaining_start(1):
        raise RuntimeError("Nanny failed to start.") from error
    (problem,) = caught.value.problems
    assert hint in (problem.hint or "")
    assert (getattr(error, "strerror", None) or str(error)).lower() in problem.message.lower()


def test_a_process_that_ends_at_once_is_told_from_other_causes() -> None:
    with pytest.raises(BackendError) as caught, explaining_start(1):
        raise RuntimeError("Nanny failed to start worker process")
    assert "a process ended while it started" in str(caught.value)
    assert "ulimit -u" in str(caught.value)
