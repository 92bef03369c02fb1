"""The nouns that are spelt nearly like a name: found by letters first, then by edit distance."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import OSA

from mlimg_build.wordnet.graph import NounGraph

__all__ = ["LONGEST", "SHORTEST", "Near", "NearLemmas", "most_edits"]

SHORTEST, LONGEST = 4, 40
"""The letters of a text that has near lemmas: nearly every lemma is near a shorter one, a longer one is a sentence."""

_SILENT = re.compile(r"[aeiouyh '-]|(.)(?=\1)")
"""What is left out of the sound of a word: vowels, the h that is not heard, and the first of two equal letters."""

_SOUNDS = str.maketrans("kqzxv", "ccssf")


class Near(NamedTuple):
    """A folded lemma, with spaces, the edits to it, and whether it begins and sounds alike."""

    lemma: str
    edits: int
    first: bool  # whether the first letters sound alike
    alike: bool  # whether they differ in vowels, doubled letters, and letters that sound alike only


def most_edits(letters: int) -> int:
    """Return how many edits away a lemma may be from a text of so many letters.

    >>> [most_edits(letters) for letters in (4, 5, 12, 13)]
    [1, 2, 2, 3]
    """
    return 1 if letters < 5 else 2 if letters < 13 else 3


@dataclass(frozen=True, slots=True)
class NearLemmas:
    """The lemmas of a noun graph that have no digit, sorted by length, and the letters of each as bits."""

    lemmas: tuple[str, ...]
    letters: npt.NDArray[np.uint64]  # [lemma]: see `_letters`
    start: npt.NDArray[np.int64]  # [length + 1]: the lemmas of length n are start[n]:start[n + 1]

    @classmethod
    @lru_cache(maxsize=1)
    def of(cls, graph: NounGraph) -> NearLemmas:
        """Return the lemmas of a graph; takes about a second, once for each graph."""
        folded = {word.lower().replace("_", " ") for word in graph.content.words}
        kept = [lemma for lemma in folded if not any(letter.isdigit() for letter in lemma)]
        kept.sort(key=lambda lemma: (len(lemma), lemma))
        length = np.array([len(lemma) for lemma in kept])
        start = np.searchsorted(length, np.arange(LONGEST + 8)).astype(np.int64)
        return cls(tuple(kept), _letters(kept), start)

    def near(self, texts: Sequence[str]) -> list[list[Near]]:
        """Return the lemmas near each lower-case text, those of fewest edits first, then in alphabetical order.

        Edits are letters put in, left out, exchanged, or two neighbours in the wrong order (optimal string alignment).
        One edit changes the letters that occur by one each way at most, which leaves out nearly all lemmas before any
        distance is computed. A text with a digit has none: 737 is no misspelt 747.
        """
        return [
            self._near(text, own)
            if SHORTEST <= len(text) <= LONGEST and not any(letter.isdigit() for letter in text)
            else []
            for text, own in zip(texts, _letters(texts), strict=True)
        ]

    def _near(self, text: str, own: np.uint64) -> list[Near]:
        most = most_edits(len(text))
        low, high = self.start[len(text) - most], self.start[len(text) + most + 1]
        others = self.letters[low:high]
        fits = (np.bitwise_count(others & ~own) <= most) & (np.bitwise_count(own & ~others) <= most)
        at = (np.flatnonzero(fits) + low).tolist()
        if not at:
            return []
        row = process.cdist([text], [self.lemmas[i] for i in at], scorer=OSA.distance, score_cutoff=most)[0]
        skeleton = _skeleton(text)
        found = []
        for i, edits in zip(at, row.tolist(), strict=True):
            if 0 < edits <= most:
                lemma = self.lemmas[i]
                sound = _skeleton(lemma)
                found.append(Near(lemma, int(edits), sound[:1] == skeleton[:1], sound == skeleton))
        return sorted(found, key=lambda one: (one.edits, one.lemma))


def _letters(texts: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return uint64[text]: bit i where the i-th letter of the alphabet occurs, bit 32 + i where it occurs twice.

    >>> [f"{int(bits):x}" for bits in _letters(["ada", "b é", ""])]
    ['100000009', '2', '0']
    """
    lines = "".join(f"{' '.join(text.splitlines())}\n" for text in texts)
    codes = np.frombuffer(lines.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
    owner = np.cumsum(codes == ord("\n")) - (codes == ord("\n"))
    letter = codes - ord("a")
    plain = (letter >= 0) & (letter < 26)
    counts = np.bincount(owner[plain] * 26 + letter[plain], minlength=len(texts) * 26).reshape(-1, 26)
    place = np.uint64(1) << np.arange(26, dtype=np.uint64)
    once, twice = ((counts >= least).astype(np.uint64) @ place for least in (1, 2))
    bits: npt.NDArray[np.uint64] = once | twice << np.uint64(32)
    return bits


def _skeleton(text: str) -> str:
    """Return what a text sounds like: without vowels, spaces and doubled letters, one letter for those alike.

    >>> [_skeleton(text) for text in ("umbrela", "umbrella", "elefant", "elephant", "crane")]
    ['umbrl', 'umbrl', 'elfnt', 'elfnt', 'crn']
    """
    same = text.replace("ph", "f").translate(_SOUNDS)
    return same[:1] + _SILENT.sub("", same[1:])
