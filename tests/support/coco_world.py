"""COCO files for tests: small ones by hand, and one drawn at random in the manner of instances_train2017.json."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from mlimg_build.sources.formats.coco import Coco
from mlimg_build.spec import CocoSource

__all__ = ["CATEGORIES", "annotation", "coco", "document", "drawn", "image", "written"]

CATEGORIES = [
    {"supercategory": "animal", "id": 17, "name": "cat"},
    {"supercategory": "animal", "id": 18, "name": "dog"},
    {"supercategory": "person", "id": 1, "name": "person"},
]


def image(number: int, **more: Any) -> dict[str, Any]:
    """An entry of `images`."""
    return {"id": number, "file_name": f"{number:012}.jpg", "height": 96, "width": 96, **more}


def annotation(number: int, of: Any, category: Any, **more: Any) -> dict[str, Any]:
    """An entry of `annotations`: a polygon with its box."""
    shape = {
        "segmentation": [[1.5, 2, 9, 2, 9, 8.25]],
        "bbox": [1.5, 2, 7.5, 6.25],
        "area": 23.4,
        "iscrowd": 0,
    }
    return {**shape, "id": number, "image_id": of, "category_id": category, **more}


def document(
    images: list[Any], annotations: list[Any], categories: list[Any] | None = None
) -> dict[str, Any]:
    """A whole file."""
    return {
        "info": {"year": 2017, "contributors": ["COCO"]},
        "licenses": [{"id": 1, "name": "Attribution", "url": "http://creativecommons.org/licenses/by/2.0/"}],
        "images": images,
        "annotations": annotations,
        "categories": CATEGORIES if categories is None else categories,
    }


def written(path: Path, whole: Any) -> Path:
    """The file, as `json.dump` writes it; bytes and text as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = whole if isinstance(whole, str | bytes) else json.dumps(whole)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def coco(*annotations: Path, **given: Any) -> Coco:
    """The source of some files."""
    return Coco("coco", CocoSource(type="coco", annotations=annotations, **given))


def drawn(images: int, annotations: int, seed: int = 0) -> dict[str, Any]:
    """A file with polygons, boxes and crowds; some images have no annotation, some categories no image."""
    chance = random.Random(seed)
    categories = [
        {"id": 3 * i + 1, "name": f"thing {i}", "supercategory": f"group {i % 4}"} for i in range(20)
    ]
    numbers = chance.sample(range(10 * images), images)
    said = []
    for i in range(annotations):
        shape: dict[str, Any] = {"bbox": [chance.random(), chance.random(), 1 + chance.random(), 2]}
        if crowd := chance.random() < 0.2:
            shape["segmentation"] = {"counts": [chance.randrange(9) for _ in range(5)], "size": [96, 96]}
        else:
            shape["segmentation"] = [[96 * chance.random() for _ in range(2 * chance.randint(3, 9))]]
        of, category = chance.choice(numbers[: images * 9 // 10]), 3 * chance.randrange(17) + 1
        said.append(annotation(i, of, category, iscrowd=int(crowd), **shape))
    return document([image(number, license=1) for number in numbers], said, categories)
