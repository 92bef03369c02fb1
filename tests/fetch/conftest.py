"""One server that misbehaves, for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hostile_http import HostileServer


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    server = HostileServer().start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def authority(server: HostileServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return server.write_authority(tmp_path_factory.mktemp("tls") / "authority.pem")
