"""WordNet's noun morphology: from an inflected form to the lemmas it may come from.

Source: morphy(7WN), with the two guards for nouns of `morphword` in WordNet 3.0's morph.c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

DETACHMENT = (
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
)


def fold(lemma: str) -> str:
    """Return the form under which a lemma is looked up: lower case, one underscore for each run of spaces.

    >>> fold("Guinea  pig"), fold("St._Bernard")
    ('guinea_pig', 'st._bernard')
    """
    return "_".join(lemma.lower().split())


def detach(form: str) -> tuple[str, ...]:
    """Return what the rules of detachment make of a folded form, whether or not it is a word.

    >>> detach("churches"), detach("boxesful"), detach("glass"), detach("as")
    (('churche', 'church'), ('boxeful', 'boxful'), (), ())
    """
    stem = form.removesuffix("ful")
    ending = form[len(stem) :]
    # morph.c: a form in -ful is inflected before -ful; one in -ss or of two letters is no plural.
    if not ending and (form.endswith("ss") or len(form) <= 2):
        return ()
    return tuple(stem[: -len(old)] + new + ending for old, new in DETACHMENT if stem.endswith(old))


def base_forms(
    word: str, exceptions: Mapping[str, Sequence[str]], is_lemma: Callable[[str], bool]
) -> tuple[str, ...]:
    """Return the lemmas that `word` may be a form of, folded, each once; the word itself first if it is one.

    The rules are not applied to a form in the exception list, as in WordNet.

    >>> lemmas = {"ax", "axe", "axis", "wolf", "dog"}
    >>> exceptions = {"axes": ("ax", "axis"), "wolves": ("wolf",)}
    >>> [base_forms(word, exceptions, lemmas.__contains__) for word in ("axes", "Dogs", "dog", "xyz")]
    [('ax', 'axis'), ('dog',), ('dog',), ()]
    """
    form = fold(word)
    derived = exceptions[form] if form in exceptions else detach(form)
    return tuple(base for base in dict.fromkeys((form, *derived)) if is_lemma(base))
