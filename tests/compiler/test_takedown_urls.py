"""Taking down images that lie at URLs: nobody asks for them, the store loses their bytes, its ledger says why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="the extra `fetch` is not installed")

from mlimg_build.compiler.run_stage import fetch
from mlimg_build.dataset import open_dataset
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.content_store import FolderStore
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.spec import load_spec
from tests.support.hostile_http import HostileServer, jpeg
from tests.support.web_world import LOCALLY, WebWorld

LISTED = "rights: {withdrawn: gone.txt}\n"
ONE, TWO, THREE = "/ok/3000/1", "/ok/3000/2", "/ok/3000/3"


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    started = HostileServer().start()
    yield started
    started.stop()


class TakedownWorld(WebWorld):
    """A list of URLs, some of which are taken down."""

    def withdraw(self, *entries: str, paths: tuple[str, ...] = (ONE, TWO, THREE)) -> None:
        (self.folder / "gone.txt").write_text("".join(f"{entry}\n" for entry in entries))
        self.write([*paths], LISTED, licences=["CC BY 4.0"] * len(paths))

    def states(self) -> dict[str, State]:
        with Ledger(self.place.ledger) as ledger:
            ledger.compact()
            return {record.url.removeprefix(self.url("")): record.state for record in ledger.records()}

    def stored(self) -> set[str]:
        return {*FolderStore(Path(self.place.store)).digests()}


@pytest.fixture
def world(tmp_path: Path, server: HostileServer) -> TakedownWorld:
    server.requests.clear()
    return TakedownWorld(tmp_path, server)


def digest(path: str) -> str:
    return hashlib.sha256(jpeg(path, 3000)).hexdigest()


def test_a_withdrawn_url_is_never_asked_for(world: TakedownWorld) -> None:
    world.withdraw(world.url(ONE))
    assert fetch(load_spec(world.folder / "web.yaml"), world.folder / "out", LOCALLY, world.place) is not None
    assert world.statuses(world.build()) == {ONE: "withdrawn", TWO: "ok", THREE: "ok"}
    assert (world.asked(ONE), world.asked(TWO)) == (0, 1)


@pytest.mark.parametrize(
    "by", ["sha256", pytest.param("URL", marks=pytest.mark.slow), pytest.param("id", marks=pytest.mark.slow)]
)
def test_what_came_before_leaves_the_store_and_the_ledger_says_why(world: TakedownWorld, by: str) -> None:
    world.withdraw()
    world.build()
    assert world.stored() == {digest(ONE), digest(TWO), digest(THREE)}
    world.withdraw(
        {"URL": world.url(TWO), "sha256": digest(TWO), "id": f"list/{world.url(TWO)}"}[by],
    )
    world.server.requests.clear()
    assert world.statuses(world.build()) == {ONE: "ok", TWO: "withdrawn", THREE: "ok"}
    assert world.stored() == {digest(ONE), digest(THREE)}
    assert world.states() == {ONE: State.ok, TWO: State.withdrawn, THREE: State.ok}
    assert not world.images_asked()


@pytest.mark.slow
def test_offline_the_rest_of_the_shard_keeps_its_bytes(world: TakedownWorld) -> None:
    world.withdraw()
    world.build()
    world.withdraw(world.url(TWO))
    where = LOCALLY.model_copy(
        update={"fetch": LOCALLY.fetch.model_copy(update={"store": world.place.store})}
    )
    built = world.build(where, offline=True)
    assert world.statuses(built) == {ONE: "ok", TWO: "withdrawn", THREE: "ok"}
    assert world.stored() == {digest(ONE), digest(THREE)}


def test_bytes_that_come_with_a_listed_sha256_are_not_kept(world: TakedownWorld) -> None:
    world.withdraw(digest(THREE))
    assert fetch(load_spec(world.folder / "web.yaml"), world.folder / "out", LOCALLY, world.place) is not None
    assert world.stored() == {digest(ONE), digest(TWO)}
    assert world.states()[THREE] == State.withdrawn
    world.server.requests.clear()
    built = world.build()
    assert world.statuses(built) == {ONE: "ok", TWO: "ok", THREE: "withdrawn"}
    assert not world.images_asked()
    assert not [problem for problem in built.warnings if problem.code == "withdrawn-unknown"]


@pytest.mark.slow
def test_another_spec_of_the_store_gets_neither_bytes_nor_labels_of_it(
    world: TakedownWorld, tmp_path: Path
) -> None:
    world.withdraw(world.url(ONE))
    world.build()
    other = TakedownWorld(tmp_path / "other", world.server)
    other.folder.mkdir()
    other.place = world.place
    other.write([ONE, TWO], licences=["CC BY 4.0"] * 2)
    built = other.build()
    assert other.statuses(built) == {ONE: "withdrawn", TWO: "ok"}
    with open_dataset(built.dataset) as dataset:
        found = {image.status: (image.licence, len(image.labels) > 0) for image in dataset["train"]}
    assert found == {"withdrawn": ("", False), "ok": ("CC BY 4.0", True)}
    assert world.asked(ONE) == 0


@pytest.mark.slow
def test_bytes_that_another_url_has_too_stay_unless_their_sha256_is_listed(world: TakedownWorld) -> None:
    world.withdraw(paths=(ONE, TWO))
    world.build()
    same = FolderStore(Path(world.place.store)).read(digest(ONE))
    assert same is not None
    with Ledger(world.place.ledger) as ledger:  # as if TWO had sent the bytes of ONE
        (record,) = (one for one in ledger.records() if one.url == world.url(TWO))
        ledger.put([replace(record, digest=digest(ONE))])
    world.withdraw(world.url(ONE), paths=(ONE, TWO))
    world.build()
    assert digest(ONE) in world.stored()
    world.withdraw(digest(ONE), paths=(ONE, TWO))
    built = world.build()
    assert digest(ONE) not in world.stored()
    assert world.statuses(built) == {ONE: "withdrawn", TWO: "withdrawn"}
