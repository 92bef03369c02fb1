"""What a spec says of images that lie at URLs: what is asked for, and what rights are respected."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from mlimg_build.spec.field_types import ByteSize, FileOrFolder, OptionalFile, Part, refusal
from mlimg_build.spec.yaml.scalars import shown

__all__ = ["Fetching", "LicenceRule", "Rights"]

DIGEST = re.compile(r"[0-9a-f]{64}")
LICENCE = re.compile(
    r"(?:[A-Za-z0-9.]+|\*)(?:-(?:[A-Za-z0-9.]+|\*))*"
)  # as fetch.rights.licence_patterns has it
CONTACT = re.compile(r"[\x21-\x7e]{3,200}")


def _digest(value: str) -> str:
    if DIGEST.fullmatch(value.lower()):
        return value.lower()
    raise refusal("wrong-value", f"expected a sha256 in hex, found {shown(value)}", "64 digits, 0-9 and a-f")


def _contact(value: str) -> str:
    if not value or (CONTACT.fullmatch(value) and not set(value) & set("();\\")):
        return value
    hint = "write the address of a page or of a mailbox: https://example.org/crawling, me@example.org"
    raise refusal("wrong-value", f"expected a way to reach you, found {shown(value)}", hint)


def _licence(value: str) -> str:
    if len(value) <= 100 and LICENCE.fullmatch(value):
        return value
    hint = "write an SPDX id, a star for any version: CC-BY-4.0, CC-BY-*, CC0-1.0, or unknown"
    raise refusal("wrong-value", f"expected a licence, found {shown(value)}", hint)


LicencePattern = Annotated[str, AfterValidator(_licence)]
Sha256 = Annotated[
    str, AfterValidator(_digest), WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"})
]


class LicenceRule(Part):
    """Which licences of images are allowed."""

    allow: tuple[LicencePattern, ...] = Field(
        min_length=1,
        description="SPDX ids that are allowed, * for any version: CC-BY-*, CC0-1.0; unknown for images without one",
    )


class Rights(Part):
    """Which signals of rights are respected when images are fetched, and which images are taken down."""

    robots: Literal["obey", "ignore"] = Field(default="obey", description="robots.txt (RFC 9309)")
    tdm: Literal["obey", "ignore"] = Field(
        default="obey", description="reservation of text and data mining: tdm-reservation, tdmrep.json"
    )
    x_robots_tag: Literal["obey", "ignore"] = Field(
        default="obey", description="X-Robots-Tag: noai, noimageai"
    )
    content_usage: Literal["obey", "ignore"] = Field(
        default="obey", description="Content-Usage: train-ai=n, in a header or in robots.txt"
    )
    licences: LicenceRule | None = Field(
        default=None, description="licences of images that are fetched; all without it"
    )
    withdrawn: OptionalFile = Field(
        default=None,
        description="images that are taken down, one a line: id (SOURCE/NAME), URL, or sha256 of their bytes",
    )


class Fetching(Part):
    """How images that lie at URLs are asked for, as far as it decides what the dataset holds."""

    contact: Annotated[str, AfterValidator(_contact)] = Field(
        default="",
        description="how a site reaches you, a URL or an e-mail address; it is sent with every request",
    )
    max_bytes: ByteSize = Field(
        default=64 * 2**20, description='images of more bytes are not fetched, a number or text like "64 MiB"'
    )
    placeholders: tuple[Sha256, ...] = Field(
        default=(),
        description="sha256 of pictures that a site sends in place of missing ones; they count as missing",
    )
    digests: FileOrFolder = Field(
        default=None,
        description="what an earlier release had: Parquet of `mlimg fetch --digests` (at least url and sha256), or its "
        "dataset; an image with other bytes is left out",
    )
