"""Builds of tars of samples: what was exported comes back, each label has its place, workers change nothing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from urllib.parse import unquote

import pytest

from mlimg_build.compiler.facts.preflight import missing_paths
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan.plan_summary import plan_summary
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import open_dataset
from mlimg_build.explain.image_labels import explain_in
from mlimg_build.exporters import EXPORTERS, export
from mlimg_build.spec import load_spec
from tests.support.photographs import crops
from tests.support.runs import backend, inline, tree
from tests.support.source_world import write, write_tar

HEAD = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"
DOG, CAT = "n02084071", "n02121620"
FIELDS = "{labels: present.wnid, confidence: present.confidence, absent: absent.wnid, licence: licence, author: author}"


def make_tars(root: Path) -> str:
    """Two tars with WordNet ids, names and numbers, a damaged image and an image without a label; the spec's source."""
    pictures = crops("chelsea", 6, 32)
    files: list[dict[str, bytes]] = [{}, {}]
    for i, data in enumerate(pictures):
        label = {
            "label": (DOG, "tabby", 1)[i % 3],
            "p": 1 if i % 2 else 0.5,
            "absent": [CAT] if i == 0 else [],
        }
        files[i // 3] |= {f"x/{i}.png": data, f"x/{i}.json": json.dumps(label).encode()}
    files[1] |= {"broken.jpg": pictures[0][:100], "broken.json": b'{"label": "tabby", "p": 1, "absent": []}'}
    files[1] |= {"plain.png": crops("rocket", 1, 32)[0]}
    write_tar(root / "t" / "train-0.tar", files[0])
    write_tar(root / "t" / "val-0.tar", files[1])
    write(root / "classes.txt", f"nothing\n{DOG} dog\n")
    return (
        "  s: {type: webdataset, tars: 't/{train,val}-0.tar', splits: {train: train, val: validation}, "
        "classes: classes.txt, licence: CC0, fields: {labels: label, confidence: p, absent: absent}}\n"
        "annotation: {unlabelled: keep}\n"
    )


def built(root: Path, source: str, out: str, workers: int = 0) -> Path:
    (root / "x.yaml").write_text(HEAD + source)
    return build(load_spec(root / "x.yaml"), root / out, backend(workers) if workers else inline()).dataset


def contents(
    path: Path, *, unquoted: bool = False
) -> dict[str, tuple[bytes, str, set[tuple[str, int, float]]]]:
    """The bytes, licence and labels of each image that has bytes, by its id without the source."""
    found = {}
    with open_dataset(path) as dataset:
        for split in dataset.splits.values():
            for image in split:
                name = image.id.split("/", 1)[1]
                labels = {
                    (dataset.categories.wnid[one.category], one.state, one.confidence) for one in image.labels
                }
                if image.data:
                    found[unquote(name) if unquoted else name] = (image.data, image.licence, labels)
    return found


def test_a_build_of_tars_says_where_each_label_comes_from(tmp_path: Path) -> None:
    dataset = open_dataset(built(tmp_path, make_tars(tmp_path), "out"))
    assert {image.id for image in dataset.train} == {f"s/x/{i}" for i in range(3)}
    assert {image.id: image.status for image in dataset.validation} == {
        **{f"s/x/{i}": "ok" for i in range(3, 6)},
        "s/broken": "truncated",
        "s/plain": "ok",
    }
    said = json.dumps(explain_in(dataset, "s/x/5"))
    assert "val-0.tar:3 says 1 " in said
    assert "dog" in said
    image = dataset.find("s/x/2")
    assert image.licence == "CC0"
    assert ("dog", 1) in {(one.name, one.state) for one in image.labels}


def test_a_plan_says_which_tars_it_is_of_and_a_warning_which_are_not_read(tmp_path: Path) -> None:
    source = (
        make_tars(tmp_path)
        .replace("t/{train,val}-0.tar", "t/*.tar")
        .replace("val: validation", "val: validation, x: none")
    )
    write(tmp_path / "t" / "x.tar", gzip.compress(b"x" * 1000))
    (tmp_path / "x.yaml").write_text(HEAD + source)
    made = plan(load_spec(tmp_path / "x.yaml"), tmp_path / "out")
    tars = plan_summary(made)["sources"]["s"]["tars"]
    assert tars == {"count": 3, "first": "train-0.tar", "last": "x.tar"}
    (said,) = [problem for problem in made.warnings if problem.code == "tar-unreadable"]
    assert "compressed with gzip" in said.message


def test_a_check_names_the_tars_that_are_missing(tmp_path: Path) -> None:
    source = make_tars(tmp_path).replace("val}-0", "val}-{0..2}")
    (tmp_path / "x.yaml").write_text(HEAD + source)
    (problem,) = missing_paths(load_spec(tmp_path / "x.yaml"))
    assert "4 tars of {train,val}-{0..2}.tar are not there: train-1.tar" in problem.message


@pytest.mark.slow
def test_one_and_two_workers_give_the_same_dataset(tmp_path: Path) -> None:
    source = make_tars(tmp_path)
    one, two = (built(tmp_path, source, f"out{n}", n) for n in (1, 2))
    assert tree(one) == tree(two)


def test_what_was_exported_comes_back_with_the_same_bytes_and_labels(tmp_path: Path) -> None:
    first = built(tmp_path, make_tars(tmp_path), "out")
    export(first, tmp_path / "tars", "webdataset", EXPORTERS["webdataset"])
    source = (
        f"  again: {{type: webdataset, tars: 'tars/{{train,validation}}-*.tar', fields: {FIELDS}, "
        "splits: {train: train, validation: validation}}\nannotation: {unlabelled: keep}\n"
    )
    second = built(tmp_path, source, "again")
    exported = {f"s/{name}": value for name, value in contents(first).items()}
    assert contents(second, unquoted=True) == exported
    assert len(exported) == 7
    with open_dataset(first) as one, open_dataset(second) as other:
        assert len(other.train) == len([image for image in one.train if image.data])


def test_imagenets_flat_validation_folder_is_fused_with_its_training_tars(tmp_path: Path) -> None:
    pictures = crops("chelsea", 4, 32)
    write_tar(tmp_path / "train" / f"{DOG}.tar", {f"{DOG}_1.JPEG": pictures[0]})
    write_tar(tmp_path / "train" / f"{CAT}.tar", {f"{CAT}_1.JPEG": pictures[1]})
    names = [f"ILSVRC2012_val_{i:08}" for i in (1, 2)]
    write_tar(tmp_path / "val.tar", dict(zip((f"{name}.JPEG" for name in names), pictures[2:], strict=True)))
    write(tmp_path / "truth.txt", "2\n1\n")
    write(tmp_path / "map_clsloc.txt", f"{DOG} 1 dog\n{CAT} 2 cat\n")
    source = (
        "  t: {type: imagenet, images: train, split: train}\n"
        "  v: {type: ilsvrc, images: val.tar, labels: truth.txt, synsets: map_clsloc.txt}\n"
    )
    dataset = open_dataset(built(tmp_path, source, "out"))
    assert [len(split) for split in (dataset.train, dataset.validation)] == [2, 2]
    shown = {
        image.id: {dataset.categories.wnid[one.category] for one in image.labels if one.state > 0}
        for image in dataset.validation
    }
    assert CAT in shown[f"v/{names[0]}"]
    assert DOG in shown[f"v/{names[1]}"]
    assert "truth.txt:1 says" in json.dumps(explain_in(dataset, f"v/{names[0]}"))
