"""An export: a dataset's images in another format, its description, and a list of what was left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlimg_build import __version__
from mlimg_build.atomic import explaining_full_disk, replacing
from mlimg_build.csv_cells import CellWriter
from mlimg_build.dataset import Dataset, open_dataset
from mlimg_build.errors import DatasetError, Problem
from mlimg_build.exporters.protocol import ExportedImage, Exporter, Limits, OutputFile
from mlimg_build.exporters.selection import Copies, LeftOut, exported_images
from mlimg_build.regular_files import read_object

__all__ = ["DESCRIPTION", "LEFT_OUT", "Exported", "export"]

FORMAT = "mlimg-export/1"
DESCRIPTION, LEFT_OUT = "export.json", "left-out.csv"
COLUMNS = ("image", "split", "reason", "counts_instead")
EVERY = 64  # images between two calls of `advance`


@dataclass(frozen=True, slots=True)
class Exported:
    """The contents of an export: its files and images by split, and how many rows were left out for which reason."""

    folder: Path
    format: str
    dataset: str
    images: dict[str, int]
    left_out: dict[str, dict[str, int]]
    parts: dict[str, tuple[OutputFile, ...]]
    bytes: int
    listed: Path | None  # the CSV of what was left out, None if nothing was


def export(
    path: Path,
    folder: Path,
    name: str,
    exporter: Exporter,
    *,
    splits: Sequence[str] = (),
    copies: Copies = "once",
    limits: Limits | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Write the dataset at `path` into `folder` by an exporter, which `name` names in `export.json`.

    `splits` are the splits to write, all if empty. `folder` is new, empty, or an export, which is kept until the new
    one is complete. `advance` is called with the numbers of images done and in all.

    Raises:
        DatasetError: those of `open_dataset`, `split-unknown`, `not-replaceable`, `disk-full`.
        DamagedDataset: if stored bytes differ from their digest; those of `exported_images`.
    """
    folder = folder.absolute()
    with open_dataset(path) as dataset:
        chosen = [dataset[split].name for split in (splits or dataset.splits)]
        _ensure_replaceable(folder, dataset)
        hint = "free some space and run the same command again; an export that was there is as it was"
        with explaining_full_disk(folder, hint), replacing(folder) as temporary:
            counts = _Counts(advance, sum(len(dataset[split]) for split in chosen))
            parts: dict[str, tuple[OutputFile, ...]] = {}
            with (temporary / LEFT_OUT).open("w", encoding="utf-8", newline="") as stream:
                rows = CellWriter(stream)
                rows.writerow(COLUMNS)
                for split in dict.fromkeys(chosen):

                    def leave_out(left: LeftOut) -> None:
                        rows.writerow((left.id, left.split, left.reason, left.counts))
                        counts.left_out(left)

                    images = exported_images(dataset[split], copies, leave_out)
                    parts[split] = tuple(
                        exporter(split, counts.follow(split, images), temporary, limits or Limits())
                    )
            if not counts.left:
                (temporary / LEFT_OUT).unlink()
            told = _description(dataset, name, copies, parts, counts)
            text = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
            (temporary / DESCRIPTION).write_text(text, encoding="utf-8")
            size = sum(file.stat().st_size for file in temporary.iterdir())
        return Exported(
            folder=folder,
            format=name,
            dataset=dataset.digest,
            images={split: counts.images[split] for split in parts},
            left_out={split: dict(sorted(counts.left.get(split, {}).items())) for split in parts},
            parts=parts,
            bytes=size,
            listed=folder / LEFT_OUT if counts.left else None,
        )


class _Counts:
    """Counts of the images exported and left out so far."""

    def __init__(self, advance: Callable[[int, int], None], total: int) -> None:
        self._advance, self._total, self._done = advance, total, 0
        self.images: Counter[str] = Counter()
        self.left: dict[str, Counter[str]] = {}

    def follow(self, split: str, images: Iterator[ExportedImage]) -> Iterator[ExportedImage]:
        for image in images:
            yield image
            self.images[split] += 1
            self._step()
        self._advance(self._done, self._total)

    def left_out(self, left: LeftOut) -> None:
        self.left.setdefault(left.split, Counter())[left.reason] += 1
        self._step()

    def _step(self) -> None:
        self._done += 1
        if self._done % EVERY == 0:
            self._advance(self._done, self._total)


def _description(
    dataset: Dataset, name: str, copies: Copies, parts: dict[str, tuple[OutputFile, ...]], counts: _Counts
) -> dict[str, Any]:
    """Return the content of `export.json`; categories are in the dataset's order, so their position is their index."""
    categories = dataset.categories
    return {
        "format": FORMAT,
        "to": name,
        "mlimg": __version__,
        "dataset": {
            "name": dataset.attributes.get("name"),
            "version": dataset.attributes.get("version"),
            "format": dataset.attributes["format"],
            "digest": dataset.digest,
        },
        "copies": copies,
        "splits": {
            split: {
                "images": counts.images[split],
                "left_out": dict(sorted(counts.left.get(split, {}).items())),
                "files": [asdict(part) for part in written],
            }
            for split, written in parts.items()
        },
        "categories": [
            {"wnid": wnid, "name": named, "parents": [categories.wnid[parent] for parent in parents]}
            for wnid, named, parents in zip(
                categories.wnid, categories.names, categories.parents, strict=True
            )
        ],
    }


def _ensure_replaceable(folder: Path, dataset: Dataset) -> None:
    """Raises `DatasetError` `not-replaceable` if an export would replace anything else or lie inside its dataset."""
    inside = dataset.path.resolve() in (folder.resolve(), *folder.resolve().parents)
    if inside:
        message, hint = f"{folder} lies in the dataset that is exported", "give a place outside of it"
    elif folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        message, hint = f"{folder} exists and is no folder", "give another place, or move it away"
    elif folder.is_dir() and (others := _others(folder)):
        message = f"{folder} holds what is no export ({others[0]}), so it is not replaced"
        hint = "give another place, or move it away"
    else:
        return
    raise DatasetError(Problem("not-replaceable", message, hint=hint))


def _others(folder: Path) -> list[str]:
    """Return the names in a folder that no export wrote there, sorted."""
    names = {path.name for path in folder.iterdir()}
    try:
        told = read_object(folder / DESCRIPTION)
        if told["format"].startswith("mlimg-export/"):
            files = {part["file"] for split in told["splits"].values() for part in split["files"]}
            names -= {DESCRIPTION, LEFT_OUT, *files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return sorted(names)
