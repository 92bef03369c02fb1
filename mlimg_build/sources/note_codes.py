"""The meaning of each code of `Notes`, and whether what it counts is lost or still used."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["NOTE_CODES", "NoteCode", "lost", "used"]


class NoteCode(NamedTuple):
    """The meaning of a code for people; `lost` tells whether the row, file or label is left out of the dataset."""

    meaning: str
    lost: bool = True


NOTE_CODES: dict[str, NoteCode] = {
    "bad-confidence": NoteCode("the confidence is no number from 0 to 1: the label is left out"),
    "bad-id": NoteCode("an id is missing, a truth value, a fraction or a list: the entry is left out"),
    "bad-json": NoteCode("the JSON of an image cannot be read, or is no object"),
    "bad-label": NoteCode(
        "the label is not written INDEX:CONFIDENCE, its number is no category, or it is neither text nor a whole number"
    ),
    "beside-the-tars": NoteCode("a file in the folder of the tars that `tars` does not match"),
    "cell-without-meaning": NoteCode("the cell of a category has a value that `values` does not name"),
    "column-without-name": NoteCode("the column has no name, as one of row numbers: it is no category"),
    "confidence-count": NoteCode("a cell has neither one confidence (or speaker) nor one for each label"),
    "field-missing": NoteCode("the JSON of an image lacks the field of its labels or their confidences"),
    "folder-unreadable": NoteCode("the folder may not be listed: what is in it is not known"),
    "hidden": NoteCode("its name begins with a dot, or is one that systems make for themselves"),
    "ignored-label": NoteCode("the list marks the label as one to be ignored"),
    "image-by-content": NoteCode("an image by its first bytes, whose name has no suffix of one"),
    "image-id-twice": NoteCode("another image of the file has the id: the first one is the image"),
    "image-outside-a-category": NoteCode("an image beside the folders of the categories"),
    "image-twice": NoteCode("a second file of one id: the first by its path is the image"),
    "key-without-image": NoteCode("a key without an image in its tar: its labels make a row without bytes"),
    "link-loop": NoteCode("a link leads back to a folder that it lies in"),
    "machine-absence": NoteCode("a machine says that it is absent, which states nothing"),
    "malformed-entry": NoteCode(
        "the entry of a JSON is no object, has a key twice, or no list where one is due"
    ),
    "malformed-row": NoteCode("the row has another number of fields, or an open quote"),
    "member-cut": NoteCode("the tar ends within the member that says something of an image"),
    "member-twice": NoteCode("a second member of one name in a tar: the first or last counts, as tar does"),
    "name-not-utf-8": NoteCode("the name is not UTF-8"),
    "nearly-a-synset": NoteCode("it holds a synset's id and is neither its folder nor its uncompressed .tar"),
    "not-a-parquet-file": NoteCode("a file beside the Parquet files: it is not read"),
    "no-key": NoteCode("the name of a member has nothing before or behind its first dot"),
    "not-a-plain-file": NoteCode("neither a file nor a folder"),
    "not-a-synset": NoteCode("neither a folder nor a tar named by a synset's id"),
    "not-an-image-name": NoteCode("the name has no suffix of an image"),
    "not-utf-8": NoteCode("the row is not UTF-8"),
    "outside": NoteCode("the path leads out of its tar"),
    "row-without-image": NoteCode("the row names no image"),
    "image-without-url": NoteCode("the row of rights has no URL: without a file its image is missing"),
    "row-without-label": NoteCode("the row names no label"),
    "second-image": NoteCode("a further image of one key: the first is the image, or the best of `image`"),
    "split-left-out": NoteCode("`splits` leaves out the images of this split"),
    "tar-cut": NoteCode("the tar is damaged there: what follows is lost"),
    "tar-empty": NoteCode("the tar is empty"),
    "tar-unreadable": NoteCode("the file is no uncompressed tar"),
    "text-too-long": NoteCode("a text is longer than it may be: its row, file or label is left out"),
    "unknown-category": NoteCode("the file has no category of that id: the label is left out"),
    "unknown-image": NoteCode("the file lists no image of that id: the label is left out"),
    "zero-byte": NoteCode("the row or name holds a zero byte"),
    "box-without-size": NoteCode(
        "a box without width or height: its category is present all the same", lost=False
    ),
    "category-without-images": NoteCode("a category without an image", lost=False),
    "field-unread": NoteCode("a field of the JSON is no text: the source's own holds", lost=False),
    "image-without-label": NoteCode("nothing is said about the image: all is unknown", lost=False),
    "image-without-rights": NoteCode(
        "the image has no row in the rights: it gets those of the source", lost=False
    ),
    "keypoints": NoteCode("a file of keypoints, of which the categories alone are used", lost=False),
    "index-doubtful": NoteCode("numbers of a list that may count from 0 or from 1", lost=False),
    "key-in-two-tars": NoteCode("an earlier tar has the key: the image is called TAR/KEY", lost=False),
    "members-apart": NoteCode("a member that does not follow the others of its key", lost=False),
    "no-speakers": NoteCode("the list has no column that says who said it", lost=False),
    "no-such-people": NoteCode("nobody of `people` is in the list", lost=False),
    "other-member": NoteCode("members that are not read: `image`, `labels` or `fields` would", lost=False),
    "other-spelling": NoteCode("the list writes the image otherwise than it is called", lost=False),
    "in-two-splits": NoteCode("an image in two of the source's splits: it is in the first", lost=False),
    "row-without-bytes": NoteCode(
        "the row has no bytes of an image: it is looked for by its path", lost=False
    ),
    "row-without-class": NoteCode("the label is -1: nothing is known of the image", lost=False),
    "other-separator": NoteCode("most cells hold a separator other than `separator`", lost=False),
    "row-without-split": NoteCode("no split in the row: it is drawn", lost=False),
    "names-differ": NoteCode(
        "a number is another class than in the first file: each file's own names were taken", lost=False
    ),
    "shards-missing": NoteCode(
        "a file of a numbered set that no pattern of `images` matches or that is not there"
    ),
    "several-rows": NoteCode("several rows of one image, put together", lost=False),
    "unknown-licence": NoteCode(
        "the file does not explain the licence: the image gets that of the source", lost=False
    ),
    "tars-of-splits": NoteCode("names of tars say splits, and `splits` does not place them", lost=False),
    "unknown-speaker": NoteCode("neither known as people nor as a machine: taken for a machine", lost=False),
}
"""Every code; those of lost content first."""


def lost(counts: dict[str, int]) -> dict[str, int]:
    """Return the counts of the codes whose content is lost."""
    return {code: count for code, count in counts.items() if NOTE_CODES[code].lost}


def used(counts: dict[str, int]) -> dict[str, int]:
    """Return the counts of the codes whose content is used but worth a check."""
    return {code: count for code, count in counts.items() if not NOTE_CODES[code].lost}
