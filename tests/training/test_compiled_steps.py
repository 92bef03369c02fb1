"""What torch.compile is given: the network with the scaling of its pixels, once for each shape of a part of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from torch import nn  # noqa: E402

from mlimg_build.dataset import Dataset  # noqa: E402
from mlimg_build.spec import LoadedSpec  # noqa: E402
from mlimg_build.training import devices, runs, train  # noqa: E402
from mlimg_build.training.devices import ComputeDevice  # noqa: E402
from mlimg_build.training.loop import trainer  # noqa: E402
from mlimg_build.training.loop.batch_parts import room_for_programs  # noqa: E402
from mlimg_build.training.loss.objectives import SingleLabel  # noqa: E402
from mlimg_build.training.model.backbone import Backbone  # noqa: E402
from mlimg_build.training.model.pixel_network import PixelNetwork  # noqa: E402
from tests.training.test_runs import part, setting, warned  # noqa: E402
from tests.training.test_step_waits import CATEGORIES, tiny_batch, tiny_job  # noqa: E402

CPU = torch.device("cpu")


class Programs:
    """A backend of torch.compile that runs each program as it is and remembers its inputs."""

    def __init__(self) -> None:
        self.inputs: list[list[tuple[torch.dtype, tuple[int, ...]]]] = []

    def __call__(self, graph: Any, inputs: list[Any]) -> Any:
        tensors = [one for one in inputs if isinstance(one, torch.Tensor)]
        self.inputs.append([(one.dtype, tuple(one.shape)) for one in tensors])
        return graph.forward

    @property
    def images(self) -> list[tuple[int, ...]]:
        """The shapes of the images that programs take, in the order in which they were compiled."""
        return [shape for one in self.inputs for dtype, shape in one if dtype == torch.uint8]


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    """The programs that trainers compile, on a CPU."""
    seen, compile_ = Programs(), torch.compile
    monkeypatch.setattr(torch, "compile", lambda module, **how: compile_(module, backend=seen, **how))
    torch.compiler.reset()
    return seen


def tiny_backbone(**changes: Any) -> Backbone:
    """A network that compiles in a moment."""
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, CATEGORIES)
    )
    return Backbone(
        "tiny",
        module,
        head=("4",),
        width=4,
        stages=(("0", "1"),),
        spared=lambda network: set(),
        new_head=lambda network, outputs: None,
        pooled=lambda network, inputs: inputs,
        **changes,
    )


def compiled(**changes: Any) -> trainer.Trainer:
    learner = trainer.Trainer(
        tiny_job(**changes), tiny_backbone(), SingleLabel(), ComputeDevice(CPU, 0, compile=True)
    )
    learner.train()
    return learner


@pytest.mark.parametrize("scale", [{}, {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}])
def test_a_network_of_pixels_gives_the_logits_of_its_backbone_to_the_bit(scale: dict[str, Any]) -> None:
    backbone = tiny_backbone(**scale)
    pixels = tiny_batch(0).images
    for images in (pixels, pixels.contiguous(memory_format=torch.channels_last)):
        assert torch.equal(PixelNetwork(backbone, CPU)(images), backbone.logits(images))


def test_the_scaling_of_pixels_is_in_the_program_that_is_compiled(programs: Programs) -> None:
    compiled(micro_batch=None).learn(tiny_batch(0))
    assert programs.images == [(10, 3, 32, 32)]
    assert len(programs.inputs) == 1


def test_a_run_compiles_once_for_each_shape_of_its_parts(programs: Programs) -> None:
    sides = [24, 28, 32, 36, 40]
    with room_for_programs(len(sides), 10, 4):
        learner = compiled(micro_batch=4)
        for step in range(2 * len(sides)):
            learner.learn(tiny_batch(step, side=sides[step % len(sides)]))
            learner.network.eval()  # as an evaluation between two epochs
            learner.result.logits(tiny_batch(0, images=5).images)
            learner.train()
    assert sorted(programs.images) == sorted((images, 3, side, side) for side in sides for images in (3, 4))


def test_equal_parts_compile_once(programs: Programs) -> None:
    learner = compiled(micro_batch=5)
    for step in range(2):
        learner.learn(tiny_batch(step))
    assert programs.images == [(5, 3, 32, 32)]


def test_uneven_parts_are_told_once_where_the_network_is_compiled(
    built: tuple[LoadedSpec, Path],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: Programs,
) -> None:
    spec = part(built[0], micro_batch=7, epochs=1, steps_per_epoch=2)
    assert warned(train(setting(dataset, tmp_path / "as it is"), spec)) == []
    prepared = devices.prepared

    @contextmanager
    def compiling(*arguments: Any) -> Iterator[ComputeDevice]:
        with prepared(*arguments) as machine:
            yield replace(machine, compile=True)

    monkeypatch.setattr(runs, "prepared", compiling)
    ran = train(setting(dataset, tmp_path / "compiled"), spec)
    assert warned(ran) == ["uneven-parts"]
    assert {one.severity for one in ran.warnings} == {"warning"}
    assert programs.images == [(5, 3, 32, 32), (6, 3, 32, 32)]
