"""Sources whose images lie in tars beside their labels, or in one with a list of labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from mlimg_build.spec.field_types import File, FileOrFolderGiven, OptionalFile, Part, TarPatterns, refusal
from mlimg_build.spec.models.common_source import CommonSource, SplitSource
from mlimg_build.spec.path_patterns import fixed_root
from mlimg_build.spec.yaml.scalars import shown

__all__ = ["IlsvrcSource", "JsonFields", "WebdatasetSource"]

EXTENSION = re.compile(r"[^./\s][^/\s]*")
PICKLED = frozenset({"pyd", "pickle", "pkl", "pth", "npy", "npz", "ten", "tb", "mp", "msg", "cbor"})
COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2")


def _several(value: Any) -> Any:
    return value if isinstance(value, tuple) else (value,)


EXTENSION_SCHEMA = {"type": "string", "pattern": f"^{EXTENSION.pattern}$"}
Extensions = Annotated[
    tuple[str, ...],
    BeforeValidator(_several),
    WithJsonSchema({"anyOf": [EXTENSION_SCHEMA, {"type": "array", "items": EXTENSION_SCHEMA}]}),
]


class JsonFields(Part):
    """Fields of the JSON of an image. A dot leads into an object, and through a list into each of its entries."""

    labels: str | None = Field(
        default=None,
        min_length=1,
        description="field of the categories that are present: a text, a whole number, or a list of these",
    )
    confidence: str | None = Field(
        default=None,
        min_length=1,
        description="field of the confidences of `labels`, 0 to 1: one number, or one for each label",
    )
    absent: str | None = Field(
        default=None, min_length=1, description="field of the categories that are verified absent"
    )
    licence: str | None = Field(default=None, min_length=1, description="field of the image's licence")
    author: str | None = Field(default=None, min_length=1, description="field of the image's author")
    split: str | None = Field(
        default=None,
        min_length=1,
        description="field of the image's split; `splits` says where a value goes that is not train, val or the like",
    )

    @model_validator(mode="after")
    def _are_of_labels(self) -> JsonFields:
        if self.confidence is not None and self.labels is None:
            hint = "name the field of the categories: labels: …"
            raise refusal("missing-key", "confidences are those of labels", hint, at=("confidence",))
        return self


class WebdatasetSource(SplitSource):
    """Tars of samples, as the webdataset library reads them: KEY.jpg beside KEY.cls, KEY.json or KEY.txt."""

    type: Literal["webdataset"] = Field(description="the format: webdataset")
    tars: TarPatterns = Field(
        description="uncompressed tars: a path or several, with braces as in train-{000000..000123}.tar or "
        "{train,val}/*.tar, and with * ? [0-9]; with `splits`, the names of the tars say the split"
    )
    image: Extensions = Field(
        default=(),
        description="extension of the member that is the image, or several of which the first that is there counts; "
        "without it, the first member of a key with the suffix of an image",
    )
    labels: str = Field(
        default="cls", description="extension of the member that holds the label: a whole number or a text"
    )
    separator: str | None = Field(
        default=None,
        min_length=1,
        description="text between several labels in that member; without it, one label",
    )
    fields: JsonFields | None = Field(
        default=None,
        description="what is read from KEY.json; with its `labels`, these take the place of a member's",
    )
    classes: OptionalFile = Field(
        default=None,
        description="names of the categories: a CSV of category id and name, or a .txt with the name of category 0 in "
        "line 1, of 1 in line 2, and so on; a name may be or begin with a WordNet id",
    )

    @property
    def images(self) -> Path:
        """The folder that the paths of the tars are relative to: the deepest that holds all of them."""
        return fixed_root(self.tars)

    @field_validator("tars")
    @classmethod
    def _are_tars(cls, tars: tuple[Path, ...]) -> tuple[Path, ...]:
        for i, path in enumerate(tars):
            if path.name.lower().endswith(COMPRESSED):
                hint = (
                    "images are read in place: decompress the tars, and write the names that they have then"
                )
                raise refusal("wrong-value", f"{shown(path.name)} names a compressed tar", hint, at=(i,))
            if not path.name.endswith(".tar"):
                hint = "write a path that ends in .tar, or a pattern such as train-{000..123}.tar or *.tar"
                raise refusal("wrong-value", f"{shown(path.name)} does not name a tar", hint, at=(i,))
        return tars

    @field_validator("labels")
    @classmethod
    def _is_extension(cls, labels: str) -> str:
        return _extension(labels)

    @field_validator("image")
    @classmethod
    def _are_extensions(cls, image: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_extension(one) for one in image)

    @model_validator(mode="after")
    def _one_place_of_labels(self) -> WebdatasetSource:
        given = self.model_fields_set
        if self.fields is not None and (self.fields.labels or self.fields.absent):
            for key in ("labels", "separator"):
                if key in given:
                    hint = "remove one of the two"
                    raise refusal(
                        "wrong-value",
                        "the labels are those of the JSON, and here those of a member",
                        hint,
                        at=(key,),
                    )
        elif self.labels == "json":
            hint = "name the field of the categories: fields: {labels: …}"
            raise refusal(
                "missing-key", "no field of the JSON is said to hold the labels", hint, at=("labels",)
            )
        return self


def _extension(text: str) -> str:
    """Return an extension in lower case, as it is compared."""
    kind = text.rpartition(".")[2].lower()
    if not EXTENSION.fullmatch(text):
        hint = "write what follows the first dot of a member's name: cls for KEY.cls"
        raise refusal("wrong-value", f"{shown(text)} is no extension", hint)
    if kind in PICKLED:
        hint = "labels are read from text: write them as .cls, .txt or .json"
        raise refusal("wrong-value", f"a member .{kind} is no text and is not decoded", hint)
    return text.lower()


class IlsvrcSource(CommonSource):
    """ImageNet's flat validation images, in a folder or one tar, with the list of their labels."""

    type: Literal["ilsvrc"] = Field(description="the format: ilsvrc")
    images: FileOrFolderGiven = Field(
        description="folder of ILSVRC2012_val_00000001.JPEG and so on, or ILSVRC2012_img_val.tar, read in place"
    )
    labels: File = Field(
        description="list of the labels: ILSVRC2012_validation_ground_truth.txt, Caffe's val.txt, Kaggle's "
        "LOC_val_solution.csv, or lines of a file's name and a WordNet id"
    )
    synsets: OptionalFile = Field(
        default=None,
        description="WordNet ids of the numbers in the list: meta.mat of the devkit or map_clsloc.txt for the ground "
        "truth, synsets.txt or synset_words.txt for val.txt; not needed where the list has WordNet ids",
    )
    split: Literal["auto", "train", "validation", "transfer", "transfer_validation"] = Field(
        default="validation",
        description="where the images go; auto draws between train and validation by the spec's split",
    )
