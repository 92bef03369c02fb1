"""A dataset of somebody else: the attributes, the metadata of its columns, their values, and the stored bytes."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from numcodecs.zstd import Zstd

from mlimg_build.compiler.diff.loading import side_of_dataset
from mlimg_build.compiler.plan.left_out import COLUMNS
from mlimg_build.compiler.plan.left_out_list import left_out_image
from mlimg_build.dataset import Dataset, info, open_dataset, verify
from mlimg_build.errors import MlimgError
from mlimg_build.explain.category_origin import describe_category
from mlimg_build.explain.image_labels import explain_in
from mlimg_build.explain.label_proofs import prove_labels
from tests.fuzz.door import Door

__all__ = ["DOORS"]

STORED = Path(__file__).resolve().parents[2] / "nets" / "format-3.zip"
ROWS = 2  # images of a split that are looked at


@lru_cache(maxsize=1)
def files() -> dict[str, bytes]:
    with zipfile.ZipFile(STORED) as archive:
        return {one.filename: archive.read(one) for one in archive.infolist() if not one.is_dir()}


def furnish(room: Path, listed: bool = True) -> None:
    for name, data in files().items():
        (room / name).parent.mkdir(parents=True, exist_ok=True)
        (room / name).write_bytes(data)
    if listed:
        (room / "world.left-out.csv").write_bytes(LEFT_OUT)


LEFT_OUT = b"image,reason,statements,labels\nrows/x,no_label,2,a\n"


def root_of(path: Path) -> Path:
    inside = [folder for folder in path.parents if folder.name == "world.zarr"]
    return inside[0] if inside else path.parent / "world.zarr"


def whole(path: Path) -> None:
    """What the verbs do with a dataset: `verify` tells all that is wrong, the others raise one error each."""
    root = root_of(path)
    found = verify(root).findings
    assert all(one.code and one.message for one in found)
    refused: list[MlimgError] = []

    def tried(*steps: Callable[[], object]) -> None:
        for step in steps:
            try:
                step()
            except MlimgError as error:
                refused.append(error)

    with open_dataset(root) as dataset:
        tried(lambda: list(dataset.mappings), lambda: list(dataset.pairs), lambda: dataset.categories.parents)
        tried(lambda: [(group.ids, group.places) for group in dataset.copies])
        tried(lambda: describe_category(dataset, "dog"), lambda: side_of_dataset(dataset, "the dataset"))
        for name in dataset.splits:
            for row in range(min(ROWS, len(dataset[name]))):
                tried(lambda name=name, row=row: looked_at(dataset, name, row))
    tried(lambda: info(root), lambda: left_out_image(root, "rows/x"), lambda: prove_labels(root))
    if refused:
        raise refused[0]


def left_out(path: Path) -> None:
    found = left_out_image(path.parent / "world.zarr", "rows/x")
    assert found is None or found["statements"] >= 0 or found["meaning"]


def left_out_seeds() -> list[bytes]:
    table = pa.table(dict(zip(COLUMNS.names, (["rows/x"], ["no_label"], [2], ["a"]), strict=True)))
    stream = io.BytesIO()
    pq.write_table(table.select(COLUMNS.names).cast(COLUMNS), stream, compression="none")
    return [b"world.left-out.csv\n" + LEFT_OUT, b"world.left-out.parquet\n" + stream.getvalue()]


def looked_at(dataset: Dataset, split: str, row: int) -> None:
    image = dataset[split][row]
    _ = (image.data, image.labels, image.own_labels, image.contradictions, image.copies, image.counts)
    _ = image in dataset[split]  # not if its id was changed: rows are in the order of their ids
    explain_in(dataset, image.id)


def attributes() -> list[str]:
    """The files of attributes and metadata, the larger groups first."""
    return sorted(
        (name for name in files() if name.endswith(".json")), key=lambda name: (name.count("/"), name)
    )


def chunks() -> list[str]:
    return sorted(name for name in files() if "/c/" in name)


def columns() -> list[str]:
    """The chunks that hold one Zstandard frame."""
    return [name for name in chunks() if files()[name].startswith(b"\x28\xb5\x2f\xfd")]


def named(names: list[str], read: object = None) -> list[bytes]:
    return [
        name.encode() + b"\n" + (Zstd().decode(files()[name]) if read else files()[name]) for name in names
    ]


def pack(path: Path, data: bytes) -> None:
    """A column's values, compressed as mlimg does."""
    path.write_bytes(Zstd(level=0).encode(data) if data else b"")


def root_seeds() -> list[bytes]:
    """The attributes of the root and of the splits many times, as they are looked at most; each column once."""
    names = attributes()
    groups = [name for name in names if name.count("/") <= 2 and "attributes" in json.loads(files()[name])]
    seeds = named([*groups[:1] * (len(names) // 3), *names])
    return [*seeds, b"world.left-out.csv\n" + LEFT_OUT]


TOKENS = (
    b'"float64"',
    b'"uint8"',
    b'"chunk_grid"',
    b'"codecs"',
    b'"gzip"',
    b'"blosc"',
    b'"attributes"',
    b"1e400",
    b"-1",
)

DOORS = (
    Door(
        "attributes",
        whole,
        root_seeds,
        lambda: (*attributes(), "world.left-out.csv"),
        furnish,
        tokens=TOKENS,
        tree=True,
        share=4,
    ),
    Door(
        "left-out",
        left_out,
        left_out_seeds,
        ("world.left-out.csv", "world.left-out.parquet"),
        lambda room: furnish(room, listed=False),
    ),
    Door(
        "columns", whole, lambda: named(columns(), "packed"), lambda: tuple(columns()), furnish, pack, share=4
    ),
    Door("chunks", whole, lambda: named(chunks()), lambda: tuple(chunks()), furnish, share=2),
)
