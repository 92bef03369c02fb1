"""A dataset of Parquet files has the images of the folder that they were made of, whoever builds it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.compiler.run import tasks
from mlimg_build.dataset import Dataset, open_dataset
from mlimg_build.errors import BuildError, MlimgError
from mlimg_build.explain.image_labels import explain_in
from mlimg_build.sources.embedded import page_reader
from mlimg_build.sources.lists.parquet_footer import read_chunks
from mlimg_build.sources.lists.parquet_pages import pages_of
from mlimg_build.spec import load_spec
from tests.support.parquet_world import CLASSES, image_table, write_images
from tests.support.photographs import crops
from tests.support.runs import backend, inline

HEAD = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"


def spec_of(root: Path, source: str, rest: str = "") -> Path:
    path = root / "x.yaml"
    path.write_text(f"{HEAD}  pets: {source}\n{rest}")
    return path


def made(root: Path, source: str, rest: str = "", workers: int = 0, out: str = "out") -> Dataset:
    where = backend(workers) if workers else inline()
    return open_dataset(build(load_spec(spec_of(root, source, rest)), root / out, where).dataset)


def refusal(root: Path, source: str) -> MlimgError:
    with pytest.raises(MlimgError) as caught:
        plan(load_spec(spec_of(root, source)), root / "out")
    return caught.value


def content(dataset: Dataset) -> dict[str, list[tuple[bytes, list[str]]]]:
    """Of each split the images, by their bytes, with what they show."""
    return {
        name: sorted(
            (image.data, sorted(label.name for label in image.labels if label.state == 1))
            for image in dataset[name]
        )
        for name in dataset.splits
    }


OPTIONS: list[dict[str, Any]] = [
    {},
    {"compression": "none", "use_dictionary": False, "data_page_size": 4000, "write_batch_size": 2},
    {"compression": "zstd", "data_page_version": "2.0", "row_group_size": 9},
]


@pytest.mark.few(1)
@pytest.mark.parametrize("options", OPTIONS)
def test_the_images_are_those_of_the_folder_it_was_made_of(tmp_path: Path, options: dict[str, Any]) -> None:
    photographs = crops("chelsea", 36, 40)
    for i, data in enumerate(photographs):
        path = tmp_path / "img" / ("val" if i % 6 == 5 else "train") / CLASSES[i % 3] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for split in ("train", "validation"):
        chosen = [i for i in range(36) if (i % 6 == 5) == (split == "validation")]
        table = image_table([photographs[i] for i in chosen], [i % 3 for i in chosen])
        write_images(tmp_path / f"data/{split}-00000-of-00001.parquet", table, **options)
    folder = made(
        tmp_path, "{type: folder, images: img, splits: {train: train, val: validation}}", out="folder"
    )
    packed = made(tmp_path, "{type: parquet, images: data}", out="packed")
    assert content(packed) == content(folder)
    assert {len(split) for split in content(packed).values()} == {30, 6}
    assert packed.find("pets/train-00000-of-00001/3").data == photographs[2]


def test_datasets_own_files_are_built(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets (Hugging Face) is not installed")
    datasets.disable_progress_bars()
    photographs = crops("chelsea", 12, 40)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)})
    rows = {
        "image": [{"bytes": data, "path": f"{i}.jpg"} for i, data in enumerate(photographs)],
        "label": [i % 3 for i in range(12)],
    }
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    (found,) = content(made(tmp_path, "{type: parquet, images: '*.parquet', split: train}")).values()
    assert [data for data, _ in found] == sorted(photographs)
    assert {label for _, labels in found for label in labels} >= {"domestic cat", "cat"} & {"cat"}


@pytest.mark.slow
def test_a_dataset_is_the_same_with_one_worker_and_with_two(tmp_path: Path) -> None:
    photographs = crops("chelsea", 40, 40)
    write_images(
        tmp_path / "a.parquet", image_table(photographs, [i % 3 for i in range(40)]), row_group_size=9
    )
    source, rest = "{type: parquet, images: a.parquet}", "dataset: {images_per_shard: 8}\n"
    digests = {
        made(tmp_path, source, rest, workers, out=f"out{workers}").attributes["digest"]
        for workers in (0, 1, 2)
    }
    assert len(digests) == 1


def test_pages_are_unpacked_once_a_shard_and_the_rows_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = crops("chelsea", 60, 40)
    write_images(
        tmp_path / "a.parquet", image_table(photographs, [i % 3 for i in range(60)]), row_group_size=10
    )
    source = "{type: parquet, images: a.parquet, split: train}"
    plain = made(tmp_path, source, out="plain")
    unpacked: list[int] = []
    real = page_reader.read_dictionary
    monkeypatch.setattr(page_reader, "read_dictionary", lambda *given: unpacked.append(1) or real(*given))
    monkeypatch.setattr(
        page_reader.PageReader.__init__, "__defaults__", (1,)
    )  # nothing but the last page is kept
    ordered = made(tmp_path, source, out="ordered")
    assert len(unpacked) == 6
    unpacked.clear()
    monkeypatch.setattr(tasks.PageSpool, "fill", lambda *_: None)
    at_random = made(tmp_path, source, out="random")
    assert len(unpacked) > 30
    assert len({one.attributes["digest"] for one in (plain, ordered, at_random)}) == 1


def test_why_names_the_row_of_the_file(tmp_path: Path) -> None:
    write_images(tmp_path / "a.parquet", image_table(crops("chelsea", 4, 40), [0, 1, 2, 0]))
    dataset = made(tmp_path, "{type: parquet, images: a.parquet, split: train}")
    told = explain_in(dataset, "pets/a/2", "n02084071")
    assert "a.parquet:2" in json.dumps(told)


def test_bad_images_keep_their_rows_and_say_why(tmp_path: Path) -> None:
    good, cut = crops("chelsea", 2, 40)
    images = [good, b"", cut[:50], b"no image", None]
    write_images(tmp_path / "a.parquet", image_table(images, [0, 1, 2, 0, 1]))
    dataset = made(tmp_path, "{type: parquet, images: a.parquet, split: train}")
    found = {image.id: image.status for image in dataset["train"]}
    assert found == {
        "pets/a/1": "ok",
        "pets/a/2": "empty",
        "pets/a/3": "truncated",
        "pets/a/4": "unrecognised",
        "pets/a/5": "missing",
    }
    again = build(load_spec(tmp_path / "x.yaml"), tmp_path / "out", inline())
    assert again.read == 0


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A file one of whose pages is not what its codec makes; statistics and labels are whole."""
    photographs = crops("chelsea", 20, 40)
    path = write_images(
        tmp_path / "a.parquet", image_table(photographs, [i % 3 for i in range(20)]), row_group_size=10
    )
    descriptor = os.open(path, os.O_RDONLY)
    page = next(pages_of(descriptor, read_chunks(descriptor)[0][0]))
    os.close(descriptor)
    whole = bytearray(path.read_bytes())
    whole[page.at : page.at + 8] = bytes(8)
    path.write_bytes(whole)
    return path


