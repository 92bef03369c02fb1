"""`mlimg map --review` and `--html`: people decide what names mean, and every decision is kept."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlimg_build.report import Option, ReviewCard, ReviewPage, render_review
from tests.support.command import mlimg
from tests.support.photographs import crops

HOSTILE = "<script>alert(1)<"
SPEC = """\
mlimg: 1
name: pets
version: 1.0.0
sources:
  home: {type: folder, images: images}
vocabulary: {mapping: {file: maps/pets.csv}}
"""
ORDER = ["crane", HOSTILE, "hampster", "umbrelas", "kite"]  # doubtful names first, then the lowest scores


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for folder in ("crane", "kite", "hampster", "umbrelas", "dog", HOSTILE):
        (tmp_path / "images" / folder).mkdir(parents=True)
        for i, data in enumerate(crops("chelsea", 2)):
            (tmp_path / "images" / folder / f"{i}.jpg").write_bytes(data)
    (tmp_path / "pets.yaml").write_text(SPEC)
    return tmp_path


def review(pets: Path, typed: str, monkeypatch: pytest.MonkeyPatch, *more: str) -> str:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    done = mlimg("map", "pets.yaml", "--review", "--reviewer", "me", *more, cwd=pets)
    assert done.returncode == 0, done.stderr
    return done.stderr


def signed(pets: Path) -> dict[str, tuple[str, str]]:
    with (pets / "maps" / "pets.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["reviewer"]]
    assert all(row["reviewer"] == "me" for row in rows)
    return {row["category"]: (row["wnid"], row["relation"]) for row in rows}


def test_each_key_decides_one_name_and_the_next_review_goes_on_there(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = review(pets, "1\nn\n1\nq\n", monkeypatch)
    assert "1 of 5  crane" in said
    assert str(pets / "images" / "crane" / "0.jpg") in said, "the paths of pictures"
    assert "wading bird → aquatic bird" in said, "the way up"
    assert "spelt nearly so: hamster" in said
    assert "           large long-necked wading bird of marshes and plains" in said, "the gloss"
    decided = {"crane": ("n02012849", "same_as"), HOSTILE: ("", ""), "hampster": ("n02342885", "same_as")}
    assert signed(pets) == decided
    said = review(pets, "", monkeypatch)
    assert "1 of 2  umbrelas" in said, "what is signed is asked no more"
    assert signed(pets) == decided


def test_a_decision_is_undone_by_u_and_skipped_by_s(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = review(pets, "u2su2ss1u", monkeypatch)
    assert "nothing to undo" in said
    assert signed(pets) == {"crane": ("n03126707", "same_as")}, "the machine; the hamster is undone"


def test_a_word_is_searched_and_a_category_may_be_a_kind_of_it(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = review(pets, "s\n/ zzyzxq\n/ labrador retriever\nk\n1\n", monkeypatch)
    assert "no noun is called 'zzyzxq'" in said
    assert signed(pets) == {HOSTILE: ("n02099712", "is_a")}


def test_what_is_decided_skipped_and_left_is_counted(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = review(pets, "1s1u1\nq", monkeypatch)
    assert "2 decided, 1 skipped, 2 left; `mlimg map --review` goes on from here" in said
    assert "0 decided, 3 skipped, 0 left\n" in review(pets, "sss", monkeypatch), "nothing goes on"


def test_the_keys_are_shown_again_on_a_question_mark_and_after_some_names(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlimg_build.terminal.review_loop.EVERY", 3)
    said = review(pets, "?sssss", monkeypatch)
    assert said.count("     1-9 choose") == 2 + 1, "before the first and the fourth; one has no candidate"
    assert said.count("\n  1-9 choose") == 1, "on ?"
    assert "? shows the keys again" in said
    assert all(len(line) <= 80 for line in said.splitlines() if "1-9 choose" in line)


def test_all_names_can_be_gone_through_or_one_of_them_however_certain(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = review(pets, "sssss1", monkeypatch, "--all")
    assert "6 of 6  dog" in said, "those in doubt first"
    assert signed(pets) == {"dog": ("n02084071", "same_as")}
    said = review(pets, "2q", monkeypatch, "--name", "DOG", "--name", "kite")
    assert "1 of 2  dog" in said
    assert "1 left\n" in said
    assert signed(pets)["dog"][0] != "n02084071", "what is signed may be signed anew"
    done = mlimg("map", "pets.yaml", "--review", "--name", "dgo", cwd=pets)
    assert (done.returncode, "is called 'dgo'" in done.stderr, 'did you mean "dog"?' in done.stderr) == (
        1,
        True,
        True,
    )
    for options in (["--all"], ["--name", "dog"]):
        assert mlimg("map", "pets.yaml", *options, cwd=pets).returncode == 2, "of a review alone"
    done = mlimg("map", "pets.yaml", "--html", "all.html", "--all", cwd=pets)
    assert "6 categories are on the page" in done.stderr


def test_what_the_rule_had_found_stays_beside_the_decision(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    review(pets, "2", monkeypatch)

    def row() -> dict[str, str]:
        with (pets / "maps" / "pets.csv").open(encoding="utf-8", newline="") as stream:
            return next(row for row in csv.DictReader(stream) if row["category"] == "crane")

    first = row()
    assert (first["wnid"], first["method"], first["score"]) == ("n03126707", "file", "1.000")
    assert first["evidence"].startswith("the rule took n02012849 crane (a kind of wading bird), 0.")
    assert "n03126707" in first["alternatives"]
    for _ in range(2):
        assert mlimg("map", "pets.yaml", cwd=pets).returncode == 0
        again = row()
        assert again["evidence"] == f"by me; {first['evidence']}"
        assert again["alternatives"] == first["alternatives"]
    said = review(pets, "q", monkeypatch, "--name", "crane")
    assert "the rule took n02012849 crane" in said
    assert re.search(r"  1  1\.00  .* n03126707\n(?:.*\n){0,4}?  2  0\.\d\d  .* n02012849\n", said), (
        "both can be chosen"
    )
    assert review(pets, "2uq", monkeypatch, "--name", "crane", "--name", "kite").count("1 of 2") == 2
    assert row()["evidence"] == again["evidence"], "an undone decision leaves the row as it was"


def test_a_row_that_was_signed_by_hand_keeps_what_the_rule_had_found(pets: Path) -> None:
    assert mlimg("map", "pets.yaml", cwd=pets).returncode == 0
    path = pets / "maps" / "pets.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row["reviewer"] = "me" if row["category"] == "crane" else ""
        row["wnid"] = "n03126707" if row["category"] == "crane" else row["wnid"]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    assert mlimg("map", "pets.yaml", cwd=pets).returncode == 0
    assert "by me; the rule took crane (a kind of wading bird), 0." in path.read_text(encoding="utf-8")


def test_what_people_decided_is_what_the_build_takes(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    review(pets, "2\nn\n1\n1\n1\n", monkeypatch)
    rows = json.loads(mlimg("map", "pets.yaml", "--json", cwd=pets).stdout)
    assert {row["category"]: row["wnid"] for row in rows if row["reviewer"] == "me"} == {
        "crane": "n03126707",
        HOSTILE: None,
        "hampster": "n02342885",
        "umbrelas": "n04507155",
        "kite": "n01608432",
    }
    assert "nothing is in doubt" in review(pets, "", monkeypatch)


def test_a_review_beside_the_spec_goes_on_though_no_spec_names_it(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pets / "pets.yaml").write_text(SPEC[: SPEC.index("vocabulary")])
    review(pets, "1q", monkeypatch)
    assert "1 of 4" in review(pets, "q", monkeypatch)
    assert mlimg("map", "pets.yaml", cwd=pets).returncode == 0
    assert ",me\n" in (pets / "pets.mapping.csv").read_text(), "a signature is not lost"


DELETE, F5, F2, F1, ESC = b"\x1b[3~", b"\x1b[15~", b"\x1bOQ", b"\x1b[[A", b"\x1b"


@pytest.mark.slow
@pytest.mark.parametrize("typed", [b"1nq", DELETE + F5 + b"1" + F2 + F1 + ESC + b"nq"])
def test_at_a_terminal_one_key_is_enough_and_one_of_several_letters_decides_nothing(
    pets: Path, typed: bytes
) -> None:
    terminal, end = pty.openpty()
    os.write(terminal, typed)  # no line is ended
    subprocess.run(
        [
            *(sys.executable, "-c", "from mlimg_build.cli import main; main()"),
            *("map", "pets.yaml", "--review", "--reviewer", "me"),
        ],
        stdin=end,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        cwd=pets,
        timeout=200,
        check=True,
    )
    os.close(end)
    os.close(terminal)
    assert signed(pets) == {"crane": ("n02012849", "same_as"), HOSTILE: ("", "")}


def page(pets: Path) -> str:
    done = mlimg("map", "pets.yaml", "--html", "review.html", "--reviewer", "me", cwd=pets)
    assert done.returncode == 0, done.stderr
    assert "5 categories are on the page" in done.stderr
    return (pets / "review.html").read_text(encoding="utf-8")


def test_the_page_holds_everything_and_escapes_it(pets: Path) -> None:
    text = page(pets)
    assert text.count("<script") == 2, "its data and its own code"
    assert html.escape(HOSTILE) in text
    assert HOSTILE not in text
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", text), "nothing is fetched"
    assert text.count('<img src="data:image/jpeg;base64,') == 10
    assert "default-src 'none'" in text
    titles = [html.unescape(one) for one in re.findall(r"<h2 id=\"c\d+\">(.*?)</h2>", text)]
    assert titles == ORDER
    assert 'value="n02342885" data-relation="same_as"' in text
    assert len(text) < 400_000, "its pictures, and the ids of WordNet"


def test_the_page_tells_candidates_of_the_same_words_apart_by_their_glosses(pets: Path) -> None:
    text = page(pets)
    assert text.count("kite (a kind of check)") >= 2
    assert text.count("a bank check that has been fraudulently altered to increase its face value") == 1
    assert text.count("a bank check drawn on insufficient funds at another bank") == 1


def test_a_gloss_is_escaped_and_an_empty_one_leaves_no_line() -> None:
    options = [
        Option(f"n0000000{i}", "x", (), 0.5, "same_as", "", gloss) for i, gloss in ((1, HOSTILE), (2, ""))
    ]
    card = ReviewCard(0, "s", "c", "n", 1, (), tuple(options), (), "", None)
    text = render_review(
        ReviewPage("t", "k", "f.csv", "me", [card], 0, 1, 0, ["source"], [["s"]], "k", "3.0", "", [])
    )
    assert HOSTILE not in text
    assert text.count('<span class="gloss">') == 1
    assert f'<span class="gloss">{html.escape(HOSTILE)}</span>' in text


def test_the_page_is_the_same_each_time(pets: Path) -> None:
    assert page(pets) == page(pets)


def test_a_picture_that_cannot_be_shown_costs_the_page_nothing(pets: Path) -> None:
    (pets / "images" / "kite" / "0.jpg").write_bytes(b"\xff\xd8 no photograph")
    assert page(pets).count("<img src=") == 9


def test_pictures_end_where_the_page_is_big_enough(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlimg_build.compiler.lint.review_page.PICTURE_BYTES", 1)
    text = page(pets)
    assert text.count("<img src=") == 1
    assert "4 categories have no picture here" in text


def driven(pets: Path, text: str, drive: str) -> str:
    """Return the page as it is after its script and `drive` ran."""
    (pets / "driven.html").write_text(text.replace("</body>", f"{drive}</body>"), encoding="utf-8")
    done = subprocess.run(
        [
            *("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"),
            *(f"--user-data-dir={pets / 'profile'}", "--dump-dom", f"file://{pets / 'driven.html'}"),
        ],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    return done.stdout


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium to run the page")
def test_in_a_browser_what_is_no_id_is_said_at_once_and_decides_nothing(pets: Path) -> None:
    drive = """
