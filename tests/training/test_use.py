"""A model in use: evaluated and asked from the command line, over files that may be damaged."""

from __future__ import annotations

import csv
import errno
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.support.command import mlimg

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
from torchvision.transforms import v2  # noqa: E402

from mlimg_build.compiler.model_stage import Modelled, make_model  # noqa: E402
from mlimg_build.dataset import open_dataset  # noqa: E402
from mlimg_build.errors import TrainingError  # noqa: E402
from mlimg_build.images import available_decoder  # noqa: E402
from mlimg_build.spec import Backend, LoadedSpec, TrainingBackend  # noqa: E402
from mlimg_build.training import Samples, load_model  # noqa: E402
from mlimg_build.training.data.transforms import normalise  # noqa: E402
from mlimg_build.training.devices import ComputeDevice  # noqa: E402
from mlimg_build.training.evaluate.evaluate_model import measure  # noqa: E402
from mlimg_build.training.predict import predictions  # noqa: E402
from mlimg_build.training.predict.predictions import run_model  # noqa: E402

MLIMG = str(Path(sys.executable).with_name("mlimg"))


@pytest.fixture(scope="module")
def made(built: tuple[LoadedSpec, Path]) -> Modelled:
    """The model of the small spec, with its transfer."""
    loaded, path = built
    return make_model(loaded, path.parent, Backend(training=TrainingBackend(loader_workers=0)))


@pytest.fixture
def folder(built: tuple[LoadedSpec, Path]) -> Path:
    """The folder of the crowd's images, one of them cut in half."""
    return Path(built[0].path).parent / "crowd"


