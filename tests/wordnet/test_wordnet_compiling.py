"""The shipped file is what the WordNet database compiles to, and any release compiles the same way."""

import subprocess
import sys
import tempfile
from pathlib import Path

import nltk.data
import numpy as np
import pytest

from mlimg_build.errors import WordNetError
from mlimg_build.wordnet import NounGraph, compile_corpus

DEBIAN = Path("/usr/share/wordnet")

HEADER = "  1 This database is made up for a test.  \n  2 WordNet 9.5 Copyright 2099 by nobody.  \n"
INDEX = """\
animal n 1 1 ~ 1 0 {animal}
dog n 2 1 @ 2 1 {sausage} {dog}
domestic_dog n 1 1 @ 1 0 {dog}
hot_dog n 1 1 @ 1 0 {sausage}
rex n 1 1 @i 1 0 {rex}
"""
# Pointers in no order; "dog" and "Dog" spelled both ways in one synset; a first sense with the later id.
SYNSETS = {
    "animal": "05 n 01 animal 0 002 ~ {dog} n 0000 #m {rex} n 0000 | a thing that moves",
    "dog": "05 n 03 dog 0 domestic_dog 0 Dog 0 002 #p {sausage} n 0000 @ {animal} n 0000 | it barks",
    "sausage": "13 n 02 hot_dog 0 dog 1 001 #s {dog} n 0000 | a dish",
    "rex": "18 n 01 Rex 0 001 @i {dog} n 0000 | one dog",
}


def write_database(folder: Path, reverse: bool = False) -> None:
    offsets = dict.fromkeys(SYNSETS, "00000000")
    lines: list[str] = []
    for _ in range(2):
        lines, at = [], len(HEADER)
        for name, text in SYNSETS.items():
            offsets[name] = f"{at:08d}"
            lines.append(f"{at:08d} {text.format(**offsets)}  \n")
            at += len(lines[-1])
    data = "".join(lines)
    if reverse:
        first, second = f"#p {offsets['sausage']} n 0000", f"@ {offsets['animal']} n 0000"
        data = data.replace(f"{first} {second}", f"{second} {first}")
    folder.mkdir(exist_ok=True)
    (folder / "data.noun").write_text(HEADER + data)
    (folder / "index.noun").write_text(HEADER + INDEX.format(**offsets))
    (folder / "noun.exc").write_text("dawgs dog\ndawgs hot_dog\nbeasts animal nothing\n")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    write_database(tmp_path / "database")
    return tmp_path / "database"


@pytest.fixture(scope="module")
def compiled() -> NounGraph:
    if not (DEBIAN / "data.noun").is_file():
        pytest.skip("Debian's wordnet-base is not installed: apt-get install wordnet-base")
    return compile_corpus(DEBIAN)


@pytest.mark.slow
def test_shipped_file_is_what_wordnet_base_compiles_to(wordnet: NounGraph, compiled: NounGraph) -> None:
    assert compiled.digest == wordnet.digest
    ours, theirs = wordnet.content.arrays(), compiled.content.arrays()
    assert ours.keys() == theirs.keys()
    for name, column in ours.items():
        assert column.dtype == theirs[name].dtype
        assert np.array_equal(column, theirs[name])


def test_another_release_compiles_the_same_way(database: Path) -> None:
    graph = compile_corpus(database)
    dog, animal = graph.senses("domestic dog")[0], graph.senses("animal")[0]
    sausage, rex = graph.senses("hot dog")[0], graph.senses("rex")[0]
    assert (graph.release, len(graph)) == ("9.5", 4)
    assert graph.senses("DOG") == (sausage, dog)
    assert graph.lemmas(dog) == ("dog", "domestic_dog", "Dog")
    assert [graph.lexname(wnid) for wnid in (dog, sausage, rex)] == [
        "noun.animal",
        "noun.food",
        "noun.person",
    ]
    assert graph.ancestors(rex) == (dog, animal)
    assert graph.ancestors(dog, ("part_holonym",)) == (sausage,)
    assert graph.ancestors(sausage, ("substance_holonym",)) == (dog,)
    assert graph.ancestors(animal, ("member_holonym",)) == (rex,)
    assert graph.morphy("dawgs") == ("dog", "hot_dog")
    assert graph.morphy("beasts") == ("animal",)


def test_order_of_pointers_changes_nothing(database: Path, tmp_path: Path) -> None:
    write_database(tmp_path / "reversed", reverse=True)
    other = (tmp_path / "reversed" / "data.noun").read_bytes()
    assert other != (database / "data.noun").read_bytes()
    assert compile_corpus(tmp_path / "reversed") == compile_corpus(database)


def test_given_release_wins_over_the_header(database: Path) -> None:
    assert compile_corpus(database, release="9.5-local").release == "9.5-local"
    assert compile_corpus(database, release="9.5-local") != compile_corpus(database)


def test_lexnames_of_the_database_are_used(database: Path) -> None:
    (database / "lexnames").write_text("".join(f"{i:02d}\tnoun.file{i}\t1\n" for i in range(45)))
    graph = compile_corpus(database)
    assert graph.lexname(graph.senses("animal")[0]) == "noun.file5"


def test_compiling_leaves_nltk_and_the_disk_as_they_were(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    before, files = list(nltk.data.path), sorted(database.iterdir())
    compile_corpus(database)
    (database / "noun.exc").write_text("\n\n")
    with pytest.raises(WordNetError):
        compile_corpus(database)
    assert nltk.data.path == before
    assert sorted(database.iterdir()) == files
    assert not list((tmp_path / "scratch").iterdir())


def test_folder_without_a_database_names_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "index.noun").touch()
    with pytest.raises(WordNetError, match=r"lacks data\.noun, noun\.exc") as caught:
        compile_corpus(tmp_path)
    assert caught.value.code == "wordnet-missing"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("data.noun", " | it barks", ""),
        ("data.noun", " 05 n 03", " 99 n 03"),
        ("data.noun", "domestic_dog 0 Dog", "domestic_dog 0 Cat"),
        ("data.noun", "#p 0", "#p 9"),
        ("data.noun", "WordNet 9.5", "Wordnut 9.5"),
        ("index.noun", "dog n 2", "dog n 3"),
        ("index.noun", "rex n 1", "rax n 1"),
        ("noun.exc", "dawgs dog", "dawgs \udcff"),
    ],
)
@pytest.mark.filterwarnings("ignore:No WordNet synset found")
def test_damaged_database_is_refused(database: Path, name: str, old: str, new: str) -> None:
    text = (database / name).read_text()
    assert old in text
    (database / name).write_bytes(text.replace(old, new, 1).encode(errors="surrogateescape"))
    with pytest.raises(WordNetError) as caught:
        compile_corpus(database)
    assert caught.value.code == "wordnet-damaged"


def test_nltk_is_loaded_only_to_compile() -> None:
    code = "import sys, mlimg_build.wordnet as w; w.load(); sys.exit('nltk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
