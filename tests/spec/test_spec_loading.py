"""Specs are read whole or refused with a reason; values know where they are written."""

import stat
from pathlib import Path

import pytest

from mlimg_build.errors import SpecError
from mlimg_build.spec import PEOPLE, LoadedSpec, file_paths, init_text, load_spec, parse_spec, without_paths

TEXT = """\
mlimg: 1
name: trial
version: 1.0.0
sources:
  photos: {type: folder, images: "${ROOT}/photos", exclude: rare.txt}
  flickr:
    type: open_images
    images: flickr
    labels: [human.csv, "${ROOT}/machine.csv"]
    classes: classes.csv
  list: {type: ml_images, lists: urls.txt, dictionary: dictionary.txt}
vocabulary:
  mapping: {file: maps.csv}
  exclude: abstract.txt
hierarchy: {relations: {part_holonym: parts.csv}, parents: {tree: tree.txt}}
"""


def parsed(text: str = TEXT, **variables: str) -> LoadedSpec:
    return parse_spec(text, "trial.yaml", Path("/specs"), {"ROOT": "/data", **variables})


def codes(text: str, **variables: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parsed(text, **variables)
    return [problem.code for problem in caught.value.problems]


def with_line(line: str) -> str:
    return TEXT + line + "\n"


def test_a_spec_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    loaded = load_spec(path, {"ROOT": "/data"})
    assert loaded.path == str(path)
    assert loaded.digest == parsed().digest
    assert loaded.spec.sources["flickr"].images == tmp_path / "flickr"
    assert loaded.place("sources", "photos", "type").line == 5


def test_the_environment_gives_variables_unless_others_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text(TEXT)
    monkeypatch.setenv("ROOT", "/elsewhere")
    assert load_spec(path).spec.sources["photos"].images == Path("/elsewhere/photos")
    with pytest.raises(SpecError, match="unset-variable"):
        load_spec(path, {})


def test_a_missing_file_is_refused_with_a_hint(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path / "none" / "none.yaml"):
        with pytest.raises(SpecError) as caught:
            load_spec(path)
        assert caught.value.code == "spec-missing"
        assert caught.value.problems[0].hint


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path)
    assert caught.value.code == "spec-unreadable"
    with pytest.raises(SpecError) as caught:
        load_spec(Path("a\0b"))
    assert caught.value.code == "spec-unreadable"


def test_a_file_without_read_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text(TEXT)
    path.chmod(stat.S_IWUSR)
    try:
        path.read_bytes()
    except PermissionError:
        pass
    else:
        pytest.skip("this user may read every file")
    with pytest.raises(SpecError, match="spec-unreadable"):
        load_spec(path)


def test_more_than_a_mebibyte_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text(TEXT + "#" * (1 << 20))
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert caught.value.code == "yaml-too-big"
    assert codes(TEXT + "#" * (1 << 20)) == ["yaml-too-big"]
    assert codes("ä" * (1 << 19) + "\n") == ["yaml-too-big"]


def test_paths_are_relative_to_the_spec_and_know_what_they_lead_to() -> None:
    assert file_paths(parsed()) == [
        (("sources", "photos", "exclude"), Path("/specs/rare.txt"), "file"),
        (("sources", "photos", "images"), Path("/data/photos"), "folder"),
        (("sources", "flickr", "images"), Path("/specs/flickr"), "folder"),
        (("sources", "flickr", "labels", 0), Path("/specs/human.csv"), "file"),
        (("sources", "flickr", "labels", 1), Path("/data/machine.csv"), "file"),
        (("sources", "flickr", "classes"), Path("/specs/classes.csv"), "file"),
        (("sources", "list", "lists", 0), Path("/specs/urls.txt"), "file"),
        (("sources", "list", "dictionary"), Path("/specs/dictionary.txt"), "file"),
        (("vocabulary", "mapping", "file"), Path("/specs/maps.csv"), "file"),
        (("vocabulary", "exclude"), Path("/specs/abstract.txt"), "file"),
        (("hierarchy", "relations", "part_holonym"), Path("/specs/parts.csv"), "file"),
        (("hierarchy", "parents", "tree"), Path("/specs/tree.txt"), "file"),
    ]


def test_every_path_of_a_spec_has_a_place() -> None:
    loaded = parsed()
    lines = loaded.text.splitlines()
    for where, path, _ in file_paths(loaded):
        place = loaded.place(*where)
        assert path.name in lines[place.line - 1][place.column - 1 : place.column - 1 + place.width]


def test_paths_of_a_relative_folder_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = parse_spec(TEXT, "trial.yaml", Path(), {"ROOT": "here"})
    assert all(path.is_absolute() for _, path, _ in file_paths(loaded))


def test_a_value_that_is_not_written_has_the_place_of_its_nearest_ancestor() -> None:
    loaded = parsed()
    assert str(loaded.place("vocabulary", "mapping", "unreviewed")) == "trial.yaml:13:12"
    assert str(loaded.place("vocabulary", "merge", 1)) == "trial.yaml:12:1"
    assert str(loaded.place("annotation")) == "trial.yaml:1:1"
    assert str(loaded.place("sources", "list", "lists", 0)) == "trial.yaml:11:34"


