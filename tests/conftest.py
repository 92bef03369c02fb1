"""The shared data, where it is there, and how long laws are tried."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from mlimg_build.compiler.engine import retries

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


settings.register_profile("ci", max_examples=40)
settings.register_profile("full", max_examples=200)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails for a cause that may pass is tried again at once."""
    monkeypatch.setattr(retries, "PAUSES", (0.01, 0.02, 0.03))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the real data for tests, ../shared/data, is not there")
    return SHARED
