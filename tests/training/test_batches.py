"""Batches: the same with any number of workers and from any step, with the labels that the dataset has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.dataset import Dataset  # noqa: E402
from mlimg_build.errors import DatasetError, MlimgError  # noqa: E402
from mlimg_build.images import available_decoder  # noqa: E402
from mlimg_build.spec import Augmentation  # noqa: E402
from mlimg_build.training import Batch, BatchLoader, BatchPlan, Samples, ShuffleOrder, dense  # noqa: E402
from mlimg_build.training.data.samples import single_labels  # noqa: E402
from mlimg_build.training.data.transforms import seeded  # noqa: E402


def stream(dataset: Dataset, **changes: object) -> BatchPlan:
    """Batches of seven with everything random switched on."""
    samples = Samples(dataset, "train")
    order = ShuffleOrder(samples.usable(), 2, 5)
    settings = {
        "samples": samples,
        "order": order,
        "batch_size": 7,
        "sizes": ((0, 24), (2, 32)),
        "augmentation": Augmentation(),
        "seed": 5,
        "decoder": available_decoder(),
    }
    return BatchPlan(**(settings | changes))  # type: ignore[arg-type]


def same(one: Batch, other: Batch) -> bool:
    """Whether two batches are equal to the bit."""
    parts = zip((*one[1:3], *one.labels), (*other[1:3], *other.labels), strict=True)
    return one.step == other.step and all(torch.equal(a, b) for a, b in parts)


@pytest.mark.few(1)
@pytest.mark.parametrize("decoder", sorted({"whole", available_decoder()}))
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(dataset: Dataset, workers: int, decoder: str) -> None:
    alone = list(BatchLoader(stream(dataset, decoder=decoder), 0, 5).load(0))
    together = list(BatchLoader(stream(dataset, decoder=decoder), 0, 5).load(workers))
    assert [batch.step for batch in together] == [0, 1, 2, 3, 4]
    assert all(same(one, other) for one, other in zip(alone, together, strict=True))


def test_a_large_batch_is_made_in_pieces_and_is_the_same(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(BatchLoader(stream(dataset), 0, 3).load(0))
    monkeypatch.setattr("mlimg_build.training.data.batches.PIECE", 3)
    assert stream(dataset).pieces == 3
    parts = list(BatchLoader(stream(dataset), 0, 3).load(0))
    assert all(same(one, other) for one, other in zip(whole, parts, strict=True))


@pytest.mark.slow
def test_pieces_of_a_batch_come_together_from_several_workers(dataset: Dataset) -> None:
    for decoder in {"whole", available_decoder()}:
        large = stream(dataset, batch_size=600, decoder=decoder)
        assert large.pieces == 3
        (alone,), (together,) = (list(BatchLoader(large, 0, 1).load(workers)) for workers in (0, 2))
        assert same(alone, together)


def test_a_later_start_gives_the_same_batches(dataset: Dataset) -> None:
    whole = list(BatchLoader(stream(dataset), 0, 6).load(0))
    part = list(BatchLoader(stream(dataset), 3, 6).load(0))
    assert all(same(one, other) for one, other in zip(whole[3:], part, strict=True))
    assert not same(whole[0], whole[1])
    assert whole[1].images.shape == (7, 3, 24, 24)
    assert whole[2].images.shape == (7, 3, 32, 32)
    assert whole[0].images.dtype == torch.uint8


def test_ranks_share_a_batch(dataset: Dataset) -> None:
    whole = stream(dataset, batch_size=8).batch(2)
    parts = [stream(dataset, batch_size=8, rank=rank, ranks=2).batch(2) for rank in range(2)]
    assert torch.equal(torch.cat([part.rows for part in parts]), whole.rows)
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)


def test_labels_are_those_of_the_dataset(dataset: Dataset) -> None:
    batch = stream(dataset).batch(0)
    table = dense(batch.labels, 7, len(dataset.categories), "masked")
    for i, row in enumerate(batch.rows.tolist()):
        expected = {
            label.category: (label.confidence if label.state > 0 else 0.0)
            for label in dataset.train[row].labels
        }
        known = {j: float(table[i, j]) for j in range(len(dataset.categories)) if table[i, j] != -1}
        assert known == pytest.approx(expected)


def test_an_image_without_bytes_takes_no_part(dataset: Dataset) -> None:
    for split in ("train", "validation"):
        masks = Samples(dataset, split).usable()
        readable = [image.status == "ok" for image in dataset[split]]
        assert np.concatenate(masks).tolist() == readable
    everything = [image.status for split in ("train", "validation") for image in dataset[split]]
    assert "truncated" in everything


def test_drawing_for_an_image_leaves_the_random_state_alone() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    with seeded(1, 2):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
    with seeded(1, 2):
        assert torch.equal(torch.rand(3), first)
    with seeded(1, 3):
        assert not torch.equal(torch.rand(3), first)


def test_a_problem_in_a_worker_arrives_as_itself(dataset: Dataset, tmp_path: Path) -> None:
    import shutil

    from mlimg_build.dataset import open_dataset

    copy = tmp_path / "copy.zarr"
    shutil.copytree(dataset.path, copy)
    for file in (copy / "train/images/data/c").rglob("*"):
        if file.is_file():
            file.write_bytes(b"\xff\xd8\xff" + bytes(file.stat().st_size - 3))
    for workers in (0, 1):
        with pytest.raises(MlimgError) as caught:
            list(BatchLoader(stream(open_dataset(copy)), 0, 2).load(workers))
        assert caught.value.code in ("shard-index-damaged", "image-undecodable")
        assert caught.value.problems[0].hint


def test_bytes_that_do_not_decode_name_their_image(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = stream(dataset)
    whole = plan.samples.split.read(3)
    output = plan.empty(0, 1).numpy()
    for bad in (b"\xff\xd8\xffnothing", whole[:40], whole[:300]):
        monkeypatch.setattr(type(plan.samples.split), "read_into", lambda self, rows, buffer, bad=bad: [bad])
        with pytest.raises(DatasetError, match=dataset.train[3].id) as caught:
            plan.fill(0, [3], output)
        assert caught.value.code == "image-undecodable"


def test_single_labels_are_the_stated_ones_of_the_source(dataset: Dataset) -> None:
    found = single_labels(dataset, "train", "synsets")
    wnids = dataset.categories.wnid
    for row, image in enumerate(dataset.train):
        if image.source == "synsets":
            assert wnids[found[row]] == image.id.split("/")[1].split("_")[0]
        else:
            assert found[row] == -1
    for row, image in enumerate(dataset.train):
        stated = [label.category for label in image.labels if label.rule == "stated" and label.state > 0]
        expected = stated[0] if len(stated) == 1 else -1
        assert single_labels(dataset, "train", None)[row] == expected
