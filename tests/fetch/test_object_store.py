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
