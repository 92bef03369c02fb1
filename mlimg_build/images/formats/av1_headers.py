"""The frame size that AV1 data state themselves.

libavif decodes frames of whatever size the data state and scales them to the size that the file states, so a file may
be small by its boxes and large in memory.
Source: AV1 Bitstream & Decoding Process Specification, 5.3 (OBU header) and 5.5 (sequence header).
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["frame_sizes"]

_SEQUENCE_HEADER = 1
_LONGEST = 256  # bytes of a sequence header that are read; with 32 operating points it has fewer


def frame_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the largest width and height of a frame, of every sequence header among the OBUs in `data`.

    It ends where an OBU is not whole: such data are refused by the decoder.
    """
    at = 0
    while at < len(data):
        header = data[at]
        kind, extended, sized = header >> 3 & 15, header & 4, header & 2
        at += 2 if extended else 1
        size = len(data) - at
        if sized:
            size, at = _leb128(data, at)
        if header & 0x80 or size < 0 or at + size > len(data):
            return
        if kind == _SEQUENCE_HEADER:
            found = _largest_frame(data[at : at + min(size, _LONGEST)])
            if found is not None:
                yield found
        at += size


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """Return a number in LEB128 and the position after it; -1 if it is not whole."""
    value = 0
    for i, byte in enumerate(data[at : at + 8]):
        value |= (byte & 0x7F) << 7 * i
        if not byte & 0x80:
            return value, at + i + 1
    return -1, at


class _Bits:
    """Reads numbers of any length from the front of some bytes; behind their end come zeros."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        shifted = self._value >> self._left if self._left >= 0 else self._value << -self._left
        return shifted & ((1 << count) - 1)

    def uvlc(self) -> int:
        zeros = 0
        while zeros < 32 and not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros) if zeros < 32 else 0xFFFFFFFF


def _largest_frame(payload: bytes) -> tuple[int, int] | None:
    """Return max_frame_width and max_frame_height of a sequence header."""
    bits = _Bits(payload)
    bits.take(4)  # seq_profile, still_picture
    if bits.take(1):  # reduced_still_picture_header
        bits.take(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(width_bits) + 1, bits.take(height_bits) + 1


def _skip_operating_points(bits: _Bits) -> None:
    """Read the fields between reduced_still_picture_header and frame_width_bits_minus_1."""
    model, delay_bits = 0, 0
    if bits.take(1):  # timing_info_present_flag
        bits.take(64)
        if bits.take(1):  # equal_picture_interval
            bits.uvlc()
        model = bits.take(1)
        if model:
            delay_bits = bits.take(5) + 1
            bits.take(32 + 5 + 5)
    delays = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)  # seq_tier
        if model and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if delays and bits.take(1):
            bits.take(4)
