"""What `mlimg lock` says of the lock that it wrote."""

from __future__ import annotations

from mlimg_build.quantities import counted

from .build_log import say

__all__ = ["show_unproved"]


def show_unproved(unbuilt: int, shards: int) -> None:
    """Print how many shards have no digest of their images; nothing if all have one."""
    if unbuilt:
        of = f"{unbuilt:,} of {counted(shards, 'shard')}"
        say(
            f"{of} have no digest, as their images are not built here: another build of them cannot be proved"
        )
