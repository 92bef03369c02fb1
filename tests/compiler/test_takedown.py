"""Taking images down: their rows stay without anything else, other shards stay as they are, and no copy is left."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.engine.store_usage import entries_of
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan.withdrawals import read_withdrawals
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import Image, open_dataset, verify
from mlimg_build.spec import load_spec
from tests.support.parquet_world import image_table, write_images
from tests.support.photographs import crops
from tests.support.runs import inline

SPEC = """\
mlimg: 1
name: pets
version: 1.0.0
sources:
  list:
    type: table
    table: list.csv
    images: images
    columns: {{image: file, labels: labels, author: author, licence: licence}}
vocabulary: {{kind: flat}}
dataset: {{images_per_shard: 4}}
{more}"""
COUNT = 16
LISTED = "rights: {withdrawn: gone.txt}\n"


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return list(crops("chelsea", COUNT))


class Folder:
    """A spec of photographs in a folder with a list of those that are taken down, and its builds."""

    def __init__(self, root: Path, pictures: list[bytes]) -> None:
        self.root = root
        (root / "images").mkdir(parents=True)
        rows = ["file,labels,author,licence"]
        for number, data in enumerate(pictures):
            (root / "images" / f"{number}.jpg").write_bytes(data)
            rows.append(f"{number}.jpg,{'cat' if number % 2 else 'dog'},Author {number},CC BY 4.0")
        (root / "list.csv").write_text("\n".join(rows) + "\n")
        self.write("")

    def write(self, more: str) -> None:
        (self.root / "pets.yaml").write_text(SPEC.format(more=more))

    def withdraw(self, *entries: str, more: str = "") -> None:
        (self.root / "gone.txt").write_text("# taken down\n" + "".join(f"{entry}\n" for entry in entries))
        self.write(LISTED + more)

    def build(self, fraction: float = 1.0, out: str = "out") -> Built:
        return build(load_spec(self.root / "pets.yaml"), self.root / out, inline(), fraction)

    @property
    def store(self) -> Path:
        return self.root / "out" / ".mlimg" / "pets"


@pytest.fixture
def folder(tmp_path: Path, pictures: list[bytes]) -> Folder:
    return Folder(tmp_path / "pets", pictures)


def images(built: Built) -> dict[str, Image]:
    with open_dataset(built.dataset) as dataset:
        return {image.id: image for image in dataset["train"]}


def content(built: Built) -> dict[str, tuple[object, ...]]:
    """What a reader gets of every image."""
    with open_dataset(built.dataset) as dataset:
        return {
            image.id: (image.status, image.data, image.author, image.licence, len(image.labels))
            for image in dataset["train"]
        }


def shards(built: Built) -> list[str]:
    return (built.lock / "shards.csv").read_text().splitlines()[1:]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def held(root: Path, needles: list[bytes]) -> list[str]:
    """The files below a folder that hold one of the byte strings."""
    return [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*"))
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    ]


def test_a_withdrawn_image_keeps_its_row_and_nothing_else(folder: Folder) -> None:
    before = content(folder.build())
    folder.withdraw("list/3.jpg  # asked by mail")
    after = content(folder.build())
    assert list(after) == list(before), "rows stay aligned"
    assert after["list/3.jpg"] == ("withdrawn", b"", "", "", 0)
    assert {name: row for name, row in after.items() if name != "list/3.jpg"} == {
        name: row for name, row in before.items() if name != "list/3.jpg"
    }


def test_only_its_shard_is_written_again(folder: Folder) -> None:
    before = shards(folder.build())
    folder.withdraw("list/3.jpg")
    built = folder.build()
    assert len(before) == COUNT // 4
    assert len(set(before) - set(shards(built))) == 1
    assert built.read == 4
    assert verify(built.dataset).ok


@pytest.mark.slow
@pytest.mark.parametrize(
    ("known", "stored"),
    [(True, True), (False, False)],
    ids=["stored bytes, after a build", "original bytes, before any build"],
)
def test_a_sha256_withdraws_every_image_with_these_bytes(
    folder: Folder, pictures: list[bytes], known: bool, stored: bool
) -> None:
    smaller = "images: {encoding: {short_side: 40, quality: 80}}\n"
    (folder.root / "images" / "5.jpg").write_bytes(pictures[4])
    folder.write(smaller)
    original = content(folder.build(out="out" if known else "elsewhere"))
    named = sha256(bytes(original["list/4.jpg"][1])) if stored else sha256(pictures[4])  # type: ignore[arg-type]
    folder.withdraw(named, more=smaller)
    after = content(folder.build())
    gone = {name for name, row in after.items() if row == ("withdrawn", b"", "", "", 0)}
    assert gone == {"list/4.jpg", "list/5.jpg"}
    assert {name: row for name, row in after.items() if name not in gone} == {
        name: row for name, row in original.items() if name not in gone
    }


@pytest.mark.slow
def test_by_sha256_and_by_id_give_the_same_dataset_and_a_rerun_changes_nothing(
    folder: Folder, pictures: list[bytes]
) -> None:
    folder.withdraw(sha256(pictures[7]))
    first = folder.build()
    again = folder.build()
    assert (again.digest, again.read, shards(again)) == (first.digest, 0, shards(first))
    folder.withdraw("list/7.jpg")
    assert content(folder.build(out="other")) == content(first)


@pytest.mark.slow
def test_what_was_taken_down_comes_back_when_it_is_taken_off_the_list(folder: Folder) -> None:
    before = folder.build()
    folder.withdraw("list/3.jpg")
    folder.build()
    folder.withdraw()
    assert folder.build().digest == before.digest


def test_no_result_in_the_cache_holds_it_after_the_build(folder: Folder, pictures: list[bytes]) -> None:
    folder.build()
    secret = [pictures[3], b"Author 3"]
    assert held(folder.store / "images", secret)
    folder.withdraw("list/3.jpg")
    built = folder.build()
    left = held(folder.store, secret)
    assert [name for name in left if not name.startswith("catalog/")] == [], "but for the source's own list"
    assert not held(built.dataset, secret)
    assert all(
        "withdrawn" in line
        for line in built.failures.read_text().splitlines()[1:]  # type: ignore[union-attr]
    )


@pytest.mark.slow
def test_results_of_the_shard_are_forgotten_though_two_variants_are_kept(folder: Folder) -> None:
    before = {entry.digest for entry in entries_of(folder.store)}
    folder.build()
    packed = {entry.digest for entry in entries_of(folder.store) if entry.stage in ("images", "labels")}
    folder.withdraw("list/3.jpg")
    folder.build()
    after = {entry.digest for entry in entries_of(folder.store) if entry.stage in ("images", "labels")}
    assert not before
    assert len(packed - after) == 2, "the images and the labels of one shard"


@pytest.mark.slow
def test_a_fraction_says_which_dataset_still_holds_it(folder: Folder, pictures: list[bytes]) -> None:
    whole = folder.build()
    last = list(images(whole))[-1]
    folder.withdraw(last)
    part = folder.build(fraction=0.25)
    (told,) = (problem for problem in part.warnings if problem.code == "withdrawn-remains")
    assert whole.dataset.name in told.message
    number = int(last.rpartition("/")[2].removesuffix(".jpg"))
    assert not held(folder.store / "images", [pictures[number]])
    assert not [one for one in folder.build().warnings if one.code == "withdrawn-remains"]


def test_entries_that_meet_nothing_are_counted_in_a_warning(folder: Folder) -> None:
    folder.withdraw("list/99.jpg", "https://elsewhere.example/1.jpg", "ab" * 32, "list/1.jpg")
    told = [one for one in folder.build().warnings if one.code == "withdrawn-unknown"]
    assert [one.message.split(" of ")[0] for one in told] == ["2 entries", "1 sha256"]


def test_the_list_keeps_the_fragment_of_a_url_apart_from_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "gone.txt"
    path.write_text(
        f"#whole line\nHTTP://A.example:80/x?y=1#top # why\nphotos/a#b.jpg\n\n{'AB' * 32}\t# sha\n"
    )
    found = read_withdrawals(path)
    assert found.urls == {"http://a.example/x?y=1"}
    assert found.ids == {"photos/a#b.jpg"}
    assert found.digests == {"ab" * 32}


@pytest.mark.slow
def test_a_withdrawn_image_without_a_label_gets_no_row_back(folder: Folder) -> None:
    listed = (folder.root / "list.csv").read_text().replace("3.jpg,cat,", "3.jpg,,")
    (folder.root / "list.csv").write_text(listed)
    folder.withdraw("list/3.jpg")
    assert "list/3.jpg" not in content(folder.build())


@pytest.mark.slow
def test_what_a_sha256_met_is_known_to_the_next_plan(folder: Folder, pictures: list[bytes]) -> None:
    folder.withdraw(sha256(pictures[2]))
    folder.build()
    assert json.loads((folder.store / "withdrawn.json").read_text()) == {sha256(pictures[2]): ["list/2.jpg"]}
    made = plan(load_spec(folder.root / "pets.yaml"), folder.root / "out")
    assert made.withdrawn.found == {"list/2.jpg": sha256(pictures[2])}
    assert not made.tasks


def test_images_in_tars_and_parquet_are_taken_down_like_files(tmp_path: Path, pictures: list[bytes]) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number, data in enumerate(pictures[:4]):
            for name, content_of in ((f"{number}.jpg", data), (f"{number}.json", b'{"label": "cat"}')):
                member = tarfile.TarInfo(name)
                member.size = len(content_of)
                tar.addfile(member, io.BytesIO(content_of))
    write_images(tmp_path / "rows.parquet", image_table(pictures[4:8], [0] * 4))
    (tmp_path / "gone.txt").write_text("tars/1\n" + sha256(pictures[6]) + "\n")
    (tmp_path / "x.yaml").write_text(
        "mlimg: 1\nname: x\nversion: 1.0.0\nvocabulary: {kind: flat}\nrights: {withdrawn: gone.txt}\nsources:\n"
        "  tars: {type: webdataset, tars: a.tar, fields: {labels: label}}\n"
        "  rows: {type: parquet, images: rows.parquet}\n"
    )
    built = build(load_spec(tmp_path / "x.yaml"), tmp_path / "out", inline())
    gone = {name.partition("/")[0]: row for name, row in content(built).items() if row[0] == "withdrawn"}
    assert gone == dict.fromkeys(("tars", "rows"), ("withdrawn", b"", "", "", 0))
    assert built.failed == {"withdrawn": 2}
    assert not held(built.dataset, [pictures[1], pictures[6]])
