"""The lock: reviewed like code, checked to the letter, and never half written."""

from __future__ import annotations

import csv
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import mlimg_build.compiler.lock.lock_writer as locking
from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.lock.lock_reader import FILES, read_lock
from mlimg_build.compiler.lock_stage import check_lock, lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.errors import BuildError, LockChanged
from mlimg_build.spec import LoadedSpec, load_spec
from tests.support.command import mlimg
from tests.support.runs import backend, inline, tree

OURS = ("version: 1.0.0", "version: 1.1.0")
THEIRS = ("dataset:\n", "annotation:\n  negatives: none\ndataset:\n")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the labels of the collection are worked out, once for all tests that only look."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def copy(collection: Path, tmp_path: Path) -> Path:
    """A copy of the collection that a test may change."""
    return Path(shutil.copytree(collection, tmp_path / "copy"))


@pytest.fixture
def kept(spec: LoadedSpec, out: Path, tmp_path: Path) -> Path:
    """The lock of the collection, fresh."""
    lock(spec, out, tmp_path / "small.lock", inline())
    return tmp_path / "small.lock"


def changed(path: Path, *edits: tuple[str, str]) -> LoadedSpec:
    """The spec at `path` after edits of its text."""
    text = path.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return load_spec(path)


def refused(check: Callable[[], object]) -> str:
    """What is said when a lock is found to be another; it exits with 3."""
    with pytest.raises(LockChanged) as caught:
        check()
    assert caught.value.exit_code == 3
    assert caught.value.code == "lock-changed"
    assert "mlimg lock" in (caught.value.problems[0].hint or "")
    return caught.value.problems[0].message


def test_a_lock_that_was_just_written_is_right(spec: LoadedSpec, out: Path, kept: Path) -> None:
    before = tree(kept)
    check_lock(spec, out, kept, inline())
    lock(spec, out, kept, inline())
    assert tree(kept) == before


def test_an_edited_rule_is_named(copy: Path, tmp_path: Path, kept: Path) -> None:
    loaded = changed(copy / "small.yaml", THEIRS)
    said = refused(lambda: check_lock(loaded, tmp_path / "out", kept, inline()))
    assert "lock.yaml: spec: " in said
    assert "categories.csv: n02121620: absent_implied 40 → 0" in said
    assert re.search(r"shards\.csv: train 0: labels_key [0-9a-f]{16} → [0-9a-f]{16}", said)
    assert "images_key" not in said


def test_a_lock_that_is_not_there_says_where_it_was_looked_for(copy: Path) -> None:
    for command in (("lock", "--check"), ("build", "--locked")):
        done = mlimg(*command, "small.yaml", "--out", "out", cwd=copy)
        assert done.returncode == 1
        assert "there is no lock small.lock" in done.stderr
        assert "beside the spec" in done.stderr
    done = mlimg("lock", "--help", cwd=copy)
    assert "build/NAME.lock" in done.stdout


def test_a_change_under_the_same_version_asks_for_another(copy: Path, tmp_path: Path, kept: Path) -> None:
    text = (copy / "small.yaml").read_text().replace("ancestors: common", "ancestors: all")
    (copy / "small.yaml").write_text(text)
    still = refused(lambda: check_lock(load_spec(copy / "small.yaml"), tmp_path / "out", kept, inline()))
    assert any("raise `version:` in the spec" in line for line in _lines(still))
    (copy / "small.yaml").write_text(text.replace("version: 1.0.0", "version: 1.1.0"))
    raised = refused(lambda: check_lock(load_spec(copy / "small.yaml"), tmp_path / "out", kept, inline()))
    assert not any("raise `version:` in the spec" in line for line in _lines(raised))


def _lines(told: object) -> list[str]:
    return str(told).splitlines()


def test_one_more_row_of_labels_is_named(copy: Path, tmp_path: Path, kept: Path) -> None:
    with (copy / "crowd/labels.csv").open("a") as stream:
        stream.write("m07,verification,/m/cat,1\n")
    said = refused(lambda: check_lock(load_spec(copy / "small.yaml"), tmp_path / "out", kept, inline()))
    assert "lock.yaml: source crowd: 40 images, 85 statements" in said
    assert "40 images, 86 statements" in said
    assert "mappings.csv: crowd /m/cat: images 5 → 6" in said


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("categories.csv", r"^(n02121620,cat,\S*?,)(\d+)", r"\g<1>99", "n02121620: stated 99 → "),
        ("categories.csv", r"^n02121620,cat,", "n02121620,kitten,", "n02121620: name kitten → cat"),
        (
            "mappings.csv",
            r"^crowd,/m/moto,Motorcycle,n03790512",
            "crowd,/m/moto,Motorcycle,n02121620",
            "wnid",
        ),
        ("mappings.csv", r"^crowd,/m/moto,.*\n", "", "+ crowd /m/moto"),
        ("shards.csv", r"^train,6,.*\n", "", "+ train 6"),
        ("duplicates.csv", r"\Z", f"{'0' * 64},crowd/m00\n", f"- {'0' * 64} crowd/m00"),
    ],
)
def test_an_edited_line_is_named(
    spec: LoadedSpec, built: Built, kept: Path, name: str, old: str, new: str, said: str
) -> None:
    lock(
        spec, built.dataset.parent, kept, inline()
    )  # where all is built, so that every file has rows to check
    text = (kept / name).read_text()
    edited = re.sub(old, new, text, count=1, flags=re.MULTILINE)
    assert edited != text
    (kept / name).write_text(edited)
    told = refused(lambda: check_lock(spec, built.dataset.parent, kept, inline()))
    assert f"{name}: " in told
    assert said in told


