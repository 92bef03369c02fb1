"""Specs just under 1 MiB, right and wrong in every line: a check takes a small multiple of reading the YAML."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import yaml

from mlimg_build.errors import LISTED, Problem, SpecError, first_problems
from mlimg_build.spec import listed, load_spec, nearest
from mlimg_build.terminal import show_problems
from tests.support.command import mlimg

HEAD = "mlimg: 1\nname: big\nversion: 1.0.0\n"
ONE = f"{HEAD}sources:\n  s: {{type: folder, images: img}}\n"
MANY = f"{HEAD}sources:\n"
FOLDERS = "".join(f"  source-number-{i}: {{type: folder, images: i}}\n" for i in range(2000))
RULES = "annotation: {cooccurrence: {learn_from: ["

Line = Callable[[int], str]
KINDS: dict[str, tuple[str, Line, str]] = {
    "sources": (MANY, lambda i: f"  s{i}: {{type: folder, images: img}}\n", ""),
    "misspelt types": (MANY, lambda i: f"  s{i}: {{type: foldr{i}, images: img}}\n", ""),
    "misspelt keys of sources": (MANY, lambda i: f"  s{i}: {{tpye: folder, images: img}}\n", ""),
    "values of sources": (MANY, lambda i: f"  s{i}: {{type: folder, images: 7, split: trian}}\n", ""),
    "names of sources": (MANY, lambda i: f"  S {i}: {{type: folder, images: img}}\n", ""),
    "paths that are missing": (MANY, lambda i: f"  s{i}: {{type: folder, images: ~/$HOME/{i}}}\n", ""),
    "groups of folders": (
        f"{HEAD}split: {{by: {{column: x}}}}\nsources:\n",
        lambda i: f"  s{i}: {{type: folder, images: img}}\n",
        "",
    ),
    "unknown keys": (ONE, lambda i: f"key{i}: x\n", ""),
    "misspelt keys": (f"{ONE}training:\n", lambda i: f"  modl{i}: x\n", ""),
    "misspelt sources": (f"{MANY}{FOLDERS}{RULES}", lambda i: f"source-nomber-{i}, ", "a]}}\n"),
    "joins": (f"{ONE}vocabulary:\n  join:\n", lambda i: f"    n{i:08}: [n{i + 50_000_000:08}]\n", ""),
    "joins twice": (f"{ONE}vocabulary:\n  join:\n", lambda i: f"    n{i:08}: [n50000000]\n", ""),
    "included": (f"{ONE}vocabulary:\n  include: [", lambda i: f"n{i:08}, ", "n00001740]\n"),
    "words of a choice": (f"{ONE}vocabulary:\n  merge: [", lambda i: f"same_di{i}, ", "synonyms]\n"),
    "keys twice": (ONE, lambda i: "name: x\n", ""),
    "merge keys": (ONE, lambda i: f"k{i}: {{<<: 1}}\n", ""),
    "tags": (ONE, lambda i: f"k{i}: !!python/x y\n", ""),
    "anchors": (ONE, lambda i: f"k{i}: &a{i} x\n", ""),
    "variables": (ONE, lambda i: f"k{i}: ${{X{i}}}\n", ""),
    "variables in one value": (f"{ONE}description: ", lambda i: "${X}", "\n"),
    "nesting": (f"{ONE}description: ", lambda i: "[", "\n"),
    "an endless line": (f"{ONE}description: ", lambda i: "x", "\n"),
    "blank lines": (ONE, lambda i: "\n", "nmae: x\n"),
}
SMALL = 60_000  # bytes
MULTIPLE = 6.0  # how often YAML could be read in the time of a check


def text_of(kind: str, size: int) -> str:
    head, line, tail = KINDS[kind]
    parts, length = [head], len(head) + len(tail)
    for number in count():
        length += len(line(number))
        if length > size:
            return "".join([*parts, tail])
        parts.append(line(number))
    raise AssertionError


def seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def reading(text: str) -> float:
    """The processor time of reading as much YAML of a plain kind."""
    plain = text_of("unknown keys", len(text))
    return seconds(lambda: yaml.compose(plain, yaml.SafeLoader))


def checked(folder: Path, text: str) -> int:
    """The problems that a check shows."""
    (folder / "img").mkdir(exist_ok=True)
    (folder / "big.yaml").write_text(text)
    done = mlimg("check", folder / "big.yaml")
    return done.stderr.count("error[")


@pytest.mark.few(4)
@pytest.mark.parametrize("kind", KINDS)
def test_a_check_takes_a_small_multiple_of_reading_the_file(tmp_path: Path, kind: str) -> None:
    checked(tmp_path, ONE)  # what is loaded once
    text = text_of(kind, SMALL)
    problems: list[int] = []
    for _ in range(3):  # a busy machine may take longer now and then
        took = seconds(lambda: problems.append(checked(tmp_path, text)))
        if took < (limit := MULTIPLE * reading(text) + 0.3):
            break
    assert took < limit
    assert problems[0] <= LISTED + 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_check_of_the_biggest_file_takes_seconds(tmp_path: Path, kind: str) -> None:
    text = text_of(kind, (1 << 20) - 100)
    assert seconds(lambda: checked(tmp_path, text)) < MULTIPLE * reading(text) + 1


def test_the_first_problems_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text(ONE + "".join(f"key{i}: x\n" for i in range(250)))
    with pytest.raises(SpecError) as caught:
        load_spec(path, {})
    lines = [problem.place.line for problem in caught.value.problems if problem.place]
    assert lines == [*range(6, 6 + LISTED)]
    assert str(caught.value.problems[-1]).startswith("error[more-problems]: 150 more are not listed")


def test_many_warnings_are_cut_and_every_error_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    warnings = [Problem("path-tilde", f"w{i}", severity="warning") for i in range(300)]
    show_problems([*warnings, Problem("unknown-key", "e")])
    shown = capsys.readouterr().err
    assert shown.count("warning[path-tilde]") == LISTED
    assert "warning[more-problems]: 200 more are not listed" in shown
    assert "error[unknown-key]: e" in shown


def test_few_problems_are_all_listed() -> None:
    few = [Problem("x", str(i)) for i in range(LISTED)]
    assert first_problems(few) == few


def test_long_lists_of_words_are_cut_and_still_looked_through() -> None:
    words = [f"word{i}" for i in range(5000)]
    assert listed(words).endswith("and 4,960 more")
    assert nearest("wrod17", [*words, "zebra"]) is not None
    assert nearest("zebro", [*words, "zebra"]) == "zebra"
    assert nearest("word4999", words) == "word4999"
