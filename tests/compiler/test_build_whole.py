"""From a spec to a dataset: what went in comes out, on any number of workers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan.plan_summary import plan_summary
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import open_dataset, verify
from mlimg_build.errors import BackendError
from mlimg_build.spec import Backend, LoadedSpec, SchedulerCluster, load_spec
from mlimg_build.wordnet import load
from tests.support.runs import backend, external_cluster, inline, tree

MLIMG = Path(sys.executable).with_name("mlimg")


def source_bytes(collection: Path, image: str) -> bytes:
    """The bytes of an image as its source has them."""
    import tarfile

    source, name = image.split("/", 1)
    if source == "crowd":
        return (collection / "crowd" / "images" / f"{name}.jpg").read_bytes()
    folder = collection / "synsets" / name.split("_")[0]
    if folder.is_dir():
        return (folder / f"{name}.JPEG").read_bytes()
    with tarfile.open(f"{folder}.tar") as tar:
        member = tar.extractfile(f"{name}.JPEG")
        assert member is not None
        return member.read()


def test_every_image_is_stored_as_its_source_has_it(built: Built, collection: Path) -> None:
    with open_dataset(built.dataset) as dataset:
        images = list(dataset.train)
        assert len(images) == built.images == 100
        assert all(image.data == source_bytes(collection, image.id) for image in images)
    assert verify(built.dataset).ok


def test_present_means_ancestors_present_and_absent_means_descendants_absent(built: Built) -> None:
    graph = load()
    with open_dataset(built.dataset) as dataset:
        wnids = set(dataset.categories.wnid)
        for image in dataset.train:
            state = {label.wnid: label.state for label in image.labels}
            for wnid, value in state.items():
                line = graph.ancestors(wnid) if value > 0 else graph.descendants(wnid)
                assert all(state[other] == value for other in line if other in wnids)


def test_a_machine_that_sees_a_cat_where_people_saw_no_animal_is_overruled(built: Built) -> None:
    with open_dataset(built.dataset) as dataset:
        image = dataset.find("crowd/m08")
        state = {label.wnid: label.state for label in image.labels}
        assert state["n02121620"] == -1
        (clash,) = image.contradictions
        assert dataset.categories.wnid[clash.absent] == "n00015388"
        assert clash.kept == -1


def test_counts_of_categories_equal_the_labels(built: Built) -> None:
    group = zarr.open(built.dataset, mode="r")
    category, state = group["train/labels/category"], group["train/labels/state"]
    start, stop = group["train/labels/start"][:], group["train/labels/stop"][:]
    per_shard = group["train"].attrs["images_per_shard"]
    counted = np.zeros((2, group["categories/positives"].shape[0]), dtype=int)
    for image, (low, high) in enumerate(zip(start, stop, strict=True)):
        row = image // per_shard
        np.add.at(counted[0], category[row, low:high][state[row, low:high] == 1], 1)
        np.add.at(counted[1], category[row, low:high][state[row, low:high] == -1], 1)
    assert counted[0].tolist() == group["categories/positives"][:].tolist()
    assert counted[1].tolist() == group["categories/negatives"][:].tolist()


def test_two_workers_make_the_same_dataset(spec: LoadedSpec, built: Built, tmp_path: Path) -> None:
    again = build(spec, tmp_path, backend(2))
    assert again.digest == built.digest
    assert tree(again.dataset) == tree(built.dataset)
    assert tree(again.lock) == tree(built.lock)


@pytest.mark.slow
def test_a_cluster_that_runs_already_makes_the_same_dataset(
    spec: LoadedSpec, built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlimg_build.spec import load_backend

    with external_cluster(tmp_path) as address:
        monkeypatch.setenv("DASK_SCHEDULER", address)
        again = build(spec, tmp_path / "out", load_backend(Path("scheduler")))
    assert again.digest == built.digest


def test_a_scheduler_that_does_not_answer_is_named(spec: LoadedSpec, tmp_path: Path) -> None:
    nowhere = Backend(
        cluster=SchedulerCluster(type="scheduler", address="tcp://127.0.0.1:1", timeout_seconds=1)
    )
    with pytest.raises(BackendError) as caught:
        build(spec, tmp_path, nowhere)
    assert caught.value.code == "scheduler-unreachable"
    assert "127.0.0.1:1" in str(caught.value)


def test_a_second_build_has_nothing_to_do(spec: LoadedSpec, built: Built) -> None:
    made = plan(spec, built.dataset.parent)
    assert made.tasks == 0
    again = build(spec, built.dataset.parent, inline())
    assert (again.read, again.digest) == (0, built.digest)


def test_a_fraction_is_a_prefix_of_the_whole(spec: LoadedSpec, built: Built, tmp_path: Path) -> None:
    part = build(spec, tmp_path, inline(), fraction=0.3)
    assert part.dataset.name == "small@0.3.zarr"
    assert part.images == part.read == 48  # three of seven shards
    whole, prefix = tree(built.dataset), tree(part.dataset)
    chunks = {name: data for name, data in prefix.items() if "/c/" in name and name.startswith("train/")}
    assert len(chunks) > 30
    for name, data in chunks.items():
        if not name.startswith("train/shards/"):
            assert whole[name] == data, name
    full = (built.lock / "shards.csv").read_text().splitlines()
    assert (part.lock / "shards.csv").read_text().splitlines() == full[:4]


def test_a_killed_build_goes_on_where_it_was(
    spec: LoadedSpec, built: Built, collection: Path, tmp_path: Path
) -> None:
    """The process group is killed as soon as one shard is finished; nothing but the rest is done after that."""
    command = [str(MLIMG), "build", str(collection / "small.yaml"), "--out", str(tmp_path)]
    process = subprocess.Popen(
        command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    finished = tmp_path / ".mlimg" / "small" / "images"
    deadline = time.monotonic() + 60
    while not any(finished.glob("*/*/entry.json")) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, 9)
    process.wait()
    assert not (tmp_path / "small.zarr").exists()
    done = len(list(finished.glob("*/*/entry.json")))
    assert done >= 1
    again = build(spec, tmp_path, inline())
    assert again.digest == built.digest
    assert again.read <= built.images - 16 * (done - 1)


def test_an_edit_of_a_label_rule_reads_no_image(
    built: Built, collection: Path, edited: Callable[[Path, str, str], LoadedSpec]
) -> None:
    out = built.dataset.parent
    changed = edited(collection / "small.yaml", "vocabulary:", "annotation:\n  negatives: none\nvocabulary:")
    made = plan(changed, out)
    assert plan_summary(made)["images_to_read"] == 0
    assert plan_summary(made)["label_shards_cached"] == 0
    assert plan_summary(made)["why"] == {"images": {}, "labels": {"annotation.negatives changed": 7}}
    before = (built.dataset / "train/images/data/c/0/0").stat().st_ino
    again = build(changed, out, inline())
    assert again.read == 0
    assert again.digest != built.digest
    assert (built.dataset / "train/images/data/c/0/0").stat().st_ino == before
    with open_dataset(again.dataset) as dataset:
        assert {label.rule for image in dataset.train for label in image.labels} == {"stated", "ancestors"}
    back = build(load_spec(collection / "small.yaml"), out, inline())
    assert back.digest == built.digest
    rules = "annotation:\n  positives: none\n  negatives: none\nhierarchy: {relations: {hypernym: none}}\nvocabulary:\n"
    several = edited(collection / "small.yaml", "vocabulary:\n", rules)
    (why,) = plan_summary(plan(several, out))["why"]["labels"]
    assert why == (
        "annotation.positives changed, annotation.negatives changed, the categories or what they imply changed"
    )


def test_an_image_that_changes_is_read_again(collection: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(collection, copy)
    spec = load_spec(copy / "small.yaml")
    first = build(spec, tmp_path / "out", inline())
    image = copy / "synsets" / "n02121620" / "n02121620_3.JPEG"
    other = (copy / "synsets" / "n02121620" / "n02121620_4.JPEG").read_bytes()
    size = image.stat().st_size
    image.write_bytes(
        other[:size].ljust(size, b"\0")
    )  # of the same size, so that only its time of change tells
    made = plan(spec, tmp_path / "out")
    assert plan_summary(made)["why"] == {"images": {"its files were touched since": 1}, "labels": {}}
    second = build(spec, tmp_path / "out", inline())
    assert second.read in {4, 16}
    assert second.digest != first.digest


def test_a_change_of_encoding_is_named_by_the_plan(
    built: Built, collection: Path, tmp_path: Path, edited: Callable[[Path, str, str], LoadedSpec]
) -> None:
    changed = edited(collection / "small.yaml", "dataset:", "images: {encoding: {short_side: 48}}\ndataset:")
    assert plan_summary(plan(changed, built.dataset.parent))["why"]["images"] == {
        "images.encoding changed": 7
    }
    small = build(changed, tmp_path, inline())
    with open_dataset(small.dataset) as dataset:
        image = dataset.train[0]
        assert (image.height, image.width) == (48, 48)
        assert image.source_digest not in (None, image.digest)


def test_everything_runs_where_torch_is_missing(collection: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = None; sys.modules['torchvision'] = None\n"
        "import mlimg_build.cli as cli\n"
        f"sys.argv = ['mlimg', 'lock', {str(collection / 'small.yaml')!r}, '--out', {str(tmp_path)!r}]\n"
        f"sys.argv += ['--to', {str(tmp_path / 'l')!r}]\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "l" / "mappings.csv").is_file()
