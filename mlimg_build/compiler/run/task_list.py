"""The tasks of a plan: what each worker is handed for the shards that are left."""

from __future__ import annotations

from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.plan.annotation_rules import annotation_rules
from mlimg_build.compiler.plan.plan import LABELS_PER_TASK, Plan, ShardWork
from mlimg_build.compiler.run.tasks import LabelShard, PackImages, SourceFolder, Task
from mlimg_build.sources import open_source

__all__ = ["packing_job", "tasks_of"]


def tasks_of(plan: Plan, store: Store, *, images: bool = True) -> list[Task]:
    """The tasks that are left: one for each shard whose images are missing, label-only ones in bundles.

    Without `images`, labels only.
    """
    packing: list[Task] = []
    labelling: list[LabelShard] = []
    for work in plan.work:
        labels = [] if work.labels_cached else [_labels(plan, store, work)]
        if images and not work.images_cached:
            packing.append([packing_job(plan, store, work), *labels])
        else:
            labelling += labels
    bundles = [labelling[i : i + LABELS_PER_TASK] for i in range(0, len(labelling), LABELS_PER_TASK)]
    return [*packing, *bundles]


def packing_job(plan: Plan, store: Store, work: ShardWork) -> PackImages:
    """What a worker needs to pack the images of one shard."""
    spec = plan.loaded.spec
    encoding = spec.images.encoding
    return PackImages(
        store=store.root,
        key=work.images,
        rows=plan.rows_folder,
        split=work.shard.split,
        number=work.shard.number,
        sources=tuple(
            SourceFolder(name, open_source(name, part).root, plan.loaded.place("sources", name, "images"))
            for name, part in spec.sources.items()
        ),
        layout=plan.layout,
        max_pixels=spec.images.max_pixels,
        encoding=None if encoding == "original" else (encoding.short_side, encoding.quality),
        keep_unreadable=spec.images.unreadable == "keep",
    )


def _labels(plan: Plan, store: Store, work: ShardWork) -> LabelShard:
    return LabelShard(
        store=store.root,
        key=work.labels,
        rows=plan.rows_folder,
        split=work.shard.split,
        number=work.shard.number,
        facts=plan.rules_file,
        layout=plan.layout,
        annotation=annotation_rules(plan.loaded.spec),
    )
