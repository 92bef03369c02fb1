"""Check whether a sense fits the other categories: Labrador, a peninsula, among forty animals and things."""

from __future__ import annotations

import numpy as np

from mlimg_build.labels.mapping.calibration import company_of
from mlimg_build.labels.mapping.senses import Floats, Landscape, Senses
from mlimg_build.wordnet import NounGraph

__all__ = ["RARE", "Company"]

RARE = 0.5  # company below which the evidence mentions it


class Company:
    """Counts the single things (WordNet's instances) of each lexicographer's file among all categories.

    Classes of things fit any other category: an evening and a beach may occur among animals.
    """

    def __init__(
        self, senses: Senses, share: Floats, known: Floats, landscape: Landscape, graph: NounGraph
    ) -> None:
        file = graph.content.lexfiles.astype(np.int64)
        self.kind = np.where(landscape.instance, file, -1)[senses.node]
        self.senses, self.share = senses, share
        counted = np.array([not candidate.is_head for candidate in senses.found], dtype=bool)
        self.mass = np.where(counted, share, 0.0)
        files = int(file.max(initial=0)) + 1
        instances = np.bincount(file[landscape.instance], minlength=files)
        self.usual = instances / len(file)
        by_id = np.bincount(file[landscape.instance], known[landscape.instance], minlength=files)
        single = self.kind >= 0
        self.held = by_id + np.bincount(self.kind[single], self.mass[single], minlength=files)
        self.all = float(known.sum() + self.mass.sum())

    def of(self, candidate: int) -> float:
        """Return the company of a candidate, 1 for one that is a class or not alone; see `company_of`."""
        kind = int(self.kind[candidate])
        if kind < 0:
            return 1.0
        own = self.senses.owner == self.senses.owner[candidate]
        same = float(self.held[kind] - self.mass[own & (self.kind == kind)].sum())
        others = self.all - float(self.mass[own].sum())
        return company_of(max(same, 0.0), max(others, 0.0), float(self.usual[kind]))
