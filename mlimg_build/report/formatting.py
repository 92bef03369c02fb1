"""Format numbers and codes for people."""

from __future__ import annotations

__all__ = ["METHOD_NAMES", "compact", "count", "percent", "score", "share", "size", "status_name"]

METHOD_NAMES = {
    "same_id": "same id",
    "file": "decided by people",
    "synonym": "synonym",
    "lemma": "likeliest sense",
    "head": "kind of its head word",
    "unresolved": "nothing fits",
    "own": "own category",
}


def count(number: float) -> str:
    """Return a whole number with commas between its thousands.

    >>> count(17609752)
    '17,609,752'
    """
    return f"{number:,.0f}"


def compact(number: float) -> str:
    """Return a number short enough for an axis.

    >>> [compact(n) for n in (0.5, 7, 1_000, 2_500, 30_000, 17_600_000)]
    ['0.5', '7', '1k', '2.5k', '30k', '17.6M']
    """
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= limit:
            return f"{number / limit:.3g}{unit}"
    return f"{number:.3g}"


def size(number: float) -> str:
    """Return a number of bytes in B, KiB, MiB, GiB or TiB.

    >>> size(123), size(5_400_000)
    ('123 B', '5.1 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def share(part: float, whole: float) -> str:
    """Return a part of a whole in per cent; never 0 % of something nor 100 % of less than all.

    >>> share(1, 4), share(2, 20522), share(20520, 20522), share(0, 9), share(0, 0)
    ('25 %', '< 0.1 %', '> 99.9 %', '0 %', '0 %')
    """
    if not whole or not part:
        return "0 %"
    value = 100 * part / whole
    if value < 0.1:
        return "< 0.1 %"
    if 99.9 < value < 100:
        return "> 99.9 %"
    return f"{value:.3g} %"


def percent(value: float | None) -> str:
    """Return a fraction in per cent with one decimal, or a dash for None.

    >>> percent(0.4123), percent(None)
    ('41.2 %', '—')
    """
    return "—" if value is None else f"{100 * value:.1f} %"


def score(value: float | None) -> str:
    """Return an average precision with three decimals, or a dash for None.

    >>> score(0.4123), score(None)
    ('0.412', '—')
    """
    return "—" if value is None else f"{value:.3f}"


def status_name(status: str) -> str:
    """Return the code of a status in words.

    >>> status_name("not_fetched")
    'not fetched'
    """
    return status.replace("_", " ")
