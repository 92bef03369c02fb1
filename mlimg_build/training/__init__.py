"""Training, evaluation, fine-tuning and use of networks. The only package that imports torch."""

from mlimg_build.training.data.batches import Batch, BatchLoader, BatchPlan
from mlimg_build.training.data.samples import Samples
from mlimg_build.training.data.shuffle_order import ShuffleOrder
from mlimg_build.training.data.targets import SparseLabels, dense
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
