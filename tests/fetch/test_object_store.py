"""The store at the URL of an object store, over the network: a server on the loopback that speaks S3."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("obstore", reason="the extra `fetch` is not installed")

from mlimg_build.errors import TransientError
from mlimg_build.fetch.store.content_store import open_content_store
from mlimg_build.fetch.store.object_listing import Listing, list_objects
from tests.support.command import mlimg
from tests.support.hostile_http import HostileServer, jpeg
from tests.support.object_server import ObjectServer, serving_objects
from tests.support.web_world import WebWorld

STORE = "s3://bucket/fetched"
BACKEND = """\
cluster: CLUSTER
fetch: {allow_networks: [127.0.0.0/8], attempts: 1, store: "s3://bucket/fetched"}
"""


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    with serving_objects() as server:
        for name, value in server.settings.items():
            monkeypatch.setenv(name, value)
        yield server


def test_a_file_is_written_once_read_and_removed(objects: ObjectServer) -> None:
    store, data = open_content_store(STORE), b"picture" * 1000
    digest = store.write(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert list(objects.objects) == [f"/bucket/fetched/objects/{digest[:2]}/{digest}"]
    assert store.write(data) == digest
    assert objects.asked["PUT"] == 1
    assert store.has(digest, len(data))
    assert not store.has(digest, 1)
    assert store.lacking({digest: len(data), "0" * 64: 3}) == {"0" * 64}
    assert store.read(digest) == data
    assert list(store.digests()) == [digest]
    assert (store.remove(digest), store.remove(digest), store.read(digest)) == (True, False, None)
    assert objects.objects == {}


def test_many_objects_are_listed_and_only_what_was_not_listed_is_asked_for(objects: ObjectServer) -> None:
    store = open_content_store(STORE)
    sizes = {store.write(b"%d" % number): len(b"%d" % number) for number in range(300)}
    there = list(sizes)
    objects.objects.pop(f"/bucket/fetched/objects/{there[0][:2]}/{there[0]}")
    objects.objects[f"/bucket/fetched/objects/{there[1][:2]}/{there[1]}"] += b"cut"
    for name in ("notes.txt", "-1", "0" * 63 + "G"):
        objects.objects[f"/bucket/fetched/objects/00/{name}"] = b"not ours"
    objects.asked.clear()
    assert store.lacking(sizes) == set(there[:2])
    assert (objects.asked["GET"], objects.asked["HEAD"]) == (256, 2)
    later = store.write(b"that came since")
    objects.asked.clear()
    assert store.lacking({later: 15, there[5]: sizes[there[5]]}) == set()
    assert (objects.asked["GET"], objects.asked["HEAD"]) == (0, 1)
    assert store.remove(there[5])
    assert store.lacking(sizes) == {*there[:2], there[5]}  # listed anew
    store.write(b"5")
    few = open_content_store(STORE)
    objects.asked.clear()
    assert few.lacking(dict(list(sizes.items())[:9])) == set(there[:2])
    assert (objects.asked["GET"], objects.asked["HEAD"]) == (0, 9)


def test_a_store_with_more_than_is_wanted_is_not_listed() -> None:
    listed: list[str] = []

    def folder(name: str) -> list[tuple[str, int]]:
        listed.append(name)
        return [(f"{name}{number:062x}", 1) for number in range(5_000)]

    assert list_objects(folder, 1_000) is None
    assert listed == ["00"]
    assert list_objects(folder, 255) is None
    whole = list_objects(folder, 1_280)
    assert whole is not None
    assert len(whole) == 256 * 5_000
    assert Listing([]).lacking({"ab" * 32: 1}) == {"ab" * 32}
    assert whole.lacking({"no digest": 1, "": 1, f"00{7:062x}": 1}) == {"no digest", ""}


def test_a_store_that_fails_while_it_is_listed_is_one_error(objects: ObjectServer) -> None:
    store = open_content_store(STORE)
    objects.refusing = 403
    with pytest.raises(TransientError) as found:
        store.lacking({f"{number:064x}": 1 for number in range(300)})
    assert found.value.code == "store-unreadable"


def test_a_damaged_object_is_removed(objects: ObjectServer) -> None:
    store = open_content_store(STORE)
    digest = store.write(b"picture")
    objects.objects[f"/bucket/fetched/objects/{digest[:2]}/{digest}"] = b"something"
    assert store.read(digest) is None
    assert objects.objects == {}


def test_a_damaged_object_that_may_not_be_removed_is_none(objects: ObjectServer) -> None:
    store = open_content_store(STORE)
    digest = store.write(b"picture")
    objects.objects[f"/bucket/fetched/objects/{digest[:2]}/{digest}"] = b"something"
    objects.read_only = True
    assert store.read(digest) is None
    assert len(objects.objects) == 1


def test_a_store_that_fails_now_and_then_is_asked_again(objects: ObjectServer) -> None:
    store = open_content_store(STORE)
    objects.failing = [503, 500]
    digest = store.write(b"picture")
    assert store.read(digest) == b"picture"
    assert not objects.failing


def test_a_store_that_refuses_is_an_error_that_names_it(objects: ObjectServer) -> None:
    store = open_content_store(STORE)
    objects.refusing = 403
    with pytest.raises(TransientError) as found:
        store.write(b"picture")
    assert found.value.code == "store-unreadable"
    assert STORE in found.value.problems[0].message


@pytest.mark.parametrize(
    "cluster",
    ["{type: inline}", pytest.param("{type: local, workers: 2}", marks=pytest.mark.slow)],
)
def test_a_dataset_is_built_from_an_object_store_and_what_it_lost_is_fetched_again(
    objects: ObjectServer, tmp_path: Path, cluster: str
) -> None:
    pytest.importorskip("aiohttp", reason="the extra `fetch` is not installed")
    server = HostileServer().start()
    try:
        world = WebWorld(tmp_path, server)
        world.write(["/ok/3000/1", "/ok/3000/2", "/404/x"])
        (tmp_path / "backend.yaml").write_text(BACKEND.replace("CLUSTER", cluster))
        command = ["build", "web.yaml", "--until", "dataset", "--backend", "backend.yaml", "--json", "--out"]
        first = json.loads(mlimg(*command, "one", cwd=tmp_path).stdout)
        assert len(objects.objects) == 2
        assert first["failed"] == {"gone": 1}
        lost = hashlib.sha256(jpeg("/ok/3000/1", 3000)).hexdigest()
        del objects.objects[f"/bucket/fetched/objects/{lost[:2]}/{lost}"]
        (tmp_path / "two").mkdir()
        (tmp_path / "one" / ".mlimg").rename(tmp_path / "two" / ".mlimg")  # the ledger; all results are gone
        (tmp_path / "two" / ".mlimg" / "web").rename(tmp_path / "results")
        server.requests.clear()
        again = json.loads(mlimg(*command, "two", cwd=tmp_path).stdout)
        assert again["digest"] == first["digest"]
        assert world.images_asked() == {"/ok/3000/1"}
        assert len(objects.objects) == 2
    finally:
        server.stop()
