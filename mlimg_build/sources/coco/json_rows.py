"""Read the rows of a COCO JSON, the objects in its lists, with the fields that are asked for and no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.coco.json_events import DEEPEST, Event, json_events, too_deep

__all__ = ["LISTED", "NESTED", "Row", "json_rows", "no_coco"]

LISTED = 1 << 16  # values of a list in a row that are read


class _Nested:
    """Stands for a list or an object where a plain value is read."""

    def __repr__(self) -> str:
        return "a list or an object"


NESTED: Final = _Nested()
FIELDS = {
    "licenses": ("id", "name", "url"),
    "categories": ("id", "name", "supercategory", "synset", "keypoints"),
    "images": ("id", "file_name", "coco_url", "flickr_url", "license"),
    "annotations": ("image_id", "category_id", "score", "caption", "segments_info"),
}
LISTS = {
    "licenses": (),
    "categories": (),
    "images": ("neg_category_ids", "not_exhaustive_category_ids"),
    "annotations": ("bbox",),
}
STARTS, ENDS = frozenset({"start_map", "start_array"}), frozenset({"end_map", "end_array"})
MOVES = STARTS | ENDS
RESULTS = "a list, such as the results of a detector (COCO's results format)"
SHAPE = "expected COCO's instances: an object with the lists `images`, `annotations` and `categories`"


class Row(NamedTuple):
    """One entry of a list: its number from 0, its fields (None if it is no object), and a field that it has twice.

    A field of `LISTS` is a list of at most `LISTED` + 1 plain values, any other one value; `NESTED` stands for a list
    or an object inside.
    """

    section: str
    number: int
    values: dict[str, Any] | None
    twice: str


def no_coco(path: Path, what: str, why: str, hint: str = SHAPE) -> SourceError:
    """Return the error for a JSON that is none of COCO's instances."""
    return SourceError(
        Problem("coco-shape", f"{what} is no COCO JSON of instances: {why}: {path}", hint=hint)
    )


def json_rows(path: Path, what: str, sections: Sequence[str] = tuple(FIELDS)) -> Iterator[list[Row]]:
    """Yield the rows of some lists of a COCO JSON, in the order of the file, some at a time.

    Raises:
        SourceError: those of `json_events`; `coco-shape` if it is no object or a list of it is none or is there twice.
    """
    parser = _Parser(path, what, sections)
    for events in json_events(path, what):
        if rows := parser.rows_of(events):
            yield rows
    parser.require_lists()


class _Parser:
    """The state between two events: how deep they are, in which list, row and field."""

    def __init__(self, path: Path, what: str, sections: Sequence[str]) -> None:
        self.path, self.what, self.sections = path, what, sections
        self.seen: set[str] = set()
        self.depth = 0
        self.name = ""  # the key at the top
        self.section = ""  # the same while its list is read, if that is wanted
        self.fields: tuple[str, ...] = ()
        self.lists: tuple[str, ...] = ()
        self.number = 0
        self.rows: list[Row] = []
        self.row: dict[str, Any] | None = None
        self.key = self.twice = ""
        self.values: list[Any] | None = None  # of the field, if it is one of `LISTS`
        self.skipping = False  # what comes next is in a list or a field that nobody asks for

    def rows_of(self, events: Sequence[Event]) -> list[Row]:
        """Take some events; return the rows that end in them."""
        self.rows = []
        skipping = self.skipping
        for event, value in events:
            if skipping and event not in MOVES:  # nine of ten events: numbers of polygons
                continue
            if self.depth > 3:
                self._in_value(event, value)
            elif self.depth == 3 and self.section:
                self._in_row(event, value)
            elif self.depth == 2 and self.section:
                self._in_list(event)
            else:
                self._around(event, value)
            skipping = self.skipping
        return self.rows

    def require_lists(self) -> None:
        """Raise `coco-shape` unless the file had all lists that it must have."""
        lacking = [name for name in ("images", "annotations", "categories") if name not in self.seen]
        if lacking == ["categories"]:
            hint = "give the instances of these images"
            raise no_coco(self.path, self.what, "it has no `categories`, as a file of captions", hint)
        if lacking == ["annotations"]:
            hint = "an image list of a test set has no labels; leave it out"
            raise no_coco(self.path, self.what, "it has no `annotations`", hint)
        if lacking:
            raise no_coco(self.path, self.what, f"it has no {' and no '.join(f'`{one}`' for one in lacking)}")

    def _in_value(self, event: str, value: Any) -> None:
        """Take an event of a list or an object that is the value of a field."""
        values = self.values if self.depth == 4 else None
        if event in STARTS:
            if values is not None and len(values) <= LISTED:
                values.append(NESTED)
            self._enter()
        elif event in ENDS:
            self.depth -= 1
            if self.depth == 3:
                self.values, self.skipping = None, not self.section
        elif values is not None and len(values) <= LISTED:
            values.append(value)

    def _in_row(self, event: str, value: Any) -> None:
        row, key = self.row, self.key
        if event == "map_key":
            self.key = value
            if row is not None and value in row:
                self.twice = value
        elif event in ENDS:
            self.depth = 2
            self.rows.append(Row(self.section, self.number, row, self.twice))
            self.number += 1
        elif event in STARTS:
            self.depth = 4
            if row is not None and key in self.lists and event == "start_array":
                self.values = row[key] = []
            elif row is not None and (key in self.fields or key in self.lists):
                row[key] = NESTED
            self.skipping = self.values is None
        elif row is not None and (key in self.fields or key in self.lists):
            row[key] = value

    def _in_list(self, event: str) -> None:
        if event in ENDS:
            self.depth, self.section = 1, ""
        elif event in STARTS:
            self.depth = 3
            self.row, self.key, self.twice = ({} if event == "start_map" else None), "", ""
        else:
            self.rows.append(Row(self.section, self.number, None, ""))
            self.number += 1

    def _around(self, event: str, value: Any) -> None:
        """Take an event at the top, or in a list that is not wanted."""
        top, name = self.depth == 1, self.name
        if event in ENDS:
            self.depth -= 1
            self.skipping = self.depth > 1
        elif event in STARTS:
            if self.depth == 0 and event == "start_array":
                hint = (
                    "detections are no annotations: name the file of `images`, `annotations` and `categories`"
                )
                raise no_coco(self.path, self.what, f"it is {RESULTS}", hint)
            if top and name in FIELDS:
                if event == "start_map":
                    raise no_coco(self.path, self.what, f"`{name}` is an object and no list")
                self.section, self.number = (name if name in self.sections else ""), 0
                self.fields, self.lists = FIELDS[name], LISTS[name]
            self._enter()
            self.skipping = self.depth > 1 and not self.section
        elif top and event == "map_key":
            self.name = value
            if value in self.seen:
                raise no_coco(self.path, self.what, f"`{value}` is there twice", "put the two lists together")
            if value in FIELDS:
                self.seen.add(value)
        elif self.depth == 0 or (top and name in FIELDS):
            found = f"`{name}` is" if self.depth else "it is"
            raise no_coco(self.path, self.what, f"{found} one value: {str(value)[:40]}")

    def _enter(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise too_deep(self.path, self.what)
