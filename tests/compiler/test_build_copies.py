"""Images with the same bytes count once, with all that is said of any of them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.diff.loading import compare_paths
from mlimg_build.compiler.lint.findings import lint_plan
from mlimg_build.compiler.lint.unused_rules import unused_rules
from mlimg_build.compiler.lock.lock_reader import read_lock
from mlimg_build.compiler.lock_stage import labelled, lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.report_stage import write_report
from mlimg_build.compiler.watchers import Silent
from mlimg_build.dataset import Dataset, Image, copies_in_words, info, open_dataset, order_key, verify
from mlimg_build.errors import LabelError
from mlimg_build.explain.image_labels import explain
from mlimg_build.explain.label_proofs import prove_labels
from mlimg_build.spec import load_spec
from tests.support.copies_world import ANIMAL, CAT, CORGI, DOG, SEA, SPEC, distinct, make_copies
from tests.support.runs import backend, inline

CORGI_AND_DOG = {
    "a": {"one.jpg": (0, [(CORGI, "1")]), "two.jpg": (1, [(DOG, "1")]), **distinct(10)},
    "b": {"same.jpg": (0, [(DOG, "1")]), "cat.jpg": (1, [(CAT, "0.9")]), **distinct(6, CAT, 30)},
}


def built(folder: Path, tables: dict, spec: str = SPEC, **settings: object) -> Built:  # type: ignore[type-arg]
    return build(make_copies(folder, tables, spec), folder / "out", inline(), **settings)  # type: ignore[arg-type]


def labels(image: Image) -> dict[str, tuple[int, float, str]]:
    return {one.wnid: (one.state, round(one.confidence, 4), one.rule) for one in image.labels}


def counted(dataset: Dataset) -> list[Image]:
    return [image for split in dataset.splits.values() for image in split if image.counts]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return built(tmp_path_factory.mktemp("copies"), CORGI_AND_DOG)


def test_of_copies_the_one_with_the_smallest_hash_of_its_id_counts(whole: Built) -> None:
    with open_dataset(whole.dataset) as dataset:
        assert [set(group.ids) for group in dataset.copies] in (
            [{"a/one.jpg", "b/same.jpg"}, {"a/two.jpg", "b/cat.jpg"}],
            [{"a/two.jpg", "b/cat.jpg"}, {"a/one.jpg", "b/same.jpg"}],
        )
        for group in dataset.copies:
            keys = [order_key(name.encode()) for name in group.ids]
            assert keys == sorted(keys)
            assert [dataset.find(name).counts for name in group.ids] == [True, False]
        assert len(counted(dataset)) == 18


def test_what_is_said_of_a_child_and_of_its_parent_is_said_of_one_image(whole: Built) -> None:
    with open_dataset(whole.dataset) as dataset:
        (group,) = (group for group in dataset.copies if "a/one.jpg" in group.ids)
        one = dataset.find(group.ids[0])
        assert labels(one) == {
            CORGI: (1, 1.0, "stated"),
            DOG: (1, 1.0, "stated"),
            ANIMAL: (1, 1.0, "ancestors"),
        }
        assert {label.wnid: label.member for label in one.labels if label.rule == "stated"} == {
            CORGI: "a/one.jpg",
            DOG: "b/same.jpg",
        }
        assert {label.wnid: label.source for label in one.labels if label.rule == "stated"} == {
            CORGI: "a",
            DOG: "b",
        }


def test_the_other_copy_keeps_its_row_its_bytes_and_its_labels(whole: Built) -> None:
    with open_dataset(whole.dataset) as dataset:
        for group in dataset.copies:
            first, second = (dataset.find(name) for name in group.ids)
            assert second.data == first.data != b""
            assert second.labels == second.own_labels
            assert second.copies == first.copies == group.ids
            assert {label.member for label in second.labels} == {second.id}


def test_labels_that_count_are_those_of_a_shard_but_for_copies(whole: Built) -> None:
    with open_dataset(whole.dataset) as dataset:
        for split in dataset.splits.values():
            for shard in range(split.shards):
                mask, spans = split.counted(shard), split.spans("counted", shard)
                category = split.column("counted/category", shard)
                for offset, (start, stop) in enumerate(spans.tolist()):
                    image = split[shard * split.images_per_shard + offset]
                    expected = [label.category for label in image.labels] if mask[offset] else []
                    assert category[start:stop].tolist() == expected
                    assert mask[offset] == image.counts


def test_a_shard_without_copies_gives_its_stored_columns_and_makes_none(whole: Built) -> None:
    seen = 0
    with open_dataset(whole.dataset) as dataset:
        for split in dataset.splits.values():
            for shard in range(split.shards):
                first = shard * split.images_per_shard
                if not any(image.copies for image in split[first : first + split.images_per_shard]):
                    assert split.column("counted/state", shard) is split.column("labels/state", shard)
                    seen += 1
    assert seen


def test_categories_count_copies_once_and_verify_proves_it(whole: Built) -> None:
    with open_dataset(whole.dataset) as dataset:
        wnids = dataset.categories.wnid
        states = [labels(image) for image in counted(dataset)]
        for number, wnid in enumerate(wnids):
            found = sum(one.get(wnid, (0,))[0] > 0 for one in states)
            assert dataset.categories.positives[number] == found
    assert verify(whole.dataset).ok
    assert prove_labels(whole.dataset).ok


def test_counts_say_what_counts_and_what_lies_there(whole: Built) -> None:
    told = info(whole.dataset)
    assert told["images"] == 20
    assert sum(told["copies"]["not_counted"].values()) == 2
    assert told["copies"]["groups"] == told["copies"]["across_sources"] == 2
    assert told["copies"]["other_labels"] == 2
    with open_dataset(whole.dataset) as dataset:
        assert told["labels"]["present"] == sum(len(image.labels) for image in counted(dataset))
        rules = told["labels"]["rules"]
        assert rules["stated"]["present"] == sum(
            label.rule == "stated" for image in counted(dataset) for label in image.labels
        )
    assert whole.copies == {name: value for name, value in told["copies"].items() if name != "not_counted"}


def test_no_shard_knows_of_copies(whole: Built, tmp_path: Path) -> None:
    report = built(tmp_path, CORGI_AND_DOG, SPEC + "duplicates: {exact: report}\n")
    with open_dataset(report.dataset) as one, open_dataset(whole.dataset) as other:
        assert one.digest != other.digest
        for name in one.splits:
            for column in ("images_digest", "labels_digest"):
                files = [
                    dataset.path / name / "shards" / column / "c" / "0" / "0" for dataset in (one, other)
                ]
                assert files[0].read_bytes() == files[1].read_bytes()
        assert len(one.copies) == 0
        assert all(image.counts for split in one.splits.values() for image in split)
    assert report.copies["groups"] == 2
    assert report.copies["exact"] == "report"
    assert verify(report.dataset).ok
    assert prove_labels(report.dataset).ok


@pytest.mark.slow
def test_two_workers_and_another_order_of_sources_make_the_same_groups(whole: Built, tmp_path: Path) -> None:
    loaded = make_copies(tmp_path, CORGI_AND_DOG)
    again = build(loaded, tmp_path / "two", backend(2))
    assert again.digest == whole.digest
    lines = SPEC.splitlines(keepends=True)
    lines[4], lines[5] = lines[5], lines[4]
    turned = build(make_copies(tmp_path, CORGI_AND_DOG, "".join(lines)), tmp_path / "turned", inline())
    with open_dataset(turned.dataset) as one, open_dataset(whole.dataset) as other:
        assert [group.ids for group in one.copies] == [group.ids for group in other.copies]
        for group in one.copies:
            assert labels(one.find(group.ids[0])) == labels(other.find(group.ids[0]))


def test_a_copy_that_people_deny_refutes_what_a_machine_says_of_the_other(tmp_path: Path) -> None:
    made = built(
        tmp_path,
        {
            "a": {"no.jpg": (0, [(ANIMAL, "0")]), **distinct(3)},
            "b": {"yes.jpg": (0, [(CORGI, "0.9")]), **distinct(2, CAT, 30)},
        },
    )
    with open_dataset(made.dataset) as dataset:
        (group,) = dataset.copies
        first = dataset.find(group.ids[0])
        assert {wnid: state for wnid, (state, *_) in labels(first).items()} == {
            ANIMAL: -1, DOG: -1, CORGI: -1, CAT: -1,
        }  # fmt: skip
        (clash,) = first.contradictions
        assert (clash.kept, clash.absent_member, clash.present_member) == (-1, "a/no.jpg", "b/yes.jpg")
        assert dataset.find(group.ids[1]).contradictions == ()
    assert made.copies["contradictions"] == 1
    assert prove_labels(made.dataset).ok


def test_a_contradiction_among_copies_is_an_error_where_there_must_be_none(tmp_path: Path) -> None:
    tables = {
        "a": {"no.jpg": (0, [(DOG, "0")]), **distinct(3)},
        "b": {"yes.jpg": (0, [(CORGI, "1")]), **distinct(2, CAT, 30)},
    }
    with pytest.raises(LabelError, match=r"absent from a/no.jpg, .* present in its copy b/yes.jpg") as caught:
        built(tmp_path, tables, SPEC + "annotation: {conflicts: error}\n")
    assert caught.value.code == "contradiction"
    text = SPEC + "annotation: {conflicts: error}\nduplicates: {exact: report}\n"
    assert built(tmp_path, tables, text).copies["contradictions"] == 1


def test_dropped_contradictions_leave_neither_side(tmp_path: Path) -> None:
    tables = {
        "a": {"no.jpg": (0, [(DOG, "0")]), **distinct(3)},
        "b": {"yes.jpg": (0, [(DOG, "1")]), **distinct(2, CAT, 30)},
    }
    made = built(tmp_path, tables, SPEC + "annotation: {conflicts: drop}\n")
    with open_dataset(made.dataset) as dataset:
        (group,) = dataset.copies
        assert dataset.find(group.ids[0]).labels == ()
        assert len(dataset.find(group.ids[1]).labels) > 0
    assert verify(made.dataset).ok
    assert prove_labels(made.dataset).ok


@pytest.mark.parametrize("policy", ["prefer_verified", "drop"])
def test_what_a_copy_denies_is_no_class_of_a_transfer(policy: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from mlimg_build.training.data.samples import single_labels

    says = "0.9" if policy == "prefer_verified" else "1"
    tables = {
        "a": {"yes.jpg": (0, [(DOG, says)]), "other.jpg": (1, [(DOG, "1")]), **distinct(3)},
        "b": {"no.jpg": (0, [(DOG, "0")]), "same.jpg": (1, [(DOG, "1")]), **distinct(2, CAT, 30)},
    }
    made = built(tmp_path, tables, SPEC.replace("0.4", "0") + f"annotation: {{conflicts: {policy}}}\n")
    with open_dataset(made.dataset) as dataset:
        for source in ("a", None):
            classes = dict(
                zip(
                    (image.id for image in dataset["train"]),
                    single_labels(dataset, "train", source),
                    strict=True,
                )
            )
            dog = dataset.categories.index(DOG)
            assert {name for name, one in classes.items() if one == dog} == {
                group.ids[0] for group in dataset.copies if "a/other.jpg" in group.ids
            }


def test_copies_beside_a_file_that_is_gone_or_touched_are_found_all_the_same(tmp_path: Path) -> None:
    tables = {
        "a": {f"{i}.jpg": (i, [(DOG, "1")]) for i in range(6)} | distinct(3),
        "b": {f"{i}.jpg": (i, [(CAT, "1")]) for i in range(6)},
    }
    spec = SPEC.replace("images_per_shard: 4", "images_per_shard: 64")
    calm = built(tmp_path / "calm", tables, spec)
    assert calm.copies["groups"] == 6

    class Disturbed(Silent):
        def __init__(self, folder: Path, gone: bool) -> None:
            self.folder, self.gone = folder, gone

        def step(self, message: str) -> None:
            if message == "starting workers":  # the plan is made, nothing is read
                if self.gone:
                    (self.folder / "a" / "x0.jpg").unlink()
                os.link(
                    self.folder / "a" / "0.jpg", self.folder / "link"
                )  # its time of change is another now

    for name, gone in (("touched", False), ("gone", True)):
        loaded = make_copies(tmp_path / name, tables, spec)
        made = build(loaded, tmp_path / name / "out", inline(), watcher=Disturbed(tmp_path / name, gone))
        assert made.copies["groups"] == 6, name
        assert (made.digest == calm.digest) == (not gone)
        locked = read_lock(made.lock)
        assert locked.head["dataset"] == (None if gone else calm.digest)
        assert len(locked.repeated) == 12
        assert locked.knows_images == (not gone)
        assert build(loaded, tmp_path / name / "out", inline()).copies["groups"] == 6


def test_a_statement_that_a_stronger_one_hid_may_carry_a_label_of_copies(tmp_path: Path) -> None:
    """Dog 0.9 hides animal 0.8 in its shard; once a copy denies the dog, the animal counts."""
    for number, (one, other) in enumerate(
        (
            ([(DOG, "0.9"), (ANIMAL, "0.8")], [(DOG, "0")]),
            ([(CAT, "0.95"), (ANIMAL, "0.9")], [(CAT, "0")]),
            ([(CORGI, "0.9"), (DOG, "0.7"), (ANIMAL, "0.6")], [(CORGI, "0"), (DOG, "0")]),
        )
    ):
        tables = {
            "a": {"yes.jpg": (0, one), **distinct(3)},
            "b": {"no.jpg": (0, other), **distinct(2, CAT, 30)},
        }
        made = built(tmp_path / str(number), tables)
        with open_dataset(made.dataset) as dataset:
            assert (1, "stated") in {
                (label.state, label.rule) for label in dataset.find(dataset.copies[0].ids[0]).labels
            }
        assert verify(made.dataset).ok
        assert prove_labels(made.dataset).findings == ()


def test_the_report_tells_contradictions_that_copies_decide_otherwise(tmp_path: Path) -> None:
    tables = {
        "a": {"p.jpg": (0, [(DOG, "0"), (DOG, "0.9")]), **distinct(3)},
        "b": {"q.jpg": (0, [(DOG, "1")]), **distinct(2, CAT, 30)},
    }
    for conflicts in ("prefer_verified", "drop"):
        made = built(tmp_path / conflicts, tables, SPEC + f"annotation: {{conflicts: {conflicts}}}\n")
        page = write_report(made.dataset, tmp_path / f"{conflicts}.html").read_text()
        assert "Contradictions" in page


def test_groups_that_copies_tear_apart_are_told(tmp_path: Path) -> None:
    """Every photograph is in both sources, and each source is a group: what is in two splits counts in one."""
    pictures = {f"{i}.jpg": (i, [(DOG, "1")]) for i in range(12)}
    tables = {"a": pictures, "b": pictures}
    spec = SPEC.replace("split: {validation: 0.4}", 'split: {validation: 0.5, by: {pattern: "^./([0-9]+)"}}')
    assert built(tmp_path / "same", tables, spec).warnings == ()
    other = spec.replace("^./([0-9]+)", "^(./[0-9]+)")
    made = built(tmp_path / "other", tables, other)
    (told,) = [one for one in made.warnings if one.code == "copies-across-groups"]
    assert f"{made.copies['across_splits']} files lie in groups of several splits" in told.message
    assert " counts as " in told.message


def test_a_lock_that_knows_no_image_says_nothing_of_copies_outside_a_fraction(tmp_path: Path) -> None:
    loaded = make_copies(tmp_path, CORGI_AND_DOG)
    lock(loaded, tmp_path / "out", tmp_path / "early.lock", inline())
    made = build(loaded, tmp_path / "out", inline(), fraction=0.3, locked=tmp_path / "early.lock")
    assert made.copies["basis"] == "fraction"


def test_a_fraction_of_a_lock_decides_as_the_whole_does(whole: Built, tmp_path: Path) -> None:
    loaded = make_copies(tmp_path, CORGI_AND_DOG)
    everything = build(loaded, tmp_path / "whole", inline())
    assert everything.digest == whole.digest
    part = build(loaded, tmp_path / "part", inline(), fraction=0.3, locked=everything.lock)
    assert part.copies["basis"] == "lock"
    with open_dataset(part.dataset) as some, open_dataset(everything.dataset) as all_:
        assert sum(len(split) for split in some.splits.values()) < 20
        for split in some.splits.values():
            for image in split:
                same = all_.find(image.id)
                assert image.counts == same.counts
                if image.counts:
                    assert labels(image) == labels(same)
                    assert [one.member for one in image.labels] == [one.member for one in same.labels]
        listed = {name for group in some.copies for name in group.ids}
        assert any(None in group.places for group in some.copies)
        assert listed <= {name for group in all_.copies for name in group.ids}
    assert verify(part.dataset).ok
    assert prove_labels(part.dataset).ok


def test_a_fraction_without_a_lock_speaks_of_the_images_at_hand(tmp_path: Path) -> None:
    part = built(tmp_path, CORGI_AND_DOG, fraction=0.3)
    assert part.copies["basis"] == "fraction"
    with open_dataset(part.dataset) as dataset:
        here = {image.id for split in dataset.splits.values() for image in split}
        assert all(set(group.ids) <= here for group in dataset.copies)
    assert verify(part.dataset).ok


def test_a_dataset_of_the_format_before_is_refused_with_what_to_do(whole: Built, tmp_path: Path) -> None:
    copy = tmp_path / "old.zarr"
    shutil.copytree(whole.dataset, copy)
    root = json.loads((copy / "zarr.json").read_text())
    root["attributes"]["format"] = "mlimg-dataset/2"
    (copy / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(Exception, match="mlimg-dataset/2") as caught:
        open_dataset(copy)
    assert "build the dataset again" in str(caught.value)
    (finding,) = verify(copy).findings
    assert finding.code == "format-unsupported"


def test_a_build_replaces_a_dataset_of_the_format_before_without_reading_an_image(tmp_path: Path) -> None:
    first = built(tmp_path, CORGI_AND_DOG)
    root = first.dataset / "zarr.json"
    root.write_text(root.read_text().replace("mlimg-dataset/3", "mlimg-dataset/2"))
    again = build(load_spec(tmp_path / "copies.yaml"), tmp_path / "out", inline())
    assert (again.read, again.digest) == (0, first.digest)
    assert verify(again.dataset).ok


def test_to_count_copies_otherwise_costs_no_image_and_no_label(tmp_path: Path) -> None:
    first = built(tmp_path, CORGI_AND_DOG)
    (tmp_path / "copies.yaml").write_text(SPEC + "duplicates: {exact: report}\n")
    again = build(load_spec(tmp_path / "copies.yaml"), tmp_path / "out", inline())
    assert (first.read, again.read, again.summary["tasks"]) == (20, 0, 0)
    assert again.digest != first.digest


@pytest.mark.slow
def test_verify_finds_a_table_of_copies_that_is_wrong(whole: Built, tmp_path: Path) -> None:
    import zarr

    def codes(change: str, value: object) -> set[str]:
        copy = tmp_path / f"{change.replace('/', '-')}.zarr"
        shutil.copytree(whole.dataset, copy)
        array = zarr.open_array(copy / "copies" / change, mode="r+")
        array[...] = value(array[...])  # type: ignore[operator]
        return {finding.code for finding in verify(copy).findings}

    assert codes("members/row", lambda rows: np.roll(rows, 2)) >= {"copies-differ", "dataset-differs"}
    assert codes("members/id", lambda rows: np.roll(rows, 1, axis=0)) >= {"copies-differ"}
    assert codes("groups/stop", lambda rows: rows + 1) >= {"copies-differ"}
    assert codes("labels/category", lambda rows: rows[::-1]) >= {"dataset-differs"}
    for name in ("members/row", "members/split", "members/id", "groups/stop", "labels/member"):
        for step in (-1, 1):
            copy = tmp_path / f"{name.replace('/', '-')}{step}.zarr"
            shutil.copytree(whole.dataset, copy)
            told = json.loads((copy / "copies" / name / "zarr.json").read_text())
            told["shape"][0] += step
            (copy / "copies" / name / "zarr.json").write_text(json.dumps(told))
            assert not verify(copy).ok, (name, step)


def test_a_lock_of_copies_is_written_without_reading_images(whole: Built, tmp_path: Path) -> None:
    loaded = make_copies(tmp_path, CORGI_AND_DOG)
    lock(replace(loaded), tmp_path / "fresh", tmp_path / "fresh.lock", inline())
    assert (tmp_path / "fresh.lock" / "duplicates.csv").read_text() == "sha256,image\n"
    assert SEA in (tmp_path / "fresh.lock" / "categories.csv").read_text()
    assert len((whole.lock / "duplicates.csv").read_text().splitlines()) == 5


def test_why_of_a_copy_names_the_image_that_counts_and_of_that_the_copy_that_said_it(whole: Built) -> None:
    with open_dataset(whole.dataset) as dataset:
        (group,) = (group for group in dataset.copies if "a/one.jpg" in group.ids)
    first, second = (explain(whole.dataset, name) for name in group.ids)
    assert (first["counts"], second["counts"]) == (True, False)
    assert first["copies"] == second["copies"] == list(group.ids)
    said = {label["wnid"]: label["chain"][0]["text"] for label in first["labels"]}
    other = CORGI if group.ids[1] == "a/one.jpg" else DOG
    assert f"of its copy {group.ids[1]}, {group.ids[1][0]}.csv:" in said[other]
    own = DOG if other == CORGI else CORGI
    assert "of its copy" not in said[own]
    assert {label["member"] for label in second["labels"]} == {group.ids[1]}


def test_lint_lists_copies_that_differ_those_with_other_labels_first(whole: Built, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tables = {
        **CORGI_AND_DOG,
        "b": {**CORGI_AND_DOG["b"], "agrees.jpg": (20, [(SEA, "1")])},
    }
    loaded = make_copies(tmp_path, tables)
    assert labelled(loaded, out, inline(), lint_plan).copied == {}  # nothing was read
    build(loaded, out, inline())
    found = labelled(loaded, out, inline(), lint_plan)
    assert [one.other_labels for one in found.copies] == [True, True, False]
    (cat,) = (one for one in found.copies if "b/cat.jpg" in one.images)
    assert "a/two.jpg: dog" in cat.message
    assert "b/cat.jpg: cat" in cat.message
    assert found.copied["groups"] == 3
    assert found.copied["other_labels"] == 2


def test_conflicts_are_no_unused_rule_where_only_copies_contradict_each_other(tmp_path: Path) -> None:
    tables = {
        "a": {"no.jpg": (0, [(DOG, "0")]), **distinct(3)},
        "b": {"yes.jpg": (0, [(DOG, "1")]), **distinct(2, CAT, 30)},
    }
    made = built(tmp_path, tables, SPEC + "annotation: {conflicts: drop}\n")
    loaded = load_spec(tmp_path / "copies.yaml")
    unused = labelled(loaded, made.dataset.parent, inline(), unused_rules)
    assert not [problem for problem in unused if "contradicted" in problem.message]


def test_copies_are_those_of_the_source_where_images_are_encoded_again(tmp_path: Path) -> None:
    made = built(tmp_path, CORGI_AND_DOG, SPEC + "images: {encoding: {short_side: 32, quality: 90}}\n")
    with open_dataset(made.dataset) as dataset:
        assert len(dataset.copies) == 2
        for group in dataset.copies:
            assert len({dataset.find(name).source_digest for name in group.ids}) == 1
    assert verify(made.dataset).ok


def test_files_that_cannot_be_read_are_no_copies_of_each_other(tmp_path: Path) -> None:
    loaded = make_copies(tmp_path, CORGI_AND_DOG)
    for name in ("one.jpg", "two.jpg"):
        (tmp_path / "a" / name).write_bytes(b"no image")
    for name in ("same.jpg", "cat.jpg"):
        (tmp_path / "b" / name).unlink()
    made = build(loaded, tmp_path / "out", inline())
    assert sum(made.failed.values()) == 4
    with open_dataset(made.dataset) as dataset:
        assert len(dataset.copies) == 0
        assert all(image.counts for split in dataset.splits.values() for image in split)
    assert verify(made.dataset).ok


@pytest.mark.parametrize(
    ("basis", "words"),
    [
        (
            "whole",
            "4 images are copies, of 2 files (1 with other labels, 2 across splits); each file counts once",
        ),
        ("lock", "; copies outside this fraction are those of the lock"),
        ("fraction", "; only the images of this fraction were compared"),
    ],
)
def test_how_many_copies_there_are_is_said_in_words_and_among_which_images(basis: str, words: str) -> None:
    told = {"groups": 2, "images": 4, "other_labels": 1, "across_splits": 2, "across_sources": 0}
    assert words in copies_in_words({"exact": "merge", "basis": basis, **told})
    assert "each copy counts, with its own labels" in copies_in_words(
        {"exact": "report", "basis": basis, **told}
    )


def test_diff_says_that_copies_count_otherwise_and_that_no_shard_changed(
    whole: Built, tmp_path: Path
) -> None:
    other = built(tmp_path, CORGI_AND_DOG, SPEC + "duplicates: {exact: report}\n")
    found = compare_paths(whole.dataset, other.dataset, tmp_path, inline())
    assert found.different
    assert not found.labels
    (change,) = (change for change in found.head if change.what == "duplicates")
    assert (change.before, change.after) == ("merge", "report")
    assert found.level == "minor"