def test_no_path_is_left_where_paths_are_left_out() -> None:
    plain = without_paths(parsed().spec)
    assert "/specs" not in repr(plain)
    assert "/data" not in repr(plain)
    assert plain["sources"]["flickr"] == {
        "licence": "",
        "author": "",
        "min_confidence": 0.0,
        "min_images_per_category": 0,
        "exclude": [],
        "split": "auto",
        "group": None,
        "type": "open_images",
        "urls": None,
        "people": [*PEOPLE],
        "hierarchy": None,
        "rights": None,
    }
    assert plain["hierarchy"] == {"relations": {"hypernym": "all", "instance_hypernym": "all"}, "parents": {}}


def test_comments_layout_order_and_host_paths_do_not_change_the_digest() -> None:
    other = "# a comment\n" + TEXT.replace("{type: folder, images:", "{images:").replace(
        ", exclude: rare.txt}", ',\n     exclude:   "rare.txt", type: folder}'
    )
    assert parsed(other).digest == parsed().digest
    assert parsed(ROOT="/elsewhere").digest == parsed().digest


def test_a_changed_value_changes_the_digest() -> None:
    assert parsed(TEXT.replace("1.0.0", "1.0.1")).digest != parsed().digest


def test_the_text_is_kept_as_written() -> None:
    assert parsed().text == TEXT


def test_a_loaded_spec_says_what_looks_wrong_without_being_so() -> None:
    text = TEXT.replace("images: flickr", "images: ~/flickr").replace("classes.csv", "$HOME/classes.csv")
    assert [warning.code for warning in parsed(text).warnings] == ["path-tilde", "bare-variable"]
    assert all(warning.severity == "warning" for warning in parsed(text).warnings)
    assert parsed(TEXT.replace("classes.csv", "pay$$in.csv")).warnings == ()


def test_yaml_booleans_of_old_do_not_turn_names_into_truths() -> None:
    text = TEXT.replace("  flickr:", "  no:").replace("version: 1.0.0", "version: 1.0.0\ndescription: off")
    spec = parsed(text).spec
    assert "no" in spec.sources
    assert spec.description == "off"


def test_numbers_follow_yaml_1_2() -> None:
    spec = parsed(with_line("training: {optimizer: {weight_decay: 1e-4}, epochs: 010}")).spec
    assert spec.training is not None
    assert spec.training.optimizer.weight_decay == 1e-4
    assert spec.training.epochs == 10


def test_a_variable_fits_where_a_number_is_wanted_and_where_text_is() -> None:
    line = 'split: {validation: "${SHARE}"}\ndescription: ${SHARE}\n'
    line += 'images: {encoding: {short_side: "${SIDE:-256}"}}'
    spec = parsed(with_line(line), SHARE="0.25").spec
    assert spec.split.validation == 0.25
    assert spec.description == "0.25"
    assert spec.images.encoding.short_side == 256  # type: ignore[union-attr]


def test_variables_work_for_choices_levels_and_booleans() -> None:
    line = (
        'annotation: {conflicts: "${C}", machine_levels: "${L}"}\n'
        'training: {loss: {adaptive_decay: "${T}"}, learning_rate: {kind: "${K}"}}'
    )
    spec = parsed(with_line(line), C="drop", L="1", T="false", K="cosine").spec
    assert spec.annotation.conflicts == "drop"
    assert spec.annotation.machine_levels == 1
    assert spec.training is not None
    assert spec.training.loss.adaptive_decay is False
    assert type(spec.training.learning_rate.kind) is str


def test_two_dollars_are_one_and_replaced_text_is_final() -> None:
    spec = parsed(with_line('description: "$${ROOT} costs $$5, ${A}"'), A="${ROOT}").spec
    assert spec.description == "${ROOT} costs $5, ${ROOT}"


def test_variables_are_not_replaced_in_keys() -> None:
    assert codes(with_line("${ROOT}: 1")) == ["unknown-key"]


def test_an_unset_variable_is_one_problem_and_hides_no_other() -> None:
    assert codes(with_line("split: {validation: '${NONE}'}\nimages: {max_pixels: 0}")) == [
        "unset-variable",
        "wrong-value",
    ]


def test_an_alias_repeats_a_value() -> None:
    text = TEXT.replace("images: flickr", "images: &there flickr").replace(
        "urls.txt,", "urls.txt, images: *there,"
    )
    spec = parsed(text).spec
    assert spec.sources["list"].images == Path("/specs/flickr")


def test_the_starter_spec_loads_under_every_name() -> None:
    for name in ("trial", "ml-images", "2019", "1e3", "0"):
        loaded = parse_spec(init_text(name), f"{name}.yaml", Path("/specs"), {})
        assert loaded.spec.name == name
        assert loaded.warnings == ()
        assert loaded.text.startswith("# yaml-language-server: $schema=")


def test_the_starter_spec_loads_with_all_its_suggestions() -> None:
    lines = []
    for line in init_text("trial").splitlines():
        body = line.lstrip()
        indent = line[: len(line) - len(body)]
        suggestion = body.startswith("# ") and (":" in body) and not body.startswith("# yaml-language-server")
        lines.append(indent + body[2:] if suggestion and "`" not in body else line)
    text = "\n".join(lines[1:]).replace("Paths are relative", "# Paths are relative")
    loaded = parse_spec(text, "trial.yaml", Path("/specs"), {"IMAGENET": "/i", "OPEN_IMAGES": "/o"})
    assert set(loaded.spec.sources) == {"coco", "photographs", "imagenet", "open_images", "parquet", "table"}
    assert loaded.spec.training is not None
    assert loaded.spec.transfer is not None


def test_a_bad_name_gets_no_starter_spec() -> None:
    with pytest.raises(SpecError, match="is not a name"):
        init_text("My Set\nmlimg: 2")
