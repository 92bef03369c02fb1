"""Keep groups of images in one split: the split is drawn from the hash of the group's key instead of the image's id.

`split.by` covers all sources: it is matched with ids SOURCE/NAME, and its groups are shared by all sources.
`sources.X.group` covers one source: it is matched with names, and its groups belong to that source. An image without
a group draws its split by its id. An image to which its source gives a split is in that one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlimg_build.compiler.catalog.arrow_tables import hash_names
from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.engine.cache import Key, Store
from mlimg_build.compiler.plan.group_tables import GroupTable, read_group_column, read_group_file
from mlimg_build.digests import file_digest
from mlimg_build.errors import Problem, SpecError
from mlimg_build.sources import DRAWN
from mlimg_build.spec import SPLITS, Grouping, LoadedSpec, ParquetSource, Spec, TableSource

__all__ = ["Groups", "group_images", "share_warnings"]

FORMAT = 2
EXAMPLES = 3
DRAWS = pa.schema([("draw", pa.uint64())])
BY_DRAW = ("train", "validation")
SEEN = {"train", "transfer"}  # splits that a network learns from


@dataclass(frozen=True, slots=True)
class Groups:
    """The numbers of groups, in all and in each split, and of the `images` that are in one.

    `torn` counts groups with some images in training splits and others in validation splits. `without` counts the
    images without a group in the sources that have a rule, `rules` describes the rule of each source, `digest` covers
    everything that determines the draws.
    """

    digest: str
    rules: dict[str, str]
    groups: int
    splits: dict[str, int]
    images: int
    without: int
    torn: int = 0
    examples: list[str] = field(default_factory=list)  # of torn groups
    # for each file with ids that match no image: its name, how many, an example, and the source it is for, or ""
    unmatched: list[tuple[str, int, str, str]] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Return what a dataset and a lock store about the groups."""
        return {
            "by": self.rules,
            "groups": self.groups,
            "images": self.images,
            "images_without": self.without,
            "digest": self.digest,
        }


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one source's images are grouped, and the place of the rule in the spec."""

    by: Grouping
    place: tuple[str | int, ...]
    spans: bool  # whether it is the spec's own, over all sources

    def words(self) -> str:
        """Return the rule in words."""
        if self.by.column is not None:
            return f"column {self.by.column}"
        return f"file {self.by.file.name}" if self.by.file is not None else f"pattern {self.by.pattern}"


def group_images(
    loaded: LoadedSpec, catalogs: Sequence[Catalog], store: Store
) -> tuple[tuple[Catalog, ...], Groups | None]:
    """Return the catalogs with the draws of the images' groups, and the numbers of groups.

    If the spec has no groups, the catalogs are unchanged and the second value is None.

    Raises:
        SpecError: if an image is in two groups, a rule matches no image, or a table of groups cannot be read in full.
    """
    rules = _rules(loaded.spec)
    if not rules:
        return tuple(catalogs), None
    files = {rule.by.file for rule in rules.values() if rule.by.file is not None}
    digests = {path: _digest_of(loaded, path, rules) for path in files}
    columns = _columns_of_images(loaded, catalogs, rules)
    key = Key("groups", FORMAT, _parts(loaded.spec, catalogs, rules, digests, columns))
    if not store.sound(key):
        with store.create(key) as (folder, notes):
            notes.update(asdict(_Grouping(loaded, catalogs, rules, key.digest, columns).write(folder)))
        for path, digest in digests.items():
            if _digest_of(loaded, path, rules) != digest:
                store.drop(key)
                raise SpecError(_changed(loaded, path, rules))
    entry = store.entry(key)
    assert entry is not None  # noqa: S101  it was made just above
    folder = store.path(key)
    drawn = [
        item.with_draws(folder / f"{item.name}.arrow") if item.name in rules else item for item in catalogs
    ]
    return tuple(drawn), Groups(**entry["notes"])


def share_warnings(loaded: LoadedSpec, groups: Groups, images: dict[str, int]) -> list[Problem]:
    """Return warnings about unmatched ids, torn groups and empty splits; `images` counts the rows of each split."""
    by, found = loaded.place("split", "by"), []
    for name, count, example, own in groups.unmatched:
        message = f"{count:,} ids of {name} are no image, such as {example}"
        hint = "correct them, or remove them: the images that they were meant for draw their split alone"
        place = loaded.place("sources", own, "group", "file") if own else by
        found.append(Problem("group-unmatched", message, place, hint, "warning"))
    if groups.torn:
        listed = ", ".join(groups.examples)
        message = (
            f"{groups.torn:,} groups lie on both sides, as a source is put into a split as a whole: {listed}"
        )
        hint = "let such sources draw (`split: auto`), or give them groups of their own"
        found.append(Problem("group-in-two-splits", message, by, hint, "warning"))
    drawn = [source.split for source in loaded.spec.sources.values()].count("auto")
    for split in BY_DRAW if loaded.spec.split.validation and drawn else ():
        if not images.get(split):
            message = f"no image is in {split}: {groups.groups:,} groups drew, each as a whole"
            hint = "change split.validation, or make smaller groups"
            place = loaded.place("split", "validation")
            found.append(Problem("split-empty", message, place, hint, "warning"))
    return found


