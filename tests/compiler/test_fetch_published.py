"""The published rows of ML-Images, fetched over TLS by the names of their hosts from a server on the loopback."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("aiodns", reason="the extra `fetch` is not installed")

from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.urls.fetch_stage import fetch_place
from mlimg_build.dataset import open_dataset, verify
from mlimg_build.spec import load_spec
from mlimg_build.spec.models.backend import FetchBackend
from tests.support import hostile_http
from tests.support.hostile_http import HostileServer, Request, jpeg
from tests.support.name_server import NO_NAME, NameServer
from tests.support.photographs import crops
from tests.support.runs import inline

SPEC = Path(__file__).resolve().parents[2] / "specs" / "ml-images.yaml"
GONE_HOST = "farm5.staticflickr.com"  # of one of the rows
ODD = (
    "/404/x",
    "/403/x",
    "/html/x",
    "/502/x",
    "/to-private/x",
    "/loop/x",
    "/huge/x",
    "/reserved/x",
    "/trickle/x",
)
EXPECTED = {
    "/404/x": "gone",
    "/403/x": "forbidden",
    "/html/x": "not_an_image",
    "/502/x": "temporary",
    "/to-private/x": "address_refused",
    "/loop/x": "bad_redirect",
    "/huge/x": "too_large",
    "/reserved/x": "opted_out",
    "/trickle/x": "too_slow",
}


class PublishedServer(HostileServer):
    """Gives some of the published paths another behaviour; the others are images."""

    def __init__(self, odd: dict[str, str]) -> None:
        super().__init__()
        self.odd = odd

    async def _answered(self, request: Request, out: asyncio.StreamWriter) -> bool:
        if request.path.startswith("/robots.txt") or request.path.startswith("/.well-known/"):
            return await super()._answered(request, out)
        path = self.odd.get(request.path, f"/ok/9000{request.path}")
        if request.name == "loop":
            path = request.path
        told = Request(f"GET {path} HTTP/1.1\r\nHost: {request.host}")
        self.requests[request.path] += 1
        return await super()._answered(told, out)

    async def listen(self, port: int = 0, tls_port: int = 0, host: str = "127.0.0.1") -> None:
        await super().listen(80, 443, host)


@pytest.fixture
def urls(shared_data: Path) -> list[str]:
    text = (shared_data / "ml-images" / "train_urls_sample.txt").read_text()
    return [line.split("\t")[0] for line in text.splitlines()]


@pytest.fixture
def server(urls: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[PublishedServer]:
    if os.geteuid():
        pytest.skip("only root may listen at the ports 80 and 443, which the published URLs have")
    monkeypatch.setattr(hostile_http, "NAMES", ("*.staticflickr.com",))
    paths = [urlsplit(url).path for url in urls if urlsplit(url).netloc != GONE_HOST]
    started = PublishedServer(dict(zip(paths, ODD, strict=False))).start()
    yield started
    started.stop()


def published(folder: Path, shared_data: Path) -> dict[str, str]:
    """Write the lists of the spec, the published rows among them; return its variables."""
    lists = folder / "lists"
    lists.mkdir()
    source = shared_data / "ml-images"
    (lists / "dictionary_and_semantic_hierarchy.txt").write_bytes(
        (source / "dictionary_and_semantic_hierarchy.txt").read_bytes()
    )
    (lists / "train_urls_from_openimages.txt").write_bytes((source / "train_urls_sample.txt").read_bytes())
    (lists / "val_urls_from_openimages.txt").write_text(
        "https://c1.staticflickr.com/1/validation_o.jpg\t1:1\t3:1\n"
    )
    for kind, number in (("train", 1), ("val", 2)):
        (lists / f"{kind}_image_id_from_imagenet.txt").write_text(
            f"n02121808/n02121808_{number}.JPEG\t1:1\t3:1\n"
        )
    images = folder / "imagenet" / "n02121808"
    images.mkdir(parents=True)
    for number, data in enumerate(crops("chelsea", 2), start=1):
        (images / f"n02121808_{number}.JPEG").write_bytes(data)
    for kind in ("train", "val"):
        place = folder / "ilsvrc" / kind / "n02121808"
        place.mkdir(parents=True)
        (place / f"{kind}.JPEG").write_bytes(crops("chelsea", 1)[0])
    return {"ML_IMAGES": str(lists), "IMAGENET": str(folder / "imagenet"), "ILSVRC": str(folder / "ilsvrc")}


@pytest.mark.slow
def test_every_published_row_is_fetched_by_the_name_of_its_host(
    shared_data: Path, urls: list[str], server: PublishedServer, tmp_path: Path
) -> None:
    def answer(name: str) -> str:
        return "127.0.0.1" if name.endswith(".staticflickr.com") and name != GONE_HOST else NO_NAME

    loaded = load_spec(SPEC, published(tmp_path, shared_data))
    with NameServer(answer) as names:
        where = FetchBackend(
            allow_networks=("127.0.0.0/8",),
            name_servers=(names.address,),
            authorities=server.write_authority(tmp_path / "authority.pem"),
            deadline_seconds=4.0,
            attempts=1,
        )
        local = inline().model_copy(update={"fetch": where})
        place = fetch_place(tmp_path / "out", local)
        built = build(loaded, tmp_path / "out", local, place=place)
        expected = dict.fromkeys([f"open_images/{url}" for url in urls], "ok")
        for url in urls:
            host, path = urlsplit(url).netloc, urlsplit(url).path
            if host == GONE_HOST:
                expected[f"open_images/{url}"] = "no_such_host"
            elif path in server.odd:
                expected[f"open_images/{url}"] = EXPECTED[server.odd[path]]
        with open_dataset(built.dataset) as dataset:
            found = {image.id: image.status for image in dataset["train"] if image.source == "open_images"}
            data = {image.id: image.data for image in dataset["train"] if image.status == "ok"}
        assert found == expected
        assert Counter(found.values())["ok"] == len(urls) - len(ODD) - 1
        url = next(url for url in urls if expected[f"open_images/{url}"] == "ok")
        assert data[f"open_images/{url}"] == jpeg(f"/ok/9000{urlsplit(url).path}", 9000)
        assert verify(built.dataset).ok
        assert server.requests["/robots.txt"] == len({urlsplit(url).netloc for url in urls}) - 1
        again = build(loaded, tmp_path / "out", local, place=place)
        assert again.digest == built.digest
        assert again.fetched is not None
        assert again.fetched.asked == 1  # the answer 502 may have passed
