"""What becomes of a build when its folders and disks do not hold still: each is a row of the documentation's table."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from mlimg_build.compiler.cache_stage import prune_cache
from mlimg_build.compiler.diff.loading import compare_paths
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.engine.store_usage import entries_of
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import open_dataset, verify
from mlimg_build.errors import MlimgError
from mlimg_build.exporters import EXPORTERS, export
from mlimg_build.spec import load_spec
from tests.support.runs import inline
from tests.support.situation_world import HEAD, Outcome, World, photographs

Seen = Callable[[str], None]
FOLDER = "s: {type: folder, images: img}"


@pytest.fixture
def animals(world: World) -> World:
    """Two dogs, a cat and a horse."""
    for number, path in enumerate(("dog/a", "dog/b", "cat/c", "horse/d")):
        world.image(f"img/{path}.jpg", number)
    return world


def test_a_folder_that_is_not_there(world: World, seen: Seen) -> None:
    """a folder of images that is not there"""
    seen(world.run(FOLDER).error)


def test_an_empty_folder(world: World, seen: Seen) -> None:
    """an empty folder of images"""
    (world.root / "img").mkdir()
    seen(world.run(FOLDER).error)


def test_no_image_has_bytes(world: World, seen: Seen) -> None:
    """a source of which no image can be read"""
    world.file("img/dog/a.jpg", b"<html>404</html>")
    world.file("img/cat/b.jpg", b"")
    seen(world.run(FOLDER).error)


def test_copies(animals: World, seen: Seen) -> None:
    """one picture under two categories"""
    animals.image("img/horse/e.jpg", 0)
    made = animals.run(FOLDER)
    assert made.status["s/dog/a"] == made.status["s/horse/e"] == "ok"
    with open_dataset(animals.root / "out/x.zarr") as dataset:
        (group,) = dataset.copies
        image = dataset.find(group.ids[0])
        assert {label.name for label in image.labels} == {"dog", "horse"}
    seen(f"both rows stay; {group.ids[0].removeprefix('s/')} counts, with the labels of both")


def test_a_file_changes_between_two_builds(animals: World, seen: Seen) -> None:
    """a picture is replaced between two builds"""
    animals.run(FOLDER)
    before = shutil.copytree(animals.root / "out/x.zarr", animals.root / "before.zarr")
    (animals.root / "img/dog/a.jpg").write_bytes(photographs()[6])
    animals.run(FOLDER)
    change = compare_paths(before, animals.root / "out/x.zarr", animals.root / "out", inline())
    with open_dataset(animals.root / "out/x.zarr") as dataset:
        assert dataset.find("s/dog/a").data == photographs()[6]
    seen(f"its shard is built again; diff: a {change.level} change")


def test_a_file_goes_between_two_builds(animals: World, seen: Seen) -> None:
    """a picture is removed between two builds"""
    animals.run(FOLDER)
    (animals.root / "img/dog/a.jpg").unlink()
    outcome = animals.run(FOLDER)
    assert len(outcome.status) == 3
    seen("the dataset has one image less")


def test_another_dataset_is_in_the_way(animals: World, seen: Seen) -> None:
    """a folder of other files where the dataset goes"""
    animals.file("out/x.zarr/thesis.txt", "three years of work")
    outcome = animals.run(FOLDER)
    assert (animals.root / "out/x.zarr/thesis.txt").read_text() == "three years of work"
    seen(outcome.error)


def test_a_damaged_dataset(animals: World, seen: Seen) -> None:
    """a byte of a finished dataset changes, and `build --repair`"""
    spec = animals.file("x.yaml", f"{HEAD}  {FOLDER}\n")
    before = build(load_spec(spec), animals.root / "out", inline())
    shard = max(
        (path for path in before.dataset.rglob("c/*/*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.unlink()
    shard.write_bytes(bytes(data))
    after = build(load_spec(spec), animals.root / "out", inline(), repair=True)
    assert after.digest == before.digest
    assert verify(after.dataset).ok
    seen("laid anew from what the build keeps and has proved, to the same digest")


@pytest.mark.usefixtures("short_pauses")
def test_the_folder_is_away_for_a_while(animals: World, seen: Seen) -> None:
    """the folder of images is away when the workers read it, and comes back"""
    spec = animals.file("x.yaml", f"{HEAD}  {FOLDER}\n")
    images, away = animals.root / "img", animals.root / "away"

    class Mover:
        def step(self, message: str) -> None:
            if message == "starting workers":
                images.rename(away)

        def follow(self, images: int, tasks: int) -> Callable[[object], None]:
            return lambda done: None

    with pytest.raises(MlimgError) as caught:
        build(load_spec(spec), animals.root / "out", inline(), watcher=Mover())
    away.rename(images)
    again = build(load_spec(spec), animals.root / "out", inline())
    shutil.rmtree(animals.root / "out")
    assert again.digest == build(load_spec(spec), animals.root / "out", inline()).digest
    codes = ", ".join(dict.fromkeys(f"error `{problem.code}`" for problem in caught.value.problems))
    seen(f"{codes}; the next build has every picture")


def edits(world: World) -> list[str]:
    """A spec and four edits of it, each of which stores the images in another size."""
    sizes = ("original", *(f"{{short_side: {side}, quality: 80}}" for side in (40, 32, 24, 16)))
    return [f"{HEAD}  {FOLDER}\nimages: {{encoding: {size}}}\n" for size in sizes]


def test_five_edits(animals: World, seen: Seen) -> None:
    """a spec that is edited and built five times"""
    most: dict[str, int] = {}
    for text in edits(animals):
        build(load_spec(animals.file("x.yaml", text)), animals.root / "out", inline())
        stages = [entry.stage for entry in entries_of(animals.root / "out/.mlimg/x") if entry.stage != "tmp"]
        most |= {stage: max(most.get(stage, 0), stages.count(stage)) for stage in stages}
    assert most["images"] == most["labels"] == 2
    assert max(most.values()) == 2
    seen("of each stage the results of the last two builds")


def test_the_spec_before_again(animals: World, seen: Seen) -> None:
    """the spec of the build before, built again"""
    one, other, *_ = edits(animals)
    for text in (one, other):
        build(load_spec(animals.file("x.yaml", text)), animals.root / "out", inline())
    before = load_spec(animals.file("x.yaml", one))
    assert plan(before, animals.root / "out").tasks == 0
    made = build(before, animals.root / "out", inline())
    assert made.read == 0
    seen("no image is read")


def test_a_prune_during_a_build(animals: World, seen: Seen) -> None:
    """`mlimg cache prune` while a build runs"""
    animals.run(FOLDER)
    spec = load_spec(animals.root / "x.yaml")
    with Store(animals.root / "out/.mlimg/x").exclusive_lock(), pytest.raises(MlimgError) as caught:
        prune_cache([spec], animals.root / "out")
    seen(Outcome(animals.root, problems=caught.value.problems).error)


def test_a_file_in_an_export(animals: World, seen: Seen) -> None:
    """a file put into the folder of an export, and another export there"""
    animals.run(FOLDER)
    dataset, place = animals.root / "out/x.zarr", animals.root / "tars"
    export(dataset, place, "webdataset", EXPORTERS["webdataset"])
    animals.file("tars/thesis.txt", "three years of work")
    with pytest.raises(MlimgError) as caught:
        export(dataset, place, "webdataset", EXPORTERS["webdataset"])
    assert (place / "thesis.txt").read_text() == "three years of work"
    seen(Outcome(animals.root, problems=caught.value.problems).error)


def test_an_export_into_its_dataset(animals: World, seen: Seen) -> None:
    """an export into its own dataset"""
    animals.run(FOLDER)
    dataset = animals.root / "out/x.zarr"
    with pytest.raises(MlimgError) as caught:
        export(dataset, dataset / "tars", "webdataset", EXPORTERS["webdataset"])
    assert verify(dataset).ok
    seen(Outcome(animals.root, problems=caught.value.problems).error)


def test_an_export_of_damage(animals: World, seen: Seen) -> None:
    """a byte of a dataset changes, and `mlimg export`"""
    animals.run(FOLDER)
    dataset = animals.root / "out/x.zarr"
    shard = max(
        (path for path in dataset.rglob("c/*/*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(MlimgError) as caught:
        export(dataset, animals.root / "tars", "webdataset", EXPORTERS["webdataset"])
    assert not (animals.root / "tars").exists()
    seen(Outcome(animals.root, problems=caught.value.problems).error)