def test_a_damaged_page_costs_its_images_only_and_is_not_read_again_and_again(
    tmp_path: Path, damaged: Path
) -> None:
    dataset = made(tmp_path, "{type: parquet, images: a.parquet, split: train}")
    status = {int(image.id.rpartition("/")[2]): image.status for image in dataset["train"]}
    assert [status[i] for i in range(1, 21)] == ["corrupt"] * 10 + ["ok"] * 10
    again = build(load_spec(tmp_path / "x.yaml"), tmp_path / "out", inline())
    assert again.read == 0


def test_a_file_that_changes_between_plan_and_build_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = crops("chelsea", 6, 40)
    path = write_images(tmp_path / "a.parquet", image_table(photographs, [0] * 6))
    real = tasks.shard_batch

    def changing(*given: Any) -> pa.RecordBatch:
        state = path.stat()
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
        return real(*given)

    monkeypatch.setattr(tasks, "shard_batch", changing)
    with pytest.raises(BuildError) as caught:
        made(tmp_path, "{type: parquet, images: a.parquet, split: train}")
    assert caught.value.code == "source-changed"
    monkeypatch.undo()
    assert len(made(tmp_path, "{type: parquet, images: a.parquet, split: train}")["train"]) == 6


def test_numbers_without_names_are_an_error_with_a_hint(tmp_path: Path) -> None:
    write_images(tmp_path / "a.parquet", image_table(crops("chelsea", 3, 40), [0, 1, 2], names=None))
    problem = refusal(tmp_path, "{type: parquet, images: a.parquet}").problems[0]
    assert problem.code == "numeric-labels"
    assert "classes: FILE" in str(problem.hint)
    (tmp_path / "names.csv").write_text("id,name\n0,cat\n1,dog\n2,horse\n")
    (found,) = content(
        made(tmp_path, "{type: parquet, images: a.parquet, classes: names.csv, split: train}")
    ).values()
    assert ["horse" in labels for _, labels in found].count(True) == 1


