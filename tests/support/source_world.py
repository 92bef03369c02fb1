"""What the tests of sources share: tars and lists written by hand, and a scan gathered into plain Python."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlimg_build.label_states import ABSENT, PRESENT
from mlimg_build.sources import IMAGES, LABELS, Category, Notes, Source

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


@dataclass(frozen=True)
class Scanned:
    """Everything that a source streams."""

    images: list[dict[str, Any]]
    labels: list[dict[str, Any]]
    notes: Notes
    batches: int

    @property
    def names(self) -> list[str]:
        return [image["name"] for image in self.images]

    @property
    def statements(self) -> list[tuple[str, str, float]]:
        """(image, category, confidence) of each label; 0 for an absence, as lists write it."""
        return [
            (label["name"], label["category"], label["confidence"] if label["state"] == PRESENT else 0.0)
            for label in self.labels
        ]

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.notes.counts)

    def image(self, name: str) -> dict[str, Any]:
        (found,) = [image for image in self.images if image["name"] == name]
        return found


def scan(source: Source) -> Scanned:
    """The stream of a source; every batch has the schema of the protocol, but for texts coded as dictionaries."""
    notes, images, labels, batches = Notes(), [], [], 0
    for batch in source.scan(notes):
        batches += 1
        if batch.images is not None:
            assert batch.images.schema.equals(IMAGES)
            batch.images.validate(full=True)
            images += batch.images.to_pylist()
        if batch.labels is not None:
            assert batch.labels.schema.names == LABELS.names
            batch.labels.validate(full=True)
            labels += batch.labels.cast(LABELS).to_pylist()
    assert all(
        label["state"] == PRESENT or (label["state"], label["confidence"]) == (ABSENT, 1) for label in labels
    )
    return Scanned(images, labels, notes, batches)


def categories(source: Source) -> list[Category]:
    return list(source.categories())


def write_tar(path: Path, files: Mapping[str, bytes], form: int = tarfile.USTAR_FORMAT) -> Path:
    """A tar of the files in their order, as `tar` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write(path: Path, data: bytes | str = b"image") -> Path:
    """A file with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path
