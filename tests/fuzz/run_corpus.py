"""Bring files of others to the doors: `python -m tests.fuzz.run_corpus FOLDER [DOOR=GLOB …]` prints a table.

Each file goes to the door whose suffix it has, or to DOOR where a GLOB matches its path below the folder; DOOR:FILE
names the file that it is taken for at a door with several. Nothing is copied or kept. A file in uuencode (`.uu`) is
decoded first, as libarchive's tests have them.
"""

from __future__ import annotations

import argparse
import binascii
import json
import os
import select
import signal
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, NoReturn

from tests.fuzz.door import Door, Flaw, input_of, judge
from tests.fuzz.doors import DOORS

__all__ = ["Try", "main", "tried"]

LARGEST = 64 << 20  # bytes of a file
PATIENCE = 300.0  # seconds of the clock that one file may take
SECONDS = 60.0  # of processor time: files of others have hundreds of thousands of rows
ENDS = (b"end", b"`", b"")  # of a file in uuencode
SHOWN = 4  # outcomes in the table


def door_of(path: Path, below: str, chosen: dict[str, str]) -> str | None:
    """The door for a file, or DOOR:FILE; None if there is none."""
    for name, glob in chosen.items():
        if fnmatch(below, glob):
            return name
    suffix = path.suffix.lower()
    return None if chosen else next((door.name for door in DOORS.values() if suffix in door.suffixes), None)


def content(path: Path) -> bytes:
    """The bytes of a file, decoded if it is one in uuencode; what stands before its `begin` is passed over."""
    data = path.read_bytes()
    if path.suffix != ".uu":
        return data
    lines = iter(data.splitlines())
    if not any(line.startswith(b"begin ") for line in lines):
        return data
    return b"".join(binascii.a2b_uu(line) for line in takewhile(lambda line: line.strip() not in ENDS, lines))


class Try(NamedTuple):
    """A file for a door, and the name that it is taken for at a door with several."""

    door: Door
    path: Path
    file: str = ""


def tried(tries: Sequence[Try]) -> Iterator[str]:
    """How each file ends at its door: "value", a code, or "FLAW: …". A process that dies or hangs is a flaw, too."""
    done = 0
    while done < len(tries):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _each(tries[done:], writing)
        os.close(writing)
        for outcome in _answers(reading):
            yield outcome
            done += 1
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if done < len(tries):
            name = tries[done].door.name
            dead = signal.Signals(-code).name if code < 0 else f"exit {code}"
            yield f"FLAW: {name}: " + (
                f"no end in {PATIENCE:.0f} s" if dead == "SIGKILL" else f"died: {dead}"
            )
            done += 1


def _each(tries: Sequence[Try], writing: int) -> NoReturn:
    """Write the outcome of each file to a pipe, and end the process."""
    with tempfile.TemporaryDirectory(prefix="mlimg-corpus-") as folder:
        for door, path, file in tries:
            try:
                data = content(path)
                data = input_of(door, file, data) if file else data
                outcome = judge(door, Path(folder) / door.name, data, SECONDS)
            except Exception as error:
                outcome = f"FLAW: {error if isinstance(error, Flaw) else repr(error)}"
            os.write(writing, json.dumps(outcome[:4000]).encode() + b"\n")
    os._exit(0)


def _answers(reading: int) -> Iterator[str]:
    """Yield the lines of a pipe until it ends, or nothing comes for too long."""
    rest = b""
    while select.select([reading], [], [], PATIENCE)[0] and (data := os.read(reading, 1 << 16)):
        *lines, rest = (rest + data).split(b"\n")
        yield from map(json.loads, lines)


def files(folder: Path) -> Iterator[Path]:
    """The regular files below a folder, in their order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and ".git" not in path.parts:
            yield path


def main(arguments: list[str] | None = None) -> int:
    """Print a Markdown row for each kind of file, then the flaws; returns 1 if there are flaws."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.run_corpus", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("chosen", nargs="*", metavar="DOOR=GLOB", help="a door for the files that match")
    parser.add_argument("--name", default="", help="of the project, for the table")
    asked = parser.parse_args(arguments)
    chosen = dict(one.split("=", 1) for one in asked.chosen)
    if unknown := {one.partition(":")[0] for one in chosen} - set(DOORS):
        parser.error(f"no such door: {', '.join(sorted(unknown))}")
    for one in chosen:
        DOORS[one.partition(":")[0]].seeds()  # loads what the door needs, once for all files
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    flaws: list[str] = []
    tries: list[tuple[str, Try]] = []
    for path in files(asked.folder):
        name = door_of(path, path.relative_to(asked.folder).as_posix(), chosen)
        if name is not None and path.stat().st_size <= LARGEST:
            tries.append((name, Try(DOORS[name.partition(":")[0]], path, name.partition(":")[2])))
    for (name, one), outcome in zip(tries, tried([one for _, one in tries]), strict=True):
        if outcome.startswith("FLAW"):
            flaws.append(f"{one.path.relative_to(asked.folder)}: {outcome}")
        outcomes[name]["flaw" if outcome.startswith("FLAW") else outcome] += 1
    project = asked.name or asked.folder.name
    print("| project | kind | files | values | errors by code | flaws |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, counted in outcomes.items():
        codes = [(code, count) for code, count in counted.most_common() if code not in ("value", "flaw")]
        told = [f"{count} `{code}`" for code, count in codes[:SHOWN]]
        more = sum(count for _, count in codes[SHOWN:])
        listed = ", ".join([*told, *([f"{more} others"] if more else [])]) or "none"
        total = sum(counted.values())
        print(f"| {project} | {kind} | {total:,} | {counted['value']:,} | {listed} | {counted['flaw']} |")
    for flaw in flaws:
        print(flaw)
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main())
