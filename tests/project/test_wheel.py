"""What a user installs: what the sdist and the wheel hold, and the data found from the wheel."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from mlimg_build.images import native

ROOT = Path(__file__).resolve().parents[2]
NATIVE = "mlimg_build/images/native"
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
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist of a copy of the files that git knows, and a wheel built from it, in one folder."""
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
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


def test_the_sdist_has_what_the_extension_is_built_from_and_the_wheel_what_was_built(
    built: Path, wheel: Path
) -> None:
    sources = {f"{NATIVE}/{path.name}" for path in (ROOT / NATIVE).iterdir()}
    assert {Path(name).suffix for name in sources} == {".c", ".h"}
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        assert sources <= {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.endswith((".c", ".h", ".o"))]
    modules = [name for name in names if name.endswith((".so", ".pyd"))]
    assert len(modules) == (native is not None)
    assert all(name.startswith("mlimg_build/images/_native.") for name in modules)


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
