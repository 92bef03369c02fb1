"""`mlimg verify --absent` finds a withdrawn picture wherever it was put back, and nothing where nothing is."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlimg_build.cli import run
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.takedown.absence import Absence, prove_absent
from mlimg_build.exporters import EXPORTERS, export
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.content_store import FolderStore, object_path
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.fetch.store.ledger_log import Record
from mlimg_build.spec import load_spec
from tests.support.photographs import crops
from tests.support.runs import inline

COUNT, GONE = 120, 100
SPEC = """\
mlimg: 1
name: pets
version: 1.0.0
sources:
  list:
    type: table
    table: list.csv
    images: images
    columns: {image: file, labels: labels, author: author, licence: licence}
vocabulary: {kind: flat}
dataset: {images_per_shard: 40}
rights: {withdrawn: gone.txt}
"""


class Place:
    """A dataset of which 100 pictures are taken down, with a store and an export."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pictures = list(crops("chelsea", COUNT))
        (root / "images").mkdir(parents=True)
        rows = ["file,labels,author,licence"]
        for number, data in enumerate(self.pictures):
            (root / "images" / f"{number}.jpg").write_bytes(data)
            rows.append(f"{number}.jpg,{'cat' if number % 2 else 'dog'},Author {number},CC BY 4.0")
        (root / "list.csv").write_text("\n".join(rows) + "\n")
        entries = [self.entry(number) for number in range(GONE)]
        (root / "gone.txt").write_text("\n".join([*entries, *map(self.digest, range(GONE))]) + "\n")
        (root / "pets.yaml").write_text(SPEC)
        self.dataset = build(load_spec(root / "pets.yaml"), root / "out", inline()).dataset
        self.store = root / "store"
        kept = FolderStore(self.store)
        for data in self.pictures[GONE:]:
            kept.write(data)
        with Ledger(self.store / "ledger") as ledger:
            ledger.put(
                [Record(self.url(n), State.withdrawn, digest=self.digest(n), time=1.0) for n in range(3)]
            )
        self.export = root / "export"
        export(self.dataset, self.export, "webdataset", EXPORTERS["webdataset"])

    def entry(self, number: int) -> str:
        return self.url(number) if number % 3 == 0 else f"list/{number}.jpg"

    def url(self, number: int) -> str:
        return f"https://pets.example/{number}.jpg"

    def digest(self, number: int) -> str:
        return hashlib.sha256(self.pictures[number]).hexdigest()

    def prove(self) -> Absence:
        return prove_absent(self.dataset, self.root / "gone.txt", str(self.store), [self.export])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("absence") / "pets")


def in_shard(place: Place, number: int, chance: random.Random) -> Path:
    """Write a picture over the bytes of another in the shard files of the dataset."""
    other = place.pictures[chance.randrange(GONE, COUNT)]
    data = place.pictures[number]
    for path in sorted(place.dataset.glob("train/images/data/c/**/*")):
        if path.is_file() and (at := path.read_bytes().find(other)) >= 0:
            whole = bytearray(path.read_bytes())
            size = min(len(data), len(other))
            whole[at : at + size] = data[:size]
            path.write_bytes(whole)
            return path
    raise AssertionError("the other picture is in no shard")


def put_tar(place: Place, number: int, chance: random.Random) -> Path:
    path = place.export / f"extra-{number}.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in (("a/x.jpg", place.pictures[number]), ("a/x.txt", b"nothing")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def put_description(place: Place, number: int, chance: random.Random) -> Path:
    path = place.export / f"extra-{number}.tar"
    told = json.dumps({"id": f"list/{number}.jpg", "author": "A", "url": place.url(number)}).encode()
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("x.json")
        member.size = len(told)
        tar.addfile(member, io.BytesIO(told))
    return path


def put_parquet(place: Place, number: int, chance: random.Random) -> Path:
    path = place.export / "rows.parquet"
    rows = [{"bytes": place.pictures[one], "path": "x"} for one in (GONE, number)]
    pq.write_table(pa.table({"image": rows}), path)
    return path


def put_csv(place: Place, number: int, chance: random.Random) -> Path:
    path = place.export / "rows.csv"
    path.write_text(f'name,labels\nlist/{GONE}.jpg,cat\n"{place.entry(number)}",cat\n')
    return path


