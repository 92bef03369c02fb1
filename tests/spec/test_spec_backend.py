"""Backends: found by name or by file, with the same errors as specs."""

import re
from pathlib import Path

import pytest

from mlimg_build.errors import SpecError
from mlimg_build.spec import Backend, LocalCluster, SchedulerCluster, load_backend, shipped_backends

PROFILES = Path(__file__).resolve().parents[2] / "backends"


def installed() -> None:
    pytest.importorskip(
        "mlimg_build.backends", reason="the project is not installed, so its profiles are not found by name"
    )


def test_without_a_file_the_build_runs_on_this_machine() -> None:
    assert load_backend(None) == Backend(backend=1, cluster=LocalCluster(workers=None, memory=None))


def test_the_local_profile_says_what_runs_without_a_file() -> None:
    assert load_backend(PROFILES / "local.yaml", {}) == load_backend(None)


def test_the_scheduler_profile_takes_its_address_from_the_environment() -> None:
    backend = load_backend(PROFILES / "scheduler.yaml", {"DASK_SCHEDULER": "tcp://10.0.0.1:8786"})
    assert backend.cluster == SchedulerCluster(
        type="scheduler", address="tcp://10.0.0.1:8786", timeout_seconds=30
    )
    with pytest.raises(SpecError, match="DASK_SCHEDULER is not set"):
        load_backend(PROFILES / "scheduler.yaml", {})


def test_shipped_profiles_are_found_by_name() -> None:
    installed()
    assert list(shipped_backends()) == ["inline", "local", "scheduler"]
    assert load_backend(Path("local")) == load_backend(None)
    assert shipped_backends()["local"] == (PROFILES / "local.yaml").read_text()


def test_a_name_that_is_neither_file_nor_profile_is_refused(tmp_path: Path) -> None:
    installed()
    with pytest.raises(SpecError) as caught:
        load_backend(Path("lokal"))
    assert caught.value.code == "backend-missing"
    assert caught.value.problems[0].hint == 'did you mean "local"?'
    with pytest.raises(SpecError) as caught:
        load_backend(tmp_path / "none.yaml")
    assert caught.value.code == "backend-missing"
    assert "local or scheduler" in (caught.value.problems[0].hint or "")


def test_a_file_wins_over_a_profile_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("local").write_text("backend: 1\ncluster: {type: local, workers: 3, memory: 2 GiB}\n")
    assert load_backend(Path("local")).cluster == LocalCluster(workers=3, memory=2**31)


@pytest.mark.parametrize("address", ["tcp://h:1", "tls://a.b:8786", "tcp://[::1]:8786", "ws://h:80"])
def test_addresses_of_schedulers_are_accepted(address: str) -> None:
    assert SchedulerCluster(type="scheduler", address=address).address == address


@pytest.mark.parametrize("name", ["inline", "local", "scheduler"])
def test_every_field_of_a_profile_is_explained(name: str) -> None:
    for line in (PROFILES / f"{name}.yaml").read_text().splitlines():
        if re.match(r"\s*\w+: \S", line):
            assert "#" in line, line
