"""A door is where bytes of others come in; whatever they are, it gives a value or one error with a known code."""

from __future__ import annotations

import ast
import gc
import os
import re
import resource
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import FrameType

import pyarrow as pa

import mlimg_build
from mlimg_build.errors import MlimgError, Problem
from mlimg_build.spec import render

__all__ = ["MEMORY", "SECONDS", "Door", "Flaw", "input_of", "judge"]

SECONDS = 2.0  # of processor time that one input may take
RESERVED = (
    0 if pa.default_memory_pool().backend_name == "system" else 2 << 30
)  # addresses that Arrow takes at once
MEMORY = (1 << 30) + RESERVED  # bytes that one input may take
MANY_FILES = 64  # more open files than before
LONGEST = 5_000  # characters of a line of a message or a hint
PACKAGE = Path(mlimg_build.__file__).parent
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Late(BaseException):
    """An input took too long; no handler of `Exception` may catch it."""


class Flaw(AssertionError):
    """A door did something else than give a value or one error; `signature` is the same for the same cause."""

    def __init__(self, signature: str, story: str) -> None:
        super().__init__(f"{signature}\n{story}")
        self.signature = signature


@dataclass(frozen=True, slots=True)
class Door:
    """Where a file comes in.

    `enter` reads the file at a path in every way in which mlimg does. `seeds` gives inputs that are in order. A door
    with several `files` has a folder that `furnish` fills; an input is one of them: its name, a line feed, its bytes.
    `place` writes the bytes of a file, `repair` makes checksums fit, `tokens` are words of the format, and `tree` says
    that the files are JSON or YAML. `suffixes` are those of the files of others that can be tried, `needs` the packages
    without which the door is shut, `share` is how much longer than others a slow one is fuzzed.
    """

    name: str
    enter: Callable[[Path], object]
    seeds: Callable[[], Sequence[bytes]]
    files: tuple[str, ...] | Callable[[], tuple[str, ...]] = ("input",)
    furnish: Callable[[Path], object] = lambda room: None
    place: Callable[[Path, bytes], object] = Path.write_bytes
    repair: Callable[[bytes], bytes] | None = None
    tokens: tuple[bytes, ...] = ()
    tree: bool = False
    suffixes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    share: float = 1.0
    rooms: dict[Path, dict[str, bytes]] = field(default_factory=dict, repr=False)

    def names(self) -> tuple[str, ...]:
        """The files that may be an input."""
        return self.files if isinstance(self.files, tuple) else self.files()

    def split(self, data: bytes) -> tuple[str, bytes]:
        """The file that an input is, and its bytes."""
        names = self.names()
        if len(names) == 1:
            return names[0], data
        first, _, rest = data.partition(b"\n")
        name = first.decode("utf-8", "replace")
        return (name, rest) if name in names else (names[0], data)


def input_of(door: Door, name: str, data: bytes) -> bytes:
    """The input that is this file."""
    return data if len(door.names()) == 1 else name.encode() + b"\n" + data


def judge(door: Door, room: Path, data: bytes, seconds: float | None = None) -> str:
    """Bring one input to a door; returns "value" or the code of its error.

    `room` is a folder of this door alone, empty at first. `seconds` of processor time are `SECONDS` unless given.

    Raises:
        Flaw: for any other exception, a wrong error, too much time or memory, a file left behind.
    """
    whole = _whole(door, room)
    name, body = door.split(data)
    path = room / name
    path.unlink(missing_ok=True)
    door.place(path, body)
    before, opened = _files(room), _open_files()
    try:
        outcome = _entered(door, path, seconds or SECONDS)
    finally:
        after = _files(room)
        for left in after.keys() - before.keys():
            (room / left).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        changed = {left for left, _ in after.items() ^ before.items()}
        for one in (changed | {name}) & whole.keys():
            (room / one).write_bytes(whole[one])
    if changed:
        kind = "changed" if after.keys() == before.keys() else "came or went"
        raise Flaw(f"{door.name}: files {kind}", ", ".join(sorted(changed)))
    if _open_files() > opened + MANY_FILES:
        gc.collect()
        if _open_files() > opened + MANY_FILES:
            raise Flaw(f"{door.name}: files stay open", f"{opened} before, {_open_files()} after")
    return outcome


def _entered(door: Door, path: Path, seconds: float) -> str:
    try:
        with limited(seconds), warnings.catch_warnings():
            warnings.simplefilter("error")
            door.enter(path)
    except MlimgError as error:
        _check_error(door, error)
        return error.code
    except Late:
        raise Flaw(f"{door.name}: too long", f"more than {seconds} s") from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        story = "".join(traceback.format_exception(error)[-12:])
        raise Flaw(f"{door.name}: {type(error).__name__} at {_where(error)}", story[-3000:]) from None
    return "value"


def _check_error(door: Door, error: MlimgError) -> None:
    """An error has problems with known codes, and is shown without trouble."""
    wrong = [] if error.problems else ["no problem"]
    for problem in error.problems:
        if problem.code not in known_codes():
            wrong.append(f"the code {problem.code!r}")
        if not problem.message.strip():
            wrong.append("no message")
        longest = max(
            len(line) for text in (problem.message, problem.hint or "") for line in text.split("\n")
        )
        if longest > LONGEST:
            wrong.append(f"a long message: {longest} characters in a line")
        if "Traceback" in problem.message:
            wrong.append("a traceback")
    try:
        for problem in (*error.problems[:5], *error.problems[-1:]):
            _shown(problem)
    except Exception as other:
        wrong.append(f"it cannot be shown: {other!r}"[:200])
    if wrong:
        raise Flaw(
            f"{door.name}: an error with {wrong[0].split(':')[0]}", f"{str(wrong[:5])[:500]}: {error!s:.1000}"
        )


def _shown(problem: Problem) -> None:
    def text_of(file: str) -> str | None:
        try:
            return Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    render(problem, text_of).encode()


@lru_cache(maxsize=1)
def known_codes() -> frozenset[str]:
    """Every literal of the package that may be a code: none is made of what a file says."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                found.add(node.value)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found.add(node.targets[0].id.replace("_", "-"))  # the members of `Status`
    return frozenset(found)


def _where(error: BaseException) -> str:
    """The innermost line of the package in an exception's traceback, of any file if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(str(PACKAGE))] or frames
    frame = own[-1]
    return f"{Path(frame.filename).name}:{frame.name}: {(frame.line or '')[:60]}"


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Within, processor time and memory are bounded."""

    def late(number: int, frame: FrameType | None) -> None:
        raise Late

    handler = signal.signal(signal.SIGPROF, late)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY, before[1]))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGPROF, handler)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  `iterdir` lists them all the same


def _whole(door: Door, room: Path) -> dict[str, bytes]:
    """The files of a furnished room, as they are in order."""
    if room not in door.rooms:
        room.mkdir(parents=True, exist_ok=True)
        door.furnish(room)
        door.rooms[room] = {
            path.relative_to(room).as_posix(): path.read_bytes() for path in room.rglob("*") if path.is_file()
        }
    return door.rooms[room]


def _files(room: Path) -> dict[str, tuple[int, int]]:
    """The files below a folder: their size and when they were written."""
    found = {}
    for folder, _, names in os.walk(room):
        below = os.path.relpath(folder, room)
        for name in names:
            status = Path(folder, name).lstat()
            found[name if below == "." else f"{below}/{name}"] = (status.st_size, status.st_mtime_ns)
    return found
