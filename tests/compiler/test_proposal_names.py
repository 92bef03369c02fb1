"""`mlimg init --from`: what names were taken for is told, and a misspelt name is put right in one file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from mlimg_build.cli import run
from mlimg_build.compiler.proposal import class_file, spec_text
from mlimg_build.compiler.proposal.proposal import propose
from mlimg_build.dataset import open_dataset
from tests.support import proposals
from tests.support.proposals import proposed

write = partial(proposals.write, Path())
FACTORY = (
    "OK",
    "scrach",
    "Dent",
    "crak",
    "missing screw",
    "corosion",
    "weld porosty",
    "oil_stain",
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ids() -> dict[str, set[tuple[str, str]]]:
    """Check and build the spec; return (id, name) of the labels of each image."""
    assert run(["check", "--deep", "s.yaml", "-q"]) == 0
    assert run(["build", "s.yaml", "--until", "dataset", "-q"]) == 0
    with open_dataset(Path("build/s.zarr")) as dataset:
        return {
            image.id.partition("/")[2]: {
                (label.wnid, label.name) for label in image.labels if label.rule == "stated"
            }
            for split in dataset.splits
            for image in dataset[split]
        }


def test_misspelt_folders_are_put_right_in_one_file_and_ids_follow() -> None:
    write(*(f"dump/{name}/0.jpg" for name in FACTORY))
    text = proposed("dump")
    assert "    classes: s.classes.csv\n" in text
    assert "  own: s.classes.csv\n" in text
    assert "  #   scrach: 1 image; is it scratch?\n" in text
    assert "  #   weld porosty: 1 image; is it weld porosity?\n" in text
    file = Path("s.classes.csv")
    names = dict(row.split(",")[:2] for row in file.read_text().split("\n")[1:-1])
    assert names == {name: name.replace("_", " ") for name in FACTORY}  # nothing is put right unasked
    assert ids()["scrach/0"] == {("own:scrach", "scrach")}
    file.write_text(file.read_text().replace("scrach,scrach", "scrach,scratch"))
    found = ids()
    assert found["scrach/0"] == {("own:scratch", "scratch")}
    assert found["OK/0"] == {("own:ok", "OK")}
    assert len({label for labels in found.values() for label in labels}) == len(FACTORY)


def test_a_file_takes_one_name_for_two_folders_a_parent_and_an_id_of_wordnet() -> None:
    write(*(f"dump/{name}/0.jpg" for name in (*FACTORY, "scratch")))
    assert "scrach: 1 image; is it scratch?" in proposed("dump")
    text = Path("s.classes.csv").read_text()
    text = text.replace("scrach,scrach,", "scrach,scratch,").replace(
        "scratch,scratch,\n", "scratch,Scratch,own:defect\n"
    )
    text = text.replace("oil_stain,oil stain", "oil_stain,n04695884") + ",defect,\n"
    Path("s.classes.csv").write_text(text)
    found = ids()
    assert {wnid for wnid, _ in found["scrach/0"]} == {"own:scratch"}
    assert found["scrach/0"] == found["scratch/0"]
    assert found["oil_stain/0"] == {("n04695884", "oil stain")}


def test_a_misspelt_noun_among_right_ones_is_put_right_with_its_id() -> None:
    write("pics/dog/0.jpg", "pics/cat/0.jpg", "pics/horse/0.jpg", "pics/umbrela/0.jpg")
    text = proposed("pics")
    assert "umbrela: 1 image; is it umbrella?" in text
    assert Path("s.classes.csv").read_text() == "folder,name,below\numbrela,umbrela,\n"
    Path("s.classes.csv").write_text("folder,name,below\numbrela,n04507155,\n")
    found = ids()
    assert found["umbrela/0"] == {("n04507155", "umbrella")}
    assert found["dog/0"] == {("n02084071", "dog")}


def test_labels_of_a_table_are_put_right_too() -> None:
    write("t/a.jpg", "t/b.jpg", "t/c.jpg")
    Path("t/labels.csv").write_text("image,label\na.jpg,dog\nb.jpg,umbrela\nc.jpg,cat\n")
    proposed("t/labels.csv")
    assert Path("s.classes.csv").read_text() == "label,name,below\numbrela,umbrela,\n"
    Path("s.classes.csv").write_text("label,name,below\numbrela,brolly of mine,\n")
    assert ids()["b.jpg"] == {("own:brolly_of_mine", "brolly of mine")}


def test_without_misspelt_names_there_is_no_file() -> None:
    write("pics/dog/0.jpg", "pics/quuxel/0.jpg", "pics/cat/0.jpg")
    text = proposed("pics")
    assert "classes" not in text
    assert not Path("s.classes.csv").exists()
    assert "    quuxel: {name: quuxel}    # 1 image\n" in text


def test_two_folders_that_differ_in_one_letter_are_asked_about() -> None:
    write(
        "pics/frobnix/0.jpg", "pics/frobnix/1.jpg", "pics/frobnex/0.jpg", "pics/dog/0.jpg", "pics/cat/0.jpg"
    )
    assert "frobnex: 1 image; is it frobnix?" in proposed("pics")


def test_the_file_is_not_replaced_without_force(capsys: pytest.CaptureFixture[str]) -> None:
    write("pics/dog/0.jpg", "pics/cat/0.jpg", "pics/umbrela/0.jpg")
    Path("s.classes.csv").write_text("mine\n")
    assert run(["init", "s.yaml", "--from", "pics", "-q"]) == 1
    assert "s.classes.csv exists already" in capsys.readouterr().err
    assert Path("s.classes.csv").read_text() == "mine\n"
    assert not Path("s.yaml").exists()


def test_every_noun_that_was_found_is_told_with_its_score() -> None:
    write("pics/Dent/0.jpg", "pics/cat/0.jpg", "pics/dog/0.jpg")
    text = proposed("pics")
    assert "#   Dent: dent n" in text
    assert ", unsure\n" in text
    assert "#   cat: cat n02121620 (a kind of feline), 0." in text


def test_of_many_nouns_the_unsure_ones_are_told_and_the_others_counted() -> None:
    words = (
        "ant bear bee bison camel cat cheetah clam coyote crow deer dingo dog dolphin donkey duck eagle eel elephant "
        "emu falcon ferret fox frog gecko giraffe gnat goat goose gorilla hamster hare hawk hippopotamus hornet horse "
        "hyena ibis iguana jackal jaguar kangaroo bass crane"
    )
    write(*(f"pics/{word}/0.jpg" for word in words.split()))
    taken = [line for line in proposed("pics").split("\n") if line.startswith("#   ")]
    counted = [line for line in taken if " more with a score of at least 0.8" in line]
    assert len(counted) == 1
    listed = sum("unsure" in line for line in taken)
    assert listed + int(counted[0].split()[2]) == len(words.split())
    assert 0 < listed < 40


def test_most_names_without_a_noun_make_all_own_ones_below_nothing() -> None:
    write(*(f"dump/{name}/0.jpg" for name in ("zxqv", "qwvz", "vzqx", "frobnicated dog", "cat")))
    text = proposed("dump")
    assert "4 of the 5 names of dump are no nouns" in " ".join(text.replace("#", "").split())
    assert "`kind: flat`" in text
    assert "cat: {name: cat}" in text
    assert "below: n" not in text
    assert ids()["cat/0"] == {("own:cat", "cat")}


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["OK", "other", "background", "42", "true"])
def test_a_name_that_names_nothing_is_proposed_so_that_the_next_command_works(name: str) -> None:
    write("pics/dog/0.jpg", "pics/cat/0.jpg", f"pics/{name}/0.jpg")
    proposed("pics")
    assert {wnid for wnid, _ in ids()[f"{name}/0"]} == {f"own:{name.lower()}"}


def test_a_source_without_any_noun_is_proposed_too() -> None:
    write("dump/zxqv/0.jpg", "dump/qwvz/0.jpg")
    proposed("dump")
    assert ids()["zxqv/0"] == {("own:zxqv", "zxqv")}


def test_a_word_for_a_missing_value_is_told() -> None:
    write("pics/dog/0.jpg", "pics/cat/0.jpg", "pics/none/0.jpg")
    assert "none: 1 image, a word for a missing value" in proposed("pics")


def test_the_kinds_of_the_noun_that_a_name_is_placed_below_are_asked_for() -> None:
    write("pics/flying disc/0.jpg", "pics/dog/0.jpg", "pics/cat/0.jpg")
    made = propose(Path("pics"), Path("s.yaml"))
    (one,) = made.own
    assert one.below == "n03208556"
    assert "or one of its kinds:" in one.remark
    assert "Frisbee n03397947" in one.remark


def test_two_sources_with_misspelt_names_share_the_file() -> None:
    write(*(f"all/{path}.jpg" for path in ("one/dog/0", "one/umbrela/0", "one/cat/0", "two/a", "two/b")))
    Path("all/two/labels.csv").write_text("image,label\na.jpg,horse\nb.jpg,qwvz\n")
    text = proposed("all")
    assert text.count("classes: s.classes.csv") == 1
    assert Path("s.classes.csv").read_text() == "folder,name,below\numbrela,umbrela,\n,qwvz,\n"
    assert "Rows without a folder or label have the names" in text
    assert ("own:qwvz", "qwvz") in {label for labels in ids().values() for label in labels}


def test_of_very_many_own_categories_a_file_has_all_and_the_spec_tells_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(class_file, "INLINE", 3)
    monkeypatch.setattr(spec_text, "LISTED", 2)
    write(*(f"dump/{name}/0.jpg" for name in ("zxqv", "qwvz", "vzqx", "kjqw")))
    text = proposed("dump")
    assert "  #   and 4 more\n" in text
    assert len(Path("s.classes.csv").read_text().split()) == 5
    assert len(ids()) == 4


def test_what_two_sources_call_alike_is_told_once() -> None:
    write(*(f"all/{path}.jpg" for path in ("one/dog/0", "one/cat/0", "two/a", "two/b")))
    Path("all/two/labels.csv").write_text("image,label\na.jpg,dog\nb.jpg,cat\n")
    assert proposed("all").count("#   dog: dog n02084071") == 1
