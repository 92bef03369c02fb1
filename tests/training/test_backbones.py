"""Networks of torchvision and of timm, seen through the one description that the rest of the training uses."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("timm", reason="the extra `timm` is not installed")

from mlimg_build.dataset import Dataset  # noqa: E402
from mlimg_build.errors import TrainingError  # noqa: E402
from mlimg_build.spec import LoadedSpec, Optimizer, Transfer, parse_spec  # noqa: E402
from mlimg_build.training import check_network, load_model, train, transfer  # noqa: E402
from mlimg_build.training.data.transforms import normalise  # noqa: E402
from mlimg_build.training.model.backbone import Backbone, try_size  # noqa: E402
from mlimg_build.training.model.backbones import make_backbone  # noqa: E402
from tests.training.test_runs import HERE, losses, part, setting  # noqa: E402

TINY = "timm/test_resnet.r160_in1k"
NAMES = ("resnet18", TINY, "timm/test_convnext", "timm/test_vit", "timm/test_efficientnet")


@pytest.fixture(params=NAMES)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return make_backbone(request.param, 7, 3)


def same(one: Backbone, two: Backbone) -> bool:
    """Whether two networks have the same weights to the bit."""
    theirs = two.module.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.module.state_dict().items())


def test_random_weights_follow_from_the_seed_alone(backbone: Backbone) -> None:
    torch.rand(5)
    assert same(backbone, make_backbone(backbone.architecture, 7, 3))
    assert not same(backbone, make_backbone(backbone.architecture, 7, 4))


def test_the_head_is_replaced_and_nothing_else(backbone: Backbone) -> None:
    before = {name: value.clone() for name, value in backbone.module.state_dict().items()}
    backbone.replace_head(4, 0)
    after = backbone.module.state_dict()
    assert backbone.outputs_of(before) == 7
    assert backbone.outputs_of(after) == 4
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert {name.rpartition(".")[0] for name in changed} == set(backbone.head)


def test_the_head_makes_logits_out_of_the_features(backbone: Backbone) -> None:
    backbone.module.eval()
    pixels = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        seen = backbone.features(pixels)
        assert seen.shape == (2, backbone.width)
        head = backbone.module.get_submodule(backbone.head[0])
        torch.testing.assert_close(head(seen), backbone.logits(pixels))


def test_frozen_stages_neither_learn_nor_change_their_statistics(backbone: Backbone) -> None:
    before = {name: value.clone() for name, value in backbone.module.state_dict().items()}
    backbone.module.train()
    backbone.freeze(len(backbone.stages))
    learning = [name for name, value in backbone.module.named_parameters() if value.requires_grad]
    assert any(name.startswith(backbone.head[0]) for name in learning)
    assert len(learning) <= 4
    optimizer = torch.optim.SGD(backbone.parameter_groups(Optimizer()), lr=1.0)
    backbone.logits(torch.randint(256, (4, 3, 64, 64), dtype=torch.uint8)).square().sum().backward()
    optimizer.step()
    after = backbone.module.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved
    assert moved <= set(learning)


def test_more_stages_than_there_are_cannot_be_frozen(backbone: Backbone) -> None:
    with pytest.raises(TrainingError) as caught:
        backbone.freeze(len(backbone.stages) + 1)
    assert caught.value.code == "too-many-stages"
    assert f"has {len(backbone.stages)} stages" in str(caught.value)


def test_every_parameter_is_in_one_group_and_vectors_of_timm_are_spared_decay(backbone: Backbone) -> None:
    full, spared = backbone.parameter_groups(Optimizer(weight_decay=0.1, norm_share=0.25))
    parameters = list(backbone.module.parameters())
    assert {id(p) for p in (*full["params"], *spared["params"])} == {id(p) for p in parameters}
    assert len(full["params"]) + len(spared["params"]) == len(parameters)
    assert (full["weight_decay"], spared["weight_decay"]) == (0.1, 0.025)
    names = {id(value): name for name, value in backbone.module.named_parameters()}
    if backbone.architecture == "resnet18":  # as published: batch norm, and nothing else
        assert {names[id(p)] for p in full["params"]} >= {"fc.bias", "fc.weight", "conv1.weight"}
        assert all(".bn" in f".{names[id(p)]}" or "downsample.1" in names[id(p)] for p in spared["params"])
    else:
        assert all(p.ndim > 1 for p in full["params"])
        assert all(p.ndim <= 1 or names[id(p)] in ("cls_token", "pos_embed") for p in spared["params"])


def test_inputs_are_scaled_as_the_network_wants_them() -> None:
    pixels = torch.tensor([0, 255, 100], dtype=torch.uint8)[None, :, None, None]
    assert make_backbone("resnet18", 2, 0).inputs(pixels)[0, :2, 0, 0].tolist() == [-1.0, 1.0]
    network = make_backbone("timm/test_efficientnet", 2, 0)
    assert network.mean == (0.485, 0.456, 0.406)
    for channel, value in enumerate((0, 255, 100)):
        wanted = (value / 255 - network.mean[channel]) / network.std[channel]
        assert network.inputs(pixels)[0, channel, 0, 0].item() == pytest.approx(wanted, rel=1e-5)


def test_the_published_scale_is_the_arithmetic_that_it_always_was() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3, 1)[None, :, :, None]
    assert torch.equal(normalise(pixels), pixels.float().sub_(127.5).div_(127.5))


def test_a_network_that_timm_lacks_is_named_with_one_that_is_near() -> None:
    for name, near in (("test_resnett", "timm/test_resnet"), ("test_resnet.r160_in1x", "r160_in1k")):
        with pytest.raises(TrainingError) as caught:
            make_backbone(f"timm/{name}", 2, 0)
        assert caught.value.code == "network-unknown"
        assert near in (caught.value.problems[0].hint or "")


def test_without_timm_its_networks_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlimg_build.training.model import timm_networks

    found = importlib.util.find_spec
    monkeypatch.setattr(timm_networks, "find_spec", lambda name: None if name == "timm" else found(name))
    with pytest.raises(TrainingError) as caught:
        make_backbone(TINY, 2, 0)
    assert caught.value.code == "timm-missing"
    assert "mlimg[timm]" in (caught.value.problems[0].hint or "")


def test_a_size_that_a_network_does_not_work_on_is_known_before_it_is_trained() -> None:
    network = make_backbone("timm/test_vit", 2, 0)
    try_size(network, 96)  # its positions are resampled
    with pytest.raises(TrainingError) as caught:
        try_size(network, 100)
    assert caught.value.code == "network-refuses-size"
    assert "160" in (caught.value.problems[0].hint or "")


@pytest.mark.parametrize(
    ("lines", "code", "line"),
    [
        ("training: {model: timm/test_resnett}", "network-unknown", 6),
        ("training:\n  model: timm/test_vit\n  image_size: 100", "network-refuses-size", 8),
        (
            f"training: {{model: {TINY}}}\ntransfer:\n  source: photos\n  freeze_stages: 6",
            "too-many-stages",
            9,
        ),
        (
            "training: {model: timm/test_vit, image_size: 96}\ntransfer:\n  source: photos\n"
            "  sizes: [{epoch: 0, size: 96}, {epoch: 1, size: 100}]",
            "network-refuses-size",
            9,
        ),
    ],
)
def test_what_a_network_cannot_do_is_said_at_its_line(lines: str, code: str, line: int) -> None:
    head = "mlimg: 1\nname: t\nversion: 1.0.0\nsources:\n  photos: {type: folder, images: photos}\n"
    with pytest.raises(TrainingError) as caught:
        check_network(parse_spec(head + lines + "\n", "t.yaml", Path("/specs"), {}))
    (problem,) = caught.value.problems
    assert problem.code == code
    assert problem.place is not None
    assert problem.place.line == line


@pytest.mark.parametrize("ema", [None, 0.8])
def test_a_run_of_timms_network_goes_on_from_a_checkpoint_to_the_bit(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, ema: float | None
) -> None:
    recipe = part(built[0], model=TINY, ema=ema)
    whole = train(setting(dataset, tmp_path / "whole"), recipe)
    path = sorted((whole.folder / "checkpoints").glob("*.pt"))[4]
    resumed = train(setting(dataset, tmp_path / "resumed"), recipe, start=path)
    assert resumed.card.digests["weights"] == whole.card.digests["weights"]
    assert losses(resumed.folder) == {s: v for s, v in losses(whole.folder).items() if s > 5}


@pytest.mark.few(1)
@pytest.mark.parametrize("name", [TINY, "timm/test_convnext", "timm/test_vit"])
def test_a_network_of_timm_is_trained_tuned_and_read_again(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, name: str
) -> None:
    where = setting(dataset, tmp_path, HERE)
    base = train(where, part(built[0], model=name, epochs=1))
    assert base.card.architecture == name
    assert base.card.versions.keys() >= {"timm", "torch"}
    again, card = load_model(base.folder)
    assert (again.mean, again.std) == (card.mean, card.std) == (base.card.mean, base.card.std)
    assert base.evaluation is not None
    assert built[0].spec.transfer is not None
    recipe = Transfer.model_validate(
        built[0].spec.transfer.model_dump()
        | {"freeze_stages": 3, "sizes": ({"epoch": 0, "size": 32}, {"epoch": 1, "size": 48})},
        strict=False,
    )
    tuned = transfer(where, recipe, base)
    network, _ = load_model(tuned.folder)
    before, after = again.module.state_dict(), network.module.state_dict()
    frozen = {name for stage in again.stages[:3] for name in stage}
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert any(not torch.equal(before[name], after[name]) for name in again.stages[3])
    assert tuned.card.categories
    assert network.outputs_of(after) == len(tuned.card.categories)
    assert tuned.card.image_size == 48
    try_size(network, 48)