def test_a_locked_build_refuses_before_it_reads_an_image(copy: Path, tmp_path: Path, kept: Path) -> None:
    loaded = changed(copy / "small.yaml", THEIRS)
    said = refused(lambda: build(loaded, tmp_path / "out", inline(), locked=kept))
    assert "lock.yaml: spec: " in said
    assert "lock.yaml: rules: annotation.negatives: descendants → none" in said
    assert "categories.csv: n02121620: absent_implied 40 → 0" in said
    assert said == refused(lambda: check_lock(loaded, tmp_path / "out", kept, inline()))
    assert not (tmp_path / "out/small.zarr").exists()
    assert not (tmp_path / "out/.mlimg/small/images").exists()


def test_a_locked_build_of_an_unchanged_spec_is_the_released_dataset(
    spec: LoadedSpec, built: Built, tmp_path: Path
) -> None:
    again = build(spec, tmp_path / "out", inline(), locked=built.lock)
    assert again.digest == built.digest
    assert again.proved == (again.summary["shards"], again.summary["shards"])


def test_a_locked_build_that_makes_other_bytes_leaves_no_dataset(
    spec: LoadedSpec, built: Built, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(built.lock, tmp_path / "small.lock"))
    rows = (folder / "shards.csv").read_text()
    digest = read_lock(folder).tables["shards.csv"][2]["images_digest"]
    (folder / "shards.csv").write_text(rows.replace(digest, "0" * len(digest)))
    said = refused(lambda: build(spec, tmp_path / "out", inline(), locked=folder))
    assert f"shards.csv: train/2: images {'0' * len(digest)} → {digest}" in said
    assert not (tmp_path / "out/small.zarr").exists()


def chunks(dataset: Path) -> dict[str, bytes]:
    """The chunks of the splits, shard by shard; not the lists of shards, of which a fraction has fewer."""
    return {
        path: data
        for path, data in tree(dataset).items()
        if "/c/" in path and path.startswith(("train/", "validation/")) and "/shards/" not in path
    }


