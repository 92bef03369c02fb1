"""What ships with the project is in order: specs, their schema, the constraints."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mlimg_build.compiler.facts.preflight import check_ids, load_wordnet
from mlimg_build.spec import json_schema, load_spec

ROOT = Path(__file__).resolve().parents[2]
SPECS = sorted([*ROOT.glob("specs/*.yaml"), *ROOT.glob("examples/*/quickstart.yaml")])


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_a_shipped_spec_is_right_and_names_its_schema(path: Path) -> None:
    loaded = load_spec(path, {})
    check_ids(loaded, load_wordnet(loaded))
    first = path.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.split("=", 1)[1]).resolve() == (ROOT / "specs" / "schema.json").resolve()


def test_the_schema_beside_the_specs_is_the_one_that_the_command_prints() -> None:
    assert json.loads((ROOT / "specs" / "schema.json").read_text()) == json_schema()


def test_the_constraints_name_versions_and_no_host() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert len(lines) > 40
    assert all("==" in line and "/" not in line and "@" not in line for line in lines)


def processor_seconds(*command: str) -> float:
    """What a command takes of the processor: the clock would count other tests beside it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_check_takes_little_more_than_its_libraries_take_to_load() -> None:
    """About a second where these take 0.6 s; a limit in seconds would be one on the machine."""
    libraries = "import numpy, pydantic, pyarrow.compute, scipy.sparse.csgraph, typer, yaml"
    mlimg, spec = str(Path(sys.executable).with_name("mlimg")), str(ROOT / "specs" / "ml-images.yaml")
    taken = [
        (processor_seconds(sys.executable, "-c", libraries), processor_seconds(mlimg, "check", spec))
        for _ in range(3)
    ]
    assert min(check for _, check in taken) < 2.5 * min(load for load, _ in taken)


def test_every_test_file_is_collected(collected_files: set[Path]) -> None:
    assert set((ROOT / "tests").rglob("test_*.py")) == collected_files
