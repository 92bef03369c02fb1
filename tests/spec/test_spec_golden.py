"""Every way in which a spec can be wrong, and what the person who wrote it gets to read.

`errors/NAME.yaml` is the file, `errors/NAME.txt` what is shown. After a change of wording:
`MLIMG_WRITE_GOLDEN=1 pytest tests/spec/test_spec_golden.py`, then read the difference.
"""

import os
from pathlib import Path

import pytest

from mlimg_build.errors import Problem, SpecError
from mlimg_build.spec import CODES, load_backend, load_spec, render

ERRORS = Path(__file__).parent / "errors"
NAMES = sorted(path.stem for path in ERRORS.glob("*.yaml"))
VARIABLES = {"ROOT": "/data", "MANY": "lots", "FEW": "-2"}
WITH_OWN_TEST = {
    *("backend-missing", "more-problems", "spec-missing", "spec-unreadable", "yaml-too-big"),
    *("wordnet-missing", "wordnet-damaged", "wordnet-format"),
}


def problems_of(name: str) -> tuple[Problem, ...]:
    path = Path(f"{name}.yaml")
    try:
        if name.startswith("backend-"):
            load_backend(path, VARIABLES)
            return ()
        return load_spec(path, VARIABLES).warnings
    except SpecError as error:
        return error.problems


def text_of(file: str) -> str:
    return Path(file).read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize("name", NAMES)
def test_problems_read_as_agreed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ERRORS)
    shown = "\n\n".join(render(problem, text_of) for problem in problems_of(name)) + "\n"
    golden = ERRORS / f"{name}.txt"
    if os.environ.get("MLIMG_WRITE_GOLDEN"):
        golden.write_text(shown, encoding="utf-8")
    assert shown == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_problems_keep_the_rules_of_error_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ERRORS)
    problems = problems_of(name)
    assert problems
    for problem in problems:
        assert problem.code in CODES
        assert not problem.message.endswith(".")
        assert "input should" not in problem.message.lower(), "pydantic's own wording"
        assert problem.hint
        assert problem.place is not None
    places = [(problem.place.line, problem.place.column) for problem in problems if problem.place]
    assert places == sorted(places) or problems[0].severity == "warning"


def test_every_code_has_a_golden_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ERRORS)
    seen = {problem.code for name in NAMES for problem in problems_of(name)}
    assert seen | WITH_OWN_TEST == set(CODES)
    assert not seen & WITH_OWN_TEST


def test_every_golden_text_has_its_file() -> None:
    assert sorted(path.stem for path in ERRORS.glob("*.txt")) == NAMES


def test_three_mistakes_are_three_problems_with_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ERRORS)
    problems = problems_of("three-mistakes")
    assert [str(problem.place) for problem in problems] == [
        "three-mistakes.yaml:2:1",
        "three-mistakes.yaml:6:11",
        "three-mistakes.yaml:9:15",
    ]
