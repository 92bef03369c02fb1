"""What is told of images at URLs: authors and licences, domains, the coverage in the report, what a spec requires."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytest.importorskip("aiohttp", reason="the extra `fetch` is not installed")

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.compiler.report_stage import write_report
from mlimg_build.compiler.requirements import require_dataset
from mlimg_build.compiler.run_stage import fetch
from mlimg_build.compiler.urls.attribution import write_attribution
from mlimg_build.spec import load_spec
from tests.compiler.test_fetch_stage import MIX
from tests.support.hostile_http import HostileServer
from tests.support.html_page import parse, section
from tests.support.web_world import LOCALLY, WebWorld

LICENCE = "=CC BY 2.0"  # as a spreadsheet would take it for a formula


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    started = HostileServer().start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: HostileServer) -> WebWorld:
    made = WebWorld(tmp_path_factory.mktemp("web"), server)
    paths = [*MIX, *(f"/ok/3000/2014/{n}/1" for n in range(12)), *(f"/404/2015/{n}/1" for n in range(20))]
    (made.folder / "gone.txt").write_text(f"{made.url('/ok/3000/2014/0/1')}\n")
    licences = [LICENCE, "https://creativecommons.org/licenses/by/2.0/", *[""] * (len(paths) - 2)]
    made.write(paths, "rights: {withdrawn: gone.txt}\nrequire: {fetched: 0.5}\n", licences)
    return made


@pytest.fixture(scope="module")
def built(world: WebWorld) -> Built:
    return world.build()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_authors_and_licences_are_listed_for_the_images_that_came(world: WebWorld, built: Built) -> None:
    assert built.attribution is not None
    listed = {row["url"].removeprefix(world.url("")): row for row in rows(built.attribution)}
    assert len(listed) == 3 + 11, "neither those that are lost nor the one that is taken down"
    assert listed["/ok/3000/1"]["licence"] == f"'{LICENCE}"
    assert (listed["/ok/3000/2"]["spdx"], listed["/ok/3000/2"]["source"]) == ("CC-BY-2.0", "list")


def test_a_long_list_is_a_parquet_file_of_the_same_rows(
    world: WebWorld, built: Built, tmp_path: Path
) -> None:
    assert built.attribution is not None
    made, store = (
        plan(load_spec(world.folder / "web.yaml"), world.folder / "out"),
        world.folder / "out/.mlimg/web",
    )
    assert write_attribution(made, Store(store), tmp_path, "web") == tmp_path / "web.attribution.csv"
    path = write_attribution(made, Store(store), tmp_path, "web", most=5)
    assert path == tmp_path / "web.attribution.parquet"
    assert not (tmp_path / "web.attribution.csv").exists()
    listed = pq.read_table(path).to_pylist()
    assert [row["image"] for row in listed] == [row["image"] for row in rows(built.attribution)]
    assert LICENCE in {row["licence"] for row in listed}


def test_domains_are_summed_up_with_what_was_refused_and_when(world: WebWorld, built: Built) -> None:
    to = world.folder / "domains.csv"
    loaded = load_spec(world.folder / "web.yaml")
    assert fetch(loaded, world.folder / "out", LOCALLY, world.place, domains=to) is not None
    (row,) = rows(to)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    assert (row["domain"], row["images"], row["came"]) == ("127.0.0.1", str(len(MIX) + 32), "14")
    assert (row["refused_x_robots_tag"], row["withdrawn"], row["top_10_percent"]) == ("1", "1", "yes")
    assert row["first_day"] <= row["last_day"] == today
    assert int(row["bytes"]) > 11 * 3000
    counted = sum(int(row[name]) for name in list(row)[8:])
    assert counted + int(row["came"]) == int(row["images"])


def test_too_few_bytes_are_below_what_is_required(world: WebWorld, built: Built) -> None:
    (problem,) = require_dataset(load_spec(world.folder / "web.yaml"), built, 1.0)
    assert problem.message == "fetched is 0.3256, and 0.5 is required"
    assert built.at_urls["ok"] == 14


def test_the_report_says_what_came_from_where(world: WebWorld, built: Built) -> None:
    page = parse(write_report(built.dataset, world.folder / "page.html").read_text())
    part = section(page, "coverage")
    assert "44 images lie at URLs; the bytes of 14 are here" in part.text
    assert "list44" in part.text
    assert "127.0.0.144" in part.text
    assert "201412" in part.text
    assert "201520" in part.text
    assert "The image was taken down" in part.text
