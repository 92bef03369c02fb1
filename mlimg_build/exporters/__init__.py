"""Exports of datasets to other formats: one module per format, listed in `EXPORTERS`."""

from __future__ import annotations

from collections.abc import Mapping

from mlimg_build.exporters.export import Exported, export
from mlimg_build.exporters.protocol import ExportedImage, ExportedLabel, Exporter, Limits, OutputFile
from mlimg_build.exporters.webdataset import write_tars

__all__ = [
    "EXPORTERS",
    "Exported",
    "ExportedImage",
    "ExportedLabel",
    "Exporter",
    "Limits",
    "OutputFile",
    "export",
    "write_tars",
]

EXPORTERS: Mapping[str, Exporter] = {
    "webdataset": write_tars,
}
"""The functions that write the images of a split, by the name that `mlimg export --to` takes."""
