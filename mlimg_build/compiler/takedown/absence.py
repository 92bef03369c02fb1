"""Prove that nothing is left of listed images: in a dataset, its cache, a store of fetched images, and exports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.arrow_tables import open_batches
from mlimg_build.compiler.engine.cache import ENTRY, read_entry, read_json
from mlimg_build.compiler.engine.store_usage import Entry, entries_of
from mlimg_build.compiler.plan.row_files import SHARDS_PER_FILE
from mlimg_build.compiler.plan.withdrawals import FOUND, STATUS, Withdrawals, normal_url, read_withdrawals
from mlimg_build.compiler.takedown.held_files import HeldFiles
from mlimg_build.compiler.takedown.held_images import Finding, Listed, held_rows, result_rows
from mlimg_build.dataset import Dataset, open_dataset, verify
from mlimg_build.dataset.artefact_proof import images_flaw
from mlimg_build.dataset.write.shard_writer import read_labels
from mlimg_build.errors import DatasetError, MlimgError
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.content_store import open_content_store
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.fetch.store.ledger_log import Record, read_log
from mlimg_build.fetch.store.ledger_tables import TABLES, is_ledger

__all__ = ["Absence", "prove_absent"]

LARGEST = 256 << 20  # bytes of a file that may be a picture
Advance = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Absence:
    """What was looked for and found: entries of the list, the places looked at, what is left, what was not looked at.

    `listed_by_source` counts the images that the sources' own lists name, of which the cache keeps a copy: they hold
    what the sources' files hold, which this does not judge.
    """

    entries: int
    places: tuple[str, ...]
    findings: tuple[Finding, ...]
    unread: tuple[str, ...]
    listed_by_source: int

    @property
    def ok(self) -> bool:
        """Whether all was looked at and nothing found."""
        return not self.findings and not self.unread


def prove_absent(
    path: Path,
    wanted: Path,
    store: str | None = None,
    also: Sequence[Path] = (),
    advance: Advance = lambda place: None,
) -> Absence:
    """Look for the entries of the list `wanted` in the dataset at `path`, its cache, `store`, and each path of `also`.

    Without a `store`, the one in the cache is looked at. Names are told apart from contents: a row of a dataset may
    keep its id, and a row of a table that has a cell `withdrawn` its name. Memory: the list, and one piece of a file.

    Raises:
        DatasetError: if the dataset cannot be read.
        SpecError: `list-unreadable`.
        BuildError: `store-unusable`, `ledger-unreadable`.
    """
    withdrawn = read_withdrawals(wanted)
    findings: list[Finding] = []
    unread: list[str] = []
    places = []
    with open_dataset(path) as dataset:
        cache = dataset.path.parent / ".mlimg" / str(dataset.attributes.get("name", ""))
        fetched = cache.parent / "_fetched"
        place = store if store is not None else (str(fetched) if fetched.is_dir() else None)
        ledger = _ledger_of(place, fetched)
        listed = _widened(withdrawn, cache, ledger)
        places.append(str(path))
        advance(str(path))
        findings += _of_dataset(dataset, listed)
        files = HeldFiles(listed, unread.append, [wanted])
        findings += _strays(dataset, files)
        by_source = 0
        if cache.is_dir():
            places.append(str(cache))
            advance(str(cache))
            findings += _of_cache(cache, dataset, listed, files, unread)
            by_source = sum(_listed_by_source(cache, listed))
    if place is not None:
        places.append(place)
        advance(place)
        findings += _of_store(place, ledger, listed, files)
    for one in also:
        places.append(str(one))
        advance(str(one))
        findings += _of_path(one, listed, files, unread)
    count = len(withdrawn.ids) + len(withdrawn.urls) + len(withdrawn.digests)
    return Absence(count, tuple(places), tuple(dict.fromkeys(findings)), tuple(unread), by_source)


def _of_dataset(dataset: Dataset, listed: Listed) -> Iterator[Finding]:
    """Yield what a dataset holds; what differs from its digests is told, as nobody knows what it is."""
    proof = verify(dataset.path)
    for one in proof.findings:
        yield Finding("", f"unproved ({one.code}: {one.message})", str(dataset.path))
    yield from held_rows(dataset, listed, read=not proof.ok)


def _ledger_of(place: str | None, own: Path) -> Path | None:
    if place is None:
        return None
    folder = (own if "://" in place else Path(place)) / "ledger"
    return folder if is_ledger(folder) else None


def _widened(withdrawn: Withdrawals, cache: Path, ledger: Path | None) -> Listed:
    """Return the entries with what is known of them: ids of URLs and of sha256, URLs of ids, sha256 of URLs."""
    ids, urls, digests = {*withdrawn.ids}, {*withdrawn.urls}, {*withdrawn.digests}
    for sha256, found in read_json(cache / FOUND).items():
        if sha256 in digests and isinstance(found, list):
            ids.update(map(str, found))
    for batch in _row_batches(cache):
        for image, path, status in zip(
            *(batch.column(name).to_pylist() for name in ("id", "path", "status")), strict=True
        ):
            if status in (STATUS, "not_fetched"):
                url = normal_url(path)
                if image in ids and "://" in path:
                    urls.add(url)
                elif url in urls:
                    ids.add(image)
    if ledger is not None and urls:
        with Ledger(ledger, create=False) as opened:
            own = {
                record.digest
                for record in opened.records()
                if record.digest and record.state == State.withdrawn and normal_url(record.url) in urls
            }
            shared = {record.digest for record in opened.with_digests(own) if record.state == State.ok}
            digests |= own - (shared - withdrawn.digests)
    return Listed(frozenset(ids), frozenset(urls), frozenset(digests))


def _row_batches(cache: Path) -> Iterator[pa.RecordBatch]:
    for entry in entries_of(cache):
        if entry.stage == "rows":
            for path in sorted(entry.path.glob("*.arrow")):
                reader = open_batches(path)
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number)


def _strays(dataset: Dataset, files: HeldFiles) -> Iterator[Finding]:
    """Yield listed images in files that lie among those of a dataset, and in tables beside it.

    A file of shards that is larger than any picture is none; its bytes have digests.
    """
    for folder, _, names in os.walk(dataset.path):
        inside = Path(folder).relative_to(dataset.path).parts
        shards = inside[1:4] == ("images", "data", "c")
        for name in names:
            path = Path(folder, name)
            if name != "zarr.json" and not (shards and path.stat().st_size > LARGEST):
                yield from files.file(path)
    stem = dataset.path.name.removesuffix(".zarr")
    for kind in ("attribution", "contradictions"):
        for beside in sorted(dataset.path.parent.glob(f"{stem}.{kind}.*")):
            yield from files.file(beside)


def _of_cache(
    cache: Path, dataset: Dataset, listed: Listed, files: HeldFiles, unread: list[str]
) -> Iterator[Finding]:
    """Yield what the stored results of builds hold: rows, images, labels, and files that lie between them."""
    labelled = dict[str, list[int]]()  # label_rows of a shard → its rows of listed images
    known = []
    for entry in entries_of(cache):
        known.append(entry.path)
        place = str(entry.path)
        try:
            if entry.stage == "rows":
                yield from _of_rows(entry, listed, labelled)
            elif entry.stage == "images":
                yield from result_rows(entry.path, listed, place)
                flaw = images_flaw(entry.path, dataset.layout)
                if flaw is not None:
                    yield Finding("", f"unproved bytes ({flaw})", place)
        except (MlimgError, OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            unread.append(f"{place}: {error}")
    for entry in entries_of(cache):
        if entry.stage == "labels":
            rows = labelled.get(str(read_entry(str(entry.path)).get("parts", {}).get("rows")))
            if rows:
                for group in ("labels", "contradictions"):
                    spans = read_labels(entry.path, group, ["start", "stop"])
                    if (spans["stop"][rows] > spans["start"][rows]).any():
                        yield Finding("", f"{group} of a listed image", str(entry.path))
    yield from _loose(cache, {*map(str, known)}, files)


def _of_rows(entry: Entry, listed: Listed, labelled: dict[str, list[int]]) -> Iterator[Finding]:
    """Yield the authors, licences and statements of listed images in the rows of a plan."""
    shards = {
        (shard["split"], shard["number"]): shard["label_rows"]
        for shard in read_entry(str(entry.path))["notes"]["shards"]
    }
    for path in sorted(entry.path.glob("*.arrow")):
        split, _, file = path.stem.rpartition("-")
        reader = open_batches(path)
        for within in range(reader.num_record_batches):
            batch = reader.get_batch(within)
            columns = [batch.column(name).to_pylist() for name in ("id", "author", "licence")]
            counts = batch.column("category").value_lengths().to_pylist()
            found = []
            for row, (image, author, licence, count) in enumerate(zip(*columns, counts, strict=True)):
                name = listed.names(image)
                if not name:
                    continue
                found.append(row)
                told = {"author": author, "licence": licence, "labels": count}
                for what, there in told.items():
                    if there:
                        yield Finding(name, what, f"{path}, {image}")
            rows = shards.get((split, int(file) * SHARDS_PER_FILE + within))
            if found and rows is not None:
                labelled.setdefault(rows, []).extend(found)


def _loose(cache: Path, known: set[str], files: HeldFiles) -> Iterator[Finding]:
    """Yield listed images in files between and in the results; what other functions read as tables is left out."""
    for folder, _, names in os.walk(cache):
        inside = Path(folder).relative_to(cache).parts
        of_result = any(str(cache.joinpath(*inside[:depth])) in known for depth in (2, 3))
        for name in names:
            path = Path(folder, name)
            table = of_result and (name == ENTRY or name.endswith((".arrow", ".json")))
            if not table and path != cache / FOUND and path.stat().st_size <= LARGEST:
                yield from files.file(path)


def _listed_by_source(cache: Path, listed: Listed) -> Iterator[int]:
    """Yield how many images of each source's list are listed."""
    for place in sorted((cache / "catalog").glob("*")):
        path = place / "images.arrow"
        if not path.is_file():
            continue
        reader = open_batches(path)
        ids = pa.array(sorted(listed.ids), pa.string())
        for number in range(reader.num_record_batches):
            names = reader.get_batch(number).column("name")
            whole = pc.binary_join_element_wise(place.name, names, "/")
            yield pc.sum(pc.is_in(whole, value_set=ids)).as_py() or 0


