"""A training that begins with given weights: which fit, which are refused, and what is written down of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import torchvision  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from mlimg_build.compiler.model_stage import check_model  # noqa: E402
from mlimg_build.dataset import Dataset  # noqa: E402
from mlimg_build.digests import file_digest  # noqa: E402
from mlimg_build.errors import CheckpointError, SpecError  # noqa: E402
from mlimg_build.spec import LoadedSpec, Training, parse_spec  # noqa: E402
from mlimg_build.training import publish, train  # noqa: E402
from mlimg_build.training.logit_adjustment import Calibration, begin_at_prior  # noqa: E402
from mlimg_build.training.loop.trainer import Trainer  # noqa: E402
from mlimg_build.training.model.backbones import make_backbone  # noqa: E402
from mlimg_build.training.model.initial_weights import begin_with, find_weights  # noqa: E402
from tests.training.test_runs import part, setting, warned  # noqa: E402

TINY = "timm/test_resnet.r160_in1k"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """torchvision's own ResNet-18 for 1000 classes, as a file."""
    torch.manual_seed(11)
    path = tmp_path / "resnet18.safetensors"
    save_file(torchvision.models.resnet18().state_dict(), path)
    return path


def begun(
    recipe: Training, dataset: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, torch.Tensor]:
    """The weights of a training before its first step."""
    seen: dict[str, torch.Tensor] = {}
    made = Trainer.__init__

    def kept(self: Trainer, job: object, backbone: object, *rest: object) -> None:
        seen.update({k: v.clone() for k, v in backbone.module.state_dict().items()})  # type: ignore[attr-defined]
        made(self, job, backbone, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "__init__", kept)
    train(setting(dataset, folder), recipe)
    return seen


