"""Images: proved whole, made smaller, with a status for each that is not."""

from mlimg_build.images.decoding import decode
from mlimg_build.images.encoding import encode, encoder
from mlimg_build.images.full_decode import prove
from mlimg_build.images.image_info import Proof
from mlimg_build.images.ingest import Checked, check
from mlimg_build.images.status import STATUSES, BadImage, Status

__all__ = [
    "STATUSES",
    "BadImage",
    "Checked",
    "Proof",
    "Status",
    "check",
    "decode",
    "encode",
    "encoder",
    "prove",
]
