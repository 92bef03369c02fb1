"""Real archives, lists and dictionaries; skipped where the data folder is not beside the checkout."""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mlimg_build.label_states import ABSENT, PRESENT
from mlimg_build.sources import ImageReader, Notes, place_of, read_dictionary
from mlimg_build.sources.formats.imagenet import ImageNet
from mlimg_build.sources.formats.ml_images import MLImages
from mlimg_build.sources.formats.open_images import OpenImages
from mlimg_build.sources.lists.class_names import class_descriptions
from mlimg_build.sources.tar_index import members
from mlimg_build.spec import ImageNetSource, MLImagesSource, OpenImagesSource
from tests.support.source_world import DATA, categories, scan

TINY, SAMPLE, COCO = DATA / "tiny-imagenet/train", DATA / "imagenet-sample", DATA / "coco-open-images"
PUBLISHED, OPEN_IMAGES = DATA / "ml-images", DATA / "open-images"


def needs(folder: Path) -> pytest.MarkDecorator:
    name = folder.relative_to(DATA)
    return pytest.mark.skipif(not folder.is_dir(), reason=f"../shared/data/{name} is not beside the checkout")


@needs(TINY)
def test_twenty_thousand_images_are_read_in_place_from_their_tars() -> None:
    found = scan(ImageNet("tiny", ImageNetSource(type="imagenet", images=TINY)))
    assert len(found.images) == len(set(found.names)) == 20_000
    assert len({label["category"] for label in found.labels}) == 200
    assert {image["status"] for image in found.images} == {""}
    assert not found.counts
    with ImageReader(TINY) as reader:
        for image in found.images:
            data = reader.read(image["path"], image["offset"], image["size"])
            assert len(data) == image["size"]
            assert data[:3] == b"\xff\xd8\xff"


@needs(TINY)
def test_a_real_tar_by_offset_equals_its_extraction() -> None:
    for path in sorted(TINY.glob("*.tar"))[::40]:
        data = path.read_bytes()
        with tarfile.open(path) as tar:
            extracted = {
                member.name.removeprefix("./"): stream.read()
                for member in tar
                if (stream := tar.extractfile(member)) is not None
            }
        found = {
            member.name: data[member.offset : member.offset + member.size]
            for member in members(path, Notes())
        }
        assert found == extracted


@needs(SAMPLE)
def test_the_sample_of_imagenet_loads_from_folders() -> None:
    source = ImageNet("sample", ImageNetSource(type="imagenet", images=SAMPLE))
    found = scan(source)
    assert len(found.images) == len(set(found.names)) == len(categories(source)) == 392
    assert all(image["name"] == Path(image["path"]).stem for image in found.images)
    assert all((SAMPLE / image["path"]).stat().st_size == image["size"] for image in found.images)
    assert not found.counts


@needs(COCO)
def test_coco_in_the_form_of_open_images_loads_with_its_verified_absences() -> None:
    labels = COCO / "annotations-human-imagelabels.csv"
    part = OpenImagesSource(
        type="open_images", images=COCO / "images", labels=(labels,), classes=COCO / "class-descriptions.csv"
    )
    found = scan(OpenImages("coco", part))
    assert len(found.images) == 128
    with labels.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["ImageID"], row["LabelName"], float(row["Confidence"])) for row in rows] == found.statements
    assert len(rows) == 1_125
    assert [place_of(label["record"]) for label in found.labels] == [(0, i + 2) for i in range(1_125)]
    assert {label["state"] for label in found.labels} == {PRESENT, ABSENT}
    assert len({label["name"] for label in found.labels} - set(found.names)) == 2
    assert not found.counts


@needs(OPEN_IMAGES)
@pytest.mark.parametrize(
    ("version", "count", "first"),
    [
        ("v1", 7_881, ("/g/1172hxxrk", "traditional sport")),
        ("v6", 19_994, ("/m/0100nhbf", "Sprenger's tulip")),
    ],
)
def test_the_class_descriptions_of_open_images_load(version: str, count: int, first: tuple[str, str]) -> None:
    rows = class_descriptions(OPEN_IMAGES / f"class-descriptions-{version}.csv", "the classes")
    assert len(rows) == count
    assert rows[0] == first


@needs(PUBLISHED)
def test_the_published_rows_of_ml_images_load_exactly() -> None:
    urls, dictionary = (
        PUBLISHED / "train_urls_sample.txt",
        PUBLISHED / "dictionary_and_semantic_hierarchy.txt",
    )
    part = MLImagesSource(type="ml_images", lists=(urls,), dictionary=dictionary)
    source = MLImages("published", part)
    found = scan(source)
    wnids = [line.split("\t")[1] for line in dictionary.read_text(encoding="utf-8").split("\n")[1:] if line]
    parsed = [
        (url, wnids[int(index)], np.float32(confidence), (0, number))
        for number, line in enumerate(urls.read_text(encoding="utf-8").split("\n"), start=1)
        if line
        for url, *labels in [line.rstrip("\r").split("\t")]
        for index, confidence in [label.split(":") for label in labels]
    ]
    places = [place_of(label["record"]) for label in found.labels]
    assert [(*row, place) for row, place in zip(found.statements, places, strict=True)] == parsed
    assert len(found.images) == 50
    assert {image["status"] for image in found.images} == {"not_fetched"}
    assert [category.wnid for category in categories(source)] == wnids
    assert not found.counts


@needs(PUBLISHED)
def test_the_published_dictionary_has_four_roots() -> None:
    dictionary = read_dictionary(PUBLISHED / "dictionary_and_semantic_hierarchy.txt")
    assert len(dictionary.wnids) == len(set(dictionary.wnids)) == 11_166
    roots = [name for name, parent in zip(dictionary.names, dictionary.parents, strict=True) if parent == -1]
    assert roots == ["thing", "matter", "object, physical object", "atmospheric phenomenon"]
