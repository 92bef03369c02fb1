"""Create the tasks of a plan: the jobs of workers for the shards that are not built yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlimg_build.atomic import process_umask
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.plan.annotation_rules import annotation_rules
from mlimg_build.compiler.plan.row_files import RowIndex
from mlimg_build.compiler.plan.shard_layout import layout_of
from mlimg_build.compiler.plan.shard_work import LABELS_PER_TASK, ShardWork
from mlimg_build.compiler.run.label_shards import LabelShard
from mlimg_build.compiler.run.tasks import PackImages, SourceFolder, Task
from mlimg_build.sources import open_source
from mlimg_build.spec import LoadedSpec, Spec

__all__ = ["packing_job", "tasks_of"]


def tasks_of(
    loaded: LoadedSpec,
    rows: RowIndex,
    rules_file: Path,
    work: Sequence[ShardWork],
    store: Store,
    content: str = "",
    withdrawn: frozenset[str] = frozenset(),
    *,
    images: bool = True,
) -> list[Task]:
    """Return the remaining tasks: one per shard whose images are missing; label-only jobs are bundled.

    Without `images`, only labels are built. `content` is the place of the content store, for what came from URLs;
    `withdrawn` are the sha256 (hex) of what is taken down.
    """
    packing: list[Task] = []
    labelling: list[LabelShard] = []
    for one in work:
        labels = [] if one.labels_cached else [_labels(loaded.spec, rows, rules_file, one, store)]
        if images and not one.images_cached:
            packing.append([packing_job(loaded, rows, one, store, content, withdrawn), *labels])
        else:
            labelling += labels
    bundles = [labelling[i : i + LABELS_PER_TASK] for i in range(0, len(labelling), LABELS_PER_TASK)]
    return [*packing, *bundles]


def packing_job(
    loaded: LoadedSpec,
    rows: RowIndex,
    work: ShardWork,
    store: Store,
    content: str,
    withdrawn: frozenset[str] = frozenset(),
) -> PackImages:
    """Return the job of packing the images of one shard."""
    spec = loaded.spec
    encoding = spec.images.encoding
    return PackImages(
        store=store.root,
        umask=process_umask(),
        key=work.images,
        rows=rows.folder,
        split=work.shard.split,
        number=work.shard.number,
        sources=tuple(
            SourceFolder(name, open_source(name, part).root, loaded.place("sources", name, "images"))
            for name, part in spec.sources.items()
        ),
        layout=layout_of(spec),
        max_pixels=spec.images.max_pixels,
        encoding=None if encoding == "original" else (encoding.short_side, encoding.quality),
        keep_unreadable=spec.images.unreadable == "keep",
        fetched=work.fetched,
        content=content,
        withdrawn=withdrawn,
    )


def _labels(spec: Spec, rows: RowIndex, rules_file: Path, work: ShardWork, store: Store) -> LabelShard:
    return LabelShard(
        store=store.root,
        umask=process_umask(),
        key=work.labels,
        rows=rows.folder,
        split=work.shard.split,
        number=work.shard.number,
        facts=rules_file,
        layout=layout_of(spec),
        annotation=annotation_rules(spec),
    )
