"""The page over the published dictionary: 11,166 categories and rows whose images nobody fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.report_stage import write_report
from mlimg_build.spec import load_spec
from tests.support.html_page import parse, section
from tests.support.runs import inline

SPEC = """\
mlimg: 1
name: published
version: 1.0.0
sources:
  rows:
    type: ml_images
    lists: {data}/ml-images/train_urls_sample.txt
    dictionary: {data}/ml-images/dictionary_and_semantic_hierarchy.txt
annotation:
  positives: none
"""


@pytest.mark.slow
def test_eleven_thousand_categories_make_a_page(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "published.yaml").write_text(SPEC.format(data=shared_data))
    dataset = build(load_spec(tmp_path / "published.yaml"), tmp_path / "out", inline()).dataset
    to = write_report(dataset, tmp_path / "report.html")
    parsed = parse(to.read_text())
    assert len(json.loads(section(parsed, "tree-data").raw)["wnid"]) == 11_166
    written = section(parsed, "tree-view").all("span", "row")
    assert 100 < len(written) < 500
    assert not parsed.all("img")
    assert "not fetched" in section(parsed, "gallery").text
    assert to.stat().st_size < 2_500_000
