"""Names, licences and authors of strangers: no terminal obeys them, no pull request and no spreadsheet either."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mlimg_build.printable import CONTROLS
from tests.support.command import mlimg
from tests.support.photographs import crops

ESCAPE = "\x1b]0;title\x1b\\\x1b[31m"
SPEC = """\
mlimg: 1
name: odd
version: 1.0.0
sources:
  folders: {type: folder, images: folders}
  rows:
    type: table
    table: rows.csv
    images: rows
    columns: {licence: licence, author: author}
annotation: {unlabelled: keep}
"""
FORMULA = "=HYPERLINK(1)"


def rows_of(path: Path) -> list[list[str]]:
    """All cells of a CSV, as a spreadsheet gets them."""
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec over images whose names, categories, licences and authors are hostile, and its dataset."""
    root = tmp_path_factory.mktemp("odd")
    (root / "odd.yaml").write_text(SPEC)
    pictures = iter(crops("chelsea", 8, 32))
    for folder, name in (
        ("dog", f"evil{ESCAPE}"),
        (f"cat{ESCAPE}", "\u202etxt"),
        (FORMULA, "-1"),
        ("@you fixes #2", "+1"),
    ):
        (root / "folders" / folder).mkdir(parents=True)
        (root / "folders" / folder / f"{name}.jpg").write_bytes(next(pictures))
    (root / "rows").mkdir()
    for name in ("=a", "b"):
        (root / "rows" / f"{name}.jpg").write_bytes(next(pictures))
    with (root / "rows.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [
                ("image", "labels", "licence", "author"),
                ("=a.jpg", "dog", f"CC{ESCAPE}", "\u202eevil\x9b31m"),
                ("b.jpg", "nothing that WordNet knows", "-", "@me"),
                ("gone.jpg", f"horse{ESCAPE}", "", ""),
            ]
        )
    done = mlimg("build", "odd.yaml", "--until", "dataset", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.few(6)
@pytest.mark.parametrize(
    "command",
    [
        ("plan", "odd.yaml", "--out", "build"),
        ("build", "odd.yaml", "--until", "dataset"),
        ("lint", "odd.yaml"),
        ("info", "build/odd.zarr"),
        ("why", "build/odd.zarr", f"folders/dog/evil{ESCAPE}"),
        ("why", "build/odd.zarr", "rows/=a.jpg"),
        ("why", "build/odd.zarr", f"folders/no such{ESCAPE}"),
        ("verify", "build/odd.zarr", "--labels"),
        ("check", f"no such{ESCAPE}.yaml"),
        ("diff", "build/odd.lock", "empty.lock"),
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_no_text_reaches_a_terminal_as_a_command(odd: Path, command: tuple[str, ...], as_json: bool) -> None:
    done = mlimg(*command, *(["--json"] if as_json else []), cwd=odd)
    assert done.stdout + done.stderr
    assert CONTROLS.findall(done.stdout + done.stderr) == []
    if as_json:
        json.loads(done.stdout)


def test_a_comment_of_a_diff_calls_nobody(odd: Path) -> None:
    lock = odd / "build" / "odd.lock"
    other = odd / "other.lock"
    other.mkdir()
    for file in lock.iterdir():
        text = file.read_text()
        if file.name == "mappings.csv":
            kept = [line for line in text.splitlines(keepends=True) if "@you" not in line]
            assert len(kept) < len(text.splitlines())
            text = "".join(kept)
        (other / file.name).write_text(text)
    done = mlimg("diff", "--markdown", lock, other, cwd=odd)
    assert "@<!-- -->you fixes #<!-- -->2" in done.stdout
    assert "@you" not in done.stdout


def test_no_cell_of_a_csv_is_a_formula_and_all_read_back(odd: Path) -> None:
    assert mlimg("map", "odd.yaml", "--to", "map.csv", cwd=odd).returncode == 0
    files = [*odd.glob("build/*.csv"), *odd.glob("build/odd.lock/*.csv"), odd / "map.csv"]
    assert len(files) > 6
    cells = [(file.name, cell) for file in files for row in rows_of(file) for cell in row]
    assert [one for one in cells if one[1].startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert any(cell == f"'{FORMULA}" for _, cell in cells)
    assert mlimg("lock", "--check", "odd.yaml", "--to", "build/odd.lock", cwd=odd).returncode == 0
    before = (odd / "map.csv").read_text()
    assert mlimg("map", "odd.yaml", "--to", "map.csv", cwd=odd).returncode == 0
    assert (odd / "map.csv").read_text() == before
    told = mlimg("why", "build/odd.zarr", "rows/=a.jpg", cwd=odd)
    assert "rows/=a.jpg" in told.stdout
