"""Read where the columns of a Parquet file lie from its footer, without the bindings of Arrow.

Those of pyarrow 26 end the process where a column's metadata contradict themselves (`RowGroupMetaData.column`, size
statistics of another length than the column's levels). Source: Apache Parquet, parquet.thrift, FileMetaData.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from mlimg_build.sources.lists.thrift_structs import read_struct, whole_number

__all__ = ["ColumnChunk", "read_chunks"]

FOOTER = 64 << 20  # most bytes of a footer
TAIL = 8  # bytes behind it: its length and PAR1
FAR = 1 << 63
ROW_GROUPS, COLUMNS, METADATA = 4, 1, 3  # fields of FileMetaData, RowGroup and ColumnChunk
LISTS = 2  # row groups, and their columns


class ColumnChunk(NamedTuple):
    """A column of a row group: its number of values, its first pages (`dictionary` is 0 without one), its bytes.

    `codec` is Parquet's CompressionCodec, `nulls` the number of its nulls by its statistics, -1 without any.
    """

    values: int
    dictionary: int
    data: int
    size: int
    codec: int
    nulls: int = -1


def read_chunks(descriptor: int) -> list[list[ColumnChunk]]:
    """Return the columns of each row group of an open file.

    Raises:
        ValueError: if the footer cannot be followed, or a column is encrypted.
        OSError: if the file cannot be read.
    """
    length = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, TAIL, max(0, length - TAIL))
    size = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or not 0 < size <= min(FOOTER, length - TAIL):
        raise ValueError(f"its footer is damaged, or longer than {FOOTER:,} bytes")
    try:
        footer = read_struct(os.pread(descriptor, size, length - TAIL - size), 0, LISTS)[0]
    except IndexError:
        raise ValueError("its footer is cut") from None
    return [[_chunk(column) for column in _structs(group, COLUMNS)] for group in _structs(footer, ROW_GROUPS)]


def _structs(fields: object, number: int) -> list[object]:
    found = fields.get(number) if isinstance(fields, dict) else None
    if not isinstance(found, list):
        raise ValueError("its footer has no row groups, or one of them no columns")
    return found


def _chunk(column: object) -> ColumnChunk:
    told = column.get(METADATA) if isinstance(column, dict) else None
    if not isinstance(told, dict):
        raise ValueError("a column has no metadata, as an encrypted one")
    dictionary = whole_number(told, 11, FAR) if 11 in told else 0
    return ColumnChunk(
        values=whole_number(told, 5, FAR),
        dictionary=dictionary,
        data=whole_number(told, 9, FAR),
        size=whole_number(told, 7, FAR),
        codec=whole_number(told, 4),
        nulls=_nulls(told.get(12)),
    )


def _nulls(statistics: object) -> int:
    """Return the number of nulls that statistics tell, -1 if they do not."""
    count = statistics.get(3) if isinstance(statistics, dict) else None
    return count if type(count) is int and count >= 0 else -1
