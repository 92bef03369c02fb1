"""How many bytes of UTF-8 a text from outside may have; what is over it costs its row, file or member."""

from __future__ import annotations

__all__ = [
    "CELL",
    "CLASS_FILE",
    "ID",
    "LINE",
    "NAME",
    "PATH",
    "RIGHTS",
    "SAMPLE_JSON",
    "SMALL_FILE",
    "TAR_HEADER",
    "URL",
    "over",
]

ID = 1 << 10  # the path or id by which a source names an image
URL = 4 << 10  # the URL by which it does so: signed ones have more than 1,024 bytes
PATH = 4 << 10  # a path as a table writes it, which may be absolute: no system knows a longer one
NAME = 512  # the id or the name of a category, the name of a group
RIGHTS = 2 << 10  # a licence, an author
CELL = 64 << 10  # any cell of a table; of a list in Parquet its values with a byte between
LINE = 4 << 20  # a line of a list, with the cells that nobody asks for
TAR_HEADER = 1 << 20  # all headers of one member of a tar: long names, pax records, maps of sparse files
SAMPLE_JSON = 4 << 20  # the JSON of one image in a tar
SMALL_FILE = 16 << 20  # a file that is read whole: hierarchies, dictionaries
CLASS_FILE = 64 << 20  # names of classes


def over(text: str, most: int) -> str:
    """Return the words that a text is too long, "" if it is not.

    >>> over("dog", 3), over("dogs", 3), over("Bär", 3)
    ('', '4 bytes, and at most 3 are read', '4 bytes, and at most 3 are read')
    """
    if 4 * len(text) <= most:
        return ""
    size = len(text.encode(errors="surrogatepass"))
    return f"{size:,} bytes, and at most {most:,} are read" if size > most else ""
