"""The real collections: 20,000 images in tars, 392 in folders, 128 of a crowd, and the published rows of ML-Images."""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import Dataset, open_dataset, verify
from mlimg_build.explain.image_labels import explain
from mlimg_build.spec import load_spec
from mlimg_build.wordnet import NounGraph, load
from tests.support.runs import THREE_SOURCES, backend, inline

SPEC = (
    """\
mlimg: 1
name: three
version: 1.0.0
"""
    + THREE_SOURCES
    + """\
vocabulary:
  ancestors: common
annotation:
  unlabelled: keep
dataset:
  images_per_shard: 2048
"""
)
MLIMAGES = """\
mlimg: 1
name: published
version: 1.0.0
sources:
  rows:
    type: ml_images
    lists: {data}/ml-images/train_urls_sample.txt
    dictionary: {data}/ml-images/dictionary_and_semantic_hierarchy.txt
hierarchy:
  parents: {parents}
annotation:
  positives: none
"""


@pytest.fixture(scope="module")
def three(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The three sources, built with two workers."""
    root = tmp_path_factory.mktemp("three")
    (root / "three.yaml").write_text(SPEC.format(data=shared_data))
    return build(load_spec(root / "three.yaml"), root / "out", backend(2))


@pytest.fixture(scope="module")
def dataset(three: Built) -> Dataset:
    return open_dataset(three.dataset)


@pytest.fixture(scope="module")
def graph() -> NounGraph:
    return load()


def test_every_image_of_three_sources_is_stored_as_it_was(
    dataset: Dataset, three: Built, shared_data: Path
) -> None:
    sources: dict[str, bytes] = {}
    for tar in sorted((shared_data / "tiny-imagenet/train").glob("*.tar")):
        with tarfile.open(tar) as opened:
            for member in opened:
                stream = opened.extractfile(member)
                assert stream is not None
                sources[f"tiny/{Path(member.name).stem}"] = stream.read()
    for path in (shared_data / "imagenet-sample").rglob("*.JPEG"):
        sources[f"imagenet/{path.stem}"] = path.read_bytes()
    for path in (shared_data / "coco-open-images/images").glob("*.jpg"):
        sources[f"coco/{path.stem}"] = path.read_bytes()
    assert len(sources) == 20_520
    stored = {image.id: image.data for image in dataset.train}
    missing = {"coco/000000000656", "coco/000000000659"}  # the CSV names them, and there is no such file
    assert {key for key, data in stored.items() if not data} == missing
    assert {key: data for key, data in stored.items() if data} == sources
    assert three.failed == {"missing": 2}


def states(dataset: Dataset) -> np.ndarray:
    """int8[images, categories], read with plain zarr."""
    import zarr

    group = zarr.open(dataset.path, mode="r")["train"]
    start, stop = group["labels/start"][:], group["labels/stop"][:]
    category, state = group["labels/category"][:], group["labels/state"][:]
    dense = np.zeros((len(start), len(dataset.categories)), np.int8)
    for image in range(len(start)):
        row, entries = image // group.attrs["images_per_shard"], slice(int(start[image]), int(stop[image]))
        assert not dense[image, category[row, entries]].any()
        dense[image, category[row, entries]] = state[row, entries]
    return dense


def test_presence_goes_up_and_absence_goes_down(dataset: Dataset, graph: NounGraph) -> None:
    dense = states(dataset)
    where = graph.indices(dataset.categories.wnid)
    above = graph.closure()[where][:, where].toarray()
    contradicted = {
        (row, clash.absent) for row in range(len(dense)) for clash in dataset.train.contradictions(row)
    }
    for category in range(above.shape[0]):
        present, absent = dense[:, category] == 1, dense[:, category] == -1
        assert (dense[np.ix_(present, above[category])] == 1).all()
        for row in np.flatnonzero(absent):
            below = dense[row, above[:, category]]
            assert (below == -1).all() or (row, category) in contradicted
    assert (dense == 1).sum() > 200_000
    assert (dense == -1).sum() > 2_000


def test_every_statement_of_the_crowd_is_a_label(dataset: Dataset, shared_data: Path) -> None:
    dense = states(dataset)
    category_of = {row.id: row.category for row in dataset.mappings if row.source == "coco"}
    kinds = {row.id for row in dataset.mappings if row.source == "coco" and row.method == "head"}
    with (shared_data / "coco-open-images/annotations-human-imagelabels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    counted = refuted = 0
    for row in rows:
        category = category_of[row["LabelName"]]
        present = float(row["Confidence"]) == 1
        # That no sports ball is there does not say that no ball is.
        if category >= 0 and (present or row["LabelName"] not in kinds):
            image = dataset.train.find(f"coco/{row['ImageID']}")
            if not present and dense[image, category] == 1:
                refuted += 1
            else:
                assert dense[image, category] == (1 if present else -1)
            counted += 1
    assert kinds
    assert refuted < 5, "a hot dog that was seen is a sandwich, whoever says that there is none"
    assert counted > 1_000


@pytest.mark.slow
def test_why_explains_any_label(three: Built, dataset: Dataset) -> None:
    rows = np.random.default_rng(7).choice(len(dataset.train), 40, replace=False)
    crowd = [row for row in range(len(dataset.train)) if dataset.train[row].source == "coco"][:20]
    for row in [*rows.tolist(), *crowd]:
        told = explain(three.dataset, dataset.train[row].id)
        assert len(told["labels"]) == len(dataset.train[row].labels)
        for label in told["labels"]:
            steps = [step["step"] for step in label["chain"]]
            assert steps == ["source", "mapping", *(["implication"] if label["rule"] != "stated" else [])]
            assert all(step["place"].startswith("three.yaml") for step in label["chain"])
        assert json.dumps(told)


def test_every_digest_of_the_whole_is_right(three: Built) -> None:
    found = verify(three.dataset)
    assert found.ok
    assert (found.images, found.shards) == (20_522, 11)


@pytest.mark.few(1)
@pytest.mark.parametrize(("parents", "pairs"), [("tree", 83_422), ("all", 88_196)])
def test_the_published_rows_are_all_there(
    shared_data: Path, tmp_path: Path, parents: str, pairs: int
) -> None:
    tree = "{tree: " + str(shared_data / "ml-images/dictionary_and_semantic_hierarchy.txt") + "}"
    text = MLIMAGES.format(data=shared_data, parents=tree if parents == "tree" else "all")
    (tmp_path / "published.yaml").write_text(text)
    loaded = load_spec(tmp_path / "published.yaml")
    made = plan(loaded, tmp_path / "out")
    assert len(made.facts.vocabulary) == 11_166
    assert made.facts.hierarchy.pairs == pairs
    built = build(loaded, tmp_path / "out", inline())
    assert built.failed == {"not_fetched": 50}
    if parents == "tree":
        published = (
            (shared_data / "ml-images/dictionary_and_semantic_hierarchy.txt").read_text().splitlines()[1:]
        )
        wnids = [line.split("\t")[1] for line in published]
        with open_dataset(built.dataset) as opened:
            for line in (shared_data / "ml-images/train_urls_sample.txt").read_text().splitlines():
                url, *labels = line.split("\t")
                pairs_of = (label.split(":") for label in labels if label.strip())
                stated = {wnids[int(index)]: np.float32(confidence) for index, confidence in pairs_of}
                image = opened.find(f"rows/{url}")
                assert {label.wnid: np.float32(label.confidence) for label in image.labels} == stated