def _rules(spec: Spec) -> dict[str, _Rule]:
    rules = {}
    for name, part in spec.sources.items():
        if part.group is not None:
            rules[name] = _Rule(part.group, ("sources", name, "group"), spans=False)
        elif spec.split.by is not None and not (
            spec.split.by.column is not None and not isinstance(part, TableSource | ParquetSource)
        ):
            rules[name] = _Rule(spec.split.by, ("split", "by"), spans=True)
    return rules


def _columns_of_images(
    loaded: LoadedSpec, catalogs: Sequence[Catalog], rules: dict[str, _Rule]
) -> dict[str, GroupTable]:
    """Return the groups in columns of files that hold the images, too large for a digest of the files themselves."""
    return {
        item.name: read_group_column(loaded, item, column)
        for item in catalogs
        if item.name in rules
        and (column := rules[item.name].by.column) is not None
        and isinstance(loaded.spec.sources[item.name], ParquetSource)
    }


def _parts(
    spec: Spec,
    catalogs: Sequence[Catalog],
    rules: dict[str, _Rule],
    digests: dict[Path, str],
    columns: dict[str, GroupTable],
) -> dict[str, Any]:
    """Return what determines the draws; the digest of a catalog's files covers the column of its table."""
    by = {
        name: [rule.spans, rule.words(), rule.by.file and digests[rule.by.file]]
        for name, rule in rules.items()
    }
    return {
        "by": by,
        "catalogs": {item.name: item.digest for item in catalogs if item.name in rules},
        "files": {
            item.name: [digest for _, digest in item.files]
            for item in catalogs
            if item.name in rules and rules[item.name].by.column is not None
        },
        **({"columns": {name: table.digest for name, table in columns.items()}} if columns else {}),
        "validation": spec.split.validation,
        "splits": {name: spec.sources[name].split for name in rules},
    }


