"""The Zarr dataset: shards are written as artefacts, assembled, read, verified and described."""

from .assembling import assemble
from .columns import (
    Artefacts,
    CategoryColumns,
    ContradictionColumns,
    CopyTables,
    ImagesResult,
    LabelColumns,
    MappingColumns,
    PairColumns,
    StoredImage,
)
from .copy_groups import CopyGroup, CopyGroups
from .describing import copies_in_words, info
from .digests import order_key
from .layout import FORMAT, Layout
from .reading import Dataset, open_dataset
from .records import Categories, Contradiction, Image, Label, Mapped, Mappings
from .splits import Split, View
from .verifying import Finding, Verification, verify
from .writing import ImagesWriter, write_labels

__all__ = [
    "FORMAT",
    "Artefacts",
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
