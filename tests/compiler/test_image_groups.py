"""Images of one group lie in one split, whatever says which group they are in."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.compiler.catalog.arrow_tables import hash_names
from mlimg_build.compiler.lock.lock_reader import read_lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.plan_summary import plan_summary
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import Problem, SpecError
from mlimg_build.spec import load_spec
from tests.support.runs import inline

HEAD = """\
mlimg: 1
name: clinic
version: 1.0.0
sources:
  scans: {type: table, table: scans.csv, images: images}
  films: {type: table, table: films.csv, images: images}
dataset: {images_per_shard: 64}
"""
PATIENTS, EACH = 30, 6

Made = Callable[..., Plan]


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A folder with two tables of labels: 30 patients of 6 pictures each in both, and 10 pictures of nobody."""
    (tmp_path / "images").mkdir()
    for source in ("scans", "films"):
        rows = ["image,labels,patient"]
        rows += [f"{source[0]}{p:02}_frame{i}.jpg,dog,P{p:02}" for p in range(PATIENTS) for i in range(EACH)]
        rows += [
            f"{source[0]}-alone{i}.jpg,dog,{nobody}" for i, nobody in enumerate(["", "NA", " - "] * 3 + [""])
        ]
        (tmp_path / f"{source}.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.fixture
def planned(clinic: Path) -> Made:
    """Plans the clinic with these lines, and with replacements in its sources."""

    def make(lines: str = "", **replaced: str) -> Plan:
        text = HEAD + lines
        for name, more in replaced.items():
            text = text.replace(
                f"table: {name}.csv, images: images", f"table: {name}.csv, images: images, {more}"
            )
        (clinic / "clinic.yaml").write_text(text)
        return plan(load_spec(clinic / "clinic.yaml"), clinic / "out")

    return make


def split_of(made: Plan) -> dict[str, str]:
    """The split of each image by its id."""
    return {
        name: shard.split
        for shard in made.rows.shards
        for name in made.rows.batch(shard).column("id").to_pylist()
    }


def warned(made: Plan) -> list[Problem]:
    """What is said of groups and splits; that the folders are empty is another matter."""
    return [one for one in made.warnings if one.code != "folder-empty"]


def patient(image: str) -> str:
    return image.split("/")[1][1:3]


def splits_of_patients(made: Plan, source: str = "") -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for image, split in split_of(made).items():
        if image.startswith(source) and "alone" not in image:
            found.setdefault(patient(image), set()).add(split)
    return found


def group_file(clinic: Path, rows: list[str]) -> None:
    (clinic / "groups.csv").write_text("\n".join(["id,group", *rows]) + "\n")


WAYS: dict[str, str] = {
    "column": "{column: patient}",
    "pattern": '{pattern: "/[sf](\\\\d+)_frame"}',
    "file": "{file: groups.csv}",
}


@pytest.mark.parametrize("way", WAYS)
def test_all_images_of_a_group_lie_in_one_split_across_sources(way: str, clinic: Path, planned: Made) -> None:
    ids = [
        f"{s}/{s[0]}{p:02}_frame{i}.jpg,{p}" for s in ("scans", "films") for p in range(30) for i in range(6)
    ]
    group_file(clinic, ids)
    made = planned(f"split: {{validation: 0.3, by: {WAYS[way]}}}")
    placed = splits_of_patients(made)
    assert len(placed) == PATIENTS
    assert all(len(splits) == 1 for splits in placed.values())
    assert {split for splits in placed.values() for split in splits} == {"train", "validation"}
    assert made.inputs.groups
    assert (made.inputs.groups.groups, made.inputs.groups.images, made.inputs.groups.without) == (30, 360, 20)
    assert sum(made.inputs.groups.splits.values()) == 30
    assert made.inputs.groups.splits["validation"] == sum(
        splits == {"validation"} for splits in placed.values()
    )
    assert not warned(made)


def test_images_by_url_have_groups_and_rows_without_an_image_are_in_none(clinic: Path) -> None:
    rows = [f"https://h.example/{p}/{i}.jpg,dog,P{p}" for p in range(8) for i in range(4)]
    rows += [",dog,P1", ",cat,P2", "NaN,dog,P3"]
    (clinic / "scans.csv").write_text("\n".join(["image,labels,patient", *rows]) + "\n")
    (clinic / "clinic.yaml").write_text(
        HEAD.replace("  films: {type: table, table: films.csv, images: images}\n", "")
        + "split: {validation: 0.4, by: {column: patient}}\n"
    )
    made = plan(load_spec(clinic / "clinic.yaml"), clinic / "out")
    assert made.inputs.groups
    assert (made.inputs.groups.groups, made.inputs.groups.images, made.inputs.groups.without) == (8, 32, 0)
    placed: dict[str, set[str]] = {}
    for image, split in split_of(made).items():
        placed.setdefault(image.split("/")[-2], set()).add(split)
    assert len(placed) == 8
    assert all(len(splits) == 1 for splits in placed.values())


def test_a_warning_about_a_source_s_own_file_of_groups_is_at_its_place(clinic: Path, planned: Made) -> None:
    group_file(clinic, ["s00_frame0.jpg,A", "nobody.jpg,B"])
    made = planned("split: {validation: 0.3}", scans="group: {file: groups.csv}")
    (told,) = [one for one in warned(made) if one.code == "group-unmatched"]
    assert told.place is not None
    assert told.place.line == 5
    (clinic / "groups.csv").rename(clinic / "other.csv")
    made = planned("split: {validation: 0.3}", scans="group: {file: other.csv}")
    (told,) = [one for one in warned(made) if one.code == "group-unmatched"]
    assert "other.csv" in told.message
    assert "groups.csv" not in told.message


def test_an_image_in_two_groups_is_counted_once(clinic: Path, planned: Made) -> None:
    group_file(clinic, ["scans/s00_frame0.jpg,A", "scans/s00_frame0.jpg,B", "scans/s00_frame0.jpg,A"])
    with pytest.raises(SpecError, match="1 image is in two groups"):
        planned("split: {validation: 0.3, by: {file: groups.csv}}")


def test_without_groups_patients_are_torn_apart(planned: Made) -> None:
    assert any(
        len(splits) == 2 for splits in splits_of_patients(planned("split: {validation: 0.3}")).values()
    )


@pytest.mark.parametrize("way", ["column", "pattern"])
def test_a_group_of_one_source_is_its_own(way: str, planned: Made) -> None:
    by = {"column": "group: {column: patient}", "pattern": 'group: {pattern: "^.(\\\\d+)_"}'}[way]
    made = planned("split: {validation: 0.3}", scans=by, films=by)
    assert made.inputs.groups
    assert made.inputs.groups.groups == 60
    for source in ("scans", "films"):
        assert all(len(splits) == 1 for splits in splits_of_patients(made, source).values())
    assert any(len(splits) == 2 for splits in splits_of_patients(made).values())


def test_a_source_with_a_rule_of_its_own_leaves_the_others_alone(planned: Made) -> None:
    plain = split_of(planned("split: {validation: 0.3}"))
    made = split_of(planned("split: {validation: 0.3}", scans="group: {column: patient}"))
    films = {image for image in plain if image.startswith("films/")}
    assert {image: made[image] for image in films} == {image: plain[image] for image in films}
    assert made != plain


def test_an_image_without_a_group_draws_by_itself(planned: Made) -> None:
    plain = split_of(planned("split: {validation: 0.3}"))
    made = split_of(planned("split: {validation: 0.3, by: {column: patient}}"))
    alone = [image for image in plain if "alone" in image]
    assert len(alone) == 20
    assert [made[image] for image in alone] == [plain[image] for image in alone]


def test_images_that_are_groups_of_one_draw_as_they_do_without_groups(clinic: Path, planned: Made) -> None:
    plain = planned("split: {validation: 0.3}")
    made = planned('split: {validation: 0.3, by: {pattern: "^(.*)$"}}')
    assert [shard.image_rows for shard in made.rows.shards] == [
        shard.image_rows for shard in plain.rows.shards
    ]
    assert [work.labels.digest for work in made.work] == [work.labels.digest for work in plain.work]


def test_groups_change_no_order(planned: Made) -> None:
    for shard in (made := planned("split: {validation: 0.3, by: {column: patient}}")).rows.shards:
        ids = made.rows.batch(shard).column("id").to_pylist()
        assert hash_names("", ids)[0].tolist() == sorted(hash_names("", ids)[0].tolist())


def test_the_group_of_a_row_is_all_that_its_split_follows_from(clinic: Path, planned: Made) -> None:
    lines = "split: {validation: 0.3, by: {column: patient}}"
    whole = split_of(planned(lines))
    rows = (clinic / "scans.csv").read_text().splitlines()
    (clinic / "scans.csv").write_text("\n".join([rows[0], *reversed(rows[50:])]) + "\n")
    part = split_of(planned(lines))
    assert 0 < len(part) < len(whole)
    assert part == {image: whole[image] for image in part}


def test_another_column_is_read_again_though_no_label_changed(clinic: Path, planned: Made) -> None:
    lines = "split: {validation: 0.3, by: {column: patient}}"
    before = planned(lines)
    text = (clinic / "scans.csv").read_text()
    (clinic / "scans.csv").write_text(text.replace(",P00", ",P99"))
    after = planned(lines)
    assert before.inputs.catalogs[0].digest == after.inputs.catalogs[0].digest
    assert before.inputs.groups
    assert after.inputs.groups
    assert before.inputs.groups.digest != after.inputs.groups.digest
    assert after.inputs.groups.groups == 31


def test_other_processes_see_the_draws_of_the_groups(planned: Made) -> None:
    made = planned("split: {validation: 0.3, by: {column: patient}}")
    for catalog in made.inputs.catalogs:
        again = pickle.loads(pickle.dumps(catalog))
        assert again.images.column("draw").equals(catalog.images.column("draw"))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_a_file_of_one_source_names_its_images_as_the_source_does(
    suffix: str, clinic: Path, planned: Made
) -> None:
    ids = [f"./s{p:02}_frame{i}.jpg" for p in range(PATIENTS) for i in range(EACH)]
    groups = [f"P{p}" for p in range(PATIENTS) for _ in range(EACH)]
    if suffix == "parquet":
        pq.write_table(pa.table({"id": ids, "note": groups, "group": groups}), clinic / "groups.parquet")
    else:
        comma = "\t" if suffix == "tsv" else ","
        rows = [
            f"id{comma}note{comma}group",
            *(f"{i}{comma}x{comma}{g}" for i, g in zip(ids, groups, strict=True)),
        ]
        (clinic / f"groups.{suffix}").write_text("\n".join(rows) + "\n")
    made = planned("split: {validation: 0.3}", scans=f"group: {{file: groups.{suffix}}}")
    assert all(len(splits) == 1 for splits in splits_of_patients(made, "scans").values())
    assert made.inputs.groups
    assert made.inputs.groups.groups == PATIENTS


def problem_of(planned: Made, lines: str, **replaced: str) -> tuple[str, str, str, str]:
    with pytest.raises(SpecError) as caught:
        planned(lines, **replaced)
    problem = caught.value.problems[0]
    place = problem.place
    assert place
    assert problem.hint
    return problem.code, problem.message, f"{place.line}:{place.column}", problem.hint


def test_an_image_in_two_groups_is_an_error_with_both_rows(clinic: Path, planned: Made) -> None:
    with (clinic / "scans.csv").open("a") as stream:
        stream.write("s00_frame0.jpg,animal,P07\n")
    code, message, place, _ = problem_of(planned, "split: {validation: 0.3, by: {column: patient}}")
    assert (code, place) == ("two-groups", "8:39")
    assert (
        message
        == "1 image is in two groups, such as s00_frame0.jpg: P00 (scans.csv:2) and P07 (scans.csv:192)"
    )


def test_one_image_in_several_rows_of_one_group_is_in_that_group(clinic: Path, planned: Made) -> None:
    with (clinic / "scans.csv").open("a") as stream:
        stream.write("s00_frame0.jpg,animal,P00\ns00_frame0.jpg,animal,\n")
    made = planned("split: {validation: 0.3, by: {column: patient}}")
    assert made.inputs.groups
    assert made.inputs.groups.without == 20


def test_ids_that_are_no_image_are_a_warning_with_an_example(clinic: Path, planned: Made) -> None:
    group_file(clinic, ["scans/s00_frame0.jpg,a", "scans/s00_frame1,a", "elsewhere/x.jpg,b"])
    warning = warned(planned("split: {by: {file: groups.csv}}"))[0]
    assert warning.code == "group-unmatched"
    assert warning.severity == "warning"
    assert "2 ids of groups.csv are no image, such as scans/s00_frame1 (groups.csv:3)" in warning.message


def test_a_file_that_joins_no_image_is_an_error_with_an_example_of_each_side(
    clinic: Path, planned: Made
) -> None:
    group_file(clinic, ["s00_frame0.jpg,a", "s00_frame1.jpg,a"])
    code, message, place, hint = problem_of(planned, "split: {by: {file: groups.csv}}")
    assert (code, place) == ("no-group", "8:13")
    assert message == "the file groups.csv gives no image a group"
    assert "the ids of the file like s00_frame0.jpg" in hint
    assert "the images are written like scans/s" in hint


def test_a_pattern_that_fits_no_id_is_an_error_with_an_example(planned: Made) -> None:
    code, message, _, hint = problem_of(planned, 'split: {by: {pattern: "^(v\\\\d+)_"}}')
    assert code == "no-group"
    assert message == r"the pattern ^(v\d+)_ gives no image a group"
    assert hint.startswith("the ids are written like scans/s")


def test_a_row_of_a_group_file_that_cannot_be_read_is_an_error(clinic: Path, planned: Made) -> None:
    group_file(clinic, ["scans/s00_frame0.jpg,a", "scans/s00_frame1.jpg,a,b"])
    code, message, place, _ = problem_of(planned, "split: {by: {file: groups.csv}}")
    assert (code, place) == ("list-unreadable", "8:20")
    assert "groups.csv:3" in message


@pytest.mark.parametrize("lines", ["split: {by: {column: ward}}", "split: {by: {file: films.csv}}"])
def test_a_column_that_is_not_there_is_an_error_at_the_rule(lines: str, planned: Made) -> None:
    code, message, _, hint = problem_of(planned, lines)
    assert code == "column-missing"
    assert "has no column" in message
    assert hint == "its columns are image, labels, patient"


def test_a_group_that_a_whole_source_tears_apart_is_a_warning(planned: Made) -> None:
    made = planned("split: {validation: 0.3, by: {column: patient}}", films="split: validation")
    assert made.inputs.groups
    assert (
        made.inputs.groups.torn == sum(len(splits) == 2 for splits in splits_of_patients(made).values()) > 0
    )
    assert [warning.code for warning in warned(made)] == ["group-in-two-splits"]
    assert " (train and validation)" in warned(made)[0].message


def test_a_split_that_no_group_drew_is_a_warning(planned: Made) -> None:
    made = planned('split: {validation: 0.01, by: {pattern: "(s|f)"}}')
    assert "split-empty" in [warning.code for warning in warned(made)]
    assert "no image is in validation: 2 groups drew" in warned(made)[-1].message


def test_plan_and_dataset_and_lock_say_how_images_are_grouped(clinic: Path, planned: Made) -> None:
    made = planned("split: {validation: 0.3, by: {column: patient}}")
    told = plan_summary(made)
    assert told["splits"] == made.rows.splits
    assert told["groups"]["by"] == {"scans": "column patient", "films": "column patient"}
    (clinic / "images" / "s00_frame0.jpg").write_bytes(b"no image")
    done = build(made.loaded, clinic / "out", inline())
    with open_dataset(done.dataset) as dataset:
        said = dataset.attributes["groups"]
    assert (said["groups"], said["images"], said["images_without"]) == (30, 360, 20)
    assert read_lock(done.lock).head["groups"] == said


def test_a_spec_without_groups_says_nothing_of_them(planned: Made) -> None:
    made = planned("split: {validation: 0.3}")
    assert made.inputs.groups is None
    assert plan_summary(made)["groups"] is None
    assert all(catalog.draws is None for catalog in made.inputs.catalogs)


@pytest.mark.slow
@given(
    st.dictionaries(st.integers(0, 40), st.sampled_from(["a", "b", "c", "d/e", "ü", ""]), min_size=1),
    st.floats(0.0, 0.99),
)
@settings(max_examples=25, deadline=None)
def test_whatever_the_groups_each_lies_in_one_split(
    tmp_path_factory: pytest.TempPathFactory, groups: dict[int, str], share: float
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "images").mkdir()
    rows: list[Any] = ["image,labels,lot", *(f"{i}.jpg,dog,{groups.get(i, '')}" for i in range(41))]
    (folder / "t.csv").write_text("\n".join(rows) + "\n")
    by = "" if not any(groups.values()) else ", by: {column: lot}"
    (folder / "s.yaml").write_text(
        "mlimg: 1\nname: any\nversion: 1.0.0\nsources: {t: {type: table, table: t.csv, images: images}}\n"
        f"split: {{validation: {share}{by}}}\n"
    )
    made = plan(load_spec(folder / "s.yaml"), folder / "out")
    placed: dict[str, set[str]] = {}
    for image, split in split_of(made).items():
        number = int(image.removeprefix("t/").removesuffix(".jpg"))
        placed.setdefault(groups.get(number) or image, set()).add(split)
    assert all(len(splits) == 1 for splits in placed.values())
    assert sum(made.rows.splits.values()) == 41
