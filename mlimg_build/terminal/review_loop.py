"""Go through source categories at the terminal, one key each; piped lines serve as keys, too."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.padding import Padding
from rich.text import Text

from .console import err

if TYPE_CHECKING:
    from mlimg_build.compiler.lint.review_file import ReviewFile
    from mlimg_build.compiler.lint.review_items import Candidate, ReviewItem

__all__ = ["review_at_terminal"]

KEYS = "1-9 choose, k 1-9 a kind of it, n none, s skip, u undo, / search, q quit"
EVERY = 8  # categories after which the keys are shown again
STEPS = 6  # synsets above a candidate that are named
END, ESCAPE, UNKNOWN = "\x04", "\x1b", "?"


class _Keys:
    """What is typed: single keys of a terminal, or the letters of piped lines."""

    def __init__(self) -> None:
        self.single = sys.stdin.isatty()
        self._line: list[str] = []
        self._word = ""

    def key(self) -> str:
        """Return the next key, `END` at the end of the input."""
        if self.single:
            with _raw_keys():
                return _typed(sys.stdin) or END
        while not self._line:
            line = sys.stdin.readline()
            if not line:
                return END
            self._line = [*line.strip()]
        key = self._line.pop(0)
        if key == "/":  # the rest of the line is the word
            self._word, self._line = "".join(self._line), []
        return key

    def word(self) -> str:
        """Return the word that is searched."""
        if self.single:
            err.print("search: ", end="")
            return sys.stdin.readline().strip()
        return self._word.strip() or sys.stdin.readline().strip()


def _typed(stream: TextIO) -> str:
    """Return the next key of a terminal, `UNKNOWN` for one that sends a sequence: Delete is ESC [ 3 ~, and no 3.

    The parts of a sequence are those of ECMA-48, 5.4; F1 to F4 and keys of the number pad send ESC O and a letter.
    """
    key = stream.read(1)
    if key != ESCAPE:
        return key
    key = stream.read(1)
    if key == "O":
        stream.read(1)
    elif key == "[":
        key = stream.read(1)
        if key == "[":  # the function keys of the Linux console
            stream.read(1)
        while key and not "@" <= key <= "~":
            key = stream.read(1)
    else:
        return key  # it was the key Esc, and another one
    return UNKNOWN


@contextmanager
def _raw_keys() -> Iterator[None]:
    """Let a terminal give each key at once; Ctrl-C interrupts as before."""
    import termios  # noqa: PLC0415  only Unix has it, and only a terminal needs it
    import tty  # noqa: PLC0415

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number, termios.TCSANOW)  # what is typed ahead is not lost
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def review_at_terminal(
    items: Sequence[ReviewItem],
    file: ReviewFile,
    search: Callable[[str], Sequence[Candidate]],
    place_of: Callable[[ReviewItem], Sequence[str]],
    *,
    chosen: bool = False,
) -> int:
    """Ask about each category and write each answer into the file; return how many were decided.

    `search` returns what a word may mean, `place_of` the paths of some pictures of a category. With `chosen`, the
    categories are not those in doubt, which the next review would go on with.
    """
    keys = _Keys()
    at, shown = 0, 0
    done: dict[int, str] = {}  # of the items before `at`: "decided" or "skipped"
    while at < len(items):
        item = items[at]
        _show(item, at, len(items), place_of(item), legend=shown % EVERY == 0)
        shown += 1
        answer = _answer(item, keys, search)
        if answer is None:
            break
        if answer == "undo":
            undone = file.undo()
            if undone is None:
                err.print("nothing to undo")
                continue
            at = next(i for i, one in enumerate(items) if one.key == undone)
            done = {i: what for i, what in done.items() if i < at}
            continue
        done[at] = "skipped"
        if isinstance(answer, tuple):
            wnid, relation = answer
            file.sign(item.key, wnid, relation, item.rule)
            done[at] = "decided"
            err.print(
                Text(
                    f"  → {'a kind of ' if wnid and relation == 'is_a' else ''}{wnid or 'none'}", "bold green"
                )
            )
        at += 1
    counts = Counter(done.values())
    left = len(items) - len(done)
    goes_on = "; `mlimg map --review` goes on from here" if left and not chosen else ""
    err.print(f"\n{counts['decided']:,} decided, {counts['skipped']:,} skipped, {left:,} left{goes_on}")
    return counts["decided"]


def _answer(
    item: ReviewItem, keys: _Keys, search: Callable[[str], Sequence[Candidate]]
) -> tuple[str, str] | str | None:
    """Return (wnid, relation), "skip", "undo", or None to end."""
    candidates, kind_of = item.candidates, False
    while True:
        key = keys.key()
        if key in (END, "q"):
            return None
        if key == "s":
            return "skip"
        if key == "u":
            return "undo"
        if key == "n":
            return "", "same_as"
        if key == "k":
            kind_of = not kind_of
            err.print("  a kind of …" if kind_of else "  the same as …")
        elif key == "/":
            word = keys.word()
            found = search(word) if word else ()
            if found:
                candidates = tuple(found)
                _list(candidates)
            else:
                err.print(f"  no noun is called {word!r}, nor nearly so")
        elif key.isdecimal() and key.isascii() and 0 < int(key) <= len(candidates):
            chosen = candidates[int(key) - 1]
            return chosen.wnid, "is_a" if kind_of else chosen.relation
        elif key == "?" or not key.isspace():
            err.print(f"  {KEYS}")


def _show(item: ReviewItem, at: int, total: int, places: Sequence[str], *, legend: bool) -> None:
    images = "1 image" if item.images == 1 else f"{item.images:,} images"
    head = Text.assemble(
        (f"\n{at + 1:,} of {total:,}  ", "dim"),
        (item.called, "bold"),
        f"  {item.source}{f' {item.category}' if item.category != item.called else ''}, {images}",
    )
    err.print(head)
    for place in places:
        err.print(f"     {place}", style="dim", soft_wrap=True)
    if item.evidence:
        err.print(f"     {'; '.join(item.evidence)}", style="dim")
    _list(item.candidates)
    if legend or not item.candidates:
        err.print(f"     {KEYS}", style="dim")
        err.print("     ? shows the keys again", style="dim")


def _list(candidates: Sequence[Candidate]) -> None:
    if not candidates:
        err.print("     nothing like it is a noun")
    for number, one in enumerate(candidates, 1):
        how = "a kind of " if one.relation == "is_a" else ""
        near = f"  spelt nearly so: {one.near}" if one.near else ""
        err.print(
            Text.assemble(
                (f"  {number}  ", "bold cyan"),
                f"{one.score:.2f}  {how}{one.synset} {one.wnid}",
                (near, "yellow"),
            )
        )
        if one.gloss:
            err.print(_indented(one.gloss))
        more = " → …" if len(one.chain) > STEPS else ""
        if one.chain:
            err.print(_indented(f"{' → '.join(one.chain[:STEPS])}{more}"), style="dim")


def _indented(text: str) -> Padding:
    """Return a text below a candidate, whose further lines begin where the first does."""
    return Padding(text, (0, 0, 0, 11), expand=False)
