"""Whatever is damaged in a store, a build makes the right dataset or says one error: never wrong bytes and success."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.engine.checksums import Checks
from mlimg_build.compiler.lock_stage import lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.compiler.run import label_counts
from mlimg_build.dataset import verify
from mlimg_build.errors import MlimgError
from mlimg_build.spec import Backend, InlineCluster, LoadedSpec, load_spec
from tests.support.runs import inline, tree

PAIRS = "annotation: {cooccurrence: {learn_from: [crowd], min_images: 2}}\n"
GROUPS = "split: {validation: 0.3, by: {pattern: '.*([0-9])'}}\n"


@pytest.fixture(scope="session")
def whole(
    collection: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LoadedSpec, Path, Built, dict[str, bytes]]:
    """A spec that uses every stage of a store, the folder it was built into, and the files of its dataset."""
    copy = tmp_path_factory.mktemp("whole") / "copy"
    shutil.copytree(collection, copy)
    text = (copy / "small.yaml").read_text()
    (copy / "small.yaml").write_text(text + PAIRS + GROUPS)
    loaded = load_spec(copy / "small.yaml")
    built = build(loaded, copy / "out", inline())
    return loaded, copy / "out", built, tree(built.dataset)


@pytest.fixture
def out(whole: tuple[LoadedSpec, Path, Built, dict[str, bytes]], tmp_path: Path) -> Path:
    """A copy of the folder, with the same hard links within."""
    subprocess.run(["cp", "-a", whole[1], tmp_path / "out"], check=True)
    return tmp_path / "out"


def checking(checks: Checks) -> Backend:
    return Backend(cluster=InlineCluster(type="inline"), verify_linked=checks)


def in_place(path: Path, data: bytes) -> None:
    """Write a file so that its size, if it is the same, and its times tell nothing, nor those of its folder."""
    status = path.stat()
    with path.open("r+b") as stream:
        stream.write(data)
        stream.truncate(len(data))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in {len(data) // 3, len(data) - 1} if data else ():
        data[at] ^= 4
    in_place(path, bytes(data))


def cut(path: Path) -> None:
    in_place(path, path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    in_place(path, b"")


def removed(path: Path) -> None:
    path.unlink()


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "more").write_text("no file")


def retyped(path: Path) -> None:
    """Every value of a JSON object becomes one of another type; other files lose their content."""
    try:
        told = json.loads(path.read_bytes())
    except ValueError:
        in_place(path, b"[]")
        return
    values = [[], {}, 1e9, "text", None, True]
    changed = {name: values[i % len(values)] for i, name in enumerate(told)} if isinstance(told, dict) else []
    in_place(path, json.dumps(changed).encode())


DAMAGES = (flipped, cut, emptied, removed, piped, made_a_folder, retyped)


def kinds(store: Path) -> dict[str, Path]:
    """One file of each kind in a store: by its stage and its name, numbers apart."""
    found: dict[str, Path] = {}
    for path in sorted(store.rglob("*")):
        if path.is_file() and path.parts[len(store.parts)] != "tmp":
            parts = path.relative_to(store).parts
            inner = parts if len(parts) < 4 else (parts[0], *parts[3:])
            found.setdefault("/".join("n" if part.isdigit() else part for part in inner), path)
    return found


def test_every_kind_of_file_of_a_store_is_damaged(
    whole: tuple[LoadedSpec, Path, Built, dict[str, bytes]],
) -> None:
    stages = {kind.partition("/")[0] for kind in kinds(whole[1] / ".mlimg" / "small")}
    assert stages >= {"catalog", "rows", "rules", "groups", "cooccurrence", "colabels", "images", "labels"}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("shift", "every"),
    [(0, 3), *(pytest.param(shift, 1, marks=pytest.mark.slow) for shift in range(len(DAMAGES)))],
)
def test_a_damaged_file_is_made_anew_and_the_dataset_is_that_of_a_clean_build(
    whole: tuple[LoadedSpec, Path, Built, dict[str, bytes]], out: Path, tmp_path: Path, shift: int, every: int
) -> None:
    """Each kind of file meets each damage once in all slow shifts, and one of them in each."""
    loaded, _, built, files = whole
    store, wrong = out / ".mlimg" / "small", []
    for number, kind in list(enumerate(kinds(store)))[::every]:
        damage = DAMAGES[(number + shift) % len(DAMAGES)]
        damage(kinds(store)[kind])
        try:
            again = build(loaded, out, checking("all"))
        except MlimgError as error:
            if (kind, damage, error.code) == ("lock", made_a_folder, "lock-refused"):
                (store / "lock").rename(tmp_path / "lock")
                continue
            wrong.append(f"{damage.__name__} {kind}: {error}")
            shutil.rmtree(out)
            subprocess.run(["cp", "-a", whole[1], out], check=True)
            continue
        if again.digest != built.digest or tree(again.dataset) != files:
            wrong.append(f"{damage.__name__} {kind}: another dataset")
        if [*(store / "tmp").iterdir()]:
            wrong.append(f"{damage.__name__} {kind}: leftovers")
    assert wrong == []


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "kind", ["images/data/c/n/n", "images/start/c/n", "labels/chunks", "rows/train-00000.arrow"]
)
def test_damage_is_said_and_mended_in_the_same_build(
    whole: tuple[LoadedSpec, Path, Built, dict[str, bytes]], out: Path, kind: str
) -> None:
    loaded, _, built, _ = whole
    flipped(kinds(out / ".mlimg" / "small")[kind])
    again = build(loaded, out, checking("all"))
    (told,) = [problem for problem in again.warnings if problem.code == "result-damaged"]
    assert told.severity == "warning"
    assert told.message.startswith("1 damaged result was found (")
    assert told.message.endswith("and made anew")
    assert again.digest == built.digest
    assert verify(again.dataset).ok
    assert all(problem.code != "result-damaged" for problem in build(loaded, out, checking("all")).warnings)


def test_counts_that_cannot_be_read_any_more_end_a_build(
    whole: tuple[LoadedSpec, Path, Built, dict[str, bytes]], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(label_counts, "_saved", failing)
    with pytest.raises(MlimgError, match="counts of the labels") as caught:
        build(whole[0], out, inline())
    assert caught.value.code == "artefact-damaged"
    monkeypatch.undo()
    assert build(whole[0], out, inline()).digest == whole[2].digest


def test_a_sample_finds_the_first_image_and_nothing_is_asked_of_none(
    whole: tuple[LoadedSpec, Path, Built, dict[str, bytes]], out: Path
) -> None:
    loaded = whole[0]
    path = kinds(out / ".mlimg" / "small")["images/data/c/n/n"]
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    in_place(path, bytes(data))
    trusting = build(loaded, out, checking("none"))
    assert (trusting.read, verify(trusting.dataset).ok) == (0, False)
    sampled = build(loaded, out, inline())
    assert (0 < sampled.read <= 16, verify(sampled.dataset).ok) == (True, True)


def test_damage_whose_source_is_gone_is_said_beside_the_error(
    whole: tuple[LoadedSpec, Path, Built, dict[str, bytes]], out: Path, collection: Path, tmp_path: Path
) -> None:
    shutil.copytree(collection, tmp_path / "copy")
    loaded = load_spec(tmp_path / "copy" / "small.yaml")
    build(loaded, tmp_path / "other", inline())
    store = tmp_path / "other" / ".mlimg" / "small"
    flipped(kinds(store)["images/data/c/n/n"])

    class Unmounted:
        def step(self, message: str) -> None:
            if message == "checking what is stored":
                for path in (tmp_path / "copy").rglob("*.tar"):
                    path.write_bytes(b"")
                for path in (tmp_path / "copy").rglob("*.[Jj]*"):
                    path.write_bytes(b"")

        def follow(self, images: int, tasks: int) -> Callable[[object], None]:
            return lambda done: None

    with pytest.raises(MlimgError) as caught:
        build(loaded, tmp_path / "other", checking("all"), watcher=Unmounted())
    assert "result-damaged" in [problem.code for problem in caught.value.problems]
    assert caught.value.code != "result-damaged"


def test_a_plan_and_a_lock_do_not_believe_damaged_results_either(
    whole: tuple[LoadedSpec, Path, Built, dict[str, bytes]], out: Path, tmp_path: Path
) -> None:
    loaded, store = whole[0], out / ".mlimg" / "small"
    lock(loaded, out, tmp_path / "before.lock", inline())
    for kind in ("rows/train-00000.arrow", "cooccurrence/pairs.npz", "labels/chunks", "labels/result.json"):
        flipped(kinds(store)[kind])
    said: list[str] = []
    assert plan(loaded, out, progress=said.append).work
    assert len([line for line in said if line.startswith("damaged")]) == 2
    lock(loaded, out, tmp_path / "after.lock", inline())
    assert tree(tmp_path / "before.lock") == tree(tmp_path / "after.lock")


def test_leftovers_go_at_once_and_what_is_written_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "out" / ".mlimg" / "x")
    with store.exclusive_lock(), store.scratch() as living:
        (living / "part").write_text("half")
        dead = living.with_name(living.name[:-4] + "dead")
        dead.mkdir()
        (dead / "part").write_text("half")
        foreign = living.with_name("of-another-machine")
        foreign.mkdir()
        store.clean()
        assert (living.exists(), dead.exists(), foreign.exists()) == (True, False, True)
        os.utime(foreign, (0, 0))
        store.clean()
        assert (living.exists(), foreign.exists()) == (True, False)
    assert not any((store.root / "tmp").iterdir())
