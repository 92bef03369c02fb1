"""Inputs that are nearly in order: seeds of a format, changed a few times."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.fuzz.door import Door, input_of

__all__ = ["inputs"]

LONGEST = 1 << 20  # bytes of an input
NUMBERS = (0, 1, 2, 7, 127, 128, 255, 256, 1 << 15, (1 << 16) - 1, 1 << 24, 1 << 31, (1 << 32) - 1, 1 << 62)
NUMBERS += ((1 << 63) - 1, 1 << 63, (1 << 64) - 1)
WIDTHS = (1, 2, 4, 8)
COUNTS = (1, 2, 3, 10, 100, 1000, 30_000)
WORDS = (
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n", b"\t", b'"', b'""', b"'", b",", b"|", b" "),
    *(
        b"\xed\xa0\x80",
        b"\xc3",
        "\u202e".encode(),
        "\u2028".encode(),
        b"\x85",
        b"\x1b[31m",
        "e\u0301".encode(),
    ),
    *(b"-1", b"0", b"1e999", b"-1e999", b"nan", b"NaN", b"inf", b"Infinity", b"9" * 400, b"0." + b"0" * 400),
    *(
        b"18446744073709551616",
        b"-9223372036854775809",
        b"1" * 5000,
        b"true",
        b"null",
        b"None",
        b"../x",
        b"/dev/zero",
    ),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b"{}",
        b"[]",
        b":",
        b": ",
        b"- ",
        b"#",
        b"&a",
        b"*a",
        b"!!python/object:os.system x",
    ),
    *(b"=1+1", b"@x", b"\\", b"\\ud800", b"%s", b"${HOME}", b"x" * 5000, b"\0" * 600, b"\xff" * 600),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 1.5, -0.5, 255, 2**31, 2**40, 2**63, 2**64, 10**30, -(10**30), 10**400),
    *(
        float("nan"),
        float("inf"),
        float("-inf"),
        1e308,
        5e-324,
        "",
        " ",
        "1",
        "x" * 5000,
        "\0",
        "\ud800",
        "\x1b[31m",
    ),
    *(
        "\u202e",
        "e\u0301",
        "../x",
        "/dev/zero",
        ".",
        "${X}",
        "n02084071",
        "n99999999",
        "a: b",
        "[",
        "~",
        "null",
    ),
    *([], {}, [None], [[]], [0, 0], {"": None}, {"a": {"a": {}}}, [1] * 2000, ["a"] * 3, [-1, 2**63]),
)


def inputs(door: Door, seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Inputs for a door: one of the seeds with few changes, sometimes with many; of a tree also its values."""
    number = st.integers(0, (1 << 64) - 1)
    edit, swap = (st.tuples(st.integers(0, len(kinds) - 1), number) for kinds in (EDITS, SWAPS))
    few, many, swaps = st.lists(edit, max_size=2), st.lists(edit, max_size=8), st.lists(swap, max_size=3)
    some = st.one_of(few, few, many)
    none = st.just([])
    changes = st.tuples(swaps, none) | st.tuples(none, some) | st.tuples(swaps, some)

    def made(seed: int, changed: tuple[list[Any], list[Any]], other: int, repaired: bool) -> bytes:
        name, data = door.split(seeds[seed])
        for which, value in changed[0]:
            data = _of_tree(data, SWAPS[which], *_parts(value))
        beside = door.split(seeds[other])[1]
        for which, value in changed[1]:
            data = EDITS[which](data, *_parts(value), beside, door.tokens)[:LONGEST]
        if repaired and door.repair is not None:
            data = door.repair(data)
        return input_of(door, name, data)

    which = st.integers(0, len(seeds) - 1)
    return st.builds(made, which, changes if door.tree else st.tuples(none, some), which, st.booleans())


def _parts(value: int) -> tuple[int, int, int]:
    return value & 0xFFFFFFFF, value >> 32 & 0xFFFF, value >> 48


Edit = Callable[[bytes, int, int, int, bytes, tuple[bytes, ...]], bytes]


def _span(data: bytes, a: int, b: int) -> tuple[int, int]:
    """A part of the bytes: often short."""
    start = a % (len(data) + 1)
    longest = max(1, len(data) - start)
    return start, start + (b % longest if b & 1 else b % min(16, longest))


def _flip(data: bytes, a: int, b: int, c: int, beside: bytes, tokens: tuple[bytes, ...]) -> bytes:
    at = a % max(1, len(data))
    return data[:at] + bytes(byte ^ 1 << b % 8 for byte in data[at : at + 1]) + data[at + 1 :]


def _byte(data: bytes, a: int, b: int, c: int, beside: bytes, tokens: tuple[bytes, ...]) -> bytes:
    at = a % max(1, len(data))
    return data[:at] + bytes([b % 256]) + data[at + 1 :]


def _cut(data: bytes, a: int, b: int, c: int, beside: bytes, tokens: tuple[bytes, ...]) -> bytes:
    return data[: a % (len(data) + 1)]


def _remove(data: bytes, a: int, b: int, c: int, beside: bytes, tokens: tuple[bytes, ...]) -> bytes:
    start, stop = _span(data, a, b)
    return data[:start] + data[stop:]


