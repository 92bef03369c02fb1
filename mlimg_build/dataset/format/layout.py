"""The shape of a dataset on disk: its format name, its arrays, and the numbers that fix their chunks."""

from __future__ import annotations

from dataclasses import dataclass

from mlimg_build.errors import DatasetError, Problem

__all__ = [
    "CATEGORY_COLUMNS",
    "CONTRADICTION_COLUMNS",
    "COPIES",
    "ENTRIES_PER_CHUNK",
    "FORMAT",
    "LABEL_COLUMNS",
    "MAPPING_COLUMNS",
    "MOST_ATTRIBUTES",
    "PAIR_COLUMNS",
    "SHARD_COLUMNS",
    "SHARD_FORMAT",
    "SPAN_COLUMNS",
    "TABLE_AXES",
    "TEXT_BYTES_PER_CHUNK",
    "ZSTD_LEVEL",
    "Column",
    "Layout",
    "data_codecs",
    "image_columns",
    "text_columns",
]

FORMAT = "mlimg-dataset/3"
SHARD_FORMAT = "mlimg-dataset/3"
ENTRIES_PER_CHUNK = {
    "labels": 1 << 16,
    "contradictions": 1 << 13,
}  # a chunk is stored whole, and few images have contradictions
TEXT_BYTES_PER_CHUNK = 1 << 18
MOST_ATTRIBUTES = 64 << 20  # bytes of the JSON of a group
ZSTD_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """The settings that fix every chunk of a split; two datasets can share shards only if these are equal.

    `chunk_bytes` divides `shard_bytes`; `source_digest` says whether images keep the digest of the file they were
    re-encoded from.

    >>> Layout(images_per_shard=4096).chunks_per_file
    512
    """

    images_per_shard: int
    chunk_bytes: int = 1 << 20
    shard_bytes: int = 512 << 20
    source_digest: bool = False

    def __post_init__(self) -> None:
        sizes = (self.images_per_shard, self.chunk_bytes, self.shard_bytes)
        if min(sizes) < 1 or self.shard_bytes % self.chunk_bytes:
            raise DatasetError(
                Problem(
                    "layout-invalid",
                    f"a dataset cannot be laid out with {self}",
                    hint="make every size positive and shard_bytes a multiple of chunk_bytes",
                )
            )

    @property
    def chunks_per_file(self) -> int:
        return self.shard_bytes // self.chunk_bytes


@dataclass(frozen=True, slots=True)
class Column:
    """One array: `dtype` is little-endian; `width` is the second axis (None: none).

    `axis` names its first dimension if that is not the one of the other columns of its table. A `text` column holds the
    UTF-8 bytes of all values, one after the other, and a column whose `stop_of` names it holds where each of them ends:
    so no value changes the bytes of another, and none has a maximum length.
    """

    name: str
    dtype: str
    width: int | None = None
    text: bool = False
    axis: str | None = None
    stop_of: str | None = None

    def dimension_names(self, *axes: str) -> tuple[str, ...]:
        """Return the names of its dimensions in a table whose first dimensions are `axes`.

        In one group a name has one length, so that xarray opens the group; the bytes of each column with a
        second axis are therefore a dimension of their own.

        >>> Column("digest", "|u1", 32).dimension_names("image"), Column("via", "<i4").dimension_names("shard", "entry")
        (('image', 'digest_byte'), ('shard', 'entry'))
        """
        first = axes if self.axis is None else (self.axis,)
        return first if self.width is None else (*first, f"{self.name}_byte")


def text_columns(name: str) -> tuple[Column, Column]:
    """Return the two columns of a text: its bytes, and where each value ends; value i begins where value i - 1 ends."""
    return (
        Column(name, "|u1", text=True, axis=f"{name}_byte"),
        Column(f"{name}_stop", "<u4", stop_of=name),
    )


SPAN_COLUMNS = (Column("start", "<u8"), Column("stop", "<u8"))

LABEL_COLUMNS = (
    Column("category", "<i4"),
    Column("state", "|i1"),
    Column("confidence", "<f4"),
    Column("rule", "|u1"),
    Column("via", "<i4"),
    Column("source", "<u2"),
    Column("mapping", "<i4"),
    Column("record", "<i8"),
)

