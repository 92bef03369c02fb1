"""The spec as frozen models: the keys that a person can write, and their defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from mlimg_build.spec.field_types import (
    ByteSize,
    File,
    OptionalFile,
    Part,
    Share,
    Slug,
    Version,
    Whole,
    Wnid,
    distinct,
    refusal,
    tag_of,
)
from mlimg_build.spec.models.annotation import Annotation
from mlimg_build.spec.models.fetching import Fetching, Rights
from mlimg_build.spec.models.grouping import Grouping
from mlimg_build.spec.models.hierarchy import Hierarchy
from mlimg_build.spec.models.own_categories import OwnCategories
from mlimg_build.spec.models.requirements import Requirements
from mlimg_build.spec.models.sources import Source, WnidList
from mlimg_build.spec.models.training import Training, Transfer

__all__ = [
    "DatasetPart",
    "Images",
    "Mapping",
    "Reencode",
    "Spec",
    "Split",
    "Vocabulary",
    "WordNetFile",
]

WORD_TAG, OTHER_TAG = tag_of("word"), tag_of("other")


def _word_or_mapping(value: Any) -> str:
    return OTHER_TAG if isinstance(value, dict | Part) else WORD_TAG


class WordNetFile(Part):
    """Another release of WordNet than the shipped 3.0."""

    path: File = Field(description="file that `mlimg wordnet compile` wrote")


class Mapping(Part):
    """Source categories → WordNet ids."""

    file: OptionalFile = Field(
        default=None, description="CSV of decisions made by people; they win over the rules"
    )
    policy: Literal["weighted", "first_sense"] = Field(
        default="weighted",
        description="how names are looked up: all evidence weighed, or WordNet's first sense",
    )
    accept_from: Share | None = Field(
        default=None,
        description="score from which an id that a rule found counts as confirmed, 0 to 1; none without it",
    )
    unreviewed: Literal["accept", "warn", "error", "drop"] = Field(
        default="accept", description="what happens to a category whose id a rule found and nobody confirmed"
    )
    is_a: Literal["use", "drop"] = Field(
        default="drop",
        description="what happens to a category of which only a head word is known: airbus a380 is an airplane",
    )
    unresolved: Literal["warn", "error", "drop"] = Field(
        default="warn", description="what is said of a category for which nothing was found; it is never used"
    )


class Vocabulary(Part):
    """Which categories the dataset has, and which source categories are the same."""

    kind: Literal["wordnet", "flat"] = Field(
        default="wordnet",
        description="wordnet: names become nouns of WordNet and own categories; flat: the sources' names as they are",
    )
    own: OwnCategories = Field(
        default={},
        description="categories beside WordNet's nouns, as own:SLUG: {SLUG: {name, below}}, or a CSV id,name,below; "
        "a CSV folder,name,below that is `classes` of sources, too",
    )
    allow_lost: Share = Field(
        default=0.05,
        description="share of a source's images, 0 to 1, that may be left out because a name resolved to nothing or "
        "to its head word only; more is an error",
    )
    merge: tuple[Literal["same_id", "synonyms"], ...] = Field(
        default=("same_id", "synonyms"),
        description="when two source categories are one: same WordNet id; names of one synset",
    )
    join: dict[Wnid, tuple[Wnid, ...]] = Field(
        default={},
        description="further joins: the ids of each list become the category that the list stands under",
    )
    collapse: tuple[Wnid, ...] = Field(
        default=(), description="WordNet ids that take in every category below them"
    )
    mapping: Mapping = Field(
        default_factory=Mapping, description="how source categories get their WordNet ids"
    )
    include: tuple[Wnid, ...] = Field(
        default=(), description="WordNet ids that are categories even if no image states them"
    )
    ancestors: Literal["none", "common", "all"] = Field(
        default="none",
        description="WordNet ancestors that become categories: none, all, or those where branches meet",
    )
    exclude: WnidList = Field(
        default=(),
        description="WordNet ids that are no categories: a list, or a text file, one id a line, # comments",
    )
    exclude_below: WnidList = Field(
        default=(),
        description="WordNet ids that are no categories, nor is anything below them: a list, or a text file",
    )
    min_images_per_category: Whole = Field(
        default=0, ge=0, description="categories with fewer images after merging are not used"
    )

    @field_validator("merge")
    @classmethod
    def _by_id(cls, merge: tuple[str, ...]) -> tuple[str, ...]:
        distinct(merge, "merge")
        if "same_id" not in merge:
            sentence = 'merge does not have "same_id": a category is its WordNet id'
            raise refusal("wrong-value", sentence, "write merge: [same_id] or merge: [same_id, synonyms]")
        return merge


class Reencode(Part):
    """Images are made smaller and encoded again as JPEG."""

    short_side: Whole = Field(
        ge=16, le=65_535, description="pixels of the shorter side; no image is enlarged"
    )
    quality: Whole = Field(default=90, ge=1, le=100, description="JPEG quality")


class Images(Part):
    """How images are checked and stored."""

    encoding: Annotated[
        Annotated[Literal["original"], Tag(WORD_TAG)] | Annotated[Reencode, Tag(OTHER_TAG)],
        Discriminator(_word_or_mapping),
    ] = Field(
        default="original",
        description="original keeps every byte; {short_side, quality} makes JPEGs of that size",
    )
    max_pixels: Whole = Field(default=100_000_000, ge=1, description="images of more pixels are not decoded")
    unreadable: Literal["fail", "keep"] = Field(
        default="fail",
        description="what happens where a file is there and cannot be read (a bad disk, permissions): the build fails, "
        "or its image keeps a row without bytes, which every rerun asks for again",
    )


class Duplicates(Part):
    """What becomes of images that are copies of each other."""

    exact: Literal["merge", "report"] = Field(
        default="merge",
        description="images with the same bytes: merge counts them once, with the labels of all; report counts each",
    )


class Split(Part):
    """How images are divided."""

    validation: Share = Field(
        default=0.0,
        lt=1,
        description="share of the images that go to validation, drawn by their id, or by their group",
    )
    by: Grouping | None = Field(
        default=None,
        description="which images stay in one split, by their ids SOURCE/NAME, across all sources; "
        "without it each draws for itself",
    )


class DatasetPart(Part):
    """The shape of the dataset."""

    images_per_shard: Whole = Field(
        default=4096, ge=1, le=1_000_000, description="images of one row of the dataset"
    )
    chunk_bytes: ByteSize = Field(
        default=2**20, description='bytes of a Zarr chunk, a number or text like "1 MiB"'
    )
    shard_bytes: ByteSize = Field(
        default=512 * 2**20,
        validate_default=True,
        description="bytes of a Zarr shard, a multiple of chunk_bytes",
    )

    @field_validator("shard_bytes")
    @classmethod
    def _whole_chunks(cls, value: int, info: ValidationInfo) -> int:
        chunk = info.data.get("chunk_bytes")
        if chunk and value % chunk:
            sentence = f"a shard of {value:,} bytes is not a whole number of chunks of {chunk:,} bytes"
            raise refusal(
                "wrong-value",
                sentence,
                f"take a multiple of chunk_bytes, such as {max(1, value // chunk) * chunk}",
            )
        return value


class Spec(Part):
    """One dataset and its model: sources, categories, labels, images, training."""

    mlimg: Literal[1] = Field(description="version of this language: 1")
    name: Slug = Field(description="name of the dataset: lower-case letters, digits, dots, - and _")
    version: Version = Field(description="version of the dataset, by semver.org: 1.0.0")
    description: str = Field(default="", description="what the dataset is, for people")
    wordnet: WordNetFile | None = Field(
        default=None, description="another release of WordNet than the shipped 3.0"
    )
    sources: dict[Slug, Source] = Field(
        min_length=1, description="where images and labels come from, by name"
    )
    vocabulary: Vocabulary = Field(default_factory=Vocabulary, description="which categories there are")
    hierarchy: Hierarchy = Field(default_factory=Hierarchy, description="which category implies which")
    annotation: Annotation = Field(default_factory=Annotation, description="what the labels imply")
    images: Images = Field(default_factory=Images, description="how images are checked and stored")
    fetch: Fetching = Field(default_factory=Fetching, description="how images that lie at URLs are asked for")
    rights: Rights = Field(
        default_factory=Rights, description="which signals of rights are respected when images are fetched"
    )
    duplicates: Duplicates = Field(
        default_factory=Duplicates, description="what becomes of images that are copies of each other"
    )
    split: Split = Field(
        default_factory=Split, description="how images are divided into training and validation"
    )
    dataset: DatasetPart = Field(default_factory=DatasetPart, description="the shape of the dataset")
    training: Training | None = Field(default=None, description="how the network is trained; none without it")
    transfer: Transfer | None = Field(
        default=None, description="how the trained network is tuned to one source"
    )
    require: Requirements = Field(
        default_factory=Requirements,
        description="what a finished build has to reach; one that is below ends with exit 4, and is kept",
    )
