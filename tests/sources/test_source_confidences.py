"""Confidences: 1 and 0 are what people wrote as 1 and 0; a machine's certainty is no fact."""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlimg_build.sources import Notes, open_source
from mlimg_build.sources.lists.confidences import Speakers, confidences
from mlimg_build.spec import MLImagesSource, OpenImagesSource, TableSource
from tests.support.source_world import Scanned, scan, write

BELOW, ABOVE = np.nextafter(1, 0), np.nextafter(0, 1)
FRACTIONS = ["0.99999999", "0.99999999999999999999", "1e-50", "1e-400", "0." + "9" * 400, "9" * 60 + "e-60"]
FRACTIONS += ["0." + "0" * 400 + "1", "1e-99999999999999999999", "0.1e-9999999999999999999999999"]
ONES = ["1", "1.0", "1e0", "+1.00", "10e-1", "1.", "0.1e1", "1" + "0" * 50 + "e-50", " 1 ", "1e-0"]
ZEROS = ["0", "-0", "0.0", "-0.00", "+0", "0e5", "0e-400", ".0", "0" * 50, "0e99999999999999999999"]
OUTSIDE = ["1.00000001", "1.0000000000000000000001", "-1e-50", "-1e-400", "1.1", "-0.1", "1e999", "10e-0"]
NO_NUMBER = ["nan", "inf", "", "1,0", "0x1", "٣", "1_0", "true", "1e", "e1", "."]


def read(texts: Sequence[str], ignored: float | None = None) -> tuple[list[float | None], Notes]:
    """The confidence of each text, None where it is refused."""
    notes = Notes()
    numbers = np.arange(2, 2 + len(texts))
    values, good = confidences(pa.array(texts, pa.string()), numbers, "list.csv", notes, ignored)
    assert values.dtype == np.float64
    assert not np.signbit(values[good & (values == 0)]).any()
    return [float(value) if kept else None for value, kept in zip(values, good, strict=True)], notes


def test_a_confidence_is_a_number_from_0_to_1() -> None:
    assert read(["1", "0", " 0.85 ", "+.5", "1e-2"])[0] == [1, 0, 0.85, 0.5, 0.01]
    found, notes = read([*OUTSIDE, *NO_NUMBER])
    assert found == [None] * len(found)
    assert notes.counts == {"bad-confidence": len(found)}
    assert notes.examples["bad-confidence"][0] == "list.csv:2: '1.00000001'"


def test_what_is_written_as_1_or_0_is_a_fact() -> None:
    assert read(ONES)[0] == [1.0] * len(ONES)
    assert read(ZEROS)[0] == [0.0] * len(ZEROS)


def test_what_only_rounds_to_1_or_0_is_a_fraction() -> None:
    for text, value in zip(FRACTIONS, read(FRACTIONS)[0], strict=True):
        assert value is not None
        assert 0 < value < 1, text
    assert read(["0.99999999999999999999", "1e-400"])[0] == [BELOW, ABOVE]


def test_the_mark_of_an_ignored_label_is_exactly_that() -> None:
    texts = ["-1", "-1.0", "-1.0000000000000000000001", "-0.99999999999999999999", "0.5"]
    assert read(texts, ignored=-1.0)[0] == [-1, -1, None, None, 0.5]


@given(
    st.from_regex(r"[+-]?([0-9]{1,25}(\.[0-9]{0,25})?|\.[0-9]{1,25})([eE][+-]?[0-9]{1,3})?", fullmatch=True)
)
@example("0.99999999999999994448884876874217297882")
@example("1.00000000000000011102230246251565404236")
def test_no_text_becomes_another_fact_than_it_says(text: str) -> None:
    (found,), notes = read([text])
    exact = Decimal(text)
    if exact < 0 or exact > 1:
        assert found is None
        assert notes.counts["bad-confidence"] == 1
    elif exact in (0, 1):
        assert found == exact
    else:
        assert found is not None
        assert 0 < found < 1
        assert found == float(exact) or (float(exact), found) in {(1.0, BELOW), (0.0, ABOVE)}


