"""Bring files of others to the doors: `python -m tests.fuzz.run_corpus FOLDER [DOOR=GLOB …]` prints a table.

Each file goes to the door whose suffix it has, or to DOOR where a GLOB matches its path below the folder; DOOR:FILE
names the file that it is taken for at a door with several. Nothing is copied or kept. A file in uuencode (`.uu`) is
decoded first, as libarchive's tests have them.
"""

from __future__ import annotations

import argparse
import binascii
import os
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from tests.fuzz.door import Door, Flaw, input_of, judge
from tests.fuzz.doors import DOORS

__all__ = ["main", "tried"]

LARGEST = 64 << 20  # bytes of a file
PATIENCE = 60.0  # seconds of the clock that one file may take
SHOWN = 4  # outcomes in the table


def door_of(path: Path, below: str, chosen: dict[str, str]) -> str | None:
    """The door for a file, or DOOR:FILE; None if there is none."""
    for name, glob in chosen.items():
        if fnmatch(below, glob):
            return name
    suffix = path.suffix.lower()
    return None if chosen else next((door.name for door in DOORS.values() if suffix in door.suffixes), None)


def content(path: Path) -> bytes:
    """The bytes of a file, decoded if it is one in uuencode."""
    data = path.read_bytes()
    if path.suffix != ".uu":
        return data
    made = []
    for line in data.splitlines()[1:]:
        if line.strip() in (b"end", b"`", b""):
            break
        try:
            made.append(binascii.a2b_uu(line))
        except binascii.Error:  # trailing bytes of a lax encoder
            made.append(binascii.a2b_uu(line[: (((line[0] - 32) & 63) * 4 + 5) // 3]))
    return b"".join(made)


def tried(door: Door, path: Path, file: str = "") -> str:
    """How a file ends at a door: "value", a code, or "FLAW: …"; in a process of its own, as it may die or hang."""
    with tempfile.TemporaryDirectory(prefix="mlimg-corpus-") as folder:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                data = content(path)
                outcome = judge(door, Path(folder) / "room", input_of(door, file, data) if file else data)
            except Flaw as flaw:
                outcome = f"FLAW: {flaw}"
            except BaseException as error:
                outcome = f"FLAW: {error!r}"
            os.write(writing, outcome.encode("utf-8", "replace")[:4000])
            os._exit(0)
        os.close(writing)
        end = time.monotonic() + PATIENCE
        while (done := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > end:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                os.close(reading)
                return f"FLAW: {door.name}: no end in {PATIENCE:.0f} s"
            time.sleep(0.002)
        with os.fdopen(reading, "rb") as stream:
            said = stream.read().decode()
    code = os.waitstatus_to_exitcode(done[1])
    return (
        said
        if code == 0
        else f"FLAW: {door.name}: died of {signal.Signals(-code).name if code < 0 else code}"
    )


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
    for path in files(asked.folder):
        below = path.relative_to(asked.folder).as_posix()
        name = door_of(path, below, chosen)
        if name is None or path.stat().st_size > LARGEST:
            continue
        outcome = tried(DOORS[name.partition(":")[0]], path, name.partition(":")[2])
        if outcome.startswith("FLAW"):
            flaws.append(f"{below}: {outcome}")
            outcome = "flaw"
        outcomes[name][outcome] += 1
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