CONTRADICTION_COLUMNS = (
    Column("absent", "<i4"),
    Column("present", "<i4"),
    Column("absent_mapping", "<i4"),
    Column("present_mapping", "<i4"),
    Column("absent_record", "<i8"),
    Column("present_record", "<i8"),
    Column("confidence", "<f4"),
    Column("kept", "|i1"),
)

CATEGORY_COLUMNS = (
    *text_columns("wnid"),
    *text_columns("name"),
    Column("parent_start", "<i8", axis="category_bound"),
    Column("parent_index", "<i4", axis="parent"),
    Column("positives", "<i8"),
    Column("negatives", "<i8"),
)

MAPPING_COLUMNS = (
    Column("source", "<u2"),
    *text_columns("id"),
    *text_columns("name"),
    Column("category", "<i4"),
    Column("method", "|u1"),
    Column("score", "<f4"),
    Column("narrower", "|u1"),
    Column("fate", "|u1"),
    Column("relation", "|u1"),
    *text_columns("synset"),
    *text_columns("joined"),
    *text_columns("evidence"),
)

PAIR_COLUMNS = (
    Column("antecedent", "<i4"),
    Column("consequent", "<i4"),
    Column("together", "<i8"),
    Column("images", "<i8"),
    Column("bound", "<f4"),
)

SHARD_COLUMNS = (
    Column("images_digest", "|u1", 32),
    Column("labels_digest", "|u1", 32),
    Column("images", "<i8"),
    Column("bytes", "<i8"),
    Column("first_image", "<i8", axis="shard_bound"),
)
"""One row per shard; `first_image` has one value more: shard s holds the images `first_image[s]:first_image[s + 1]`."""

_GROUP_SPANS = (Column("start", "<u8", axis="group"), Column("stop", "<u8", axis="group"))

COPIES: dict[str, tuple[Column, ...]] = {
    "groups": (*SPAN_COLUMNS, Column("merged", "|u1")),
    "members": (
        *text_columns("id"),
        Column("source", "<u2"),
        Column("split", "|i1"),
        Column("row", "<i8"),
    ),
    "labels": (*_GROUP_SPANS, *LABEL_COLUMNS, Column("member", "<i8")),
    "contradictions": (
        *_GROUP_SPANS,
        *CONTRADICTION_COLUMNS,
        Column("absent_member", "<i8"),
        Column("present_member", "<i8"),
    ),
}
"""The tables of `copies/`: images with the same bytes. Group g has the members `start[g]:stop[g]`, the counted one
first; a member that is not in the dataset has the split -1. If `merged[g]`, the labels and contradictions of its first
member are `labels` and `contradictions` `start[g]:stop[g]`, each with the member of which it was stated."""

TABLE_AXES = {
    "categories": "category",
    "mappings": "mapping",
    "pairs": "pair",
    "shards": "shard",
    "copies/groups": "group",
    "copies/members": "member",
    "copies/labels": "label",
    "copies/contradictions": "contradiction",
}
"""The name of the dimension along which a table has its rows."""


def image_columns(layout: Layout) -> tuple[Column, ...]:
    """Return the columns that hold one value per image, in the order in which they are digested."""
    columns = (
        *SPAN_COLUMNS,
        *text_columns("id"),
        Column("source", "<u2"),
        Column("height", "<u4"),
        Column("width", "<u4"),
        Column("digest", "|u1", 32),
        Column("status", "|u1"),
        Column("licence", "<u2"),
        *text_columns("author"),
    )
    return (*columns, Column("source_digest", "|u1", 32)) if layout.source_digest else columns


def data_codecs(chunk_bytes: int) -> list[dict[str, object]]:
    """Return the codec chain of `images/data` as Zarr v3 metadata: uncompressed chunks, then an index with a CRC-32C.

    Source: Zarr v3 specification, codec `sharding_indexed` 1.0.
    """
    index: list[dict[str, object]] = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "crc32c"},
    ]
    return [
        {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [1, chunk_bytes],
                "codecs": [{"name": "bytes"}],
                "index_codecs": index,
                "index_location": "end",
            },
        }
    ]
