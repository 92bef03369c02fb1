"""Derive the sizes of shards and chunks from a spec."""

from __future__ import annotations

from mlimg_build.dataset import Layout
from mlimg_build.spec import Spec

__all__ = ["layout_of"]


def layout_of(spec: Spec) -> Layout:
    """Return the dataset layout that a spec sets."""
    return Layout(
        images_per_shard=spec.dataset.images_per_shard,
        chunk_bytes=spec.dataset.chunk_bytes,
        shard_bytes=spec.dataset.shard_bytes,
        source_digest=spec.images.encoding != "original",
    )
