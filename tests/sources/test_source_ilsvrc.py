"""ImageNet's validation images get their synsets from each form of the list, or an error says what does not fit."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.errors import MlimgError, SourceError
from mlimg_build.sources import SOURCES, ImageReader, place_of
from mlimg_build.sources.ilsvrc import matlab_file
from mlimg_build.sources.ilsvrc.ground_truth import Numbering
from mlimg_build.sources.ilsvrc.matlab_file import MatlabError, read_structures
from mlimg_build.sources.ilsvrc.synset_tables import read_synset_table
from mlimg_build.spec import parse_spec
from tests.support.source_world import Scanned, categories, scan, write, write_tar

WNIDS = ("n02119789", "n01440764", "n02084071")  # as the devkit numbers them from 1
BY_ID = tuple(sorted(WNIDS))  # as Caffe counts them from 0
CLSLOC = "".join(f"{wnid} {i} name_{i}\n" for i, wnid in enumerate(WNIDS, 1))
SYNSETS = "".join(f"{wnid}\n" for wnid in BY_ID)
WORDS = "".join(f"{wnid} name, other {wnid}\n" for wnid in BY_ID)
SHOWN = (2, 0, 1, 2)  # positions in WNIDS of what the images 1 to 4 show
FORMS = {
    "numbers": "".join(f"{at + 1}\n" for at in SHOWN),
    "caffe": "".join(f"{{name}}{i}.JPEG {BY_ID.index(WNIDS[at])}\n" for i, at in enumerate(SHOWN, 1)),
    "bare ids": "".join(f"{WNIDS[at]}\n" for at in SHOWN),
    "plain": "".join(f"{{name}}{i}.JPEG {WNIDS[at]}\n" for i, at in enumerate(SHOWN, 1)),
    "kaggle": "ImageId,PredictionString\n"
    + "".join(f"{{name}}{i},{WNIDS[at]} 1 2 3 4 {WNIDS[at]} 5 6 7 8 \n" for i, at in enumerate(SHOWN, 1)),
}
NAME = "ILSVRC2012_val_0000000"
EXPECTED = [(f"{NAME}{i}", WNIDS[at], 1.0) for i, at in enumerate(SHOWN, 1)]


def meta_mat(compressed: bool, wnids: tuple[str, ...] = WNIDS) -> bytes:
    """The devkit's table as scipy writes it."""
    kinds = [(name, object) for name in ("ILSVRC2012_ID", "WNID", "words", "gloss", "children")]
    synsets = np.zeros((len(wnids), 1), kinds)
    for i, wnid in enumerate(wnids, 1):
        synsets[i - 1, 0] = (np.uint16(i), wnid, f"name {i}, é", "", np.arange(i))
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"version": 1, "synsets": synsets}, do_compression=compressed)
    return stream.getvalue()


def source_of(root: Path, text: str) -> Any:
    head = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  s: "
    part = parse_spec(f"{head}{{type: ilsvrc, {text}}}\n", "x.yaml", root, {}).spec.sources["s"]
    return SOURCES["ilsvrc"]("s", part)


def scanned(
    root: Path, labels: str | bytes, synsets: bytes | str | None = None, table: str = "t.txt"
) -> Scanned:
    write(root / "labels.txt", labels)
    more = ""
    if synsets is not None:
        write(root / table, synsets)
        more = f", synsets: {table}"
    return scan(source_of(root, f"images: val, labels: labels.txt{more}"))


def refused(root: Path, labels: str, synsets: bytes | str | None = None, table: str = "t.txt") -> MlimgError:
    with pytest.raises(SourceError) as caught:
        scanned(root, labels, synsets, table)
    return caught.value


def photographs(root: Path, numbers: tuple[int, ...] = (1, 2, 3, 4)) -> None:
    for number in numbers:
        write(root / "val" / f"{NAME}{number}.JPEG", b"%d" % number)


