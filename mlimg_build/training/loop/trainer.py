"""A network in training: one optimizer step, and the state that resuming needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mlimg_build.spec import LearningRate, Optimizer
from mlimg_build.training.data.batches import Batch, BatchPlan
from mlimg_build.training.devices import ComputeDevice
from mlimg_build.training.loop.batch_parts import even_parts
from mlimg_build.training.loop.device_feed import DeviceFeed
from mlimg_build.training.loop.moving_average import MovingAverage
from mlimg_build.training.loop.schedule import rate_at
from mlimg_build.training.loss.objectives import Objective
from mlimg_build.training.model.backbone import Backbone
from mlimg_build.training.model.pixel_network import PixelNetwork

__all__ = ["Job", "Trainer"]

FUSED = ("cuda",)  # devices whose optimizer leaves weights alone without this process waiting to know why


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that decides a run's weights: `key` is its digest, `digests` are those of spec, lock and dataset."""

    name: str
    key: str
    digests: Mapping[str, str]
    architecture: str
    outputs: int
    stream: BatchPlan
    steps_per_epoch: int
    epochs: int
    rate: LearningRate
    optimizer: Optimizer
    precision: str
    micro_batch: int | None
    gradient_clip: float | None
    ema: float | None
    frozen_stages: int
    seed: int

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.epochs


class Trainer:
    """A network in training, and everything that must be saved to resume.

    From the first step on whose loss or gradient is not finite, weights and momentum stay as they were before it.
    """

    def __init__(self, job: Job, backbone: Backbone, objective: Objective, machine: ComputeDevice) -> None:
        self.job = job
        self.machine = machine
        self.backbone = backbone
        backbone.move(machine.device, machine.memory_format)
        network = self.network = backbone.module
        self.objective = objective
        objective.loss.to(machine.device)
        backbone.freeze(job.frozen_stages)
        self.fused = machine.device.type in FUSED
        self.optimizer = torch.optim.SGD(
            backbone.parameter_groups(job.optimizer),
            lr=job.rate.base,
            momentum=job.optimizer.momentum,
            fused=self.fused or None,
        )
        self._finite = torch.ones((), dtype=torch.bool, device=machine.device)
        self.average = None if job.ema is None else MovingAverage(network, job.ema)
        cuda = torch.cuda if machine.device.type == "cuda" else None
        self._feed = DeviceFeed(machine.device, machine.memory_format, cuda)
        whole = PixelNetwork(backbone, machine.device)
        self.run: Any = torch.compile(whole, dynamic=False) if machine.compile else whole

    @property
    def result(self) -> Backbone:
        """The network to evaluate and to keep: the moving average if there is one."""
        return self.backbone if self.average is None else replace(self.backbone, module=self.average.module)

    def learn(self, batch: Batch) -> Tensor:
        """Run one optimizer step; return this batch's loss before the update and the norm of its gradient.

        The norm is that before `gradient_clip`. Both are in one float32[2] on the device.
        """
        job, device, count = self.job, self.machine.device, len(batch.images)
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(job.rate, batch.step, job.steps_per_epoch, job.epochs)
        whole = self.objective.targets(batch.labels.to(device), count)
        self.objective.observe(whole, batch.step)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=device)
        for part, images in self._feed.parts(batch.images, even_parts(count, job.micro_batch or count)):
            targets, size = whole, len(images)
            if size < count:  # the labels are taken apart where they are, so that a GPU need not wait
                labels = batch.labels.part(part.start, part.stop).to(device)
                targets = self.objective.targets(labels, size)
            with torch.autocast(device.type, torch.bfloat16, enabled=job.precision == "bf16"):
                logits = self.run(images)
            loss = self.objective.loss(logits.float(), targets) * (size / count)
            loss.backward()
            total += loss.detach()
        parameters = [one for one in self.network.parameters() if one.grad is not None]
        norm = nn.utils.get_total_norm([one.grad for one in parameters if one.grad is not None])
        if job.gradient_clip is not None:
            nn.utils.clip_grads_with_norm_(parameters, job.gradient_clip, norm)
        told = torch.stack([total, norm])
        self._finite &= told.isfinite().all()
        self._update()
        return told

    def _update(self) -> None:
        """Apply the gradient if all losses and gradients so far are finite; on a GPU, the GPU decides."""
        if self.fused:
            self.optimizer.found_inf = 1 - self._finite.float()  # type: ignore[attr-defined]  # as a GradScaler does
        elif not self._finite:
            return
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.network)

    def train(self) -> None:
        """Set the network to training mode, with its first stages frozen; also after an evaluation."""
        self.network.train()
        self.backbone.freeze(self.job.frozen_stages)

    def state(self) -> dict[str, Any]:
        """Return everything that a run needs to resume; its position in the data follows from its step."""
        cuda = self.machine.device.type == "cuda"
        return {
            "key": self.job.key,
            "digests": dict(self.job.digests),
            "architecture": self.job.architecture,
            "outputs": self.job.outputs,
            "decoder": self.job.stream.decoder,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loss": self.objective.loss.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": [torch.cuda.get_rng_state()] if cuda else [],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned, with the spec's momentum and weight decay, whatever the checkpoint's were."""
        self.network.load_state_dict(state["network"])
        kept = ("momentum", "weight_decay", "foreach", "fused")
        settings = [{name: group[name] for name in kept} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, setting in zip(self.optimizer.param_groups, settings, strict=True):
            group.update(setting)
        self.objective.loss.load_state_dict(state["loss"])
        if self.average is not None and state.get("average") is not None:
            self.average.load_state_dict(state["average"])
        elif self.average is not None:  # of a run without an average: it begins at the current weights
            self.average.module.load_state_dict(state["network"])
        torch.set_rng_state(state["random"])
        if self.machine.device.type == "cuda" and state["random_cuda"]:
            torch.cuda.set_rng_state(state["random_cuda"][0])
