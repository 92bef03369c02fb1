"""Make the keys of stored results: of the rows, of the images of a shard, and of its labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlimg_build.compiler.engine.cache import Key
from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.compiler.facts.pair_counts import pairs_digest
from mlimg_build.compiler.facts.unused_categories import reason_codes
from mlimg_build.compiler.plan.inputs import Inputs
from mlimg_build.compiler.plan.row_files import Shard
from mlimg_build.compiler.plan.shard_layout import layout_of
from mlimg_build.compiler.plan.withdrawals import Withdrawals
from mlimg_build.images import encoder
from mlimg_build.spec import Spec, digest_of, without_paths

__all__ = ["ShardKeys", "rows_key", "rules_key"]

IMAGES_FORMAT = 2
LABELS_FORMAT = 6
ROWS_FORMAT = 6
RULES_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ShardKeys:
    """Makes the keys of shards; has the parts that the keys of all images, and of all labels, have in common."""

    image_parts: dict[str, Any]
    label_parts: dict[str, Any]

    @classmethod
    def of(cls, spec: Spec, facts: Facts) -> ShardKeys:
        """Return the parts that follow from a spec and its facts."""
        layout = layout_of(spec)
        sizes = {
            "images_per_shard": layout.images_per_shard,
            "chunk_bytes": layout.chunk_bytes,
            "shard_bytes": layout.shard_bytes,
        }
        stored = without_paths(spec.images)
        del stored["unreadable"]  # such images are read again in every run: no final result depends on it
        return cls(
            image_parts={
                "images": stored,
                "encoder": None if spec.images.encoding == "original" else encoder(),
                "layout": sizes,
            },
            label_parts={
                "facts": facts.digest,
                "annotation": _annotation(spec),
                "pairs": pairs_digest(facts.pairs),
                "sources": digest_of([row.source for row in facts.rows]),
                "layout": {**sizes, "source_digest": layout.source_digest},
            },
        )

    def images(self, shard: Shard, fetched: str | None = None) -> Key:
        """Return the key of the images of a shard; `fetched` is the digest of what came of its URLs."""
        came = {} if fetched is None else {"fetched": fetched}
        return Key(
            "images", IMAGES_FORMAT, {"rows": shard.image_rows, **came, **self.image_parts}, shard.hint
        )

    def labels(self, shard: Shard) -> Key:
        """Return the key of the labels of a shard."""
        own = {"rows": shard.label_rows, "images": shard.images}
        return Key("labels", LABELS_FORMAT, {**own, **self.label_parts})


def rows_key(spec: Spec, inputs: Inputs, facts: Facts, withdrawn: Withdrawals) -> Key:
    """Return the key of the rows of all shards."""
    placing = hashlib.sha256(facts.vocabulary.category_of.astype("<i4").tobytes())
    placing.update(np.packbits(facts.vocabulary.narrower).tobytes())
    times = hashlib.sha256()
    for item, position in zip(inputs.catalogs, facts.positions, strict=True):
        placing.update(position.astype("<i4").tobytes())
        for name in ("mtime", "ctime"):
            for chunk in item.images.chunks(name):
                times.update(chunk.to_numpy().astype("<i8", copy=False).data)
    parts = {
        "catalogs": {item.name: item.digest for item in inputs.catalogs},
        "order": [item.name for item in inputs.catalogs],
        "placing": placing.hexdigest(),
        "reasons": digest_of(reason_codes(spec, facts.vocabulary.placed)),
        "min_confidence": {name: source.min_confidence for name, source in spec.sources.items()},
        "splits": {name: source.split for name, source in spec.sources.items()},
        "validation": spec.split.validation,
        "unlabelled": spec.annotation.unlabelled,
        "images_per_shard": spec.dataset.images_per_shard,
    }
    if inputs.groups is not None:
        parts["groups"] = inputs.groups.digest
    if withdrawn.digest:
        parts["withdrawn"] = withdrawn.digest
    return Key("rows", ROWS_FORMAT, parts, hint=times.hexdigest()[:16])


def rules_key(facts: Facts) -> Key:
    """Return the key of the file that passes the hierarchy and the pairs to workers."""
    return Key("rules", RULES_FORMAT, {"facts": facts.digest})


def _annotation(spec: Spec) -> dict[str, Any]:
    """Return the rules of annotation that affect the labels of a shard, besides its rows and the facts."""
    rules = without_paths(spec.annotation)
    pairs = rules.pop("cooccurrence")
    del rules["unlabelled"]  # affects only which rows exist
    return {**rules, "add_to": pairs["add_to"] if pairs else None}
