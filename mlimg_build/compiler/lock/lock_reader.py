"""Read an existing lock, even one with merge conflicts, and compare it with the current decisions."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlimg_build.compiler.lock.rule_changes import rule_changes
from mlimg_build.csv_cells import unguarded
from mlimg_build.errors import BuildError, Problem
from mlimg_build.regular_files import read_regular

__all__ = [
    "COUNTED",
    "FILES",
    "KEY",
    "LOCK_FORMAT",
    "OPTIONAL",
    "SHOWN",
    "Locked",
    "changes",
    "parse_lock",
    "read_leniently",
    "read_lock",
]

LOCK_FORMAT = 4
LARGEST = 1 << 30  # bytes of a file of a lock
KEY = 16  # hex digits of a key that a lock contains
MARKS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
SHOWN = 5  # rows of one file listed among the changes

FILES: dict[str, tuple[str, ...]] = {
    "lock.yaml": (),
    "categories.csv": (
        "wnid",
        "name",
        "parents",
        "stated",
        "implied",
        "cooccurring",
        "absent_stated",
        "absent_implied",
        "from",
    ),
    "mappings.csv": (
        "source",
        "category",
        "name",
        "wnid",
        "relation",
        "method",
        "score",
        "fate",
        "images",
        "reviewer",
        "evidence",
    ),
    "cooccurrence.csv": (
        "antecedent",
        "antecedent_name",
        "consequent",
        "consequent_name",
        "together",
        "images",
        "share",
        "bound",
        "adds",
        "doubt",
        "used",
        "veto",
        "accept",
    ),
    "duplicates.csv": ("sha256", "image"),
    "shards.csv": ("split", "shard", "images", "images_key", "labels_key", "images_digest", "labels_digest"),
}
"""The files of a lock and their columns."""

OPTIONAL: dict[str, tuple[str, ...]] = {"shards.csv": ("fetched",)}
"""Columns at the end of a file that are there only if they hold something."""

KEYS = {"categories.csv": 1, "mappings.csv": 2, "cooccurrence.csv": 3, "duplicates.csv": 2, "shards.csv": 2}
COUNTED = ("stated", "implied", "cooccurring", "absent_stated", "absent_implied")
"""The columns of categories.csv that count labels, by rule and state."""


@dataclass(frozen=True, slots=True)
class Locked:
    """The content of a lock: its head (`lock.yaml`), and the rows of each of its CSVs by column."""

    head: dict[str, Any]
    tables: dict[str, list[dict[str, str]]]

    @property
    def digests(self) -> dict[tuple[str, str, str], str]:
        """(`images` or `labels`, SPLIT/SHARD, key) → digest of every result whose digest the lock knows."""
        return {
            (kind, f"{row['split']}/{row['shard']}", row[f"{kind}_key"]): row[f"{kind}_digest"]
            for row in self.tables["shards.csv"]
            for kind in ("images", "labels")
            if row[f"{kind}_digest"]
        }

    @property
    def images(self) -> dict[tuple[str, str], tuple[str, str]]:
        """(SPLIT/SHARD, key of its images) → the digest of its images and what came of its URLs, "" if not known.

        Both are of one row, as one belongs to the other; of several rows, left by a merge, the last that knows most.
        """
        found: dict[tuple[str, str], tuple[str, str]] = {}
        for row in self.tables["shards.csv"]:
            place = f"{row['split']}/{row['shard']}", row["images_key"]
            before, now = found.get(place, ("", "")), (row["images_digest"], row["fetched"])
            if (now[0] != "", now[1] != "") >= (before[0] != "", before[1] != ""):
                found[place] = now
        return found

    @property
    def fetched(self) -> dict[tuple[str, int], str]:
        """(split, shard number) → the first `KEY` digits of the digest of what came of its URLs; "" without any."""
        rows = [row for row in self.tables["shards.csv"] if row["shard"].isdecimal()]
        return {(row["split"], int(row["shard"])): row["fetched"] for row in rows}

    @property
    def unbuilt(self) -> int:
        """How many shards of images have no digest, as nobody who wrote the lock built them."""
        return sum(not row["images_digest"] for row in self.tables["shards.csv"])

    @property
    def knows_images(self) -> bool:
        """Whether the lock has the digest of every image shard, so that `repeated` lists all copies."""
        return not self.unbuilt

    @property
    def image_keys(self) -> dict[tuple[str, int], str]:
        """(split, shard number) → the first `KEY` digits of the key of its images."""
        rows = [
            row for row in self.tables["shards.csv"] if row["shard"].isdecimal()
        ]  # other rows are left by a merge
        return {(row["split"], int(row["shard"])): row["images_key"] for row in rows}

    @property
    def repeated(self) -> dict[str, str]:
        """image → sha256 of the images that the lock lists as copies."""
        return {row["image"]: row["sha256"] for row in self.tables["duplicates.csv"]}


def read_lock(folder: Path) -> Locked:
    """Return the lock in a folder.

    Raises `BuildError`: `lock-missing`, `lock-conflict` if it has merge conflicts, and those of `parse_lock`.
    """
    try:
        files = {name: read_regular(folder / name, LARGEST) for name in FILES}
    except OSError as error:
        message = f"{folder} is no lock: {error.strerror or error}: {Path(str(error.filename)).name}"
        hint = "write it with `mlimg lock SPEC`"
        if not folder.exists():
            message = f"there is no lock {folder}"
            hint = (
                "`mlimg lock SPEC` writes NAME.lock beside the spec, where `--check` and `--locked` look for it; "
                "`--lock DIR` names another"
            )
        raise BuildError(Problem("lock-missing", message, hint=hint)) from error
    for name, data in files.items():
        if any(line.startswith(tuple(mark.encode() for mark in MARKS)) for line in data.splitlines()):
            message = f"{folder / name} has a merge conflict"
            raise BuildError(Problem("lock-conflict", message, hint="`mlimg lock SPEC` writes it anew"))
    return parse_lock(files, str(folder))


def parse_lock(files: Mapping[str, bytes], where: str) -> Locked:
    """Return the lock with the given files; `where` names it in errors.

    Raises `BuildError`: `lock-unsupported` if it has another format, `lock-damaged` if it cannot be parsed.
    """
    try:
        head = _parse_head(files["lock.yaml"])
        written = head.get("lock", LOCK_FORMAT) if isinstance(head, dict) else LOCK_FORMAT
        if written != LOCK_FORMAT:
            message = f"{where} is a lock of format {written}, and this version of mlimg writes {LOCK_FORMAT}"
            hint = "`mlimg lock SPEC` writes it anew; to read it as it is, use the version that wrote it"
            raise BuildError(Problem("lock-unsupported", message, hint=hint))
        tables = {name: _rows(files[name].decode(), name) for name, columns in FILES.items() if columns}
        if not isinstance(head, dict):
            raise ValueError("lock.yaml is no mapping")
        if not isinstance(head.get("sources"), dict):
            raise ValueError("lock.yaml names no sources")
    except (ValueError, KeyError, csv.Error, yaml.YAMLError) as error:
        hint = "`mlimg lock SPEC` writes it anew"
        raise BuildError(Problem("lock-damaged", f"{where} cannot be read: {error}", hint=hint)) from error
    return Locked(head, tables)


def read_leniently(folder: Path) -> Locked | None:
    """Return what can be read of a lock, including the lines of both sides of a conflict; None without the folder.

    All decisions are made anew in any case: only digests of results built elsewhere are taken from here.
    """
    tables: dict[str, list[dict[str, str]]] = {}
    for name, columns in FILES.items():
        try:
            lines = read_regular(folder / name, LARGEST).decode().splitlines(keepends=True)
            tables[name] = _rows_of_sides(lines, name) if columns else []
        except (OSError, ValueError, csv.Error):
            tables[name] = []
    try:
        head = _parse_head(read_regular(folder / "lock.yaml"))
    except (OSError, ValueError, yaml.YAMLError):
        head = {}
    return Locked(head if isinstance(head, dict) else {}, tables) if folder.is_dir() else None


def _parse_head(text: bytes) -> Any:
    """Return what lock.yaml says. Raises `yaml.YAMLError`, or `ValueError` if it is nested too deep to be parsed."""
    try:
        return yaml.safe_load(text)
    except RecursionError as error:
        raise ValueError("lock.yaml is nested too deep") from error


def _rows(text: str, name: str) -> list[dict[str, str]]:
    columns, optional = FILES[name], OPTIONAL.get(name, ())
    reader = csv.DictReader(io.StringIO(text, newline=""))
    there = tuple(reader.fieldnames or ())
    if there not in (columns, (*columns, *optional)):
        raise ValueError(f"expected the columns {','.join(columns)}")
    rows = [{**dict.fromkeys(optional, ""), **row} for row in reader]
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("a row has too many or too few columns")
    return [{name: unguarded(cell) for name, cell in row.items()} for row in rows]


def _rows_of_sides(lines: Iterable[str], name: str) -> list[dict[str, str]]:
    """Return the rows of both sides of a conflict; one side may have an optional column that the other has not.

    Each row counts by the columns that it has; those that have others are passed over.
    """
    columns, optional = FILES[name], OPTIONAL.get(name, ())
    headers = [list(columns), [*columns, *optional]]
    found: list[dict[str, str]] = []
    for cells in csv.reader(line for line in lines if not line.startswith(MARKS)):
        if cells not in headers and len(cells) in {len(header) for header in headers}:
            named = dict(zip((*columns, *optional), map(unguarded, cells), strict=False))
            found.append({**dict.fromkeys(optional, ""), **named})
    return found


def changes(locked: Locked, now: Locked, *, whole: bool) -> list[str]:
    """Return the differences between a lock and the current decisions, one line each; empty if there are none.

    With `whole`, label counts, copies and the digests of shards and dataset are compared too; without, only what they
    follow from.
    """
    found = [*_head_changes(locked.head, now.head, whole)]
    for name in locked.tables:
        found += _table_changes(name, locked.tables[name], now.tables[name], whole)
    return found


def _head_changes(old: Mapping[str, Any], new: Mapping[str, Any], whole: bool) -> Iterator[str]:
    left_out = {"sources", "files", "rules", "fetch", *(() if whole else ("dataset", "plan"))}
    for field in dict.fromkeys([*old, *new]):
        if field not in left_out and old.get(field) != new.get(field):
            yield f"lock.yaml: {field}: {_short(old.get(field))} → {_short(new.get(field))}"
    was, now = old.get("rules"), new.get("rules")
    if isinstance(was, dict) and isinstance(now, dict):  # a lock of an earlier version has none
        yield from (f"lock.yaml: rules: {change}" for change in rule_changes(was, now))
    asked, asks = old.get("fetch") or {}, new.get("fetch") or {}
    for field in dict.fromkeys([*asked, *asks]) if isinstance(asked, dict) else ():
        if asked.get(field) != asks.get(field):
            yield f"lock.yaml: fetch: {field}: {_short(asked.get(field))} → {_short(asks.get(field))}"
    before, after = old.get("sources") or {}, new.get("sources") or {}
    for source in dict.fromkeys([*before, *after]):
        if before.get(source) != after.get(source):
            was, told = _source(before.get(source)), _source(after.get(source))
            if was != told:
                yield f"lock.yaml: source {source}: {was} → {told}"
            yield from _file_changes(f"source {source}", _named(before, source), _named(after, source))
    yield from _file_changes("files", old.get("files"), new.get("files"))


def _named(sources: Mapping[str, Any], source: str) -> dict[str, str]:
    """Return the files of a source by name; repeated names are numbered."""
    part = sources.get(source)
    files = part.get("files") if isinstance(part, dict) else None
    found: dict[str, str] = {}
    for line in files if isinstance(files, list) else ():
        name = str(line).partition("  ")[2]
        number = sum(key == name or key.startswith(f"{name} (") for key in found)
        found[f"{name} ({number + 1})" if number else name] = str(line)
    return found


def _file_changes(where: str, old: Any, new: Any) -> Iterator[str]:
    """Yield one line per file that was added, removed or changed."""
    before, after = (part if isinstance(part, dict) else {} for part in (old, new))
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield f"lock.yaml: {where}: {name}: {_file(before.get(name))} → {_file(after.get(name))}"


def _file(line: Any) -> str:
    """Return the shortened digest of a file, given the digest or a line `DIGEST  NAME`; "none" without one."""
    return _short(str(line).partition("  ")[0]) if line else "none"


def _short(value: Any) -> str:
    """Return a value as text, with a digest shortened to 12 characters."""
    text = str(value) if value not in (None, "") else "none"
    return f"{text[:12]}…" if len(text) == 64 and " " not in text else text


def _source(part: Any) -> str:
    if not isinstance(part, dict):
        return "none"
    return (
        f"{part.get('images')} images, {part.get('statements')} statements, {str(part.get('digest'))[:12]}…"
    )


def _table_changes(
    name: str, old: Sequence[dict[str, str]], new: Sequence[dict[str, str]], whole: bool
) -> Iterator[str]:
    columns = (*FILES[name], *OPTIONAL.get(name, ()))
    if not whole and name == "duplicates.csv":
        return
    if not whole:
        columns = tuple(
            c for c in columns if c not in COUNTED and not c.endswith("_digest") and c != "fetched"
        )
    key = [columns[i] for i in ((0, 2) if name == "cooccurrence.csv" else range(min(2, KEYS[name])))]
    before, after = ({tuple(row[c] for c in key): row for row in rows} for rows in (old, new))
    listed = []
    for at in sorted(before.keys() | after.keys()):
        if at not in after:
            listed.append(f"{name}: - {' '.join(at)}")
        elif at not in before:
            listed.append(f"{name}: + {' '.join(at)}")
        else:
            differ = [c for c in columns if before[at][c] != after[at][c]]
            told = ", ".join(f"{c} {_short(before[at][c])} → {_short(after[at][c])}" for c in differ)
            if differ:
                listed.append(f"{name}: {' '.join(at)}: {told}")
    yield from listed[:SHOWN]
    if len(listed) > SHOWN:
        yield f"{name}: and {len(listed) - SHOWN:,} more"
