"""The spec language: YAML with places, frozen models, readable problems, JSON Schema."""

from mlimg_build.spec.canonical import canonical_json, digest_of
from mlimg_build.spec.loading import LoadedSpec, file_paths, load_spec, parse_spec
from mlimg_build.spec.models.annotation import Annotation, Cooccurrence
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
from mlimg_build.spec.models.hierarchy import Hierarchy, Nearest, Relations, Tree
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
    CocoSource,
    FolderSource,
    IlsvrcSource,
    ImageNetSource,
    MLImagesSource,
    OpenImagesSource,
    ParquetColumns,
    ParquetSource,
    Source,
    TableSource,
    WebdatasetSource,
)
from mlimg_build.spec.models.specification import (
    DatasetPart,
    Duplicates,
    Images,
    Mapping,
    Reencode,
    Spec,
    Split,
    Vocabulary,
    WordNetFile,
)
from mlimg_build.spec.models.splits import SPLITS
from mlimg_build.spec.models.table_columns import AllBut, CellMeaning, Columns, cell_key
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
    "AllBut",
    "Annotation",
    "AsymmetricLossPart",
    "Augmentation",
    "Backend",
    "BinaryCrossEntropyPart",
    "CellMeaning",
    "CocoSource",
    "Columns",
    "Cooccurrence",
    "DatasetPart",
    "Duplicates",
    "FocalLossPart",
    "FolderSource",
    "Grouping",
    "Hierarchy",
    "IlsvrcSource",
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
    "ParquetColumns",
    "ParquetSource",
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
    "WebdatasetSource",
    "WordNetFile",
    "canonical_json",
    "cell_key",
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
