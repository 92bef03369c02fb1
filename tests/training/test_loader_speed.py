"""How fast training crops are made, one core each: by mlimg, by torchvision's ImageFolder with Pillow, by DALI.

`make bench-training` runs it on photographs of ../shared/data, alternating; else, in every test run, it is tiny. DALI
takes part if MLIMG_DALI_PYTHON names a Python that has it. Every loader gives batches of 64 crops of 224 px, of 8 to
100 % of the image and mirrored half of the time, as uint8; the last row has the published augmentation, crops of 70 to
100 % among it, by transforms v2 on the other side.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from PIL import Image

from tests.support.photographs import crops
from tests.support.runs import inline

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from torch.utils.data import DataLoader  # noqa: E402
from torchvision.datasets import ImageFolder  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

from mlimg_build.compiler.pipeline import build  # noqa: E402
from mlimg_build.dataset import open_dataset  # noqa: E402
from mlimg_build.images import DECODERS, available_decoder  # noqa: E402
from mlimg_build.spec import Augmentation, load_spec  # noqa: E402
from mlimg_build.training import BatchLoader, BatchPlan, Samples, ShuffleOrder  # noqa: E402

FULL = os.environ.get("MLIMG_BENCH") == "full"
SIZE, BATCH, STEPS, TURNS = (224, 64, 16, 5) if FULL else (32, 4, 2, 1)
DALI = os.environ.get("MLIMG_DALI_PYTHON")
SPEC = """\
mlimg: 1
name: speed
version: 1.0.0
sources: {{photographs: {{type: imagenet, images: {folder}}}}}
{stored}"""
CROPS = Augmentation(crop_area=(0.08, 1.0), rotation_share=0.0, colour_jitter_share=0.0)


@pytest.fixture(scope="module")
def photographs(request: pytest.FixtureRequest) -> list[Path]:
    """Photographs of ImageNet, else small crops of those of scikit-image."""
    if FULL:
        return sorted((request.getfixturevalue("shared_data") / "imagenet-sample").rglob("*.JPEG"))
    folder = request.getfixturevalue("tmp_path_factory").mktemp("crops")
    for number, data in enumerate(crops("chelsea", 8)):
        (folder / f"n02121808_{number}.JPEG").write_bytes(data)
    return sorted(folder.iterdir())


def originals(photographs: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Photographs of 500 x 375 as they are."""
    for path in photographs:
        with Image.open(path) as image:
            fits = image.size == (500, 375) and image.mode == "RGB"
        if fits or not FULL:
            yield path.name, path.read_bytes()


def large(photographs: list[Path], quality: int) -> Iterator[tuple[str, bytes]]:
    """Photographs of 4:3, enlarged to 1024 x 768: few here are as large."""
    for path in photographs:
        with Image.open(path) as image:
            if abs(image.width / image.height - 4 / 3) < 0.01 or not FULL:
                stream = io.BytesIO()
                enlarged = image.convert("RGB").resize((1024, 768), Image.Resampling.LANCZOS)
                enlarged.save(stream, "JPEG", quality=quality)
                yield path.name, stream.getvalue()


ROWS: dict[str, tuple[Callable[[list[Path]], Iterator[tuple[str, bytes]]], str, Augmentation]] = {
    "500 x 375": (originals, "", CROPS),
    "1024 x 768, quality 95": (lambda found: large(found, 95), "", CROPS),
    "1024 x 768, quality 90": (lambda found: large(found, 90), "", CROPS),
    "copies of 256 px": (
        lambda found: ((path.name, path.read_bytes()) for path in found),
        "images: {encoding: {short_side: 256, quality: 90}}\n",
        CROPS,
    ),
    "500 x 375, rotated and jittered": (originals, "", Augmentation()),
}


