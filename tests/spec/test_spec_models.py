"""The models hold the published recipe, cannot be changed, and describe each of their fields."""

import math
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from mlimg_build.spec import (
    Backend,
    FolderSource,
    LocalCluster,
    MLImagesLossPart,
    SchedulerCluster,
    Spec,
    Training,
    Transfer,
    parse_spec,
)
from mlimg_build.spec.model_fields import leaves_of

HEAD = "mlimg: 1\nname: trial\nversion: 1.0.0\nsources: {photos: {type: folder, images: photos}}\n"


def spec_with(text: str) -> Spec:
    return parse_spec(HEAD + text, "trial.yaml", Path("/specs"), {}).spec


def models_below(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        stack = [field.annotation]
        while stack:
            for leaf, _ in leaves_of([stack.pop()]):
                if isinstance(leaf, type) and issubclass(leaf, BaseModel):
                    if leaf not in found:
                        found |= models_below(leaf)
                else:
                    stack += [
                        arg
                        for arg in getattr(leaf, "__args__", ())
                        if arg is not Ellipsis and not isinstance(arg, str | int)
                    ]
    return found


def test_every_field_says_what_it_is_for() -> None:
    models = models_below(Spec) | models_below(Backend)
    assert len(models) > 25
    bare = [
        f"{model.__name__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if not field.description or field.description.endswith(".")
    ]
    assert bare == []


def test_a_spec_is_frozen() -> None:
    spec = spec_with("")
    with pytest.raises(ValidationError):
        spec.name = "other"
    with pytest.raises(ValidationError):
        spec.dataset.chunk_bytes = 1


def test_what_is_not_written_has_its_default() -> None:
    spec = spec_with("")
    assert spec.vocabulary.merge == ("same_id", "synonyms")
    assert spec.hierarchy.parents == "all"
    assert spec.annotation.conflicts == "prefer_verified"
    assert spec.images.encoding == "original"
    assert (spec.dataset.images_per_shard, spec.dataset.chunk_bytes, spec.dataset.shard_bytes) == (
        4096,
        2**20,
        2**29,
    )
    assert spec.training is None
    assert spec.transfer is None


def test_the_published_recipe_is_the_default() -> None:
    spec = spec_with("training: {}\ntransfer: {source: photos}")
    training, transfer = spec.training, spec.transfer
    assert training is not None
    assert transfer is not None
    rate = training.learning_rate
    assert math.isclose(rate.base / rate.warm_up_factor**rate.warm_up_epochs, 0.01, rel_tol=2e-3)
    assert (rate.base, rate.decay_factor, rate.decay_every, training.epochs) == (0.08, 0.1, 25, 60)
    assert (training.optimizer.momentum, training.optimizer.weight_decay, training.optimizer.norm_share) == (
        0.9,
        1e-4,
        0,
    )
    assert training.loss == MLImagesLossPart(
        kind="ml_images",
        positive_weight=12.0,
        adaptive_decay=True,
        negative_sampling=0.1,
        positive_threshold=0.7,
    )
    assert (transfer.learning_rate.base, transfer.learning_rate.decay_every, transfer.epochs) == (
        0.1,
        30,
        120,
    )
    assert transfer.optimizer.norm_share == 0.1
    assert transfer.freeze_stages == 2
    assert [size.size for size in transfer.sizes] == [224, 299]


def test_a_part_of_the_transfer_keeps_the_other_defaults_of_the_transfer() -> None:
    spec = spec_with("training: {}\ntransfer: {source: photos, learning_rate: {base: 0.05}}")
    assert spec.transfer is not None
    assert (spec.transfer.learning_rate.base, spec.transfer.learning_rate.decay_every) == (0.05, 30)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4 MiB", 2**22),
        ("4MiB", 2**22),
        ("1 MB", 10**6),
        ("1048576", 2**20),
        ("512 KiB", 2**19),
        ("64 B", 64),
    ],
)
def test_sizes_are_numbers_with_a_unit(text: str, size: int) -> None:
    assert spec_with(f"dataset: {{chunk_bytes: {text}, shard_bytes: {size}}}").dataset.chunk_bytes == size


@pytest.mark.parametrize("version", ["1.0.0", "0.1.0", "1.0.0-rc.1", "1.0.0+build.5", "10.20.30-alpha.1+x"])
def test_versions_follow_semver(version: str) -> None:
    text = HEAD.replace("1.0.0", version)
    assert parse_spec(text, "trial.yaml", Path("/specs"), {}).spec.version == version


def test_models_can_be_made_in_code() -> None:
    source = FolderSource(type="folder", images=Path("/data/photos"))
    assert source.images == Path("/data/photos")
    spec = Spec(mlimg=1, name="trial", version="1.0.0", sources={"photos": source})
    assert spec.sources["photos"] == source
    assert Training().batch_size == 4000
    assert Transfer(source="photos").epochs == 120
    assert Backend(cluster=LocalCluster(workers=2)).cluster == LocalCluster(workers=2)
    assert Backend(cluster=SchedulerCluster(type="scheduler", address="tcp://h:1")).backend == 1


@pytest.mark.parametrize(
    ("epochs", "warm_up"), [(1, 0), (2, 1), (5, 2), (8, 4), (15, 7), (16, 8), (60, 8), (100, 8)]
)
def test_the_default_warm_up_ends_within_the_run(epochs: int, warm_up: int) -> None:
    training = spec_with(f"training: {{epochs: {epochs}}}").training
    assert training
    assert training.learning_rate.warm_up_epochs == warm_up < epochs
    again = Training.model_validate(training.model_dump(), strict=False)
    assert again == training
    if epochs >= 16:
        assert training.model_dump() == {**Training().model_dump(), "epochs": epochs}


def test_a_written_warm_up_stays_and_one_without_end_is_a_warning() -> None:
    loaded = parse_spec(
        HEAD + "training: {epochs: 5, learning_rate: {warm_up_epochs: 8}}\n", "t.yaml", Path("/specs"), {}
    )
    assert loaded.spec.training
    assert loaded.spec.training.learning_rate.warm_up_epochs == 8
    assert [warning.code for warning in loaded.warnings] == ["never-reached"]
    assert "so the rate never reaches its base" in loaded.warnings[0].message


def test_defaults_that_a_short_run_does_not_reach_are_not_spoken_of() -> None:
    text = "training: {epochs: 3}\ntransfer: {source: photos, epochs: 3}\n"
    assert parse_spec(HEAD + text, "t.yaml", Path("/specs"), {}).warnings == ()


def test_the_published_schedule_is_as_published() -> None:
    assert Training().learning_rate.model_dump() == {
        "kind": "steps",
        "base": 0.08,
        "warm_up_epochs": 8,
        "warm_up_factor": 1.297,
        "decay_every": 25,
        "decay_factor": 0.1,
    }