@pytest.mark.slow
def test_a_fraction_is_a_prefix_of_a_larger_one_and_of_the_whole_for_any_workers(
    copy: Path, built: Built, tmp_path: Path
) -> None:
    loaded = load_spec(copy / "small.yaml")
    whole, counted = chunks(built.dataset), []
    for fraction, workers in ((0.1, 1), (0.5, 2), (0.7, 4)):
        part = build(loaded, tmp_path / str(fraction), backend(workers), fraction, locked=built.lock)
        assert part.workers == workers
        assert chunks(part.dataset).items() <= whole.items()
        digests = read_lock(part.lock).digests
        assert digests.items() <= read_lock(built.lock).digests.items()
        counted.append(len(digests) // 2)
    assert counted == [1, 4, 5]
    assert len(read_lock(built.lock).digests) == 14


def git(root: Path, *arguments: str, fails: bool = False) -> str:
    """One git command in `root`, by nobody in particular."""
    who = ["-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *arguments], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout


def edit(path: Path, line: str) -> None:
    """Puts another line in place of the last one, or after the only one."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*(lines[:-1] or lines), line]) + "\n")


@pytest.mark.parametrize("name", FILES)
def test_a_conflict_in_any_file_is_refused(spec: LoadedSpec, built: Built, tmp_path: Path, name: str) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(built.lock, repository / "small.lock")
    git(repository, "init", "-q")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "base")
    line = (repository / "small.lock" / name).read_text().splitlines()[-1]
    for branch, end in (("one", "1"), ("two", "2")):
        git(repository, "checkout", "-q", "-b", branch, "main")
        edit(repository / "small.lock" / name, line + end)
        git(repository, "commit", "-qam", branch)
    git(repository, "merge", "one", fails=True)
    folder = repository / "small.lock"
    assert "<<<<<<<" in (folder / name).read_text()
    out = built.dataset.parent
    for refuse in (
        lambda: check_lock(spec, out, folder, inline()),
        lambda: build(spec, out, inline(), locked=folder),
    ):
        with pytest.raises(BuildError) as caught:
            refuse()
        assert caught.value.code == "lock-conflict"
        assert name in caught.value.problems[0].message
    lock(spec, out, folder, inline())
    assert tree(folder) == tree(built.lock)


def test_a_merge_of_two_branches_is_mended_and_keeps_what_others_built(
    copy: Path, built: Built, tmp_path: Path
) -> None:
    git(copy, "init", "-q")
    shutil.copytree(built.lock, copy / "small.lock")
    git(copy, "add", "small.yaml", "small.lock")
    git(copy, "commit", "-qm", "base")
    for branch, change in (("ours", OURS), ("theirs", THEIRS)):
        git(copy, "checkout", "-q", "-b", branch, "main")
        lock(changed(copy / "small.yaml", change), tmp_path / branch, copy / "small.lock", inline())
        git(copy, "commit", "-qam", branch)
    git(copy, "merge", "ours", fails=True)
    conflicted = git(copy, "diff", "--name-only", "--diff-filter=U").split()
    assert "small.lock/lock.yaml" in conflicted
    assert "small.yaml" not in conflicted
    loaded = load_spec(copy / "small.yaml")
    assert loaded.spec.version == "1.1.0"
    assert loaded.spec.annotation.negatives == "none"
    with pytest.raises(BuildError) as caught:
        check_lock(loaded, tmp_path / "here", copy / "small.lock", inline())
    assert caught.value.code == "lock-conflict"
    lock(loaded, tmp_path / "here", copy / "small.lock", inline())
    check_lock(loaded, tmp_path / "here", copy / "small.lock", inline())
    mended, whole = read_lock(copy / "small.lock"), read_lock(built.lock)
    columns = ("images_key", "images_digest")
    assert [[row[c] for c in columns] for row in mended.tables["shards.csv"]] == [
        [row[c] for c in columns] for row in whole.tables["shards.csv"]
    ]
    assert all(row["images_digest"] for row in mended.tables["shards.csv"])  # of images that nobody read here
    assert not (tmp_path / "here/.mlimg/small/images").exists()


def test_a_digest_is_forgotten_where_its_key_is_another(copy: Path, built: Built, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(built.lock, tmp_path / "small.lock"))
    lock(changed(copy / "small.yaml", THEIRS), tmp_path / "out", folder, inline())
    rows, old = read_lock(folder).tables["shards.csv"], read_lock(built.lock).tables["shards.csv"]
    for row, was in zip(rows, old, strict=True):
        assert row["images_digest"] == was["images_digest"] != ""
        assert row["labels_key"] != was["labels_key"]
    assert any(row["labels_digest"] != was["labels_digest"] for row, was in zip(rows, old, strict=True))
    (copy / "synsets/n02121620/n02121620_3.JPEG").unlink()
    lock(load_spec(copy / "small.yaml"), tmp_path / "out", folder, inline())
    now = {row["images_key"]: row["images_digest"] for row in read_lock(folder).tables["shards.csv"]}
    assert "" in now.values()
    before = {row["images_key"]: row["images_digest"] for row in rows}
    assert all(digest in ("", before.get(key)) for key, digest in now.items())


def test_the_files_are_sorted_whole_lines_that_say_nothing_of_a_machine(built: Built, kept: Path) -> None:
    import mlimg_build

    for folder in (built.lock, kept):
        assert {path.name for path in folder.iterdir()} == set(FILES)
        for name in FILES:
            data = (folder / name).read_bytes()
            assert data.endswith(b"\n")
            assert b"\r" not in data
            text = data.decode()
            assert not re.search(r"(^|[\s,\"'])(/(?!m/)|~|[A-Z]:\\)\w", text)
            assert not re.search(r"\d\d:\d\d", text)
            assert not re.search(r"\b20[2-9]\d-\d\d", text)
            assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text)
            assert str(Path(mlimg_build.__file__).parents[1]) not in text
            if name.endswith(".csv"):
                rows = list(csv.reader(text.splitlines()))[1:]
                width = 1 if name == "categories.csv" else 2
                keys = [(row[0], int(row[1])) if name == "shards.csv" else tuple(row[:width]) for row in rows]
                assert keys == sorted(set(keys))


def test_a_lock_that_fails_in_the_middle_leaves_the_old_one(
    copy: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, calls = tree(kept), []
    loaded = changed(copy / "small.yaml", OURS)
    real = locking.write_synced

    def failing(path: Path, data: bytes) -> None:
        calls.append(path.name)
        if len(calls) == 3:
            raise OSError(5, "Input/output error")
        real(path, data)

    monkeypatch.setattr(locking, "write_synced", failing)
    with pytest.raises(OSError, match="Input/output"):
        lock(loaded, tmp_path / "out", kept, inline())
    assert len(calls) == 3
    assert tree(kept) == before
    assert [path.name for path in tmp_path.iterdir() if ".new" in path.name or ".old" in path.name] == []
    monkeypatch.undo()
    lock(loaded, tmp_path / "out", kept, inline())
    assert read_lock(kept).head["version"] == "1.1.0"
