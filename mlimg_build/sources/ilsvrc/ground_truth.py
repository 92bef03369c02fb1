"""Lists of the labels of ImageNet's validation images, in the forms in use, each line at its number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mlimg_build.errors import Place, Problem, SourceError
from mlimg_build.sources.ilsvrc.synset_tables import SynsetTable
from mlimg_build.sources.image_files import stem
from mlimg_build.sources.image_paths import composed
from mlimg_build.sources.lists.delimited import read_table
from mlimg_build.sources.lists.line_blocks import read_lines
from mlimg_build.sources.protocol import Notes
from mlimg_build.text_limits import ID, over

__all__ = ["GroundTruth", "Numbering", "Statement", "name_of"]

KAGGLE = ("ImageId", "PredictionString")
WNID = re.compile(r"n[0-9]{8}")
ONE = re.compile(r"-?[0-9]{1,9}")
BETWEEN = re.compile(r"[\s,;]+")
LAST_DIGITS = re.compile(r"(.*?)([0-9]{1,18})")
BOX = 5  # words of a box in a PredictionString: WordNet id, four coordinates
OF_DEVKIT = "meta.mat of the devkit or map_clsloc.txt"
OF_NUMBERS = "take the devkit's ILSVRC2012_validation_ground_truth.txt, or write an image and a WordNet id in each line"
OF_CAFFE = "synsets.txt or synset_words.txt of Caffe, or LOC_synset_mapping.txt of Kaggle"


class Statement(NamedTuple):
    """A line says that an image shows a synset."""

    image: str
    wnid: str
    line: int


def name_of(path: str) -> str:
    """Return the name of an image by its path in a list or a folder: the last part without its suffix.

    >>> name_of("val/ILSVRC2012_val_00000001.JPEG"), name_of("ILSVRC2012_val_00000001")
    ('ILSVRC2012_val_00000001', 'ILSVRC2012_val_00000001')
    """
    return stem(composed(path).replace("\\", "/").rsplit("/", 1)[-1])


class Numbering:
    """The images by the number at the end of their names, of which line i of a ground truth speaks."""

    def __init__(self, source: str, names: list[str]) -> None:
        self.source = source
        self.names: dict[int, str] = {}
        self.prefix, self.width = "ILSVRC2012_val_", 8
        for name in names:
            found = LAST_DIGITS.fullmatch(name)
            if found is None:
                continue
            if not self.names:
                self.prefix, self.width = found[1], len(found[2])
            other = self.names.setdefault(int(found[2]), name)
            if other != name:
                message = f"source {source}: {other} and {name} have the same number"
                hint = "a ground truth speaks of images by their numbers; move one of the two away"
                raise SourceError(Problem("ground-truth-number", message, hint=hint))

    def name(self, number: int) -> str:
        """Return the name of the image with a number, as it would be called if it is not there."""
        return self.names.get(number) or f"{self.prefix}{number:0{self.width}d}"

    def require_lines(self, path: Path, lines: int, empty: int = 0) -> None:
        """Raise `SourceError` if all lines may be shifted.

        So it is if an image has a number that no line can have, or if the last line is about an image behind all that
        there are and the line `empty` (0: none) is.
        """
        outside = [
            number
            for number in (max(self.names, default=1), min(self.names, default=1))
            if not 1 <= number <= lines
        ]
        if outside:
            image = self.names[outside[0]]
            message = f"source {self.source}: {path.name} has {lines:,} lines, and there is an image {image}"
            hint = "line i is about the image with the number i: get the list again, or move the image away"
            raise SourceError(Problem("ground-truth-short", message, hint=hint))
        if empty and self.names and lines > max(self.names):
            image = self.names[max(self.names)]
            message = f"line {lines} is about an image behind the last, {image}, and line {empty} is empty"
            hint = "line i is about the image with the number i: remove the line, or write - for no label"
            raise SourceError(Problem("ground-truth-short", message, Place(str(path), empty, 1), hint))


@dataclass(slots=True)
class GroundTruth:
    """A list of labels; `statements` yields what its lines say.

    Forms: bare numbers or bare WordNet ids (line i is about image i), an image and a number or a WordNet id, and
    Kaggle's CSV.
    What form it is says the first line that has one; lines of another are noted.
    """

    source: str
    path: Path
    table: SynsetTable | None
    notes: Notes
    lowest: int | None = field(default=None, init=False)
    highest: int = field(default=0, init=False)
    lines: int = field(default=0, init=False)
    empty: int = field(default=0, init=False)  # the first line without a word that has others behind it

    def statements(self, numbering: Numbering) -> Iterator[list[Statement]]:
        """Yield the statements in blocks. Raises `SourceError` if numbers cannot mean what the table says."""
        what = f"the labels of source {self.source}"
        if self._is_kaggle(what):
            for batch, numbers in read_table(self.path, what, self.notes, list(KAGGLE), ","):
                yield list(self._of_boxes(batch, numbers))
            return
        form = 0
        for lines, numbers in read_lines(self.path, what, self.notes):
            block: list[Statement] = []
            for text, line in zip(lines.to_pylist(), numbers.tolist(), strict=True):
                words = BETWEEN.split(text.strip())
                if words == [""]:
                    continue
                if not self.empty and line > self.lines + 1:
                    self.empty = self.lines + 1
                self.lines = line
                if not form and self._is_form(words):
                    form = len(words)
                if len(words) != form or not self._is_form(words):
                    self.notes.add("bad-label", f"{self.path.name}:{line}: {text[:60]!r}")
                    continue
                image = numbering.name(line) if form == 1 else name_of(words[0])
                wnid = self._wnid(words[-1], line, bare=form == 1)
                if why := over(image, ID):
                    self.notes.add("text-too-long", f"{self.path.name}:{line}: {why}")
                elif wnid is not None and image:
                    block.append(Statement(image, wnid, line))
            yield block
        if form == 1:
            numbering.require_lines(self.path, self.lines, self.empty)
        self._say_doubts(form)

    def _is_kaggle(self, what: str) -> bool:
        for lines, _ in read_lines(self.path, what, Notes()):
            if len(lines):
                return tuple(lines[0].as_py().strip().strip('"').replace('"', "").split(",")[:2]) == KAGGLE
        return False

    @staticmethod
    def _is_form(words: list[str]) -> bool:
        last = words[-1]
        return len(words) <= 2 and (ONE.fullmatch(last) is not None or WNID.fullmatch(last) is not None)

    def _wnid(self, word: str, line: int, *, bare: bool) -> str | None:
        """Return the synset that a word means, None (noted) for a number that is in no table."""
        if WNID.fullmatch(word):
            return word
        number, table = int(word), self.table
        if table is None:
            hint = f"`synsets: FILE`, {OF_DEVKIT if bare else OF_CAFFE}"
            raise self._refusal(
                "synsets-missing", "it has numbers, and no table says their synsets", line, hint
            )
        if bare and not table.of_devkit:
            message = f"it is numbered as the devkit does, and {table.file} is in another order"
            raise self._refusal("synsets-order", message, line, f"let `synsets` be {OF_DEVKIT}")
        self.lowest = number if self.lowest is None else min(self.lowest, number)
        self.highest = max(self.highest, number)
        wnid = table.wnids.get(number)
        if wnid is not None:
            return wnid
        if table.of_devkit and number == table.first - 1:
            begins = f"the numbers of {table.file} begin at {table.first}"
            message = f"it says {number}, and {begins}: it counts from {number}"
            hint = OF_NUMBERS if bare else f"let `synsets` be {OF_CAFFE}"
            raise self._refusal("index-base", message, line, hint)
        if not table.of_devkit and number == table.last + 1:
            message = (
                f"it says {number}, and {table.file} has {number:,} lines, counted from 0: it counts from 1"
            )
            raise self._refusal(
                "index-base", message, line, f"let `synsets` be {OF_DEVKIT}, if it numbers as that"
            )
        self.notes.add(
            "bad-label",
            f"{self.path.name}:{line}: {number} is not within {table.first} to {table.last} of {table.file}",
        )
        return None

    def _say_doubts(self, form: int) -> None:
        """Note numbers that would fit either way of counting."""
        table, lowest = self.table, self.lowest
        if table is None or lowest is None or form == 1:
            return
        either = self.highest < table.last if table.of_devkit else lowest > 0
        if either:
            counted = "as the devkit numbers synsets, from 1" if table.of_devkit else "as counted from 0"
            self.notes.add(
                "index-doubtful",
                f"{self.path.name}: its numbers are {lowest} to {self.highest}, and are taken {counted}",
            )

    def _of_boxes(self, batch: pa.RecordBatch, numbers: np.ndarray) -> Iterator[Statement]:
        for image, said, line in zip(
            *(column.to_pylist() for column in batch.columns), numbers.tolist(), strict=True
        ):
            name, words = name_of(image.strip()), said.split()
            wnids = list(dict.fromkeys(words[::BOX]))
            if why := over(name, ID):
                self.notes.add("text-too-long", f"{self.path.name}:{line}: {why}")
            elif not name:
                self.notes.add("row-without-image", f"{self.path.name}:{line}")
            elif not words:
                self.notes.add("row-without-label", f"{self.path.name}:{line}")
            elif len(words) % BOX or not all(WNID.fullmatch(wnid) for wnid in wnids):
                self.notes.add("bad-label", f"{self.path.name}:{line}: {said[:60]!r}")
            else:
                yield from (Statement(name, wnid, line) for wnid in wnids)

    def _refusal(self, code: str, message: str, line: int, hint: str) -> SourceError:
        return SourceError(
            Problem(code, f"{self.path.name}: {message}", Place(str(self.path), line, 1), hint)
        )
