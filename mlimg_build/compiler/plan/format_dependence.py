"""What the images of a shard depend on besides its key: the formats that are read, and the versions of their decoders.

Only the bytes of a file say its format, so a key, which is made before any file is read, cannot have it without having
it for all: every dataset of JPEGs would be packed again with every new format. The entry in the store has it instead.
A format whose decoder is not installed is an error and never a status, so a stored status depends on no installation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlimg_build.images import FORMATS, Status, decoder_versions

__all__ = ["dependence", "outdated"]

_OTHER_FORMATS = "more formats of images are read than when it was made"
_OTHER_DECODER = "another version of a decoder is installed"


def dependence(formats: Iterable[str], statuses: Iterable[str], encoded: bool) -> dict[str, Any]:
    """Return the notes of a shard's entry: `formats` are those of its images, `statuses` of images without bytes.

    An unrecognised file depends on the set of formats that are read, a re-encoded image on the version of its
    decoder; a stored original on neither.

    >>> dependence({"jpeg"}, {"truncated"}, encoded=True)
    {}
    """
    notes: dict[str, Any] = {}
    if Status.unrecognised.name in set(statuses):
        notes["formats"] = list(FORMATS)
    versions = decoder_versions()
    used = {name: versions[name] for name in sorted(set(formats) & versions.keys())}
    if encoded and used:
        notes["decoders"] = used
    return notes


def outdated(notes: Mapping[str, Any]) -> str:
    """Return why a stored shard with these notes must be made again; "" if it need not.

    >>> outdated({"failures": [["t/scan", "unrecognised", "TIFF is not read"]]})
    'more formats of images are read than when it was made'
    >>> outdated({"failures": [["t/half", "truncated", "the PNG ends before its IEND chunk"]]})
    ''
    """
    unrecognised = any(status == Status.unrecognised.name for _, status, _ in notes.get("failures", ()))
    if unrecognised and notes.get("formats") != list(FORMATS):
        return _OTHER_FORMATS
    versions, used = decoder_versions(), notes.get("decoders", {})
    return _OTHER_DECODER if any(versions.get(name) != version for name, version in used.items()) else ""
