"""What a process that fetches takes of memory, whatever comes: `MLIMG_BENCH=full pytest -m bench -s tests/fetch`.

A process of its own fetches into a store; its peak is `VmHWM` of the kernel (`ru_maxrss` would count what it was forked
from).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="the extra `fetch` is not installed")

from mlimg_build.fetch.settings import FetchSettings
from tests.support.hostile_http import HostileServer

FULL = os.environ.get("MLIMG_BENCH") == "full"
MIB = 1 << 20
BESIDE = 160 * MIB  # a body beyond the budget (64 MiB at most), what is not given back, and all else
PROGRAM = """\
import json, sys
from mlimg_build.fetch.fetcher import fetch
from mlimg_build.fetch.names.addresses import parse_networks
from mlimg_build.fetch.settings import FetchSettings
from mlimg_build.fetch.store.content_store import FolderStore
from pathlib import Path

store, counts = FolderStore(Path(sys.argv[1])), {}

def keep(url, outcome):
    counts[outcome.state.name] = counts.get(outcome.state.name, 0) + 1
    if outcome.body:
        store.write(outcome.body)

allowed = parse_networks(["127.0.0.0/8"])
settings = FetchSettings(
    per_host=256, attempts=1, allowed_networks=allowed, deadline_seconds=500, answer_seconds=200, rate_seconds=100
)
fetch(((url.strip(), url.strip()) for url in sys.stdin), settings, keep)
status = Path("/proc/self/status").read_text()
print(json.dumps([int(status.partition("VmHWM:")[2].split()[0]) * 1024, counts]))
"""
# what is served, how many URLs in CI and in full, the state of each
KINDS = {
    "105 KB": ("/ok/105000/{n}", 300, 20_000, "ok"),
    "4 MB": ("/ok/4000000/{n}", 40, 600, "ok"),
    "30 MB": ("/ok/30000000/{n}", 2, 60, "ok"),
    "without an end": ("/endless/{n}", 2, 40, "too_large"),
    "packed, over 64 MB each": ("/gzip-bomb/{n}", 2, 200, "too_large"),
    "404": ("/404/{n}", 300, 100_000, "gone"),
}


def peak(server: HostileServer, folder: Path, path: str, count: int) -> tuple[int, dict[str, int]]:
    """The most bytes of a process that fetched `count` URLs, and their states."""
    urls = "".join(f"{server.url(path.format(n=n), '127.0.0.1')}\n" for n in range(count))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        input=urls,
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
        cwd=Path(__file__).resolve().parents[2],
    )
    taken, states = json.loads(done.stdout)
    return taken, states


@pytest.mark.bench
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_fetch_takes_no_more_than_its_budget_whatever_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = HostileServer().start()
    try:
        least, _ = peak(server, tmp_path / "none", "", 0)
        for name, (path, few, many, state) in KINDS.items():
            count = many if FULL else few
            taken, states = peak(server, tmp_path / "store", path, count)
            assert states == {state: count}
            assert taken < least + FetchSettings().memory_bytes + BESIDE
            with capsys.disabled():
                print(
                    f"\n{count:,} answers of {name}: {taken / MIB:,.0f} MiB, of them {least / MIB:,.0f} at rest",
                    end="",
                )
    finally:
        server.stop()
