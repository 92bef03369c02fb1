"""Small datasets with every kind of row, made through the public functions."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from mlimg_build.dataset import (
    CategoryColumns,
    ContradictionColumns,
    ImagesWriter,
    LabelColumns,
    Layout,
    MappingColumns,
    PairColumns,
    ShardOutput,
    StoredImage,
    assemble,
    order_key,
    write_labels,
)

LAYOUT = Layout(images_per_shard=8, chunk_bytes=256, shard_bytes=1024)
TABLES = {
    "rules": ["stated", "ancestor", "descendant"],
    "sources": ["imagenet", "open_images"],
    "licences": ["unknown", "CC-BY-4.0"],
    "statuses": ["ok", "truncated"],
    "methods": ["same-id", "lemma"],
    "fates": ["used", "unresolved"],
    "relations": ["same_as", "is_a"],
}


def image(image_id: str, size: int = 300, **changes: object) -> StoredImage:
    """An image of random bytes that depend on its id alone; every 7th or so has failed."""
    seed = int.from_bytes(order_key(image_id.encode())[:8], "big")
    failed = seed % 7 == 3
    data = b"" if failed else np.random.default_rng(seed).bytes(1 + seed % (2 * size))
    values: dict[str, object] = {
        "id": image_id,
        "source": seed % 2,
        "status": int(failed),
        "data": data,
        "height": 10 + seed % 50,
        "width": 10 + seed % 60,
        "digest": bytes(32) if failed else hashlib.sha256(data).digest(),
        "licence": seed % 2,
        "author": "Zoë" if seed % 3 else "",
    }
    return StoredImage(**(values | changes))  # type: ignore[arg-type]


def ids(count: int, split: str = "train") -> list[str]:
    """Ids in the order of a split."""
    return sorted((f"{split}/{n:05d}" for n in range(count)), key=lambda text: order_key(text.encode()))


def labels_of(images: list[StoredImage]) -> tuple[LabelColumns, ContradictionColumns]:
    """Up to four labels an image and a contradiction on some, by the image's id alone."""
    rngs = [np.random.default_rng(list(order_key(i.id.encode())[:4])) for i in images]
    counts = np.array([int(rng.integers(0, 5)) for rng in rngs], "i8")
    total = int(counts.sum())
    rng = np.random.default_rng(list(order_key(images[0].id.encode())[:4]))
    labels = LabelColumns(
        counts=counts,
        category=rng.integers(0, 4, total, dtype="i4"),
        state=rng.choice(np.array([-1, 1], "i1"), total),
        confidence=rng.random(total, dtype="f4"),
        rule=rng.integers(0, 3, total, dtype="u1"),
        via=rng.integers(-1, 4, total, dtype="i4"),
        source=rng.integers(0, 2, total, dtype="u2"),
        mapping=rng.integers(-1, 3, total, dtype="i4"),
        record=rng.integers(0, 2**40, total, dtype="i8"),
    )
    clash = np.array([n % 5 == 0 for n in range(len(images))], "i8")
    n = int(clash.sum())
    contradictions = ContradictionColumns(
        counts=clash,
        absent=np.full(n, 1, "i4"),
        present=np.full(n, 2, "i4"),
        absent_mapping=np.full(n, 0, "i4"),
        present_mapping=np.full(n, 1, "i4"),
        absent_record=np.arange(n, dtype="i8"),
        present_record=np.arange(n, dtype="i8") + 2**33,
        confidence=np.full(n, 0.75, "f4"),
        kept=np.array([(-1, 0, 1)[k % 3] for k in range(n)], "i1"),
    )
    return labels, contradictions


def write_shard(directory: Path, images: list[StoredImage], layout: Layout = LAYOUT) -> ShardOutput:
    """The two artefacts of one shard."""
    with ImagesWriter(directory / "images", layout) as writer:
        for one in images:
            writer.add(one)
    write_labels(directory / "labels", layout, *labels_of(images))
    return ShardOutput(directory / "images", directory / "labels")


def write_split(directory: Path, images: list[StoredImage], layout: Layout = LAYOUT) -> list[ShardOutput]:
    """The artefacts of a split's images, which are in order."""
    step = layout.images_per_shard
    return [
        write_shard(directory / str(first // step), images[first : first + step], layout)
        for first in range(0, len(images), step)
    ]


def categories() -> CategoryColumns:
    return CategoryColumns(
        wnid=["n00015388", "n02084071", "n02121808", "n02958343"],
        name=["animal, beast", "dog", "café cat", "car"],
        parent_start=np.array([0, 0, 1, 2, 2]),
        parent_index=np.array([0, 0], "i4"),
        positives=np.array([5, 9, 0, 9]),
        negatives=np.array([1, 0, 0, 2]),
    )


def mappings() -> MappingColumns:
    return MappingColumns(
        source=np.array([0, 1, 1], "u2"),
        id=["n02084071", "/m/0bt9lr", "/m/unknown"],
        name=["dog", "Dog", "Ünknown"],
        category=np.array([1, 1, -1], "i4"),
        method=np.array([0, 1, 1], "u1"),
        score=np.array([1, 0.5, 0], "f4"),
        narrower=np.array([0, 1, 0], "u1"),
        fate=np.array([0, 0, 1], "u1"),
        relation=np.array([0, 1, 0], "u1"),
        synset=["n02084071", "n02084071", ""],
        joined=["n02084071", "n02084071", ""],
        evidence=["", "lemma dog of n02084071", ""],
    )


def pairs() -> PairColumns:
    return PairColumns(
        antecedent=np.array([1], "i4"),
        consequent=np.array([3], "i4"),
        together=np.array([30], "i8"),
        images=np.array([40], "i8"),
        bound=np.array([0.625], "f4"),
    )


def build(
    path: Path, splits: dict[str, list[ShardOutput]], layout: Layout = LAYOUT, **attributes: object
) -> str:
    """The dataset of these artefacts at `path`; gives its digest."""
    return assemble(
        path,
        layout=layout,
        splits=splits,
        categories=categories(),
        mappings=mappings(),
        pairs=pairs(),
        attributes={"name": "small", "spec": "mlimg: 1\n", **attributes},
        tables=TABLES,
    )
