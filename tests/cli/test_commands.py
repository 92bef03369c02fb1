"""The command line as people and scripts see it: data on stdout, the rest on stderr, exit codes that mean something."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlimg_build.compiler.lock.lock_reader import FILES
from mlimg_build.dataset import open_dataset
from tests.support.command import mlimg
from tests.support.photographs import crops

MLIMG = str(Path(sys.executable).with_name("mlimg"))
THREE_MISTAKES = """\
mlimg: 1
name: Two Words
version: 1.0.0
sources:
  cats:
    type: folder
    images: photographs
    min_confidense: 0.5
images: {max_pixels: many}
"""
TABLE = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  t: {type: table, table: t.csv, images: images}\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs by name, a spec that `init` wrote, and the dataset built from it."""
    root = tmp_path_factory.mktemp("project")
    for name, folder in (("chelsea", "tabby cat"), ("rocket", "rocket"), ("coffee", "espresso")):
        (root / "images" / folder).mkdir(parents=True)
        for i, data in enumerate(crops(name, 12)):
            (root / "images" / folder / f"{i}.jpg").write_bytes(data)
    assert mlimg("init", "mine.yaml", cwd=root).returncode == 0
    done = mlimg("build", "mine.yaml", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


def test_build_prints_what_it_made_and_nothing_else(project: Path) -> None:
    done = mlimg("build", "mine.yaml", cwd=project)
    assert done.stdout == "build/mine.zarr\nbuild/mine.html\n"
    assert "everything was there already" in done.stderr
    assert (project / "build" / "mine.lock" / "lock.yaml").is_file()


def test_json_is_one_object(project: Path) -> None:
    for arguments in (
        ("check", "mine.yaml"),
        ("plan", "mine.yaml"),
        ("build", "mine.yaml"),
        ("info", "build/mine.zarr"),
        ("verify", "build/mine.zarr"),
        ("why", "build/mine.zarr", "photographs/rocket/3"),
    ):
        done = mlimg(*arguments, "--json", cwd=project)
        assert done.returncode == 0, done.stderr
        assert isinstance(json.loads(done.stdout), dict), arguments


def test_three_mistakes_are_three_problems_with_places(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(THREE_MISTAKES)
    done = mlimg("check", "bad.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    for place in ("bad.yaml:2:7", "bad.yaml:8:5", "bad.yaml:9:22"):
        assert place in done.stderr
    assert "min_confidence" in done.stderr
    assert "3 problems" in done.stderr
    assert "Traceback" not in done.stderr


def test_json_of_a_failing_check_holds_its_problems(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(THREE_MISTAKES)
    done = mlimg("check", "wrong.yaml", "--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert done.returncode == told["exit_code"] == 1
    assert [(one["file"], one["line"]) for one in told["problems"]] == [
        ("wrong.yaml", line) for line in (2, 8, 9)
    ]
    assert all(one["code"] and one["message"] and one["severity"] == "error" for one in told["problems"])
    assert "min_confidense" in done.stderr  # people are told too


@pytest.mark.parametrize(
    "command",
    [
        "check",
        "plan",
        "map",
        "lint",
        "build",
        "train",
        "evaluate",
        "predict",
        "why",
        "diff",
        "verify",
        "info",
    ],
)
def test_every_verb_that_fails_prints_one_json_object_where_asked(command: str, tmp_path: Path) -> None:
    arguments = {
        **{verb: ["no.yaml"] for verb in ("check", "plan", "map", "lint", "build", "train")},
        **{"evaluate": ["no.model", "no.zarr"], "predict": ["no.model", "no.jpg"], "why": ["no.zarr", "a"]},
        **{"diff": ["no.yaml", "no.lock"], "verify": ["no.zarr"], "info": ["no.zarr"]},
    }[command]
    done = mlimg(command, *arguments, "--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert done.returncode == 1
    if command != "verify":  # which tells what it found, as it always does
        assert told["exit_code"] == 1
        assert told["problems"][0]["message"]


def test_why_says_that_an_image_was_left_out_and_why(tmp_path: Path) -> None:
    for folder in ("dog", "stop sign"):
        (tmp_path / "images" / folder).mkdir(parents=True)
        for i, data in enumerate(crops("coffee", 2)):
            (tmp_path / "images" / folder / f"{i}.jpg").write_bytes(data)
    (tmp_path / "x.yaml").write_text(
        "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  s: {type: folder, images: images}\n"
        "vocabulary: {allow_lost: 0.5}  # half of the images is what the test is about\n"
    )
    done = mlimg("build", "x.yaml", "--until", "dataset", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "stop sign" in done.stderr
    assert "2 images are left out, each with its reason in build/x.left-out.csv" in done.stderr
    assert "stop sign" in mlimg("plan", "x.yaml", cwd=tmp_path).stdout
    assert "stop sign" in mlimg("lint", "x.yaml", cwd=tmp_path).stdout
    assert "2 images is_a" in mlimg("info", "build/x.zarr", cwd=tmp_path).stdout
    told = mlimg("why", "build/x.zarr", "stop sign/1", cwd=tmp_path)
    assert told.returncode == 0
    assert told.stdout.startswith("s/stop sign/1 is left out: ")
    entry = json.loads(mlimg("why", "build/x.zarr", "s/stop sign/1", "--json", cwd=tmp_path).stdout)
    assert (entry["left_out"], entry["reason"]) == (True, "is_a")
    (tmp_path / "build" / "x.left-out.csv").unlink()
    unknown = mlimg("why", "build/x.zarr", "stop sign/1", cwd=tmp_path)
    assert unknown.returncode == 1
    assert "2 images of the sources are left out of this dataset: 2 is_a" in unknown.stderr


def test_a_missing_spec_is_named(tmp_path: Path) -> None:
    for verb in ("check", "plan", "build", "lock"):
        done = mlimg(verb, "nowhere.yaml", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "nowhere.yaml" in done.stderr
        assert "hint:" in done.stderr


def test_wrong_usage_exits_with_2(project: Path) -> None:
    assert mlimg("biuld").returncode == 2
    assert mlimg("build", "mine.yaml", "--fraction", "0", cwd=project).returncode == 2
    assert mlimg("why").returncode == 2


def test_wrong_usage_is_one_json_object_where_asked() -> None:
    for arguments in (
        ("why", "--json"),
        ("build", "x.yaml", "--json", "--fraction", "0"),
        ("biuld", "--json"),
    ):
        done = mlimg(*arguments)
        told = json.loads(done.stdout)
        assert (done.returncode, told["exit_code"]) == (2, 2)
        (problem,) = told["problems"]
        assert problem["code"] == "usage"
        assert problem["message"] in done.stderr


def test_a_missing_folder_fails_check_and_build(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(TABLE)
    done = mlimg("check", "mine.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("error[path-missing]") == 2
    assert "error[path-missing]" in done.stderr
    assert "mine.yaml:" in done.stderr
    done = mlimg("build", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "error[path-missing]" in done.stderr
    assert "mine.yaml:" in done.stderr


def test_a_folder_whose_variable_nobody_set_is_a_warning_of_check_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.yaml").write_text(
        "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  s: {type: folder, images: '${SOME_ROOT:-data}/train'}\n"
    )
    monkeypatch.delenv("SOME_ROOT", raising=False)
    done = mlimg("check", "x.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert "warning[path-missing]" in done.stderr
    assert mlimg("build", "x.yaml", cwd=tmp_path).returncode == 1
    monkeypatch.setenv("SOME_ROOT", "elsewhere")
    assert mlimg("check", "x.yaml", cwd=tmp_path).returncode == 1


@pytest.mark.few(1)
@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("as_json", [False, True])
def test_a_build_in_which_no_image_has_bytes_fails_and_says_what_is_left(
    tmp_path: Path, as_json: bool
) -> None:
    (tmp_path / "x.yaml").write_text(TABLE)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"<html>404 Not Found</html>")
    (tmp_path / "images" / "b.jpg").write_bytes(b"")
    rows = "a.jpg,dog\nb.jpg,dog\nhttps://a.example/1.jpg,dog\nhttps://a.example/2.jpg,dog\n"
    (tmp_path / "t.csv").write_text(f"image,labels\n{rows}")
    for _ in range(2):  # a rerun says it again
        done = mlimg("build", "x.yaml", "--offline", *(["--json"] if as_json else []), cwd=tmp_path)
        assert done.returncode == 1
        assert "error[no-bytes]: none of the 4 images has bytes (2 not_fetched and" in done.stderr
        assert "build/x.failures.csv" in done.stderr
        assert "build/x.zarr" in done.stdout
        if as_json:
            told = json.loads(done.stdout)
            assert (told["failed"]["not_fetched"], told["exit_code"]) == (2, 1)
            assert [problem["code"] for problem in told["problems"]] == ["no-bytes"]
    with open_dataset(tmp_path / "build" / "x.zarr") as dataset:
        assert {image.status for image in dataset.train} == {"not_fetched", "unrecognised", "empty"}
    for arguments in (("info",), ("verify", "--labels"), ("report",)):
        assert mlimg(arguments[0], "build/x.zarr", *arguments[1:], cwd=tmp_path).returncode == 0
    (tmp_path / "x.yaml").write_text(TABLE + "training: {epochs: 1, batch_size: 1}\n")
    done = mlimg("train", "x.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_build_of_which_no_image_is_left_fails(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(TABLE.replace("images}", "images, exclude: [dog]}"))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(crops("chelsea", 1)[0])
    (tmp_path / "t.csv").write_text("image,labels\na.jpg,dog\n")
    done = mlimg("build", "x.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "error[no-category]" in done.stderr


def test_why_knows_absent_present_and_unknown(project: Path) -> None:
    done = mlimg("why", "build/mine.zarr", "rocket/3", "rocket", cwd=project)
    assert "present  rocket n04099429" in done.stdout
    assert "mine.yaml:" in done.stdout
    done = mlimg("why", "build/mine.zarr", "rocket/3", "tabby", cwd=project)
    assert "unknown" in done.stdout
    done = mlimg("why", "build/mine.zarr", "rocket/3", "tabbi", cwd=project)
    assert done.returncode == 1
    assert 'did you mean "tabby"?' in done.stderr
    done = mlimg("why", "build/mine.zarr", "rocket/99", cwd=project)
    assert done.returncode == 1


def test_why_shows_the_gloss_of_a_category_from_the_wordnet_that_ships_alone(project: Path) -> None:
    told = mlimg("why", "build/mine.zarr", "rocket", cwd=project)
    assert "gloss       any vehicle self-propelled by a rocket engine" in told.stdout
    entry = json.loads(mlimg("why", "build/mine.zarr", "rocket", "--json", cwd=project).stdout)
    assert entry["categories"][0]["gloss"] == "any vehicle self-propelled by a rocket engine"
    other = project / "build" / "other.zarr"
    shutil.copytree(project / "build" / "mine.zarr", other)
    attributes = json.loads((other / "zarr.json").read_text())
    attributes["attributes"]["wordnet"]["digest"] = "0" * 64
    (other / "zarr.json").write_text(json.dumps(attributes))
    assert "gloss" not in mlimg("why", "build/other.zarr", "rocket", cwd=project).stdout
    shutil.rmtree(other)


def test_verify_names_the_shard_and_the_image_of_a_flipped_byte(project: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy.zarr"
    shutil.copytree(project / "build" / "mine.zarr", copy)
    with open_dataset(copy) as dataset:
        image = dataset.train[5]
        start = int(dataset.train.spans("images", 0)[5][0])
    with (copy / "train/images/data/c/0/0").open("r+b") as stream:
        stream.seek(start + 100)
        byte = stream.read(1)[0]
        stream.seek(start + 100)
        stream.write(bytes([byte ^ 1]))
    done = mlimg("verify", copy)
    assert done.returncode == 1
    assert image.id in done.stdout
    assert "train/0" in done.stdout


def test_a_backend_is_named_by_the_environment_unless_the_command_names_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLIMG_BACKEND", "nowhere.yaml")
    done = mlimg("lock", "mine.yaml", cwd=project)
    assert done.returncode == 1
    assert "nowhere.yaml" in done.stderr
    assert mlimg("lock", "mine.yaml", "--backend", "inline", cwd=project).returncode == 0


def test_verify_of_nothing_offers_no_repair(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none.zarr"):
        done = mlimg("verify", place)
        assert done.returncode == 1
        assert str(place) in done.stdout
        assert "--repair" not in done.stderr
        assert "hint: " in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.2, pytest.param(1.8, marks=pytest.mark.slow)])
def test_an_interrupted_build_says_so_and_goes_on(project: Path, tmp_path: Path, pause: float) -> None:
    process = subprocess.Popen(
        [MLIMG, "build", str(project / "mine.yaml"), "--out", str(tmp_path), "--backend", "local"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "starting workers" in line:
            break
    time.sleep(pause)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, told = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("the build was done before it could be interrupted")
    assert process.returncode == 130
    assert "Traceback" not in told
    assert "interrupted" in told
    if (tmp_path / "mine.zarr").exists():  # it was writing the report
        assert mlimg("verify", tmp_path / "mine.zarr").returncode == 0
    assert mlimg("build", project / "mine.yaml", "--out", tmp_path).returncode == 0


def test_what_is_interrupted_is_one_json_object_too() -> None:
    code = (
        "import sys, mlimg_build.cli, mlimg_build.dataset\n"
        "def stop(path): raise KeyboardInterrupt\n"
        "mlimg_build.dataset.info = stop\n"
        "sys.argv = ['mlimg', 'info', 'x.zarr', '--json']\n"
        "mlimg_build.cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 130
    assert "interrupted" in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 130


def test_why_of_an_id_that_is_nearly_one_names_it(project: Path) -> None:
    for text in ("photographs/rocket/3.jpg", "rocket/3.jpg"):
        done = mlimg("why", "build/mine.zarr", text, cwd=project)
        assert done.returncode == 1
        assert "did you mean photographs/rocket/3?" in done.stderr
        assert "category-unknown" not in done.stderr


def test_why_finds_a_category_by_all_its_names_and_says_which_sense_it_is(tmp_path: Path) -> None:
    for folder in ("bicycle", "mouse"):
        (tmp_path / "images" / folder).mkdir(parents=True)
        (tmp_path / "images" / folder / "1.jpg").write_bytes(crops("coffee", 1)[0])
    (tmp_path / "images" / "stop_sign").mkdir()
    (tmp_path / "images" / "stop_sign" / "2.jpg").write_bytes(crops("coffee", 2)[1])
    (tmp_path / "x.yaml").write_text(
        "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  s: {type: folder, images: images}\n"
        "vocabulary: {allow_lost: 0.5}\n"
    )
    assert mlimg("build", "x.yaml", "--until", "dataset", cwd=tmp_path).returncode == 0
    assert mlimg("why", "build/x.zarr", "bikes", cwd=tmp_path).stdout.startswith("bicycle n02834778  1 image")
    said = mlimg("why", "build/x.zarr", "mouse/1", "mouse", cwd=tmp_path).stdout
    assert "mouse n02330245 (a kind of rodent)\n" in said
    assert max(map(len, said.splitlines()[1:2])) <= 80
    nothing = mlimg("why", "build/x.zarr", "unicycle", cwd=tmp_path).stderr
    assert "no category is called 'unicycle'" in nothing
    assert "left out" not in nothing, "a word is no id of an image"
    assert "images of the sources are left out" in mlimg("why", "build/x.zarr", "s/9", cwd=tmp_path).stderr


def test_why_of_a_source_category_that_is_not_used_says_why(tmp_path: Path) -> None:
    for folder in ("dog", "stop_sign"):
        (tmp_path / "images" / folder).mkdir(parents=True)
        (tmp_path / "images" / folder / "1.jpg").write_bytes(crops("coffee", 1)[0])
    (tmp_path / "x.yaml").write_text(
        "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  s: {type: folder, images: images}\n"
        "vocabulary: {allow_lost: 0.5}  # stop_sign is left out, which is what the test is about\n"
    )
    assert mlimg("build", "x.yaml", "--until", "dataset", cwd=tmp_path).returncode == 0
    for name in ("stop_sign", "stop sign"):
        done = mlimg("why", "build/x.zarr", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("s: stop sign is not used: ")
    told = json.loads(mlimg("why", "build/x.zarr", "stop sign", "--json", cwd=tmp_path).stdout)
    assert (told["not_used"], told["categories"][0]["category"]) == (True, "stop_sign")


def test_a_name_s_ids_are_found_and_offered(tmp_path: Path) -> None:
    told = json.loads(mlimg("wordnet", "find", "dog", "--json").stdout)
    assert told["synsets"][0]["wnid"] == "n02084071"
    shown = mlimg("wordnet", "find", "carrot cakes").stdout
    assert "n07620822" in shown or "cake" in shown
    done = mlimg("wordnet", "find", "quux zblorp")
    assert done.returncode == 1
    assert "no-noun" in done.stderr
    (tmp_path / "images" / "Hund").mkdir(parents=True)
    (tmp_path / "images" / "Hund" / "1.jpg").write_bytes(crops("coffee", 1)[0])
    (tmp_path / "map.csv").write_text("source,category,wnid\ns,Hund,dog\n")
    (tmp_path / "x.yaml").write_text(
        "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  s: {type: folder, images: images}\n"
        "vocabulary: {mapping: {file: map.csv}}\n"
    )
    assert "dog.n.01 n02084071 dog" in mlimg("plan", "x.yaml", cwd=tmp_path).stderr


def test_a_lock_is_written_without_building(project: Path, tmp_path: Path) -> None:
    done = mlimg("lock", project / "mine.yaml", "--out", tmp_path / "out", "--to", tmp_path / "mine.lock")
    assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in (tmp_path / "mine.lock").iterdir())
    assert files == sorted(FILES)
    text = "".join(path.read_text() for path in (tmp_path / "mine.lock").iterdir())
    assert str(tmp_path) not in text
    assert str(project) not in text
    built = project / "build" / "mine.lock"
    assert (tmp_path / "mine.lock" / "mappings.csv").read_text() == (built / "mappings.csv").read_text()


@pytest.mark.slow  # tests/wordnet compares the same files
def test_wordnet_compile_makes_the_shipped_file_again(tmp_path: Path) -> None:
    corpus = Path("/usr/share/wordnet")
    if not (corpus / "data.noun").is_file():
        pytest.skip("the Debian package wordnet-base is not installed")
    done = mlimg("wordnet", "compile", corpus, "--to", tmp_path / "nouns.npz")
    assert done.returncode == 0, done.stderr
    assert "82115 noun synsets" in done.stderr
    assert done.stdout.strip() == str(tmp_path / "nouns.npz")


def test_init_does_not_replace_a_file(project: Path) -> None:
    before = (project / "mine.yaml").read_text()
    done = mlimg("init", "mine.yaml", cwd=project)
    assert done.returncode == 1
    assert (project / "mine.yaml").read_text() == before


def test_brackets_in_a_path_are_brackets(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "o[red]x[/b]:cat:"
    done = mlimg("build", project / "mine.yaml", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out / 'mine.zarr'}\n{out / 'mine.html'}\n"
    assert str(out / "mine.zarr") in mlimg("info", out / "mine.zarr").stdout
    assert str(out / "mine.zarr") in mlimg("verify", out / "mine.zarr").stdout


def test_check_shows_missing_files_beside_unknown_ids(tmp_path: Path) -> None:
    assert mlimg("init", "mine.yaml", cwd=tmp_path).returncode == 0
    text = (tmp_path / "mine.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(
        f"{text}\n".replace("\nvocabulary:", "\nvocabulary:\n  include: [n99999999]", 1)
    )
    done = mlimg("check", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "n99999999" in done.stderr
    assert "path-missing" in done.stderr
    assert mlimg("plan", "mine.yaml", cwd=tmp_path).returncode == 1
