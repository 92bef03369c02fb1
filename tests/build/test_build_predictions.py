"""The predictions that pairs are learnt from: a score reaches the threshold or it does not."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlimg_build.build.predicted import read_predictions
from mlimg_build.errors import Place, SpecError

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
