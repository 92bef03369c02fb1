"""Files have the modes that the driver's umask gives them, whichever process writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlimg_build.atomic import process_umask
from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.report_stage import write_report
from mlimg_build.dataset import verify
from mlimg_build.spec import Backend, LoadedSpec, SchedulerCluster
from tests.support.file_modes import masked, wrong_modes
from tests.support.runs import external_cluster, inline


@pytest.mark.slow
@pytest.mark.parametrize(
    ("driver", "workers"),
    [
        (0o077, 0o022),
        *(pytest.param(*masks, marks=pytest.mark.slow) for masks in ((0o022, 0o077), (0o002, 0o027))),
    ],
)
def test_modes_follow_the_driver(
    spec: LoadedSpec, built: Built, tmp_path: Path, driver: int, workers: int
) -> None:
    (tmp_path / "cluster").mkdir()
    with masked(workers):
        cluster = external_cluster(tmp_path / "cluster")
        address = cluster.__enter__()
    try:
        with masked(driver):
            joined = Backend(cluster=SchedulerCluster(type="scheduler", address=address))
            made = build(spec, tmp_path / "out", joined)
            write_report(made.dataset, made.dataset.with_suffix(".html"))
    finally:
        cluster.__exit__()
    assert made.digest == built.digest
    assert wrong_modes(tmp_path / "out", driver) == []
    assert verify(made.dataset).ok


def test_modes_of_a_process_alone_follow_it_too(spec: LoadedSpec, tmp_path: Path) -> None:
    with masked(0o027):
        assert process_umask() == 0o027
        made = build(spec, tmp_path / "out", inline())
        write_report(made.dataset, made.dataset.with_suffix(".html"))
    assert wrong_modes(tmp_path / "out", 0o027) == []
