"""The predictions that pairs are learnt from: a score reaches the threshold or it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlimg_build.compiler.facts.predictions import read_predictions
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.errors import Place, SpecError
from mlimg_build.sources.lists import parquet_batches
from mlimg_build.spec import load_spec
from mlimg_build.training.predict.outputs import LABELS
from tests.support.photographs import crops

DOG, CAT = "n02084071", "n02121620"
PLACE = Place("spec.yaml", 1, 1)


def seen(path: Path, scores: list[float], kind: pa.DataType) -> list[int]:
    """The category that is seen in each image, given the score of the dog in it."""
    label = pa.struct([("wnid", pa.string()), ("name", pa.string()), ("score", kind)])
    table = pa.table(
        {
            "image": [f"{i}.jpg" for i in range(len(scores))],
            "labels": pa.array(
                [[{"wnid": DOG, "name": "dog", "score": score}] for score in scores], pa.list_(label)
            ),
        }
    )
    pq.write_table(table, path)
    found = read_predictions(path, (CAT, DOG), 0.9, PLACE).to_pylist()
    return [row["category"] for row in sorted(found, key=lambda row: row["image"])]


def test_a_score_just_below_the_threshold_does_not_reach_it(tmp_path: Path) -> None:
    assert seen(tmp_path / "p.parquet", [0.9, 0.89999999, 0.90000001], pa.float64()) == [1, -1, 1]


def test_a_score_of_few_bits_stands_for_the_decimal_that_names_it(tmp_path: Path) -> None:
    assert seen(tmp_path / "p.parquet", [0.9, 0.8999, 1.0], pa.float32()) == [1, -1, 1]


@pytest.mark.parametrize("score", [7.25, -0.5, float("nan")])
def test_a_score_that_is_no_share_is_refused(tmp_path: Path, score: float) -> None:
    with pytest.raises(SpecError, match=r"0\.jpg has the score") as error:
        seen(tmp_path / "p.parquet", [score], pa.float32())
    assert error.value.code == "predictions-unreadable"


def label_table(paths: list[str], wnid: str) -> pa.Table:
    label = pa.struct([("wnid", pa.string()), ("name", pa.string()), ("score", pa.float64())])
    said = [[{"wnid": wnid, "name": "", "score": 0.99}]] * len(paths)
    return pa.table({"image": pa.array(paths, pa.string()), "labels": pa.array(said, pa.list_(label))})


@pytest.fixture
def two_sources(tmp_path: Path) -> Path:
    """Two tables whose images have the same names, all of dogs in one and of cats in the other."""
    for folder, label in (("P", "dog"), ("Q", "cat")):
        (tmp_path / folder).mkdir()
        for i, data in enumerate(crops("chelsea" if folder == "P" else "rocket", 8, 32)):
            (tmp_path / folder / f"{i}.jpg").write_bytes(data)
        rows = "".join(f"{i}.jpg,{label}\n" for i in range(8))
        (tmp_path / f"{folder}.csv").write_text(f"image,labels\n{rows}")
    (tmp_path / "x.yaml").write_text(
        "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"
        "  p: {type: table, table: P.csv, images: P}\n  q: {type: table, table: Q.csv, images: Q}\n"
        "vocabulary: {include: [n03217814]}\n"
        "annotation:\n  cooccurrence: {learn_from: [p, q], predictions: seen.parquet, min_probability: 0.4, "
        "min_images: 2, doubtful: use}\n"
    )
    return tmp_path


def pairs(world: Path) -> set[str]:
    made = plan(load_spec(world / "x.yaml"), world / "out")
    wnids = made.facts.vocabulary.wnids
    return {wnids[one] for one in made.facts.pairs.antecedent.tolist()}


COLLAR = "n03217814"


def test_predictions_of_one_source_are_not_those_of_files_of_the_same_names(two_sources: Path) -> None:
    pq.write_table(label_table([f"Q/{i}.jpg" for i in range(8)], COLLAR), two_sources / "seen.parquet")
    assert pairs(two_sources) & {CAT, DOG} == {CAT}


def test_predictions_that_may_be_of_two_sources_are_refused(two_sources: Path) -> None:
    pq.write_table(label_table([f"{i}.jpg" for i in range(8)], COLLAR), two_sources / "seen.parquet")
    with pytest.raises(SpecError, match="may be of several sources") as caught:
        pairs(two_sources)
    assert caught.value.code == "predictions-shared"


def test_predictions_of_nothing_that_the_spec_knows_are_refused(two_sources: Path) -> None:
    pq.write_table(label_table(["Q/0.jpg"], "collar"), two_sources / "seen.parquet")
    with pytest.raises(SpecError, match="no categories of this spec"):
        pairs(two_sources)


def test_a_null_among_the_images_of_predictions_is_no_image(two_sources: Path) -> None:
    table = label_table([*(f"Q/{i}.jpg" for i in range(8)), ""], COLLAR)
    images = pa.array([*table["image"].to_pylist()[:8], None], pa.string())
    pq.write_table(table.set_column(0, "image", images), two_sources / "seen.parquet")
    assert CAT in pairs(two_sources)


def test_one_prediction_that_may_be_of_two_sources_is_not_left_out_in_silence(two_sources: Path) -> None:
    names = [*(f"Q/{i}.jpg" for i in range(7)), "7.jpg"]
    pq.write_table(label_table(names, COLLAR), two_sources / "seen.parquet")
    with pytest.raises(SpecError, match=r"1 predicted image, such as 7\.jpg, may be of several sources"):
        pairs(two_sources)


def test_two_sources_over_one_folder_have_its_predictions_both(two_sources: Path) -> None:
    (two_sources / "P.csv").write_text((two_sources / "Q.csv").read_text().replace("cat", "dog"))
    spec = (two_sources / "x.yaml").read_text().replace("table: P.csv, images: P", "table: P.csv, images: Q")
    (two_sources / "x.yaml").write_text(spec)
    pq.write_table(label_table([f"{i}.jpg" for i in range(8)], COLLAR), two_sources / "seen.parquet")
    assert pairs(two_sources) >= {CAT, DOG}


@pytest.mark.parametrize("nested", [None, 32 << 20])
def test_predictions_of_many_categories_are_read_as_predict_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: int | None
) -> None:
    if nested:  # the texts of the lists are then read as codes
        monkeypatch.setattr(parquet_batches, "NESTED", nested)
    images, of_each, categories = 4096, 20, 11_166
    kind = np.random.default_rng(0).integers(0, categories, images * of_each)
    wnids = pa.array([f"n{i:08d}" for i in range(categories)])
    names = pa.array([f"category name {i}" for i in range(categories)])
    scores = pa.array(np.where(kind % 2, 0.5, 0.1), pa.float32())
    label = pa.StructArray.from_arrays(
        [wnids.take(pa.array(kind)), names.take(pa.array(kind)), scores], ["wnid", "name", "score"]
    )
    lists = pa.ListArray.from_arrays(pa.array(np.arange(images + 1) * of_each, pa.int32()), label)
    image = [f"{i}.jpg" for i in range(images)]
    told = [pa.array(["ok"] * images), pa.array([""] * images)]
    table = pa.Table.from_arrays([pa.array(image), *told, lists], schema=LABELS)
    pq.write_table(table, tmp_path / "p.parquet")
    found = read_predictions(tmp_path / "p.parquet", tuple(wnids.to_pylist()), 0.3, PLACE)
    rows = np.repeat(np.arange(images), of_each)[kind % 2 == 1]
    expected = {(f"{row}.jpg", int(code)) for row, code in zip(rows, kind[kind % 2 == 1], strict=True)}
    assert {(row["image"], row["category"]) for row in found.to_pylist() if row["category"] >= 0} == expected


def test_a_long_text_in_all_predictions_is_not_copied(tmp_path: Path) -> None:
    code = pa.array(np.zeros(8000, np.int32))
    long, wnid = "N" * 500_000, pa.array(np.arange(8000, dtype=np.int32) % 2)
    label = pa.StructArray.from_arrays(
        [
            pa.DictionaryArray.from_arrays(wnid, [DOG, long]),
            pa.DictionaryArray.from_arrays(code, [long]),
            pa.array(np.ones(8000, np.float32)),
        ],
        ["wnid", "name", "score"],
    )
    lists = pa.ListArray.from_arrays(pa.array(np.arange(4001) * 2, pa.int32()), label)
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"image": [f"{i}.jpg" for i in range(4000)], "labels": lists}), path)
    pool = pa.default_memory_pool()
    before = max(pool.max_memory(), pool.bytes_allocated() + (1 << 30))
    found = read_predictions(path, (CAT, DOG), 0.9, PLACE)
    assert found.column("category").to_pylist() == [1] * 4000
    assert pool.max_memory() <= before


def test_predictions_that_need_much_memory_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_batches, "NESTED", 10)
    with pytest.raises(SpecError, match="it needs more memory than is given to it: row group 0: ") as caught:
        seen(tmp_path / "p.parquet", [0.9], pa.float32())
    assert caught.value.problems[0].hint.startswith("write smaller row groups or pages; ")
