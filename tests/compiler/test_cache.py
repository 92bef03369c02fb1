"""What builds keep in `.mlimg`: what it costs, what needs it, and what goes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlimg_build.compiler.cache_stage import cache_contents, prune_cache
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import verify
from mlimg_build.errors import MlimgError
from mlimg_build.spec import LoadedSpec, load_spec
from tests.support.command import mlimg
from tests.support.runs import inline, tree

PAIRS = "annotation: {{cooccurrence: {{learn_from: [crowd], min_images: {count}}}, negatives: {negatives}}}\n"
Variant = Callable[..., LoadedSpec]
STAGES = ("rows", "rules", "cooccurrence", "colabels", "images", "labels")


@pytest.fixture(scope="session")
def variant(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Variant:
    """Loads a variant of the collection's spec, whose sources stay where they are."""
    folder = tmp_path_factory.mktemp("variants")
    text = (collection / "small.yaml").read_text()
    for key in ("images: synsets", "images: crowd", "labels: crowd", "classes: crowd"):
        text = text.replace(key, key.replace(": ", f": {collection}/"))

    def load(more: str = "", name: str = "small") -> LoadedSpec:
        path = folder / f"{name}.yaml"
        path.write_text(text.replace("name: small", f"name: {name}") + more)
        return load_spec(path)

    return load


@pytest.fixture(scope="session")
def edited(variant: Variant, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Plan], list[str]]:
    """A folder into which five edits of a spec were built, with the plan and the digest of each."""
    folder = tmp_path_factory.mktemp("edited") / "out"
    plans, digests = [], []
    for more in edits():
        digests.append(build(variant(more), folder, inline()).digest)
        plans.append(plan(variant(more), folder))
    return folder, plans, digests


@pytest.fixture
def after(edited: tuple[Path, list[Plan], list[str]], out: Path) -> Path:
    """A copy of it, with the same hard links within."""
    subprocess.run(["cp", "-a", edited[0], out], check=True)
    return out


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def edits() -> Iterator[str]:
    """Changes of labels, of pairs, of which rows there are, and of how images are stored."""
    yield ""
    yield PAIRS.format(count=2, negatives="none")
    yield PAIRS.format(count=3, negatives="none") + "split: {validation: 0.3}\n"
    yield (
        PAIRS.format(count=3, negatives="descendants") + "images: {encoding: {short_side: 48, quality: 80}}\n"
    )
    yield PAIRS.format(count=4, negatives="none") + "images: {encoding: {short_side: 32, quality: 80}}\n"


def stored(out: Path, name: str = "small") -> dict[str, set[str]]:
    """The results in a store by stage, as they lie on the disk."""
    found: dict[str, set[str]] = {}
    for path in (out / ".mlimg" / name).glob("*/??/*/entry.json"):
        found.setdefault(path.parts[-4], set()).add(path.parts[-2])
    return found


def shards_of(made: Plan, stage: str) -> set[str]:
    return {getattr(work, stage).digest for work in made.work}


def disk_use(folder: Path) -> int:
    """The bytes of all files below a folder, each once however many links it has."""
    states = [path.lstat() for path in folder.rglob("*") if path.is_file()]
    return sum({state.st_ino: state.st_size for state in states}.values())


@pytest.mark.slow
def test_edits_of_a_spec_leave_two_variants_of_each_stage(edited: tuple[Path, list[Plan], list[str]]) -> None:
    folder, plans, _ = edited
    found = stored(folder)
    assert found.keys() == set(STAGES)
    for stage in ("rows", "cooccurrence"):
        assert len(found[stage]) == 2, stage
    assert len(found["rules"]) <= 2  # no edit changed what follows from what
    for stage in ("images", "labels"):
        last, before = shards_of(plans[-1], stage), shards_of(plans[-2], stage)
        assert found[stage] == last | before
        assert not last & before


def test_going_back_to_the_spec_before_reads_no_image_and_works_out_no_label(
    edited: tuple[Path, list[Plan], list[str]], after: Path, variant: Variant
) -> None:
    *_, one, other = edits()
    assert plan(variant(one), after).tasks == 0
    again = build(variant(one), after, inline())
    assert (again.digest, again.read) == (edited[2][-2], 0)
    assert plan(variant(other), after).tasks == 0  # and forth


