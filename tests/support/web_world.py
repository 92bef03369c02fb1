"""A spec of a list of URLs, the server that they lie at, and what its builds leave."""

from __future__ import annotations

from pathlib import Path

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.urls.fetch_stage import fetch_place
from mlimg_build.dataset import open_dataset
from mlimg_build.spec import Backend, load_spec
from mlimg_build.spec.models.backend import FetchBackend
from tests.support.hostile_http import HostileServer
from tests.support.runs import inline

__all__ = ["LOCAL", "LOCALLY", "WebWorld"]

SPEC = """\
mlimg: 1
name: web
version: 1.0.0
sources:
  list: {{type: table, table: list.csv, columns: {{image: image, labels: labels{columns}}}}}
dataset: {{images_per_shard: {per_shard}}}
{more}"""
LOCAL = FetchBackend(allow_networks=("127.0.0.0/8",), deadline_seconds=3.0, connect_seconds=2.0, attempts=1)
LOCALLY = inline().model_copy(update={"fetch": LOCAL})


class WebWorld:
    """A spec of a list of URLs in a folder, and what its builds leave there."""

    def __init__(self, folder: Path, server: HostileServer) -> None:
        self.folder, self.server = folder, server
        self.place = fetch_place(folder / "out", LOCALLY, str(folder / "store"))

    def url(self, path: str) -> str:
        return self.server.url(path, "127.0.0.1")

    def write(
        self, paths: list[str], more: str = "", licences: list[str] | None = None, per_shard: int = 1000
    ) -> None:
        rows = [f"{self.url(path)},{'cat' if at % 2 else 'dog'}" for at, path in enumerate(paths)]
        columns = ""
        if licences is not None:
            rows = [f"{row},{licence}" for row, licence in zip(rows, licences, strict=True)]
            columns = ", licence: licence"
        head = "image,labels,licence" if licences is not None else "image,labels"
        (self.folder / "list.csv").write_text("\n".join([head, *rows]) + "\n")
        text = SPEC.format(more=more, per_shard=per_shard, columns=columns)
        (self.folder / "web.yaml").write_text(text)

    def build(self, where: Backend | None = None, *, offline: bool = False, fraction: float = 1.0) -> Built:
        loaded = load_spec(self.folder / "web.yaml")
        place = None if offline else self.place
        return build(loaded, self.folder / "out", where or LOCALLY, fraction, place=place)

    def statuses(self, built: Built) -> dict[str, str]:
        with open_dataset(built.dataset) as dataset:
            return {image.id.removeprefix(f"list/{self.url('')}"): image.status for image in dataset["train"]}

    def images_asked(self) -> set[str]:
        """The paths that the server was asked for, but for those of rules."""
        return {path for path in self.server.requests if not path.endswith(("robots.txt", "tdmrep.json"))}

    def asked(self, path: str) -> int:
        """How often the server was asked for a path."""
        return self.server.requests[path]
