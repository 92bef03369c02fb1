"""Checksums of the files of a store: damage that leaves a file's size and times as they were shows in them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

import google_crc32c

from mlimg_build.regular_files import open_regular, read_regular

__all__ = ["BIGGEST", "Checks", "file_sums", "files_flaw", "read_sealed", "sealed"]

Checks = Literal["sample", "all", "none"]
"""How much of what is stored is compared with its checksums before it is used."""

BLOCK = 16 << 20  # bytes under one checksum
SAMPLED = 4  # blocks of a file that are checked in a sample: smaller files are checked whole
SEAL = ', "crc32c": "{:08x}"}}'
BIGGEST = 1 << 30  # bytes of a record

Sums = list[int]
"""The size of a file in bytes, and the CRC-32C of each of its blocks."""


def file_sums(path: Path | str) -> Sums:
    """Return the size and the checksums of a regular file.

    Raises:
        OSError: if it cannot be read, or is no regular file.
    """
    with os.fdopen(open_regular(Path(path)), "rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        return [size, *(_sum(stream.fileno(), start) for start in range(0, size, BLOCK))]


def files_flaw(folder: Path, sums: dict[str, Sums], checks: Checks) -> str | None:
    """Return what is wrong with the files of a folder, in a few words; None if they match `sums`, path → sums.

    Sizes are always compared. Of a file with more than `SAMPLED` blocks, "sample" reads the first, the last and some
    between.
    """
    for name, (size, *blocks) in sums.items():
        try:
            descriptor = open_regular(folder / name)
        except OSError as error:
            return f"{name} cannot be opened: {error.strerror}"
        try:
            if os.fstat(descriptor).st_size != size:
                return f"{name} has another size"
            if any(_sum(descriptor, number * BLOCK) != blocks[number] for number in _chosen(blocks, checks)):
                return f"{name} differs from its checksum"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        finally:
            os.close(descriptor)
    return None


def sealed(record: str) -> bytes:
    """Return a record, a JSON object with at least one key, with its checksum as its last value.

    >>> sealed('{"a": 1}')
    b'{"a": 1, "crc32c": "efa86ef0"}'
    """
    told = record[:-1].encode()
    return told + SEAL.format(google_crc32c.value(told)).encode()


def read_sealed(path: Path | str) -> dict[str, Any]:
    """Return the record that `sealed` wrote to a file.

    Raises:
        OSError: if it cannot be read, or is no regular file.
        ValueError: if it differs from its checksum.
    """
    data = read_regular(Path(path), BIGGEST)
    told = data[: -len(SEAL.format(0))]
    if data[len(told) :] != SEAL.format(google_crc32c.value(told)).encode():
        raise ValueError("it differs from its checksum")
    found: dict[str, Any] = json.loads(told + b"}")
    return found


def _chosen(blocks: Sums, checks: Checks) -> list[int]:
    """Return the numbers of the blocks to be checked."""
    last = len(blocks) - 1
    if checks == "none":
        return []
    if checks == "all" or len(blocks) <= SAMPLED:
        return list(range(len(blocks)))
    return sorted({last * part // (SAMPLED - 1) for part in range(SAMPLED)})


def _sum(descriptor: int, start: int) -> int:
    data = os.pread(descriptor, BLOCK, start)
    return int(google_crc32c.value(data))
