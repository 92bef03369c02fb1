"""The shared data, where it is there, and how long laws are tried."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from mlimg_build.compiler.engine import retries
from mlimg_build.images import available_decoder

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


MEMORY, ROOM = Path("/dev/shm"), 4 << 30

if (
    not {"TMPDIR", "MLIMG_BENCH"} & set(os.environ)
    and os.access(MEMORY, os.W_OK)
    and shutil.disk_usage(MEMORY).free > ROOM
):
    os.environ["TMPDIR"] = str(MEMORY)  # tests write many small files and sync each: twice as fast in memory
    tempfile.tempdir = None


if (
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN
):  # as a shell leaves it that starts tests in the background
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # else no process that a test starts hears of Ctrl-C


settings.register_profile("ci", max_examples=25)
settings.register_profile("full", max_examples=200)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their argument: what is packed when tests are collected may differ between two processes."""
    return argname if isinstance(val, bytes) else None


def pytest_report_header() -> str:
    """Says which decoder the tests meet: `whole` skips those of the compiled extension."""
    return f"decoder of training images: {available_decoder()}"


COLLECTED = pytest.StashKey[set[Path]]()


LONGEST = (  # files, so that no process is left with one of them when the others are done
    *("training/test_use", "compiler/test_build_copies", "training/test_runs", "training/test_runs_killed"),
    *(
        "compiler/test_ci_example",
        "cli/test_commands",
        "compiler/test_build_sources",
        "compiler/test_build_whole",
    ),
    *("compiler/test_build_safety", "compiler/test_build_processes", "compiler/test_labels_only"),
    *(
        "nets/test_state_machine",
        "project/test_without_torch",
        "cli/test_source_away",
        "compiler/test_label_scale",
    ),
    *("labels/test_label_mapping_truth", "training/test_ranks", "compiler/test_external_partitions"),
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Remembers the files with tests before markers leave some out, and puts those that take longest first.

    Of a test that is marked `few(N)`, the parameter sets after the first N are slow.
    """
    config.stash[COLLECTED] = {item.path for item in items}
    seen: Counter[str] = Counter()
    for item in items:
        few = item.get_closest_marker("few")
        if few is not None:
            name = item.nodeid.partition("[")[0]
            seen[name] += 1
            if seen[name] > few.args[0]:
                item.add_marker("slow")
    turn = {Path(__file__).parent / f"{name}.py": i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: turn.get(item.path, len(turn)))


@pytest.fixture
def collected_files(pytestconfig: pytest.Config) -> set[Path]:
    """The files in which tests were found, where all were asked for."""
    asked = {Path(one).resolve() for one in pytestconfig.args}
    if asked != {Path(__file__).parent}:
        pytest.skip("only some of the tests were asked for")
    return pytestconfig.stash[COLLECTED]


@pytest.fixture(scope="session", autouse=True)
def commands_without_dask() -> None:
    """Commands run their tasks inline, also in processes of their own; a test about Dask asks for `--backend local`."""
    os.environ["MLIMG_BACKEND"] = str(Path(__file__).parent / "support" / "backend.yaml")


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails for a cause that may pass is tried again at once."""
    monkeypatch.setattr(retries, "PAUSES", (0.01, 0.02, 0.03))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the real data for tests, ../shared/data, is not there")
    return SHARED
