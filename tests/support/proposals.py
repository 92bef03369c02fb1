"""What `mlimg init --from` is asked about, and the spec that it writes, taken as it is."""

from __future__ import annotations

from pathlib import Path

from mlimg_build.cli import run
from tests.support.photographs import crops

__all__ = ["proposed", "write"]


def write(root: Path, *paths: str) -> None:
    """Write a photograph of 32 pixels at each path below `root`, no two alike."""
    for path, data in zip(paths, crops("chelsea", len(paths), 32), strict=True):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def proposed(path: str, spec: str = "s.yaml") -> str:
    """Return the spec that `init` writes, which fits into 80 columns."""
    assert run(["init", spec, "--force", "--from", path, "-q"]) == 0
    text = Path(spec).read_text()
    assert [line for line in text.split("\n") if len(line) > 80] == []
    return text
