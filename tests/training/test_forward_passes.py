"""Evaluations in larger forward passes, as on a GPU, and the threads that decode ahead of them."""

from __future__ import annotations

import time
from threading import get_ident
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.dataset import Dataset  # noqa: E402
from mlimg_build.training import Samples  # noqa: E402
from mlimg_build.training.data.views import ahead  # noqa: E402
from mlimg_build.training.devices import ComputeDevice, available_cores  # noqa: E402
from mlimg_build.training.evaluate import calibration, evaluation  # noqa: E402
from mlimg_build.training.evaluate.metrics import Inversions, implied_pairs  # noqa: E402
from mlimg_build.training.model.backbones import make_backbone  # noqa: E402
from tests.support.waits import META, Waits  # noqa: E402


def numbers(value: Any, path: str = "") -> dict[str, Any]:
    """Everything in nested dicts and lists, by its place."""
    if isinstance(value, dict):
        return {k: v for name, one in value.items() for k, v in numbers(one, f"{path}.{name}").items()}
    if isinstance(value, list):
        return {k: v for i, one in enumerate(value) for k, v in numbers(one, f"{path}[{i}]").items()}
    return {path: value}


def test_an_evaluation_does_not_depend_on_the_size_of_its_forward_passes(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("timm/test_resnet.r160_in1k", len(dataset.categories), 0)
    backbone.module.eval()
    machine = ComputeDevice(torch.device("cpu"), 0, compile=False)
    counts = evaluation.training_positives(dataset)
    told, passes = [], []
    logits = type(backbone).logits
    monkeypatch.setattr(
        type(backbone), "logits", lambda one, images: passes.append(len(images)) or logits(one, images)
    )
    for images in (5, 8, 64):
        monkeypatch.setattr(evaluation, "forward_images", lambda device, size, images=images: images)
        told.append(
            evaluation.evaluate_multi_label(
                backbone,
                Samples(dataset, "validation"),
                size=32,
                precision="fp32",
                machine=machine,
                train_positives=counts,
            )
        )
    assert {5, 8, told[0]["images"]} <= set(passes)
    first = numbers(told[0])
    for other in map(numbers, told[1:]):
        assert set(other) == set(first)
        for place, value in first.items():
            wanted = pytest.approx(value, rel=1e-4) if isinstance(value, float) else value
            assert other[place] == wanted, place


def test_there_is_a_thread_for_each_core_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 96)
    threads = set(ahead(lambda _: (time.sleep(0.002), get_ident())[1], range(200)))
    assert len(threads) <= min(32, available_cores())


def test_counts_of_an_evaluation_stay_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = Waits(monkeypatch)
    inversions = Inversions(implied_pairs([[1], [2], []]), META)
    logits = torch.zeros(4, 3, device=META)
    with waits.counted() as found:
        inversions.add(logits)
    assert found == []
    assert inversions.compared == 12
    with waits.counted() as found, pytest.raises(NotImplementedError, match="Cannot copy out of meta"):
        calibration._sums(torch.zeros(5, dtype=torch.int64, device=META), torch.zeros(5, device=META))
    assert found == ["(15,) are copied from meta to cpu"]