def test_a_source_that_left_the_spec_long_ago_leaves_no_catalog(variant: Variant, out: Path) -> None:
    build(variant(), out, inline())
    folder = out / ".mlimg" / "small" / "catalog"
    shutil.copytree(folder / "crowd", folder / "former")
    build(variant(), out, inline())
    assert sorted(path.name for path in folder.iterdir()) == ["crowd", "synsets"]


@pytest.mark.slow
def test_a_fraction_takes_no_shard_of_the_whole_away(variant: Variant, out: Path) -> None:
    whole = build(variant(), out, inline())
    before = stored(out)
    build(variant(PAIRS.format(count=2, negatives="none")), out, inline(), fraction=0.2)
    assert stored(out)["labels"] > before["labels"]
    assert plan(variant(), out).tasks == 0
    assert build(variant(), out, inline()).digest == whole.digest


def test_what_a_prune_says_it_frees_is_what_the_disk_gains(after: Path, variant: Variant) -> None:
    loaded = variant(list(edits())[-1])
    before = disk_use(after)
    announced = prune_cache([loaded], after, dry_run=True)
    assert disk_use(after) == before
    pruned = prune_cache([loaded], after)
    assert (pruned.stages, pruned.bytes) == (announced.stages, announced.bytes)
    assert before - disk_use(after) == pruned.bytes > 0
    assert plan(loaded, after).tasks == 0
    assert all(len(stored(after)[stage]) == 1 for stage in ("rows", "rules", "cooccurrence"))
    assert verify(after / "small.zarr").ok


@pytest.mark.slow
def test_files_that_a_dataset_shares_cost_nothing_and_stay(variant: Variant, out: Path) -> None:
    build(variant(), out, inline())
    shutil.copytree(out / "small.zarr", out / "kept.zarr", copy_function=os.link)
    build(variant("images: {encoding: {short_side: 32, quality: 80}}\n"), out, inline())
    build(variant("images: {encoding: {short_side: 24, quality: 80}}\n"), out, inline())
    (store,) = cache_contents([], out).stores
    (images,) = (stage for stage in store.stages if stage.stage == "images")
    shards = len(stored(out)["images"]) // 3
    assert images.states == {"needed": shards, "previous": shards, "linked": shards}
    shard_files = sum(path.stat().st_size for path in (out / "kept.zarr").glob("*/images/data/c/*/*"))
    assert images.linked_bytes >= shard_files > images.bytes / 10
    prune_cache([variant("images: {encoding: {short_side: 24, quality: 80}}\n")], out)
    assert len(stored(out)["images"]) == 2 * shards
    assert verify(out / "kept.zarr").ok


@pytest.mark.slow
def test_another_datasets_store_is_never_touched(after: Path, variant: Variant) -> None:
    *_, one, other = edits()
    for more in ("", one):
        build(variant(more, "other"), after, inline())
    before = tree(after / ".mlimg" / "other")
    build(variant(one), after, inline())
    prune_cache([variant(other)], after)
    assert tree(after / ".mlimg" / "other") == before


def test_without_a_spec_what_a_stopped_build_left_stays(variant: Variant, out: Path) -> None:
    class Stopping:
        def step(self, message: str) -> None:
            if message == "assembling the dataset":
                raise KeyboardInterrupt

        def follow(self, images: int, tasks: int) -> Callable[[Any], None]:
            return lambda done: None

    first, second, third, *_ = edits()
    for more in (first, second):
        build(variant(more), out, inline())
    with pytest.raises(MlimgError):
        build(variant(third), out, inline(), watcher=Stopping())
    before = stored(out)
    assert prune_cache([], out).stages == ()
    assert stored(out) == before
    assert plan(variant(third), out).tasks == 0  # it goes on where it was stopped
    assert plan(variant(first), out).tasks == 0
    assert prune_cache([variant(second)], out).bytes > 0
    assert plan(variant(third), out).tasks > 0