def test_a_test_set_that_was_trained_on_by_order_has_to_be_placed_without_it(tmp_path: Path) -> None:
    photographs = crops("chelsea", 6, 40)
    for split, part in (("train", photographs[:4]), ("test", photographs[4:])):
        write_images(tmp_path / f"data/{split}-0.parquet", image_table(part, [0] * len(part)))
    assert len(made(tmp_path, "{type: parquet, images: data, split: train}")["train"]) == 6
    assert refusal(tmp_path, "{type: parquet, images: data}").problems[0].code == "split-unplaced"
    placed = made(tmp_path, "{type: parquet, images: data, splits: {train: train, test: validation}}")
    assert [len(placed[name]) for name in ("train", "validation")] == [4, 2]


def test_rows_whose_bytes_were_not_written_are_said_with_what_to_do(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets (Hugging Face) is not installed")
    from datasets.table import embed_table_storage

    datasets.disable_progress_bars()
    (tmp_path / "data/img").mkdir(parents=True)
    photographs = crops("chelsea", 6, 40)
    paths = [tmp_path / f"data/img/{i}.jpg" for i in range(6)]
    for path, data in zip(paths, photographs, strict=True):
        path.write_bytes(data)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)})
    rows = {"image": [str(path) for path in paths], "label": [0, 1, 2, 0, 1, 2]}
    plain = datasets.Dataset.from_dict(rows, features=features)
    plain.to_parquet(tmp_path / "data/a.parquet")  # it writes paths of this machine, and no bytes
    loaded = load_spec(spec_of(tmp_path, "{type: parquet, images: data/a.parquet, split: train}"))
    (said,) = [one for one in plan(loaded, tmp_path / "out").warnings if one.code == "rows-without-bytes"]
    assert "6 rows hold no bytes" in said.message
    assert "embed_table_storage" in str(said.hint)
    (by_path,) = content(
        made(tmp_path, "{type: parquet, images: data, split: train}", out="by_path")
    ).values()
    assert [data for data, _ in by_path] == sorted(photographs)
    plain.with_format("arrow").map(embed_table_storage, batched=True).to_parquet(tmp_path / "b.parquet")
    (inside,) = content(made(tmp_path, "{type: parquet, images: b.parquet, split: train}", out="b")).values()
    assert inside == by_path


def test_what_the_spec_says_wrongly_has_its_place(tmp_path: Path) -> None:
    for source, code in (
        ("{type: parquet, images: nowhere}", "path-missing"),
        ("{type: parquet, images: 'none-*.parquet'}", "source-empty"),
        ("{type: parquet}", "missing-key"),
        ("{type: parquet, images: a, columns: {label: x}}", "unknown-key"),
        ("{type: parquet, images: a, split: train, splits: {a: train}}", "wrong-value"),
    ):
        problem = refusal(tmp_path, source).problems[0]
        assert problem.code == code
        assert problem.place is not None
        assert problem.place.line == 5


def test_a_file_written_anew_is_planned_anew(tmp_path: Path) -> None:
    photographs = crops("chelsea", 6, 40)
    write_images(tmp_path / "a.parquet", image_table(photographs, [0] * 6))
    source = "{type: parquet, images: a.parquet, split: train}"
    assert len(made(tmp_path, source)["train"]) == 6
    write_images(tmp_path / "a.parquet", image_table(photographs[:5], [1] * 5), row_group_size=2)
    found = content(made(tmp_path, source))["train"]
    assert [data for data, _ in found] == sorted(photographs[:5])
    assert all("dog" in labels for _, labels in found)


