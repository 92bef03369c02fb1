"""Doors take whatever comes: regressions are replayed, a few new inputs tried, and each kind of flaw is noticed."""

from __future__ import annotations

import os
import signal
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mlimg_build.errors import Problem, SourceError
from tests.fuzz import door as doors_rules
from tests.fuzz import run_corpus
from tests.fuzz.campaign import CORPUS, Tally, _add, _tell, main, minimised
from tests.fuzz.door import Door, Flaw, input_of, judge, known_codes
from tests.fuzz.doors import DOORS
from tests.fuzz.mutators import inputs

FUZZ_SECONDS = float(os.environ.get("FUZZ_SECONDS", "600"))
QUICK, SLOW = 12, 2  # new inputs of a door, of a slow one
REGRESSIONS = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.glob("*/*"))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Door], Path]:
    """A folder for each door, furnished once."""
    root = tmp_path_factory.mktemp("fuzz")
    return lambda door: root / door.name


@pytest.mark.parametrize("name", REGRESSIONS)
def test_what_once_went_wrong_does_not(name: str, room: Callable[[Door], Path]) -> None:
    door_name = name.split("/", maxsplit=1)[0]
    if door_name not in DOORS:
        pytest.skip(f"what the door {door_name} needs is not installed")
    door = DOORS[door_name]
    door.seeds()
    judge(door, room(door), (CORPUS / name).read_bytes())


def test_every_regression_has_a_door() -> None:
    from tests.fuzz.doors import curated, datasets, images, lists, models, specs

    rooms = (curated, datasets, images, lists, models, specs)
    assert {name.split("/")[0] for name in REGRESSIONS} <= {
        one.name for place in rooms for one in place.DOORS
    }
    assert all((CORPUS / name).stat().st_size <= 16 << 10 for name in REGRESSIONS)


@pytest.mark.parametrize("name", DOORS)
def test_a_door_takes_what_is_in_order(name: str, room: Callable[[Door], Path]) -> None:
    door = DOORS[name]
    outcomes = [judge(door, room(door), data) for data in door.seeds()[: 3 if door.share > 1 else 30]]
    assert outcomes.count("value") > len(outcomes) / 4, outcomes


@pytest.mark.parametrize("name", DOORS)
def test_a_door_takes_what_is_nearly_in_order(name: str, room: Callable[[Door], Path]) -> None:
    door = DOORS[name]

    @settings(
        max_examples=QUICK if door.share == 1 else SLOW,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(door, door.seeds()))
    def example(data: bytes) -> None:
        judge(door, room(door), data)

    example()


@pytest.mark.slow
@pytest.mark.timeout(FUZZ_SECONDS * 2 + 600)
def test_doors_take_whatever_comes_in_ten_minutes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main([str(FUZZ_SECONDS), "--found", str(tmp_path / "found")])
    said = capsys.readouterr().out
    assert code == 0, said
    assert ", 0 flaws" in said.splitlines()[-1]


def fake(enter: Callable[[Path], object]) -> Door:
    return Door("fake", enter, lambda: [b"in order"])


def _raise(path: Path) -> None:
    raise KeyError("x")


def _warn(path: Path) -> None:
    warnings.warn("beware", stacklevel=1)


def _leave(path: Path) -> None:
    path.with_name("left").write_text("x")


def _take_away(path: Path) -> None:
    path.unlink()


def _change(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"x")


def _loop(path: Path) -> None:
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue


def _fill(path: Path) -> None:
    bytearray(2 * doors_rules.MEMORY)


def _say(code: str, message: str) -> Callable[[Path], None]:
    def enter(path: Path) -> None:
        raise SourceError(Problem(code, message))

    return enter


def _say_nothing(path: Path) -> None:
    raise SourceError([])


@pytest.mark.parametrize(
    ("enter", "flaw"),
    [
        (_raise, "KeyError at test_fuzz.py:_raise"),
        (_warn, "UserWarning"),
        (_leave, "files came or went"),
        (_take_away, "files came or went"),
        (_change, "files changed"),
        (_loop, "too long"),
        (_fill, "MemoryError"),
        (_say("made-of-the-input", "x"), "the code"),
        (_say("list-empty", " "), "no message"),
        (_say("list-empty", "Traceback (most recent call last)"), "a traceback"),
        (_say_nothing, "no problem"),
    ],
)
def test_a_flaw_is_noticed(
    enter: Callable[[Path], object], flaw: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors_rules, "SECONDS", 0.2)
    with pytest.raises(Flaw) as caught:
        judge(fake(enter), tmp_path / "room", b"x")
    assert flaw in caught.value.signature
    assert not (tmp_path / "room" / "left").exists()


def test_files_that_stay_open_are_noticed(tmp_path: Path) -> None:
    held: list[int] = []
    enter = fake(
        lambda path: held.extend(os.open(path, os.O_RDONLY) for _ in range(2 * doors_rules.MANY_FILES))
    )
    with pytest.raises(Flaw, match="files stay open"):
        judge(enter, tmp_path / "room", b"x")
    for descriptor in held:
        os.close(descriptor)


