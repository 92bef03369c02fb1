"""Labels one can trust, from spec to dataset: what goes together, what was reviewed, what every label rests on."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from mlimg_build.compiler.lock.lock_reader import read_lock
from mlimg_build.compiler.lock_stage import lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan.plan_summary import plan_summary
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import DatasetError, SpecError
from mlimg_build.explain.image_labels import explain, explain_category, explain_in
from mlimg_build.explain.label_proofs import prove_labels
from tests.support.runs import inline
from tests.support.sea_world import ANIMAL, CORGI, DOG, SEA, SNAKE, WATER, rows_of, spec, state


def test_a_sea_snake_gets_the_sea_with_the_bound_as_its_confidence(world: Path) -> None:
    built = build(spec(world), world / "out", inline())
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
    built = build(spec(world), world / "out", inline())
    assert state(built.dataset, "plain/p10.jpg") == {
        SNAKE: (1, 1.0, "stated"), ANIMAL: (1, 1.0, "ancestors"),
        WATER: (-1, 1.0, "stated"), SEA: (-1, 1.0, "descendants"),
    }  # fmt: skip
    assert state(built.dataset, "plain/p13.jpg")[SEA] == (-1, 1.0, "stated")


def test_every_label_is_proved_and_a_changed_one_is_found(world: Path) -> None:
    built = build(spec(world), world / "out", inline())
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
    built = build(spec(world), world / "out", inline())
    (label,) = explain(built.dataset, "plain/p00.jpg", "sea")["labels"]
    assert [step["step"] for step in label["chain"]] == ["source", "mapping", "cooccurrence"]
    assert "36 of 40 images had both" in label["chain"][2]["text"]
    assert re.search(r"a share of at least \d\d\.\d %$", label["chain"][2]["text"])
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
    built = build(spec(world), world / "out", inline())
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
    lock(first, world / "out", world / "sea.lock", inline())
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
    lock(vetoed, world / "out", world / "sea.lock", inline())
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
    built = build(loaded, world / "out", inline())
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
    others = seen.set_column(0, "image", pa.array([f"/else/where/q{i:02}.jpg" for i in range(15)]))
    pq.write_table(others, world / "seen.parquet")
    with pytest.raises(SpecError, match=r"q00\.jpg, is for an image of plain, such as p") as caught:
        plan(loaded, world / "out")
    assert caught.value.code == "predictions-not-found"
    (world / "seen.parquet").write_bytes(b"no parquet")
    with pytest.raises(SpecError) as caught:
        plan(loaded, world / "out")
    assert caught.value.code == "predictions-unreadable"


def test_absence_of_a_collapsed_category_says_nothing(world: Path) -> None:
    """No corgi may still be a dog; so no dog is denied, while a present corgi shows a dog."""
    built = build(
        spec(world, "vocabulary:\n", f"vocabulary:\n  collapse: [{DOG}]\n"), world / "out", inline()
    )
    assert state(built.dataset, "plain/p15.jpg")[DOG] == (1, 1.0, "stated")
    assert DOG not in state(built.dataset, "plain/p20.jpg")
    kept = build(spec(world), world / "whole", inline())
    assert state(kept.dataset, "plain/p20.jpg") == {CORGI: (-1, 1.0, "stated")}


def test_a_doubtful_pair_adds_nothing_until_a_person_accepts_it(world: Path) -> None:
    """Learnt from 36 images and added to 319: more than five times as many."""
    with (world / "plain.csv").open("a") as stream:
        stream.write("".join(f"z{i}.jpg,{SNAKE},1\n" for i in range(300)))
    first = spec(world)
    lock(first, world / "out", world / "sea.lock", inline())
    pairs = world / "sea.lock" / "cooccurrence.csv"
    (row,) = (row for row in rows_of(pairs) if (row["antecedent"], row["consequent"]) == (SNAKE, SEA))
    assert (row["together"], row["adds"], row["doubt"], row["veto"], row["accept"]) == (
        "36", "319", "adds-too-many", "", ""
    )  # fmt: skip
    made = plan(first, world / "out")
    (listed,) = (one for one in plan_summary(made)["pair_list"] if one["antecedent"] == SNAKE)
    assert (listed["adds"], listed["fate"]) == (319, "doubtful")
    assert plan_summary(made)["pairs_left_out"] == {"adds-too-many": 1}
    built = build(first, world / "out", inline())
    assert SEA not in state(built.dataset, "plain/z0.jpg")
    (world / "vetoes.csv").write_text(f"antecedent,consequent,veto,accept\n{SNAKE},{SEA},,yes\n")
    accepted = spec(world, "min_images: 10}", "min_images: 10, vetoes: vetoes.csv}")
    (listed,) = (
        one for one in plan_summary(plan(accepted, world / "out"))["pair_list"] if one["antecedent"] == SNAKE
    )
    assert (listed["doubt"], listed["fate"]) == ("adds-too-many", "accepted")
    built = build(accepted, world / "out", inline())
    assert state(built.dataset, "plain/z0.jpg")[SEA][2] == "cooccurrence"
    used = spec(world, "min_images: 10}", "min_images: 10, doubtful: use}")
    assert plan_summary(plan(used, world / "out"))["pairs_left_out"] == {}
    bare = spec(world, "min_images: 10}", "min_images: 10, min_content: 0, max_ratio: 1000}")
    assert {one["doubt"] for one in plan_summary(plan(bare, world / "out"))["pair_list"]} == {""}