def test_evaluating_again_gives_what_training_wrote(made: Modelled, built: tuple[LoadedSpec, Path]) -> None:
    done = mlimg("evaluate", made.model, built[1], "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    written = json.loads((made.model / "evaluation.json").read_text())
    assert told["verified"] == written["verified"]
    assert told["unknown_as_absent"] == written["unknown_as_absent"]
    assert told["categories"] == written["categories"]
    table = mlimg("evaluate", made.model, built[1])
    assert "all categories" in table.stdout
    assert "precision" in table.stdout
    assert "hierarchy" in table.stdout
    tuned = json.loads(mlimg("evaluate", made.model / "transfer", built[1], "--json").stdout)
    assert tuned["top1"] == json.loads((made.model / "transfer/evaluation.json").read_text())["top1"]


def test_verified_entries_are_those_that_the_dataset_verifies(
    made: Modelled, built: tuple[LoadedSpec, Path]
) -> None:
    assert made.evaluation is not None
    dataset = open_dataset(built[1])
    for number, row in enumerate(made.evaluation["categories"]):
        images = [image for image in dataset.validation if image.status == "ok"]
        states = [label.state for image in images for label in image.labels if label.category == number]
        assert (row["positives"], row["negatives"]) == (states.count(1), states.count(-1))
        assert (row["verified"] is None) == (0 in (row["positives"], row["negatives"]))
        train = [label.category for image in dataset.train for label in image.labels if label.state > 0]
        assert row["train_positives"] == train.count(number)


def test_a_model_of_other_categories_is_refused(
    made: Modelled, built: tuple[LoadedSpec, Path], tmp_path: Path
) -> None:
    import shutil

    copy = shutil.copytree(made.model, tmp_path / "copy.model")
    told = json.loads((copy / "model.json").read_text())
    told["categories"][0]["wnid"] = "n00000001"
    (copy / "model.json").write_text(json.dumps(told))
    with pytest.raises(TrainingError) as caught:
        measure(copy, built[1], "validation", "cpu", lambda done, total: None)
    assert caught.value.code == "category-differs"
    done = mlimg("evaluate", made.model, built[1], "--json", "--to", copy)  # a folder is no file
    assert done.returncode == 1
    assert "problems" in json.loads(done.stdout)
    done = mlimg("evaluate", made.model, built[1], "--split", "nowhere")
    assert done.returncode == 1
    assert "split-unknown" in done.stderr


def test_labels_have_names_and_scores_and_a_damaged_file_costs_only_itself(
    made: Modelled, folder: Path
) -> None:
    done = mlimg("predict", made.model, folder, "--top", "3", "--min-score", "0", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["images"]
    assert [Path(image["path"]).name for image in told] == sorted(path.name for path in folder.iterdir())
    for image in told:
        if image["path"].endswith("half.jpg"):
            assert image["status"] == "truncated"
            assert image["labels"] == []
            assert image["reason"]
        else:
            assert image["status"] == "ok"
            assert len(image["labels"]) == 3
            assert all(0 <= label["score"] <= 1 and label["name"] for label in image["labels"])
    shown = mlimg("predict", made.model, folder / "rocket1.jpg", folder / "half.jpg")
    assert shown.returncode == 0
    assert "%" in shown.stdout
    assert "half.jpg: truncated" in shown.stderr
    assert "1 of 2 images could not be read" in shown.stderr


def test_scores_are_those_of_the_network(made: Modelled, folder: Path, tmp_path: Path) -> None:
    backbone, card = load_model(made.model)
    seen = v2.Compose(
        [v2.Resize(round(card.image_size / 0.875)), v2.CenterCrop(card.image_size), v2.PILToTensor()]
    )
    pixels = seen(Image.open(folder / "rocket1.jpg").convert("RGB"))
    with torch.inference_mode():
        scores = backbone.module(normalise(pixels[None])).sigmoid()[0]
    done = mlimg("predict", made.model, folder / "rocket1.jpg", "--top", "99", "--min-score", "0", "--json")
    labels = json.loads(done.stdout)["images"][0]["labels"]
    assert len(labels) == len(card.categories)
    by_wnid = {label["wnid"]: label["score"] for label in labels}
    apart = 1e-5 if available_decoder() == "partial" else 1e-3  # Pillow takes a box as float32
    for number, category in enumerate(card.categories):
        assert by_wnid[category.wnid] == pytest.approx(scores[number].item(), abs=apart)


def test_features_are_written_as_npy_and_as_parquet(made: Modelled, folder: Path, tmp_path: Path) -> None:
    done = mlimg("predict", made.model, folder, "--features", "--to", tmp_path / "f.npy")
    assert done.returncode == 0, done.stderr
    assert "1 of them could not be read" in done.stderr
    vectors = np.load(tmp_path / "f.npy")
    with (tmp_path / "f.npy.images.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert vectors.shape == (len(rows), 96)
    bad = [i for i, row in enumerate(rows) if row["status"] != "ok"]
    assert [Path(rows[i]["image"]).name for i in bad] == ["half.jpg"]
    assert np.isnan(vectors[bad]).all()
    assert np.isfinite(np.delete(vectors, bad, axis=0)).all()
    assert mlimg("predict", made.model, folder, "--features", "--to", tmp_path / "f.parquet").returncode == 0
    table = pq.read_table(tmp_path / "f.parquet")
    assert table.column("status").to_pylist().count("truncated") == 1
    for i, feature in enumerate(table.column("feature").to_pylist()):
        assert (feature is None) == (i in bad)
        if feature is not None:
            np.testing.assert_array_equal(np.float32(feature), vectors[i])
    assert not list(tmp_path.glob(".*"))


def test_labels_are_written_as_parquet(made: Modelled, folder: Path, tmp_path: Path) -> None:
    done = mlimg("predict", made.model, folder, "--to", tmp_path / "l.parquet")
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(tmp_path / "l.parquet").to_pylist()
    assert len(rows) == len(list(folder.iterdir()))
    told = json.loads(mlimg("predict", made.model, folder, "--json").stdout)["images"]
    assert [{"path": row.pop("image"), **row} for row in rows] == told
    assert any(label["path"] for image in told for label in image["labels"])


def with_evaluation(made: Modelled, folder: Path, told: object) -> Path:
    """A copy of the model whose evaluation.json is `told`, text or JSON; there is none if it is None."""
    import shutil

    copy = shutil.copytree(made.model, folder / "copy.model")
    (copy / "evaluation.json").unlink()
    if told is not None:
        (copy / "evaluation.json").write_text(told if isinstance(told, str) else json.dumps(told))
    return copy


def test_a_csv_has_a_row_for_each_label_and_one_for_an_unreadable_image(
    made: Modelled, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "=1+1.jpg").write_bytes((folder / "rocket1.jpg").read_bytes())
    asked = (made.model, "=1+1.jpg", folder / "half.jpg", "--min-score", "0", "--top", "3")
    done = mlimg("predict", *asked, "--to", "new/l.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "new/l.csv\n"
    with (tmp_path / "new/l.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [*rows[0]] == ["image", "status", "reason", "rank", "wnid", "name", "score"]
    assert [row["rank"] for row in rows] == ["1", "2", "3", ""]
    assert rows[0]["image"] == "'=1+1.jpg"  # no formula
    assert (rows[3]["status"], rows[3]["score"]) == ("truncated", "")
    assert rows[3]["reason"]
    (told, _) = json.loads(mlimg("predict", *asked, "--json", cwd=tmp_path).stdout)["images"]
    labels = [(row["wnid"], row["name"], float(row["score"])) for row in rows[:3]]
    assert labels == [(label["wnid"], label["name"], label["score"]) for label in told["labels"]]


def test_a_json_file_has_what_is_printed_as_json(made: Modelled, folder: Path, tmp_path: Path) -> None:
    done = mlimg("predict", made.model, folder, "--to", tmp_path / "l.json")
    assert done.returncode == 0, done.stderr
    told = json.loads(mlimg("predict", made.model, folder, "--json").stdout)
    assert json.loads((tmp_path / "l.json").read_text()) == told
    assert not list(tmp_path.glob(".*"))


def test_a_file_is_written_whole_or_not_at_all(
    made: Modelled, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(path: Path, most: int) -> bytes:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))

    monkeypatch.setattr(predictions, "read_regular", lost)
    for name in ("l.csv", "l.json", "l.parquet"):
        (tmp_path / name).write_text("before")
        done = mlimg("predict", made.model, folder, "--to", tmp_path / name)
        assert done.returncode == 1
        assert "error[read-failed]" in done.stderr
        assert (tmp_path / name).read_text() == "before"
    assert not list(tmp_path.glob(".*"))


def test_a_label_has_its_path_with_the_scores_of_the_network(made: Modelled, folder: Path) -> None:
    asked = ("predict", made.model, folder / "rocket1.jpg", "--min-score", "0", "--top", "99", "--json")
    labels = json.loads(mlimg(*asked).stdout)["images"][0]["labels"]
    _, card = load_model(made.model)
    number_of = {category.wnid: number for number, category in enumerate(card.categories)}
    scores = {label["wnid"]: label["score"] for label in labels}
    deep = 0
    for label in labels:
        steps = [label["wnid"], *(step["wnid"] for step in label["path"])]
        for low, high in itertools.pairwise(steps):
            assert number_of[high] in card.categories[number_of[low]].parents
        assert not card.categories[number_of[steps[-1]]].parents
        assert all(step["score"] == scores[step["wnid"]] for step in label["path"])
        deep = max(deep, len(steps))
    assert deep > 1


@pytest.mark.parametrize(
    "told", [None, "no JSON", "[]", {"f1": None}, {"f1": {"threshold": "0.3"}}, {"f1": {"threshold": 3}}]
)
def test_a_model_without_a_threshold_has_labels_from_one_half(
    made: Modelled, folder: Path, tmp_path: Path, told: object
) -> None:
    copy = with_evaluation(made, tmp_path, told)
    done = mlimg("predict", copy, folder / "rocket1.jpg")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "labels from 50 %: the default, as the model has no evaluation.json with a threshold"
    ]
    found = json.loads(mlimg("predict", copy, folder / "rocket1.jpg", "--json").stdout)
    assert (found["threshold"], found["threshold_from"]) == (0.5, "default")


def test_labels_are_those_from_the_threshold_of_the_evaluation(
    made: Modelled, folder: Path, tmp_path: Path
) -> None:
    picture = folder / "rocket1.jpg"
    copy = with_evaluation(made, tmp_path, {"f1": {"threshold": 0.0123}})
    found = json.loads(mlimg("predict", copy, picture, "--top", "99", "--json").stdout)
    assert (found["threshold"], found["threshold_from"]) == (0.0123, "f1")
    every = json.loads(mlimg("predict", copy, picture, "--min-score", "0", "--top", "99", "--json").stdout)
    labels = [label["wnid"] for label in every["images"][0]["labels"] if label["score"] >= 0.0123]
    assert [label["wnid"] for label in found["images"][0]["labels"]] == labels
    done = mlimg("predict", copy, picture)
    assert done.stderr == "labels from 1 %: the threshold of the best F1 on validation\n"
    done = mlimg("predict", copy, picture, "--min-score", "1")
    assert done.stderr == "labels from 100 %: --min-score\n"
    assert "  nothing reaches 100" in done.stdout
    assert " %; closest: " in done.stdout


@pytest.mark.parametrize(("found", "said"), [(0.104, True), (0.3, False), (None, False)])
def test_a_model_that_is_no_better_than_frequency_is_said_to_be_so(
    made: Modelled, folder: Path, tmp_path: Path, found: float | None, said: bool
) -> None:
    copy = with_evaluation(made, tmp_path, {"unknown_as_absent": {"map": found, "baseline": 0.1}})
    done = mlimg("predict", copy, folder / "rocket1.jpg")
    assert done.returncode == 0, done.stderr
    assert ("the model is hardly better than guessing by frequency: mAP 10.4" in done.stderr) == said


def test_the_tuned_network_is_asked_by_its_name(made: Modelled, folder: Path, tmp_path: Path) -> None:
    import shutil

    picture = folder / "rocket1.jpg"
    tuned = json.loads(mlimg("predict", made.model, picture, "--head", "transfer", "--json").stdout)
    direct = json.loads(mlimg("predict", made.model / "transfer", picture, "--json").stdout)
    assert tuned["images"] == direct["images"]
    assert (tuned["head"], tuned["threshold"]) == ("transfer", None)
    assert sum(label["score"] for label in tuned["images"][0]["labels"]) == pytest.approx(1)
    done = mlimg("predict", made.model, picture, "--head", "transfer")
    assert len(done.stdout.splitlines()) == 5  # the image and its four classes
    assert done.stderr == ""
    copy = shutil.copytree(made.model, tmp_path / "copy.model")
    shutil.rmtree(copy / "transfer")
    done = mlimg("predict", copy, picture, "--head", "transfer")
    assert done.returncode == 1
    assert "error[head-missing]" in done.stderr
    assert "hint:" in done.stderr
    assert "error[model-missing]" in mlimg("predict", tmp_path, picture, "--head", "transfer").stderr
    assert mlimg("predict", copy, picture, "--head", "other").returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("more", [pytest.param("", marks=pytest.mark.slow), "--json"])
def test_a_reader_that_goes_away_is_no_failure(made: Modelled, folder: Path, more: str) -> None:
    line = f"{MLIMG} predict {made.model} {folder} {more} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=240)
    assert done.stdout.splitlines()[1:] == ["0"]
    assert "Traceback" not in done.stderr


def test_wrong_use_says_what_is_right(made: Modelled, folder: Path, tmp_path: Path) -> None:
    assert mlimg("predict", made.model, folder, "--features").returncode == 2
    assert mlimg("predict", made.model, folder, "--to", tmp_path / "x.txt").returncode == 2
    done = mlimg("predict", made.model, tmp_path / "nowhere")
    assert done.returncode == 1
    assert "path-missing" in done.stderr
    done = mlimg("predict", made.model, tmp_path, "--to", tmp_path / "new" / "x.parquet")
    assert done.returncode == 1
    assert "no-image" in done.stderr
    assert not (tmp_path / "new").exists()
    done = mlimg("predict", folder, folder)
    assert done.returncode == 1
    assert "model-missing" in done.stderr


def test_what_is_no_model_is_named_with_the_model_that_was_meant(
    made: Modelled, built: tuple[LoadedSpec, Path], folder: Path, tmp_path: Path
) -> None:
    model, picture = made.model, folder / "rocket1.jpg"
    for given, message, meant in (
        (tmp_path / "gone.model", f"there is no {tmp_path / 'gone.model'}", ""),
        (model.with_suffix(""), f"there is no {model.with_suffix('')}", f"; {model} is one"),
        (built[1], f"{built[1]} holds no model.json", f"; {model} is one"),
        (model.parent, f"{model.parent} holds no model.json", f"; {model} is one"),
        (model / "model.safetensors", "is a file, and a model is a folder", f"; {model} is one"),
        (picture, "is a file, and a model is a folder", "or `mlimg train` made"),
    ):
        for done in (mlimg("predict", given, picture), mlimg("evaluate", given, built[1])):
            assert done.returncode == 1
            assert message in done.stderr
            assert done.stderr.rstrip().endswith(meant or "made")


def test_the_tuned_network_has_no_tuned_network(made: Modelled, folder: Path) -> None:
    done = mlimg("predict", made.model / "transfer", folder / "rocket1.jpg", "--head", "transfer")
    assert done.returncode == 1
    assert "is the network that is tuned to a source already" in done.stderr
    assert f"give {made.model}, or leave out --head transfer" in done.stderr


def test_a_file_that_cannot_be_written_is_known_before_the_work(
    made: Modelled,
    built: tuple[LoadedSpec, Path],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ComputeDevice, "__init__", lambda *given: pytest.fail("it began"))
    (tmp_path / "a.csv").mkdir()
    (tmp_path / "b").touch()
    for to, why in (("a.csv", "it is a folder"), ("b/x.json", f"{tmp_path / 'b'} is a file")):
        for verb, other in (("predict", folder), ("evaluate", built[1])):
            done = mlimg(verb, made.model, other, "--to", tmp_path / to)
            assert done.returncode == 1
            assert f"error[output-unwritable]: {tmp_path / to} cannot be written: {why}" in done.stderr
    monkeypatch.setattr(os, "access", lambda path, mode, **more: mode & os.W_OK == 0)
    done = mlimg("predict", made.model, folder, "--to", tmp_path / "new" / "x.csv")
    assert f"nothing may be written to {tmp_path}" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b"]


def test_what_is_no_image_is_told_with_what_to_do(
    made: Modelled, built: tuple[LoadedSpec, Path], folder: Path, tmp_path: Path
) -> None:
    done = mlimg("predict", made.model, "crowd/*.jpg", cwd=folder.parent)
    assert "there is no crowd/*.jpg" in done.stderr
    assert "leave out the quotes" in done.stderr
    assert "`mlimg evaluate` looks at them" in mlimg("predict", made.model, built[1]).stderr
    half = folder / "half.jpg"
    for more, where in (
        ((), "above"),
        (("--json",), "in `status`"),
        (("--to", tmp_path / "X.CSV"), "in the file"),
    ):
        done = mlimg("predict", made.model, half, *more)
        assert done.returncode == 1
        assert "the image could not be read" in done.stderr + done.stdout
        assert f"the reason is {where}: is it an image?" in done.stderr + done.stdout
    assert (tmp_path / "X.CSV").read_text().startswith("image,status")


def test_a_gpu_that_is_missing_is_not_the_fault_of_a_spec(made: Modelled, folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = mlimg("predict", made.model, folder / "rocket1.jpg", "--device", "cuda")
    assert "a GPU is asked for (device cuda)" in done.stderr
    assert "spec" not in done.stderr


def test_weights_that_are_gone_are_told_without_a_number(
    made: Modelled, folder: Path, tmp_path: Path
) -> None:
    import shutil

    copy = shutil.copytree(made.model, tmp_path / "copy.model")
    (copy / "model.safetensors").unlink()
    done = mlimg("predict", copy, folder / "rocket1.jpg")
    assert f"{copy / 'model.safetensors'} cannot be used: No such file or directory\n" in done.stderr


def test_a_tuned_model_is_not_measured_on_images_without_its_classes(
    made: Modelled, built: tuple[LoadedSpec, Path], tmp_path: Path
) -> None:
    import shutil

    copy = shutil.copytree(made.model / "transfer", tmp_path / "copy.model")
    told = json.loads((copy / "model.json").read_text())
    for number, category in enumerate(told["categories"]):
        category["wnid"] = f"n0000000{number}"
    (copy / "model.json").write_text(json.dumps(told))
    done = mlimg("evaluate", copy, built[1])
    assert done.returncode == 1
    assert (
        "error[category-differs]: no image of validation in small.zarr has one of the 4 classes"
        in done.stderr
    )


def test_a_missing_gpu_costs_nothing_but_the_model(
    made: Modelled, built: tuple[LoadedSpec, Path], tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    spec = Path(built[0].path)
    asking = spec.with_name("gpu.yaml")
    asking.write_text(spec.read_text().replace("device: cpu", "device: cuda"))
    done = mlimg("build", asking, "--out", tmp_path)
    assert done.returncode == 1
    assert "error[device-missing]" in done.stderr
    assert done.stdout.splitlines()[0] == str(tmp_path / "small.zarr")
    assert len(open_dataset(tmp_path / "small.zarr").train)
    assert not (tmp_path / "small.model").exists()


def test_evaluation_sees_the_middle_of_every_readable_image_once(built: tuple[LoadedSpec, Path]) -> None:
    from mlimg_build.training.data.views import viewed

    samples = Samples(open_dataset(built[1]), "validation")
    rows = np.flatnonzero(np.concatenate(samples.usable())).tolist()
    seen = list(viewed(samples, rows, 32))
    assert [row for batch, _ in seen for row in batch] == rows
    assert all(images.shape[1:] == (3, 32, 32) for _, images in seen)


def test_scores_that_do_not_fit_memory_are_measured_the_same(
    made: Modelled, built: tuple[LoadedSpec, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> dict[str, object]:
        return measure(made.model, built[1], "validation", "cpu", lambda done, total: None)

    before = found()
    monkeypatch.setattr("mlimg_build.training.evaluate.score_table.IN_MEMORY", 0)
    assert found() == before


def test_build_makes_dataset_model_and_report_and_does_nothing_twice(
    made: Modelled, built: tuple[LoadedSpec, Path]
) -> None:
    loaded, dataset = built
    done = mlimg("build", loaded.path, "--out", dataset.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(dataset), str(made.model), str(dataset.with_suffix(".html"))]
    assert "the model was there already" in done.stderr
    assert "mAP" in done.stderr
    assert "from scratch" in done.stderr
    page = dataset.with_suffix(".html").read_text()
    assert "The model" in page
    assert mlimg("build", loaded.path, "--out", dataset.parent, "--until", "model").returncode == 0
    assert (made.model / "transfer" / "model.json").is_file()
    told = json.loads(mlimg("build", loaded.path, "--out", dataset.parent, "--json").stdout)
    assert told["model"]["digest"] == made.digest
    assert (
        "train timm/test_resnet.r160_in1k at 32 px: 2 epochs, 8 steps"
        in mlimg("plan", loaded.path, "--out", dataset.parent).stdout
    )


def test_a_transfer_that_fails_leaves_the_model(built: tuple[LoadedSpec, Path], tmp_path: Path) -> None:
    import shutil

    spec = Path(built[0].path)
    short = spec.with_name("short.yaml")
    text = spec.read_text().replace("epochs: 2\n  steps_per_epoch: 4", "epochs: 1\n  steps_per_epoch: 1")
    short.write_text(text.replace("{base: 0.02}", "{base: 1.0e+30}"))  # the transfer's rate
    shutil.copytree(built[1], tmp_path / "small.zarr")
    done = mlimg("train", short, "--dataset", tmp_path / "small.zarr")
    assert done.returncode == 1
    assert "loss-not-finite" in done.stderr
    assert load_model(tmp_path / "small.model")[1].step == 1
    assert (tmp_path / "small.model/evaluation.json").is_file()
    assert not (tmp_path / "small.model/transfer").exists()


def test_names_and_shapes_of_any_kind_cost_only_themselves(
    made: Modelled, folder: Path, tmp_path: Path
) -> None:
    from PIL import Image

    odd = tmp_path / "a [b] c"
    (odd / "deep").mkdir(parents=True)
    (odd / "again").symlink_to(odd, target_is_directory=True)
    (odd / "linked").symlink_to(folder, target_is_directory=True)
    (odd / "self").symlink_to(odd / "self")
    os.mkfifo(odd / "pipe.jpg")
    picture = Image.open(folder / "rocket1.jpg")
    picture.save(os.fsdecode(bytes(odd / "deep") + b"/\xff.jpg"))
    picture.convert("CMYK").save(odd / "cmyk.jpg")
    picture.convert("RGBA").save(odd / "alpha.png")
    picture.resize((1, 1)).save(odd / "one.png")
    picture.resize((1, 60_000)).save(odd / "long.png")
    done = mlimg("predict", made.model, odd, "--json")
    assert done.returncode == 0, done.stderr
    told = {image["path"]: image["status"] for image in json.loads(done.stdout)["images"]}
    inside = len(list(folder.iterdir()))
    assert len(told) == 6 + inside
    wrong = {name: status for name, status in told.items() if status != "ok"}
    assert wrong == {str(odd / "linked" / "half.jpg"): "truncated", str(odd / "pipe.jpg"): "unreadable"}
    assert any(name.endswith("\\xff.jpg") for name in told)
    for arguments in (("--to", tmp_path / "x.parquet"), ("--features", "--to", tmp_path / "x.npy")):
        assert mlimg("predict", made.model, odd, *arguments).returncode == 0


@pytest.mark.parametrize(
    ("code", "status"), [(errno.EMFILE, None), (errno.ESTALE, None), (errno.EIO, "unreadable")]
)
def test_the_state_of_the_machine_is_no_status_of_an_image(
    made: Modelled, folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, status: str | None
) -> None:
    backbone, card = load_model(made.model)
    machine = ComputeDevice(torch.device("cpu"), 0, False)

    def failing(path: Path, most: int) -> bytes:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(predictions, "read_regular", failing)
    if status is not None:
        (seen,) = run_model(backbone, card, [folder / "rocket1.jpg"], machine)
        assert (seen.statuses, seen.reasons) == ((status,), (os.strerror(code),))
        return
    with pytest.raises(TrainingError) as caught:
        list(run_model(backbone, card, [folder / "rocket1.jpg"], machine))
    assert caught.value.code == "read-failed"
    assert "rocket1.jpg" in str(caught.value)


def test_a_folder_that_goes_while_its_images_are_read_is_no_list_of_unreadable_images(
    made: Modelled, tmp_path: Path
) -> None:
    backbone, card = load_model(made.model)
    with pytest.raises(TrainingError, match="its folder is not there any more"):
        list(
            run_model(
                backbone, card, [tmp_path / "gone" / "1.jpg"], ComputeDevice(torch.device("cpu"), 0, False)
            )
        )


def test_a_network_that_says_nan_is_found_out(made: Modelled, folder: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    from mlimg_build.digests import file_digest

    broken = shutil.copytree(made.model, tmp_path / "nan.model")
    weights = load_file(broken / "model.safetensors")
    weights["fc.bias"][0] = float("nan")
    (broken / "model.safetensors").unlink()
    save_file(weights, broken / "model.safetensors")
    told = json.loads((broken / "model.json").read_text())
    told["digests"]["weights"] = file_digest(broken / "model.safetensors")
    (broken / "model.json").write_text(json.dumps(told))
    done = mlimg("predict", broken, folder)
    assert done.returncode == 1
    assert "error[outputs-not-finite]" in done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"mean": [0.5]},
        {"std": None},
        {"categories": [{"wnid": "n", "name": "n", "parents": [9], "positives": 1}]},
    ],
)
def test_a_card_that_makes_no_sense_is_refused(
    made: Modelled, tmp_path: Path, wrong: dict[str, object]
) -> None:
    from mlimg_build.errors import CheckpointError
    from mlimg_build.training import read_card

    told = json.loads((made.model / "model.json").read_text())
    for text in (json.dumps(told | wrong), "[]"):
        (tmp_path / "model.json").write_text(text)
        with pytest.raises(CheckpointError) as caught:
            read_card(tmp_path)
        assert caught.value.code == "model-unreadable"


@pytest.mark.slow
def test_a_report_of_the_folder_that_one_is_in(built: tuple[LoadedSpec, Path], tmp_path: Path) -> None:
    done = subprocess.run(
        [MLIMG, "report", ".", "--to", str(tmp_path / "r.html")],
        cwd=built[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments", [(), ("--json",), ("--to", "x.parquet"), ("--features", "--to", "x.npy")]
)
def test_a_prediction_of_which_nothing_could_be_read_fails(
    made: Modelled, folder: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    for name in ("a.jfif", "b.pjp"):
        (tmp_path / name).write_bytes(b"<html>404 Not Found</html>")
    given = [str(tmp_path / one) if one.startswith("x.") else one for one in arguments]
    done = mlimg("predict", made.model, tmp_path, *given)
    assert done.returncode == 1
    assert "error[nothing-read]: none of the 2 images could be read" in done.stderr
    assert "--json" not in arguments or len(json.loads(done.stdout)["images"]) == 2
    (tmp_path / "a.jfif").write_bytes((folder / "rocket1.jpg").read_bytes())
    assert mlimg("predict", made.model, tmp_path, *given).returncode == 0


def test_an_image_by_its_name_is_one_for_sources_and_predictions() -> None:
    from mlimg_build.sources import image_files as listing
    from mlimg_build.training.predict import predictions as predicting

    assert predicting.SUFFIXES == listing.SUFFIXES
