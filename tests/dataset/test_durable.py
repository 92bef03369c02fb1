"""Syncing works with and without the kernel's call for a whole file system, and says what failed."""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlimg_build import atomic as durable


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