def test_a_store_without_a_finished_build_is_left_alone(variant: Variant, out: Path) -> None:
    plan(variant(), out)
    before = tree(out)
    pruned = prune_cache([], out)
    assert pruned.unbuilt == ("small",)
    assert pruned.bytes == 0
    assert tree(out) == before


def test_a_prune_that_is_killed_leaves_a_sound_store(
    edited: tuple[Path, list[Plan], list[str]],
    after: Path,
    variant: Variant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = after
    loaded = variant(list(edits())[-1])
    real, calls = shutil.rmtree, 0

    def killed(folder: Path, ignore_errors: bool = False) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:  # the first is that of the lock
            next(path for path in Path(folder).rglob("*") if path.is_file()).unlink()
            raise KeyboardInterrupt
        real(folder, ignore_errors=ignore_errors)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(MlimgError) as caught:
            prune_cache([variant()], out)
    assert caught.value.exit_code == 130
    for entry in (out / ".mlimg" / "small").glob("*/??/*"):
        told = json.loads((entry / "entry.json").read_text())
        assert all((entry / name).is_file() for name in told["files"]), "an entry is whole, or gone"
    assert build(loaded, out, inline()).digest == edited[2][-1]
    assert not any((out / ".mlimg" / "small" / "tmp").rglob("*.json"))


def test_a_prune_while_a_build_runs_is_refused(variant: Variant, out: Path) -> None:
    loaded = variant()
    build(loaded, out, inline())
    before = tree(out / ".mlimg" / "small")
    with Store(out / ".mlimg" / "small").exclusive_lock():
        with pytest.raises(MlimgError) as caught:
            prune_cache([loaded], out)
        assert caught.value.code == "build-running"
        assert [problem.code for problem in prune_cache([], out).busy] == ["build-running"]
        done = mlimg("cache", "prune", "--out", out)
        assert done.returncode == 1
        assert "build-running" in done.stderr
    assert tree(out / ".mlimg" / "small") == before


def test_the_command_lists_stages_and_what_needs_them(after: Path, variant: Variant) -> None:
    out, path = after, variant(list(edits())[-1]).path
    done = mlimg("cache", "--out", out)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "small  needed by the last build"
    (rows,) = (line for line in lines if line.startswith("rows"))
    assert rows.rstrip().endswith("1 needed, 1 previous")
    assert max(len(line) for line in lines) <= 80
    told = json.loads(mlimg("cache", path, "--out", out, "--json").stdout)
    (store,) = told["stores"]
    assert store["judged_by"] == "specs"
    states = {stage["stage"]: stage["states"] for stage in store["stages"]}
    assert states["rows"] == {"needed": 1, "spare": 1}
    assert states["catalog"] == {"needed": 2}


def test_the_command_prunes_and_says_what_went(after: Path, variant: Variant) -> None:
    out, path = after, variant(list(edits())[-1]).path
    before = tree(out)
    tried = mlimg("cache", "prune", path, "--out", out, "--dry-run")
    assert {name: data for name, data in tree(out).items() if "lock" not in name} == {
        name: data for name, data in before.items() if "lock" not in name
    }
    done = mlimg("cache", "prune", path, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("iB freed")
    assert done.stdout.replace(" freed", " would be freed") == tried.stdout
    assert "labels" in done.stdout
    again = json.loads(mlimg("cache", "prune", path, "--out", out, "--json").stdout)
    assert (again["stages"], again["bytes"]) == ([], 0)
    assert mlimg("cache", "--out", out / "nowhere").stderr == f"nothing is kept in {out / 'nowhere'}\n"


def test_a_prune_where_nothing_is_kept_says_so(tmp_path: Path) -> None:
    """A mistyped --out must not look like a store without anything to spare."""
    pruned = prune_cache([], tmp_path / "nowhere")
    assert (pruned.looked, pruned.bytes) == ((), 0)
    done = mlimg("cache", "prune", "--out", tmp_path / "nowhere")
    assert done.returncode == 0
    assert "nothing of that is kept in" in done.stderr
