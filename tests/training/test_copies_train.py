"""Training takes images with the same bytes once, in one split, with all that is said of any of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.photographs import crops
from tests.support.runs import inline

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.compiler.pipeline import build  # noqa: E402
from mlimg_build.dataset import Dataset, open_dataset  # noqa: E402
from mlimg_build.spec import load_spec  # noqa: E402
from mlimg_build.training import Samples  # noqa: E402
from mlimg_build.training.data.samples import single_labels  # noqa: E402
from mlimg_build.training.evaluate.evaluation import training_positives  # noqa: E402
from mlimg_build.training.finetuning import classes_of  # noqa: E402

DOG, CORGI, CAT = "n02084071", "n02112826", "n02121620"
SPEC = """\
mlimg: 1
name: twice
version: 1.0.0
sources:
  synsets: {type: imagenet, images: synsets}
  rows: {type: table, table: rows.csv, images: rows}
split: {validation: 0.5}
dataset: {images_per_shard: 4}
"""


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Pictures 0 to 5 under a child and under its parent, 6 to 9 in both sources with one label, 10 to 19 once."""
    root = tmp_path_factory.mktemp("twice")
    pictures = crops("coffee", 20, 48)
    (root / "rows").mkdir()
    rows = ["image,labels"]
    for i, data in enumerate(pictures):
        for wnid in (CORGI, DOG) if i < 6 else (CAT,):
            folder = root / "synsets" / wnid
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{wnid}_{i}.JPEG").write_bytes(data)
        if 6 <= i < 10:
            (root / "rows" / f"{i}.jpg").write_bytes(data)
            rows.append(f"{i}.jpg,{CAT}")
    (root / "rows.csv").write_text("\n".join(rows) + "\n")
    (root / "twice.yaml").write_text(SPEC)
    return open_dataset(build(load_spec(root / "twice.yaml"), root / "out", inline()).dataset)


def usable(dataset: Dataset, split: str) -> list[int]:
    return np.flatnonzero(np.concatenate(Samples(dataset, split).usable())).tolist()


def test_no_picture_is_trained_on_and_validated_with(twice: Dataset) -> None:
    digests = {
        split: [twice[split][row].digest for row in usable(twice, split)] for split in ("train", "validation")
    }
    assert len(digests["train"]) + len(digests["validation"]) == 20
    assert len({*digests["train"], *digests["validation"]}) == 20
    lying = [{image.digest for image in twice[split]} for split in ("train", "validation")]
    assert lying[0] & lying[1]  # copies do lie in both


def test_a_batch_has_the_labels_of_all_copies(twice: Dataset) -> None:
    index = {wnid: twice.categories.index(wnid) for wnid in (DOG, CORGI, CAT)}
    for split in ("train", "validation"):
        samples, rows = Samples(twice, split), usable(twice, split)
        labels = samples.labels(rows)
        for i, row in enumerate(rows):
            known = set(labels.category[labels.image == i].tolist())
            image = twice[split][row]
            assert known == {label.category for label in image.labels}
            if any(DOG in one or CORGI in one for one in (image.id, *image.copies)):
                assert known == {index[DOG], index[CORGI]}


def test_frequencies_count_pictures(twice: Dataset) -> None:
    total = training_positives(twice, "train") + training_positives(twice, "validation")
    assert total.tolist() == twice.categories.positives.tolist()
    counts = {wnid: int(total[twice.categories.index(wnid)]) for wnid in (DOG, CORGI, CAT)}
    assert counts == {DOG: 6, CORGI: 6, CAT: 14}


def test_a_picture_under_two_classes_has_no_single_one_and_one_of_two_sources_has(twice: Dataset) -> None:
    cat = twice.categories.index(CAT)
    found: dict[str, int] = {}
    for split in ("train", "validation"):
        for row, category in enumerate(single_labels(twice, split, "synsets").tolist()):
            image = twice[split][row]
            if category >= 0:
                assert image.counts
                found[image.digest] = category
    assert sorted(found.values()) == [cat] * 14
    assert classes_of(twice, "synsets").categories == (cat,)
    rows = sum(int((single_labels(twice, split, "rows") >= 0).sum()) for split in ("train", "validation"))
    assert rows == 4
