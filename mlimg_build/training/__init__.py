"""Training, evaluation, fine-tuning and use of networks. The only package that imports torch.

Names are imported when they are first used: a process that loads batches needs no metrics.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlimg_build.training.data.batches import Batch, BatchLoader, BatchPlan
    from mlimg_build.training.data.samples import Samples
    from mlimg_build.training.data.shuffle_order import ShuffleOrder
    from mlimg_build.training.data.targets import SparseLabels, SparseTargets, dense
    from mlimg_build.training.finetuning import classes_of, transfer
    from mlimg_build.training.loop.loop import Follower, Job, Quiet, learn
    from mlimg_build.training.loss.asymmetric import AsymmetricLoss
    from mlimg_build.training.loss.bce import BinaryCrossEntropy
    from mlimg_build.training.loss.focal import FocalLoss
    from mlimg_build.training.loss.losses import LOSSES
    from mlimg_build.training.loss.ml_images import MLImagesLoss, loss_weights
    from mlimg_build.training.model.model_files import Card, Category, load_model, read_card, save_model
    from mlimg_build.training.network_check import check_network
    from mlimg_build.training.publication import publish, published, refuse_stranger
    from mlimg_build.training.runs import RunInputs, RunResult, train

__all__ = [
    "LOSSES",
    "AsymmetricLoss",
    "Batch",
    "BatchLoader",
    "BatchPlan",
    "BinaryCrossEntropy",
    "Card",
    "Category",
    "FocalLoss",
    "Follower",
    "Job",
    "MLImagesLoss",
    "Quiet",
    "RunInputs",
    "RunResult",
    "Samples",
    "ShuffleOrder",
    "SparseLabels",
    "SparseTargets",
    "check_network",
    "classes_of",
    "dense",
    "learn",
    "load_model",
    "loss_weights",
    "publish",
    "published",
    "read_card",
    "refuse_stranger",
    "save_model",
    "train",
    "transfer",
]

_HOMES = {
    "data.batches": (
        "Batch",
        "BatchLoader",
        "BatchPlan",
    ),
    "data.samples": ("Samples",),
    "data.shuffle_order": ("ShuffleOrder",),
    "data.targets": (
        "SparseLabels",
        "SparseTargets",
        "dense",
    ),
    "finetuning": (
        "classes_of",
        "transfer",
    ),
    "loop.loop": (
        "Follower",
        "Job",
        "Quiet",
        "learn",
    ),
    "loss.asymmetric": ("AsymmetricLoss",),
    "loss.bce": ("BinaryCrossEntropy",),
    "loss.focal": ("FocalLoss",),
    "loss.losses": ("LOSSES",),
    "loss.ml_images": (
        "MLImagesLoss",
        "loss_weights",
    ),
    "model.model_files": (
        "Card",
        "Category",
        "load_model",
        "read_card",
        "save_model",
    ),
    "network_check": ("check_network",),
    "publication": (
        "publish",
        "published",
        "refuse_stranger",
    ),
    "runs": (
        "RunInputs",
        "RunResult",
        "train",
    ),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