class _Grouping:
    """Assigns images to groups and writes their draws."""

    def __init__(
        self,
        loaded: LoadedSpec,
        catalogs: Sequence[Catalog],
        rules: dict[str, _Rule],
        digest: str,
        columns: dict[str, GroupTable],
    ) -> None:
        self.loaded, self.rules, self.columns = loaded, rules, columns
        self.catalogs = [item for item in catalogs if item.name in rules]
        self.digest = digest
        self.tables: dict[Path, GroupTable] = {}
        self.matched: dict[Path, npt.NDArray[np.bool_]] = {}

    def write(self, folder: Path) -> Groups:
        """Write one column of draws per source into `folder`; return the numbers of groups."""
        limit = np.uint64(int(self.loaded.spec.split.validation * 2.0**64))
        places: dict[str, set[str]] = {}  # group key → splits
        shown: dict[str, str] = {}
        images = without = 0
        fitting: Counter[tuple[str | int, ...]] = Counter()
        for catalog in self.catalogs:
            rule = self.rules[catalog.name]
            prefix = "" if rule.spans else f"{catalog.name}/"
            numbers: dict[str, int] = {}  # group → its position in `draws`
            draws = np.empty(0, np.uint64)
            said = np.empty(
                0, np.uint8
            )  # splits that the source gives a group's images, bit by bit; 0: drawn
            with (
                pa.OSFile(str(folder / f"{catalog.name}.arrow"), "wb") as sink,
                pa.ipc.new_file(sink, DRAWS) as drawn,
            ):
                for batch, groups in self._groups(catalog, rule):
                    new = [name for name in groups.dictionary.to_pylist() if name not in numbers]
                    numbers.update(zip(new, range(len(numbers), len(numbers) + len(new)), strict=True))
                    draws = np.append(draws, hash_names(prefix, new)[1])
                    at = groups.indices.fill_null(-1).to_numpy()
                    own = batch.column("draw").to_numpy().copy()
                    of = np.array([numbers[name] for name in groups.dictionary.to_pylist()], np.int64)
                    grouped = of[at[at >= 0]]
                    own[at >= 0] = draws[grouped]
                    said = np.append(said, np.zeros(len(new), np.uint8))
                    split = batch.column("split").to_numpy()[at >= 0]
                    np.bitwise_or.at(said, grouped, (1 << (split - DRAWN)).astype(np.uint8))
                    drawn.write_batch(pa.record_batch([pa.array(own)], schema=DRAWS))
                    images += int((at >= 0).sum())
                    without += int((at < 0).sum())
            names = list(numbers)
            keys = [prefix + name for name in names]
            fitting[rule.place] += len(names)
            fixed = self.loaded.spec.sources[catalog.name].split
            for key, name, low, bits in zip(keys, names, draws < limit, said.tolist(), strict=True):
                found = [BY_DRAW[int(low)], *SPLITS]
                given = {split for i, split in enumerate(found) if bits >> i & 1}
                places.setdefault(key, set()).update(given if fixed == "auto" else {fixed})
                shown[key] = name
        self._require_fitting(fitting)
        splits = Counter(split for found in places.values() for split in found)
        torn = sorted(key for key, found in places.items() if found & SEEN and found - SEEN)
        return Groups(
            digest=self.digest,
            rules={name: rule.words() for name, rule in self.rules.items()},
            groups=len(places),
            splits=dict(sorted(splits.items())),
            images=images,
            without=without,
            torn=len(torn),
            examples=[f"{shown[key]} ({' and '.join(sorted(places[key]))})" for key in torn[:EXAMPLES]],
            unmatched=[*self._unmatched()],
        )

    def _groups(self, catalog: Catalog, rule: _Rule) -> Iterator[tuple[pa.RecordBatch, pa.DictionaryArray]]:
        """Yield the images of a catalog, batch by batch, with the group of each, null if it has none."""
        if rule.by.pattern is not None:
            search, prefix = re.compile(rule.by.pattern).search, f"{catalog.name}/" if rule.spans else ""
            for batch in catalog.images.batches(["name", "draw", "split"]):
                found = (search(prefix + name) for name in batch.column("name").to_pylist())
                groups = pa.array([(one[1] or None) if one else None for one in found], pa.string())
                yield batch, groups.dictionary_encode()
            return
        if rule.by.column is not None:
            table, matched = self.columns.get(catalog.name), None
            table = table or read_group_column(self.loaded, catalog, rule.by.column)
            prefix = f"{catalog.name}/"
        else:
            assert rule.by.file is not None  # noqa: S101  the model has one of the three
            path = rule.by.file
            if path not in self.tables:
                self.tables[path] = read_group_file(path, self.loaded.place(*rule.place, "file"))
                self.matched[path] = np.zeros(len(self.tables[path].ids), bool)
            table, matched = self.tables[path], self.matched[path]
            prefix = "" if rule.spans else f"{catalog.name}/"
        own = table.keys(prefix)
        for batch in catalog.images.batches(["key", "draw", "split"]):
            yield batch, table.of(batch.column("key").to_numpy(), own, matched)

    def _require_fitting(self, fitting: Counter[tuple[str | int, ...]]) -> None:
        problems = []
        for place, groups in fitting.items():
            if groups:
                continue
            rule = next(rule for rule in self.rules.values() if rule.place == place)
            catalog = next(item for item in self.catalogs if self.rules[item.name] == rule)
            name = catalog.images.slice(0, 1).column("name")[0].as_py()
            example = f"{catalog.name}/{name}" if rule.spans else name
            hint = f"the ids are written like {example}"
            if rule.by.file is not None and len(ids := self.tables[rule.by.file].ids):
                hint = f"the images are written like {example}, the ids of the file like {ids[0]}"
            message = f"the {rule.words()} gives no image a group"
            problems.append(Problem("no-group", message, self.loaded.place(*place), hint))
        if problems:
            raise SpecError(problems)

    def _unmatched(self) -> list[tuple[str, int, str, str]]:
        """Return the field `unmatched` of `Groups`."""
        found = []
        for path, matched in sorted(self.matched.items()):
            if not matched.all():
                first = int(np.flatnonzero(~matched)[0])
                table = self.tables[path]
                example = f"{table.ids[first]} ({path.name}:{table.rows[first]})"
                rules = [(name, rule) for name, rule in self.rules.items() if rule.by.file == path]
                own = "" if any(rule.spans for _, rule in rules) else rules[0][0]
                found.append((path.name, int((~matched).sum()), example, own))
        return found


def _digest_of(loaded: LoadedSpec, path: Path, rules: dict[str, _Rule]) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        rule = next(rule for rule in rules.values() if rule.by.file == path)
        message = f"the table of groups cannot be read: {path}: {error.strerror}"
        raise SpecError(
            Problem("list-unreadable", message, loaded.place(*rule.place, "file"), "correct its path")
        ) from error


def _changed(loaded: LoadedSpec, path: Path, rules: dict[str, _Rule]) -> Problem:
    rule = next(rule for rule in rules.values() if rule.by.file == path)
    place = loaded.place(*rule.place, "file")
    return Problem(
        "list-changed", f"{path.name} was changed while it was read", place, "run the command again"
    )
