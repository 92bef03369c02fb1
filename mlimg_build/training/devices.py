"""Choose the compute device, and configure torch for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from mlimg_build.errors import Problem, TrainingError
from mlimg_build.spec import TrainingBackend

__all__ = [
    "ComputeDevice",
    "available_cores",
    "choose_device",
    "pinned",
    "prepared",
    "send",
    "slow_precision",
]


@dataclass(frozen=True, slots=True)
class ComputeDevice:
    """A device, how many workers feed it, and whether the network is compiled for it.

    `workers` are threads where the extension decodes images and processes where they are decoded whole; 0 for neither.
    """

    device: torch.device
    workers: int
    compile: bool

    @property
    def memory_format(self) -> torch.memory_format:
        """channels_last on a GPU, whose tensor cores prefer it; contiguous on a CPU."""
        return torch.channels_last if self.device.type == "cuda" else torch.contiguous_format


def slow_precision(precision: str, device: torch.device) -> tuple[Problem, ...]:
    """Return the warning that a run computes in bf16 on a CPU without instructions for it, where each is imitated."""
    known = getattr(torch.cpu, "get_capabilities", None)
    if precision != "bf16" or device.type != "cpu" or known is None:
        return ()
    able: dict[str, object] = known()
    if any(there is True for name, there in able.items() if "bf16" in name):
        return ()
    message = "this processor has no instructions for bf16, so that a step takes ten times as long as in fp32"
    hint = "train it on a GPU, or write `precision: fp32`, which is another run"
    return (Problem("bf16-slow", message, hint=hint, severity="warning"),)


def choose_device(wanted: str) -> torch.device:
    """Return the device that a spec or a person asks for: "auto", "cpu" or "cuda".

    Raises:
        TrainingError: `device-missing` if "cuda" is asked for and torch finds no GPU.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        built = f"torch {torch.__version__} sees none"
        raise TrainingError(
            Problem(
                "device-missing",
                f"a GPU is asked for (device cuda), and {built}",
                hint="run the same command on a machine with one, or ask for `auto`; a finished dataset is kept",
            )
        )
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def available_cores() -> int:
    """Return the number of cores that this process may run on; containers and schedulers allow fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pinned(tensor: Tensor) -> Tensor:
    """Return the tensor in pinned memory, from which a GPU copies by itself; the tensor itself if it is there.

    Raises:
        RuntimeError: without a GPU.
    """
    return tensor if tensor.is_pinned() else tensor.pin_memory()


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on `device`; a GPU gets it in the order of its work, and this process does not wait for it."""
    if device.type == "cpu" or tensor.device.type != "cpu":
        return tensor.to(device)
    return pinned(tensor).to(device, non_blocking=True)


@contextmanager
def prepared(wanted: str, backend: TrainingBackend) -> Iterator[ComputeDevice]:
    """Yield the device, with torch configured as the backend asks; restore torch's process-wide settings at the end.

    Without a GPU, one core is left to the data loader, however many its workers are: computing threads that lack a core
    wait for each other, and another number of threads rounds differently.
    """
    device, cores = choose_device(wanted), available_cores()
    gpu = device.type == "cuda"
    workers = backend.loader_workers
    if workers is None:
        workers = min(cores, 32) if gpu else 1
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    matmul = torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        if gpu:
            torch.backends.cudnn.benchmark = not backend.deterministic
            torch.set_float32_matmul_precision("high")
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, at cuBLAS's first call
            if backend.deterministic:
                torch.use_deterministic_algorithms(True)
        else:
            torch.set_num_threads(max(1, cores - 1))
        yield ComputeDevice(device, workers, gpu and backend.compile)
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = benchmark
        torch.set_float32_matmul_precision(matmul)
        torch.use_deterministic_algorithms(deterministic)
