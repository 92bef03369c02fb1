"""A COCO JSON is built to the labels that it states, each with its entry in the file; names and groups meet WordNet."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.compiler.understood import understood
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import SpecError
from mlimg_build.explain.image_labels import explain
from mlimg_build.spec import load_spec
from mlimg_build.wordnet import load
from tests.support.coco_world import annotation, document, image, written
from tests.support.photographs import crops
from tests.support.runs import inline

SPEC = """\
mlimg: 1
name: coco
version: 1.0.0
sources:
  coco: {{type: coco, annotations: [{files}], {more}}}
annotation: {{unlabelled: keep}}
dataset: {{images_per_shard: 8}}
"""
CAT, DOG, PERSON = "n02121620", "n02084071", "n00007846"
CATEGORIES = [
    {"supercategory": "animal", "id": 17, "name": "cat"},
    {"supercategory": "animal", "id": 18, "name": "dog"},
    {"supercategory": "person", "id": 1, "name": "person"},
]


def made(folder: Path, more: str = "images: photographs", files: str = "c.json") -> Built:
    (folder / "coco.yaml").write_text(SPEC.format(files=files, more=more))
    return build(load_spec(folder / "coco.yaml"), folder / "out", inline())


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Six photographs of a cat and two of coffee; in the fourth a crowd, the last two without an annotation."""
    (tmp_path / "photographs").mkdir()
    for i, data in enumerate([*crops("chelsea", 6), *crops("coffee", 2)]):
        (tmp_path / "photographs" / f"{i:012}.jpg").write_bytes(data)
    said = [annotation(i, i, 17) for i in range(6)]
    said += [annotation(9, 3, 1, iscrowd=1, segmentation={"counts": [4, 5], "size": [96, 96]})]
    written(tmp_path / "c.json", document([image(i, license=1) for i in range(8)], said, CATEGORIES))
    return tmp_path


def labels(built: Built) -> dict[str, dict[str, int]]:
    """The state of the stated labels of each image, by wnid."""
    assert built.dataset
    with open_dataset(built.dataset) as dataset:
        return {
            one.id: {label.wnid: label.state for label in one.labels if label.rule == "stated"}
            for split in dataset.splits.values()
            for one in split
        }


def test_the_labels_of_a_dataset_are_those_of_cocos_own_api(world: Path) -> None:
    api = pytest.importorskip("pycocotools.coco")
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = api.COCO(str(world / "c.json"))
    wnid = {17: CAT, 18: DOG, 1: PERSON}
    wanted = {
        f"coco/{loaded.loadImgs(i)[0]['file_name']}": {
            wnid[one["category_id"]]: 1 for one in loaded.loadAnns(loaded.getAnnIds(imgIds=i))
        }
        for i in loaded.getImgIds()
    }
    assert labels(made(world)) == wanted


def test_why_names_the_annotation_and_what_is_denied_the_image(world: Path) -> None:
    built = made(world)
    (told,) = explain(built.dataset, f"coco/{3:012}.jpg", PERSON)["labels"]
    assert told["chain"][0]["text"] == "c.json: annotations[6] says 1 'person' is present (verified)"
    assert not explain(built.dataset, f"coco/{7:012}.jpg", CAT)["labels"]
    built = made(world, "images: photographs, exhaustive: true")
    (told,) = explain(built.dataset, f"coco/{7:012}.jpg", CAT)["labels"]
    assert told["chain"][0]["text"] == "c.json: images[7] says 17 'cat' is absent (verified)"
    assert labels(built)[f"coco/{3:012}.jpg"] == {CAT: 1, PERSON: 1, DOG: -1}


def test_images_that_two_files_list_are_put_together(world: Path) -> None:
    stuff = [{"id": 200, "name": "grass", "supercategory": "plant"}]
    written(world / "stuff.json", document([image(i) for i in range(4)], [annotation(0, 2, 200)], stuff))
    found = labels(made(world, files="c.json, stuff.json"))
    assert len(found) == 8
    assert found[f"coco/{2:012}.jpg"] == {CAT: 1, "n12102133": 1}
    (catalog,) = plan(load_spec(world / "coco.yaml"), world / "out").inputs.catalogs
    assert dict(catalog.notes.counts) == {"several-rows": 4}


