"""The segments of a JPEG up to its first scan.

Only what the check needs is read: frame, Huffman tables, orientation. Source: ITU-T T.81, B.1 and B.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlimg_build.images import exif
from mlimg_build.images.status import BadImage, Status

__all__ = ["SIGNATURE", "Frame", "Header", "header"]

SIGNATURE = b"\xff\xd8\xff"
_EOI, _SOS, _DHT, _APP0, _APP1, _APP14 = 0xD9, 0xDA, 0xC4, 0xE0, 0xE1, 0xEE
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # TEM, RST0 to RST7, SOI
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}
_NEEDED = _FRAMES | {_DHT, 0xCC, 0xDB, 0xDD}  # and DAC, DQT, DRI


@dataclass(frozen=True, slots=True)
class Frame:
    """The frame header: `process` is the marker's second byte, 0xC0 for baseline, 0xC2 for progressive."""

    process: int
    precision: int
    width: int
    height: int
    components: int


@dataclass(frozen=True, slots=True)
class Header:
    """Everything before the entropy-coded bytes, which begin at `scan`.

    `segments` holds (marker, payload) in order, the scan header last.
    """

    frame: Frame
    segments: tuple[tuple[int, bytes], ...]
    scan: int
    orientation: int

    def plain(self) -> bytes:
        """Return the header with what decoding needs and nothing that libjpeg warns of without harm.

        Metadata, comments and bytes between segments are dropped. The JFIF revision becomes 1, an unknown
        Adobe transform becomes the one that decoders assume, and the spectral selection of a sequential scan,
        which they ignore, becomes the only valid one.
        """
        parts = [b"\xff\xd8"]
        for marker, payload in self.segments:
            if marker == _SOS and self.frame.process in {0xC0, 0xC1}:
                parts.append(_segment(marker, payload[:-3] + b"\x00\x3f\x00"))
            elif marker == _APP0 and payload[:5] == b"JFIF\x00":
                parts.append(_segment(marker, payload[:5] + b"\x01" + payload[6:]))
            elif marker == _APP14 and payload[:5] == b"Adobe" and len(payload) >= 12:
                known = payload[11] if payload[11] <= 2 else self.frame.components - 2
                parts.append(_segment(marker, payload[:11] + bytes([max(0, known)])))
            elif marker in _NEEDED or marker == _SOS:
                parts.append(_segment(marker, payload))
        return b"".join(parts)


def header(data: bytes) -> Header:
    """Return the header of the JPEG's first image. Raises `BadImage` (truncated or corrupt) if it has no scan."""
    segments: list[tuple[int, bytes]] = []
    frame: Frame | None = None
    turn: int | None = None
    at = 2
    while True:
        at = data.find(b"\xff", at)
        while 0 <= at < len(data) and data[at] == 0xFF:
            at += 1
        if not 0 < at < len(data):
            raise BadImage.because(Status.truncated, "the JPEG ends inside its header")
        marker = data[at]
        at += 1
        if marker == 0 or marker in _ALONE:
            continue
        if marker == _EOI:
            raise BadImage.because(Status.corrupt, "the JPEG ends without an image")
        end = at + int.from_bytes(data[at : at + 2], "big")
        if end > len(data) or at + 2 > len(data):
            raise BadImage.because(Status.truncated, "the JPEG ends inside its header")
        if end < at + 2:
            raise BadImage.because(Status.corrupt, f"the JPEG's segment at byte {at - 2} has no length")
        payload = data[at + 2 : end]
        at = end
        segments.append((marker, payload))
        if marker in _FRAMES and len(payload) >= 6:
            height, width = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
            frame = Frame(marker, payload[0], width, height, payload[5])
        elif marker == _APP1 and turn is None and payload[:6] == b"Exif\x00\x00":
            turn = exif.orientation(payload)
        elif marker == _SOS:
            break
    if frame is None:
        raise BadImage.because(Status.corrupt, "the JPEG has a scan and no frame")
    return Header(frame, tuple(segments), at, turn or 1)


def _segment(marker: int, payload: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + (len(payload) + 2).to_bytes(2, "big") + payload
