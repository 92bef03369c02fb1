"""Glosses lie in a file beside the graph: one is read when it is asked for, and they are no part of the digest."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mlimg_build.errors import WordNetError
from mlimg_build.wordnet import Glosses, NounGraph, OwnNoun, glosses, load, read_glosses, save, with_own
from mlimg_build.wordnet.glosses import HEADER, glosses_beside, pack_glosses, shipped_file, shipped_glosses
from mlimg_build.wordnet.noun_names import synset_of, told_apart
from tests.support.command import mlimg
from tests.wordnet.test_wordnet_compiling import DEBIAN, write_database

KITE, ALTERED, UNCOVERED = "n03621473", "n13382471", "n13382306"


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    write_database(tmp_path / "database")
    done = mlimg("wordnet", "compile", tmp_path / "database", "--to", tmp_path / "small.npz")
    assert done.returncode == 0, done.stderr
    assert f"4, are in {tmp_path / 'small.glosses.zip'}" in done.stderr
    return tmp_path / "small.npz"


def test_a_gloss_is_definition_and_examples_as_wordnet_writes_them(wordnet: NounGraph) -> None:
    assert wordnet.gloss(KITE).startswith("plaything consisting of a light frame covered with tissue paper")
    assert wordnet.gloss(wordnet.senses("child")[0]).startswith(
        'a young person of either sex; "she writes books for children"; "they\'re just kids"; '
    )
    assert wordnet.gloss(ALTERED) != wordnet.gloss(UNCOVERED)
    with pytest.raises(WordNetError, match="no noun synset n00000001"):
        wordnet.gloss("n00000001")


def test_every_shipped_synset_has_the_gloss_of_wordnet_base_and_files_stay_small(wordnet: NounGraph) -> None:
    assert all(wordnet.gloss(wnid) for wnid in wordnet.wnids)
    assert all(path.stat().st_size < 4_000_000 for path in shipped_file().parent.glob("wordnet-3.0-*"))
    if not (DEBIAN / "data.noun").is_file():
        pytest.skip("Debian's wordnet-base is not installed: apt-get install wordnet-base")
    assert read_glosses(DEBIAN) == {wnid: wordnet.gloss(wnid) for wnid in wordnet.wnids}


def test_another_release_has_its_own_glosses(compiled: Path) -> None:
    graph = load(compiled)
    said = {graph.name(wnid): graph.gloss(wnid) for wnid in graph.wnids}
    assert said == {"animal": "a thing that moves", "dog": "it barks", "hot dog": "a dish", "Rex": "one dog"}
    assert shipped_glosses(graph.digest) is None


def test_a_graph_without_glosses_is_equal_and_shows_none(compiled: Path) -> None:
    graph = load(compiled)
    (dog,) = graph.senses("domestic dog")
    glosses_beside(compiled).rename(compiled.with_name("moved"))
    bare = load(compiled)
    assert (bare.digest, bare.gloss(dog)) == (graph.digest, "")
    assert NounGraph(graph.content).gloss(dog) == ""
    assert NounGraph(graph.content) == graph
    assert told_apart(bare, [dog, dog[:-1] + "9"], ["x", "x"]) == ["x", "x"]


def test_own_nouns_have_none_and_the_synsets_beside_them_keep_theirs(wordnet: NounGraph) -> None:
    own = OwnNoun("own:stunt", "Stunt kite", (KITE,))
    both = with_own(wordnet, [own])
    assert both.gloss("own:stunt") == ""
    assert both.gloss(KITE) == wordnet.gloss(KITE)
    assert with_own(None, [OwnNoun("own:stunt", "Stunt kite")]).gloss("own:stunt") == ""


def test_the_same_glosses_make_the_same_bytes_and_a_look_up_reads_one_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {f"n{i:08d}": f"number {i}" for i in range(0, 2000, 2)}
    (tmp_path / "g.zip").write_bytes(pack_glosses(texts, "9", "d"))
    assert (tmp_path / "g.zip").read_bytes() == pack_glosses(dict(reversed(texts.items())), "9", "d")
    read = []
    inner = glosses._read
    monkeypatch.setattr(glosses, "_read", lambda archive, name: read.append(name) or inner(archive, name))
    known = Glosses(tmp_path / "g.zip", "d")
    assert [known.of(f"n{i:08d}") for i in (514, 512, 513)] == ["number 514", "number 512", ""]
    assert read == [HEADER, "n00000512"]
    assert [known.of(wnid) for wnid in texts] == [*texts.values()]
    assert known.of("a") == ""


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def bomb(header: bytes) -> bytes:
    return zipped(header, b"n00000000 " + b"x" * (17 << 20))


def zipped(header: bytes, block: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr(HEADER, header, zipfile.ZIP_DEFLATED)
        archive.writestr("n00000000", block)
    return packed.getvalue()


GOOD = json.dumps({"digest": "d", "format": 1, "release": "9"}).encode()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda _: b"a dog\n", "not a zip"),
        (lambda whole: whole[: len(whole) // 2], "not a zip"),
        (lambda whole: flipped(whole, whole.index(b"n00000000") + 60), "cannot be read"),
        (lambda _: zipped(b"[]", b""), "indices"),
        (lambda _: zipped(GOOD.replace(b'"format": 1', b'"format": 9'), b""), "format 9"),
        (lambda _: zipped(GOOD.replace(b'"d"', b'"e"'), b""), "it belongs to the noun graph e, not to d"),
        (lambda _: zipped(GOOD, b"n00000000 x", zipfile.ZIP_LZMA), "another way"),
        (lambda _: zipped(GOOD, b"n00000000 \xff"), "decode"),
        (lambda _: bomb(GOOD), "unpacks to more than"),
    ],
)
def test_a_damaged_file_is_an_error_with_its_path_and_what_to_do(
    tmp_path: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    path = tmp_path / "g.zip"
    whole = pack_glosses({f"n{i:08d}": f"number {i} of many" for i in range(300)}, "9", "d")
    path.write_bytes(damaged := damage(whole))
    assert damaged != whole
    with pytest.raises(WordNetError, match=reason) as caught:
        Glosses(path, "d").of("n00000000")
    assert caught.value.code == "wordnet-damaged"
    assert str(path) in str(caught.value)
    assert "remove this file" in str(caught.value)


def test_a_folder_or_a_glut_of_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "g.zip").write_bytes(pack_glosses({"n00000000": "x"}, "9", "d"))
    monkeypatch.setattr(glosses, "MOST", 10)
    for path in (tmp_path, tmp_path / "g.zip"):
        with pytest.raises(WordNetError) as caught:
            Glosses(path, "d").of("n00000000")
        assert caught.value.code == "wordnet-damaged"


def test_glosses_that_cannot_be_written_are_an_error(wordnet: NounGraph, tmp_path: Path) -> None:
    write_database(tmp_path / "database")
    (tmp_path / "small.glosses.zip").mkdir()
    done = mlimg("wordnet", "compile", tmp_path / "database", "--to", tmp_path / "small.npz")
    assert done.returncode == 1
    assert "small.glosses.zip cannot be written" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"database", "small.glosses.zip", "small.npz"}


def test_a_graph_is_loaded_and_searched_without_its_glosses(
    wordnet: NounGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise AssertionError("a gloss was read")

    monkeypatch.setattr(glosses, "_opened", refuse)
    save(wordnet, tmp_path / "w.npz")
    graph = load(tmp_path / "w.npz")
    assert graph.name(KITE) == "kite"
    assert synset_of(graph, "Labrador retriever") == "n02099712"


def test_senses_with_the_same_words_are_told_apart_by_their_definitions(wordnet: NounGraph) -> None:
    with pytest.raises(WordNetError) as caught:
        synset_of(wordnet, "bench")
    (problem,) = caught.value.problems
    said = {line.split()[1]: line for line in (problem.hint or "").splitlines()[1:]}
    assert said["n02828884"].endswith("a kind of seat, furniture: a long seat for more than one person")
    assert said["n02829116"].endswith("a kind of seat, furniture: (law) the seat for judges in a courtroom")
    assert said["n09456207"].endswith("a kind of tableland, highland"), "these words are its alone"
    once = told_apart(wordnet, [KITE, KITE], ["a kite", "a kite"])
    assert once == ["a kite", "a kite"], "one synset twice"
