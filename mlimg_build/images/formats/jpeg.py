"""JPEG: a strict decode of all scans, at an eighth of the size.

Neither the header nor Pillow is enough to check a JPEG: `verify()` passes a file cut in half and a full load
passes a file with 2 KB zeroed in mid-scan, because libjpeg only warns. In strict mode, libjpeg-turbo's
warnings are errors. Decoding to grey at 1/8 skips the inverse DCT, the upsampling and the colours, and still
reads every Huffman code of every component and scan, which is all that can be wrong: over a corpus of damaged
photographs it refused exactly the files that a strict decode in full refused, in half the time.

JPEG has no checksums: no decoder can see a changed byte that keeps the number of blocks in the scan.
"""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from mlimg_build.images.formats.jpeg_segments import Frame, Header, header
from mlimg_build.images.formats.zero_blocks import zeroed
from mlimg_build.images.image_info import ImageInfo, proved, within
from mlimg_build.images.pillow import load
from mlimg_build.images.status import BadImage, Status

__all__ = ["decode_fully", "pixels", "refuse_scans"]

_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_PROCESSES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})  # sequential and progressive, Huffman and arithmetic
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_MAX_SCANS = 500  # libjpeg-turbo's own limit against files that are small and take minutes
_CUT = "Premature end of JPEG file"
_UNNAMED_SAMPLING = "Could not determine subsampling"


def decode_fully(data: bytes, max_pixels: int) -> ImageInfo:
    """Check that the JPEG's first image decodes from its first to its last marker.

    Bytes after the end marker are allowed (MPO, appended data). A missing end marker counts as truncated, even
    if the scan is complete: for a progressive file that cannot be known, and a strict reader refuses such a
    file.

    Raises:
        BadImage: truncated, corrupt, unrecognised or too_many_pixels.
    """
    head = header(data)
    _readable(head.frame)
    within(head.frame.width, head.frame.height, max_pixels)
    refuse_scans(data, head)
    if (at := zeroed(data, head)) is not None:
        raise BadImage.because(Status.corrupt, f"the JPEG's image data are zeros from byte {at}")
    said = _strictly(data)
    if said and _UNNAMED_SAMPLING not in said:
        said = _second_opinion(data, head, said)
    if _UNNAMED_SAMPLING in said:
        # TurboJPEG has no name for this sampling; Pillow decodes it and detects truncation, not all damage
        load(JpegImageFile, head.plain() + data[head.scan :])
    elif said:
        ends = data.find(b"\xff\xd9", head.scan) >= 0 and not said.startswith(_CUT)
        status = Status.corrupt if ends else Status.truncated
        raise BadImage.because(status, f"the JPEG does not decode: {said}")
    frame = head.frame
    return proved("jpeg", frame.width, frame.height, _MODES[frame.components], head.orientation)


def refuse_scans(data: bytes, head: Header) -> None:
    """Raise `BadImage` (corrupt) if the JPEG has more than 500 scans, each of which takes the time of a whole image.

    Baseline files have one scan; those that begin with a scan of some components are counted too.
    """
    components = head.segments[-1][1][:1]
    several = head.frame.process in _PROGRESSIVE or components != bytes([head.frame.components])
    if several and data.count(b"\xff\xda", head.scan) > _MAX_SCANS:
        raise BadImage.because(Status.corrupt, f"the JPEG has more than {_MAX_SCANS} scans")


def pixels(data: bytes, grey: bool, min_width: int, min_height: int) -> NDArray[np.uint8]:
    """Return the pixels of a JPEG that `decode_fully` accepted, uint8[height, width, 1 or 3], as they are stored.

    It is decoded at the smallest scale of one half or less that holds `min_width` x `min_height`, else at full size.

    Raises:
        BadImage: if `decode_fully` would not accept it.
    """
    space = "GRAY" if grey else "RGB"
    least = {"min_height": min_height, "min_width": min_width, "min_factor": 2.0}
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, space, **least, strict=True))
    except ValueError:  # a warning, or an error after which the binding would return memory that nobody wrote
        head = header(data)
        decode_fully(data, head.frame.width * head.frame.height)
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, space, **least, strict=False))
    except ValueError:
        image = load(JpegImageFile, head.plain() + data[head.scan :]).convert("L" if grey else "RGB")
        return np.asarray(image).reshape(image.height, image.width, -1)


def _readable(frame: Frame) -> None:
    if frame.process not in _PROCESSES:
        reason = f"a JPEG of the process SOF{frame.process - 0xC0} is not read"
        raise BadImage.because(Status.unrecognised, reason)
    if frame.precision != 8:
        raise BadImage.because(Status.unrecognised, f"a JPEG of {frame.precision} bits a sample is not read")
    if frame.components not in _MODES:
        raise BadImage.because(Status.unrecognised, f"a JPEG of {frame.components} components is not read")


def _strictly(data: bytes) -> str:
    """Return the message with which libjpeg-turbo refuses the file in strict mode, or ""."""
    try:
        simplejpeg.decode_jpeg(
            data, "GRAY", fastdct=True, fastupsample=True, min_height=1, min_width=1, strict=True
        )
    except MemoryError as error:
        reason = "the pixels need more memory than there is"
        raise BadImage.because(Status.too_many_pixels, reason) from error
    # the binding raises ValueError for libjpeg's messages, and others for what it does not expect itself
    except Exception as error:
        return " ".join(str(error).split())[:120] or type(error).__name__
    return ""


def _second_opinion(data: bytes, head: Header, said: str) -> str:
    """Return the message that remains after the header is cleaned of what libjpeg warns of without harm.

    Such are an unknown JFIF revision or Adobe transform, bytes between segments, and scan parameters that a
    sequential decoder ignores. libjpeg reports only its first warning, so the file is decoded again without
    them; `said`, the first message, is final if it is that of a truncated file.
    """
    if said.startswith(_CUT):
        return said
    return _strictly(head.plain() + data[head.scan :])
