"""Write files and folders atomically, so that they survive a power cut; report a full disk as one error."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlimg_build.errors import BuildError, DatasetError, MlimgError, Problem, TransientError

__all__ = [
    "ensure_writable",
    "explaining_full_disk",
    "fit_modes",
    "is_temporary",
    "lock_new",
    "process_umask",
    "replace_file",
    "replacing",
    "replacing_file",
    "save_json",
    "sync_all",
    "sync_file",
    "sync_tree",
    "write_synced",
]

NEW, OLD = ".new", ".old"
AT_CWD, EXCHANGE = -100, 2
TRIES = 10  # new folders that another process may remove
KEPT = "free some space and run the same command again; what is finished is kept"


def sync_file(path: Path) -> None:
    """Sync the content of a file, or the entries of a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> dict[str, int]:
    """Sync everything under `root` to the disk; return the size in bytes of every file by its path below `root`.

    A file with a second hard link belongs to an artefact, and was synced when the artefact was written.
    """
    sizes: dict[str, int] = {}
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(folder, name)
            state = path.stat()
            if state.st_nlink == 1:
                sync_file(path)
            sizes[path.relative_to(root).as_posix()] = state.st_size
        sync_file(Path(folder))
    return dict(sorted(sizes.items()))


def sync_all(folder: Path) -> None:
    """Sync everything under `folder` to the disk, by one call for its whole file system if the kernel has it.

    For a thousand small files this waits once instead of a thousand times.
    """
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        sync_tree(folder)
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def save_json(path: Path, value: object) -> None:
    """Write `value` as JSON to `path`, atomically and synced to the disk."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    sync_file(temporary)
    temporary.replace(path)
    sync_file(path.parent)


def process_umask() -> int:
    """Return the mask of modes of this process."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("\nUmask:")[2].split(maxsplit=1)[0], 8)
    except (OSError, ValueError, IndexError):
        mask = os.umask(0o077)  # there is no way to ask without setting it
        os.umask(mask)
        return mask


def fit_modes(folder: Path, umask: int) -> None:
    """Give a folder and all below it the modes that a process with this mask would have given them."""
    for base, _, names in os.walk(folder):
        Path(base).chmod(0o777 & ~umask)
        for name in names:
            Path(base, name).chmod(0o666 & ~umask)


