"""Whatever happens between builds, and in whatever order: what a build makes is what a clean build makes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import open_dataset, verify
from mlimg_build.errors import DatasetError, Interrupted, MlimgError
from mlimg_build.spec import load_spec
from tests.support.photographs import crops
from tests.support.runs import inline

SPEC = """\
mlimg: 1
name: world
version: 1.0.0
sources:
  folders: {{type: folder, images: folders}}
  rows: {{type: table, table: rows.csv, images: rows}}
annotation: {{negatives: {negatives}, unlabelled: keep}}
duplicates: {{exact: {exact}}}
split: {{validation: 0.4}}
dataset: {{images_per_shard: 2}}
"""
VARIANTS = [("descendants", "merge"), ("none", "merge"), ("descendants", "report")]
FILES = [
    "folders/dog/1.jpg",
    "folders/dog/2.jpg",
    "folders/cat/1.jpg",
    "folders/cat/2.jpg",
    "rows/a.jpg",
    "rows/b.jpg",
]
ROWS = "image,labels\na.jpg,corgi\nb.jpg,tabby\n"
PICTURES = crops("chelsea", 8, 32)
STEPS = ("starting workers", "assembling the dataset")
CLEAN: dict[tuple[int, tuple[int, ...]], str] = {}
"""The digest of a clean build by the variant of the spec and the picture that each file holds."""


class Stopped:
    """Follows a build, and stops it where it comes to a step."""

    def __init__(self, at: str) -> None:
        self.at = at

    def step(self, message: str) -> None:
        """Stop here, if it is the step."""
        if message == self.at:
            raise KeyboardInterrupt

    def follow(self, images: int, tasks: int) -> Callable[[Any], None]:
        """Hear of nothing."""
        return lambda done: None


def write_world(folder: Path, variant: int, pictures: tuple[int, ...]) -> Path:
    for name, picture in zip(FILES, pictures, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PICTURES[picture])
    (folder / "rows.csv").write_text(ROWS)
    return write_spec(folder, variant)


def write_spec(folder: Path, variant: int) -> Path:
    negatives, exact = VARIANTS[variant]
    (folder / "world.yaml").write_text(SPEC.format(negatives=negatives, exact=exact))
    return folder / "world.yaml"


def clean(variant: int, pictures: tuple[int, ...]) -> str:
    if (variant, pictures) not in CLEAN:
        with tempfile.TemporaryDirectory() as folder:
            loaded = load_spec(write_world(Path(folder), variant, pictures))
            CLEAN[variant, pictures] = build(loaded, Path(folder) / "out", inline()).digest
    return CLEAN[variant, pictures]


class Builds(RuleBasedStateMachine):
    """One output folder, and all that happens to it and to its sources."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="builds"))
        self.variant, self.pictures = 0, (0, 1, 2, 3, 0, 2)  # two pairs of copies
        self.damaged = False
        self.made: Built | None = None
        self.open: list[Any] = []

    def teardown(self) -> None:
        for dataset in self.open:
            dataset.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def built(self, **given: Any) -> Built:
        return build(load_spec(self.folder / "world.yaml"), self.folder / "out", inline(), **given)

    @initialize()
    def begin(self) -> None:
        write_world(self.folder, self.variant, self.pictures)

    @rule(variant=st.sampled_from(range(len(VARIANTS))))
    def edit_a_rule(self, variant: int) -> None:
        self.variant = variant
        write_spec(self.folder, variant)

    @rule(file=st.sampled_from(range(len(FILES))), picture=st.sampled_from(range(4)))
    def change_a_file(self, file: int, picture: int) -> None:
        self.pictures = (*self.pictures[:file], picture, *self.pictures[file + 1 :])
        (self.folder / FILES[file]).write_bytes(PICTURES[picture])

    @rule(file=st.sampled_from(FILES))
    def touch_a_file(self, file: str) -> None:
        os.utime(self.folder / file)

    @rule(at=st.sampled_from(STEPS))
    def stop_a_build(self, at: str) -> None:
        with suppress(Interrupted):
            self.built(watcher=Stopped(at), repair=self.damaged)

    @rule()
    def only_plan(self) -> None:
        plan(load_spec(self.folder / "world.yaml"), self.folder / "out")

    @rule(part=st.floats(0.2, 0.8))
    def build_a_fraction(self, part: float) -> None:
        made = self.built(fraction=part, repair=self.damaged)
        self.damaged = False
        assert verify(made.dataset).ok

    @precondition(lambda self: self.made is not None)
    @rule(at=st.integers(0, 1 << 16))
    def flip_a_byte_of_what_is_stored(self, at: int) -> None:
        stored = sorted(
            path for path in (self.folder / "out").rglob("c/*") if path.is_file() and path.stat().st_size
        )
        path = stored[at % len(stored)]
        data = bytearray(path.read_bytes())
        data[at % len(data)] ^= 1
        with path.open("r+b") as stream:  # in place, as a disk does it: links to it see it too
            stream.write(data)
        self.damaged = True

    @precondition(lambda self: self.made is not None and len(self.open) < 3)
    @rule()
    def open_it_to_read(self) -> None:
        assert self.made is not None
        with suppress(DatasetError):
            self.open.append(open_dataset(self.made.dataset))

    @rule()
    def build_it(self) -> None:
        self.made = self.built(repair=self.damaged)
        self.damaged = False
        assert self.made.digest == clean(self.variant, self.pictures)
        assert verify(self.made.dataset).ok

    @precondition(lambda self: self.made is not None and not self.damaged)
    @rule()
    def build_it_by_its_lock(self) -> None:
        self.made = self.built()
        again = self.built(locked=self.made.lock)
        assert again.digest == clean(self.variant, self.pictures)
        assert again.proved == (again.summary["shards"], again.summary["shards"])

    @invariant()
    def who_reads_sees_one_dataset_or_is_told(self) -> None:
        for dataset in self.open:
            try:
                for split in dataset.splits.values():
                    for image in split:
                        assert image.data in PICTURES or self.damaged
            except MlimgError:
                continue


TestBuilds = Builds.TestCase
FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"
TestBuilds.settings = settings(max_examples=40 if FULL else 2, stateful_step_count=12, deadline=None)
