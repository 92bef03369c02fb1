"""What the small members of a sample state: labels, confidences, licence, author and split of its image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from mlimg_build.sources.protocol import Notes
from mlimg_build.sources.webdataset.json_fields import (
    ABSENT_FIELD,
    JsonError,
    label_of,
    parse_object,
    text_of,
    values_at,
)
from mlimg_build.spec import WebdatasetSource
from mlimg_build.text_limits import CELL, NAME, RIGHTS, SAMPLE_JSON, over

__all__ = ["CERTAIN", "DENIED", "Label", "LabelReader", "Rights"]

CERTAIN, DENIED = "1", "0"
SHOWN = 60  # characters of a value that is no label


class Label(NamedTuple):
    """A category as the sample names it, and its confidence as a text: `DENIED` is an absence."""

    category: str
    confidence: str


class Rights(NamedTuple):
    """What the JSON of a sample says besides labels; "" where it says nothing."""

    licence: str = ""
    author: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True)
class LabelReader:
    """Reads the members that a spec names; whatever it cannot read is noted at its member and costs only itself."""

    part: WebdatasetSource
    notes: Notes

    def holds_labels(self, extension: str) -> bool:
        """Return whether members of this extension hold the labels."""
        return extension == ("json" if self._labels_in_json else self.part.labels)

    def reads(self, extension: str) -> bool:
        """Return whether members of this extension are read."""
        return self.holds_labels(extension) or (extension == "json" and self.part.fields is not None)

    @property
    def _labels_in_json(self) -> bool:
        fields = self.part.fields
        return fields is not None and (fields.labels is not None or fields.absent is not None)

    @staticmethod
    def most(extension: str) -> int:
        """Return the most bytes that a member of this extension may have."""
        return SAMPLE_JSON if extension == "json" else CELL

    def text(self, data: bytes, where: str) -> list[Label]:
        """Return the labels in a text: one, or with a `separator` several."""
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            self.notes.add("not-utf-8", where)
            return []
        if "\0" in text:
            self.notes.add("zero-byte", where)
            return []
        given = [text] if self.part.separator is None else text.split(self.part.separator)
        labels = [label for one in given if (label := one.strip())]
        return [Label(label, CERTAIN) for label in labels if self._is_short(label, NAME, "a label", where)]

    def json(self, data: bytes, where: str) -> tuple[list[Label], Rights]:
        """Return the labels and the rights in a JSON."""
        fields = self.part.fields
        assert fields is not None  # noqa: S101  else no JSON is read
        try:
            found = parse_object(data)
            labels = [*self._present(found, where), *self._absent(found, where)]
            given = (fields.licence, fields.author, fields.split)
            rights = Rights(*("" if field is None else self._text(found, field, where) for field in given))
        except JsonError as error:
            self.notes.add("bad-json", f"{where}: {error}")
        except RecursionError:
            self.notes.add("bad-json", f"{where}: it is nested too deeply")
        else:
            return labels, rights
        return [], Rights()

    def _present(self, found: dict[str, Any], where: str) -> list[Label]:
        fields = self.part.fields
        if fields is None or fields.labels is None:
            return []
        values = values_at(found, fields.labels)
        if values is None:
            self.notes.add("field-missing", f"{where}: no field {fields.labels}")
            return []
        stated = [CERTAIN] * len(values)
        if fields.confidence is not None and values:
            weights = values_at(found, fields.confidence)
            if weights is None:
                self.notes.add("field-missing", f"{where}: no field {fields.confidence}")
                return []
            if len(weights) not in (1, len(values)):
                self.notes.add("confidence-count", f"{where}: {len(weights)} for {len(values)} labels")
                return []
            stated = [
                self._number(one)
                for one in (weights if len(weights) == len(values) else weights * len(values))
            ]
        return self._labels(values, stated, where)

    def _absent(self, found: dict[str, Any], where: str) -> list[Label]:
        fields = self.part.fields
        if fields is None or fields.absent is None:
            return []
        values = values_at(found, fields.absent)
        if values is None:
            self.notes.add("field-missing", f"{where}: no field {fields.absent}")
            return []
        return self._labels(values, [DENIED] * len(values), where)

    def _labels(self, values: list[Any], stated: list[str], where: str) -> list[Label]:
        labels = []
        for value, confidence in zip(values, stated, strict=True):
            label = label_of(value)
            if label is None and value is not None:
                shown = "an entry without the field" if value is ABSENT_FIELD else ascii(value)[:SHOWN]
                self.notes.add("bad-label", f"{where}: {shown}")
            elif label and self._is_short(label, NAME, "a label", where):
                labels.append(Label(label, confidence))
        return labels

    @staticmethod
    def _number(value: Any) -> str:
        """Return a number as it is written; text for whatever is none, which is noted as such later."""
        return text_of(value) or ascii(value)[:SHOWN]

    def _text(self, found: dict[str, Any], field: str, where: str) -> str:
        """Return the text of a field, several joined by commas; "" (the source's own) if there is none."""
        values = [text_of(value) for value in values_at(found, field) or [] if value is not None]
        if any(value is None for value in values):
            self.notes.add("field-unread", f"{where}: {field} is no text")
            return ""
        text = ", ".join(value for value in values if value)
        return text if self._is_short(text, RIGHTS, field, where) else ""

    def _is_short(self, text: str, most: int, what: str, where: str) -> bool:
        why = over(text, most)
        if why:
            self.notes.add("text-too-long", f"{where}: {what} has {why}")
        return not why
