"""Machines without something that mlimg can do without."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.errors import TrainingError
from mlimg_build.training.run_keys import choose_decoder, decoded_whole
from tests.situations.conftest import Seen


@pytest.fixture(autouse=True)
def without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlimg_build.images.crops.native", None)


def test_training_goes_on(seen: Seen) -> None:
    """a training, and the extension that decodes parts of images was not built"""
    assert choose_decoder("auto") == "whole"
    (warning,) = decoded_whole("auto")
    seen(f"warning `{warning.code}`: {warning.message}; {warning.hint}")


def test_a_spec_that_wants_parts_is_refused(seen: Seen) -> None:
    """the same, and the spec says `decoder: partial`"""
    with pytest.raises(TrainingError) as caught:
        choose_decoder("partial")
    seen(f"error `{caught.value.code}`: {caught.value.problems[0].message}")


def test_a_spec_that_wants_whole_images_is_obeyed(seen: Seen) -> None:
    """the same, and the spec says `decoder: whole`"""
    assert choose_decoder("whole") == "whole"
    seen("nothing" if not decoded_whole("whole") else "a warning")
