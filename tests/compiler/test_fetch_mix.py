"""The mix of answers that a re-fetch of public lists met: every URL gets its state, a rerun asks only what is worth it.

The shares are those of a list of 20,000 URLs, which `make test-slow` fetches; CI fetches 100, each kind at least once.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("aiodns", reason="the extra `fetch` is not installed")

from mlimg_build.compiler.run_stage import fetch
from mlimg_build.compiler.urls.fetch_stage import fetch_place
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.spec import load_spec
from mlimg_build.spec.models.backend import FetchBackend
from tests.support.hostile_http import PLACEHOLDER, HostileServer
from tests.support.name_server import FAILURE, NO_NAME, NameServer
from tests.support.runs import inline

HOSTS = 300
# per mille of the URLs, the path, the first label of the host ("" for one of many), the kind of the port, the state
MIX: tuple[tuple[float, str, str, str, State], ...] = (
    (345, "/ok/20000/{n}", "", "http", State.ok),
    (345, "/ok/20000/{n}", "", "https", State.ok),
    (94, "/404/{n}", "", "https", State.gone),
    (56, "/403/{n}", "", "https", State.forbidden),
    (54, "/ok/0/{n}", "none-{n}", "http", State.no_such_host),
    (13, "/html/{n}", "", "https", State.not_an_image),
    (12, "/ok/0/{n}", "broken-{n}", "https", State.temporary),
    (11, "/ok/0/{n}", "", "closed", State.temporary),
    (11, "/silent/{n}", "", "http", State.temporary),
    (7, "/ok/0/{n}", "", "mute", State.temporary),
    (6, "/ok/0/{n}", "", "expired", State.tls),
    (3, "/502/{n}", "", "https", State.temporary),
    (8, "/reserved/{n}", "", "https", State.opted_out),
    (7, "/ok/0/{n}", "robots-deny", "https", State.opted_out),
    (6, "/placeholder/{n}", "", "https", State.placeholder),
    (4, "/to-private/{n}", "", "http", State.address_refused),
    (3, "/loop/0/{n}", "", "http", State.bad_redirect),
    (3, "/trickle/{n}", "", "http", State.too_slow),
    (2, "/endless/{n}", "", "http", State.too_large),
    (3, "/short/{n}", "", "http", State.temporary),
    (4, "/ok/9000/changed-{n}", "", "https", State.changed),
    (3, "/svg/{n}", "", "http", State.not_an_image),
)
SPEC = """\
mlimg: 1
name: mix
version: 1.0.0
sources:
  list: {{type: table, table: list.csv}}
fetch: {{max_bytes: 1 MiB, placeholders: [{placeholder}], digests: release.parquet}}
dataset: {{images_per_shard: 1000}}
"""


@pytest.fixture
def server() -> Iterator[HostileServer]:
    started = HostileServer().start()
    yield started
    started.stop()


def drawn(count: int, server: HostileServer) -> dict[str, State]:
    """The URLs of the mix, at least one of each kind, with their states, in a random order."""
    chance = random.Random(0)
    made: list[tuple[str, State]] = []
    for share, path, label, kind, state in MIX:
        for _ in range(max(1, round(count * share / 1000))):
            n = len(made)
            host = (label or f"h{chance.randrange(HOSTS)}").format(n=n)
            made.append((server.url(path.format(n=n), f"{host}.images.example", kind), state))
    chance.shuffle(made)
    return dict(made)


def answer(name: str) -> str:
    return NO_NAME if name.startswith("none-") else FAILURE if name.startswith("broken-") else "127.0.0.1"


@pytest.mark.parametrize(
    "count", [100, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.timeout(1500)])]
)
def test_every_url_of_the_public_mix_gets_its_state(
    count: int, server: HostileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = drawn(count, server)
    rows = [f"{url},{'cat' if at % 2 else 'dog'}" for at, url in enumerate(expected)]
    (tmp_path / "list.csv").write_text("\n".join(["image,labels", *rows]) + "\n")
    changed = [url for url, state in expected.items() if state == State.changed]
    release = {"url": changed, "sha256": ["0" * 64] * len(changed)}
    pq.write_table(pa.table(release), tmp_path / "release.parquet")
    placeholder = hashlib.sha256(PLACEHOLDER).hexdigest()
    (tmp_path / "mix.yaml").write_text(SPEC.format(placeholder=placeholder))
    loaded = load_spec(tmp_path / "mix.yaml")
    with NameServer(answer) as names:
        where = FetchBackend(
            allow_networks=("127.0.0.0/8",),
            name_servers=(names.address,),
            authorities=server.write_authority(tmp_path / "authority.pem"),
            connect_seconds=3.0 if count > 1000 else 1.5,
            deadline_seconds=6.0 if count > 1000 else 2.5,
            attempts=1,
        )
        local = inline().model_copy(update={"fetch": where})
        place = fetch_place(tmp_path / "out", local)
        began, processor = time.monotonic(), time.process_time()
        found = fetch(loaded, tmp_path / "out", local, place)
        took, processor = time.monotonic() - began, time.process_time() - processor
        assert found is not None
        with Ledger(place.ledger) as ledger:
            records = {record.url: record for record in ledger.records()}
        assert found.states == {state.name: n for state, n in Counter(expected.values()).most_common()}
        wrong = {
            url: (records[url].state.name, records[url].answer)
            for url, state in expected.items()
            if records[url].state != raw(state)
        }
        assert not wrong
        asked_before = {url: record.time for url, record in records.items()}
        again = fetch(loaded, tmp_path / "out", local, place)
        assert again is not None
        assert again.asked == sum(state == State.temporary for state in expected.values())
        with Ledger(place.ledger) as ledger:
            asked = {record.url for record in ledger.records() if record.time != asked_before[record.url]}
        assert asked == {url for url, state in expected.items() if state == State.temporary}
    with capsys.disabled():
        print(
            f"\n{len(expected):,} URLs in {took:.1f} s, {processor:.1f} s of processor time with the server"
        )


def raw(state: State) -> State:
    """What the ledger has: that bytes are a placeholder or changed is decided by each spec."""
    return State.ok if state in (State.placeholder, State.changed) else state