def test_without_a_folder_urls_are_rows_to_be_fetched(world: Path) -> None:
    url = "http://images.cocodataset.org/val2017/{}.jpg"
    images = [image(i, coco_url=url.format(i)) for i in range(4)]
    written(world / "c.json", document(images, [annotation(i, i, 17) for i in range(4)], CATEGORIES))
    (world / "coco.yaml").write_text(SPEC.format(files="c.json", more="licence: CC0"))
    made_plan = plan(load_spec(world / "coco.yaml"), world / "out")
    (catalog,) = made_plan.inputs.catalogs
    (batch,) = [one for one in catalog.images.batches(["path", "status"]) if len(one)]
    assert set(batch.column("path").to_pylist()) == {url.format(i) for i in range(4)}
    assert set(batch.column("status").to_pylist()) == {"not_fetched"}
    assert not made_plan.warnings


def test_a_plan_shows_the_entry_of_an_example_and_what_no_annotation_means(world: Path) -> None:
    (world / "coco.yaml").write_text(
        SPEC.format(files="c.json", more="images: photographs, exhaustive: true")
    )
    made_plan = plan(load_spec(world / "coco.yaml"), world / "out")
    spec, inputs = made_plan.loaded.spec, made_plan.inputs
    told = understood(spec, inputs.catalogs, made_plan.facts, load())["coco"]
    assert told.columns[-1] == ("no annotation", "verified absent")
    assert (told.images, told.met, told.present, told.absent) == (8, 8, 7, 17)
    for one in told.examples:
        number = int(one.name[:12])
        entry = 6 if number == 3 else number  # the first category of that image is the crowd's
        assert one.row == f"c.json: {'annotations' if number < 6 else 'images'}[{entry}]"


def mapped(folder: Path, categories: list[dict[str, object]], more: str = "") -> dict[str, tuple[str, str]]:
    """Name -> the synset and the method by which a plan finds it."""
    listed = [annotation(i, i % 8, one["id"]) for i, one in enumerate(categories)]
    written(folder / "c.json", document([image(i) for i in range(8)], listed, categories))
    (folder / "coco.yaml").write_text(SPEC.format(files="c.json", more="images: photographs") + more)
    placed = plan(load_spec(folder / "coco.yaml"), folder / "out").facts.vocabulary.placed
    return {row.decision.name: (row.decision.wnid, row.decision.method) for row in placed}


@pytest.mark.parametrize(("group", "wnid"), [("bird", "n02012849"), ("machine", "n03126707")])
def test_a_supercategory_tells_the_senses_of_a_name_apart(world: Path, group: str, wnid: str) -> None:
    found = mapped(world, [{"id": 1, "name": "crane", "supercategory": group}])
    assert found == {"crane": (wnid, "lemma")}


def test_a_supercategory_that_is_a_category_is_that_one_and_none_is_no_group(world: Path) -> None:
    categories: list[dict[str, object]] = [
        {"id": 0, "name": "bird", "supercategory": "none"},
        {"id": 1, "name": "crane", "supercategory": "Bird"},
        {"id": 2, "name": "person", "supercategory": "person"},
    ]
    found = mapped(world, categories)
    assert [(name, wnid) for name, (wnid, _) in found.items()] == [
        ("bird", "n01503061"),
        ("crane", "n02012849"),
        ("person", PERSON),
    ]


def test_a_synset_of_wordnet_is_the_category_and_another_is_looked_up_by_its_name(world: Path) -> None:
    categories: list[dict[str, object]] = [
        {"id": 1, "name": "crane", "synset": "crane.n.04"},
        {"id": 2, "name": "bath_towel", "synset": "bath_towel_of_lvis.n.01"},
        {"id": 3, "name": "tench", "synset": "tench.n.01"},
    ]
    assert mapped(world, categories) == {
        "crane": ("n03126707", "same_id"),
        "bath_towel": ("n02808304", "lemma"),
        "tench": ("n01440764", "same_id"),
    }


def test_a_spec_that_misspells_a_key_of_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "coco.yaml").write_text(SPEC.format(files="c.json", more="exhaustiv: true"))
    with pytest.raises(SpecError, match='did you mean "exhaustive"'):
        load_spec(tmp_path / "coco.yaml")
