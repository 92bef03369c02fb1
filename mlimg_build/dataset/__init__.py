"""The Zarr dataset: write shards as artefacts, assemble, read, verify and describe them."""

from mlimg_build.dataset.description import copies_in_words, info
from mlimg_build.dataset.format.column_types import (
    CategoryColumns,
    ContradictionColumns,
    CopyTables,
    ImagesResult,
    LabelColumns,
    MappingColumns,
    PairColumns,
    ShardOutput,
    StoredImage,
)
from mlimg_build.dataset.format.digests import order_key
from mlimg_build.dataset.format.layout import FORMAT, Layout
from mlimg_build.dataset.read.copy_groups import CopyGroup, CopyGroups
from mlimg_build.dataset.read.dataset import Dataset, open_dataset
from mlimg_build.dataset.read.records import Categories, Contradiction, Image, Label, Mapped, Mappings
from mlimg_build.dataset.read.shard_reader import ReadBuffer
from mlimg_build.dataset.read.split import Split, View
from mlimg_build.dataset.verification import Finding, Verification, verify
from mlimg_build.dataset.write.assembly import assemble
from mlimg_build.dataset.write.shard_writer import ImagesWriter, write_labels

__all__ = [
    "FORMAT",
    "Categories",
    "CategoryColumns",
    "Contradiction",
    "ContradictionColumns",
    "CopyGroup",
    "CopyGroups",
    "CopyTables",
    "Dataset",
    "Finding",
    "Image",
    "ImagesResult",
    "ImagesWriter",
    "Label",
    "LabelColumns",
    "Layout",
    "Mapped",
    "MappingColumns",
    "Mappings",
    "PairColumns",
    "ReadBuffer",
    "ShardOutput",
    "Split",
    "StoredImage",
    "Verification",
    "View",
    "assemble",
    "copies_in_words",
    "info",
    "open_dataset",
    "order_key",
    "verify",
    "write_labels",
]
