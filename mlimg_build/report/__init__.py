"""The report: a dataset, and the model trained on it, as one HTML page without external resources."""

from __future__ import annotations

from mlimg_build.report.coverage import Coverage, coverage_of
from mlimg_build.report.dataset_scan import ContradictionRow, Scan, scan
from mlimg_build.report.decisions import decisions
from mlimg_build.report.flows import image_flow, label_flow
from mlimg_build.report.gallery import ContradictionCard, Picture, data_uri, picture, quarrel
from mlimg_build.report.model_data import Model
from mlimg_build.report.page import (
    ClashRow,
    Failure,
    Head,
    LeftOutRow,
    Page,
    TogetherRow,
    Trained,
    Tree,
    render,
)
from mlimg_build.report.read_model import read_model
from mlimg_build.report.review_page import Option, ReviewCard, ReviewPage, render_review
from mlimg_build.report.sample_images import TRAITS, choose
from mlimg_build.report.sankey import draw
from mlimg_build.report.statistics import Statistics, measure
from mlimg_build.report.tree import branches, records

__all__ = [
    "TRAITS",
    "ClashRow",
    "ContradictionCard",
    "ContradictionRow",
    "Coverage",
    "Failure",
    "Head",
    "LeftOutRow",
    "Model",
    "Option",
    "Page",
    "Picture",
    "ReviewCard",
    "ReviewPage",
    "Scan",
    "Statistics",
    "TogetherRow",
    "Trained",
    "Tree",
    "branches",
    "choose",
    "coverage_of",
    "data_uri",
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
    "render_review",
    "scan",
]
