"""The forms of a name: its other spellings, the hint in its parentheses, and its head word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["heads", "hint", "plain", "spellings", "variants"]

_BRACKETS = re.compile(r"\s*\(([^)]*)\)")
_PREPOSITIONS = frozenset(
    ("of", "with", "in", "on", "for", "from", "at", "by", "under", "over", "without")
).union(("de", "du", "des", "di", "del", "della", "au", "aux"))  # tortilla de patatas
_CONJUNCTIONS = frozenset(("and", "or", "&", "/"))
_MODEL = re.compile(r".*[0-9].*|[ivx]+", re.IGNORECASE)  # a380, mk2, iii
_DOT = re.compile(r"(?<!\d)\.|\.(?!\d)")  # 1.5 is not 15
_LEAST = 3  # fewest letters of a part of a compound: "a way" is no spelling of "away"

# Pairs of endings and stems that British and American English spell differently; each goes both ways.
_REGIONS = (
    *(("our", "or"), ("tre", "ter"), ("ise", "ize"), ("isation", "ization"), ("ogue", "og"), ("aeo", "eo")),
    *(("grey", "gray"), ("tyre", "tire"), ("plough", "plow"), ("llery", "lry"), ("aero", "air")),
    *(("ence", "ense"), ("mould", "mold"), ("oughnut", "onut"), ("oghurt", "ogurt"), ("ium", "um")),
    *(("pyjama", "pajama"), ("moustache", "mustache"), ("kerb", "curb"), ("sulph", "sulf")),
)


def spellings(name: str) -> Iterator[str]:
    """Yield the forms under which a name is looked up, the likeliest first; underscores are spaces.

    >>> list(spellings("Crane (bird)"))
    ['Crane (bird)', 'Crane']
    >>> list(spellings("T-shirt"))
    ['T-shirt', 'T shirt', 'Tshirt']
    >>> list(spellings("cell_phone"))
    ['cell phone', 'cell-phone', 'cellphone']
    """
    whole, bare = _whole(name), _bare(name)
    forms = [whole, bare]
    for form in (whole, bare):
        if "-" in form:
            forms += [form.replace("-", " "), form.replace("-", "")]
        if " " in form and "(" not in form:
            forms += [form.replace(" ", "-"), form.replace(" ", "")]
    yield from _distinct(forms)


def variants(name: str) -> Iterator[str]:
    """Yield further spellings, for a name that is not in WordNet as it is; most are no words.

    Without accents and with a plain apostrophe; two words joined or hyphenated, one split in two; British or
    American spelling; without the possessive.

    >>> {"crème brulée", "creme brulee"} & set(variants("crème brûlée"))
    {'creme brulee'}
    >>> {"coffee maker", "colorwheel", "theater"} & {*variants("coffeemaker"), *variants("theatre")} == {
    ...     "coffee maker", "theater"}
    True
    >>> "football player" in set(variants("foot ball player"))
    True
    >>> "mt everest" in set(variants("mt. everest")), any("10" in form for form in variants("size 1.0"))
    (True, False)
    """
    bare = plain(name)
    words = bare.split()
    forms = [bare, bare.replace("'s ", " "), bare.replace("s' ", " "), bare.replace("'", "")]
    forms += [bare.replace("&", "and"), _DOT.sub("", bare)]
    for i in range(len(words) - 1):
        before, after = words[:i], words[i + 2 :]
        for between in ("", "-"):
            forms.append(" ".join([*before, words[i] + between + words[i + 1], *after]))
    for i, word in enumerate(words):
        for at in range(_LEAST, len(word) - _LEAST + 1):
            parts = [word[:at], word[at:]]
            forms += [" ".join([*words[:i], *parts, *words[i + 1 :]])]
    for one, other in (*_REGIONS, *((b, a) for a, b in _REGIONS)):
        forms += [" ".join(other.join(word.rsplit(one, 1)) if one in word else word for word in words)]
    yield from (form for form in _distinct(forms) if form != _bare(name))


def hint(name: str) -> tuple[str, ...]:
    """Return what is in parentheses: a hint at the sense, each phrase once.

    >>> hint("Crane (bird)"), hint("Mouse (computer, hardware)"), hint("crane")
    (('bird',), ('computer', 'hardware'), ())
    """
    phrases = (part for found in _BRACKETS.findall(_whole(name)) for part in re.split(r"[,;/]", found))
    return tuple(_distinct(list(phrases)))


def heads(name: str) -> Iterator[str]:
    """Yield the last words of a name that it may be a kind of, the longest ending first.

    What follows a preposition is left out, and so is a last word with a digit or a Roman number, which names
    a model. Names joined by "and" or a comma have no head.

    >>> list(heads("dark chocolate cake")), list(heads("bottle of red wine")), list(heads("airbus a380"))
    (['chocolate cake', 'cake'], ['bottle'], ['airbus'])
    >>> list(heads("rays and skates")), list(heads("cake"))
    ([], [])
    """
    words = plain(name).replace("-", " - ").split()
    if _CONJUNCTIONS & {word.lower() for word in words} or any(word.endswith(",") for word in words):
        return
    cut = next((i for i, word in enumerate(words) if i and word.lower() in _PREPOSITIONS), len(words))
    kept = words[:cut]
    while len(kept) > 1 and (_MODEL.fullmatch(kept[-1]) or kept[-1] == "-"):
        kept = kept[:-1]
    # A head cannot begin at a hyphen, and the whole name is not the head of itself.
    for start in range(0 if len(kept) < len(words) else 1, len(kept)):
        if kept[start] != "-" and len(kept[-1]) >= _LEAST:
            yield " ".join(kept[start:]).replace(" - ", "-")


def plain(name: str) -> str:
    """Return a name without what is in parentheses and without accents; underscores are spaces.

    >>> plain("crème_brûlée (dessert)")
    'creme brulee'
    """
    return _plain(_bare(name))


def _whole(name: str) -> str:
    return " ".join(name.replace("_", " ").split())


def _bare(name: str) -> str:
    return _BRACKETS.sub("", _whole(name)).strip()


def _plain(text: str) -> str:
    straight = text.replace("\u2019", "'").replace("\u2018", "'").replace("\u02bc", "'")
    letters = unicodedata.normalize("NFKD", straight)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _distinct(forms: list[str]) -> Iterator[str]:
    yield from dict.fromkeys(tidy for form in forms if (tidy := " ".join(form.split())))
