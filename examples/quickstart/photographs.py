"""Makes the two sources of the quickstart from photographs that the scikit-image and scikit-learn wheels carry.

    python photographs.py data

`data/synsets/` is laid out like ImageNet, a folder a WordNet id; `data/crowd/` is laid out like Open Images, with
labels that people verified as present (1) or absent (0) and labels of a machine (a fraction). All is cropped from ten
real photographs, the same crops on every machine.
"""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

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
CROPS = 20  # of each photograph in each source
SIDE = 256  # pixels of the longer side


def crop(photograph: Image.Image, chance: random.Random) -> Image.Image:
    """A part of the photograph, 40 to 80 % of each side, half of the time mirrored."""
    share = chance.uniform(0.4, 0.8)
    width, height = round(photograph.width * share), round(photograph.height * share)
    left, top = chance.randint(0, photograph.width - width), chance.randint(0, photograph.height - height)
    part = photograph.crop((left, top, left + width, top + height))
    part.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if chance.random() < 0.5 else part


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
    for key, (package, name, wnid, _) in PHOTOGRAPHS.items():
        with Image.open(str(files(package) / name)) as opened:
            photograph = opened.convert("RGB")
        chance = random.Random(key)  # noqa: S311  crops need no secret
        (synsets / wnid).mkdir(parents=True, exist_ok=True)
        for number in range(CROPS):
            crop(photograph, chance).save(synsets / wnid / f"{wnid}_{number}.JPEG", quality=90)
            crop(photograph, chance).save(crowd / "images" / f"{key}-{number:02}.jpg", quality=90)
            rows += [(f"{key}-{number:02}", *said) for said in crowd_labels(key, number)]
    whole = (crowd / "images" / "cat-00.jpg").read_bytes()
    (crowd / "images" / "cat-half.jpg").write_bytes(whole[: len(whole) // 2])  # a download that broke off
    rows.append(("cat-half", "verification", "/q/cat", "1"))
    write_csv(crowd / "labels.csv", ("ImageID", "Source", "LabelName", "Confidence"), rows)
    write_csv(crowd / "classes.csv", ("LabelName", "DisplayName"), list(CLASSES.items()))


def write_csv(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Writes a CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


if __name__ == "__main__":
    make(Path(sys.argv[1] if len(sys.argv) > 1 else "data"))
