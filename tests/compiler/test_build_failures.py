"""What is wrong ends in a clear error or in a counted row, and never costs the rest."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan.plan_summary import plan_summary
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import DatasetError, MlimgError
from mlimg_build.spec import LoadedSpec, load_spec
from tests.support.runs import backend, inline, tree

MLIMG = Path(sys.executable).with_name("mlimg")


@pytest.fixture
def copy(collection: Path, tmp_path: Path) -> Path:
    """A copy of the collection that a test may spoil."""
    return Path(shutil.copytree(collection, tmp_path / "copy"))


def loaded(copy: Path) -> LoadedSpec:
    return load_spec(copy / "small.yaml")


def refused(copy: Path) -> MlimgError:
    """The error that planning ends in."""
    with pytest.raises(MlimgError) as caught:
        plan(loaded(copy), copy / "out")
    return caught.value


def test_damaged_images_keep_their_rows_and_their_labels(copy: Path, built: object) -> None:
    cats = copy / "synsets" / "n02121620"
    whole = (cats / "n02121620_0.JPEG").read_bytes()
    (cats / "n02121620_0.JPEG").write_bytes(whole[: len(whole) // 2])
    photograph = zeroed_photograph()
    (cats / "n02121620_1.JPEG").write_bytes(photograph)
    (cats / "n02121620_2.JPEG").write_bytes(b"")
    (cats / "n02121620_bomb.PNG").write_bytes(png_header(20_000, 20_000))
    (cats / "n02121620_page.JPEG").write_bytes(b"<html><body>404 Not Found</body></html>")
    (cats / "n02121620_gone.JPEG").symlink_to("nowhere.JPEG")
    made = build(loaded(copy), copy / "out", backend(2))
    assert made.images == 103
    assert made.failed == {
        "truncated": 1,
        "corrupt": 1,
        "empty": 1,
        "too_many_pixels": 1,
        "unrecognised": 1,
        "missing": 1,
    }
    assert made.failures is not None
    listed = made.failures.read_text().splitlines()
    assert len(listed) == 1 + 6
    with open_dataset(made.dataset) as dataset:
        image = dataset.find("synsets/n02121620_1")
        assert (image.status, image.data) == ("corrupt", b"")
        assert {label.wnid for label in image.labels} >= {"n02121620", "n00015388"}
        assert sum(bool(image.data) for image in dataset.train) == 97
    assert made.peak_memory < 1 << 30


def test_a_tar_cut_in_half_costs_only_what_lies_behind_the_cut(copy: Path) -> None:
    tar = copy / "synsets" / "n04099429.tar"
    data = tar.read_bytes()
    tar.write_bytes(data[: len(data) // 2])
    made = build(loaded(copy), copy / "out", inline())
    passed_over = made.summary["sources"]["synsets"]["passed_over"]
    assert passed_over == {"tar-cut": 1}
    assert made.failed == {"truncated": 1}
    assert 80 < made.images < 90


def test_a_source_folder_that_does_not_exist_is_shown_at_its_line(copy: Path) -> None:
    shutil.rmtree(copy / "synsets")
    error = refused(copy)
    assert error.code == "path-missing"
    place = error.problems[0].place
    assert place is not None
    assert (place.line, place.column) == (7, 13)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "list-empty"),
        ("ImageID,Source,LabelName,Confidence\n", "list-empty"),
        ("a,b\n1,2\n", "column-missing"),
    ],
)
def test_a_label_list_without_labels_is_refused(copy: Path, text: str, code: str) -> None:
    (copy / "crowd" / "labels.csv").write_text(text)
    error = refused(copy)
    assert error.code == code
    assert "labels.csv" in str(error)
    assert error.problems[0].place is not None


def test_two_broken_sources_are_both_shown(copy: Path) -> None:
    (copy / "crowd" / "labels.csv").write_text("")
    shutil.rmtree(copy / "synsets")
    (copy / "synsets").mkdir()
    assert {problem.code for problem in refused(copy).problems} == {"list-empty", "source-empty"}


def test_a_name_that_nothing_resolves_is_warned_of_and_costs_only_its_labels(copy: Path) -> None:
    classes = copy / "crowd" / "classes.csv"
    classes.write_text(classes.read_text().replace("Cat", "Grumblewick"))
    made = plan(loaded(copy), copy / "out")
    (warning,) = made.facts.warnings
    assert warning.code == "unresolved-name"
    assert "Grumblewick" in warning.message
    assert plan_summary(made)["fates"]["unresolved"] == 1
    assert plan_summary(made)["images"] == 100


def test_an_unresolved_name_stops_a_build_where_the_spec_says_so(copy: Path) -> None:
    classes = copy / "crowd" / "classes.csv"
    classes.write_text(classes.read_text().replace("Cat", "Grumblewick"))
    spec = copy / "small.yaml"
    spec.write_text(
        spec.read_text().replace("  ancestors: common", "  ancestors: common\n  mapping: {unresolved: error}")
    )
    error = refused(copy)
    assert error.code == "unresolved-name"
    assert error.problems[0].place is not None
    assert error.problems[0].place.line == 16


def test_an_id_of_another_release_is_refused(copy: Path) -> None:
    (copy / "synsets" / "n02121620").rename(copy / "synsets" / "n99999999")
    error = refused(copy)
    assert error.code == "unknown-synset"
    assert "no noun n99999999 (synsets: synsets/n99999999)" in str(error), "its folder"


def test_an_unknown_id_is_shown_where_it_is_written(copy: Path) -> None:
    (copy / "not.txt").write_text("# of another release\nn02121620\n  n99999998 # gone\n")
    spec = copy / "small.yaml"
    rules = "  ancestors: common\n  exclude: not.txt\n  exclude_below: [n99999997]\n  collapse: [n99999996]"
    spec.write_text(spec.read_text().replace("  ancestors: common", rules))
    places = [problem.place for problem in refused(copy).problems]
    assert [(Path(place.file).name, place.line, place.column) for place in places if place] == [
        ("small.yaml", 18, 14),
        ("not.txt", 3, 3),
        ("small.yaml", 17, 19),
    ]
    assert {problem.code for problem in refused(copy).problems} == {"unknown-synset"}
    (copy / "not.txt").write_bytes(b"n02121620\nn\xff\n")
    problems = refused(copy).problems
    assert [problem.code for problem in problems] == ["unknown-synset", "unknown-synset", "list-unreadable"]
    assert problems[2].place is not None
    assert problems[2].place.line == 16
    spec.write_text(spec.read_text().replace("not.txt", "x" * 300))
    assert {problem.code for problem in refused(copy).problems} == {"unknown-synset"}


def test_a_circle_of_parts_is_shown_at_their_list(copy: Path) -> None:
    (copy / "parts.csv").write_text("part,whole\nn03273061,n04170515\n")  # an electric motor of its kind
    spec = copy / "small.yaml"
    spec.write_text(spec.read_text() + "hierarchy: {relations: {part_holonym: parts.csv}}\n")
    error = refused(copy)
    assert error.code == "cycle"
    assert "electric motor" in str(error)
    assert error.problems[0].place is not None
    assert (error.problems[0].place.line, error.problems[0].place.column) == (18, 39)
    joins = "  join: {n02123045: [n02084071], n01322604: [n02121620]}\n"  # cat → puppy → dog → tabby → cat
    (copy / "parts.csv").write_text("part,whole\nn00006484,n00004475\n")  # cells of organisms
    spec.write_text(spec.read_text().replace("  ancestors: common\n", f"  ancestors: common\n{joins}"))
    error = refused(copy)
    assert error.code == "cycle"
    assert error.problems[0].place is not None
    assert error.problems[0].place.line == 16


def test_contradictions_stop_a_build_where_the_spec_says_so(copy: Path) -> None:
    spec = copy / "small.yaml"
    spec.write_text(spec.read_text() + "annotation: {conflicts: error}\n")
    error = refused(copy)
    assert error.code == "contradiction"
    assert "crowd/m08" in str(error)


def test_a_mapping_file_shows_every_wrong_row(copy: Path) -> None:
    (copy / "map.csv").write_text(
        "source,category,wnid\ncrowds,/m/cat,n02121620\ncrowd,/m/cat,n1\ncrowd,/m/moto,n03790512\n"
    )
    spec = copy / "small.yaml"
    spec.write_text(spec.read_text().replace("  ancestors: common", "  mapping: {file: map.csv}"))
    problems = refused(copy).problems
    assert [(problem.code, problem.place.line if problem.place else 0) for problem in problems] == [
        ("unknown-source", 2),
        ("no-noun", 3),
    ]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of eight MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_full_disk_is_named_and_leaves_what_was_there(copy: Path, small_disk: Path) -> None:
    spec = loaded(copy)
    cats = copy / "synsets" / "n02121620"
    first = build(spec, small_disk, inline(), fraction=0.1)
    before = tree(first.dataset)
    noise = (cats / "n02121620_0.JPEG").read_bytes()
    for i in range(400):
        (cats / f"n02121620_x{i}.JPEG").write_bytes(noise)
    with pytest.raises(MlimgError) as caught:
        build(spec, small_disk, inline())
    assert "disk" in str(caught.value)
    assert caught.value.problems[0].hint
    assert tree(first.dataset) == before
    assert not (small_disk / "small.zarr").exists()


def test_a_folder_that_is_no_dataset_is_never_replaced(copy: Path) -> None:
    precious = copy / "out" / "small.zarr"
    precious.mkdir(parents=True)
    (precious / "thesis.txt").write_text("years of work")
    with pytest.raises(DatasetError) as caught:
        build(loaded(copy), copy / "out", inline())
    assert caught.value.code == "not-replaceable"
    assert (precious / "thesis.txt").read_text() == "years of work"


def test_two_builds_do_not_write_to_one_place(copy: Path) -> None:
    from mlimg_build.compiler.engine.cache import Store

    with Store(copy / "out" / ".mlimg" / "small").exclusive_lock(), pytest.raises(MlimgError) as caught:
        plan(loaded(copy), copy / "out")
    assert caught.value.code == "build-running"


def zeroed_photograph() -> bytes:
    """A photograph with 2 KB of its scan set to zero."""
    from importlib.resources import files

    data = bytearray((files("skimage.data") / "rocket.jpg").read_bytes())
    data[40_000:42_048] = bytes(2048)
    return bytes(data)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds a single row."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1 + 3 * width)))
        + chunk(b"IEND", b"")
    )
