"""The report: a dataset, and the model trained on it, as one page that loads nothing."""

from __future__ import annotations

from .choosing import TRAITS, choose
from .decisions import decisions
from .flow import draw
from .folder import read_model
from .gallery import Picture, Quarrel, picture, quarrel
from .journey import image_flow, label_flow
from .page import ClashRow, Failure, Head, LeftOutRow, Page, TogetherRow, Trained, Tree, render
from .scanning import Clash, Scan, scan
from .statistics import Statistics, measure
from .trained import Model
from .tree import branches, records

__all__ = [
    "TRAITS",
    "Clash",
    "ClashRow",
    "Failure",
    "Head",
    "LeftOutRow",
    "Model",
    "Page",
    "Picture",
    "Quarrel",
    "Scan",
    "Statistics",
    "TogetherRow",
    "Trained",
    "Tree",
    "branches",
    "choose",
    "decisions",
    "draw",
    "image_flow",
    "label_flow",
    "measure",
    "picture",
    "quarrel",
    "read_model",
    "records",
    "render",
    "scan",
]
