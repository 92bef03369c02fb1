"""The nouns behind the categories of a dataset: all names of each, and what tells those of one name apart."""

from __future__ import annotations

from mlimg_build.dataset import Dataset
from mlimg_build.wordnet import NounGraph, load

__all__ = ["graph_of", "named_by_lemma", "sense_of"]


def graph_of(dataset: Dataset) -> NounGraph | None:
    """Return the noun graph of a dataset, None if it is not of the release that comes with mlimg, or of none."""
    told = dataset.attributes.get("wordnet")
    digest = told.get("digest") if isinstance(told, dict) else None
    return graph if digest is not None and (graph := load()).digest == digest else None


def named_by_lemma(dataset: Dataset, text: str) -> list[int]:
    """Return the categories that have a name among their lemmas, or have its singular, in WordNet's order of senses."""
    graph = graph_of(dataset)
    if graph is None:
        return []
    known = {wnid: number for number, wnid in enumerate(dataset.categories.wnid)}
    forms = dict.fromkeys((text, text.replace("-", " "), text.replace(" ", "-"), *graph.morphy(text)))
    senses = dict.fromkeys(wnid for form in forms for wnid in graph.senses(form))
    return [known[wnid] for wnid in senses if wnid in known]


def sense_of(dataset: Dataset, number: int, graph: NounGraph | None) -> str:
    """Return what a category is a kind of, in words, if its name has several senses; else "".

    >>> from types import SimpleNamespace
    >>> dataset = SimpleNamespace(categories=SimpleNamespace(wnid=["n02330245"], names=["mouse"]))
    >>> sense_of(dataset, 0, load())
    'a kind of rodent'
    """
    wnid, name = dataset.categories.wnid[number], dataset.categories.names[number]
    if graph is None or wnid not in graph or len(graph.senses(name)) < 2:
        return ""
    above = graph.ancestors(wnid)
    return f"a kind of {graph.name(above[0])}" if above else ""
