"""Count the images that a category and its parents have in common."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlimg_build.labels.hierarchy.hierarchy import Hierarchy
from mlimg_build.labels.hierarchy.sparse_rows import expand

__all__ = ["shared_images"]


def shared_images(
    hierarchy: Hierarchy, image: npt.NDArray[np.integer], category: npt.NDArray[np.integer]
) -> npt.NDArray[np.int64]:
    """Count the images that have both ends of each edge of `hierarchy.parents`; int64[edges], in its order.

    `image[i]` has `category[i]`, each pair at most once. The counts of blocks of whole images add up. If presence
    implies every ancestor, this is the count of the child, and need not be computed.
    """
    n = np.int64(max(len(hierarchy), 1))
    carried = np.sort(image * n + category)
    up = expand(hierarchy.parents, category.astype(np.int32))
    wanted = image[up.origin] * n + up.category
    at = np.searchsorted(carried, wanted).clip(max=max(len(carried) - 1, 0))
    both = carried[at] == wanted
    child = np.repeat(np.arange(len(hierarchy)), np.diff(hierarchy.parents.indptr))
    edges = child * n + hierarchy.parents.indices  # ascending, as its indices are sorted
    edge = np.searchsorted(edges, category[up.origin[both]] * n + up.category[both])
    return np.bincount(edge, minlength=len(edges)).astype(np.int64)
