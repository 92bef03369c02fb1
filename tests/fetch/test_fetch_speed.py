"""How fast images are fetched, beside img2dataset, from a server of this machine where all is well.

`MLIMG_BENCH=full pytest -m bench -s tests/fetch` fetches 2,000 images of 105 KB over HTTP and over TLS with one process
and with two; else, in every test run, a few small ones. img2dataset takes part if MLIMG_IMG2DATASET names its command
in an environment of its own. What starting costs is measured with few images and taken off.
"""

from __future__ import annotations

import os
import resource
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import pytest

pytest.importorskip("aiohttp", reason="the extra `fetch` is not installed")

ROOT = Path(__file__).resolve().parents[2]
FULL = os.environ.get("MLIMG_BENCH") == "full"
OTHER = os.environ.get("MLIMG_IMG2DATASET")
FEW, MANY, SIZE, TURNS = (100, 2_100, 105_000, 5) if FULL else (4, 24, 2_000, 1)
SYSTEM = "/etc/ssl/certs/ca-certificates.crt"
OURS = """\
import sys
from pathlib import Path
from mlimg_build.compiler.engine.memory import keep_freed_memory
from mlimg_build.fetch.collection import FetchWork, collect
keep_freed_memory()
folder, authority = sys.argv[2:4]
urls = tuple(Path(sys.argv[1]).read_text().split())
work = FetchWork(
    store=folder,
    ledger=Path(folder, "ledger"),
    urls=urls,
    signals=("robots", "content-usage", "x-robots-tag", "tdm"),
    contact="",
    max_bytes=1 << 26,
    concurrency=64,
    per_host=64,
    connect_seconds=10,
    deadline_seconds=60,
    min_rate=1000,
    attempts=1,
    networks=("127.0.0.0/8",),
    authorities=authority,
)
collect(work, lambda *counts: None)
"""


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, int], Path]]:
    """The ports of a server in a process of its own, and the certificate of its authority."""
    authority = tmp_path_factory.mktemp("authority") / "ca.pem"
    command = [sys.executable, "-m", "tests.support.hostile_http", "--authority", str(authority)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    told = dict(pair.split("=") for pair in server.stdout.readline().split())
    yield {kind: int(port) for kind, port in told.items()}, authority
    server.kill()
    server.wait()
    server.stdout.close()


@pytest.mark.bench
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["http", "https"])
@pytest.mark.parametrize("processes", [1, 2] if FULL else [1])
def test_images_a_second_beside_img2dataset(
    kind: str,
    processes: int,
    ports: tuple[dict[str, int], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    port, authority = ports[0][kind], ports[1]
    if FULL and os.access(
        "/dev/shm", os.W_OK
    ):  # a disk would be what is measured: a file of a store costs it 1 ms
        tmp_path = Path(tempfile.mkdtemp(dir="/dev/shm"))
    fetchers: dict[str, Callable[[Sequence[str], Path], None]] = {
        "mlimg": lambda urls, folder: by_us(urls, folder, authority, processes)
    }
    if OTHER:
        fetchers["img2dataset"] = lambda urls, folder: by_other(OTHER, urls, folder, authority, processes)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in fetchers}
    for turn in range(TURNS):
        for name, run in fetchers.items():
            spent = []
            for count in (FEW, MANY):
                folder = tmp_path / f"{name}-{turn}-{count}"
                folder.mkdir()
                urls = [f"{kind}://localhost:{port}/ok/{SIZE}/{turn}-{count}-{n}" for n in range(count)]
                spent.append(timed(lambda r=run, u=urls, f=folder: r(u, f)))  # type: ignore[misc]
            (few, many) = spent
            found[name].append(((many[0] - few[0]) / (MANY - FEW), (many[1] - few[1]) / (MANY - FEW)))
    with capsys.disabled():
        print(
            f"\n{MANY - FEW:,} images of {SIZE / 1000:.0f} KB, {kind}, {processes} process(es), medians of {TURNS}"
        )
        for name, runs in found.items():
            clock, processor = (median(run[of] for run in runs) for of in (0, 1))
            rate = f"{1 / clock:,.0f} images/s" if clock > 0 else "too few to tell"
            spread = ", ".join(f"{run[1] * 1000:.2f}" for run in sorted(runs, key=lambda run: run[1]))
            print(f"  {name:12} {rate}, {processor * 1000:.2f} ms of processor time an image ({spread})")
        if OTHER:
            shares = [
                median(run[of] for run in found["img2dataset"]) / median(run[of] for run in found["mlimg"])
                for of in (0, 1)
            ]
            print(f"  img2dataset / mlimg: {shares[0]:.1f} by the clock, {shares[1]:.1f} of processor time")
    kept = tmp_path / f"mlimg-0-{MANY}" / "objects"
    came = sum(len(names) for _, _, names in os.walk(kept))
    if FULL:
        shutil.rmtree(tmp_path)
    assert came == MANY


def timed(run: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds that a run took, by the clock and of processor time of its processes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def by_us(urls: Sequence[str], folder: Path, authority: Path, processes: int) -> None:
    """Fetch with mlimg's client, rights obeyed, into a store."""
    running = []
    for number in range(processes):
        listed = folder.with_suffix(f".{number}")
        listed.write_text("\n".join(urls[number::processes]))
        command = [sys.executable, "-c", OURS, str(listed), str(folder), str(authority)]
        running.append(subprocess.Popen(command, cwd=ROOT))
    assert [process.wait(600) for process in running] == [0] * processes


def by_other(command: str, urls: Sequence[str], folder: Path, authority: Path, processes: int) -> None:
    """Fetch with img2dataset, which stores files as they came."""
    listed = folder.with_suffix(".txt")
    listed.write_text("\n".join(urls))
    options = {
        "url_list": listed,
        "output_folder": folder,
        "output_format": "files",
        "resize_mode": "no",
        "disable_all_reencoding": True,
        "processes_count": processes,
        "thread_count": 64,
        "enable_wandb": False,
        "number_sample_per_shard": max(1, len(urls) // processes),
        "disallowed_header_directives": "[]",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    bundle = folder.with_suffix(".pem")  # as large as those of systems: each context of TLS reads it
    system = Path(ssl.get_default_verify_paths().cafile or SYSTEM)
    bundle.write_bytes((system.read_bytes() if system.is_file() else b"") + authority.read_bytes())
    environment = {**os.environ, "SSL_CERT_FILE": str(bundle), "NO_ALBUMENTATIONS_UPDATE": "1"}
    done = subprocess.run(
        [command, *arguments], env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    came = sum(name.endswith(".jpg") for _, _, names in os.walk(folder) for name in names)
    assert came == len(urls), f"{came} of {len(urls)} came: {done.stdout[-2000:]}"
