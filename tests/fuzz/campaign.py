"""A run of some time: each door in a process of its own, so that one that dies or hangs is a finding as well."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from mlimg_build.atomic import save_json
from tests.fuzz.door import Door, Flaw, input_of, judge
from tests.fuzz.doors import DOORS
from tests.fuzz.mutators import inputs

__all__ = ["CORPUS", "Tally", "campaign", "kept", "main", "minimised"]

CORPUS = Path(__file__).with_name("corpus")
ROUND = 200  # examples
STUCK = 60.0  # seconds of the clock without a new input, after which a process is ended
SHRINKING = 20.0  # seconds for each finding
NICE = 10
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # where the inputs are written


@dataclass(slots=True)
class Tally:
    """What came of a door's inputs: how many, how they ended, and its flaws: signature → (input, story)."""

    inputs: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    flaws: dict[str, tuple[bytes, str]] = field(default_factory=dict)


def kept(door: Door) -> dict[str, bytes]:
    """The regressions of a door, by name."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / door.name).glob("*"))}


def campaign(names: list[str], seconds: float, first_seed: int, found: Path) -> dict[str, Tally]:
    """Fuzz each of the doors for its `share` of the time; flaws are written to `found`/DOOR/SIGNATURE."""
    tallies = {}
    each = seconds / sum(DOORS[name].share for name in names)
    for name in names:
        tally = tallies[name] = Tally()
        end, number = time.monotonic() + each * DOORS[name].share, first_seed
        while (left := end - time.monotonic()) > 0:
            with tempfile.TemporaryDirectory(prefix="mlimg-fuzz-", dir=MEMORY) as folder:
                died = _attended(name, left, number, Path(folder), found)
                _add(tally, Path(folder), died, name, found)
            number += 1_000_000
        _print(name, tally)
    return tallies


def _attended(name: str, seconds: float, number: int, folder: Path, found: Path) -> str | None:
    """Run one door in a process; returns how it died, None if it came to its end."""
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "--inside",
        name,
        str(seconds),
        str(number),
        str(folder),
        str(found),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        current, since = folder / "current", time.monotonic()
        while (code := process.poll()) is None:
            time.sleep(0.2)
            if current.exists():
                since = max(since, time.monotonic() - (time.time() - current.stat().st_mtime))
            if time.monotonic() - since > STUCK:
                process.kill()
                process.wait()
                return f"no end in {STUCK:.0f} s"
    if code == 0:
        return None
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _add(tally: Tally, folder: Path, died: str | None, name: str, found: Path) -> None:
    """Take over what a process counted; of one that died, the input that it had."""
    if (folder / "tally.json").exists():
        told = json.loads((folder / "tally.json").read_text())
        tally.inputs += told["inputs"]
        tally.seconds += told["seconds"]
        tally.outcomes.update(told["outcomes"])
        for signature, (data, story) in told["flaws"].items():
            tally.flaws[signature] = bytes.fromhex(data), story
            if died is not None:
                _save(found, name, signature, bytes.fromhex(data), story)
    if died is not None:
        output = (folder / "output").read_text(errors="replace")[-3000:]
        current = folder / "current"
        data = current.read_bytes() if current.exists() else b""
        if not current.exists():
            raise RuntimeError(f"the door {name} could not be fuzzed: {died}\n{output}")
        signature = f"{name}: {died}"
        tally.flaws[signature] = data, output
        _save(found, name, signature, data, output)


def _save(found: Path, name: str, signature: str, data: bytes, story: str) -> None:
    folder = found / name
    folder.mkdir(parents=True, exist_ok=True)
    stem = hashlib.sha256(signature.encode()).hexdigest()[:12]
    (folder / stem).write_bytes(data)
    (folder / f"{stem}.txt").write_text(f"{signature}\n{story}\n")


def _print(name: str, tally: Tally) -> None:
    rate = tally.inputs / max(tally.seconds, 1e-9)
    values, errors = tally.outcomes["value"], len(tally.outcomes) - (tally.outcomes["value"] > 0)
    print(
        f"{name:12} {tally.inputs:8,} inputs {rate:7,.0f}/s {values:8,} values {errors:3} codes "
        f"{len(tally.flaws):3} flaws",
        flush=True,
    )
    for signature, (_, story) in tally.flaws.items():
        print(f"  {signature}\n    " + story.strip().replace("\n", "\n    ")[-1500:], flush=True)


def inside(name: str, seconds: float, number: int, folder: Path, found: Path) -> None:
    """Fuzz one door in this process until the time is over; the input at work is in `folder`/current."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    door, tally = DOORS[name], Tally()
    regressions = list(kept(door).values())
    seeds = [*door.seeds(), *regressions]
    room, current = folder / "room", folder / "current"
    start = time.monotonic()

    def one(data: bytes) -> None:
        if time.monotonic() - start > seconds:
            return
        current.write_bytes(data)
        tally.inputs += 1
        try:
            tally.outcomes[judge(door, room, data)] += 1
        except Flaw as flaw:
            known = tally.flaws.get(flaw.signature)
            if known is None or len(data) < len(known[0]):
                tally.flaws[flaw.signature] = data, str(flaw)

    for data in regressions:
        one(data)
    while time.monotonic() - start < seconds:
        number += 1
        _round(door, seeds, number, one)
        tally.seconds = time.monotonic() - start
        _tell(tally, folder)  # the next round may end this process
    for signature, (data, story) in list(tally.flaws.items()):
        smaller = minimised(door, room, signature, data, current)
        tally.flaws[signature] = smaller, story
        _save(found, name, signature, smaller, story)
    _tell(tally, folder)


