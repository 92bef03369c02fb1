"""What the tests of situations share: the table that they prove, and a build that tells what it made of its input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.situation_table import TABLE, read_rows, write_seen
from tests.support.situation_world import World

Seen = Callable[[str], None]


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Seen:
    """Compares what a situation led to with the table's last column; its first column is the test's docstring.

    With MLIMG_WRITE_SITUATIONS=1 the column is written instead, to be read before it is committed.
    """
    node = request.node
    situation = node.callspec.params["situation"] if hasattr(node, "callspec") else node.function.__doc__

    def compare(text: str) -> None:
        assert text, "nothing was seen"
        if write_seen(situation, text):
            return
        assert read_rows(TABLE)[situation].seen == text

    return compare


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A folder for a spec, lists and images of one test."""
    return World(tmp_path)
