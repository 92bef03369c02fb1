"""A file that is missing, cut, edited or of another kind is refused with a reason."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlimg_build.errors import WordNetError
from mlimg_build.wordnet import NounGraph, load, save

Arrays = dict[str, np.ndarray]


def refusal(path: Path) -> WordNetError:
    with pytest.raises(WordNetError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "hint: " in str(caught.value)
    return caught.value


@pytest.fixture(scope="module")
def whole(wordnet: NounGraph, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "whole.npz"
    save(wordnet, path)
    return path.read_bytes()


@pytest.fixture
def unpacked(whole: bytes) -> Arrays:
    with np.load(io.BytesIO(whole)) as arrays:
        return dict(arrays)


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.npz").code == "wordnet-missing"


def test_folder_in_place_of_a_file_is_told_how_to_compile_it(tmp_path: Path) -> None:
    error = refusal(tmp_path)
    assert error.code == "wordnet-missing"
    assert "mlimg wordnet compile" in str(error)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_file_is_refused(whole: bytes, tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.npz"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert refusal(path).code == "wordnet-damaged"


def test_text_and_plain_arrays_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("dog\n")
    np.save(tmp_path / "plain.npy", np.arange(3))
    np.savez(tmp_path / "other.npz", a=np.arange(3))
    for name in ("text.npz", "plain.npy", "other.npz"):
        assert refusal(tmp_path / name).code == "wordnet-damaged"


def test_pickled_objects_are_never_loaded(unpacked: Arrays, tmp_path: Path) -> None:
    unpacked["words"] = np.array([{"dog": 1}], dtype=object)
    np.savez(tmp_path / "objects.npz", **unpacked)
    assert refusal(tmp_path / "objects.npz").code == "wordnet-damaged"


def test_edited_content_does_not_match_its_digest(unpacked: Arrays, tmp_path: Path) -> None:
    unpacked["pairs_hypernym"][-1, 1] -= 1
    np.savez(tmp_path / "edited.npz", **unpacked)
    error = refusal(tmp_path / "edited.npz")
    assert error.code == "wordnet-damaged"
    assert "has digest" in str(error)


def test_file_of_another_format_says_so(unpacked: Arrays, tmp_path: Path) -> None:
    header = {**json.loads(unpacked["header"].tobytes()), "format": 99}
    unpacked["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez(tmp_path / "later.npz", **unpacked)
    error = refusal(tmp_path / "later.npz")
    assert error.code == "wordnet-format"
    assert "format 99" in str(error)


@pytest.mark.parametrize(
    ("column", "change", "reason"),
    [
        ("offsets", lambda a: a[::-1], "ids do not rise"),
        ("lexfiles", lambda a: a + np.uint8(200), "no lexicographer file"),
        ("word_start", lambda a: a[:-1], "no lemma"),
        ("sense_order", np.zeros_like, "index of senses"),
        ("pairs_hypernym", lambda a: a + np.int32(1_000_000), "leads to no synset"),
        ("pairs_part_holonym", lambda a: a[::-1], "not sorted"),
        ("offsets", lambda a: a.astype(np.float64), "float64"),
    ],
)
def test_content_that_breaks_a_law_is_refused_with_the_law(
    unpacked: Arrays, tmp_path: Path, column: str, change: Callable[[np.ndarray], np.ndarray], reason: str
) -> None:
    unpacked[column] = change(unpacked[column])
    np.savez(tmp_path / "lawless.npz", **unpacked)
    error = refusal(tmp_path / "lawless.npz")
    assert error.code == "wordnet-damaged"
    assert reason in str(error)


def test_graph_that_cannot_be_written_leaves_nothing(wordnet: NounGraph, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    for path in (tmp_path / "taken", tmp_path / "nowhere" / "w.npz"):
        with pytest.raises(WordNetError) as caught:
            save(wordnet, path)
        assert caught.value.code == "wordnet-unwritable"
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_saving_replaces_an_older_file(wordnet: NounGraph, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(b"old")
    save(wordnet, path)
    assert load(path) == wordnet
