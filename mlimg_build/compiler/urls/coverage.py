"""Count what came of the images at URLs: by source, state, category, domain and year; a dataset keeps the counts."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pyarrow.compute as pc

from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.row_files import statements_of
from mlimg_build.fetch.names.urls import domain_of
from mlimg_build.images import Status

__all__ = ["count_coverage"]

LEAST = 20  # images of a category that is listed
WORST = 20  # categories
DOMAINS = 10
YEAR = re.compile(r"/((?:19[89]|20[0-2])[0-9])(?=[/_-])")


def count_coverage(plan: Plan, store: Store) -> dict[str, Any] | None:
    """Return the counts of the built shards of a plan as JSON, None if no image of theirs lies at a URL.

    `sources`: source → state → images; `categories`: those of at least 20 images at URLs that lost the largest share,
    by what the sources state (not what follows from it), with images and lost ones; `domains`: the largest, with
    images and those that came; `years`: those that URLs name, likewise. Withdrawn images are counted as such, and not
    as lost by a category, as their labels are gone.
    """
    names = [catalog.name for catalog in plan.inputs.catalogs]
    sources: dict[str, Counter[str]] = {}
    domains: dict[str, Counter[str]] = {}
    years: dict[str, Counter[str]] = {}
    images, lost = (np.zeros(len(plan.facts.vocabulary), np.int64) for _ in range(2))
    for work in plan.work:
        batch = plan.rows.batch(work.shard)
        status = batch.column("status")
        path = batch.column("path")
        at_url = pc.or_(
            pc.equal(status, Status.not_fetched.name),
            pc.and_(pc.equal(status, Status.withdrawn.name), pc.match_substring(path, "://")),
        ).to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(at_url)
        if not len(rows):
            continue
        entry = store.entry(work.images)
        told = {one[0]: one[1] for one in entry["notes"]["failures"]} if entry else {}
        chosen = batch.select(["id", "path", "source"]).take(rows).to_pydict()
        gone = np.zeros(len(batch), np.bool_)
        for row, image, url, source in zip(rows.tolist(), *chosen.values(), strict=True):
            state = told.get(image, Status.ok.name)
            gone[row] = state != Status.ok.name
            sources.setdefault(names[source], Counter())[state] += 1
            for groups, key in ((domains, domain_of(url)), (years, _year(url))):
                if key:
                    groups.setdefault(key, Counter()).update(images=1, came=int(not gone[row]))
        said = statements_of(batch)
        pairs = np.unique(
            np.stack([said.image, said.category], 1)[(said.state > 0) & at_url[said.image]], axis=0
        )
        images += np.bincount(pairs[:, 1], minlength=len(images))
        lost += np.bincount(pairs[gone[pairs[:, 0]], 1], minlength=len(lost))
    if not sources:
        return None
    return {
        "sources": {name: dict(counts.most_common()) for name, counts in sources.items()},
        "categories": _worst(plan, images, lost),
        "domains": _largest(domains)[:DOMAINS],
        "domains_in_all": len(domains),
        "years": [[year, counts["images"], counts["came"]] for year, counts in sorted(years.items())],
    }


def _worst(plan: Plan, images: Any, lost: Any) -> list[list[Any]]:
    """Return [id, name, images, lost] of the categories that lost the largest share."""
    wnids = plan.facts.vocabulary.wnids
    listed: list[int] = np.flatnonzero((images >= LEAST) & (lost > 0)).tolist()
    listed.sort(key=lambda number: (-lost[number] / images[number], -lost[number], wnids[number]))
    return [
        [wnids[one], plan.graph.name(wnids[one]), int(images[one]), int(lost[one])] for one in listed[:WORST]
    ]


def _largest(groups: dict[str, Counter[str]]) -> list[list[Any]]:
    ordered = sorted(groups.items(), key=lambda item: (-item[1]["images"], item[0]))
    return [[name, counts["images"], counts["came"]] for name, counts in ordered]


def _year(url: str) -> str:
    """Return the year that a folder or a date in a URL names, "" if none or several do: some are sizes.

    >>> _year("https://a.example/photos/2014/05/1.jpg"), _year("https://a.example/2014-05-01/1.jpg")
    ('2014', '2014')
    >>> _year("https://a.example/1920x1080/2014.jpg"), _year("https://a.example/2000/2014/1.jpg")
    ('', '')
    """
    found = set(YEAR.findall(url))
    return found.pop() if len(found) == 1 else ""