def _tell(tally: Tally, folder: Path) -> None:
    """Write what was counted so far, for `_add`."""
    told = {
        "inputs": tally.inputs,
        "seconds": tally.seconds,
        "outcomes": tally.outcomes,
        "flaws": {signature: (data.hex(), story) for signature, (data, story) in tally.flaws.items()},
    }
    save_json(folder / "tally.json", told)


def _round(door: Door, seeds: list[bytes], number: int, one: Callable[[bytes], None]) -> None:
    @seed(number)
    @settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(door, seeds))
    def example(data: bytes) -> None:
        one(data)

    example()


def minimised(door: Door, room: Path, signature: str, data: bytes, current: Path | None = None) -> bytes:
    """The input without what its flaw does not need."""
    name, body = door.split(data)
    end = time.monotonic() + SHRINKING

    def still(smaller: bytes) -> bool:
        whole = input_of(door, name, smaller)
        if current is not None:
            current.write_bytes(whole)
        try:
            judge(door, room, whole)
        except Flaw as flaw:
            return flaw.signature == signature
        return False

    size = max(1, len(body) // 2)
    while size and time.monotonic() < end:
        for smaller in _without(body, size):
            if time.monotonic() >= end:
                break
            if still(smaller):
                body = smaller
                break
        else:
            size //= 2
        size = min(size, max(1, len(body) // 2) if body else 0)
    return input_of(door, name, body)


def _without(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(len(body) - len(body) % size, -1, -size):
        if start < len(body):
            yield body[:start] + body[start + size :]


def main(arguments: list[str] | None = None) -> int:
    """Fuzz all doors or some; returns 1 if there are flaws."""
    given_arguments = sys.argv[1:] if arguments is None else arguments
    if given_arguments[:1] == ["--inside"]:
        name, seconds, number, folder, found = given_arguments[1:]
        inside(name, float(seconds), int(number), Path(folder), Path(found))
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=600.0, help="for all doors together")
    parser.add_argument("doors", nargs="*", metavar="DOOR", help=f"of {', '.join(DOORS)}")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first round")
    parser.add_argument("--found", type=Path, default=Path("build/fuzz"), help="folder for inputs with flaws")
    asked = parser.parse_args(given_arguments)
    if unknown := set(asked.doors) - set(DOORS):
        parser.error(f"no such door: {', '.join(sorted(unknown))}")
    print(f"seed {asked.seed}; inputs with flaws come to {asked.found}", flush=True)
    tallies = campaign(asked.doors or list(DOORS), asked.seconds, asked.seed, asked.found)
    inputs_seen = sum(tally.inputs for tally in tallies.values())
    flaws = sum(len(tally.flaws) for tally in tallies.values())
    print(f"{len(tallies)} doors, {inputs_seen:,} inputs, {flaws} flaws")
    return 1 if flaws else 0
