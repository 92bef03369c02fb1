"""Check an image for the build, and give the bytes to store and their digests."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from mlimg_build.images.encoding import encode
from mlimg_build.images.full_decode import decode_fully
from mlimg_build.images.image_info import ImageInfo

__all__ = ["Checked", "check"]


@dataclass(frozen=True, slots=True)
class Checked:
    """An image that goes into a dataset.

    `digest` is the sha256 (32 bytes) of `data`, the bytes that are stored; `source_digest` that of the
    original. `width` and `height` are those of the stored image as displayed, in pixels; `proof` describes
    the original.
    """

    proof: ImageInfo
    data: bytes
    digest: bytes
    source_digest: bytes
    width: int
    height: int


def check(data: bytes, max_pixels: int, encoding: tuple[int, int] | None) -> Checked:
    """Check that the image decodes fully; return it as it is, or re-encoded to (short side, quality).

    Raises:
        BadImage: if it does not; its `status` is that of the image's row.
    """
    proof = decode_fully(data, max_pixels)
    source_digest = sha256(data).digest()
    if encoding is None:
        return Checked(proof, data, source_digest, source_digest, proof.width, proof.height)
    stored, width, height = encode(data, proof, *encoding)
    return Checked(proof, stored, sha256(stored).digest(), source_digest, width, height)
