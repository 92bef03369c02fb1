"""Find categories of a dataset by name, and the lines of its spec that state rules and mappings."""

from __future__ import annotations

from mlimg_build.category_ids import OWN, folded_id, is_own
from mlimg_build.dataset import Dataset
from mlimg_build.dataset.read.records import Mapped
from mlimg_build.errors import DatasetError, Problem
from mlimg_build.explain.category_senses import named_by_lemma
from mlimg_build.spec import nearest
from mlimg_build.spec.document import Document
from mlimg_build.spec.yaml.reader import read_document

__all__ = ["METHOD_TEXT", "STATES", "SpecLocations", "categories_named", "statement_text"]

STATES = {1: "present", -1: "absent"}
METHOD_TEXT = {
    "same_id": "the source gives the WordNet id",
    "file": "decided in the mapping file",
    "synonym": "by its name, that of a category which is here by its id",
    "lemma": "by its name",
    "head": "by the head word of its name",
    "own": "by its name, that of an own category",
    "flat": "by its name, as the source has it",
}
METHOD_PLACE: dict[str, tuple[str | int, ...]] = {
    "same_id": ("vocabulary", "merge"),
    "file": ("vocabulary", "mapping", "file"),
    "synonym": ("vocabulary", "merge"),
    "lemma": ("vocabulary", "mapping"),
    "head": ("vocabulary", "mapping", "is_a"),
}
RULE_PLACE: dict[str, tuple[str | int, ...]] = {
    "ancestors": ("annotation", "positives"),
    "descendants": ("annotation", "negatives"),
    "cooccurrence": ("annotation", "cooccurrence"),
    "cooccurrence_ancestors": ("annotation", "positives"),
}


class SpecLocations:
    """The lines of the spec that a dataset was built from."""

    def __init__(self, dataset: Dataset) -> None:
        text, file = dataset.attributes_of_build("spec", "spec_file")
        self.document: Document = read_document(text, file)

    def of(self, *path: str | int) -> str:
        """Return the line of a key of the spec; for a key that the spec does not write, its name and "by default"."""
        place = self.document.key_place(path)
        written = path in self.document.keys
        return (
            f"{place.file}:{place.line}"
            if written
            else f"{place.file}, {'.'.join(map(str, path))} by default"
        )

    def of_method(self, method: str, wnid: str = "") -> str:
        """Return the line of the spec for a method of mapping, by which something became `wnid`."""
        if method == "own":
            return self.of_own(wnid)
        return self.of(*METHOD_PLACE.get(method, ("vocabulary", "mapping")))

    def of_own(self, wnid: str) -> str:
        """Return the line that declares an own category: its key, that of the CSV, or of a flat vocabulary."""
        vocabulary = self.document.data.get("vocabulary")
        part = vocabulary if isinstance(vocabulary, dict) else {}
        if part.get("kind") == "flat":
            return self.of("vocabulary", "kind")
        own = part.get("own")
        for key in own if isinstance(own, dict) else ():
            if folded_id(f"{OWN}{key[len(OWN) :] if is_own(key) else key}") == wnid:
                return self.of("vocabulary", "own", key)
        return self.of("vocabulary", "own")

    def of_rule(self, rule: str, state: int, source: str) -> str:
        """Return the line of the rule that adds labels; for a statement, that of its source."""
        return self.of(*RULE_PLACE.get(rule, ("sources", source)))


def categories_named(dataset: Dataset, text: str) -> list[int]:
    """Return the categories of an id or a name, which several may share. Raises `DatasetError` if there is none.

    A name is that of a category itself, else one of its other names in WordNet.
    """
    categories = dataset.categories
    if (wnid := folded_id(text)) in categories.wnid:
        return [categories.index(wnid)]
    wanted = text.casefold().replace("_", " ")
    found = [i for i, name in enumerate(categories.names) if name.casefold() == wanted]
    found = found or named_by_lemma(dataset, " ".join(wanted.split()))
    if not found:
        near = nearest(wanted, categories.names)
        hint = f'did you mean "{near}"?' if near else "`categories.csv` in the lock lists the categories"
        raise DatasetError(Problem("category-unknown", f"no category is called {text!r}", hint=hint))
    return found


def statement_text(dataset: Dataset, row: Mapped) -> str:
    """Return how a source category was mapped to its category, in one sentence."""
    name = f" {row.name!r}" if row.name and row.name != row.id else ""
    categories = dataset.categories
    wnid = categories.wnid[row.category]
    category = f"{categories.names[row.category]} {wnid}"
    evidence = f"; {row.evidence}" if row.evidence else ""
    certain = "" if row.method in ("same_id", "file", "own") else f" ({row.score:.2f})"
    flat = row.method == "own" and "wordnet" not in dataset.attributes
    how = METHOD_TEXT["flat" if flat else row.method]
    moved = row.synset != row.joined or row.joined != wnid
    verb = "goes into" if moved else "is a kind of" if row.narrower else "is"
    return f"{row.id}{name} {verb} {category}: {how}{certain}{evidence}"
