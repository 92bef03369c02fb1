"""Problems as lines of text, the package's surface, and the cost of importing it."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
import time

import pytest

import mlimg_build.spec
from mlimg_build.errors import Place, Problem
from mlimg_build.spec import nearest, render

PROBLEM = Problem("unknown-key", "there is no key here", Place("a.yaml", 2, 3, 4), "did you mean that?")
TEXT = "first: 1\n  nmae: x\n"
MODULES = sorted(module.name for module in pkgutil.iter_modules(mlimg_build.spec.__path__))


def test_a_problem_is_shown_with_its_line() -> None:
    assert render(PROBLEM, lambda _: TEXT).splitlines() == [
        "error[unknown-key]: there is no key here",
        "  --> a.yaml:2:3",
        "  |",
        "2 |   nmae: x",
        "  |   ^^^^",
        "",
        "hint: did you mean that?",
    ]


def test_colour_changes_nothing_but_colour() -> None:
    coloured = render(PROBLEM, lambda _: TEXT, colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render(PROBLEM, lambda _: TEXT)


def test_a_problem_without_text_or_place_is_shown_without_a_line() -> None:
    assert render(PROBLEM, lambda _: None).count("\n") == 3
    assert (
        render(Problem("spec-missing", "there is no spec a"), lambda _: None)
        == "error[spec-missing]: there is no spec a"
    )


def test_a_file_cannot_move_the_cursor_of_a_terminal() -> None:
    problem = Problem("unknown-key", "no \x1b[2J here", Place("a\x1b.yaml", 1, 1, 9), "\x07")
    assert "\x1b" not in render(problem, lambda _: "\x1b[2J: 1\n")


def test_a_long_line_is_cut_around_its_caret() -> None:
    text = "a" * 5000 + "HERE" + "b" * 5000
    shown = render(Problem("x", "y", Place("a", 1, 5001, 4)), lambda _: text).splitlines()
    assert len(shown[3]) < 120
    assert shown[3][shown[4].index("^") :].startswith("HERE")


def test_the_nearest_word_is_found_and_a_far_one_is_not() -> None:
    assert nearest("trainning", ["training", "transfer"]) == "training"
    assert nearest("IMAGES", ["images"]) == "images"
    assert nearest("xyz", ["images", "training"]) is None
    assert nearest("x", []) is None


def test_the_surface_is_sorted_and_whole() -> None:
    names = mlimg_build.spec.__all__
    assert list(names) == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    public = {name for name in vars(mlimg_build.spec) if not name.startswith("_")} - set(MODULES)
    assert set(names) == public


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"mlimg_build.spec.{name}")).failed == 0


def test_importing_the_language_is_quick_and_brings_nothing_heavy() -> None:
    code = "import sys, mlimg_build.spec; print(*{'numpy', 'dask', 'zarr', 'torch', 'rich'} & {*sys.modules})"
    started = time.perf_counter()
    heavy = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert heavy == []
    assert time.perf_counter() - started < 2.0