def test_a_value_and_an_error_are_no_flaws(tmp_path: Path) -> None:
    assert judge(fake(Path.read_bytes), tmp_path / "a", b"x") == "value"
    assert judge(fake(_say("list-empty", "there is no row")), tmp_path / "b", b"x") == "list-empty"
    assert {"yaml-syntax", "corrupt", "too-many-pixels", "dataset-unreadable"} <= known_codes()


def test_a_furnished_room_is_as_before(tmp_path: Path) -> None:
    door = DOORS["lock"]
    judge(door, tmp_path, b"lock.yaml\nlock: [")
    assert judge(door, tmp_path, door.seeds()[1]) == "value"


def test_an_input_becomes_as_small_as_its_flaw_allows(tmp_path: Path) -> None:
    def enter(path: Path) -> None:
        data = path.read_bytes()
        if b"(" in data and data.endswith(b")"):
            raise KeyError

    door = fake(enter)
    with pytest.raises(Flaw) as caught:
        judge(door, tmp_path, b"in (some) order)")
    assert minimised(door, tmp_path, caught.value.signature, b"in (some) order)") == b"()"


def test_most_inputs_are_changed_and_none_is_long() -> None:
    door, made = DOORS["lock"], []
    seeds = door.seeds()

    @settings(max_examples=200, derandomize=True, database=None, phases=[Phase.generate])
    @given(inputs(door, seeds))
    def example(data: bytes) -> None:
        made.append(data)

    example()
    assert sum(one not in seeds for one in made) > 100
    assert len({door.split(one)[0] for one in made}) == len(door.names())
    assert max(map(len, made)) < 2 << 20
    assert all(input_of(door, *door.split(one)) == one for one in seeds)


def test_a_process_that_dies_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "current").write_bytes(b"its last input")
    (tmp_path / "output").write_text("Fatal Python error")
    tally = Tally(outcomes=Counter(value=3))
    _add(tally, tmp_path, "SIGSEGV", "png", tmp_path / "found")
    assert tally.flaws["png: SIGSEGV"][0] == b"its last input"
    assert b"its last input" in {path.read_bytes() for path in (tmp_path / "found" / "png").iterdir()}


def test_what_was_found_before_a_process_dies_is_kept(tmp_path: Path) -> None:
    earlier = Tally(inputs=200, seconds=1.0, outcomes=Counter(value=199), flaws={"png: x": (b"early", "why")})
    _tell(earlier, tmp_path)
    (tmp_path / "current").write_bytes(b"its last input")
    (tmp_path / "output").write_text("")
    tally = Tally()
    _add(tally, tmp_path, "SIGSEGV", "png", tmp_path / "found")
    assert tally.inputs == 200
    assert [data for data, _ in tally.flaws.values()] == [b"early", b"its last input"]
    saved = {path.read_bytes() for path in (tmp_path / "found" / "png").iterdir() if not path.suffix}
    assert saved == {b"early", b"its last input"}


def test_a_file_of_others_that_ends_the_process_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_corpus, "PATIENCE", 1.0)
    (tmp_path / "a.bin").write_bytes(b"x")
    dying = fake(lambda path: os.kill(os.getpid(), signal.SIGUSR2))
    waiting = fake(lambda path: os.read(os.pipe()[0], 1))
    doors = (fake(Path.read_bytes), dying, fake(_raise), waiting, fake(Path.read_bytes))
    *outcomes, last = run_corpus.tried([run_corpus.Try(door, tmp_path / "a.bin") for door in doors])
    assert [one.split("\n")[0] for one in outcomes] == [
        "value",
        "FLAW: fake: died: SIGUSR2",
        'FLAW: fake: KeyError at test_fuzz.py:_raise: raise KeyError("x")',
        "FLAW: fake: no end in 1 s",
    ]
    assert last == "value"


def test_files_of_others_make_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    png, half = DOORS["png"].seeds()[0], DOORS["png"].seeds()[0][:-30]
    for name, data in {
        "a.png": png,
        "sub/b.PNG": half,
        "c.gif": b"GIF89a",
        "d.txt": b"",
        "e.json": b"{",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert run_corpus.main([str(tmp_path), "--name", "ours"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert sorted(rows) == [
        "| ours | coco | 1 | 0 | 1 `list-unreadable` | 0 |",
        "| ours | gif | 1 | 0 | 1 `truncated` | 0 |",
        "| ours | png | 2 | 1 | 1 `truncated` | 0 |",
    ]
    assert run_corpus.main([str(tmp_path), "open-images:nesting.json=*.json"]) == 0
    assert "| open-images:nesting.json | 1 | 0 | 1 `nesting-unreadable` | 0 |" in capsys.readouterr().out


@pytest.mark.slow
def test_a_campaign_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["3", "ids", "--seed", "7", "--found", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "seed 7" in said
    assert "1 doors" in said
    assert ", 0 flaws" in said
