"""Sources of a spec: one model per format, distinguished by `type`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from mlimg_build.spec.field_types import (
    File,
    Files,
    FilesOrFolder,
    Flag,
    Folder,
    OptionalFile,
    OptionalFolder,
    Part,
    known_type,
    refusal,
    tag_of,
)
from mlimg_build.spec.models.common_source import (
    CLASSES,
    CategoryIds,
    CommonSource,
    SplitSource,
    WnidList,
)
from mlimg_build.spec.models.table_columns import CellValues, Columns, require_meanings
from mlimg_build.spec.models.tar_sources import IlsvrcSource, WebdatasetSource
from mlimg_build.spec.suggestions import listed
from mlimg_build.spec.yaml.scalars import shown

__all__ = [
    "PEOPLE",
    "TYPES",
    "CategoryIds",
    "CocoSource",
    "FolderSource",
    "IlsvrcSource",
    "ImageNetSource",
    "MLImagesSource",
    "OpenImagesSource",
    "ParquetColumns",
    "ParquetSource",
    "Source",
    "TableSource",
    "WebdatasetSource",
    "WnidList",
]

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
PEOPLE = ("verification", "crowdsource-verification", "human", "xclick", "freeform", "activemil")
"""The values of Open Images' `Source` that mean people: labels that people verified (`human` in the first release),
boxes that they drew (`xclick`, `freeform`) or checked (`activemil`). The other value is `machine`."""


class ImageNetSource(SplitSource):
    """ImageNet: folders or tar files named by WordNet id."""

    type: Literal["imagenet"] = Field(description="the format: imagenet")
    images: Folder = Field(
        description="folder that holds n01440764/*.JPEG or n01440764.tar; tars are read in place. With `splits`, "
        "folders of splits that hold those"
    )


class OpenImagesSource(CommonSource):
    """Open Images: label CSVs, class descriptions and a folder of images."""

    type: Literal["open_images"] = Field(description="the format: open_images")
    images: OptionalFolder = Field(
        default=None,
        description="folder of images named IMAGE_ID.jpg; without it, `urls` says where they are",
    )
    urls: Literal["OriginalURL", "Thumbnail300KURL"] | None = Field(
        default=None,
        description="column of `rights` with the URLs of images that the folder does not have, which are fetched",
    )
    labels: Files = Field(
        description="CSVs with ImageID, LabelName, Confidence and maybe Source: 1 is verified present, 0 verified "
        "absent, between machine-made"
    )
    people: tuple[str, ...] = Field(
        default=PEOPLE,
        description="values of Source that are people; where it is another, 1 is no fact and 0 says nothing. A "
        "list without Source is people's, unless this is empty",
    )
    classes: File = Field(
        description="class descriptions: CSV of category id and name, with or without header"
    )
    hierarchy: OptionalFile = Field(
        default=None,
        description="Open Images' own hierarchy of categories, a JSON: it helps to find what a name means",
    )
    rights: OptionalFile = Field(
        default=None, description="Open Images' image CSV with ImageID, License, Author"
    )

    @model_validator(mode="after")
    def _images_are_somewhere(self) -> OpenImagesSource:
        if self.urls is not None and self.rights is None:
            hint = "name the CSV with the URLs: rights: image_ids_and_rotation.csv"
            raise refusal("missing-key", f"no file has the column {self.urls}", hint, at=("urls",))
        if self.images is None and self.urls is None:
            hint = "name their folder: images: …, or fetch them: urls: OriginalURL"
            raise refusal("missing-key", "nothing says where the images are", hint)
        return self


class MLImagesSource(CommonSource):
    """Tencent ML-Images: published lists of paths or URLs, with the dictionary."""

    type: Literal["ml_images"] = Field(description="the format: ml_images")
    lists: Files = Field(description="lists of `path-or-URL TAB index:confidence …`, one image a line")
    dictionary: File = Field(
        description="dictionary_and_semantic_hierarchy.txt: index, WordNet id, parent, names"
    )
    images: OptionalFolder = Field(
        default=None, description="folder below which the relative paths of the lists lie"
    )


class CocoSource(CommonSource):
    """COCO's JSON of instances, and LVIS's: images, annotations, categories."""

    type: Literal["coco"] = Field(description="the format: coco")
    annotations: Files = Field(
        description="JSON files with the lists images, annotations and categories, as instances_train2017.json"
    )
    images: OptionalFolder = Field(
        default=None,
        description="folder below which the files of the images lie; without it images are URLs, which are fetched",
    )
    exhaustive: Flag = Field(
        default=False,
        description="whether a category of a file without an annotation in an image of it is verified absent there; "
        "else it is unknown",
    )


class FolderSource(SplitSource):
    """Folders named by category."""

    type: Literal["folder"] = Field(description="the format: folder")
    images: Folder = Field(
        description="folder of folders; a folder's name is the category of the images in it. With `splits`, folders "
        "of splits that hold those"
    )
    classes: OptionalFile = Field(default=None, description=CLASSES)


class TableSource(SplitSource):
    """A table, CSV, TSV or Parquet, of images and their labels."""

    type: Literal["table"] = Field(description="the format: table")
    table: File = Field(description="table of images and labels: .csv, .tsv or .parquet")
    images: OptionalFolder = Field(
        default=None,
        description="folder below which the paths of the table lie; without it they are URLs, which are fetched",
    )
    columns: Columns = Field(default_factory=Columns, description="names of the table's columns")
    people: tuple[str, ...] = Field(
        default=PEOPLE,
        description="values of the column `source` that are people; where it is another, 1 is no fact and 0 says "
        "nothing. A table without that column is people's, unless this is empty",
    )
    values: CellValues | None = Field(
        default=None,
        description="what the cells of columns of categories mean: {1: present, 0: absent, -1: unknown}, or scores "
        "(a machine's confidences, 0 to 1). Without it 1 is present and 0 absent. An empty cell is unknown",
    )
    classes: OptionalFile = Field(default=None, description=CLASSES)
    separator: str = Field(
        default="|",
        min_length=1,
        description="text between several labels in one cell, and between their confidences",
    )

    @model_validator(mode="after")
    def _people_have_a_column(self) -> TableSource:
        if self.people and "people" in self.model_fields_set and self.columns.source is None:
            hint = "name the column of who said a label: columns: {source: …}"
            raise refusal("missing-key", "no column says which labels are people's", hint, at=("people",))
        return self

    @model_validator(mode="after")
    def _splits_have_a_column(self) -> TableSource:
        if self.splits and self.columns.split is None:
            hint = "name the column of the split: columns: {split: …}"
            raise refusal("missing-key", "no column says which split an image is in", hint, at=("splits",))
        return self

    @model_validator(mode="after")
    def _values_have_columns(self) -> TableSource:
        require_meanings(self.values)
        one = isinstance(self.columns.labels, str)
        if one and self.values is not None:
            sentence = (
                f"values is about columns of categories, and {shown(self.columns.labels)} is one of labels"
            )
            hint = (
                "list the columns: columns: {labels: [cat, dog]}, or columns: {labels: {all_but: [COLUMN]}}"
            )
            raise refusal("wrong-value", sentence, hint, at=("values",))
        if not one and "separator" in self.model_fields_set:
            sentence = (
                "separator is about several labels in one cell, and each category has a column of its own"
            )
            raise refusal("wrong-value", sentence, "remove it", at=("separator",))
        return self

    @field_validator("table")
    @classmethod
    def _known_format(cls, table: Path) -> Path:
        if table.suffix.lower() in TABLE_SUFFIXES:
            return table
        hint = f"write the table as {listed(TABLE_SUFFIXES, 'or')}"
        raise refusal("wrong-value", f"{shown(table.name)} is not the name of a table", hint)


class ParquetColumns(Part):
    """Names of the columns of Parquet files that hold images; a field in a column is COLUMN.FIELD."""

    image: str = Field(
        default="image",
        min_length=1,
        description="column of the images' bytes, or of structs with the field bytes",
    )
    labels: str = Field(
        default="label",
        min_length=1,
        description="column of the categories, one or a list: numbers that the file names (ClassLabel), or texts",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        description="column of the image's name, another for each image; without it a name is FILE/ROW",
    )
    split: str | None = Field(
        default=None,
        min_length=1,
        description="column of the image's split; without it the names of the files tell it",
    )
    licence: str | None = Field(default=None, min_length=1, description="column of the image's licence")
    author: str | None = Field(default=None, min_length=1, description="column of the image's author")


class ParquetSource(SplitSource):
    """Parquet files that hold the images themselves, as those of Hugging Face do."""

    type: Literal["parquet"] = Field(description="the format: parquet")
    images: FilesOrFolder = Field(
        description="a Parquet file, a folder of them, or a pattern such as data/train-*.parquet; images are read in "
        "place"
    )
    columns: ParquetColumns = Field(default_factory=ParquetColumns, description="names of the files' columns")
    classes: OptionalFile = Field(default=None, description=f"{CLASSES}; in place of the names in the files")


TYPES = (
    "coco",
    "folder",
    "ilsvrc",
    "imagenet",
    "ml_images",
    "open_images",
    "parquet",
    "table",
    "webdataset",
)


def _known_type(value: Any) -> Any:
    return known_type(value, TYPES, "source")


def _type_tag(value: Any) -> str:
    given = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return tag_of(str(given)) if given in TYPES else tag_of("folder")


Source = Annotated[
    Annotated[CocoSource, Tag("<coco>")]
    | Annotated[FolderSource, Tag("<folder>")]
    | Annotated[IlsvrcSource, Tag("<ilsvrc>")]
    | Annotated[ImageNetSource, Tag("<imagenet>")]
    | Annotated[MLImagesSource, Tag("<ml_images>")]
    | Annotated[OpenImagesSource, Tag("<open_images>")]
    | Annotated[ParquetSource, Tag("<parquet>")]
    | Annotated[TableSource, Tag("<table>")]
    | Annotated[WebdatasetSource, Tag("<webdataset>")],
    Discriminator(_type_tag),
    BeforeValidator(_known_type),
]
"""A source of a spec, by its `type`."""
