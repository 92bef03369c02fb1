"""The content of a noun graph: its columns, their digest, and the invariants that they must satisfy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlimg_build.wordnet.wnids import FIRST_OWN

FORMAT = 1

Number = TypeVar("Number", bound=np.generic)

RELATIONS = ("hypernym", "instance_hypernym", "part_holonym", "member_holonym", "substance_holonym")


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The columns of a noun graph. Synsets are numbered by ascending id, words are listed synset by synset."""

    release: str
    offsets: NDArray[np.int32]  # [synset], ascending
    lexfiles: NDArray[np.uint8]  # [synset], an index into lexnames
    lexnames: tuple[str, ...]
    word_start: NDArray[np.int32]  # [synset + 1]: the words of synset i are words[start[i]:start[i + 1]]
    words: tuple[str, ...]  # [word], WordNet's spelling
    sense_order: NDArray[np.int32]  # [word]: the words sorted by folded lemma, then by sense number
    pairs: Mapping[str, NDArray[np.int32]]  # relation → [edge, 2]: (child, parent) or (part, whole), sorted
    exceptions: Mapping[str, tuple[str, ...]]  # inflected form → base forms, sorted by form

    def __post_init__(self) -> None:
        columns: list[NDArray[Any]] = [self.offsets, self.lexfiles, self.word_start, self.sense_order]
        for column in (*columns, *self.pairs.values()):
            column.setflags(write=False)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return every column but the release as an array, text as UTF-8 bytes with one item per line."""
        return {
            "exceptions": _text([" ".join((form, *bases)) for form, bases in self.exceptions.items()]),
            "lexfiles": self.lexfiles,
            "lexnames": _text(self.lexnames),
            "offsets": self.offsets,
            **{f"pairs_{relation}": self.pairs[relation] for relation in RELATIONS},
            "sense_order": self.sense_order,
            "word_start": self.word_start,
            "words": _text(self.words),
        }

    @classmethod
    def from_arrays(cls, release: str, arrays: Mapping[str, NDArray[np.generic]]) -> Content:
        """Return the inverse of `arrays`. Raises `KeyError`, `ValueError` or `TypeError` if the arrays do not fit."""
        exceptions = (line.split(" ") for line in _lines(arrays["exceptions"]))
        return cls(
            release=release,
            offsets=_column(arrays["offsets"], np.int32, 1),
            lexfiles=_column(arrays["lexfiles"], np.uint8, 1),
            lexnames=_lines(arrays["lexnames"]),
            word_start=_column(arrays["word_start"], np.int32, 1),
            words=_lines(arrays["words"]),
            sense_order=_column(arrays["sense_order"], np.int32, 1),
            pairs={relation: _column(arrays[f"pairs_{relation}"], np.int32, 2) for relation in RELATIONS},
            exceptions={form: tuple(bases) for form, *bases in exceptions},
        )

    def digest(self) -> str:
        """Return the sha256, in hex, of the release and every column: name, type and shape as JSON, then its bytes."""
        total = hashlib.sha256(_json({"format": FORMAT, "release": self.release}))
        for name, array in sorted(self.arrays().items()):
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            total.update(_json({"name": name, "type": little.dtype.str, "shape": little.shape}))
            total.update(little.data)
        return total.hexdigest()

    def flaw(self, own: int = 0) -> str | None:
        """Return in words the first invariant of a noun graph that these columns violate; None if there is none.

        The last `own` nodes are no synsets, and have offsets from `FIRST_OWN` on.
        """
        n, words = len(self.offsets), len(self.words)
        if n == 0:
            return "it holds no synset"
        synsets, added = self.offsets[: n - own], self.offsets[n - own :]
        if not np.array_equal(added, FIRST_OWN + np.arange(own)) or (synsets >= FIRST_OWN).any():
            return "its ids do not rise"
        if self.offsets[0] < 0 or (np.diff(self.offsets) <= 0).any():
            return "its ids do not rise"
        if len(self.lexfiles) != n or int(self.lexfiles.max()) >= len(self.lexnames):
            return "a synset has no lexicographer file"
        start = self.word_start
        if len(start) != n + 1 or start[0] != 0 or start[-1] != words or (np.diff(start) <= 0).any():
            return "a synset has no lemma"
        if not np.array_equal(np.sort(self.sense_order), np.arange(words)):
            return "a lemma is missing from the index of senses"
        for relation, pairs in self.pairs.items():
            if pairs.shape[1:] != (2,) or (pairs.size and (pairs.min() < 0 or pairs.max() >= n)):
                return f"a {relation} leads to no synset"
            if (np.diff(pairs[:, 0].astype(np.int64) * n + pairs[:, 1]) <= 0).any():
                return f"the {relation} edges are not sorted"
        return None


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _text(lines: Sequence[str]) -> NDArray[np.generic]:
    return np.frombuffer("\n".join(lines).encode(), dtype=np.uint8)


def _lines(text: NDArray[np.generic]) -> tuple[str, ...]:
    data = _column(text, np.uint8, 1).tobytes()
    return tuple(data.decode().split("\n")) if data else ()


def _column(array: NDArray[np.generic], dtype: type[Number], dimensions: int) -> NDArray[Number]:
    if array.dtype != dtype or array.ndim != dimensions:
        raise ValueError(f"a column is {array.dtype}[{array.ndim}d], not {dtype.__name__}[{dimensions}d]")
    column: NDArray[Number] = np.array(array, dtype=dtype, order="C")
    column.flags.writeable = False  # one graph serves whoever asks for it
    return column
