"""Small things that would be lost or misread in silence: each is told, or read as it is meant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlimg_build.compiler.engine.executor import Done, Failed
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.compiler.run import task_runner
from mlimg_build.errors import MlimgError, Problem, SpecError, TransientError
from mlimg_build.sources.lists.class_names import class_descriptions
from mlimg_build.spec import load_spec
from tests.support.photographs import crops
from tests.support.runs import inline
from tests.support.source_world import write_tar

HEAD = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"


def images(folder: Path, *names: str) -> None:
    for name, data in zip(names, crops("chelsea", len(names), 32), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_a_path_that_is_no_utf_8_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller"))
    images(odd, "img/dog/1.jpg")
    (odd / "x.yaml").write_text(f"{HEAD}  s: {{type: folder, images: img}}\n")
    with pytest.raises(SpecError) as caught:
        load_spec(odd / "x.yaml")
    assert caught.value.code == "path-not-utf-8"
    images(tmp_path, "img/dog/1.jpg")
    (tmp_path / "x.yaml").write_text(f"{HEAD}  s: {{type: folder, images: img}}\n")
    with pytest.raises(SpecError, match="the path of --out is not UTF-8"):
        build(load_spec(tmp_path / "x.yaml"), odd / "out", inline())


def test_whole_numbers_that_a_table_of_floats_writes_are_the_groups_of_one_that_does_not(
    tmp_path: Path,
) -> None:
    images(tmp_path / "img", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    (tmp_path / "a.csv").write_text("image,labels,p\na.jpg,dog,1\nb.jpg,dog,2\n")
    (tmp_path / "b.csv").write_text("image,labels,p\nc.jpg,dog,1.0\nd.jpg,dog,2.0\n")
    sources = "".join(f"  {name}: {{type: table, table: {name}.csv, images: img}}\n" for name in "ab")
    (tmp_path / "x.yaml").write_text(f"{HEAD}{sources}split: {{validation: 0.5, by: {{column: p}}}}\n")
    made = plan(load_spec(tmp_path / "x.yaml"), tmp_path / "out")
    assert made.inputs.groups is not None
    assert made.inputs.groups.groups == 2


def test_a_list_of_classes_with_the_names_first_is_read_by_its_header(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("name,id\nTench,01\nDog,02\n")
    assert class_descriptions(tmp_path / "c.csv", "the classes") == [("01", "Tench"), ("02", "Dog")]


def test_synsets_that_are_not_read_are_a_warning_with_their_names(tmp_path: Path) -> None:
    images(tmp_path / "img", "n02084071/1.jpg")
    (tmp_path / "img" / "n02391049.tar.gz").write_bytes(b"x")
    (tmp_path / "img" / "N01440764.TAR").write_bytes(b"x")
    (tmp_path / "x.yaml").write_text(f"{HEAD}  s: {{type: imagenet, images: img}}\n")
    made = plan(load_spec(tmp_path / "x.yaml"), tmp_path / "out")
    (told,) = [one for one in made.warnings if one.code == "synset-not-read"]
    assert "2 synsets are not read" in told.message
    assert "n02391049.tar.gz" in told.message


def test_a_label_of_several_offers_the_separator_and_a_row_that_can_be_read(tmp_path: Path) -> None:
    images(tmp_path / "img", "a.jpg", "b.jpg")
    (tmp_path / "t.csv").write_text('image,labels\na.jpg,"quux, zblorp"\nb.jpg,dog\n')
    (tmp_path / "x.yaml").write_text(f"{HEAD}  t: {{type: table, table: t.csv, images: img}}\n")
    (unused,) = plan(load_spec(tmp_path / "x.yaml"), tmp_path / "out").unused_categories
    assert '`t,"quux, zblorp",WNID`' in unused.remedy
    assert "`separator: ','`" in unused.remedy


class Breaking:
    """An executor of which the tasks with these numbers always fail for a cause that may pass."""

    workers = 1

    def __init__(self, broken: set[int]) -> None:
        self.broken, self.begun, self.done = broken, list[list[int]](), list[int]()

    def begin(self, task: list[int]) -> None:
        self.begun.append(task)

    def ended(self) -> Iterator[Done | Failed]:
        while self.begun:
            task = self.begun.pop(0)
            if task[0] in self.broken:
                yield Failed(task, TransientError(Problem("read-failed", f"task {task[0]}")))
            else:
                self.done.append(task[0])
                yield Done(task, {"images": 1, "labels": 0, "peak": 0})

    def cancel(self) -> None:
        self.begun.clear()


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize(("broken", "finished"), [({5}, True), ({5, 6, 7}, False)])
def test_one_task_that_always_fails_stops_no_other_and_three_alike_do(
    broken: set[int], finished: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = task_runner.TaskFollower(executor := Breaking(broken), lambda progress: None)
    crew.do([[number] for number in range(200)])
    assert {problem.message for problem in crew.problems} >= {f"task {number}" for number in broken}
    assert (len(executor.done) == 200 - len(broken)) == finished


def test_what_a_damaged_tar_loses_is_a_warning(tmp_path: Path) -> None:
    tar = write_tar(
        tmp_path / "img" / "n01440764.tar", dict(zip(("a.jpg", "b.jpg"), crops("chelsea", 2), strict=True))
    )
    whole = tar.read_bytes()
    tar.write_bytes(whole[: len(whole) // 2 + 700])
    (tmp_path / "img" / "n02084071.tar").write_bytes(b"")
    (tmp_path / "x.yaml").write_text(
        "mlimg: 1\nname: x\nversion: 1.0.0\nsources: {s: {type: imagenet, images: img}}\n"
    )
    made = plan(load_spec(tmp_path / "x.yaml"), tmp_path / "out")
    (told,) = [one for one in made.warnings if one.code == "content-lost"]
    assert "2 tars or folders are damaged" in told.message
    assert "n01440764.tar" in told.message
    assert "n02084071.tar" in told.message


def test_a_list_of_which_no_row_is_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "t.csv").write_text("image,labels\n" + "x" * (5 << 20))
    (tmp_path / "x.yaml").write_text(
        "mlimg: 1\nname: x\nversion: 1.0.0\nsources: {s: {type: table, table: t.csv, images: img}}\n"
    )
    with pytest.raises(MlimgError) as caught:
        plan(load_spec(tmp_path / "x.yaml"), tmp_path / "out")
    assert "text-too-long (1), such as t.csv:2" in str(caught.value)


def test_a_key_of_a_part_within_is_told_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "mlimg: 1\nname: x\nversion: 1.0.0\nsources: {s: {type: folder, images: img}}\nimages: {short_side: 256}\n"
    )
    with pytest.raises(MlimgError) as caught:
        load_spec(tmp_path / "x.yaml")
    assert "it belongs into encoding: encoding: {short_side: …}" in str(caught.value)
