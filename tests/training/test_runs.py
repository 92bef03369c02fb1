"""Runs: repeatable to the bit, resumable from any kill, and clear about what is wrong."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import torchvision  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from mlimg_build.dataset import Dataset, ReadBuffer, open_dataset  # noqa: E402
from mlimg_build.errors import CheckpointError, LossNotFinite, TrainingError  # noqa: E402
from mlimg_build.images import Decoder, OpenImage  # noqa: E402
from mlimg_build.spec import (  # noqa: E402
    BinaryCrossEntropyPart,
    LearningRate,
    LoadedSpec,
    MLImagesLossPart,
    Training,
    TrainingBackend,
)
from mlimg_build.training import (  # noqa: E402
    RunInputs,
    load_model,
    publish,
    train,
    transfer,
)
from mlimg_build.training.data.samples import Samples  # noqa: E402
from mlimg_build.training.loop import checkpoints  # noqa: E402
from mlimg_build.training.loop.history import read_history  # noqa: E402
from mlimg_build.training.runs import RunResult  # noqa: E402

HERE = TrainingBackend(loader_workers=0, checkpoint_minutes=0, keep_checkpoints=100, keep_finished=100)


def setting(dataset: Dataset, folder: Path, backend: TrainingBackend = HERE) -> RunInputs:
    """A setting without a spec's file."""
    return RunInputs("small", "1.0.0", dataset, {"spec": "s", "lock": "l"}, folder, backend)


def part(loaded: LoadedSpec, **changes: Any) -> Training:
    """The training of the small spec, changed."""
    assert loaded.spec.training is not None
    return Training.model_validate(loaded.spec.training.model_dump() | changes)


def warned(ran: RunResult) -> list[str]:
    """The codes of a run's warnings, without those that say what a machine lacks."""
    return [warning.code for warning in ran.warnings if warning.code not in ("decoder-whole", "bf16-slow")]


def losses(folder: Path) -> dict[int, float]:
    """The loss of each step of a run's history."""
    return {r["step"]: r["loss"] for r in read_history(folder / "history.jsonl") if r["kind"] == "step"}