def _of_store(place: str, ledger: Path | None, listed: Listed, files: HeldFiles) -> Iterator[Finding]:
    """Yield the listed files of a store, and URLs that its ledger still counts as there."""
    if "://" in place:
        for digest in open_content_store(place).digests():
            if digest in listed.digests:
                yield Finding(digest, "bytes", f"{place}, its object")
    else:
        yield from files.below(Path(place), {str(Path(place) / "ledger")})
    for where, record in () if ledger is None else _recorded(ledger):
        url = normal_url(record.url)
        if record.state == State.ok and (url in listed.urls or record.digest in listed.digests):
            yield Finding(url, "a URL that counts as there", where)


def _recorded(ledger: Path) -> Iterator[tuple[str, Record]]:
    """Yield the records of a ledger with the files that they are in, those of its log, too."""
    with Ledger(ledger, create=False) as opened:
        for record in opened.records():
            yield str(ledger / TABLES), record
    for path in sorted((ledger / "log").glob("*")):
        for record in read_log(path):
            yield str(path), record


def _of_path(path: Path, listed: Listed, files: HeldFiles, unread: list[str]) -> Iterator[Finding]:
    """Yield what a file or folder holds; datasets in it are read as such."""
    if not path.exists():
        unread.append(f"{path}: there is nothing")
        return
    datasets = [path] if path.suffix == ".zarr" else sorted(path.rglob("*.zarr")) if path.is_dir() else []
    for one in datasets:
        try:
            with open_dataset(one) as opened:
                yield from _of_dataset(opened, listed)
        except DatasetError as error:
            unread.append(f"{one}: {error}")
    yield from files.below(path, {str(one) for one in datasets})
