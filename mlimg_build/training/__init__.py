"""Networks: trained on a dataset, evaluated, tuned to another, used. The only package that imports torch."""

from .batches import Batch, Batches, Stream
from .learning import Follower, Job, Quiet, learn
from .losses import BinaryCrossEntropy, MLImagesLoss, loss_weights
from .order import Order
from .publishing import publish, published, refuse_stranger
from .runs import Ran, Setting, train
from .samples import Samples
from .targets import SparseLabels, dense
from .transferring import classes_of, transfer
from .weights import Card, Category, load_model, read_card, save_model

__all__ = [
    "Batch",
    "Batches",
    "BinaryCrossEntropy",
    "Card",
    "Category",
    "Follower",
    "Job",
    "MLImagesLoss",
    "Order",
    "Quiet",
    "Ran",
    "Samples",
    "Setting",
    "SparseLabels",
    "Stream",
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
