"""The spec language: YAML with places, frozen models, readable problems, JSON Schema."""

from mlimg_build.spec.canonical import canonical_json, digest_of
from mlimg_build.spec.loading import LoadedSpec, file_paths, load_spec, parse_spec
from mlimg_build.spec.models.backend import (
    Backend,
    InlineCluster,
    LocalCluster,
    SchedulerCluster,
    TrainingBackend,
    load_backend,
    shipped_backends,
)
from mlimg_build.spec.models.grouping import Grouping
from mlimg_build.spec.models.losses import (
    LOSSES,
    AsymmetricLossPart,
    BinaryCrossEntropyPart,
    FocalLossPart,
    LossPart,
    MLImagesLossPart,
)
from mlimg_build.spec.models.networks import RESNETS
from mlimg_build.spec.models.sources import (
    PEOPLE,
    Columns,
    FolderSource,
    ImageNetSource,
    MLImagesSource,
    OpenImagesSource,
    Source,
    TableSource,
)
from mlimg_build.spec.models.specification import (
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
from mlimg_build.spec.models.splits import SPLITS
from mlimg_build.spec.models.training import (
    Augmentation,
    LearningRate,
    Optimizer,
    SizeFrom,
    Training,
    Transfer,
    TransferOptimizer,
    TransferRate,
)
from mlimg_build.spec.paths import without_paths
from mlimg_build.spec.schema import json_schema
from mlimg_build.spec.suggestions import listed, nearest
from mlimg_build.spec.template import init_text
from mlimg_build.spec.yaml.rendering import CODES, render

__all__ = [
    "CODES",
    "LOSSES",
    "PEOPLE",
    "RESNETS",
    "SPLITS",
    "Annotation",
    "AsymmetricLossPart",
    "Augmentation",
    "Backend",
    "BinaryCrossEntropyPart",
    "Columns",
    "Cooccurrence",
    "DatasetPart",
    "Duplicates",
    "FocalLossPart",
    "FolderSource",
    "Grouping",
    "Hierarchy",
    "ImageNetSource",
    "Images",
    "InlineCluster",
    "LearningRate",
    "LoadedSpec",
    "LocalCluster",
    "LossPart",
    "MLImagesLossPart",
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
    "listed",
    "load_backend",
    "load_spec",
    "nearest",
    "parse_spec",
    "render",
    "shipped_backends",
    "without_paths",
]