def _repeat(data: bytes, a: int, b: int, c: int, beside: bytes, tokens: tuple[bytes, ...]) -> bytes:
    start, stop = _span(data, a, b)
    count = min(COUNTS[c % len(COUNTS)], LONGEST // max(1, stop - start))
    return data[:stop] + data[start:stop] * count + data[stop:]


def _insert(data: bytes, a: int, b: int, c: int, beside: bytes, tokens: tuple[bytes, ...]) -> bytes:
    words, at = (*tokens, *WORDS), a % (len(data) + 1)
    return data[:at] + words[b % len(words)] + data[at:]


def _replace(data: bytes, a: int, b: int, c: int, beside: bytes, tokens: tuple[bytes, ...]) -> bytes:
    words, (start, stop) = (*tokens, *WORDS), _span(data, a, c)
    return data[:start] + words[b % len(words)] + data[stop:]


def _number(data: bytes, a: int, b: int, c: int, beside: bytes, tokens: tuple[bytes, ...]) -> bytes:
    width, at = WIDTHS[c % 4], a % (len(data) + 1)
    value = NUMBERS[b % len(NUMBERS)] % (1 << 8 * width)
    return data[:at] + value.to_bytes(width, "little" if c & 4 else "big") + data[at + width :]


def _splice(data: bytes, a: int, b: int, c: int, beside: bytes, tokens: tuple[bytes, ...]) -> bytes:
    return data[: a % (len(data) + 1)] + beside[b % (len(beside) + 1) :]


def _exchange(data: bytes, a: int, b: int, c: int, beside: bytes, tokens: tuple[bytes, ...]) -> bytes:
    one, two, three, four = sorted(number % (len(data) + 1) for number in (a, b, c, a ^ b))
    return data[:one] + data[three:four] + data[two:three] + data[one:two] + data[four:]


def _field(data: bytes, a: int, b: int, c: int, beside: bytes, tokens: tuple[bytes, ...]) -> bytes:
    """What stands between two separators becomes a word."""
    words, at = (*tokens, *WORDS), a % (len(data) + 1)
    ends = (b",", b"\n", b"\t", b"|", b" ", b":", b'"')
    start = max(data.rfind(end, 0, at) for end in ends) + 1
    stop = min((found for end in ends if (found := data.find(end, at)) >= 0), default=len(data))
    return data[:start] + words[b % len(words)] + data[max(start, stop) :]


def _nest(data: bytes, a: int, b: int, c: int, beside: bytes, tokens: tuple[bytes, ...]) -> bytes:
    pairs = ((b"[", b"]"), (b'{"a":', b"}"), (b"- ", b""), (b'"', b'"'), (b"a: ", b""))
    opening, closing = pairs[b % len(pairs)]
    start, stop = _span(data, a, c)
    count = COUNTS[c % len(COUNTS)]
    return data[:start] + opening * count + data[start:stop] + closing * count + data[stop:]


EDITS: tuple[Edit, ...] = (
    *(_flip, _byte, _cut, _remove, _repeat, _insert, _replace, _number, _splice, _exchange, _field, _nest),
)

Swap = Callable[[Any, list[tuple[Any, Any]], int, int], None]


def _of_tree(data: bytes, swap: Swap, a: int, b: int, c: int) -> bytes:
    """The JSON, lines of JSON or YAML in the bytes with one of its values changed; JSON is YAML, too."""
    lines = False
    try:
        try:
            tree = json.loads(data)
        except ValueError:
            tree, lines = [json.loads(line) for line in data.splitlines()], True
    except (ValueError, RecursionError):
        try:
            tree = yaml.safe_load(data)
        except (ValueError, yaml.YAMLError, RecursionError, AttributeError, TypeError):
            return data
    root = [tree]
    places: list[tuple[Any, Any]] = [(root, 0)]
    for holder, key in places:  # grows during the iteration
        value = holder[key]
        if isinstance(value, dict) and len(places) < 10_000:
            places += [(value, name) for name in value]
        elif isinstance(value, list) and len(places) < 10_000:
            places += [(value, index) for index in range(len(value))]
    try:
        swap(places[a % len(places)], places, b, c)
        if lines and isinstance(root[0], list):
            return "\n".join(map(json.dumps, root[0])).encode("utf-8", "surrogatepass")
        return json.dumps(root[0]).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError, RecursionError):  # an alias of YAML may be inside itself
        return data


def _value(place: tuple[Any, Any], places: list[tuple[Any, Any]], b: int, c: int) -> None:
    place[0][place[1]] = VALUES[b % len(VALUES)]


def _gone(place: tuple[Any, Any], places: list[tuple[Any, Any]], b: int, c: int) -> None:
    del place[0][place[1]]
    if not place[0]:
        place[0].append(None) if isinstance(place[0], list) else None


def _moved(place: tuple[Any, Any], places: list[tuple[Any, Any]], b: int, c: int) -> None:
    holder, key = places[b % len(places)]
    place[0][place[1]] = json.loads(json.dumps(holder[key], default=str))


def _more(place: tuple[Any, Any], places: list[tuple[Any, Any]], b: int, c: int) -> None:
    value = place[0][place[1]]
    if isinstance(value, list):
        value += [value[c % len(value)] if value else VALUES[b % len(VALUES)]] * COUNTS[c % 5]
    elif isinstance(value, dict):
        value[str(VALUES[b % len(VALUES)])[:100]] = VALUES[c % len(VALUES)]
    else:
        place[0][place[1]] = [value]


def _changed(place: tuple[Any, Any], places: list[tuple[Any, Any]], b: int, c: int) -> None:
    """A value of the same kind."""
    value = place[0][place[1]]
    alike = [one for one in VALUES if type(one) is type(value)]
    place[0][place[1]] = alike[b % len(alike)] if alike else VALUES[b % len(VALUES)]


SWAPS: tuple[Swap, ...] = (_value, _gone, _moved, _more, _changed)
