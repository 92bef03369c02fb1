"""Syncing works with and without the kernel's call for a whole file system, and says what failed."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlimg_build import atomic as durable
from mlimg_build.atomic import replacing


def test_a_folder_is_synced_without_the_kernels_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    synced: list[Path] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace())
    monkeypatch.setattr(durable, "sync_file", synced.append)
    durable.sync_all(tmp_path)
    assert synced == [tmp_path / "a" / "file", tmp_path / "a", tmp_path]


def test_a_disk_that_fails_to_sync_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(syncfs=fail))
    with pytest.raises(OSError, match="Input/output") as caught:
        durable.sync_all(tmp_path)
    assert caught.value.errno == errno.EIO


def test_a_new_folder_that_another_process_takes_for_left_over_is_not_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = fcntl.flock, list[int]()

    def flock(descriptor: int, operation: int) -> None:
        if not taken:
            (folder,) = tmp_path.iterdir()
            taken.append(os.open(folder, os.O_RDONLY))
            real(taken[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        real(descriptor, operation | fcntl.LOCK_NB)

    monkeypatch.setattr(fcntl, "flock", flock)
    with replacing(tmp_path / "set") as folder:
        assert folder.stat().st_ino != os.fstat(taken[0]).st_ino
        (folder / "x").write_bytes(b"x")
    os.close(taken[0])
    assert (tmp_path / "set" / "x").read_bytes() == b"x"


def test_a_leftover_that_another_process_removes_first_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, real = tmp_path / ".set.left.new", os.open
    left.mkdir()

    def opened(path: Path, *arguments: int) -> int:
        if path == left:
            left.rmdir()
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", opened)
    with replacing(tmp_path / "set"):
        assert not left.exists()