def open_images(
    folder: Path, rows: str, header: str = "ImageID,Source,LabelName,Confidence", **more: Any
) -> Scanned:
    write(folder / "images/a.jpg")
    part = OpenImagesSource(
        type="open_images",
        images=folder / "images",
        labels=(write(folder / "labels.csv", f"{header}\n{rows}"),),
        classes=write(folder / "classes.csv", "/m/dog,Dog\n/m/cat,Cat\n"),
        **more,
    )
    return scan(open_source("o", part))


def sure(found: Scanned) -> dict[str, float]:
    return {name: confidence for name, _, confidence in found.statements}


def test_a_machine_s_one_is_not_a_fact_and_its_zero_says_nothing(tmp_path: Path) -> None:
    rows = "a,machine,/m/dog,1\nb,machine,/m/dog,1.0\nc,machine,/m/dog,0\nd,machine,/m/dog,0.0\ne,machine,/m/dog,0.9\n"
    found = open_images(tmp_path, rows)
    assert sure(found) == {"a": BELOW, "b": BELOW, "e": 0.9}
    assert found.counts == {"machine-absence": 2}
    assert found.notes.examples == {"machine-absence": ["labels.csv:4"]}


@pytest.mark.parametrize(
    "value",
    ["verification", "crowdsource-verification", "human", "xclick", "freeform", "activemil", "Verification "],
)
def test_what_people_verified_or_drew_is_a_fact(tmp_path: Path, value: str) -> None:
    found = open_images(tmp_path, f"a,{value},/m/dog,1\nb,{value},/m/dog,0\nc,{value},/m/dog,0.5\n")
    assert sure(found) == {"a": 1, "b": 0, "c": 0.5}
    assert not found.counts


def test_an_unknown_speaker_is_taken_for_a_machine_and_told_with_its_rows(tmp_path: Path) -> None:
    rows = "a,verification,/m/dog,1\nb,v,/m/dog,1\nc,,/m/dog,1\nd,v,/m/dog,1\n"
    found = open_images(tmp_path, rows)
    assert sure(found) == {"a": 1, "b": BELOW, "c": BELOW, "d": BELOW}
    assert found.counts == {"unknown-speaker": 3}
    assert found.notes.examples == {
        "unknown-speaker": ["labels.csv:4: '', taken for a machine", "labels.csv:3: 'v', taken for a machine"]
    }


def test_a_spec_says_who_is_people(tmp_path: Path) -> None:
    rows = "a,v,/m/dog,1\nb,verification,/m/dog,1\nc,machine,/m/dog,1\nd,w,/m/dog,1\n"
    found = open_images(tmp_path, rows, people=("V",))
    assert sure(found) == {"a": 1, "b": BELOW, "c": BELOW, "d": BELOW}
    assert found.counts == {"unknown-speaker": 2}, "whom the spec leaves out may have been forgotten"


def test_a_list_that_does_not_say_who_speaks_is_people_s_unless_there_are_none(tmp_path: Path) -> None:
    header, rows = "ImageID,LabelName,Confidence", "a,/m/dog,1\nb,/m/dog,0\n"
    assert sure(open_images(tmp_path, rows, header)) == {"a": 1, "b": 0}
    found = open_images(tmp_path, rows, header, people=())
    assert sure(found) == {"a": BELOW}
    assert found.counts == {"machine-absence": 1}


def table(path: Path, columns: dict[str, str], **more: Any) -> Scanned:
    part = TableSource(type="table", table=path, images=path.parent, columns=columns, **more)
    return scan(open_source("t", part))


def test_a_table_says_who_spoke_for_a_row_or_for_each_label(tmp_path: Path) -> None:
    body = "image,labels,sure,by\na,dog|cat,1|0,human|machine\nb,dog|cat,1,machine\nc,dog|cat,1,human|machine|human\n"
    found = table(write(tmp_path / "t.csv", body), {"confidence": "sure", "source": "by"})
    assert found.statements == [("a", "dog", 1.0), ("b", "dog", BELOW), ("b", "cat", BELOW)]
    assert found.counts == {"confidence-count": 1, "machine-absence": 1}