def test_a_training_begins_with_the_weights_of_a_file_and_a_head_of_its_own(
    built: tuple[LoadedSpec, Path],
    dataset: Dataset,
    tmp_path: Path,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = begun(
        part(built[0], model="resnet18", epochs=1, weights=file), dataset, tmp_path / "runs", monkeypatch
    )
    given = load_file(file)
    fresh = make_backbone("resnet18", len(dataset.categories), built[0].spec.training.seed)  # type: ignore[union-attr]
    begin_at_prior(fresh, Calibration(dataset, part(built[0])))
    for name, value in seen.items():
        wanted = fresh.module.state_dict()[name] if name.startswith("fc.") else given[name]
        assert torch.equal(value, wanted), name


def test_what_was_loaded_is_in_the_model_and_no_path_is(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, file: Path
) -> None:
    ran = train(setting(dataset, tmp_path / "runs"), part(built[0], model="resnet18", epochs=1, weights=file))
    assert ran.card.initial == {
        "name": "resnet18.safetensors",
        "sha256": file_digest(file),
        "random": ["fc.weight"],  # the bias begins at the prior
    }
    assert ran.card.digests["initial"] == file_digest(file)
    assert warned(ran) == ["head-not-loaded", "weights-scale"]
    for name in ("model.json", "run.json"):
        assert str(tmp_path) not in (ran.folder / name).read_text()


@pytest.mark.slow
def test_other_weights_are_another_run_and_another_path_is_not(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, file: Path
) -> None:
    where = setting(dataset, tmp_path / "runs")
    first = train(where, part(built[0], model="resnet18", epochs=1, weights=file))
    moved = file.rename(tmp_path / "elsewhere.safetensors")
    assert train(where, part(built[0], model="resnet18", epochs=1, weights=moved)).again
    state = load_file(moved)
    state["bn1.bias"] += 0.5
    save_file(state, moved)
    other = train(where, part(built[0], model="resnet18", epochs=1, weights=moved))
    assert not other.again
    assert other.folder != first.folder
    assert train(where, part(built[0], model="resnet18", epochs=1)).folder not in (first.folder, other.folder)


def test_a_model_of_ones_own_is_tuned_and_its_head_stays_where_categories_are_the_same(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = setting(dataset, tmp_path / "runs")
    base = train(where, part(built[0], epochs=1))
    model = tmp_path / "small.model"
    publish(model, base, None)
    seen = begun(part(built[0], epochs=1, weights=model), dataset, tmp_path / "again", monkeypatch)
    given = load_file(model / "model.safetensors")
    assert all(torch.equal(value, given[name]) for name, value in seen.items() if name != "fc.bias")
    shift = torch.tensor(base.card.logit_adjustment, dtype=torch.float64)
    assert torch.equal(seen["fc.bias"], (given["fc.bias"].double() + shift).float())
    backbone, told = begin_with(make_backbone(TINY, 2, 0), find_weights(model), ["n00000001", "n00000002"])
    assert told["random"] == ["fc.bias", "fc.weight"]
    assert told["name"] == "small.model"
    assert torch.equal(backbone.module.state_dict()["conv1.0.weight"], given["conv1.0.weight"])


def test_the_file_of_a_model_is_the_model_whose_bias_was_adjusted(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    base = train(setting(dataset, tmp_path / "runs"), part(built[0], epochs=1))
    assert base.card.logit_adjustment
    model = tmp_path / "small.model"
    publish(model, base, None)
    (tmp_path / "link.safetensors").symlink_to(model / "model.safetensors")
    (tmp_path / "circle.safetensors").symlink_to("circle.safetensors")
    whole = find_weights(model)
    wnids = dataset.categories.wnid
    trained = begin_with(make_backbone(TINY, len(wnids), 0), whole, wnids)
    for file in (model / "model.safetensors", tmp_path / "link.safetensors"):
        weights = find_weights(file)
        assert weights == whole
        backbone, told = begin_with(make_backbone(TINY, len(wnids), 0), weights, wnids)
        assert told == trained[1]
        assert torch.equal(backbone.head_bias(), trained[0].head_bias())  # type: ignore[arg-type]
    (model / "model.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be understood"):
        find_weights(model / "model.safetensors")
    with pytest.raises(CheckpointError, match="cannot be read"):
        find_weights(tmp_path / "circle.safetensors")


def test_a_file_beside_the_model_json_of_another_program_is_a_file_alone(file: Path) -> None:
    (file.parent / "model.json").write_text('{"format": "another"}')
    moved = file.rename(file.parent / "model.safetensors")
    assert find_weights(moved).card is None


def test_as_many_outputs_of_other_categories_are_no_head(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    base = train(setting(dataset, tmp_path / "runs"), part(built[0], epochs=1))
    wnids = [category.wnid for category in base.card.categories]
    for others, random in ((wnids, []), (wnids[::-1], ["fc.bias", "fc.weight"])):
        network = make_backbone(TINY, len(wnids), 0)
        assert begin_with(network, find_weights(base.folder), others)[1]["random"] == random


def test_a_model_brings_the_scale_of_its_inputs(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    base = train(setting(dataset, tmp_path / "runs"), part(built[0], epochs=1))
    before = find_weights(base.folder).inputs
    told = json.loads((base.folder / "model.json").read_text())
    (base.folder / "model.json").write_text(json.dumps(told | {"mean": [0.4, 0.5, 0.6]}))
    weights = find_weights(base.folder)
    assert begin_with(make_backbone(TINY, 2, 0), weights, ())[0].mean == (0.4, 0.5, 0.6)
    assert weights.inputs != before


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (
            {"layer1.0.conv1.weight": (3, 3)},
            "weights-differ",
            "conv1.weight: 3 × 3 in the file, 64 × 64 × 3",
        ),
        ({"layer9.weight": (5,)}, "weights-differ", "layer9.weight: 5 in the file, absent in the network"),
        ({"bn1.weight": None}, "weights-differ", "bn1.weight: absent in the file, 64 in the network"),
    ],
)
def test_tensors_that_differ_are_named_with_their_shapes(
    file: Path, change: dict[str, tuple[int, ...] | None], code: str, said: str
) -> None:
    state = load_file(file)
    for name, shape in change.items():
        state.pop(name, None)
        if shape is not None:
            state[name] = torch.zeros(shape)
    save_file(state, file)
    with pytest.raises(CheckpointError) as caught:
        begin_with(make_backbone("resnet18", 4, 0), find_weights(file), ())
    assert caught.value.code == code
    assert said in str(caught.value)
    assert caught.value.problems[0].hint


def test_another_network_is_refused_with_the_first_names(file: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        begin_with(make_backbone("resnet50", 4, 0), find_weights(file), ())
    assert caught.value.code == "weights-differ"
    assert "tensors differ (layer1.0.conv1.weight: 64 × 64 × 3 × 3 in the file" in str(caught.value)
    assert "more)" in str(caught.value)


def test_a_model_of_another_network_is_refused_by_its_name(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    base = train(setting(dataset, tmp_path / "runs"), part(built[0], epochs=1))
    with pytest.raises(CheckpointError) as caught:
        begin_with(make_backbone("resnet18", 4, 0), find_weights(base.folder), ())
    assert caught.value.code == "weights-of-another-network"
    (base.folder / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError) as caught:
        find_weights(base.folder)
    assert caught.value.code == "model-damaged"


def test_half_precision_and_a_file_without_counters_are_taken(file: Path) -> None:
    state = {k: v.half() for k, v in load_file(file).items() if not k.endswith("num_batches_tracked")}
    save_file(state, file)
    backbone, told = begin_with(make_backbone("resnet18", 4, 0), find_weights(file), ())
    found = backbone.module.state_dict()["conv1.weight"]
    assert found.dtype == torch.float32
    assert torch.equal(found, state["conv1.weight"].float())
    assert told["random"] == ["fc.bias", "fc.weight"]


HEAD = "mlimg: 1\nname: t\nversion: 1.0.0\nsources:\n  photos: {type: folder, images: photos}\n"


def test_weights_that_are_not_there_are_said_at_their_line(tmp_path: Path, file: Path) -> None:
    text = HEAD + "training:\n  model: resnet18\n  weights: ${W}\n"
    with pytest.raises(SpecError) as caught:
        check_model(parse_spec(text, "t.yaml", tmp_path, {"W": "gone.safetensors"}))
    (problem,) = caught.value.problems
    assert (problem.code, str(problem.place)) == ("path-missing", "t.yaml:8:12")
    check_model(parse_spec(text, "t.yaml", tmp_path, {"W": file.name}))


def test_what_is_no_safetensors_file_is_said_with_how_to_make_one(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    text = HEAD + "training:\n  model: resnet18\n  weights: resnet18.pth\n"
    with pytest.raises(CheckpointError) as caught:
        check_model(parse_spec(text, "t.yaml", tmp_path, {}))
    (problem,) = caught.value.problems
    assert (problem.code, str(problem.place)) == ("weights-unreadable", "t.yaml:8:12")
    assert "save_file" in (problem.hint or "")
    with pytest.raises(CheckpointError) as caught:
        find_weights(tmp_path / "gone.safetensors")
    assert caught.value.code == "weights-missing"


def test_timms_naming_is_read_too(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="the extra `timm` is not installed")
    state = timm.create_model("test_convnext", num_classes=1000).state_dict()
    save_file(state, tmp_path / "c.safetensors")
    network = make_backbone("timm/test_convnext", 4, 0)
    backbone, told = begin_with(network, find_weights(tmp_path / "c.safetensors"), ())
    assert told["random"] == ["head.fc.bias", "head.fc.weight"]
    assert torch.equal(backbone.module.state_dict()["head.norm.weight"], state["head.norm.weight"])
