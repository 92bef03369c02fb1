"""WordNet, and the published categories as a DAG and as the tree of their file."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlimg_build.wordnet import NounGraph, load
from tests.support.label_world import Published


@pytest.fixture(scope="session")
def wordnet() -> NounGraph:
    return load()


@pytest.fixture(scope="session")
def above(wordnet: NounGraph) -> list[set[int]]:
    """The direct hypernyms and instance hypernyms of every synset."""
    found: list[set[int]] = [set() for _ in range(len(wordnet))]
    for relation in ("hypernym", "instance_hypernym"):
        for child, parent in wordnet.content.pairs[relation].tolist():
            found[child].add(parent)
    return found


@pytest.fixture(scope="session")
def published(shared_data: Path, wordnet: NounGraph) -> Published:
    return Published.read(shared_data / "ml-images", wordnet)
