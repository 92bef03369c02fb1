"""Arguments that are not UTF-8, odd environments, a working folder that is gone: it works, or is one error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlimg_build.cli import run
from tests.support.command import mlimg
from tests.support.photographs import crops

SPEC = "mlimg: 1\nname: few\nversion: 1.0.0\nsources: {s: {type: folder, images: img}}\n"
ODD = "o\udce9"  # what Python makes of the byte 0xe9
COMMAND = (sys.executable, "-c", "from mlimg_build.cli import main; main()")
HERE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, its dataset and its lock, each also under a name that is not UTF-8."""
    folder = tmp_path_factory.mktemp("few")
    (folder / "img" / "dog").mkdir(parents=True)
    for number, data in enumerate(crops("chelsea", 2)):
        (folder / "img" / "dog" / f"{number}.jpg").write_bytes(data)
    (folder / "spec.yaml").write_text(SPEC)
    assert mlimg("build", "spec.yaml", "--until", "dataset", cwd=folder).returncode == 0
    shutil.copy(folder / "spec.yaml", folder / f"{ODD}.yaml")
    shutil.copytree(folder / "build" / "few.zarr", folder / f"{ODD}.zarr")
    shutil.copytree(folder / "build" / "few.lock", folder / f"{ODD}.lock")
    return folder


@pytest.mark.parametrize(
    "line",
    [
        *(
            f"{verb} {ODD}.yaml"
            for verb in ("check", "plan", "lint", "lock", "map", "build", "train", "cache")
        ),
        *(f"{verb} spec.yaml --out {ODD}" for verb in ("plan", "lint", "lock", "map", "build", "train")),
        *(f"{verb} spec.yaml --backend {ODD}" for verb in ("lint", "lock", "build", "train")),
        *(f"{verb} {ODD}.zarr" for verb in ("info", "verify", "verify --labels", "report", "info --json")),
        f"why {ODD}.zarr s/dog/0",
        *(f"why build/few.zarr {ODD}{more}" for more in ("", " dog", " --json")),
        f"why build/few.zarr s/dog/0 {ODD}",
        f"lock spec.yaml --lock {ODD}.new",
        f"lock spec.yaml --check --lock {ODD}.lock",
        f"build spec.yaml --until dataset --locked --lock {ODD}.lock",
        f"build spec.yaml --until dataset --locked --lock {ODD}",
        f"lint spec.yaml --to {ODD}.txt",
        f"map spec.yaml --to {ODD}.csv",
        f"train spec.yaml --dataset {ODD}.zarr",
        f"train spec.yaml --from {ODD}",
        f"report build/few.zarr --to {ODD}.html",
        f"report build/few.zarr --model {ODD}",
        f"export build/few.zarr {ODD}.tars --to webdataset",
        f"export {ODD}.zarr new --to webdataset",
        f"export build/few.zarr new --to {ODD}",
        f"export build/few.zarr newer --to webdataset --split {ODD}",
        f"evaluate {ODD} {ODD}.zarr",
        f"predict {ODD} {ODD}",
        f"diff {ODD}.yaml spec.yaml",
        f"diff {ODD}.zarr build/few.zarr",
        f"diff {ODD}.lock {ODD}.zarr --markdown",
        f"init {ODD}.new.yaml",
        f"wordnet find {ODD}",
        f"wordnet compile {ODD} --to {ODD}.npz",
        f"cache --out {ODD}",
        f"cache prune --out {ODD}",
        ODD,
        f"build --{ODD}",
    ],
    ids=ascii,
)
def test_arguments_that_are_not_utf_8_work_or_are_one_error(few: Path, line: str) -> None:
    done = mlimg(*line.split(), cwd=few)
    assert done.returncode in (0, 1, 2)
    if done.returncode:
        assert "rror" in done.stderr
    assert "Traceback" not in done.stderr


ENVIRONMENTS = [
    {"COLUMNS": "abc"},
    {"COLUMNS": "-1", "LINES": "x", "TERMINAL_WIDTH": "y"},
    {"NO_COLOR": "1"},
    {"FORCE_COLOR": "1", "COLUMNS": "0"},
    {"TERM": "nonsense"},
    {"TMPDIR": "/nowhere"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LANG": "xx_YY.latin9", "TZ": "No/Where", "HOME": "/nonexistent"},
    {"PYTHONIOENCODING": "ascii"},
    {"DASK_DISTRIBUTED__COMM": "[1", "OMP_NUM_THREADS": "abc"},
]


ALONE = [
    pytest.param(environment, id=" ".join(environment), marks=pytest.mark.slow)
    for environment in ENVIRONMENTS
]
TOGETHER = [
    pytest.param(
        {name: value for environment in ENVIRONMENTS[first::3] for name, value in environment.items()},
        id=f"every third from {first}",
    )
    for first in range(3)
]


@pytest.mark.few(1)
@pytest.mark.parametrize("odd", [*TOGETHER, *ALONE])
def test_a_build_does_not_mind_its_environment(few: Path, tmp_path: Path, odd: dict[str, str]) -> None:
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE), "MLIMG_BACKEND": os.environ["MLIMG_BACKEND"]}
    line = ("build", "spec.yaml", "--until", "dataset", "--out", str(tmp_path))
    done = subprocess.run([*COMMAND, *line], cwd=few, env={**bare, **odd}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "few.zarr" / "zarr.json").is_file()


@pytest.mark.slow
def test_a_working_folder_that_is_gone_is_said(few: Path, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    start = "from mlimg_build.cli import main\nmain()"
    code = f"import os\nos.mkdir({gone!r})\nos.chdir({gone!r})\nos.rmdir({gone!r})\n{start}"
    env = {**os.environ, "PYTHONPATH": str(HERE)}

    def run(*line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *line], capture_output=True, text=True, env=env, check=False
        )

    absolute = ("build", str(few / "spec.yaml"), "--until", "dataset", "--out", str(tmp_path / "out"))
    assert run(*absolute).returncode == 0
    shutil.rmtree(tmp_path / "out")
    relative = run("build", str(few / "spec.yaml"))
    assert relative.returncode == 1
    assert "the working folder is gone" in relative.stderr
    assert "Traceback" not in relative.stderr


LACKING = """
import sys, threading
from mlimg_build.cli import run

def fail(*_):
    raise {lacking}

threading.Thread.start = fail
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ('RuntimeError("can\'t start new thread")', "no thread can be started"),
        ("MemoryError", "there is not enough memory"),
    ],
)
def test_a_machine_without_threads_or_memory_is_one_error(lacking: str, said: str, few: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-c", LACKING.format(lacking=lacking), "build", "spec.yaml"),
            *("--out", "lacking", "--backend", "inline"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=few,
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_other_errors_of_the_program_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of mlimg")

    monkeypatch.setattr("mlimg_build.cli.app", fail)
    with pytest.raises(RuntimeError, match="a fault of mlimg"):
        run(["--help"])


def test_a_place_that_is_taken_is_said_before_anything_is_read(
    few: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (few / "taken").mkdir()
    (few / "taken" / "few.zarr").write_text("something else\n")
    assert run(["build", f"{few}/spec.yaml", "--out", f"{few}/taken", "--backend", "inline"]) == 1
    said = capsys.readouterr().err
    assert "not-replaceable" in said
    assert "reading source" not in said
    assert run(["build", f"{few}/spec.yaml", "--out", f"{few}/taken/few.zarr", "--backend", "inline"]) == 1
    assert "--out is a file" in capsys.readouterr().err