@contextmanager
def explaining_full_disk(path: Path, hint: str = KEPT) -> Iterator[None]:
    """Turn an `OSError` for lack of space inside the block into `DatasetError` `disk-full`; others pass unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = f"the disk that holds {path} is full"
        raise DatasetError(Problem("disk-full", message, hint=hint)) from error


def ensure_writable(path: Path) -> None:
    """Return if a file can be written to `path`, whose folder may have to be made: asked before hours of work.

    Raises:
        MlimgError: `output-unwritable` if `path` is a folder, or a folder above it is a file or may not be written to.
    """
    why = ""
    if path.is_dir():
        why = "it is a folder"
    elif not path.exists():
        above = next(one for one in path.absolute().parents if one.exists())
        if not above.is_dir():
            why = f"{above} is a file"
        elif not os.access(above, os.W_OK | os.X_OK):
            why = f"nothing may be written to {above}"
    if why:
        message = f"{path} cannot be written: {why}"
        raise MlimgError(Problem("output-unwritable", message, hint="give the path of another file"))


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and sync its bytes to the disk."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file atomically and sync it: whoever reads `path` sees the old bytes or the new ones.

    A link at `path` stays one; an existing file keeps its mode.
    """
    target = Path(os.path.realpath(path))
    with explaining_full_disk(path):
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(number, "wb") as stream:
                stream.write(data)
            mode = target.stat().st_mode & 0o7777 if target.is_file() else 0o666 & ~process_umask()
            temporary.chmod(mode)
            sync_file(temporary)
            temporary.replace(target)
            sync_file(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield the path of a new file beside `path`, which replaces it, synced, if the block succeeds.

    Folders above it are made. If the block fails, the new file is removed and `path` is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with explaining_full_disk(path):
        try:
            yield temporary
            sync_file(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty directory beside `path` that replaces it if the block succeeds.

    Everything in it is synced to the disk before it is renamed. If the block fails, it is removed and `path` is
    unchanged. Leftovers of killed runs are removed first; a directory that a live process is writing is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clean(path)
    temporary, lock = _made_beside(path)
    try:
        temporary.chmod(0o777 & ~process_umask())  # mkdtemp's 0700 would exclude all other readers
        yield temporary
        sync_all(temporary)
        _swap(temporary, path)
        sync_file(path.parent)
    finally:
        os.close(lock)
        shutil.rmtree(temporary, ignore_errors=True)


def lock_new(folder: Path) -> int:
    """Return the descriptor that holds the lock of a new folder.

    Raises:
        FileNotFoundError: if the folder was removed before it was locked.
        BlockingIOError: if another process locked it first, which is about to remove it.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # without locks, only the age of a folder tells whether it is abandoned
            pass
        if folder.stat().st_ino != os.fstat(lock).st_ino:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    except BaseException:
        os.close(lock)
        raise
    return lock


@contextmanager
def holding(lock: Path, busy: Problem) -> Iterator[None]:
    """Hold the lock that the file `lock` stands for; it is created, and stays.

    Raises:
        BuildError: with `busy` if another process holds it, "lock-refused" if it cannot be opened or locked.
    """
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except OSError as error:
        message = f"{lock} cannot be opened: {error.strerror}"
        raise BuildError(
            Problem("lock-refused", message, hint="look at its permissions, or give another --out")
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BuildError(busy) from error
        except OSError as error:
            message = f"{lock} cannot be locked: {error.strerror or error}"
            hint = "the file system may have no locks, as NFS without lockd: put --out on another disk"
            raise BuildError(Problem("lock-refused", message, hint=hint)) from error
        yield
    finally:
        os.close(descriptor)


def is_temporary(path: Path) -> bool:
    """Return whether `path` is a directory that `replacing` was still writing, or was about to remove."""
    return path.name.startswith(".") and path.name.endswith((NEW, OLD))


def _swap(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`; an old directory at `path` is then at `temporary`, or removed."""
    if not path.exists():
        temporary.rename(path)
        return
    if exchange_names(temporary, path):
        return
    old = temporary.with_suffix(OLD)
    path.rename(old)
    try:
        temporary.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def exchange_names(one: Path, other: Path) -> bool:
    """Swap two names in one step (Linux renameat2); return whether that succeeded, as not every file system can."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return rename is not None and rename(AT_CWD, os.fsencode(one), AT_CWD, os.fsencode(other), EXCHANGE) == 0


def _made_beside(path: Path) -> tuple[Path, int]:
    """Return a new folder and the descriptor that holds its lock."""
    for _ in range(TRIES):
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=NEW, dir=path.parent))
        with suppress(FileNotFoundError, BlockingIOError):  # another process takes it for left over
            return temporary, lock_new(temporary)
    message = f"new folders beside {path} are removed as soon as they are made"
    hint = "let one process at a time write it, and run the same command again"
    raise TransientError(Problem("scratch-contested", message, hint=hint))


def _clean(path: Path) -> None:
    for leftover in sorted(path.parent.glob(f".{_literal(path.name)}.*")):
        if not is_temporary(leftover) or not leftover.is_dir():
            continue
        if leftover.name.endswith(OLD) and not path.exists():
            leftover.rename(path)  # killed between the two renames: the old one is still the valid one
            continue
        try:
            descriptor = os.open(leftover, os.O_RDONLY)
        except OSError:  # another process was faster
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(leftover, ignore_errors=True)
        except OSError:  # its writer is alive
            continue
        finally:
            os.close(descriptor)


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