<script>
addEventListener("load", () => {
  const card = document.querySelector(".choice"), field = card.querySelector(".text"), said = [];
  for (const typed of ["n02084071", "n02084072", "n1234", "own:mine", "12", "a < b", "kite.n.03", "dog", "N15300051"]) {
    field.value = typed; field.dispatchEvent(new Event("input", { bubbles: true }));
    const told = card.querySelector(".told"), decided = document.getElementById("decided").textContent;
    said.push([typed, decided, told.textContent, told.classList.contains("fault")]);
  }
  const found = document.createElement("pre"); found.id = "said"; found.textContent = JSON.stringify(said);
  document.body.append(found);
});
</script>"""
    dom = driven(pets, page(pets), drive)
    found = re.search(r'<pre id="said">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    said = {
        one: (int(decided), text, fault) for one, decided, text, fault in json.loads(html.unescape(found[1]))
    }
    assert said.pop("n02084071") == said.pop("kite.n.03") == said.pop("N15300051") == (1, "", False)
    dog = said.pop("dog")
    assert (dog[0], dog[2], "mlimg check says" in dog[1]) == (1, False, True)
    assert {one: text for one, (decided, text, fault) in said.items() if fault and not decided} == {
        "n02084072": "WordNet 3.0 has no noun n02084072.",
        "n1234": "An id is the letter n and eight digits.",
        "own:mine": "The spec has no own category own:mine.",
        "12": "This is no id and no noun.",
        "a < b": "This is no id and no noun.",
    }


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium to run the page")
def test_in_a_browser_keys_choose_and_the_csv_is_one_that_mlimg_reads(pets: Path) -> None:
    (pets / "maps").mkdir()
    (pets / "maps" / "pets.csv").write_text(
        'source,category,wnid,reviewer,note\nhome,dog,n02084071,me,"=1, ""x"""\n'
    )
    text = page(pets)
    drive = """
<script>
URL.createObjectURL = (blob) => { blob.text().then((text) => {
  const found = document.createElement("pre"); found.id = "csv"; found.textContent = JSON.stringify(text);
  document.body.append(found); }); return "#"; };
addEventListener("load", () => {
  const press = (key) => (document.activeElement || document.body).dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true }));
  for (const key of ["j", "2", "d", "n", "j", "1", "j", "1", "u", "j"]) press(key);
  const last = document.activeElement.querySelector(".text");
  last.value = "kite.n.03"; last.dispatchEvent(new Event("input", { bubbles: true }));
  document.getElementById("save").click();
});
</script>"""
    dom = driven(pets, text, drive)
    found = re.search(r'<pre id="csv">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    assert '<strong id="decided">4</strong>' in dom
    (pets / "maps" / "pets.csv").write_text(json.loads(html.unescape(found[1])), encoding="utf-8", newline="")
    assert signed(pets) == {
        "dog": ("n02084071", "same_as"),
        "crane": ("n03126707", "same_as"),
        HOSTILE: ("", ""),
        "hampster": ("n02342885", "same_as"),
        "kite": ("kite.n.03", "same_as"),
    }
    rows = json.loads(mlimg("map", "pets.yaml", "--json", cwd=pets).stdout)
    assert {row["category"]: row["wnid"] for row in rows}["kite"] == "n03621473"
    assert """'=1, ""x""\"""" in (pets / "maps" / "pets.csv").read_text(), "people's own columns stay"
