"""The codes that datasets store, and the error that carries one."""

from __future__ import annotations

import pickle

import pytest

from mlimg_build import images
from mlimg_build.errors import ImageError
from mlimg_build.images import STATUSES, BadImage, Status


def test_status_codes_are_never_renumbered() -> None:
    assert {status.name: status.value for status in Status} == {
        "ok": 0,
        "not_fetched": 1,
        "missing": 2,
        "empty": 3,
        "truncated": 4,
        "corrupt": 5,
        "unrecognised": 6,
        "too_many_pixels": 7,
        "unreadable": 8,
        "outside": 9,
        "gone": 10,
        "forbidden": 11,
        "no_such_host": 12,
        "temporary": 13,
        "tls": 14,
        "too_large": 15,
        "too_slow": 16,
        "not_an_image": 17,
        "placeholder": 18,
        "changed": 19,
        "opted_out": 20,
        "licence_refused": 21,
        "withdrawn": 22,
        "address_refused": 23,
        "bad_redirect": 24,
        "bad_url": 25,
        "odd_answer": 26,
    }
    assert [STATUSES[status.value] for status in Status] == list(Status)


@pytest.mark.parametrize("status", Status)
def test_every_status_says_in_one_sentence_what_it_means(status: Status) -> None:
    assert status.meaning[0].isupper()
    assert not status.meaning.endswith(".")
    assert status.hint
    assert 0 <= int(status) <= 255


@pytest.mark.parametrize("status", Status)
def test_a_bad_image_keeps_its_status_through_pickling(status: Status) -> None:
    error = pickle.loads(pickle.dumps(BadImage.because(status, "the reason")))
    assert isinstance(error, ImageError)
    assert (error.status, error.reason, error.problems[0].hint) == (status, "the reason", status.hint)


def test_the_public_surface_is_sorted_and_exact() -> None:
    assert images.__all__ == sorted(images.__all__, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(images, name) for name in images.__all__)