@pytest.mark.few(2)
@pytest.mark.bench
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("row", ROWS)
def test_crops_beside_image_folder(
    row: str, photographs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, stored, augmentation = ROWS[row]
    folder = tmp_path / "images" / "n02121808"
    folder.mkdir(parents=True)
    for name, data in files(photographs):
        (folder / name).write_bytes(data)
    (tmp_path / "speed.yaml").write_text(SPEC.format(folder=folder.parent, stored=stored))
    dataset = open_dataset(build(load_spec(tmp_path / "speed.yaml"), tmp_path / "out", inline()).dataset)
    if stored:  # the others read the same copies
        for image in dataset["train"]:
            (folder / f"{Path(image.id).stem}.JPEG").write_bytes(image.data)
    samples = Samples(dataset, "train")
    order = ShuffleOrder(samples.usable(), 4, 0)
    plan = BatchPlan(samples, order, BATCH, ((0, SIZE),), augmentation, 0, available_decoder())

    def ours() -> Iterator[Any]:
        return BatchLoader(plan, 0, STEPS + 1).load(0, False)

    loaders: dict[str, Callable[[], tuple[float, float]]] = {
        "mlimg": lambda: timed(ours()),
        "ImageFolder": lambda: timed(iter(image_folder(folder.parent, augmentation))),
    }
    if DALI and augmentation is CROPS:
        loaders["DALI"] = lambda: by_dali(DALI, folder.parent)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in loaders}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(TURNS):
            for name, run in loaders.items():
                found[name].append(run())
    finally:
        torch.set_num_threads(threads)
    kilobytes = sum(path.stat().st_size for path in folder.iterdir()) / len(list(folder.iterdir())) / 1000
    with capsys.disabled():
        print(
            f"\n{row}, {len(list(folder.iterdir()))} photographs of {kilobytes:.0f} KB, decoder {plan.decoder}"
        )
        for name, runs in found.items():
            clock, processor = (median(run[of] for run in runs) for of in (0, 1))
            print(f"  {name:12} {clock:6.3f} ms an image by the clock, {processor:6.3f} of processor time")
        for name in list(loaders)[1:]:
            shares = [
                median(run[of] for run in found[name]) / median(run[of] for run in found["mlimg"])
                for of in (0, 1)
            ]
            print(f"  {name} / mlimg: {shares[0]:.2f} by the clock, {shares[1]:.2f} of processor time")
    assert plan.decoder in DECODERS
    assert all(processor > 0 for runs in found.values() for _, processor in runs)


def image_folder(root: Path, augmentation: Augmentation) -> DataLoader[Any]:
    """Batches of torchvision's ImageFolder in this process: the usual recipe."""
    part = augmentation
    steps: list[Any] = [v2.RandomResizedCrop(SIZE, part.crop_area, part.aspect, antialias=True)]
    steps.append(v2.RandomHorizontalFlip(part.flip_share))
    if part.rotation_share:
        turn = v2.RandomRotation(part.rotation_degrees, v2.InterpolationMode.BILINEAR)
        steps.append(v2.RandomApply([turn], part.rotation_share))
    if part.colour_jitter_share:
        steps.append(v2.RandomApply([v2.ColorJitter(32 / 255, 0.5, 0.5, 0.2)], part.colour_jitter_share))
    images = ImageFolder(str(root), v2.Compose([*steps, v2.PILToTensor()]))
    sampler = torch.utils.data.RandomSampler(images, replacement=True, num_samples=(STEPS + 1) * BATCH)
    return DataLoader(images, BATCH, sampler=sampler)


def timed(batches: Iterator[Any]) -> tuple[float, float]:
    """Return milliseconds an image by the clock and of processor time, after one batch that is not counted."""
    next(batches)
    began, processor = time.perf_counter(), time.process_time()
    made = sum(1 for _ in islice(batches, STEPS))
    clock, processor = time.perf_counter() - began, time.process_time() - processor
    assert made == STEPS
    return clock / (STEPS * BATCH) * 1000, processor / (STEPS * BATCH) * 1000


def by_dali(python: str, root: Path) -> tuple[float, float]:
    """Return what `timed` does, for DALI on the CPU in a process of its own environment."""
    script = Path(__file__).parents[1] / "support" / "dali_loader.py"
    command = [python, str(script), str(root), *map(str, (SIZE, BATCH, STEPS))]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if shown.returncode:
        sys.stderr.write(shown.stderr)
    clock, processor = map(float, shown.stdout.split()[-2:])
    return clock, processor
