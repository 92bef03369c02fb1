"""Labels one can trust, from spec to dataset: what goes together, what was reviewed, what every label rests on."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from photographs import crops
from runs import shared as backend

from mlimg_build.build.compiling import build, labelled, lock, plan
from mlimg_build.build.explaining import explain, explain_category, explain_in
from mlimg_build.build.linting import lint_plan
from mlimg_build.build.locked import read_lock
from mlimg_build.build.replaying import prove_labels
from mlimg_build.build.reviewing import COLUMNS, write_review
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import DatasetError, SpecError
from mlimg_build.spec import LoadedSpec, load_spec

SNAKE, SEA, WATER, DOG, CORGI, ANIMAL = (
    "n01749244", "n09426788", "n09225146", "n02084071", "n02112826", "n00015388"
)  # fmt: skip

SPEC = """\
mlimg: 1
name: sea
version: 1.0.0
sources:
  rows:
    type: table
    table: rows.csv
    images: images
    columns: {confidence: sure}
  plain:
    type: table
    table: plain.csv
    images: images
    columns: {confidence: sure}
vocabulary:
  mapping: {file: mapping.csv}
  include: [n00015388]
annotation:
  unlabelled: keep
  cooccurrence: {learn_from: [rows], min_images: 10}
dataset:
  images_per_shard: 32
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Two tables of labels without images: in one, sea snakes are nearly always in the sea."""
    (tmp_path / "images").mkdir()
    rows = ["image,labels,sure"]
    rows += [f"r{i:02}.jpg,{SNAKE}|{SEA},1|1" for i in range(36)]
    rows += [f"r{i:02}.jpg,{SNAKE},1" for i in range(36, 40)]
    rows += [f"r{i:02}.jpg,{DOG},1" for i in range(40, 60)]
    plain = ["image,labels,sure"]
    plain += [f"p{i:02}.jpg,{SNAKE},1" for i in range(10)]
    plain += [f"p{i:02}.jpg,{SNAKE}|{WATER},1|0" for i in range(10, 13)]  # a snake in a box: no water
    plain += [f"p{i:02}.jpg,{SNAKE}|{SEA},1|0" for i in range(13, 15)]
    plain += [f"p{i:02}.jpg,corgi,1" for i in range(15, 20)]
    plain += [f"p{i:02}.jpg,corgi,0" for i in range(20, 25)]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "plain.csv").write_text("\n".join(plain) + "\n")
    (tmp_path / "mapping.csv").write_text("source,category,wnid,relation,reviewer\n")
    (tmp_path / "sea.yaml").write_text(SPEC)
    return tmp_path


def spec(world: Path, old: str = "", new: str = "") -> LoadedSpec:
    text = (world / "sea.yaml").read_text()
    assert old in text
    (world / "edited.yaml").write_text(text.replace(old, new) if old else text)
    return load_spec(world / "edited.yaml")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return [*csv.DictReader(stream)]


def state(path: Path, image: str) -> dict[str, tuple[int, float, str]]:
    with open_dataset(path) as dataset:
        return {
            label.wnid: (label.state, round(label.confidence, 4), label.rule)
            for label in dataset.find(image).labels
        }


def test_a_sea_snake_gets_the_sea_with_the_bound_as_its_confidence(world: Path) -> None:
    built = build(spec(world), world / "out", backend())
    added = state(built.dataset, "plain/p00.jpg")
    with open_dataset(built.dataset) as dataset:
        (pair,) = (
            pair for pair in dataset.pairs
            if dataset.categories.wnid[pair.antecedent] == SNAKE and dataset.categories.wnid[pair.consequent] == SEA
        )  # fmt: skip
        assert (pair.together, pair.images) == (36, 40)
        assert added[SEA] == (1, round(pair.bound, 4), "cooccurrence")
    assert 0.7 < added[SEA][1] < 0.9, "the bound lies below the share of 36 in 40"
    assert added[WATER] == (1, added[SEA][1], "cooccurrence_ancestors")
    assert added[SNAKE] == (1, 1.0, "stated")


def test_what_people_denied_is_not_added(world: Path) -> None:
    built = build(spec(world), world / "out", backend())
    assert state(built.dataset, "plain/p10.jpg") == {
        SNAKE: (1, 1.0, "stated"), ANIMAL: (1, 1.0, "ancestors"),
        WATER: (-1, 1.0, "stated"), SEA: (-1, 1.0, "descendants"),
    }  # fmt: skip
    assert state(built.dataset, "plain/p13.jpg")[SEA] == (-1, 1.0, "stated")


def test_every_label_is_proved_and_a_changed_one_is_found(world: Path) -> None:
    built = build(spec(world), world / "out", backend())
    proof = prove_labels(built.dataset)
    assert proof.ok
    assert proof.by_rule["cooccurrence"] > 0
    assert proof.labels == sum(proof.by_rule.values())
    confidence = zarr.open(built.dataset, mode="r+")["train/labels/rule"]
    row = np.asarray(confidence[0])
    row[int(np.flatnonzero(row == 3)[0])] = 0
    confidence[0] = row
    broken = prove_labels(built.dataset)
    assert {finding.code for finding in broken.findings} >= {"label-no-path"}
    assert all(finding.image and finding.shard == 0 for finding in broken.findings)


def test_why_tells_the_pair(world: Path) -> None:
    built = build(spec(world), world / "out", backend())
    (label,) = explain(built.dataset, "plain/p00.jpg", "sea")["labels"]
    assert [step["step"] for step in label["chain"]] == ["source", "mapping", "cooccurrence"]
    assert "36 of 40 images had both" in label["chain"][2]["text"]
    assert label["chain"][2]["place"].startswith("edited.yaml:")
    (water,) = explain(built.dataset, "plain/p00.jpg", WATER)["labels"]
    assert [step["step"] for step in water["chain"]][-2:] == ["cooccurrence", "implication"]
    (sea,) = explain_category(built.dataset, "sea")["categories"]
    assert {(group["state"], group["rule"], group["source"]) for group in sea["labels"]} == {
        ("present", "stated", "rows"), ("present", "cooccurrence", "rows"), ("present", "cooccurrence", "plain"),
        ("absent", "stated", "plain"), ("absent", "descendants", "plain"),
    }  # fmt: skip
    with pytest.raises(DatasetError, match="no category is called"):
        explain_category(built.dataset, "sea snak")


def test_every_chain_begins_at_a_row_and_ends_at_its_label(world: Path) -> None:
    built = build(spec(world), world / "out", backend())
    with open_dataset(built.dataset) as dataset:
        for image in dataset.train:
            for label in explain_in(dataset, image.id)["labels"]:
                steps = [step["step"] for step in label["chain"]]
                assert steps[:2] == ["source", "mapping"]
                assert f" is {label['state']} (" in label["chain"][0]["text"]
                last = label["chain"][-1]["text"].rsplit(": ", 1)
                if label["rule"] == "stated":
                    assert (len(steps), label["via"]) == (2, label["wnid"])
                elif label["rule"] == "cooccurrence":
                    assert last[0].endswith(f"goes with {label['name']}")
                else:
                    assert last[1].split(" → ")[-1] == label["name"]


def test_a_veto_takes_a_pair_away_and_keeps_it_in_the_lock(world: Path) -> None:
    first = spec(world)
    lock(first, world / "out", world / "sea.lock", backend())
    pairs = world / "sea.lock" / "cooccurrence.csv"
    rows = rows_of(pairs)
    assert {(row["antecedent"], row["consequent"]) for row in rows} == {
        (SNAKE, SEA),
        (SEA, SNAKE),
        (WATER, SNAKE),
    }
    for row in rows:
        row["veto"] = "in aquaria" if row["consequent"] == SEA else ""
    with (world / "vetoes.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    vetoed = spec(world, "min_images: 10}", "min_images: 10, vetoes: vetoes.csv}")
    lock(vetoed, world / "out", world / "sea.lock", backend())
    told = {(row["antecedent"], row["consequent"], row["veto"]) for row in rows_of(pairs)}
    assert told == {
        (SNAKE, SEA, "x"), (SEA, SNAKE, ""), (WATER, SNAKE, ""),
        (SNAKE, WATER, ""),  # which the sea had brought
    }  # fmt: skip
    locked = read_lock(world / "sea.lock")
    (sea,) = (row for row in locked.tables["categories.csv"] if row["wnid"] == SEA)
    assert (sea["stated"], sea["cooccurring"]) == ("36", "0")


def test_only_the_named_sources_get_labels(world: Path) -> None:
    loaded = spec(world, "min_images: 10}", "min_images: 10, add_to: [rows]}")
    built = build(loaded, world / "out", backend())
    assert SEA not in state(built.dataset, "plain/p00.jpg")
    assert state(built.dataset, "rows/r39.jpg")[SEA][2] == "cooccurrence"
    assert prove_labels(built.dataset).ok


def test_pairs_are_learnt_from_what_a_model_sees(world: Path) -> None:
    """The published way: of the images of a category, the share in which the model sees another one."""
    seen = pa.table(
        {
            "image": [f"/some/where/images/p{i:02}.jpg" for i in range(15)],
            "labels": [[{"wnid": DOG, "name": "dog", "score": 0.99 if i < 14 else 0.94}] for i in range(15)],
        },
        schema=pa.schema(
            [
                ("image", pa.string()),
                (
                    "labels",
                    pa.list_(
                        pa.struct([("wnid", pa.string()), ("name", pa.string()), ("score", pa.float32())])
                    ),
                ),
            ]
        ),
    )
    pq.write_table(seen, world / "seen.parquet")
    loaded = spec(
        world, "{learn_from: [rows], min_images: 10}",
        "{learn_from: [plain], predictions: seen.parquet, min_images: 10, confidence: 0.5}",
    )  # fmt: skip
    facts = plan(loaded, world / "out").facts
    wnids = facts.vocabulary.wnids
    found = {
        (wnids[low], wnids[high]): (together, images)
        for low, high, together, images in zip(
            facts.pairs.antecedent,
            facts.pairs.consequent,
            facts.pairs.together,
            facts.pairs.images,
            strict=True,
        )
    }
    assert found[SNAKE, DOG] == (14, 15), "a score of 0.94 is below 0.95"
    (world / "seen.parquet").write_bytes(b"no parquet")
    with pytest.raises(SpecError) as caught:
        plan(loaded, world / "out")
    assert caught.value.code == "predictions-unreadable"


def test_absence_of_a_collapsed_category_says_nothing(world: Path) -> None:
    """No corgi may still be a dog; so no dog is denied, while a present corgi shows a dog."""
    built = build(
        spec(world, "vocabulary:\n", f"vocabulary:\n  collapse: [{DOG}]\n"), world / "out", backend()
    )
    assert state(built.dataset, "plain/p15.jpg")[DOG] == (1, 1.0, "stated")
    assert DOG not in state(built.dataset, "plain/p20.jpg")
    kept = build(spec(world), world / "whole", backend())
    assert state(kept.dataset, "plain/p20.jpg") == {CORGI: (-1, 1.0, "stated")}


def test_only_signed_rows_of_a_review_are_decisions(world: Path) -> None:
    made = plan(spec(world), world / "out")
    path = world / "mapping.csv"
    assert write_review(made, path) == (1, 0)
    (row,) = rows_of(path)
    assert tuple(row) == COLUMNS
    assert (row["category"], row["wnid"], row["reviewer"]) == ("corgi", CORGI, "")
    assert row["evidence"]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*row, "note"])
        writer.writeheader()
        writer.writerow({**row, "wnid": DOG, "relation": "is_a", "reviewer": "mg", "note": "seen by me"})
    again = plan(
        spec(world, "mapping: {file: mapping.csv}", "mapping: {file: mapping.csv, is_a: use}"), world / "out"
    )
    (corgi,) = (row for row in again.facts.vocabulary.placed if row.decision.id == "corgi")
    decision = corgi.decision
    assert (decision.wnid, decision.method, decision.relation, decision.reviewer) == (
        DOG,
        "file",
        "is_a",
        "mg",
    )
    assert corgi.narrower
    with path.open("a") as stream:
        stream.write("rows,walrus,walrus,n02081571,,same_as,,,,,,ann,\n")
    write_review(again, path)
    kept = {row["category"]: row for row in rows_of(path)}
    assert (kept["corgi"]["wnid"], kept["corgi"]["reviewer"], kept["corgi"]["note"]) == (
        DOG,
        "mg",
        "seen by me",
    )
    assert kept["walrus"]["reviewer"] == "ann", "signed, though no source has it today"
    path.write_text(path.read_text().replace(",mg,", ",,"))
    write_review(plan(spec(world), world / "out"), path)
    (row,) = (row for row in rows_of(path) if row["category"] == "corgi")
    assert (row["wnid"], row["reviewer"], row["note"]) == (DOG, "", "seen by me"), "corrected, not signed yet"


def test_a_file_of_somebody_else_is_not_written_over(world: Path) -> None:
    made = plan(spec(world), world / "out")
    for name, data in (
        ("a.jpg", crops("chelsea", 1)[0]),
        ("a.csv", b"x,y\n1,2\n"),
        ("b.csv", b'source,"cat'),
    ):
        (world / name).write_bytes(data)
        with pytest.raises(SpecError) as caught:
            write_review(made, world / name)
        assert caught.value.code == "not-replaceable"
        assert (world / name).read_bytes() == data


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("source,category,wnid\nplain,corgi\n", "row-width"),
        ("source,category,wnid\nplain,corgi,,x\n", "row-width"),
        ('source,category,wnid\nplain,"corgi,\n', "list-unreadable"),
        ("source,category\n", "column-missing"),
        ("", "column-missing"),
    ],
)
def test_a_broken_review_is_refused_with_its_line(world: Path, text: str, code: str) -> None:
    (world / "mapping.csv").write_text(text)
    with pytest.raises(SpecError) as caught:
        plan(spec(world), world / "out")
    assert caught.value.code == code
    assert str(caught.value.problems[0].place).startswith(str(world / "mapping.csv"))


def test_rules_without_effect_are_told_with_their_line(world: Path) -> None:
    (world / "mapping.csv").write_text(f"source,category,wnid\nrows,unicorn,{DOG}\n")
    loaded = spec(
        world, "vocabulary:\n",
        "vocabulary:\n  join: {n02121620: [n02123045]}\n  exclude_below: [n02958343]\n  collapse: [n02512053]\n",
    )  # fmt: skip
    told = {
        str(problem.place).rsplit("/", 1)[-1]: problem.message
        for problem in plan(loaded, world / "out").unused
    }
    assert told == {
        "edited.yaml:16:22": "no source category is tabby n02123045, so none is joined",
        "edited.yaml:17:19": "no source category is car n02958343, so none is excluded",
        "edited.yaml:18:14": "no source category lies below fish n02512053, so none is collapsed",
        "mapping.csv:2:1": "no label of source rows is about unicorn",
    }


def test_lint_finds_what_to_look_at(world: Path) -> None:
    found = labelled(spec(world), world / "out", backend(), lint_plan)
    kinds = {(one.kind, one.wnid) for one in found.findings}
    assert ("same-as-parent", CORGI) not in kinds, "there are dogs that are no corgis"
    assert ("same-as-parent", SEA) in kinds, "wherever there is water, it is the sea"
    assert found.contradictions == []
    assert json.dumps(found.shape)


def test_contradictions_are_summed_up_by_who_said_what(world: Path) -> None:
    with (world / "plain.csv").open("a") as stream:
        stream.write("".join(f"q{i}.jpg,{CORGI}|{DOG},0.9|0\n" for i in range(3)))
        stream.write(f"q9.jpg,{CORGI}|{DOG},1|0\n")
    built = build(spec(world), world / "out", backend())
    (file,) = built.lock.parent.glob("*.contradictions.csv")
    rows = rows_of(file)
    assert [
        (row["absent_name"], row["present_name"], row["how"], row["stands"], row["images"]) for row in rows
    ] == [
        ("dog", "corgi", "machine", "absence", "3"),
        ("dog", "corgi", "people", "presence", "1"),
    ]
    assert rows[0]["said_by"] == "plain/plain.csv"


def test_a_source_that_denies_what_another_says_of_a_copy_is_reported(world: Path) -> None:
    """The same photograph lies in both sources: one saw a dog, one saw that there is no animal."""
    for name in ("r40.jpg", "x.jpg"):
        (world / "images" / name).write_bytes(crops("chelsea", 1)[0])
    with (world / "plain.csv").open("a") as stream:
        stream.write(f"x.jpg,{ANIMAL},0\n")
    built = build(spec(world), world / "out", backend())
    assert read_lock(built.lock).repeated.keys() == {"plain/x.jpg", "rows/r40.jpg"}
    (file,) = built.lock.parent.glob("*.contradictions.csv")
    (row,) = rows_of(file)
    assert (row["absent_name"], row["said_by"], row["present_name"], row["and_by"]) == (
        "animal", "plain/plain.csv", "dog", "rows/rows.csv"
    )  # fmt: skip
    assert (row["how"], row["stands"], row["images"]) == ("copy", "each for its copy", "1")
    assert row["example"] == "plain/x.jpg = rows/r40.jpg"
    assert state(built.dataset, "rows/r40.jpg")[ANIMAL][0] == 1


def test_copies_of_images_that_left_the_sources_leave_the_lock(world: Path) -> None:
    for name in ("r40.jpg", "r41.jpg", "r42.jpg"):
        (world / "images" / name).write_bytes(crops("chelsea", 1)[0])
    built = build(spec(world), world / "out", backend())
    lock(spec(world), world / "elsewhere", built.lock, backend())
    assert read_lock(built.lock).repeated.keys() == {f"rows/r4{i}.jpg" for i in range(3)}, "not built there"
    with (world / "plain.csv").open("a") as stream:
        stream.write("".join(f"z{i}.jpg,corgi,1\n" for i in range(40)))  # other images belong in every shard
    lock(spec(world), world / "elsewhere", built.lock, backend())
    assert read_lock(built.lock).repeated == {}, "nobody knows whether they are still the same"