def patients(root: Path, of_patient: list[object]) -> None:
    """Write 60 photographs with a column `patient`, in two files."""
    photographs = crops("chelsea", 60, 24)
    for part in range(2):
        rows = slice(part * 30, part * 30 + 30)
        table = image_table(photographs[rows], [i % 3 for i in range(30)])
        column = pa.array(of_patient[rows])
        pq.write_table(table.append_column("patient", column), root / f"scans-{part}.parquet")


GROUPED = "{type: parquet, images: ., group: {column: patient}}"


def test_images_of_one_patient_lie_in_one_split(tmp_path: Path) -> None:
    patients(tmp_path, [None if i == 7 else i % 13 for i in range(60)])
    dataset = made(tmp_path, GROUPED, "split: {validation: 0.3}\n")
    sides: dict[int, set[str]] = {}
    for split in dataset.splits:
        for image in dataset[split]:
            part, row = image.id.removeprefix("pets/scans-").split("/")
            if (i := int(part) * 30 + int(row) - 1) != 7:
                sides.setdefault(i % 13, set()).add(split)
    assert len(sides) == 13
    assert all(len(where) == 1 for where in sides.values())
    assert {*map(frozenset, sides.values())} == {frozenset({"train"}), frozenset({"validation"})}


def test_another_patient_of_an_image_is_another_draw(tmp_path: Path) -> None:
    drawn = []
    for patient in ("P1", "P2", "P1"):
        patients(tmp_path, [patient] * 60)
        drawn.append(
            plan(
                load_spec(spec_of(tmp_path, GROUPED, "split: {validation: 0.3}\n")), tmp_path / "out"
            ).inputs.groups
        )
    first, second, third = drawn
    assert first is not None
    assert second is not None
    assert first == third
    assert first.digest != second.digest


@pytest.mark.parametrize(
    ("column", "code", "words"),
    [
        ("pacient", "column-missing", 'did you mean "patient"?'),
        ("image", "column-type", "name a field of it"),
        ("scores", "column-type", "it is one text a row"),
    ],
)
def test_a_column_that_holds_no_groups_is_an_error(
    tmp_path: Path, column: str, code: str, words: str
) -> None:
    photographs = crops("chelsea", 3, 24)
    table = image_table(photographs, [0, 1, 2]).append_column("patient", pa.array(["a", "b", "b"]))
    table = table.append_column("scores", pa.array([[1], [2], [3]]))
    pq.write_table(table, tmp_path / "a.parquet")
    error = refusal(tmp_path, GROUPED.replace("patient", column))
    assert error.problems[0].code == code
    assert words in str(error.problems[0].hint)
    assert str(error.problems[0].place).endswith("x.yaml:5:52")


def shards(root: Path, *numbers: int, names: list[str] = CLASSES) -> None:
    for number in numbers:
        table = image_table(crops("chelsea", 3, 24), [0, 1, 2], names=names if number else CLASSES)
        pq.write_table(table, root / f"train-{number:05}-of-00003.parquet")


def test_a_file_of_a_numbered_set_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    shards(tmp_path, 0, 2)
    error = refusal(tmp_path, "{type: parquet, images: .}")
    assert error.code == "shards-missing"
    assert "train-00001-of-00003.parquet is not there" in error.problems[0].message
    made_plan = plan(
        load_spec(spec_of(tmp_path, "{type: parquet, images: train-*.parquet}")), tmp_path / "out"
    )
    assert made_plan.inputs.catalogs[0].notes.counts["shards-missing"] == 1
    shards(tmp_path, 1)
    plan(load_spec(spec_of(tmp_path, "{type: parquet, images: .}")), tmp_path / "out")


def test_files_whose_numbers_are_other_classes_are_a_warning(tmp_path: Path) -> None:
    shards(tmp_path, 0, 1, 2, names=["dog", "cat", "golden_retriever"])
    found = plan(load_spec(spec_of(tmp_path, "{type: parquet, images: .}")), tmp_path / "out")
    (differ,) = [one for one in found.warnings if one.code == "names-differ"]
    assert "2 files have other names" in differ.message
    assert "train-00001-of-00003.parquet: 0 is dog, in train-00000-of-00003.parquet cat" in differ.message