def put_npz(place: Place, number: int, chance: random.Random) -> Path:
    path = place.export / "rows.npz"
    np.savez_compressed(path, ids=np.array([f"list/{GONE}.jpg", place.entry(number)]))
    return path


def put_zip(place: Place, number: int, chance: random.Random) -> Path:
    path = place.export / "more.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.jpg", place.pictures[number])
    return path


def put_packed(place: Place, number: int, chance: random.Random) -> Path:
    path = place.export / "x.jpg.gz"
    path.write_bytes(gzip.compress(place.pictures[number]))
    return path


def put_picture(place: Place, number: int, chance: random.Random) -> Path:
    path = place.export / f"{chance.randrange(1 << 30)}.bin"
    path.write_bytes(place.pictures[number])
    return path


def put_stored(place: Place, number: int, chance: random.Random) -> Path:
    path = place.store / object_path(place.digest(number))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(place.pictures[number])
    return path


def put_misnamed(place: Place, number: int, chance: random.Random) -> Path:
    path = place.store / "tmp" / "half"
    path.write_bytes(place.pictures[number])
    return path


def put_loose(place: Place, number: int, chance: random.Random) -> Path:
    cache = place.root / "out" / ".mlimg" / "pets"
    folders = [path for path in sorted(cache.rglob("*")) if path.is_dir()]
    path = chance.choice(folders) / "left"
    path.write_bytes(place.pictures[number])
    return path


def put_beside(place: Place, number: int, chance: random.Random) -> Path:
    path = place.dataset / "train" / "left.jpg"
    path.write_bytes(place.pictures[number])
    return path


Put = Callable[[Place, int, random.Random], Path]
PUTS: tuple[Put, ...] = (
    *(put_tar, put_description, put_parquet, put_csv, put_npz, put_zip, put_packed, put_picture),
    *(put_stored, put_misnamed, put_loose, put_beside),
)


def found_again(place: Place, put: Put, number: int, chance: random.Random) -> None:
    path = put(place, number, chance)
    try:
        found = place.prove()
    finally:
        path.unlink()
    named = {place.entry(number), place.digest(number), place.url(number), f"list/{number}.jpg"}
    assert {one.entry for one in found.findings} & named, f"{put.__name__} of {number}"
    assert any(str(path) in one.place for one in found.findings), f"{put.__name__} of {number}"


def test_nothing_is_found_where_nothing_is(place: Place) -> None:
    found = place.prove()
    assert found.findings == ()
    assert found.unread == ()
    assert found.listed_by_source == GONE


@pytest.mark.parametrize("put", PUTS, ids=lambda put: put.__name__)
def test_a_picture_that_was_put_back_is_found(place: Place, put: Put) -> None:
    chance = random.Random(put.__name__)
    found_again(place, put, chance.randrange(GONE), chance)


def test_a_picture_within_the_bytes_of_a_shard_is_found(place: Place) -> None:
    chance = random.Random(3)
    files = [path for path in place.dataset.glob("train/images/data/c/**/*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    for number in chance.sample(range(GONE), 2):
        try:
            in_shard(place, number, chance)
            found = place.prove()
        finally:
            for path, data in before.items():
                path.write_bytes(data)
        assert any("image" in one.what for one in found.findings)


@pytest.mark.slow
def test_a_hundred_pictures_put_back_one_after_the_other_are_found(place: Place) -> None:
    chance = random.Random(7)
    for number in chance.sample(range(GONE), GONE):
        found_again(place, chance.choice(PUTS), number, chance)


def test_the_verb_prints_each_finding_with_its_place_and_ends_with_1(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [
        "verify",
        str(place.dataset),
        "--absent",
        f"{place.root}/gone.txt",
        "--store",
        str(place.store),
        "-q",
    ]
    assert run([*wanted, "--also", str(place.export)]) == 0
    assert "nothing of them is left" in capsys.readouterr().out
    path = put_picture(place, 5, random.Random(1))
    try:
        assert run([*wanted, "--also", str(place.export)]) == 1
    finally:
        path.unlink()
    assert capsys.readouterr().out == f"bytes: {path} ({place.digest(5)})\n"
