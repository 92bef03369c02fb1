"""The page about a dataset: it loads nothing, says what the dataset says, and survives names that mean harm."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from mlimg_build.compiler.plan.left_out import REASONS
from mlimg_build.compiler.report_stage import write_report
from mlimg_build.dataset import info, open_dataset
from mlimg_build.errors import BuildError, DatasetError
from mlimg_build.explain.image_labels import explain
from tests.support.html_page import EVIL, Element, parse, section

LOADING = {"src", "srcset", "href", "data", "action", "poster", "background", "formaction", "xlink:href"}


def figures(part: Element) -> dict[str, list[str]]:
    """The key figures of a part of the page: their values and notes by name."""
    return {
        figure.all("dt")[0].text: [value.text for value in figure.all("dd")]
        for figure in part.all("div", "figure")
    }


def data_of(page: Element, name: str) -> dict[str, list[object]]:
    """What a script of the page reads."""
    loaded: dict[str, list[object]] = json.loads(section(page, name).raw)
    return loaded


def test_the_page_loads_nothing(page: str) -> None:
    parsed = parse(page)
    for element in parsed.all():
        assert element.tag not in {
            "link",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "foreignobject",
            "image",
        }
        for name in LOADING & set(element.attributes):
            value = element.attributes[name]
            assert value.startswith("#") or (
                element.tag == "img" and value.startswith("data:image/jpeg;base64,")
            )
        assert not [name for name in element.attributes if name.startswith("on")]
        assert set(re.findall(r"url\(.", element.attributes.get("style", ""))) <= {"url(#"}
    (style,) = parsed.all("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    assert "://" not in page
    policy = [
        meta.attributes.get("content", "") for meta in parsed.all("meta") if "http-equiv" in meta.attributes
    ]
    assert policy[0].startswith("default-src 'none'; img-src data:;")


def test_every_id_is_there_once_and_every_link_leads_somewhere(page: str) -> None:
    parsed = parse(page)
    ids = [element.attributes["id"] for element in parsed.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in parsed.all():
        for name in ("href", "for", "aria-labelledby"):
            if name in element.attributes:
                assert element.attributes[name].removeprefix("#") in ids


def test_pictures_and_plots_say_what_they_show(page: str) -> None:
    parsed = parse(page)
    assert all(image.attributes["alt"] for image in parsed.all("img"))
    pictures = parsed.all("svg")
    assert len(pictures) == 4 + 3
    assert all(svg.attributes["role"] == "img" and svg.attributes["aria-label"] for svg in pictures)
    assert all(head.attributes.get("scope") for head in parsed.all("th"))


def test_plots_have_no_colour_of_their_own(page: str) -> None:
    for svg in re.findall(r'<svg class="plot".*?</svg>', page, re.DOTALL):
        assert not re.findall(r"#[0-9a-f]{6}\b(?!\))", re.sub(r'(url\(|href="|id=")#?[^")]*', "", svg))
        assert "var(--" in svg


def test_names_that_mean_harm_are_text(page: str) -> None:
    parsed = parse(page)
    assert len(parsed.all("script")) == 3
    assert not [image for image in parsed.all("img") if image.attributes["src"] == "x"]
    assert not parsed.all("b")
    assert EVIL not in page
    assert parsed.all("title")[0].text == "everything 1.0.0"
    assert (
        section(parsed, "spec")
        .all("details")[0]
        .text.startswith("everything.yaml # </pre></details><script>")
    )
    assert f"crowd/{EVIL}" in {picture.attributes["aria-label"] for picture in parsed.all("article")}
    assert "</script><script>alert(2)</script>" in data_of(parsed, "mapping-data")["name"]


def test_the_same_dataset_gives_the_same_page(everything: Path, page: str, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "other.zarr"
    shutil.copytree(everything, moved)
    assert write_report(moved, tmp_path / "again.html").read_text() == page
    assert str(tmp_path.parent) not in page
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["again.html"]


def test_key_figures_are_those_of_the_dataset(everything: Path, page: str) -> None:
    told = info(everything)
    shown = figures(parse(page).all("header")[0])
    failed = sum(told["failed"].values())
    assert shown["images"] == [str(told["images"]), f"{told['images'] - failed} with bytes"]
    assert shown["categories"][0] == str(told["categories"]["count"])
    assert shown["labels present"] == [str(told["labels"]["present"])]
    assert shown["labels verified absent"] == [str(told["labels"]["absent"])]
    assert told["digest"] in page


def test_the_flow_adds_up(everything: Path, page: str) -> None:
    told = info(everything)
    with open_dataset(everything) as dataset:
        left_out = dataset.attributes["images_without_label"]
        gone = {name: sum(one["left_out"].values()) for name, one in dataset.attributes["sources"].items()}
        splits = {name: len(split) for name, split in dataset.splits.items()}
    assert left_out == 1
    for flow in parse(page).all("svg", "flow")[:2]:
        titles = [title.text for title in flow.all("title")]
        for source, count in told["sources"].items():
            assert f"{source}: {count + gone[source]} images" in titles
        for split, count in splits.items():
            assert f"{split}: {count} images" in titles
        assert any(title.startswith(f"left out: {left_out} images") for title in titles)
        for status, count in told["failed"].items():
            assert any(title.startswith(f"{status}: {count} images") for title in titles)
        into = dict.fromkeys(splits, 0)
        for title in titles:
            if found := re.fullmatch(r".* → (train|validation): (\d+) images", title):
                into[found.group(1)] += int(found.group(2))
        assert into == splits


def test_rules_and_sources_are_counted(everything: Path, page: str) -> None:
    labels = info(everything)["labels"]
    rows = {
        row.all("th")[0].text: [cell.text for cell in row.all("td")]
        for row in section(parse(page), "labels").all("tr")[1:]
        if row.all("td")
    }
    for rule, name in (
        ("stated", "stated by a source"),
        ("ancestors", "implied: all above"),
        ("descendants", "implied: all below"),
    ):
        assert rows[name] == [str(labels["rules"][rule][state]) for state in ("present", "absent")]
    for source, counts in labels["sources"].items():
        assert rows[source] == [str(counts["present"]), str(counts["absent"])]


def test_the_tree_holds_every_category_below_each_parent(everything: Path, page: str) -> None:
    parsed = parse(page)
    data = data_of(parsed, "tree-data")
    with open_dataset(everything) as dataset:
        categories = dataset.categories
        assert data["wnid"] == categories.wnid
        assert data["present"] == categories.positives.tolist()
        assert data["absent"] == categories.negatives.tolist()
        assert data["parents"] == [list(parents) for parents in categories.parents]
        written = [row.all("span", "wnid")[0].text for row in section(parsed, "tree-view").all("span", "row")]
        assert set(written) == set(categories.wnid)


def test_every_decision_is_there_and_merges_are_shown_as_such(everything: Path, page: str) -> None:
    parsed = parse(page)
    data = data_of(parsed, "mapping-data")
    with open_dataset(everything) as dataset:
        mappings = list(dataset.mappings)
    assert sorted(zip(data["source"], data["id"], strict=True)) == sorted(
        (row.source, row.id) for row in mappings
    )
    merges = [merge.text for merge in parsed.all("div", "merge")]
    assert any("synsets n03790512" in text and "crowd Motorcycle" in text for text in merges)
    assert "unresolved" in section(parsed, "mappings").text


def test_contradictions_are_counted_and_told(everything: Path, page: str) -> None:
    part = section(parse(page), "contradictions")
    total = sum(info(everything)["contradictions"].values())
    assert total == 3
    assert f"In {total} cases" in part.text
    counts = [cell.text for cell in part.all("td", "num")]
    assert sum(map(int, counts)) == total
    (told,) = part.all("details")
    assert "animal n00015388 said to be absent, cat n02121620 present; the absence stands" in told.text
    assert "labels.csv:" in told.text


def test_failures_and_what_was_passed_over_are_listed(everything: Path, page: str) -> None:
    part = section(parse(page), "failures")
    rows = {row.all("th")[0].text: row.text for row in part.all("tbody")[0].all("tr")}
    assert set(rows) == set(info(everything)["failed"]) == {"missing", "truncated"}
    assert "crowd/m03" in rows["truncated"]
    assert "crowd/nowhere" in rows["missing"]
    assert "1 image has no label that counts" in part.text
    with open_dataset(everything) as dataset:
        for source in dataset.attributes["sources"].values():
            for code, count in source["passed_over"].items():
                assert f"{code} {count}" in part.text


def test_images_that_are_left_out_are_counted_by_source_and_reason(everything: Path, page: str) -> None:
    left_out = section(parse(page), "failures").all("div", "card")[1]
    rows = [[cell.text for cell in row.all("td")] for row in left_out.all("tbody")[0].all("tr")]
    with open_dataset(everything) as dataset:
        wanted = [
            [name, REASONS[reason], str(count)]
            for name, source in dataset.attributes["sources"].items()
            for reason, count in source["left_out"].items()
        ]
    assert rows == wanted != []


def test_pairs_that_go_together_show_the_labels_that_they_added(together: Path, tmp_path: Path) -> None:
    part = section(parse(write_report(together, tmp_path / "together.html").read_text()), "together")
    with open_dataset(together) as dataset:
        added = Counter(
            (label.via, label.category)
            for split in dataset.splits.values()
            for row in range(len(split))
            for label in split.labels(row)
            if label.rule == "cooccurrence"
        )
        pairs, names = dataset.pairs, dataset.categories.names
        left_out = dataset.attributes["pairs_left_out"]
    shown = {
        row.all("th")[0].text.split()[0]: [cell.text for cell in row.all("td", "num")]
        for row in part.all("tbody")[0].all("tr")
    }
    assert shown == {
        names[pair.antecedent]: [
            f"{pair.together} of {pair.images}",
            f"{100 * pair.bound:.1f} %",
            str(added[pair.antecedent, pair.consequent]),
        ]
        for pair in pairs
    }
    assert shown["motorcycle"][0] == "25 of 28"
    assert shown["motorcycle"][2] == "3"
    assert left_out
    assert all(f"{number} {reason.replace('-', ' ')}" in part.text for reason, number in left_out.items())


def test_a_dataset_without_pairs_has_no_part_about_them(page: str) -> None:
    assert not [element for element in parse(page).all() if element.attributes.get("id") == "together"]


def test_every_picture_has_its_why(everything: Path, page: str) -> None:
    pictures = parse(page).all("article")
    assert len(pictures) == 24
    for picture in pictures:
        told = explain(everything, picture.attributes["aria-label"])
        why = picture.all("details", "why")[0].text
        for label in told["labels"]:
            assert label["name"] in why
            for step in label["chain"]:
                for part in (step["place"], *step["text"].split(": ")[:1]):
                    assert " ".join(part.split()) in why
        for clash in told["contradictions"]:
            assert clash["text"] in why


def test_the_gallery_shows_every_kind_of_label_and_every_source(page: str) -> None:
    pictures = parse(page).all("article")
    kinds = [
        chip.attributes["class"].removeprefix("chip ")
        for picture in pictures
        for chip in picture.all("span", "chip")
    ]
    assert set(kinds) == {"stated", "implied", "absent", "absent implied", "machine"}
    assert any(picture.all("p", "flag") for picture in pictures)
    assert {picture.attributes["aria-label"].split("/")[0] for picture in pictures} == {"synsets", "crowd"}
    assert all(picture.all("img") for picture in pictures)


def test_a_dataset_of_one_category_without_validation_has_a_page(plain: Path, tmp_path: Path) -> None:
    parsed = parse(write_report(plain, tmp_path / "plain.html").read_text())
    assert figures(parsed.all("header")[0])["images"] == ["3", "all with bytes"]
    assert "None: no source says" in section(parsed, "contradictions").text
    assert "Nothing: every image decodes whole" in section(parsed, "failures").text
    assert len(parsed.all("article")) == 3
    assert not [element for element in parsed.all() if element.attributes.get("id") == "model"]


def test_what_is_no_dataset_leaves_the_old_page(tmp_path: Path) -> None:
    old = tmp_path / "report.html"
    old.write_text("old")
    with pytest.raises(DatasetError) as raised:
        write_report(tmp_path / "nothing.zarr", old)
    assert raised.value.code == "dataset-missing"
    assert old.read_text() == "old"


def test_a_model_that_is_asked_for_must_be_there(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError) as raised:
        write_report(plain, tmp_path / "report.html", tmp_path / "nowhere.model")
    assert raised.value.code == "model-missing"
    assert not (tmp_path / "report.html").exists()
