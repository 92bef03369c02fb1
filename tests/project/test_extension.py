"""The compiled extension is built where it can be, and nothing is lost where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from mlimg_build.images import native

ROOT = Path(__file__).resolve().parents[2]
NATIVE = "mlimg_build/images/native"
PROBE = """
#include <stdio.h>
#include <jpeglib.h>
#include <Python.h>
#if LIBJPEG_TURBO_VERSION_NUMBER < 2000000
#error "too old"
#endif
int probe(void) { struct jpeg_error_mgr errors; return jpeg_std_error(&errors) != NULL; }
"""


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A C compiler that finds Python's headers and libjpeg-turbo; skips where there is none."""
    folder = tmp_path_factory.mktemp("probe")
    (folder / "probe.c").write_text(PROBE)
    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    include = sysconfig.get_paths()["include"]
    command += ["-shared", "-fPIC", f"-I{include}", "probe.c", "-ljpeg", "-o", "probe.so"]
    if not shutil.which(command[0]):
        pytest.skip(f"there is no {command[0]}")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the extension cannot be built here: {done.stderr.strip().splitlines()[0]}")


def fails_to_build(folder: Path, **variables: str) -> bool:
    """Run the build of the extension alone on a copy of its sources, which must end well; whether it made none."""
    shutil.copytree(ROOT / NATIVE, folder / NATIVE)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "-c", "from setuptools import setup; setup()", "build_ext", "--inplace"]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    told = 'building extension "mlimg_build.images._native" failed' in done.stdout + done.stderr
    return told and not list(folder.rglob("_native*"))


@pytest.mark.usefixtures("compiler")
def test_the_extension_is_built_where_it_can_be() -> None:
    """Otherwise `rm .venv/.installed` and `make test` build it; a compiler may have come after the installation."""
    assert native is not None


def test_without_a_compiler_the_build_goes_on_without_it(tmp_path: Path) -> None:
    assert fails_to_build(tmp_path, CC=str(tmp_path / "no-compiler"))


def test_without_the_headers_of_libjpeg_the_build_goes_on_without_it(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "jpeglib.h").write_text('#error "as if there were none"\n')
    assert fails_to_build(tmp_path, CPATH=str(hidden))
