"""The command line in this process: what a test sees of a run, without the seconds that a process takes to start."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from mlimg_build.cli import run

__all__ = ["mlimg"]


def mlimg(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One run of the command; signals and closed pipes want a process of their own."""
    out, err = io.StringIO(), io.StringIO()
    with inside(cwd), redirect_stdout(out), redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return subprocess.CompletedProcess([str(one) for one in arguments], code, out.getvalue(), err.getvalue())


@contextmanager
def inside(folder: Path | None) -> Iterator[None]:
    """The working directory is `folder` for a while; None leaves it."""
    before = Path.cwd()
    os.chdir(folder or before)
    try:
        yield
    finally:
        os.chdir(before)
