from pathlib import Path

import pytest

from mlimg_build.wordnet import NounGraph, load


@pytest.fixture(scope="session")
def wordnet() -> NounGraph:
    return load()


@pytest.fixture(scope="session")
def published() -> list[tuple[str, str]]:
    """(WordNet id, names) of the 11,166 published ML-Images categories."""
    path = Path(__file__).resolve().parents[3] / "shared/data/ml-images/dictionary_and_semantic_hierarchy.txt"
    if not path.is_file():
        pytest.skip("the published ML-Images dictionary is not beside this checkout (../shared/data)")
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return [(wnid, names) for _, wnid, _, names in rows]
