"""File names made from the ids of images: legal everywhere, unique, and readable."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

__all__ = ["LONGEST", "key_of"]

LONGEST = 200  # bytes; a name of 255 is the most that common file systems take, and a suffix follows
BEGINNING = 100


def key_of(image_id: str) -> str:
    """Return a path without dots for `image_id`: ASCII, relative, and different for every id.

    Everything but letters, digits, `_`, `-` and single slashes is escaped as in a URL, so `urllib.parse.unquote` gives
    the id back. A key longer than 200 bytes is its first 100, `~` and the sha256 of the id: no other key has a `~`.

    >>> key_of("imagenet/n01440764_10026"), key_of("a.b/../ü"), key_of("/a//b/")
    ('imagenet/n01440764_10026', 'a%2Eb/%2E%2E/%C3%BC', '%2Fa%2F%2Fb%2F')
    >>> key_of("x" * 300)[98:110]
    'xx~0d4e2ca9e'
    """
    escaped = quote(image_id, safe="/").replace(".", "%2E").replace("~", "%7E")
    key = re.sub(r"^/+|/+$|/{2,}", lambda found: "%2F" * len(found[0]), escaped)
    if len(key) <= LONGEST:
        return key
    return f"{key[:BEGINNING]}~{hashlib.sha256(image_id.encode()).hexdigest()}"
