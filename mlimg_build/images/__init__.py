"""Images: decoded fully to check them, re-encoded smaller, with a status for each damaged one."""

from mlimg_build.images.crops import (
    DECODERS,
    Decoder,
    OpenImage,
    available_decoder,
    decode_crops,
    native,
    open_image,
)
from mlimg_build.images.decoders import decoder_versions
from mlimg_build.images.decoding import decode
from mlimg_build.images.encoding import encode, encoder
from mlimg_build.images.full_decode import FORMATS, decode_fully
from mlimg_build.images.image_info import ImageInfo
from mlimg_build.images.ingest import Checked, check
from mlimg_build.images.status import STATUSES, BadImage, Status

__all__ = [
    "DECODERS",
    "FORMATS",
    "STATUSES",
    "BadImage",
    "Checked",
    "Decoder",
    "ImageInfo",
    "OpenImage",
    "Status",
    "available_decoder",
    "check",
    "decode",
    "decode_crops",
    "decode_fully",
    "decoder_versions",
    "encode",
    "encoder",
    "native",
    "open_image",
]
