"""What is read is the file that was planned, or it is said why not: gone, changed, away, unreadable or not read."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlimg_build.errors import SourceError, TransientError
from mlimg_build.sources import WHOLE_FILE, ImageReader
from tests.support.source_world import write, write_tar

MEMBER = 512  # where the bytes of a tar's first member begin


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two files in a folder and a tar beside it."""
    write(tmp_path / "root/cat/1.jpg", b"one")
    write(tmp_path / "root/cat/2.jpg", b"two")
    write_tar(tmp_path / "root/dog.tar", {"1.jpg": b"dog"})
    return tmp_path / "root"


def planned(path: Path) -> tuple[int, int]:
    """Size and mtime of a file, as a plan sees them."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def failing(monkeypatch: pytest.MonkeyPatch, name: str, code: int, times: int = 1 << 30) -> None:
    """`os.open` of every path that ends with `name` fails, so many times."""
    real, left = os.open, [times]

    def open_(path: Any, *given: Any, **named: Any) -> int:
        if str(path).endswith(name) and left[0]:
            left[0] -= 1
            raise OSError(code, os.strerror(code), str(path))
        return real(path, *given, **named)

    monkeypatch.setattr(os, "open", open_)


def refusal(root: Path, path: str, size: int, mtime: int, offset: int = WHOLE_FILE) -> SourceError:
    with ImageReader(root, "pets") as reader, pytest.raises(SourceError) as caught:
        reader.read_planned(path, offset, size, mtime)
    assert "source pets" in str(caught.value)
    assert caught.value.problems[0].hint
    return caught.value


def test_the_file_that_was_planned_is_read_with_its_ctime(root: Path) -> None:
    size, mtime = planned(root / "cat/1.jpg")
    _, tar_mtime = planned(root / "dog.tar")
    with ImageReader(root) as reader:
        assert reader.read_planned("cat/1.jpg", WHOLE_FILE, size, mtime) == (
            b"one",
            (root / "cat/1.jpg").stat().st_ctime_ns,
        )
        assert reader.read_planned("dog.tar", MEMBER, 3, tar_mtime)[0] == b"dog"


def test_another_size_is_another_file_even_with_the_old_time(root: Path) -> None:
    size, mtime = planned(root / "cat/1.jpg")
    (root / "cat/1.jpg").write_bytes(b"longer")
    os.utime(root / "cat/1.jpg", ns=(mtime, mtime))
    error = refusal(root, "cat/1.jpg", size, mtime)
    assert error.code == "source-changed"
    assert "it had 3 bytes and has 6" in str(error)
    assert not isinstance(error, TransientError)


@pytest.mark.parametrize(("path", "offset"), [("cat/1.jpg", WHOLE_FILE), ("dog.tar", MEMBER)])
def test_another_time_of_change_is_another_file(root: Path, path: str, offset: int) -> None:
    _, mtime = planned(root / path)
    os.utime(root / path, ns=(mtime, mtime + 1))
    assert refusal(root, path, 3, mtime, offset).code == "source-changed"


def test_a_tar_that_was_cut_and_got_its_time_back_gives_no_half_image(root: Path) -> None:
    _, mtime = planned(root / "dog.tar")
    os.truncate(root / "dog.tar", MEMBER + 2)
    os.utime(root / "dog.tar", ns=(mtime, mtime))
    assert refusal(root, "dog.tar", 3, mtime, MEMBER).code == "source-changed"


def test_a_file_that_changes_while_it_is_read_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, mtime = planned(root / "cat/1.jpg")
    real = os.pread

    def growing(descriptor: int, count: int, offset: int) -> bytes:
        data = real(descriptor, count, offset)
        with (root / "cat/1.jpg").open("ab") as stream:
            stream.write(b"more")
        return data

    monkeypatch.setattr(os, "pread", growing)
    assert "while it was read" in str(refusal(root, "cat/1.jpg", size, mtime))


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(root: Path) -> None:
    size, mtime = planned(root / "cat/1.jpg")
    (root / "cat/1.jpg").unlink()
    os.mkfifo(root / "cat/1.jpg")
    assert refusal(root, "cat/1.jpg", size, mtime).code == "source-changed"


def test_a_file_is_gone_only_where_a_fresh_listing_of_a_folder_lacks_it(root: Path) -> None:
    size, mtime = planned(root / "cat/1.jpg")
    (root / "cat/1.jpg").unlink()
    with ImageReader(root) as reader, pytest.raises(FileNotFoundError):
        reader.read_planned("cat/1.jpg", WHOLE_FILE, size, mtime)


def test_a_file_that_is_back_when_its_folder_is_listed_is_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, mtime = planned(root / "cat/1.jpg")
    failing(monkeypatch, "cat/1.jpg", errno.ENOENT, times=1)
    with ImageReader(root) as reader:
        assert reader.read_planned("cat/1.jpg", WHOLE_FILE, size, mtime)[0] == b"one"


def test_many_gone_files_of_one_folder_cost_one_listing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(100):
        write(root / f"cat/gone{i}.jpg")
    states = [planned(root / f"cat/gone{i}.jpg") for i in range(100)]
    for i in range(100):
        (root / f"cat/gone{i}.jpg").unlink()
    real, listed = os.listdir, []

    def listdir(folder: Any) -> list[str]:
        listed.append(folder)
        return real(folder)

    monkeypatch.setattr(os, "listdir", listdir)
    with ImageReader(root) as reader:
        for i, (size, mtime) in enumerate(states):
            with pytest.raises(FileNotFoundError):
                reader.read_planned(f"cat/gone{i}.jpg", WHOLE_FILE, size, mtime)
    assert len(listed) <= 4


def renamed(root: Path) -> None:
    root.rename(root.with_name("away"))


def emptied(root: Path) -> None:
    """As the place of a mount is when nothing is mounted there."""
    shutil.rmtree(root)
    root.mkdir()


def without_the_folder(root: Path) -> None:
    shutil.rmtree(root / "cat")


def with_an_empty_folder(root: Path) -> None:
    shutil.rmtree(root / "cat")
    (root / "cat").mkdir()


def a_link_to_nowhere(root: Path) -> None:
    (root / "cat/1.jpg").unlink()
    (root / "cat/1.jpg").symlink_to("/nowhere/1.jpg")


@pytest.mark.parametrize(
    "lose", [renamed, emptied, without_the_folder, with_an_empty_folder, a_link_to_nowhere]
)
def test_a_folder_that_is_away_says_nothing_about_its_files(root: Path, lose: Callable[[Path], None]) -> None:
    size, mtime = planned(root / "cat/1.jpg")
    lose(root)
    error = refusal(root, "cat/1.jpg", size, mtime)
    assert error.code == "source-away"
    assert isinstance(error, TransientError)


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EPERM])
def test_a_bad_block_or_a_permission_concerns_one_file(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    size, mtime = planned(root / "cat/1.jpg")
    failing(monkeypatch, "cat/1.jpg", code)
    error = refusal(root, "cat/1.jpg", size, mtime)
    assert error.code == "file-unreadable"
    assert os.strerror(code) in str(error)
    assert "unreadable: keep" in str(error)
    assert isinstance(error, TransientError)


@pytest.mark.parametrize(
    "code",
    [
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ESTALE,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.ENODEV,
        errno.ENXIO,
        errno.EBUSY,
        errno.EAGAIN,
        errno.ENOLCK,
        errno.ECONNRESET,
        errno.EREMOTEIO,
    ],
)
def test_the_state_of_a_process_or_a_mount_is_no_fact_about_a_file(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    for path, offset in (("cat/1.jpg", WHOLE_FILE), ("dog.tar", MEMBER)):
        _, mtime = planned(root / path)
        with monkeypatch.context() as patched:
            failing(patched, path, code)
            error = refusal(root, path, 3, mtime, offset)
        assert error.code == "read-failed"
        assert os.strerror(code) in str(error)
        assert isinstance(error, TransientError)


def test_a_bad_block_in_a_folder_that_cannot_be_listed_is_the_mount_s(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, mtime = planned(root / "cat/1.jpg")
    failing(monkeypatch, "cat/1.jpg", errno.EIO)

    def scandir(folder: Any) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder))

    monkeypatch.setattr(os, "scandir", scandir)
    error = refusal(root, "cat/1.jpg", size, mtime)
    assert error.code == "source-away"
    assert "cannot be listed" in str(error)


def test_a_stale_handle_of_a_tar_is_opened_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, mtime = planned(root / "dog.tar")
    with ImageReader(root) as reader:
        assert reader.read_planned("dog.tar", MEMBER, 3, mtime)[0] == b"dog"
        with monkeypatch.context() as patched:

            def stale(descriptor: int, count: int, offset: int) -> bytes:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

            patched.setattr(os, "pread", stale)
            with pytest.raises(TransientError):
                reader.read_planned("dog.tar", MEMBER, 3, mtime)
        opened: list[Any] = []
        real = os.open
        monkeypatch.setattr(os, "open", lambda path, *more: opened.append(path) or real(path, *more))
        assert reader.read_planned("dog.tar", MEMBER, 3, mtime)[0] == b"dog"
    assert len(opened) == 1


def test_a_folder_that_goes_away_after_a_file_of_it_was_gone_is_away(root: Path) -> None:
    """The listing that showed the one to be gone says nothing of a folder that is not there any more."""
    write(root / "cat/3.jpg", b"three")
    states = {name: planned(root / f"cat/{name}.jpg") for name in ("2", "3")}
    (root / "cat/2.jpg").unlink()
    (root / "cat/3.jpg").unlink()
    with ImageReader(root, "pets") as reader:
        with pytest.raises(FileNotFoundError):
            reader.read_planned("cat/2.jpg", WHOLE_FILE, *states["2"])
        (root / "cat").rename(root.parent / "cat")
        with pytest.raises(TransientError) as caught:
            reader.read_planned("cat/3.jpg", WHOLE_FILE, *states["3"])
    assert caught.value.code == "source-away"
