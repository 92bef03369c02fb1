"""The nouns of one WordNet release as a graph: ids, lemmas, lookups and closures."""

from mlimg_build.wordnet.closure import find_cycle, transitive_closure
from mlimg_build.wordnet.compilation import compile_corpus, read_glosses
from mlimg_build.wordnet.content import RELATIONS
from mlimg_build.wordnet.glosses import Glosses, shipped_glosses
from mlimg_build.wordnet.graph import NounGraph, OwnNoun
from mlimg_build.wordnet.own_nouns import own_cycle, with_own
from mlimg_build.wordnet.storage import load, save, save_glosses

__all__ = [
    "RELATIONS",
    "Glosses",
    "NounGraph",
    "OwnNoun",
    "compile_corpus",
    "find_cycle",
    "load",
    "own_cycle",
    "read_glosses",
    "save",
    "save_glosses",
    "shipped_glosses",
    "transitive_closure",
    "with_own",
]
