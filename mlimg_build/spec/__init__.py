"""The spec language: YAML with places → frozen models, problems that can be understood, JSON Schema."""

from mlimg_build.spec.backend import (
    Backend,
    LocalCluster,
    SchedulerCluster,
    TrainingBackend,
    load_backend,
    shipped_backends,
)
from mlimg_build.spec.canonical import canonical_json, digest_of
from mlimg_build.spec.grouping import Grouping
from mlimg_build.spec.loading import LoadedSpec, file_paths, load_spec, parse_spec
from mlimg_build.spec.models import (
    Annotation,
    Cooccurrence,
    DatasetPart,
    Duplicates,
    Hierarchy,
    Images,
    Mapping,
    Nearest,
    Reencode,
    Relations,
    Spec,
    Split,
    Tree,
    Vocabulary,
    WordNetFile,
)
from mlimg_build.spec.paths import without_paths
from mlimg_build.spec.problems import CODES, render
from mlimg_build.spec.schema import json_schema
from mlimg_build.spec.sources import (
    Columns,
    FolderSource,
    ImageNetSource,
    MLImagesSource,
    OpenImagesSource,
    Source,
    TableSource,
)
from mlimg_build.spec.spelling import nearest
from mlimg_build.spec.template import init_text
from mlimg_build.spec.training import (
    Augmentation,
    LearningRate,
    Loss,
    Optimizer,
    SizeFrom,
    Training,
    Transfer,
    TransferOptimizer,
    TransferRate,
)

__all__ = [
    "CODES",
    "Annotation",
    "Augmentation",
    "Backend",
    "Columns",
    "Cooccurrence",
    "DatasetPart",
    "Duplicates",
    "FolderSource",
    "Grouping",
    "Hierarchy",
    "ImageNetSource",
    "Images",
    "LearningRate",
    "LoadedSpec",
    "LocalCluster",
    "Loss",
    "MLImagesSource",
    "Mapping",
    "Nearest",
    "OpenImagesSource",
    "Optimizer",
    "Reencode",
    "Relations",
    "SchedulerCluster",
    "SizeFrom",
    "Source",
    "Spec",
    "Split",
    "TableSource",
    "Training",
    "TrainingBackend",
    "Transfer",
    "TransferOptimizer",
    "TransferRate",
    "Tree",
    "Vocabulary",
    "WordNetFile",
    "canonical_json",
    "digest_of",
    "file_paths",
    "init_text",
    "json_schema",
    "load_backend",
    "load_spec",
    "nearest",
    "parse_spec",
    "render",
    "shipped_backends",
    "without_paths",
]
