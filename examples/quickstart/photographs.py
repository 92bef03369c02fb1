"""Makes the two sources of the quickstart from photographs that the scikit-image and scikit-learn wheels carry.

    python photographs.py data

`data/synsets/` is laid out like ImageNet, a folder a WordNet id; `data/crowd/` is laid out like Open Images, with
labels that people verified as present (1) or absent (0) and labels of a machine (a fraction). All is cropped from ten
real photographs, the same crops on every machine. A crop shows the left or the right of its photograph and says which
in its name, so that a spec can train on the one side and validate on the other.
"""

from __future__ import annotations

import csv
import math
import random
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from PIL import Image

# photograph: the package and file that hold it, its WordNet id, the name that the crowd gives it
PHOTOGRAPHS = {
    "astronaut": ("skimage.data", "astronaut.png", "n09818022", "Astronaut"),
    "cat": ("skimage.data", "chelsea.png", "n02123045", "Cat"),
    "coffee": ("skimage.data", "coffee.png", "n07929519", "Coffee"),
    "rocket": ("skimage.data", "rocket.jpg", "n04099429", "Rocket"),
    "motorcycle": ("skimage.data", "motorcycle_left.png", "n03790512", "Motorcycle"),
    "coins": ("skimage.data", "coins.png", "n13388245", "Coin"),
    "moon": ("skimage.data", "moon.png", "n09358358", "Moon"),
    "grass": ("skimage.data", "grass.png", "n12102133", "Grass"),
    "temple": ("sklearn.datasets.images", "china.jpg", "n04407686", "Temple"),
    "flower": ("sklearn.datasets.images", "flower.jpg", "n11669921", "Flower"),
}
LIVING = {"astronaut", "cat", "grass", "flower"}
CLASSES = {
    "/q/animal": "Animal",
    "/q/plant": "Plant",
    "/q/vehicle": "Vehicle",
    "/q/person": "Person",
    **{f"/q/{key}": name for key, (_, _, _, name) in PHOTOGRAPHS.items()},
}
REGIONS = {"left": (0.0, 0.55, range(15)), "right": (0.6, 1.0, range(15, 20))}  # from, to in widths; numbers
SOURCES = ("synsets", "crowd")
SIDE = 256  # pixels of the longer side


class Crop(NamedTuple):
    """A part of a photograph: `box` is left, top, right, bottom in pixels, `number` counts all crops of a source."""

    source: str
    region: str
    number: int
    box: tuple[int, int, int, int]
    mirrored: bool


def crops(key: str, width: int, height: int) -> Iterator[Crop]:
    """The crops of a photograph of this size: 60 to 100 % of each side of a region, half of them mirrored.

    No crop of one region shares a pixel with one of another; a twentieth of the photograph lies between them.
    """
    chance = random.Random(key)  # noqa: S311  crops need no secret
    for region, (start, end, numbers) in REGIONS.items():
        first, last = math.ceil(start * width), math.floor(end * width)
        for number in numbers:
            for source in SOURCES:
                wide = round((last - first) * chance.uniform(0.6, 1.0))
                high = round(height * chance.uniform(0.6, 1.0))
                left, top = chance.randint(first, last - wide), chance.randint(0, height - high)
                box = (left, top, left + wide, top + high)
                yield Crop(source, region, number, box, chance.random() < 0.5)


def cut(photograph: Image.Image, crop: Crop) -> Image.Image:
    """The pixels of a crop, made smaller."""
    part = photograph.crop(crop.box)
    part.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if crop.mirrored else part


def name_of(crop: Crop, key: str) -> str:
    """The name of a crop in its source."""
    if crop.source == "synsets":
        return f"{PHOTOGRAPHS[key][2]}_{crop.region}_{crop.number}"
    return f"{key}-{crop.region}-{crop.number:02}"


def crowd_labels(key: str, number: int) -> list[tuple[str, str, str]]:
    """What the crowd and a machine say about a crop: rows of (source, label, confidence)."""
    said = [("verification", f"/q/{key}", "1")]
    if key not in LIVING:
        said += [("verification", "/q/animal", "0"), ("verification", "/q/plant", "0")]
    if key in ("cat", "flower", "temple"):
        said.append(("verification", "/q/vehicle", "0"))
    if key == "astronaut":
        said += [("verification", "/q/person", "1"), ("machine", "/q/rocket", "0.85")]
    if key == "moon" and number % 5 == 0:
        said.append(("machine", "/q/cat", "0.9"))  # wrong, and people said that there is no animal
    return said


def make(folder: Path) -> None:
    """Writes both sources below `folder`."""
    synsets, crowd = folder / "synsets", folder / "crowd"
    (crowd / "images").mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, ...]] = []
    for key, (package, file, wnid, _) in PHOTOGRAPHS.items():
        with Image.open(str(files(package) / file)) as opened:
            photograph = opened.convert("RGB")
        (synsets / wnid).mkdir(parents=True, exist_ok=True)
        for crop in crops(key, *photograph.size):
            name = name_of(crop, key)
            if crop.source == "synsets":
                cut(photograph, crop).save(synsets / wnid / f"{name}.JPEG", quality=90)
            else:
                cut(photograph, crop).save(crowd / "images" / f"{name}.jpg", quality=90)
                rows += [(name, *said) for said in crowd_labels(key, crop.number)]
    whole = (crowd / "images" / "cat-left-00.jpg").read_bytes()
    (crowd / "images" / "cat-left-half.jpg").write_bytes(
        whole[: len(whole) // 2]
    )  # a download that broke off
    rows.append(("cat-left-half", "verification", "/q/cat", "1"))
    write_csv(crowd / "labels.csv", ("ImageID", "Source", "LabelName", "Confidence"), rows)
    write_csv(crowd / "classes.csv", ("LabelName", "DisplayName"), list(CLASSES.items()))


def write_csv(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Writes a CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


if __name__ == "__main__":
    make(Path(sys.argv[1] if len(sys.argv) > 1 else "data"))
