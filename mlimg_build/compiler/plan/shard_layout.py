"""The sizes of shards and chunks, as a spec sets them."""

from __future__ import annotations

from mlimg_build.dataset import Layout
from mlimg_build.spec import Spec

__all__ = ["layout_of"]


def layout_of(spec: Spec) -> Layout:
    """The layout of the dataset that a spec asks for."""
    return Layout(
        images_per_shard=spec.dataset.images_per_shard,
        chunk_bytes=spec.dataset.chunk_bytes,
        shard_bytes=spec.dataset.shard_bytes,
        source_digest=spec.images.encoding != "original",
    )