def test_a_table_that_a_model_wrote_states_no_fact(tmp_path: Path) -> None:
    """A softmax in float32 reaches 1 and 0 exactly."""
    columns = {"image": ["a", "b"], "labels": [["dog", "cat"], ["dog", "cat"]]}
    sure_of = pa.array([[1.0, 0.0], [0.75, 0.25]], pa.list_(pa.float32()))
    pq.write_table(pa.table({**columns, "sure": sure_of}), tmp_path / "t.parquet")
    found = table(tmp_path / "t.parquet", {"confidence": "sure"}, people=())
    assert found.statements == [("a", "dog", BELOW), ("b", "dog", 0.75), ("b", "cat", 0.25)]


@pytest.mark.parametrize(
    "kind", [pa.float16(), pa.float32(), pa.float64(), pa.decimal128(9, 4), pa.string(), pa.large_string()]
)
def test_a_typed_confidence_is_the_shortest_decimal_that_names_it(tmp_path: Path, kind: pa.DataType) -> None:
    given_values = ["0.9", "0.8", "0.1", "0.7", "1", "0", "0.0001"]
    if pa.types.is_floating(kind):
        numeric = [float(value) for value in given_values]
        values = pa.array(np.array(numeric, f"f{kind.bit_width // 8}"), kind)
    elif pa.types.is_decimal(kind):
        values = pa.array([Decimal(value) for value in given_values], kind)
    else:
        values = pa.array(given_values, kind)
    names = [f"{i}.jpg" for i in range(len(given_values))]
    written = pa.table({"image": names, "labels": ["dog"] * len(names), "sure": values})
    pq.write_table(written, tmp_path / "t.parquet")
    found = table(tmp_path / "t.parquet", {"confidence": "sure"})
    assert [confidence for *_, confidence in found.statements] == [float(value) for value in given_values]


def test_a_typed_fraction_beside_1_stays_a_fraction_and_whole_numbers_are_facts(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    for kind, values, wanted in (
        (pa.float32(), [np.nextafter(np.float32(1), np.float32(0)), 1e-45, np.nan], [0.99999994, 1e-45]),
        (pa.float64(), [BELOW, ABOVE, 1.0], [BELOW, ABOVE, 1.0]),
        (pa.int64(), [1, 0, 2], [1.0, 0.0]),
    ):
        pq.write_table(
            pa.table({"image": names, "labels": ["dog"] * 3, "sure": pa.array(values, kind)}),
            tmp_path / "t.parquet",
        )
        found = table(tmp_path / "t.parquet", {"confidence": "sure"})
        assert [confidence for *_, confidence in found.statements] == wanted


def test_published_lists_keep_fractions_apart_from_facts(tmp_path: Path) -> None:
    dictionary = "category_index\tid\tparent\tname\n0\tn00000001\t-1\tone\n1\tn00000002\t0\ttwo\n"
    lines = "a.jpg\t0:0.99999999\t1:1\nb.jpg\t0:1e-50\t1:1.0000000000000000000001\n"
    part = MLImagesSource(
        type="ml_images",
        lists=(write(tmp_path / "list.txt", lines),),
        dictionary=write(tmp_path / "dictionary.txt", dictionary),
    )
    found = scan(open_source("m", part))
    assert [confidence for *_, confidence in found.statements] == [0.99999999, 1.0, 1e-50]
    assert found.notes.examples == {"bad-confidence": ["list.txt:2: '1.0000000000000000000001'"]}


def test_a_hundred_thousand_speakers_cost_no_more_than_one(tmp_path: Path) -> None:
    """Crowd workers' ids stand in such columns."""

    def spent(speaker: str) -> float:
        said = pa.array([speaker.format(i) for i in range(100_000)])
        speakers = Speakers(("verification",), "list.csv", Notes())
        values, began = np.ones(len(said)), time.process_time()
        speakers.weigh(values, said, np.arange(len(said)))
        assert (values < 1).all()
        return time.process_time() - began

    assert spent("worker {}") < 1 + 20 * spent("worker")
