"""The store: every file whole, under the sha256 of its bytes; damage is found when it is read."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mlimg_build.errors import BuildError
from mlimg_build.fetch.store.content_store import (
    ContentStore,
    FolderStore,
    ObjectStore,
    object_path,
    open_content_store,
)
from tests.support.other_user import as_nobody, folder_for_all

DATA = b"the bytes of an image" * 100
DIGEST = hashlib.sha256(DATA).hexdigest()


def in_folder(folder: Path) -> ContentStore:
    return open_content_store(str(folder / "store"))


def in_objects(folder: Path) -> ContentStore:
    pytest.importorskip("obstore", reason="the extra `fetch` is not installed")
    (folder / "store").mkdir(exist_ok=True)
    return open_content_store((folder / "store").as_uri())


@pytest.fixture(params=[in_folder, in_objects])
def opened(request: pytest.FixtureRequest) -> Callable[[Path], ContentStore]:
    found: Callable[[Path], ContentStore] = request.param
    return found


def test_what_is_written_is_read_by_its_digest(
    opened: Callable[[Path], ContentStore], tmp_path: Path
) -> None:
    store = opened(tmp_path)
    assert store.read(DIGEST) is None
    assert [store.write(DATA), store.write(DATA)] == [DIGEST, DIGEST]
    assert store.read(DIGEST) == DATA
    assert store.has(DIGEST, len(DATA))
    assert not store.has(DIGEST, len(DATA) + 1)
    assert list(store.digests()) == [DIGEST]
    assert isinstance(store, FolderStore | ObjectStore)


def test_a_damaged_file_is_not_there_and_is_written_anew(
    opened: Callable[[Path], ContentStore], tmp_path: Path
) -> None:
    store = opened(tmp_path)
    store.write(DATA)
    path = tmp_path / "store" / object_path(DIGEST)
    path.write_bytes(b"x" + DATA[1:])
    assert store.read(DIGEST) is None
    assert not path.exists()
    store.write(DATA)
    assert store.read(DIGEST) == DATA


def test_a_removed_file_is_gone(opened: Callable[[Path], ContentStore], tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.write(DATA)
    assert store.remove(DIGEST)
    assert not store.remove(DIGEST)
    assert list(store.digests()) == []


def test_threads_that_write_the_same_file_leave_one(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    threads = [threading.Thread(target=store.write, args=(DATA,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(store.digests()) == [DIGEST]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_killed_writer_leaves_no_half_file_under_a_digest(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mlimg_build.fetch.store.content_store import FolderStore\n"
        "store, number = FolderStore(Path(sys.argv[1])), 0\n"
        "print('ready', flush=True)\n"
        "while True:\n    store.write(number.to_bytes(4, 'little') * 100_000); number += 1"
    )
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        threading.Event().wait(0.2)
        writer.kill()
        writer.wait()
        writer.stdout.close()
    store = FolderStore(tmp_path)
    digests = list(store.digests())
    assert len(digests) > 3
    assert all(store.read(digest) is not None for digest in digests)
    store.sweep()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_store_where_nothing_may_be_written_is_one_error() -> None:
    with folder_for_all() as folder, as_nobody(), pytest.raises(BuildError, match="cannot be made") as found:
        FolderStore(folder / "store")
    assert found.value.code == "store-unusable"


def test_a_file_as_a_store_and_a_scheme_that_is_none_are_one_error_each(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError) as found:
        open_content_store(str(tmp_path / "file"))
    assert found.value.code == "store-unusable"
    pytest.importorskip("obstore")
    with pytest.raises(BuildError) as found:
        open_content_store("nonsense://bucket/x")
    assert found.value.code == "store-unusable"
