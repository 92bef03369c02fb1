"""Lists and folders that do not meet are told with an example of each side; nothing of them is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.compiler.catalog import catalog as module
from mlimg_build.compiler.catalog.near_names import NearNames, differences
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.errors import Problem, SourceError
from mlimg_build.spec import load_spec

FOLDER = "images"


def open_images(ids: list[str], **more: str) -> str:
    rows = "".join(f"{key},verification,/m/dog,1\n" for key in ids)
    Path("l.csv").write_text(f"ImageID,Source,LabelName,Confidence\n{rows}")
    Path("c.csv").write_text("/m/dog,Dog\n/m/cat,Cat\n")
    fields = {"images": FOLDER, "labels": "l.csv", "classes": "c.csv", **more}
    return f"type: open_images, {', '.join(f'{key}: {value}' for key, value in fields.items())}"


def table(paths: list[str], name: str = "t.csv") -> str:
    Path(name).write_text("image,labels\n" + "".join(f"{path},dog\n" for path in paths))
    return f"type: table, table: {name}, images: {FOLDER}"


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(FOLDER).mkdir()


def files(*paths: str) -> None:
    for path in paths:
        place = Path(FOLDER) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.encode())


def planned(*sources: str) -> Plan:
    listed = "".join(f"  s{i}: {{{source}}}\n" for i, source in enumerate(sources))
    Path("x.yaml").write_text(f"mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n{listed}")
    return plan(load_spec(Path("x.yaml")), Path("out"))


def problems(*sources: str) -> list[Problem]:
    """What planning says of the lists; the same again where the catalogs are kept."""
    try:
        first = list(planned(*sources).inputs.joins)
    except SourceError as error:
        first = list(error.problems)
        with pytest.raises(SourceError) as again:
            planned(*sources)
        assert list(again.value.problems) == first
    else:
        assert list(planned(*sources).inputs.joins) == first
    assert all(problem.place and problem.place.file == "x.yaml" for problem in first)
    return first


def test_a_list_that_meets_its_folder_says_nothing() -> None:
    files("a.jpg", "p/b.png")
    assert problems(table(["a.jpg", "p/b.png"]), open_images(["a", "b"])) == []


def test_a_list_that_finds_nothing_is_an_error_with_both_sides_and_a_hint() -> None:
    files("aa0.jpg", "bb1.jpg")
    (problem,) = problems(table(["train/aa0.jpg", "train/bb1.jpg"]))
    assert (problem.code, problem.severity) == ("list-not-found", "error")
    assert problem.message == (
        "source s0: none of 2 images that its lists name is in its folder: lists say train/aa0.jpg, "
        "the folder has aa0.jpg (the folder differs)"
    )
    assert problem.hint == "take train/ out of the lists"
    assert problem.place is not None
    assert problem.place.line == 5


def test_suffixes_in_another_case_are_said() -> None:
    files("aa0.jpg", "bb1.jpg")
    (problem,) = problems(table(["aa0.JPG", "bb1.JPG"]))
    assert "lists say aa0.JPG, the folder has aa0.jpg (upper and lower case differ)" in problem.message


def test_a_prefix_that_is_the_folder_s_own_name_asks_for_the_folder_above() -> None:
    files("train/aa0.jpg", "train/bb1.jpg")
    source = table(["train/aa0.jpg", "train/bb1.jpg"]).replace(f": {FOLDER}", f": {FOLDER}/train")
    (problem,) = problems(source)
    assert problem.hint == f"let `images` be {Path(FOLDER).absolute()}, or take train/ out of the lists"


def test_a_folder_that_the_list_leaves_out_is_named() -> None:
    files("train/aa0.jpg", "train/bb1.jpg")
    (problem,) = problems(table(["aa0.jpg", "bb1.jpg"]))
    assert problem.severity == "error"
    assert problem.hint is not None
    assert problem.hint.startswith(f"let `images` be {Path(FOLDER).absolute()}/train")


@pytest.mark.parametrize(
    ("listed", "there", "words"),
    [
        ("AA0", "aa0.jpg", "upper and lower case differ"),
        ("7", "007.jpg", "leading zeros differ"),
        ("a%20b", "a b.jpg", "%-escapes differ"),
    ],
)
def test_ids_that_are_almost_those_of_files_are_said_and_not_guessed(
    listed: str, there: str, words: str
) -> None:
    files(there)
    (problem,) = problems(open_images([listed]))
    assert problem.severity == "error"
    assert f"lists say {listed}, the folder has {there} ({words})" in problem.message


def test_a_list_of_png_beside_files_of_jpg_is_said() -> None:
    files("a.jpg", "b.jpg")
    (problem,) = problems(table(["a.png", "b.png"]))
    assert "lists say a.png, the folder has a.jpg (the suffix differs)" in problem.message


def test_one_almost_right_name_among_many_is_a_warning() -> None:
    files(*(f"{i}.jpg" for i in range(9)), "last.jpg")
    (problem,) = problems(table([*(f"{i}.jpg" for i in range(9)), "LAST.jpg"]))
    assert problem.severity == "warning"
    assert "1 of 10 images that its lists name is not in its folder" in problem.message


def test_a_few_files_that_are_simply_gone_are_rows_and_no_warning() -> None:
    files(*(f"{i}.jpg" for i in range(9)))
    assert problems(table([*(f"{i}.jpg" for i in range(9)), "gone.jpg"])) == []


def test_a_sample_of_the_images_is_a_warning_and_legal() -> None:
    files("a.jpg", "b.jpg")
    (problem,) = problems(open_images(["a", "b", *(f"x{i}" for i in range(30))]))
    assert (problem.code, problem.severity) == ("list-not-found", "warning")
    assert "30 of 32 images that its lists name are not in its folder: lists say x" in problem.message
    assert problem.hint == "where only a part of the images is meant to be there, nothing is to be done"


def test_urls_are_on_neither_side() -> None:
    files("a.jpg")
    assert problems(table(["a.jpg", *(f"https://a.example/{i}.jpg" for i in range(9))])) == []
    assert problems(table([f"https://a.example/{i}.jpg" for i in range(9)])) == []


def test_a_folder_without_images_is_a_warning_because_labels_can_be_made() -> None:
    (problem,) = problems(open_images(["a", "b"]))
    assert (problem.code, problem.severity) == ("folder-empty", "warning")


@pytest.mark.parametrize("kind", [open_images, table])
def test_a_folder_that_is_mostly_in_no_list_is_a_warning(kind: object) -> None:
    files(*(f"{i}.jpg" for i in range(9)))
    source = open_images(["0", "1"]) if kind is open_images else table(["0.jpg", "1.jpg"])
    (problem,) = problems(source)
    assert (problem.code, problem.severity) == ("folder-not-listed", "warning")
    assert "7 of the 9 images in its folder are in none of its lists, such as " in problem.message


def test_sources_that_share_a_folder_are_counted_together() -> None:
    files(*(f"{i}.jpg" for i in range(9)))
    first = table(["0.jpg", "1.jpg"])
    assert problems(first, table([f"{i}.jpg" for i in range(2, 9)], "other.csv")) == []


def test_a_folder_of_another_source_s_images_alone_is_as_one_without_images() -> None:
    files("a.jpg")
    (problem,) = problems(table(["a.jpg"]), table(["b.jpg", "c.jpg"], "other.csv"))
    assert (problem.code, problem.severity) == ("folder-empty", "warning")
    assert "no image but those of other sources" in problem.message


def test_rights_of_other_images_are_a_warning() -> None:
    files("a.jpg", "b.jpg", "c.jpg")
    Path("r.csv").write_text("ImageID,License,Author\nx,CC0,Jane\nc,CC0,Jane\n")
    (problem,) = problems(open_images(["a", "b", "c"], rights="r.csv"))
    assert (problem.code, problem.severity) == ("rights-not-found", "warning")
    assert "2 images have no row in its rights, such as a" in problem.message


def test_one_source_that_finds_nothing_is_not_hidden_by_another_that_does() -> None:
    files("a.jpg", "spare.jpg")
    found = problems(table(["a.jpg"]), table(["x/1.jpg", "x/2.jpg"], "other.csv"))
    assert [problem.severity for problem in found] == ["error"]


def test_several_spellings_are_one_image_with_the_labels_of_all() -> None:
    files("a.jpg", "p/x.jpg")
    Path("t.csv").write_text(
        f"image,labels\na.jpg,dog\n./a.jpg,cat\np//x.jpg,dog\np/x.jpg,cat\n{Path(FOLDER).absolute()}/a.jpg,cow\n"
    )
    made = planned(f"type: table, table: t.csv, images: {FOLDER}")
    (catalog,) = made.inputs.catalogs
    assert sorted(catalog.images.column("name").to_pylist()) == ["a.jpg", "p/x.jpg"]
    assert len(catalog.statements) == 5
    assert catalog.notes.counts["other-spelling"] == 3
    assert catalog.notes.counts["several-rows"] == 3
    well_spelled = Path("t.csv").read_text().replace("./", "").replace("//", "/")
    Path("t.csv").write_text(well_spelled.replace(f"{Path(FOLDER).absolute()}/", ""))
    again = planned(f"type: table, table: t.csv, images: {FOLDER}")
    assert again.inputs.catalogs[0].digest == catalog.digest


def test_one_local_row_among_urls_that_is_lost_is_no_error() -> None:
    files("logo.png")
    (problem,) = problems(table(["a.jpg", *(f"https://a.example/{i}.jpg" for i in range(99))]))
    assert (problem.code, problem.severity) == ("list-not-found", "warning")


def test_what_a_source_without_lists_takes_of_a_folder_is_not_left_over() -> None:
    files("cat/1.jpg", "cat/2.jpg", *(f"dog/{i}.jpg" for i in range(9)))
    assert problems(table(["cat/1.jpg", "cat/2.jpg"]), f"type: folder, images: {FOLDER}") == []
    Path("dogs.csv").write_text("image,labels\n" + "".join(f"{i}.jpg,dog\n" for i in range(9)))
    inner = f"type: table, table: dogs.csv, images: {FOLDER}/dog"
    assert problems(table(["cat/1.jpg", "cat/2.jpg"]), inner) == []
    (told,) = problems(table(["cat/1.jpg"]))
    assert told.code == "folder-not-listed"


def test_a_file_of_another_name_than_an_image_s_is_not_the_image_that_a_list_names() -> None:
    files("a.jpg", "b")
    made = planned(open_images(["a", "b"]))
    (catalog,) = made.inputs.catalogs
    assert catalog.images.column("status").to_pylist().count("missing") == 1
    assert catalog.notes.counts["not-an-image-name"] == 1


def test_a_log_that_grows_beside_the_images_does_not_stop_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    files("a.jpg", "b.jpg", "log.txt")
    made, real = open_images(["a", "b"]), module.signature_of

    def growing(*given: object) -> str:
        with (Path(FOLDER) / "log.txt").open("a") as stream:
            stream.write("one more line\n")
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "signature_of", growing)
    assert len(planned(made).inputs.catalogs[0].images) == 2


@pytest.mark.parametrize(
    ("names", "severity"),
    [("Cat,tench\nDog,dog\n", "error"), ("cat,cat\n", "warning"), ("cat,cat\ndog,dog\n", "")],
)
def test_classes_that_fit_no_label_are_told(names: str, severity: str) -> None:
    files("a.jpg", "b.jpg", "c.jpg")
    Path("names.csv").write_text(names)
    Path("t.csv").write_text("image,labels\na.jpg,cat\nb.jpg,dog\nc.jpg,mouse|rat\n")
    found = problems(f"type: table, table: t.csv, images: {FOLDER}, classes: names.csv")
    told = [(one.code, one.severity) for one in found]
    assert told == ([("classes-not-found", severity)] if severity else [])
    assert not found or "images have 'cat', 'dog', 'mouse'" in found[0].message or severity == "warning"


def test_folders_in_another_form_of_unicode_have_the_names_of_their_classes() -> None:
    files("Cafe\u0301/a.jpg", "b/b.jpg")
    Path("names.csv").write_text("Caf\u00e9,coffee\nb,tench\n")
    made = planned(f"type: folder, images: {FOLDER}, classes: names.csv")
    assert {one.id: one.name for one in made.inputs.catalogs[0].categories} == {
        "Caf\u00e9": "coffee",
        "b": "tench",
    }
    assert not made.inputs.joins


def test_a_list_in_which_none_of_the_people_speaks_is_told() -> None:
    files("a.jpg", "b.jpg")
    Path("t.csv").write_text("image,labels,by\na.jpg,dog,human\nb.jpg,cat,detector\n")
    source = f"type: table, table: t.csv, images: {FOLDER}, columns: {{source: by}}"
    (problem,) = problems(f"{source}, people: [humans]")
    assert (problem.code, problem.severity) == ("no-such-people", "warning")
    assert "'human' (1 rows)" in problem.message
    assert problems(f"{source}, people: [human]") == []


def test_low_confidences_that_count_are_told_unless_the_spec_says_from_where() -> None:
    files("a.jpg", "b.jpg", "c.jpg")
    Path("t.csv").write_text("image,labels,sure\na.jpg,dog,0.03\nb.jpg,dog,0.4\nc.jpg,dog,0.9\n")
    source = f"type: table, table: t.csv, images: {FOLDER}, columns: {{confidence: sure}}"
    (problem,) = problems(source)
    assert problem.code == "low-confidence"
    assert "2 of its 3 labels have a confidence below 0.5 (the lowest 0.03)" in problem.message
    for least in (0, 0.5):
        assert problems(f"{source}, min_confidence: {least}") == []


NAMES = st.text(alphabet="aAbB01%2 /.", min_size=1, max_size=8).filter(lambda text: text.strip("./ "))


@given(NAMES, NAMES)
def test_namesakes_differ_in_something_that_has_a_word(listed: str, there: str) -> None:
    near = NearNames([listed])
    near.look(there, there)
    for one in near.found.values():
        assert bool(one.kinds) == (listed != there) or not differences(listed, there)
