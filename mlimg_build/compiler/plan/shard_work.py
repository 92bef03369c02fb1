"""Determine the work that is left for each shard, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlimg_build.compiler.engine.cache import ASK_AGAIN, Key, Store, read_entry, read_json, write_json
from mlimg_build.compiler.plan.fetched_rows import FetchKeys
from mlimg_build.compiler.plan.format_dependence import outdated
from mlimg_build.compiler.plan.result_keys import ShardKeys
from mlimg_build.compiler.plan.row_files import Shard

__all__ = ["LABELS_PER_TASK", "LAST", "ShardWork", "remember", "shard_work", "slot_of"]

WHY = {  # part of a key → what is reported if it differs, the most informative first
    "images": "other images belong in it",
    "fetched": "other answers came from its URLs",
    "encoder": "another version of the encoder is installed",
    "annotation": "annotation changed",
    "pairs": "the pairs of co-occurring categories changed",
    "layout": "dataset changed",
    "facts": "the categories or what they imply changed",
    "rows": "other rows of the sources belong in it",
    "sources": "the order of the sources changed",
}
FOLLOWS = {
    "rows": {"facts", "images"},
    "sources": {"facts", "images", "rows"},
}  # part of a key → those it follows from
WRITTEN = {"add_to": "cooccurrence.add_to"}  # field of a key → the key of the spec, where that is another
UNREAD = "files that could not be read, or were gone, are asked for again"
LAST = "last.json"  # the results of each shard in its last build
LABELS_PER_TASK = 16  # label-only tasks are bundled, so that a task takes longer than its scheduling


@dataclass(frozen=True, slots=True)
class ShardWork:
    """One shard of the dataset, the keys of its two results, and why each must be made.

    `fetched` is the key of what came of its URLs and `came` its digest (hex), None and "" if nobody asked for them.
    `decided` is the key of its images without what came: it follows from the spec and the sources alone.
    """

    shard: Shard
    images: Key
    labels: Key
    why_images: str  # why its images must be made; "" if they are in the store
    why_labels: str
    decided: Key
    fetched: Key | None = None
    came: str = ""

    @property
    def images_cached(self) -> bool:
        """Whether the images are in the store."""
        return not self.why_images

    @property
    def labels_cached(self) -> bool:
        """Whether the labels are in the store."""
        return not self.why_labels


def shard_work(
    shards: Sequence[Shard], keys: ShardKeys, fetching: FetchKeys, store: Store
) -> Iterator[ShardWork]:
    """Yield the keys of each shard, and why its results must be made if they are not in the store."""
    last = read_json(store.root / LAST)
    anything = (store.root / fetching.stage).is_dir()
    for shard in shards:
        fetched = fetching.content(shard, store) if anything else None
        images, labels = keys.images(shard, fetched), keys.labels(shard)
        before = last.get(slot_of(shard))
        old_images, old_labels = before if isinstance(before, list) and len(before) == 2 else ("", "")
        why_images, why_labels = _why(images, store, old_images), _why(labels, store, old_labels)
        came = None if fetched is None else fetching.key(shard)
        decided = keys.images(shard)
        yield ShardWork(shard, images, labels, why_images, why_labels, decided, came, fetched or "")


def remember(store: Store, work: Sequence[ShardWork]) -> None:
    """Record the results of each shard, so that the next plan can tell what changed."""
    slots = {slot_of(one.shard): [one.images.digest, one.labels.digest] for one in work}
    write_json(store.root / LAST, {**read_json(store.root / LAST), **slots})


def slot_of(shard: Shard) -> str:
    """Return the name of a shard in the record of the last build."""
    return f"{shard.split}/{shard.number}"


def _why(key: Key, store: Store, before: str | None) -> str:
    """Return why a result is not in the store: every part of its key that differs from the last build.

    The text is "" if the result is in the store and what it depends on besides its key is the same.
    """
    entry = store.entry(key)
    if store.has(key):
        return outdated(entry["notes"]) if entry is not None and key.stage == "images" else ""
    if entry is not None:
        return UNREAD if entry["hint"] == ASK_AGAIN else "its files were touched since"
    old = read_entry(str(store.folder(key.stage, before or "-"))).get("parts")
    if not isinstance(old, dict):
        return "not built yet"
    return ", ".join(_changed(key, old)) or "the format changed"


def _changed(key: Key, old: Mapping[str, Any]) -> Iterator[str]:
    """Yield what each part of a key that differs from the former one means, of rules each field.

    A part that follows from one that is told is left out.
    """
    told: set[str] = set()
    for name, said in WHY.items():
        new, was = key.parts.get(name), old.get(name)
        if name not in key.parts or was == new or told & FOLLOWS.get(name, set()):
            continue
        if name == "encoder" and None in (was, new):
            continue  # not another version: one of the two builds encodes nothing
        if isinstance(new, dict) and isinstance(was, dict):
            yield from (
                f"{name}.{WRITTEN.get(field, field)} changed"
                for field in dict.fromkeys([*new, *was])
                if was.get(field) != new.get(field)
            )
        else:
            yield said
        told.add(name if not isinstance(new, dict) else f"{name}.*")