def test_two_runs_with_one_seed_are_equal_to_the_bit_and_another_seed_is_not(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    one = train(setting(dataset, tmp_path / "one"), part(built[0], ema=0.9, precision="bf16"))
    fed = TrainingBackend(loader_workers=2, checkpoint_minutes=60)
    two = train(setting(dataset, tmp_path / "two", fed), part(built[0], ema=0.9, precision="bf16"))
    other = train(setting(dataset, tmp_path / "three"), part(built[0], ema=0.9, precision="bf16", seed=1))
    assert one.card.digests["run"] == two.card.digests["run"] != other.card.digests["run"]
    assert two.card.digests["weights"] == one.card.digests["weights"]
    assert losses(two.folder) == losses(one.folder)
    assert other.card.digests["weights"] != one.card.digests["weights"]


def test_a_finished_run_is_not_done_again(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    first = train(setting(dataset, tmp_path), part(built[0]))
    assert not first.again
    assert first.evaluation is not None
    second = train(setting(dataset, tmp_path), part(built[0], device="auto"))
    assert second.again
    assert second.evaluation == first.evaluation
    third = train(setting(dataset, tmp_path), part(built[0], epochs=1))
    assert not third.again
    assert third.folder != first.folder
    assert (first.folder / "model.safetensors").is_file()


@pytest.mark.parametrize("ema", [None, 0.8])
def test_a_run_goes_on_from_any_checkpoint_as_if_it_had_not_stopped(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, ema: float | None
) -> None:
    whole = train(setting(dataset, tmp_path / "whole"), part(built[0], ema=ema))
    saved = sorted((whole.folder / "checkpoints").glob("*.pt"))
    assert [path.name for path in saved] == [f"step-{step:08}.pt" for step in range(1, 9)]
    for path in (saved[2], saved[3], saved[5]):
        resumed = train(setting(dataset, tmp_path / path.stem), part(built[0], ema=ema), start=path)
        assert resumed.card.digests["weights"] == whole.card.digests["weights"]
        first = int(path.stem.removeprefix("step-"))
        assert losses(resumed.folder) == {s: v for s, v in losses(whole.folder).items() if s > first}


def test_a_checkpoint_has_all_that_resuming_needs_and_loads_without_unpickling(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    ran = train(setting(dataset, tmp_path), part(built[0], epochs=1, ema=0.9))
    path = checkpoints.latest(ran.folder / "checkpoints")
    assert path is not None
    state = torch.load(path, weights_only=True)
    assert state["digests"] == {"spec": "s", "lock": "l", "dataset": dataset.digest}
    assert state["step"] == 4
    assert set(state["loss"]) == {"positive_run", "negative_run"}
    assert state["optimizer"]["state"]
    assert state["average"]
    assert len(state["random"])


def test_a_checkpoint_cut_short_is_named_with_the_one_before_it(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    whole = train(setting(dataset, tmp_path), part(built[0], epochs=1))
    saved = sorted((whole.folder / "checkpoints").glob("*.pt"))
    before = [path.read_bytes() for path in saved[:-1]]
    (whole.folder / "model.json").unlink()
    with saved[-1].open("r+b") as stream:
        stream.truncate(saved[-1].stat().st_size // 2)
    with pytest.raises(CheckpointError) as caught:
        train(setting(dataset, tmp_path), part(built[0], epochs=1))
    assert caught.value.code == "checkpoint-damaged"
    assert str(saved[-2]) in (caught.value.problems[0].hint or "")
    assert [path.read_bytes() for path in saved[:-1]] == before
    resumed = train(setting(dataset, tmp_path), part(built[0], epochs=1), start=saved[-2])
    assert resumed.card.digests["weights"] == whole.card.digests["weights"]
    with saved[0].open("r+b") as stream:  # one byte of a tensor
        stream.seek(50_000)
        byte = stream.read(1)
        stream.seek(50_000)
        stream.write(bytes([byte[0] ^ 1]))
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(saved[0])
    assert caught.value.code == "checkpoint-damaged"
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(tmp_path / "step-00000001.pt")
    assert caught.value.code == "checkpoint-missing"
    for other in (whole.folder / "model.safetensors", whole.folder / "run.json", Path(built[0].path)):
        with pytest.raises(CheckpointError) as caught:
            checkpoints.load(other)
        assert caught.value.code == "not-a-checkpoint"
        assert "remove" not in (caught.value.problems[0].hint or "")


def test_a_checkpoint_of_another_dataset_or_network_is_refused(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(setting(dataset, tmp_path / "one"), part(built[0], epochs=1))
    path = checkpoints.latest(whole.folder / "checkpoints")
    with pytest.raises(CheckpointError) as caught:
        train(setting(dataset, tmp_path / "two"), part(built[0], model="resnet34"), start=path)
    assert [problem.code for problem in caught.value.problems] == ["checkpoint-of-another-network"]
    other = open_dataset(dataset.path)
    monkeypatch.setattr(other, "digest", "0" * 64)
    with pytest.raises(CheckpointError) as caught:
        train(setting(other, tmp_path / "three"), part(built[0]), start=path)
    assert [problem.code for problem in caught.value.problems] == ["checkpoint-of-another-dataset"]
    state = checkpoints.load(path) | {"outputs": 99}
    moved = checkpoints.save(
        tmp_path / "moved", 4, {k: v for k, v in state.items() if k not in ("format", "step")}
    )
    with pytest.raises(CheckpointError) as caught:
        train(setting(dataset, tmp_path / "four"), part(built[0]), start=moved)
    assert [problem.code for problem in caught.value.problems] == ["category-count"]


def test_a_batch_of_which_nothing_is_known_stops_the_run(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlimg_build.training import Samples, SparseLabels

    nothing = SparseLabels(
        torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    )
    full = Samples.labels
    calls = []

    def labels(self: Samples, rows: list[int]) -> SparseLabels:
        calls.append(rows)
        return nothing if len(calls) == 3 else full(self, rows)

    monkeypatch.setattr(Samples, "labels", labels)
    masked = part(built[0], loss=MLImagesLossPart(unknown="masked").model_dump())
    with pytest.raises(TrainingError) as caught:
        train(setting(dataset, tmp_path), masked)
    assert caught.value.code == "batch-without-label"
    assert "step 3" in str(caught.value)
    assert dataset.train[calls[2][0]].id in str(caught.value)
    (run,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert checkpoints.load(run / "checkpoints" / "step-00000002.pt")["step"] == 2


def test_a_loss_that_is_not_finite_stops_the_run_with_its_images(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    wild = part(built[0], learning_rate=LearningRate(base=1e30, warm_up_epochs=0).model_dump())
    with pytest.raises(LossNotFinite) as caught:
        train(setting(dataset, tmp_path), wild)
    assert caught.value.code == "loss-not-finite"
    assert "step 2 " in str(caught.value)
    assert "synsets/" in str(caught.value)
    (run,) = (path for path in tmp_path.iterdir() if path.is_dir())
    saved = sorted(path.stem for path in (run / "checkpoints").glob("*.pt"))
    assert saved == ["step-00000001"]
    assert checkpoints.load(run / "checkpoints" / "step-00000001.pt")["step"] == 1


def test_an_earlier_checkpoint_starts_a_branch_that_can_be_resumed(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    whole = train(setting(dataset, tmp_path), part(built[0]))
    folder = whole.folder / "checkpoints"
    again = train(setting(dataset, tmp_path), part(built[0]), start=folder / "step-00000003.pt")
    assert not again.again
    assert again.card.digests["weights"] == whole.card.digests["weights"]
    assert sorted(losses(again.folder)) == list(range(1, 9))
    assert len(list((folder / "set-aside").glob("*.pt"))) == 5
    for changes in (
        {"loss": BinaryCrossEntropyPart(kind="bce").model_dump()},
        {"epochs": 1, "steps_per_epoch": 2},
    ):
        with pytest.raises(CheckpointError) as caught:
            train(
                setting(dataset, tmp_path / "other"),
                part(built[0], **changes),
                start=folder / "step-00000003.pt",
            )
        assert caught.value.code == "checkpoint-of-another-run"


def test_a_branch_that_is_stopped_is_not_taken_for_the_run_that_was_finished(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(setting(dataset, tmp_path), part(built[0]))
    saved, save = whole.folder / "checkpoints" / "step-00000003.pt", checkpoints.save

    def failing(folder: Path, step: int, state: dict[str, Any]) -> Path:
        if step == 6:
            raise KeyboardInterrupt
        return save(folder, step, state)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", failing)
        with pytest.raises(KeyboardInterrupt):
            train(setting(dataset, tmp_path), part(built[0]), start=saved)
    resumed = train(setting(dataset, tmp_path), part(built[0]))
    assert not resumed.again
    assert resumed.card.digests["weights"] == whole.card.digests["weights"]
    assert resumed.evaluation == whole.evaluation
    assert sorted(losses(resumed.folder)) == list(range(1, 9))


def test_an_average_that_begins_late_begins_at_what_was_learnt(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    whole = train(setting(dataset, tmp_path / "plain"), part(built[0]))
    last = checkpoints.latest(whole.folder / "checkpoints")
    averaged = train(setting(dataset, tmp_path / "average"), part(built[0], ema=0.9), start=last)
    assert averaged.card.digests["weights"] == whole.card.digests["weights"]


def test_a_transfer_to_a_source_that_is_not_there_is_refused(dataset: Dataset) -> None:
    from mlimg_build.training import classes_of

    with pytest.raises(TrainingError) as caught:
        classes_of(dataset, "elsewhere")
    assert caught.value.code == "transfer-without-images"


def test_only_the_newest_checkpoints_are_kept(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    few = TrainingBackend(loader_workers=0, checkpoint_minutes=0, keep_checkpoints=2, keep_finished=2)
    ran = train(setting(dataset, tmp_path, few), part(built[0]))
    names = sorted(path.name for path in (ran.folder / "checkpoints").iterdir())
    assert names == ["step-00000007.json", "step-00000007.pt", "step-00000008.json", "step-00000008.pt"]


def test_a_finished_run_keeps_its_last_checkpoint_whole_and_no_other(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    whole = train(setting(dataset, tmp_path), part(built[0]))
    third = shutil.copytree(whole.folder / "checkpoints", tmp_path / "copies") / "step-00000003.pt"
    train(setting(dataset, tmp_path), part(built[0]), start=third)  # sets five of the first run aside
    usual = TrainingBackend(loader_workers=0, checkpoint_minutes=0)
    again = train(setting(dataset, tmp_path, usual), part(built[0]), start=third)
    folder = again.folder / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["step-00000008.json", "step-00000008.pt"]
    longer = part(built[0], epochs=3)
    further = train(setting(dataset, tmp_path), longer, start=folder / "step-00000008.pt")
    assert min(losses(further.folder)) == 9


def test_a_slim_checkpoint_keeps_the_weights_and_no_run_goes_on_from_it(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    usual = TrainingBackend(loader_workers=0, checkpoint_minutes=0)
    ran = train(setting(dataset, tmp_path, usual), part(built[0]))
    last = checkpoints.latest(ran.folder / "checkpoints")
    assert last is not None
    before, size = checkpoints.load(last), last.stat().st_size
    spare = checkpoints.spare_bytes(last)
    checkpoints.slim(last)
    state = checkpoints.load(last)
    assert 0.9 * spare < size - last.stat().st_size < 1.1 * spare + 10_000
    assert spare > size / 3
    assert all(torch.equal(state["network"][name], value) for name, value in before["network"].items())
    assert checkpoints.spare_bytes(last) == 0
    assert train(setting(dataset, tmp_path, usual), part(built[0])).again
    with pytest.raises(CheckpointError) as caught:
        train(setting(dataset, tmp_path, usual), part(built[0], epochs=3), start=last)
    assert caught.value.code == "checkpoint-slim"
    assert "--optimizer" in str(caught.value)
    assert (ran.folder / "model.json").is_file()


def test_a_batch_in_parts_is_the_batch_but_for_batch_norm(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    whole = train(setting(dataset, tmp_path / "a"), part(built[0], epochs=1))
    parts = train(setting(dataset, tmp_path / "b"), part(built[0], epochs=1, micro_batch=8))
    one, two = losses(whole.folder), losses(parts.folder)
    assert two[1] == pytest.approx(one[1], rel=0.3)
    assert one != two


def test_a_batch_that_batch_norm_cannot_take_says_so(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError) as caught:
        train(setting(dataset, tmp_path), part(built[0], batch_size=1))
    assert caught.value.code == "batch-too-small"


def test_a_batch_larger_than_the_collection_warns(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    ran = train(setting(dataset, tmp_path), part(built[0], batch_size=300, epochs=1, steps_per_epoch=1))
    assert warned(ran) == ["batch-too-large"]


def test_transfer_freezes_what_it_should_and_is_measured_beside_scratch(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    spec = built[0].spec
    assert spec.transfer is not None
    base = train(setting(dataset, tmp_path), part(built[0], epochs=1))
    tuned = transfer(setting(dataset, tmp_path), spec.transfer, base)
    before, after = (load_file(ran.folder / "model.safetensors") for ran in (base, tuned))
    for name, value in before.items():
        if name.startswith(("conv1", "bn1", "layer1")):
            assert torch.equal(after[name], value), name
    assert not torch.equal(after["layer3.0.conv1.weight"], before["layer3.0.conv1.weight"])
    assert after["fc.weight"].shape == (4, 96)
    assert tuned.card.activation == "softmax"
    assert [category.wnid for category in tuned.card.categories] == sorted(
        category.wnid for category in tuned.card.categories
    )
    told = tuned.evaluation
    assert told is not None
    assert told["kind"] == "single_label"
    assert 0 <= told["top1"] <= told["top5"] <= 1
    assert told["scratch"]["step"] == told["step"] == tuned.card.step
    assert sum(row["images"] for row in told["categories"]) == told["images"]
    scratch, _ = load_model(tuned.folder / "scratch")
    assert not torch.equal(scratch.module.state_dict()["conv1.0.weight"], before["conv1.0.weight"])
    assert transfer(setting(dataset, tmp_path), spec.transfer, base).again
    publish(tmp_path / "small.model", base, tuned)
    assert {path.name for path in (tmp_path / "small.model/transfer").iterdir()} == {
        "evaluation.json",
        "history.jsonl",
        "model.json",
        "model.safetensors",
        "scratch",
    }


def test_weights_load_into_torchvisions_network_as_they_are(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    ran = train(setting(dataset, tmp_path), part(built[0], model="resnet18", epochs=1))
    plain = torchvision.models.resnet18(num_classes=len(dataset.categories))
    plain.load_state_dict(load_file(ran.folder / "model.safetensors"))
    backbone, card = load_model(ran.folder)
    image = torch.rand(2, 3, 32, 32)
    assert torch.equal(plain.eval()(image), backbone.module(image))
    assert [category.wnid for category in card.categories] == dataset.categories.wnid
    assert card.mean == (0.5, 0.5, 0.5)


def test_the_history_has_the_norm_of_the_gradient_and_the_share_of_time_spent_waiting(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = train(setting(dataset, tmp_path / "one"), part(built[0], epochs=1))
    steps = [one for one in read_history(ran.folder / "history.jsonl") if one["kind"] == "step"]
    assert all(one["gradient_norm"] > 0 and 0 <= one["waiting"] <= 1 for one in steps)
    opened = Samples.open_all

    def slow(samples: Samples, rows: Sequence[int], decoder: Decoder, buffer: ReadBuffer) -> list[OpenImage]:
        time.sleep(0.02 * len(rows))
        return opened(samples, rows, decoder, buffer)

    monkeypatch.setattr(Samples, "open_all", slow)
    ran = train(setting(dataset, tmp_path / "two"), part(built[0], epochs=1))
    steps = [one for one in read_history(ran.folder / "history.jsonl") if one["kind"] == "step"]
    assert min(one["waiting"] for one in steps[1:]) > 0.5


def test_between_epochs_the_same_sample_is_measured_and_all_images_at_the_end(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    maps, ends = {}, {}
    for most in (5, 10_000):
        backend = HERE.model_copy(update={"evaluate_images": most})
        ran = train(setting(dataset, tmp_path / str(most), backend), part(built[0], epochs=3))
        records = read_history(ran.folder / "history.jsonl")
        maps[most] = [one["map"] for one in records if one["kind"] == "evaluation"]
        ends[most] = ran.evaluation
    assert maps[5][:2] != maps[10_000][:2]
    assert maps[5][2] == maps[10_000][2]
    assert ends[5] == ends[10_000]


def test_a_damaged_model_says_so(built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path) -> None:
    ran = train(setting(dataset, tmp_path), part(built[0], epochs=1))
    card = ran.folder / "model.json"
    told = json.loads(card.read_text())
    one_more = {"wnid": "n00000001", "name": "more", "parents": [], "positives": 0}
    longer = {"categories": [*told["categories"], one_more]}
    card.write_text(json.dumps(told | longer))
    with pytest.raises(CheckpointError, match="logit_adjustment has 9 numbers for 10 categories"):
        load_model(ran.folder)
    card.write_text(json.dumps(told | longer | {"logit_adjustment": None}))
    with pytest.raises(CheckpointError) as caught:
        load_model(ran.folder)
    assert caught.value.code == "category-count"
    card.write_text("{")
    with pytest.raises(CheckpointError) as caught:
        load_model(ran.folder)
    assert caught.value.code == "model-unreadable"
    card.write_text(json.dumps(told))
    weights = ran.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(CheckpointError) as caught:
        load_model(ran.folder)
    assert caught.value.code == "model-damaged"
    with pytest.raises(CheckpointError) as caught:
        load_model(tmp_path)
    assert caught.value.code == "model-missing"


def test_a_checkpoint_goes_on_at_the_image_it_came_to_with_another_batch_size(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    size = part(built[0]).batch_size
    whole = train(setting(dataset, tmp_path / "whole"), part(built[0]))
    assert warned(whole) == []
    saved = whole.folder / "checkpoints" / "step-00000004.pt"
    for other in (size // 2, size * 2):
        steps = part(built[0], batch_size=other, steps_per_epoch=4 * size // other)
        branch = train(setting(dataset, tmp_path / str(other)), steps, start=saved)
        first = min(losses(branch.folder))
        assert (first - 1) * other == 4 * size
        assert max(losses(branch.folder)) == branch.card.step
        (warning,) = [one for one in branch.warnings if one.code == "checkpoint-of-other-settings"]
        assert (
            f"its 4 batches of {size} are {4 * size // other} of {other} ({4 * size} images)"
            in warning.message
        )
        again = train(setting(dataset, tmp_path / str(other)), steps)
        assert again.again


def test_images_that_are_no_whole_number_of_batches_are_refused(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    size = part(built[0]).batch_size
    whole = train(setting(dataset, tmp_path / "whole"), part(built[0], epochs=1))
    saved = whole.folder / "checkpoints" / "step-00000001.pt"
    with pytest.raises(CheckpointError) as caught:
        train(setting(dataset, tmp_path / "other"), part(built[0], batch_size=2 * size), start=saved)
    assert caught.value.code == "checkpoint-between-batches"
    assert f"has seen {size} images (1 batches of {size})" in str(caught.value)
    assert "take a checkpoint whose step is a multiple of 2" in (caught.value.problems[0].hint or "")


def test_other_settings_of_a_branch_are_said_with_what_follows(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    whole = train(setting(dataset, tmp_path / "whole"), part(built[0], epochs=1))
    saved = checkpoints.latest(whole.folder / "checkpoints")
    for changes, told in (
        ({"seed": 5}, ["seed 0 → 5, images come in another order"]),
        ({"shards_mixed": 1}, ["shards_mixed 2 → 1, images come in another order"]),
        ({"epochs": 2}, ["epochs 1 → 2, the learning rate of a cosine follows the new length"]),
        ({"steps_per_epoch": 8}, [": epoch 1.00 is 0.50 now"]),
        ({"gradient_clip": 3.0}, []),
    ):
        branch = train(
            setting(dataset, tmp_path / str(changes)), part(built[0], **{"epochs": 1} | changes), start=saved
        )
        said = [one.message for one in branch.warnings if one.code == "checkpoint-of-other-settings"]
        assert len(said) == len(told), changes
        assert all(text in message for text, message in zip(told, said, strict=True)), said


def test_a_checkpoint_without_a_batch_size_is_gone_on_from_with_a_warning(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    whole = train(setting(dataset, tmp_path / "whole"), part(built[0], epochs=1))
    saved = checkpoints.latest(whole.folder / "checkpoints")
    assert saved
    state = {k: v for k, v in checkpoints.load(saved).items() if k not in ("format", "step", "position")}
    old = checkpoints.save(tmp_path / "old", 4, state)
    branch = train(setting(dataset, tmp_path / "new"), part(built[0], seed=3), start=old)
    assert "does not say how large its batches were" in branch.warnings[-1].message
    same = train(setting(dataset, tmp_path / "same"), part(built[0], epochs=1), start=old)
    assert warned(same) == []
