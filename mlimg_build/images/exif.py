"""The one EXIF tag that changes how an image is displayed.

It is read here and not through Pillow, whose EXIF reader issues Python warnings for damage: a block that
cannot be read counts as absent. Source: CIPA DC-008 (Exif 2.32), 4.6.2 to 4.6.4; TIFF 6.0, section 2.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["orientation"]

_PREFIX = b"Exif\x00\x00"
_TAG = 0x0112
_SIZES = {1: 1, 3: 2, 4: 4}  # BYTE, SHORT, LONG


def orientation(block: bytes) -> int:
    """Return the orientation that an EXIF block states, 1 to 8; 1 if it states none.

    The block may begin with its `Exif` prefix.

    >>> one_entry = bytes.fromhex("0001 0112 0003 00000001 0006 0000")
    >>> orientation(b"Exif\\0\\0MM\\0*\\0\\0\\0\\x08" + one_entry)
    6
    >>> orientation(b"not EXIF at all")
    1
    """
    tiff = block.removeprefix(_PREFIX)
    order: Literal["little", "big"]
    if tiff[:4] == b"II*\x00":
        order = "little"
    elif tiff[:4] == b"MM\x00*":
        order = "big"
    else:
        return 1
    start = int.from_bytes(tiff[4:8], order)
    entries = int.from_bytes(tiff[start : start + 2], order)
    for i in range(entries):
        entry = tiff[start + 2 + 12 * i : start + 14 + 12 * i]
        if len(entry) < 12:
            return 1
        if int.from_bytes(entry[:2], order) == _TAG:
            size = _SIZES.get(int.from_bytes(entry[2:4], order), 0)
            value = int.from_bytes(entry[8 : 8 + size], order)
            return value if 1 <= value <= 8 else 1
    return 1
