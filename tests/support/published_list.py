"""Lists in the published form, `path-or-URL<TAB>index:confidence…`, of any length: paths of ImageNet and URLs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mlimg_build.sources import read_dictionary

__all__ = ["write_list"]

SEED, BLOCK = 1, 100_000
IMAGENET = 0.61  # share of the rows that are ImageNet's, as published
SECOND = 0.13  # of the rows with a second label, so that a row has 8.8 labels with their ancestors
CERTAIN = 0.6


def write_list(path: Path, rows: int, dictionary: Path) -> None:
    """Writes a list whose labels are drawn from the dictionary, each with its ancestors."""
    read = read_dictionary(dictionary)
    chains = []
    for index, parent in enumerate(read.parents):
        chain, above = [index], parent
        while above >= 0 and above not in chain:
            chain.append(above)
            above = read.parents[above]
        chains.append(chain)
    random = np.random.default_rng(SEED)
    share = 1 / (np.arange(len(chains)) + 30.0)
    order = random.permutation(len(chains))
    with path.open("w") as stream:
        for start in range(0, rows, BLOCK):
            count = min(BLOCK, rows - start)
            labels = order[random.choice(len(chains), size=(count, 2), p=share / share.sum())].tolist()
            several = (random.random(count) < SECOND).tolist()
            certainty = random.random((count, 2)).tolist()
            archive = (random.random(count) < IMAGENET).tolist()
            number = random.integers(0, 10**11, count).tolist()
            for i in range(count):
                stated: dict[int, float] = {}
                for label, sure in list(zip(labels[i], certainty[i], strict=True))[: 1 + several[i]]:
                    for category in chains[label]:
                        stated.setdefault(category, 1 if sure < CERTAIN else round(0.8 + 0.2 * sure, 2))
                wnid, one = read.wnids[labels[i][0]], number[i]
                place = (
                    f"{wnid}/{wnid}_{start + i}.JPEG"
                    if archive[i]
                    else f"https://c{one % 8}.staticflickr.com/{one % 9}/{one % 9999}/{one}_{start + i:010x}_o.jpg"
                )
                stream.write("\t".join([place, *(f"{key}:{value}" for key, value in stated.items())]) + "\n")
