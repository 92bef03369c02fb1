"""An edit of a label rule makes labels anew and opens no image: every file that is opened is written down."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MLIMG = str(Path(sys.executable).with_name("mlimg"))
ROOT = Path(__file__).resolve().parents[2]
HOOK = """\
import os, sys
log = os.open(os.environ["OPENED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def hear(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        os.write(log, os.fsencode(os.path.abspath(os.fsdecode(arguments[0]))) + b"\\n")
sys.addaudithook(hear)
"""


class Traced:
    """Runs commands whose opened files are written down, also those of their workers."""

    def __init__(self, folder: Path, sources: Path) -> None:
        self.folder, self.sources = folder, sources
        (folder / "hook").mkdir()
        (folder / "hook" / "sitecustomize.py").write_text(HOOK)

    def run(self, *arguments: object) -> tuple[str, set[str]]:
        """What a command says, and the files of the sources that it or a worker opened."""
        log = self.folder / "opened"
        log.unlink(missing_ok=True)
        path = os.pathsep.join([str(self.folder / "hook"), str(ROOT)])
        done = subprocess.run(
            [MLIMG, *map(str, arguments)],
            env={**os.environ, "OPENED": str(log), "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        opened = {Path(line) for line in log.read_text().splitlines()}
        return done.stdout + done.stderr, {
            str(file.relative_to(self.sources)) for file in opened if file.is_relative_to(self.sources)
        }


@pytest.fixture(scope="module")
def traced(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """The collection in a folder of its own, built once."""
    folder = tmp_path_factory.mktemp("traced")
    shutil.copytree(collection, folder / "sources")
    made = Traced(folder, folder / "sources")
    _, opened = made.run(
        "build", folder / "sources/small.yaml", "--out", folder / "out", "--backend", "local"
    )
    pictures = {name for name in opened if name.endswith((".JPEG", ".jpg", ".tar"))}
    assert (
        len(pictures) == 30 + 1 + 40
    )  # the trace sees what workers open, or the tests below would prove nothing
    return made


@pytest.mark.slow
def test_edits_of_label_rules_read_no_image(traced: Traced) -> None:
    edits = [
        ("dataset:\n", "annotation:\n  negatives: none\ndataset:\n"),
        ("  ancestors: common\n", "  ancestors: common\n  collapse: [n00015388]\n"),
    ]
    text = (traced.sources / "small.yaml").read_text()
    spec, out = traced.folder / "sources" / "edited.yaml", traced.folder / "out"
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    spec.write_text(text)
    said, opened = traced.run("plan", spec, "--out", out)
    assert "0 images and 0 B to read" in said
    assert "labels of 7 shards: " in said
    for verb in ("lock", "build"):
        place = ("--to", traced.folder / "small.lock") if verb == "lock" else ()
        said, more = traced.run(verb, spec, "--out", out, "--backend", "local", *place)
        opened |= more
    assert opened <= {"edited.yaml", "crowd/labels.csv", "crowd/classes.csv"}
    assert "edited.yaml" in opened
