"""`mlimg init --from`: what is there becomes a spec that reads it, and what no noun has an own category."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlimg_build.cli import run
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.proposal.proposal import propose
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import SourceError
from mlimg_build.spec import load_spec
from tests.support.photographs import crops
from tests.support.proposals import write
from tests.support.runs import inline
from tests.support.source_world import write_tar


def built(root: Path, found: str) -> dict[str, set[str]]:
    """The names of the categories in each split of the dataset that the proposed spec builds."""
    spec = root / "spec.yaml"
    made = propose(root / found, spec)
    assert not made.failed, [str(problem) for problem in made.problems]
    spec.write_text(made.text)
    for path, text in made.files.items():
        path.write_text(text)
    assert [line for line in made.text.split("\n") if len(line) > 80] == []
    dataset = open_dataset(build(load_spec(spec), root / "out", inline()).dataset)
    return {
        split: {label.name for image in dataset[split] for label in image.labels if label.state > 0}
        for split in dataset.splits
    }


def names(found: dict[str, set[str]]) -> set[str]:
    return {name for split in found.values() for name in split}


def test_folders_of_categories(tmp_path: Path) -> None:
    write(tmp_path, "pics/dog/a.jpg", "pics/quuxel/b.jpg", "pics/cat/c.jpg")
    assert names(built(tmp_path, "pics")) >= {"dog", "cat", "quuxel"}
    text = (tmp_path / "spec.yaml").read_text()
    assert "    images: pics\n" in text
    assert "    quuxel: {name: quuxel}    # 1 image" in text


def test_a_name_that_is_a_kind_of_a_noun_is_placed_below_it(tmp_path: Path) -> None:
    write(tmp_path, "pics/frobnicated dog/a.jpg", "pics/cat/b.jpg")
    assert "frobnicated dog" in names(built(tmp_path, "pics"))
    assert (
        "frobnicated_dog: {name: frobnicated dog, below: n02084071}" in (tmp_path / "spec.yaml").read_text()
    )


def labels_of(root: Path, found: str) -> dict[str, str]:
    """The category of the examples of the proposed spec, by the folder of each."""
    (one,) = propose(root / found, root / "spec.yaml").sources.values()
    return {label.category: label.name for image in one.examples for label in image.labels}


def test_a_slug_never_takes_the_images_of_a_category_that_is_called_so(tmp_path: Path) -> None:
    write(tmp_path, "p/quuxel+/a.jpg", "p/quuxel+/b.jpg", "p/quuxel/c.jpg", "p/dog!/d.jpg", "p/dog/e.jpg")
    (tmp_path / "p/quuxel+/b.jpg").unlink()
    assert labels_of(tmp_path, "p") == {
        "quuxel+": "quuxel+",
        "quuxel": "quuxel",
        "dog!": "dog!",
        "dog": "dog",
    }


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "folders", [("yes", "no"), ("good", "scratch", "Bad"), ("собачка", "划痕", "كلب"), ("dog", "1e3", "???")]
)
def test_folders_that_no_noun_names_make_a_spec_that_builds(tmp_path: Path, folders: tuple[str, ...]) -> None:
    write(tmp_path, *(f"p/{folder}/a.jpg" for folder in folders))
    assert names(built(tmp_path, "p")) >= {*folders}


def test_what_yaml_or_the_spec_would_read_otherwise_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "dog")
    folders = ("${SECRET}", "quux $$", "no: dog", 'it\'s "x"', "- quuxel", "#quux", "cat")
    write(tmp_path, *(f"${{SECRET}} [1]/train/{folder}/a.jpg" for folder in folders))
    write(tmp_path, "${SECRET} [1]/val/cat/b.jpg", "${SECRET} [1]/${SECRET}/cat/c.jpg")
    found = built(tmp_path, "${SECRET} [1]")
    assert found["train"] >= {*folders}
    assert found["validation"] >= {"cat"}


def test_a_name_with_a_control_character_costs_the_others_nothing(tmp_path: Path) -> None:
    write(tmp_path, *(f"p/quuxel/{i}.jpg" for i in range(30)), "p/zorb\tlish/a.jpg", "p/bad\x01one/a.jpg")
    assert names(built(tmp_path, "p")) == {"quuxel", "zorb lish"}


def test_remarks_stay_in_their_line(tmp_path: Path) -> None:
    write(tmp_path, "d/train/dog/a.jpg", "d/val/dog/b.jpg", "d/x\n  y: {/dog/c.jpg")
    assert names(built(tmp_path, "d")) >= {"dog"}


def test_folders_of_missing_values_alone_are_no_categories(tmp_path: Path) -> None:
    write(tmp_path, "p/null/a.jpg", "p/NaN/b.jpg")
    made = propose(tmp_path / "p", tmp_path / "spec.yaml")
    assert made.failed
    assert made.problems[0].code == "no-category"
    assert "vocabulary" not in made.text


def test_folders_of_splits_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    write(tmp_path, "d/train/dog/a.jpg", "d/train/cat/b.jpg", "d/val/dog/c.jpg", "d/test/dog/e.jpg")
    assert built(tmp_path, "d") == {"train": {"dog", "cat"}, "validation": {"dog"}}
    assert "# test is left out: say where it goes" in (tmp_path / "spec.yaml").read_text()


def test_a_folder_around_all_is_looked_into(tmp_path: Path) -> None:
    write(tmp_path, "d/images/dog/a.jpg", "d/images/cat/b.jpg")
    assert names(built(tmp_path, "d")) >= {"dog", "cat"}


def test_folders_whose_names_are_not_read_are_told(tmp_path: Path) -> None:
    write(tmp_path, "d/animal/dog/a.jpg", "d/animal/cat/b.jpg", "d/car/c.jpg")
    text = propose(tmp_path / "d", tmp_path / "spec.yaml").text
    told = " ".join(text.replace("#", " ").split())
    assert "the folders in animal are no categories: `images: d/animal` takes those" in told
    write(
        tmp_path,
        *(f"e/{wnid}/{wnid}_1.JPEG" for wnid in ("n01440764", "n02084071", "n02121620")),
        "e/zebra/a.jpg",
    )
    assert (
        "# 1 folder or tar without a WordNet id left out: zebra"
        in propose(tmp_path / "e", tmp_path / "e.yaml").text
    )


@pytest.mark.parametrize("tars", [False, True])
def test_imagenet(tmp_path: Path, tars: bool) -> None:
    if tars:
        write_tar(tmp_path / "in" / "n01440764.tar", {"a.JPEG": crops("chelsea", 1, 32)[0]})
    else:
        write(tmp_path, "in/n01440764/a.JPEG")
    assert names(built(tmp_path, "in")) == {"tench"}


def test_open_images(tmp_path: Path) -> None:
    write(tmp_path, "d/images/1.jpg", "d/images/2.jpg")
    rows = ["ImageID,Source,LabelName,Confidence", "1,verification,/m/a,1", "2,verification,/m/b,1"]
    (tmp_path / "d" / "human.csv").write_text("\n".join([*rows, ""]))
    (tmp_path / "d" / "class-descriptions.csv").write_text("LabelName,DisplayName\n/m/a,Dog\n/m/b,Cat\n")
    assert names(built(tmp_path, "d")) >= {"dog", "cat"}


def test_a_table_beside_its_images(tmp_path: Path) -> None:
    write(tmp_path, "d/img/a.jpg", "d/img/b.jpg", "d/img/c.jpg")
    rows = [
        "file,species,set,patient,score",
        "a.jpg,dog;cat,train,p1,0.9",
        "b.jpg,cat;dog,val,p2,1",
        "c.jpg,dog,test,p2,0.8",
    ]
    (tmp_path / "d" / "labels.csv").write_text("\n".join([*rows, ""]))
    found = built(tmp_path, "d")
    assert found["validation"] >= {"dog", "cat"}
    text = (tmp_path / "spec.yaml").read_text()
    assert 'separator: ";"' in text
    assert "image: file, confidence: score, split: set, labels: species" in text
    assert "group: {column: patient}" in text
    assert "images: d/img\n" in text


def test_a_table_with_a_column_for_each_category(tmp_path: Path) -> None:
    write(tmp_path, "d/a.jpg", "d/b.jpg")
    (tmp_path / "d" / "t.csv").write_text("image,dog,cat\na.jpg,1,0\nb.jpg,0,1\n")
    assert names(built(tmp_path, "d/t.csv")) >= {"dog", "cat"}
    assert "labels: [dog, cat]" in (tmp_path / "spec.yaml").read_text()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_may_be_sorted_by_its_splits(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, "d/0.jpg", "d/1200.jpg", "d/1210.jpg")
    columns = {
        "image": [f"{i}.jpg" for i in range(1220)],
        "label": ["dog", "cat"] * 610,
        "split": ["train"] * 1200 + ["val"] * 10 + ["test"] * 10,
    }
    if suffix == "parquet":
        pq.write_table(pa.table(columns), tmp_path / "d" / "t.parquet")
    else:
        rows = [columns, *zip(*columns.values(), strict=True)]
        (tmp_path / "d" / "t.csv").write_text("".join(f"{','.join(row)}\n" for row in rows))
    made = propose(tmp_path / "d", tmp_path / "spec.yaml")
    assert not made.failed
    assert "splits: {test: none, train: train, val: validation}" in made.text
    assert "# split test is left out: say where it goes" in made.text


def test_the_name_of_a_column_may_hold_a_comma(tmp_path: Path) -> None:
    write(tmp_path, "d/a.jpg", "d/b.jpg")
    (tmp_path / "d" / "t.csv").write_text('image,"seen, by",label\na.jpg,x,dog\nb.jpg,y,cat\n')
    assert names(built(tmp_path, "d")) >= {"dog", "cat"}


def test_parquet_that_is_none_is_said_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    os.mkfifo(tmp_path / "pipe.parquet")
    for name, code in (("torn", "list-unreadable"), ("pipe", "list-missing")):
        with pytest.raises(SourceError) as caught:
            propose(tmp_path / f"{name}.parquet", tmp_path / "spec.yaml")
        assert caught.value.code == code


def test_folders_beside_a_table_are_told(tmp_path: Path) -> None:
    write(tmp_path, "d/dog/a.jpg", "d/cat/b.jpg")
    (tmp_path / "d" / "t.csv").write_text("image,label\ndog/a.jpg,dog\ncat/b.jpg,cat\n")
    assert "takes the 2 folders" in propose(tmp_path / "d", tmp_path / "spec.yaml").text


def test_one_column_of_class_numbers_is_taken_and_names_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "d/a.jpg", "d/b.jpg")
    (tmp_path / "d" / "t.csv").write_text("image,label\na.jpg,1\nb.jpg,0\n")
    made = propose(tmp_path / "d/t.csv", tmp_path / "spec.yaml")
    assert "labels: label" in made.text
    assert made.failed
    assert [problem.code for problem in made.problems] == ["numeric-labels"]


def test_coco(tmp_path: Path) -> None:
    write(tmp_path, "d/train2017/1.jpg", "d/val2017/2.jpg")
    for split, number in (("train", 1), ("val", 2)):
        content = {
            "images": [{"id": number, "file_name": f"{number}.jpg", "height": 32, "width": 32}],
            "annotations": [
                {"id": 1, "image_id": number, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 0}
            ],
            "categories": [{"id": 3, "name": "dog", "supercategory": "animal"}],
        }
        (tmp_path / "d" / "annotations").mkdir(exist_ok=True)
        (tmp_path / "d" / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
    found = built(tmp_path, "d")
    assert found["train"] >= {"dog"}
    assert found["validation"] >= {"dog"}


def test_of_coco_files_those_of_instances_are_taken_and_one_that_is_named_alone(tmp_path: Path) -> None:
    write(tmp_path, "d/train2017/1.jpg", "d/val2017/2.jpg")
    (tmp_path / "d" / "annotations").mkdir()
    for split, number in (("train2017", 1), ("val2017", 2)):
        images = [{"id": number, "file_name": f"{number}.jpg", "height": 32, "width": 32}]
        box = {"id": 1, "image_id": number, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 0}
        caption = {"id": 1, "image_id": number, "caption": "a dog"}
        for kind, content in {
            "instances": {"annotations": [box], "categories": [{"id": 3, "name": "dog"}]},
            "captions": {"annotations": [caption]},
            "person_keypoints": {"annotations": [], "categories": [{"id": 1, "name": "person"}]},
        }.items():
            path = tmp_path / "d" / "annotations" / f"{kind}_{split}.json"
            path.write_text(json.dumps({"images": images, **content}))
    assert built(tmp_path, "d") == {"train": {"dog"}, "validation": {"dog"}}
    text = (tmp_path / "spec.yaml").read_text()
    assert "# captions_train2017.json and 3 more left out, as no file of instances" in text
    made = propose(tmp_path / "d/annotations/instances_val2017.json", tmp_path / "one.yaml")
    assert [*made.sources] == ["instances_val2017"]


def test_the_splits_that_names_of_parquet_files_tell(tmp_path: Path) -> None:
    pictures = iter(crops("chelsea", 6, 32))
    for split in ("train", "validation", "test"):
        path = tmp_path / "d" / "data" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        images = [{"bytes": next(pictures), "path": f"{split}{i}"} for i in range(2)]
        pq.write_table(pa.table({"image": images, "label": ["dog", "cat"]}), path)
    assert built(tmp_path, "d") == {"train": {"dog", "cat"}, "validation": {"dog", "cat"}}
    assert "# test is left out: say where it goes" in (tmp_path / "spec.yaml").read_text()


def test_parquet_with_images(tmp_path: Path) -> None:
    one, other = crops("chelsea", 2, 32)
    table = pa.table(
        {"image": [{"bytes": one, "path": "a"}, {"bytes": other, "path": "b"}], "label": ["dog", "cat"]}
    )
    pq.write_table(table, tmp_path / "train.parquet")
    assert names(built(tmp_path, "train.parquet")) >= {"dog", "cat"}


def test_tars_of_samples(tmp_path: Path) -> None:
    one, other = crops("chelsea", 2, 32)
    write_tar(tmp_path / "d" / "a-000.tar", {"1.jpg": one, "1.cls": b"dog", "2.jpg": other, "2.cls": b"cat"})
    assert names(built(tmp_path, "d")) >= {"dog", "cat"}


def test_the_splits_that_names_of_tars_tell_in_a_folder_with_signs_of_a_pattern(tmp_path: Path) -> None:
    one, other = crops("chelsea", 2, 32)
    write_tar(tmp_path / "d [1]*" / "train-0.tar", {"1.jpg": one, "1.cls": b"dog"})
    write_tar(tmp_path / "d [1]*" / "val-0.tar", {"2.jpg": other, "2.cls": b"cat"})
    assert built(tmp_path, "d [1]*") == {"train": {"dog"}, "validation": {"cat"}}


@pytest.mark.parametrize("path", ["nowhere", "empty", "odd.bin", "t.csv"])
def test_what_is_not_known_is_said_with_what_was_found(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd.bin").write_bytes(b"abc")
    (tmp_path / "t.csv").write_text("height,weight\n1.5,3.5\n")
    with pytest.raises(SourceError) as caught:
        propose(tmp_path / path, tmp_path / "spec.yaml")
    assert caught.value.code in ("source-missing", "layout-unknown")
    if path == "t.csv":
        assert "height, weight" in str(caught.value)


def test_the_command_writes_the_spec_and_shows_what_is_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "pics/dog/a.jpg", "pics/quuxel/b.jpg")
    arguments = ["init", f"{tmp_path}/s.yaml", "--from", f"{tmp_path}/pics", "-q"]
    assert run(arguments) == 0
    said = capsys.readouterr()
    assert "pics (folder) was understood as" in said.out
    assert "with 1 name as categories of your own, to be placed" in said.err
    assert run(["check", f"{tmp_path}/s.yaml"]) == 0
    assert run(arguments) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_guess_that_cannot_be_read_is_written_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "numbers/1/a.jpg", "numbers/2/b.jpg")
    assert run(["init", f"{tmp_path}/s.yaml", "--from", f"{tmp_path}/numbers", "-q"]) == 1
    assert "numeric-labels" in capsys.readouterr().err
    assert "images: numbers\n" in (tmp_path / "s.yaml").read_text()
