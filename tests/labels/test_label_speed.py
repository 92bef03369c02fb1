"""How fast labels are worked out, over the DAG of the published categories."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from mlimg_build.labels import ABSENT, PRESENT, Named, Statements, decide, imply, resolve_contradictions
from mlimg_build.wordnet import NounGraph
from tests.support.label_world import Published

IMAGES, BLOCK = 40 * 4096, 4096


def block(rng: np.random.Generator, leaves: np.ndarray, categories: int) -> Statements:
    """A leaf present on every image, and something absent on one in a hundred."""
    few = BLOCK // 100
    category = np.concatenate([rng.choice(leaves, BLOCK), rng.integers(0, categories, few)])
    return Statements.of(
        np.concatenate([np.arange(BLOCK), rng.integers(0, BLOCK, few)]),
        category,
        np.repeat([PRESENT, ABSENT], [BLOCK, few]),
        np.ones(BLOCK + few),
        category,
        np.arange(BLOCK + few),
    )


@pytest.mark.bench
def test_a_core_labels_a_hundred_thousand_images_a_second(
    published: Published, capsys: pytest.CaptureFixture[str]
) -> None:
    dag = published.dag
    leaves = np.flatnonzero(np.diff(dag.down.indptr) == 0)
    rng = np.random.default_rng(0)
    blocks = [block(rng, leaves, len(dag)) for _ in range(IMAGES // BLOCK)]
    begin = time.perf_counter()
    labels = sum(len(imply(resolve_contradictions(said, dag, "prefer_verified")[0], dag)) for said in blocks)
    rate = IMAGES / (time.perf_counter() - begin)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{IMAGES} images settled and implied: {rate:,.0f}/s, {labels / IMAGES:.1f} labels an image\n"
        )
    assert rate > 100_000


@pytest.mark.bench
def test_ten_thousand_names_are_mapped_in_seconds(
    wordnet: NounGraph, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [wordnet.name(wnid) for wnid in wordnet.wnids[::16]]
    categories = [
        Named("names", str(i), f"{name} of sorts" if i % 3 else name) for i, name in enumerate(names)
    ]
    begin = time.perf_counter()
    decide([*categories, *(Named("more", row.id, row.name.title()) for row in categories)], wordnet)
    took = time.perf_counter() - begin
    with capsys.disabled():
        sys.stdout.write(f"\n{2 * len(categories)} names mapped in {took:.1f} s\n")
    assert took < 20


def test_categories_that_all_have_ids_need_no_landscape(
    wordnet: NounGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("mlimg_build.labels.mapping.senses.Landscape.of")
    categories = [Named("ids", wnid, "", wnid) for wnid in wordnet.wnids[:100]]
    assert {row.method for row in decide(categories, wordnet)} == {"same_id"}
