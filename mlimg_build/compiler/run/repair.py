"""Find stored results that differ from their digests and, for `--repair`, images whose source now differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.engine.store_usage import LEFTOVER
from mlimg_build.compiler.engine.threads import in_threads
from mlimg_build.compiler.plan.row_files import RowIndex
from mlimg_build.compiler.plan.shard_layout import layout_of
from mlimg_build.compiler.plan.shard_work import ShardWork
from mlimg_build.compiler.run.label_counts import counts_fit
from mlimg_build.compiler.run.task_list import packing_job
from mlimg_build.compiler.run.tasks import without_bytes
from mlimg_build.dataset import Layout
from mlimg_build.dataset.artefact_proof import bytes_flaw, images_flaw, labels_flaw
from mlimg_build.spec import LoadedSpec

__all__ = ["CheckedWork", "forget_lists", "without_damage", "without_flaws"]

STORED = ("images", "labels")  # checked results; the others are rebuilt from the sources in little time
SAMPLED = 8  # images of a shard that are read to find damage
OTHERWISE = "its source says something else of images without bytes"


def forget_lists(store: Store) -> None:
    """Remove everything derived from the sources' lists alone, so that the next plan rebuilds it.

    What a task is writing stays, whichever build it belongs to.
    """
    for folder in sorted(store.root.iterdir()):
        if folder.is_dir() and folder.name not in (*STORED, LEFTOVER):
            store.remove(folder)


@dataclass(frozen=True, slots=True)
class CheckedWork:
    """The work on all shards, with flawed results marked to be rebuilt, and one message per flaw."""

    work: tuple[ShardWork, ...]
    flaws: tuple[str, ...]


def without_flaws(loaded: LoadedSpec, rows: RowIndex, work: Sequence[ShardWork], store: Store) -> CheckedWork:
    """Remove every flawed result from the store; return the work with these results marked to be rebuilt.

    Results are read in full and compared with their digests; images without bytes are read again from their source.
    """
    return _marked(work, store, partial(_flaws, loaded, rows, store))


def without_damage(layout: Layout, work: Sequence[ShardWork], store: Store) -> CheckedWork:
    """Remove every damaged result from the store; return the work with these results marked to be rebuilt.

    Columns and labels are compared with their checksums, and images with their digests as far as `store.checks` says.
    """
    return _marked(work, store, partial(_damage, layout, store))


def _marked(
    work: Sequence[ShardWork], store: Store, flaws: Callable[[ShardWork], tuple[str, str]]
) -> CheckedWork:
    """Remove the results of which `flaws` says something; return the work with these marked to be rebuilt."""
    checked, found = [], []
    seen = list(in_threads(flaws, work))  # before any is removed: shards may share a result
    for item, (images, labels) in zip(work, seen, strict=True):
        shard = f"{item.shard.split}/{item.shard.number}"
        if images:
            store.drop(item.images)
            found.append(f"images of {shard}: {images}")
        if labels:
            store.drop(item.labels)
            found.append(f"labels of {shard}: {labels}")
        checked.append(
            replace(item, why_images=images or item.why_images, why_labels=labels or item.why_labels)
        )
    return CheckedWork(tuple(checked), tuple(found))


def _damage(layout: Layout, store: Store, work: ShardWork) -> tuple[str, str]:
    """Return the damage of the stored images and labels of a shard; "" if there is none or no result."""
    images = labels = ""
    if work.images_cached:
        images = store.flaw(work.images) or ""
        if not images and store.checks != "none":
            few = None if store.checks == "all" else SAMPLED
            images = bytes_flaw(store.path(work.images), layout, few) or ""
    if work.labels_cached:
        labels = store.flaw(work.labels) or ""
    return images, labels


def _flaws(loaded: LoadedSpec, rows: RowIndex, store: Store, work: ShardWork) -> tuple[str, str]:
    """Return the flaws of the stored images and labels of a shard; "" if there is no flaw or no result."""
    images = labels = ""
    if work.images_cached:
        images = store.flaw(work.images) or images_flaw(store.path(work.images), layout_of(loaded.spec)) or ""
        if not images and any(_asked(loaded, rows, work, store)):
            images = OTHERWISE
    if work.labels_cached:
        flaw, columns = labels_flaw(store.path(work.labels))
        flaw = store.flaw(work.labels) or flaw
        if flaw is None and not counts_fit(store.path(work.labels), columns):
            flaw = "its counts are not those of its columns"
        labels = flaw or ""
    return images, labels


def _asked(loaded: LoadedSpec, rows: RowIndex, work: ShardWork, store: Store) -> Iterator[bool]:
    """Yield, for every image without bytes, whether its status at the source has changed; raises a worker's errors."""
    entry = store.entry(work.images)
    told = {row[0]: row[1] for row in entry["notes"]["failures"]} if entry else {}
    if not told:
        return
    job = packing_job(loaded, rows, work, store, "")
    for name, status in without_bytes(job, rows.batch(work.shard), set(told)):
        yield told[name] != status