@pytest.mark.parametrize(
    ("form", "table", "synsets"),
    [
        ("numbers", "meta.mat", meta_mat(True)),
        ("numbers", "meta.mat", meta_mat(False)),
        ("numbers", "map_clsloc.txt", CLSLOC),
        ("caffe", "synsets.txt", SYNSETS),
        ("caffe", "synset_words.txt", WORDS),
        ("bare ids", "t.txt", None),
        ("plain", "t.txt", None),
        ("kaggle", "t.txt", None),
        ("kaggle", "LOC_synset_mapping.txt", WORDS),
    ],
)
@pytest.mark.parametrize("in_tar", [False, True])
def test_every_form_gives_the_same_labels(
    tmp_path: Path, form: str, table: str, synsets: bytes | str | None, in_tar: bool
) -> None:
    photographs(tmp_path)
    labels = FORMS[form].replace("{name}", NAME)
    if in_tar:
        files = {path.name: path.read_bytes() for path in sorted((tmp_path / "val").iterdir())}
        write_tar(tmp_path / "ILSVRC2012_img_val.tar", files)
        write(tmp_path / "labels.txt", labels)
        more = ""
        if synsets is not None:
            write(tmp_path / table, synsets)
            more = f", synsets: {table}"
        source = source_of(tmp_path, f"images: ILSVRC2012_img_val.tar, labels: labels.txt{more}")
        made = scan(source)
        assert source.root == tmp_path
    else:
        made = scanned(tmp_path, labels, synsets, table)
        source = source_of(tmp_path, "images: val, labels: labels.txt")
    assert made.statements == EXPECTED
    assert made.counts == {}
    assert [place_of(one["record"])[1] for one in made.labels] == [
        i + (form == "kaggle") for i in range(1, 5)
    ]
    with ImageReader(source.root) as reader:
        found = [reader.read(one["path"], one["offset"], one["size"]) for one in made.images]
    assert found == [b"1", b"2", b"3", b"4"]


def test_names_of_synsets_come_from_the_table(tmp_path: Path) -> None:
    photographs(tmp_path)
    write(tmp_path / "labels.txt", FORMS["numbers"])
    for table, data, name in (
        ("meta.mat", meta_mat(True), "name 1, é"),
        ("map.txt", CLSLOC, "name 1"),
        ("words.txt", WORDS, "name, other n02119789"),
    ):
        write(tmp_path / table, data)
        found = categories(source_of(tmp_path, f"images: val, labels: labels.txt, synsets: {table}"))
        assert {one.wnid: one.name for one in found}["n02119789"] == name


@pytest.mark.parametrize(
    ("labels", "table", "code", "said"),
    [
        (FORMS["caffe"], CLSLOC, "index-base", "it says 0, and the numbers of t.txt begin at 1"),
        ("{name}1.JPEG 1\n{name}2.JPEG 3\n", SYNSETS, "index-base", "it says 3, and t.txt has 3 lines"),
        (FORMS["numbers"], SYNSETS, "synsets-order", "t.txt is in another order"),
        (FORMS["numbers"].replace("1", "0"), CLSLOC, "index-base", "it counts from 0"),
        (FORMS["numbers"], None, "synsets-missing", "no table says their synsets"),
        (FORMS["caffe"], None, "synsets-missing", "no table says their synsets"),
        (FORMS["numbers"][2:], CLSLOC, "ground-truth-short", "has 3 lines, and there is an image"),
    ],
)
def test_a_list_that_cannot_fit_is_an_error_that_says_why(
    tmp_path: Path, labels: str, table: str | None, code: str, said: str
) -> None:
    photographs(tmp_path)
    error = refused(tmp_path, labels.replace("{name}", NAME), table)
    assert error.code == code
    assert said in str(error)
    assert error.problems[0].hint


def test_numbers_that_would_fit_either_way_are_said(tmp_path: Path) -> None:
    photographs(tmp_path)
    text = f"{NAME}1.JPEG 1\n{NAME}2.JPEG 2\n"
    for table, counted in ((SYNSETS, "counted from 0"), (CLSLOC, "from 1")):
        made = scanned(tmp_path, text, table)
        assert counted in made.notes.examples["index-doubtful"][0]


def test_lines_and_images_without_each_other_are_said_and_kept(tmp_path: Path) -> None:
    photographs(tmp_path, (1, 3))
    made = scanned(tmp_path, FORMS["numbers"], CLSLOC)
    assert made.names == [f"{NAME}1", f"{NAME}3"]
    assert [name for name, _, _ in made.statements] == [f"{NAME}{i}" for i in range(1, 5)]
    plain = scanned(tmp_path, f"{NAME}1.JPEG {WNIDS[0]}\n")
    assert plain.counts == {"image-without-label": 1}
    assert plain.notes.examples["image-without-label"] == [f"{NAME}3"]


def test_a_bad_line_costs_itself_and_shifts_no_other(tmp_path: Path) -> None:
    photographs(tmp_path)
    made = scanned(tmp_path, "3\n\nx\n7\n", CLSLOC)
    assert made.statements == [(f"{NAME}1", WNIDS[2], 1.0)]
    assert made.counts == {"bad-label": 2, "image-without-label": 3}
    assert "7 is not within 1 to 3" in made.notes.examples["bad-label"][1]
    kaggle = f"ImageId,PredictionString\n{NAME}1,n02119789 1 2 3\n{NAME}2,\n,n02119789 1 2 3 4\n"
    assert scanned(tmp_path, kaggle).counts == {
        "bad-label": 1,
        "row-without-label": 1,
        "row-without-image": 1,
        "image-without-label": 4,
    }


