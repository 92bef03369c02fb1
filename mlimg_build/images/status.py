"""The status of an image: the codes that a dataset stores, and the error that carries one."""

from __future__ import annotations

from enum import IntEnum

from mlimg_build.errors import ImageError, Problem

__all__ = ["STATUSES", "BadImage", "Status"]

_AGAIN = "fetch or copy the file again"


class Status(IntEnum):
    """The state of one image as a stable uint8 code, with `meaning` (one sentence) and `hint` (what to do).

    The codes are part of the dataset format: new ones go to the end, none is ever renumbered.

    >>> Status.too_many_pixels.value, Status.too_many_pixels.code
    (7, 'too-many-pixels')
    """

    meaning: str
    hint: str

    def __new__(cls, number: int, meaning: str, hint: str) -> Status:
        """Create a member that is the integer `number` and has its two texts."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.meaning = meaning
        member.hint = hint
        return member

    ok = 0, "The image decodes whole and its bytes are stored", "nothing is to be done"
    not_fetched = 1, "The image lies at a URL that has not been fetched", "fetch it and build again"
    missing = (
        2,
        "The source lists the image and there is no such file",
        "put the file where the source names it",
    )
    empty = 3, "The file has no bytes", _AGAIN
    truncated = 4, "The file ends before its image does", _AGAIN
    corrupt = 5, "The file is damaged inside", _AGAIN
    unrecognised = 6, "The file is in no image format that is read", "convert it to JPEG or PNG"
    too_many_pixels = 7, "The image has more pixels than the limit allows", "raise max_pixels if it is meant"
    unreadable = 8, "The file exists and cannot be read", "check its permissions and the disk"
    outside = (
        9,
        "The list names a place outside the source's folder of images",
        "put the image below `images`, or let `images` be the folder above both",
    )

    @property
    def code(self) -> str:
        """The name in kebab-case, as errors show it."""
        return self.name.replace("_", "-")


STATUSES: tuple[Status, ...] = tuple(Status)


class BadImage(ImageError):
    """An image does not decode fully: `status` is that of its row, `reason` says why, in one line.

    >>> error = BadImage.because(Status.truncated, "the PNG ends before its IEND chunk")
    >>> error.status.name, error.code, error.reason
    ('truncated', 'truncated', 'the PNG ends before its IEND chunk')
    """

    @classmethod
    def because(cls, status: Status, reason: str) -> BadImage:
        """Return the error for `status`, its hint included; `reason` is one sentence without a full stop."""
        return cls(Problem(code=status.code, message=reason, hint=status.hint))

    @property
    def status(self) -> Status:
        return Status[self.code.replace("-", "_")]

    @property
    def reason(self) -> str:
        return self.problems[0].message
