"""What a user installs: the wheel's top level, and the data found from it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import mlimg_build, sys
from pathlib import Path
from mlimg_build.spec import load_backend, shipped_backends
from mlimg_build.wordnet import load
print(Path(mlimg_build.__file__).parent)
print(sorted(shipped_backends()), load_backend(Path("local")).cluster.type)
print(len(load()))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the files that git knows."""
    copy = tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        source, target = ROOT / name, copy / name
        if source.is_file() and name.split("/")[0] in (
            "mlimg_build",
            "backends",
            "pyproject.toml",
            "README.md",
            "LICENSE",
            "NOTICE",
        ):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_top_level_is_mlimg_build_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"mlimg_build"}
    assert {"mlimg_build/py.typed", "mlimg_build/backends/local.yaml", "mlimg_build/spec/init.yaml"} <= set(
        names
    )
    assert any(name.endswith("licenses/NOTICE") for name in names)


def test_every_module_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    listed = subprocess.run(
        ["git", "ls-files", "mlimg_build"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = {
        name
        for name in listed.stdout.splitlines()
        if name.endswith((".py", ".npz", ".zip", ".yaml", ".html", ".css", ".js"))
    }
    assert modules <= names


def test_profiles_and_wordnet_are_found_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    found = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(site)!r})\n{PROGRAM}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout.splitlines()
    assert found == [str(site / "mlimg_build"), "['inline', 'local', 'scheduler'] local", "82115"]


def test_profiles_and_wordnet_are_found_from_an_editable_install(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert found.stdout.splitlines()[1:] == ["['inline', 'local', 'scheduler'] local", "82115"]