@pytest.mark.parametrize("text", ["\n1\n2\n3\n1\n", "1\n \n2\n3\n1\n"])
def test_an_empty_line_that_shifts_the_others_is_an_error_at_it(tmp_path: Path, text: str) -> None:
    photographs(tmp_path)
    error = refused(tmp_path, text, CLSLOC)
    (problem,) = error.problems
    assert problem.code == "ground-truth-short"
    assert problem.place is not None
    assert problem.place.line == 1 + (text[0] == "1")
    assert scanned(tmp_path, text.strip() if text[0] == "\n" else "1\n-\n2\n3\n", CLSLOC).statements


def test_a_bare_list_that_counts_from_0_is_not_sent_to_a_table_that_refuses_it(tmp_path: Path) -> None:
    photographs(tmp_path)
    (problem,) = refused(tmp_path, "0\n1\n2\n0\n", CLSLOC).problems
    assert problem.code == "index-base"
    assert "synsets.txt" not in (problem.hint or "")


def test_two_images_of_one_number_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        Numbering("s", ["a_1", "b_01"])
    assert caught.value.code == "ground-truth-number"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tench\n", "does not begin with a WordNet id"),
        ("n01440764\nn01440764\n", "n01440764 is in line 1, too"),
        ("n01440764 1 a\nn01440765 1 b\n", "the number 1 is that of n01440764, too"),
        ("\n", "no synset"),
    ],
)
def test_a_table_with_a_wrong_line_is_an_error_at_the_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_synset_table(write(tmp_path / "t.txt", text), "the synsets")
    assert said in str(caught.value)


def test_a_matlab_file_says_what_scipy_reads_from_it() -> None:
    for compressed in (False, True):
        data = meta_mat(compressed, tuple(f"n{i:08}" for i in range(1, 300)))
        theirs = scipy.io.loadmat(io.BytesIO(data), squeeze_me=True)["synsets"]
        ours = read_structures(data, "synsets", ("ILSVRC2012_ID", "WNID", "words"))
        assert [(one["ILSVRC2012_ID"], one["WNID"], one["words"]) for one in ours] == [
            (float(one["ILSVRC2012_ID"]), str(one["WNID"]), str(one["words"])) for one in theirs
        ]


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_a_damaged_matlab_file_is_an_error_or_a_table(at: int, put: bytes) -> None:
    data = bytearray(meta_mat(False))
    data[at : at + len(put)] = put
    with suppress(MatlabError):
        for one in read_structures(bytes(data), "synsets", ("ILSVRC2012_ID", "WNID")):
            assert one.keys() == {"ILSVRC2012_ID", "WNID"}


def test_a_matlab_file_takes_no_memory_that_its_header_asks_for() -> None:
    data = meta_mat(False)
    shape = struct.pack("<IIii", 5, 8, 3, 1)
    assert shape in data
    huge = data.replace(shape, struct.pack("<IIii", 5, 8, 2**31 - 1, 2**31 - 1))
    assert len(read_structures(huge, "synsets", ("WNID",))) == len(WNIDS)


def test_compressed_elements_share_one_limit_also_where_the_first_reaches_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matlab_file, "UNPACKED", 1 << 10)
    packed = [zlib.compress(bytes(size)) for size in (1 << 10, 1 << 20)]
    data = bytes(126) + b"IM" + b"".join(struct.pack("<II", 15, len(one)) + one for one in packed)
    with pytest.raises(MatlabError, match="unpacks to more than 1,024 bytes"):
        read_structures(data, "synsets", ("WNID",))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no matlab" * 100, "no MATLAB file of version 5"),
        (meta_mat(True)[:400], "it is damaged"),
        (meta_mat(False, ()), "no synset"),
        (meta_mat(False).replace(b"WNID", b"WXID"), "no field WNID"),
        (meta_mat(False).replace(b"synsets", b"sinsets"), "no array of structures synsets"),
        (meta_mat(False).replace(b"n02119789", b"x02119789"), "no WordNet id"),
    ],
)
def test_a_matlab_file_that_is_no_table_is_an_error(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_synset_table(write(tmp_path / "meta.mat", data), "the synsets")
    assert said in str(caught.value)
    assert caught.value.code == "list-unreadable"
