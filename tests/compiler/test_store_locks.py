"""Locks and places of results: what refuses says why, and nothing is given up without a word."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlimg_build.compiler.engine.cache import Key, Store
from mlimg_build.compiler.engine.scratch_folders import scratch_folder
from mlimg_build.compiler.model_stage import runs_held
from mlimg_build.compiler.run.repair import forget_lists
from mlimg_build.errors import BuildError, TransientError


def test_a_file_system_without_locks_is_no_other_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    for held in (Store(tmp_path / "store").exclusive_lock(), runs_held(tmp_path / "runs")):
        with pytest.raises(BuildError) as caught, held:
            pytest.fail("it was entered without a lock")
        assert caught.value.code == "lock-refused"
        assert "No locks available" in str(caught.value)


def test_two_builds_and_two_trainings_exclude_each_other(tmp_path: Path) -> None:
    for code, enter in (
        ("build-running", lambda: Store(tmp_path / "store").exclusive_lock()),
        ("training-running", lambda: runs_held(tmp_path / "runs")),
    ):
        with enter(), pytest.raises(BuildError) as caught, enter():
            pytest.fail("it was entered twice")
        assert caught.value.code == code
        with enter():
            """And afterwards it is free again."""


def test_a_result_that_finds_no_place_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, key = Store(tmp_path), Key("labels", 1, {"a": 1})
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if Path(target) == store.path(key):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(TransientError) as caught, store.create(key) as (folder, _):
        (folder / "data").write_bytes(b"x")
    assert caught.value.code == "result-contested"
    assert not store.has(key)


def test_a_new_folder_that_a_cleaner_locks_first_is_not_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, cleaner = fcntl.flock, list[int]()

    def flock(descriptor: int, operation: int) -> None:
        if not cleaner:
            (folder,) = tmp_path.iterdir()
            cleaner.append(os.open(folder, os.O_RDONLY))
            real(cleaner[0], operation)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with scratch_folder(tmp_path) as folder:
        assert folder.stat().st_ino != os.fstat(cleaner[0]).st_ino
        assert [*tmp_path.iterdir()] == [folder]
    os.close(cleaner[0])


def test_a_new_folder_that_a_cleaner_removes_first_is_not_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, removed = os.open, list[Path]()

    def opened(path: Path, *arguments: int) -> int:
        if not removed:
            removed.append(path)
            path.rmdir()
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", opened)
    with scratch_folder(tmp_path) as folder:
        assert removed != [folder]
        assert folder.is_dir()


def test_a_leftover_that_may_not_be_removed_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(path: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    store = Store(tmp_path / "store")
    with store.scratch() as folder:
        left = folder.with_name(folder.name[:-4] + "left")
        left.mkdir()
        monkeypatch.setattr(Path, "rename", rename)
        store.clean()
        assert left.is_dir()


def test_a_repair_leaves_what_a_task_of_another_build_is_writing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.create(Key("rows", 1, {"a": 1})) as (folder, _):
        (folder / "part").write_bytes(b"x")
    with store.scratch() as living:
        (living / "part").write_bytes(b"x")
        forget_lists(store)
        assert (living / "part").is_file()
        assert [*store.root.iterdir()] == [store.root / "tmp"]
        assert [*(store.root / "tmp").iterdir()] == [living]


def test_a_result_that_is_made_again_is_there_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, key, real, there = Store(tmp_path), Key("labels", 1, {"a": 1}), shutil.rmtree, list[bool]()

    def rmtree(*arguments: Any, **options: Any) -> None:
        there.append(store.entry(key) is not None)
        real(*arguments, **options)

    for data in (b"first", b"second"):
        with store.create(key) as (folder, _):
            (folder / "data").write_bytes(data)
        monkeypatch.setattr(shutil, "rmtree", rmtree)
    assert set(there) == {True}
    assert (store.path(key) / "data").read_bytes() == b"second"
    assert not any((tmp_path / "tmp").iterdir())
