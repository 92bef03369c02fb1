"""Images that show what a network gets right and what it gets wrong, as an evaluation keeps them for the report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from mlimg_build.training.evaluate.category_tree import CategoryTree

__all__ = ["by_image", "example_images"]

EACH = 6  # images of either kind
LABELS = 6  # of an image, of either kind
BLOCK = 256  # images looked at a time

Entries = tuple[NDArray[np.int64], NDArray[np.float32]]


def example_images(
    scores: NDArray[np.float32],
    entries: Callable[[int], Entries],
    tree: CategoryTree,
    threshold: float,
    positive_threshold: float,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the images with the lowest F1 of their labels, and others drawn from the better half, as plain JSON types.

    `scores` is float32[images, categories], logits; `entries(image)` gives the categories and targets of its known
    labels, `names[image]` is its id. Categories that nearly every image shows do not count. Each image has `image` (its
    position), `id`, `f1`, `given` (the most specific labels that score `threshold` or more: category, score, and the
    state "present", "absent" or "unknown") and `missed` (the most specific present ones that score less). Images
    without a present label are left out.
    """
    telling = ~tree.left_out
    limit = logit(threshold)
    f1 = np.full(len(scores), np.nan)
    for start in range(0, len(scores), BLOCK):
        given = (scores[start : start + BLOCK] >= limit) & telling
        present = np.zeros_like(given)
        for i in range(len(given)):
            category, target = entries(start + i)
            present[i, category[target >= positive_threshold]] = True
        present &= telling
        counted = present.any(axis=1)
        hits = (given & present).sum(axis=1)
        whole = given.sum(axis=1) + present.sum(axis=1)
        f1[start : start + len(given)][counted] = 2 * hits[counted] / whole[counted]
    mixed = {image: _mixed(names[image]) for image in np.flatnonzero(~np.isnan(f1)).tolist()}
    order = sorted(mixed, key=lambda image: (f1[image], mixed[image]))
    worst = order[: min(EACH, len(order) // 2)]
    best = sorted(order[len(order) // 2 :], key=mixed.__getitem__)[:EACH]
    return [
        _told(image, scores[image], entries(image), tree, threshold, positive_threshold)
        | {"id": names[image], "f1": float(f1[image])}
        for image in [*best, *worst]
    ]


def _told(
    image: int,
    logits: NDArray[np.float32],
    entries: Entries,
    tree: CategoryTree,
    threshold: float,
    positive_threshold: float,
) -> dict[str, Any]:
    category, target = entries
    scores = expit(logits.astype(np.float64))
    states = {
        int(number): "present" if value >= positive_threshold else "absent" if value == 0 else "unknown"
        for number, value in zip(category, target, strict=True)
    }
    given = tree.printed(scores, threshold, None, LABELS)
    leaves = [path[0][0] for path in given.paths] if given.reached else []
    present = np.zeros(len(scores))
    present[[number for number, state in states.items() if state == "present"]] = 1
    meant = tree.printed(present, 1.0, None, len(scores))
    missed = [path[0][0] for path in meant.paths if meant.reached and scores[path[0][0]] < threshold]
    return {
        "image": image,
        "given": [
            {"category": number, "score": float(scores[number]), "state": states.get(number, "unknown")}
            for number in leaves
        ],
        "missed": [{"category": number, "score": float(scores[number])} for number in missed[:LABELS]],
    }


def _mixed(name: str) -> bytes:
    return hashlib.sha256(name.encode(errors="backslashreplace")).digest()


def by_image(
    images: int,
    image: Sequence[int] | NDArray[np.int64],
    category: NDArray[np.int64],
    target: NDArray[np.float32],
) -> Callable[[int], Entries]:
    """Return a function that gives the categories and targets of one image out of the entries of all."""
    order = np.argsort(image, kind="stable")
    bounds = np.searchsorted(np.asarray(image)[order], np.arange(images + 1))

    def of(number: int) -> Entries:
        chosen = order[bounds[number] : bounds[number + 1]]
        return category[chosen], target[chosen]

    return of
