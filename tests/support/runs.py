"""What tests of builds share: backends, trees of files, a cluster that is not the build's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mlimg_build.spec import Backend, InlineCluster, LocalCluster

THREE_SOURCES = """\
sources:
  tiny:
    type: imagenet
    images: {data}/tiny-imagenet/train
  imagenet:
    type: imagenet
    images: {data}/imagenet-sample
  coco:
    type: open_images
    images: {data}/coco-open-images/images
    labels: {data}/coco-open-images/annotations-human-imagelabels.csv
    classes: {data}/coco-open-images/class-descriptions.csv
"""


def backend(workers: int = 1) -> Backend:
    """A local cluster of so many workers."""
    return Backend(cluster=LocalCluster(workers=workers))


def inline() -> Backend:
    """No cluster: for tests that are not about Dask."""
    return Backend(cluster=InlineCluster(type="inline"))


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


class external_cluster:  # noqa: N801  read as a function
    """A Dask scheduler and a worker of their own, as a person would start them, on the loopback."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.options = options
        self.file = folder / "scheduler.json"
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> str:
        tests = {"PYTHONPATH": str(Path(__file__).parents[2])}  # functions of tests are run there
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {**os.environ, **tests}}
        dask = str(Path(sys.executable).with_name("dask"))
        self.processes.append(
            subprocess.Popen(
                [
                    dask,
                    "scheduler",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    "0",
                    "--no-dashboard",
                    "--scheduler-file",
                    str(self.file),
                    *(["--protocol", "tls"] if self.options else []),
                    *self.options,
                ],
                **quiet,  # type: ignore[call-overload]
            )
        )
        deadline = time.monotonic() + 30
        address = ""
        while not address and time.monotonic() < deadline:
            time.sleep(0.05)
            with suppress(OSError, ValueError):  # it is not there yet, or half written
                address = json.loads(self.file.read_text())["address"]
        self.processes.append(
            subprocess.Popen(
                [
                    dask,
                    "worker",
                    address,
                    "--host",
                    "127.0.0.1",
                    "--nthreads",
                    "1",
                    "--nworkers",
                    "1",
                    "--no-dashboard",
                    "--local-directory",
                    str(self.folder),
                    *self.options,
                ],
                **quiet,  # type: ignore[call-overload]
            )
        )
        return address

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(5)
            except (
                subprocess.TimeoutExpired
            ):  # a worker whose scheduler was killed tries to say goodbye to it
                process.kill()
                process.wait(30)
