"""Preferences on training, as a header field and robots.txt state them.

Implemented: draft-ietf-aipref-vocab-07 (19 August 2026) and draft-ietf-aipref-attach-05 (19 August 2026), works in
progress of the IETF: names and meaning may still change. Four points to know:

- By vocab-07 no category holds another. Drafts 01 to 04 had one above training in general, with the rule that a
  preference for the wider category applies where the narrower has none: `tdm` above `ai` (01), `all` (02), `bots` (03,
  04). Sites that follow those drafts are understood: `BROADER`. To vocab-07 these are unknown labels.
- vocab-07 defines `train-ai` as the training of models that generate; up to 03 it was any machine learning. What is
  made of a dataset is not known here, so `train-ai=n` is read as a refusal of every training. `train-genai=n` (02, 03)
  and `search=n` refuse nothing here.
- What does not parse is no preference (vocab-07, 6.5).
- `Content-Signal: ai-train=no` in robots.txt (draft-romm-aipref-contentsignals-00, 1 October 2025) is what many sites
  behind one large provider say today; it is read as the same preference.
"""

from __future__ import annotations

from typing import Literal

from mlimg_build.fetch.rights.structured_fields import LONGEST_FIELD, tokens_of

__all__ = ["BROADER", "LABELS", "Preference", "signalled_preference", "training_preference"]

Preference = Literal["allow", "disallow", "unknown"]

BROADER = ("ai", "bots", "all", "tdm")  # vocab-01 to -04, the narrower first
LABELS = ("train-ai", *BROADER)
_OF_TOKEN: dict[str | None, Preference] = {"y": "allow", "n": "disallow"}
_OF_SIGNAL: dict[str, Preference] = {"yes": "allow", "no": "disallow"}


def training_preference(text: str) -> tuple[Preference, str]:
    """Return the preference of a `Content-Usage` value on training, and the label that states it.

    >>> training_preference("train-ai=n"), training_preference("bots=n, train-ai=y"), training_preference("bots=n")
    (('disallow', 'train-ai'), ('allow', 'train-ai'), ('disallow', 'bots'))
    >>> training_preference("search=n"), training_preference("train-ai=N"), training_preference("train-ai=n,")
    (('unknown', ''), ('unknown', ''), ('unknown', ''))
    """
    members = tokens_of(text) or {}
    for label in LABELS:
        if preference := _OF_TOKEN.get(members.get(label)):
            return preference, label
    return "unknown", ""


def signalled_preference(text: str) -> tuple[Preference, str]:
    """Return the preference of a `Content-Signal` value on training; the strictest of several counts.

    >>> signalled_preference("search=yes,ai-train=no"), signalled_preference("ai-train=yes"), signalled_preference("x")
    (('disallow', 'ai-train'), ('allow', 'ai-train'), ('unknown', ''))
    """
    stated: set[Preference] = set()
    for member in text[:LONGEST_FIELD].lower().split(","):
        name, _, value = member.partition("=")
        if name.strip() == "ai-train":
            stated.add(_OF_SIGNAL.get(value.strip(), "unknown"))
    for preference in ("disallow", "allow"):
        if preference in stated:
            return preference, "ai-train"
    return "unknown", ""
