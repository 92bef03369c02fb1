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
    gone = 10, "The server says that there is no such image", "its URL is asked again after 90 days"
    forbidden = 11, "The server refuses to send the image", "its URL is asked again after 30 days"
    no_such_host = 12, "The host of its URL does not exist", "its URL is asked again after 30 days"
    temporary = 13, "The host of its URL did not answer as it should, which may pass", "build again"
    tls = 14, "The host of its URL has no valid certificate", "its URL is asked again after 7 days"
    too_large = 15, "The answer has more bytes than the limit allows", "raise fetch.max_bytes if it is meant"
    too_slow = (
        16,
        "The answer came too slowly to wait for it",
        "build again, or lower min_rate of the backend",
    )
    not_an_image = 17, "What lies at its URL is no image", "its URL is asked again after 30 days"
    placeholder = (
        18,
        "What lies at its URL is a picture that stands for a missing one",
        "nothing is to be done",
    )
    changed = (
        19,
        "The image at its URL is not the one of the release any more",
        "take the bytes from a store of then",
    )
    opted_out = 20, "The site reserves its rights in the image", "respect it, or ask the site"
    licence_refused = (
        21,
        "The licence of the image is not among those that are allowed",
        "see rights.licences",
    )
    withdrawn = 22, "The image was taken down", "nothing is to be done"
    address_refused = 23, "Its URL leads to a private network", "see allow_networks of the backend"
    bad_redirect = 24, "Its URL redirects in a circle, or to what is no web page", "nothing is to be done"
    bad_url = 25, "Its URL is none that can be asked for", "correct it in the source"
    odd_answer = (
        26,
        "The server answers its URL in a way that gives no image",
        "its URL is asked again after 7 days",
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
