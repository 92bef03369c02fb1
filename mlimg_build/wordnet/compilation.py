"""Compile a noun graph from the WordNet database files with NLTK's reader."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from mlimg_build.errors import Problem, WordNetError
from mlimg_build.regular_files import open_regular
from mlimg_build.wordnet.content import RELATIONS, Content
from mlimg_build.wordnet.graph import NounGraph
from mlimg_build.wordnet.morphology import fold
from mlimg_build.wordnet.wnids import format_wnid

REQUIRED = ("data.noun", "index.noun", "noun.exc")

# lexnames(5WN): the files by number, each with its part of speech (1 noun, 2 verb, 3 adjective, 4 adverb).
_LEXNAMES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body "
    "noun.cognition noun.communication noun.event noun.feeling noun.food noun.group noun.location "
    "noun.motive noun.object noun.person noun.phenomenon noun.plant noun.possession noun.process "
    "noun.quantity noun.relation noun.shape noun.state noun.substance noun.time verb.body verb.change "
    "verb.cognition verb.communication verb.competition verb.consumption verb.contact verb.creation "
    "verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative verb.weather adj.ppl"
)
_PARTS = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}


def compile_corpus(directory: Path, release: str | None = None) -> NounGraph:
    """Return the noun graph of the WordNet database in `directory`.

    Takes the `wordnet` folder of NLTK's data or Debian's wordnet-base, whose missing `lexnames` is supplied.
    The release is read from the header of `data.noun` unless it is given. Two databases with the same nouns
    give the same digest, whatever the order of their pointers.

    Raises:
        WordNetError: "wordnet-missing" if a file is missing, "wordnet-damaged" if the database cannot be parsed.
    """
    missing = [name for name in REQUIRED if not (directory / name).is_file()]
    if missing:
        message = f"{directory} is no WordNet database: it lacks {', '.join(missing)}"
        hint = "give the folder that holds data.noun, such as corpora/wordnet of NLTK's data"
        raise WordNetError(Problem("wordnet-missing", message, hint=hint))
    try:
        with _reader(directory) as reader:
            release = release or reader.get_version()
            if release is None:
                message = f"{directory / 'data.noun'} does not say of which WordNet release it is"
                raise WordNetError(Problem("wordnet-damaged", message, hint="give the release"))
            return NounGraph(_content(release, reader, _exceptions(directory / "noun.exc")))
    except WordNetError:
        raise
    # NLTK raises whatever its parser meets, from AssertionError to its own class.
    except Exception as error:
        message = f"{directory} cannot be read as a WordNet database: {type(error).__name__}: {error}"
        hint = "copy the database again from where it came; the temporary folder needs 25 MB"
        raise WordNetError(Problem("wordnet-damaged", message, hint=hint)) from error


def read_glosses(directory: Path) -> dict[str, str]:
    """Return id → gloss of a WordNet database that `compile_corpus` takes: definition and examples as they stand there.

    Raises:
        WordNetError: "wordnet-damaged" if a line is no synset (wndb(5WN)).
    """
    found = {}
    with os.fdopen(open_regular(directory / "data.noun"), encoding="utf-8") as lines:
        try:
            for line in lines:
                if not line.startswith("  ") and (gloss := line.partition(" | ")[2].strip()):
                    found[format_wnid(int(line[:8]))] = gloss
        except ValueError as error:
            message = f"{directory / 'data.noun'} cannot be read as a WordNet database: {error}"
            hint = "copy the database again from where it came"
            raise WordNetError(Problem("wordnet-damaged", message, hint=hint)) from error
    return found


@contextmanager
def _reader(directory: Path) -> Iterator[Any]:
    """Yield NLTK's reader of a copy that holds the nouns alone; remove the copy afterwards.

    A copy, because NLTK reads only below its data path, and needs `lexnames` and the other parts of speech.
    """
    import nltk.data  # noqa: PLC0415 - takes 1.6 s, and only compiling needs it
    from nltk.corpus.reader.wordnet import WordNetCorpusReader  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="mlimg-wordnet-") as root:
        corpus = Path(root).resolve() / "corpora" / "wordnet"
        corpus.mkdir(parents=True)
        _stage(directory, corpus)
        opened = []

        class Reader(WordNetCorpusReader):  # type: ignore[misc]
            # NLTK leaves files open until its reader is collected.
            def open(self, file: str) -> Any:
                opened.append(super().open(file))
                return opened[-1]

        nltk.data.path.insert(0, str(corpus.parents[1]))
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="The multilingual functions are not available")
                reader = Reader(str(corpus), None)
            yield reader
        finally:
            nltk.data.path.remove(str(corpus.parents[1]))
            for stream in opened:
                stream.close()


def _stage(directory: Path, corpus: Path) -> None:
    for name in REQUIRED:
        os.close(open_regular(directory / name))  # a device would be copied for ever
        shutil.copyfile(directory / name, corpus / name)
    for name in ("adj.exc", "adv.exc", "verb.exc", "index.adj", "index.adv", "index.verb", "index.sense"):
        (corpus / name).touch()
    for name in ("data.adv", "data.verb"):
        (corpus / name).touch()
    # NLTK reads the release from the header of data.adj, which is that of data.noun.
    with (corpus / "data.noun").open(encoding="utf-8") as nouns:
        header = "".join(takewhile(lambda line: line.startswith("  "), nouns))
    (corpus / "data.adj").write_text(header, encoding="utf-8")
    if (directory / "lexnames").is_file():
        shutil.copyfile(directory / "lexnames", corpus / "lexnames")
    else:
        rows = (
            f"{i:02d}\t{name}\t{_PARTS[name.split('.')[0]]}\n" for i, name in enumerate(_LEXNAMES.split())
        )
        (corpus / "lexnames").write_text("".join(rows), encoding="utf-8")


def _exceptions(path: Path) -> dict[str, tuple[str, ...]]:
    """Return inflected form → base forms, sorted by form; a form on several lines has the bases of all."""
    bases: dict[str, dict[str, None]] = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        form, *found = line.split()
        bases[form].update(dict.fromkeys(found))
    return {form: tuple(bases[form]) for form in sorted(bases)}


def _content(release: str, reader: Any, exceptions: dict[str, tuple[str, ...]]) -> Content:
    synsets = sorted(reader.all_synsets("n"), key=lambda synset: int(synset.offset()))
    number = {synset.offset(): i for i, synset in enumerate(synsets)}
    lexnames = tuple(sorted({synset.lexname() for synset in synsets}))
    words = [(i, word) for i, synset in enumerate(synsets) for word in synset.lemma_names()]
    counts = [len(synset.lemma_names()) for synset in synsets]
    return Content(
        release=release,
        offsets=np.array([synset.offset() for synset in synsets], dtype=np.int32),
        lexfiles=np.array([lexnames.index(synset.lexname()) for synset in synsets], dtype=np.uint8),
        lexnames=lexnames,
        word_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        words=tuple(word for _, word in words),
        sense_order=_sense_order(words, reader, number),
        pairs={
            relation: _pairs([(i, number[parent.offset()]) for i, parent in _related(synsets, relation)])
            for relation in RELATIONS
        },
        exceptions=exceptions,
    )


def _related(synsets: list[Any], relation: str) -> Iterator[tuple[int, Any]]:
    for i, synset in enumerate(synsets):
        for parent in getattr(synset, f"{relation}s")():
            yield i, parent


def _pairs(edges: list[tuple[int, int]]) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    # NLTK keeps pointers in sets, so their order means nothing.
    return np.array(sorted(set(edges)), dtype=np.int32).reshape(-1, 2)


def _sense_order(
    words: list[tuple[int, str]], reader: Any, number: dict[int, int]
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Return the words sorted by folded lemma, then by sense number, int32[len(words)]."""
    holders: dict[str, set[int]] = defaultdict(set)
    for synset, word in words:
        holders[fold(word)].add(synset)
    # The index lists a lemma's senses in order; only a lookup by name ("dog.n.01") is exact in NLTK.
    rank = {
        (lemma, number[reader.synset(f"{lemma}.n.{sense:02d}").offset()]): sense
        for lemma, synsets in holders.items()
        for sense in range(1, len(synsets) + 1)
    }
    keys = [(fold(word), rank[fold(word), synset], i) for i, (synset, word) in enumerate(words)]
    return np.array([i for *_, i in sorted(keys)], dtype=np.int32)
