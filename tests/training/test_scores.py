"""Scores are probabilities: the loss's optimum is where its arithmetic says, and the finished bias is put right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from safetensors.torch import load_file  # noqa: E402

from mlimg_build.dataset import Dataset, Split  # noqa: E402
from mlimg_build.spec import LoadedSpec, Training  # noqa: E402
from mlimg_build.training import load_model, runs, train, transfer  # noqa: E402
from mlimg_build.training.evaluate.calibration import Reliability, own_thresholds  # noqa: E402
from mlimg_build.training.evaluate.evaluate_model import measure  # noqa: E402
from mlimg_build.training.logit_adjustment import Calibration  # noqa: E402
from mlimg_build.training.loss.asymmetric import AsymmetricLoss  # noqa: E402
from mlimg_build.training.loss.bce import BinaryCrossEntropy  # noqa: E402
from mlimg_build.training.loss.focal import FocalLoss  # noqa: E402
from mlimg_build.training.loss.ml_images import MLImagesLoss  # noqa: E402
from mlimg_build.training.loss.prior import LabelPrior  # noqa: E402
from mlimg_build.training.model.backbone import Backbone  # noqa: E402
from mlimg_build.training.model.backbones import make_backbone  # noqa: E402
from mlimg_build.training.model.initial_weights import begin_with, find_weights  # noqa: E402
from tests.training.test_runs import part, setting, warned  # noqa: E402

SHARES = (0.0005, 0.004, 0.02, 0.1, 0.5)
COPIES = 150  # categories of each share, for the sake of a small error


def prior_of(shares: NDArray[np.float64], known: float = 1.0) -> LabelPrior:
    return LabelPrior(shares, shares * known, np.full(len(shares), known))


def slopes(
    loss: MLImagesLoss, shares: NDArray[np.float64], at: NDArray[np.float64], batch: int, known: float = 1.0
) -> NDArray[np.float64]:
    """The mean gradient of the loss at these logits, float64[shares], over many batches of drawn labels."""
    chance = torch.Generator().manual_seed(1)
    logits = torch.from_numpy(at).repeat_interleave(COPIES)[None].requires_grad_()
    share = torch.from_numpy(shares).repeat_interleave(COPIES)
    total = torch.zeros(len(share), dtype=torch.float64)
    for step in range(350):
        targets = (torch.rand((batch, len(share)), generator=chance) < share).float()
        if known < 1:
            targets[torch.rand(targets.shape, generator=chance) >= known] = -1
        loss.observe(targets, step)
        (slope,) = torch.autograd.grad(loss(logits.expand(batch, -1), targets), logits)
        if step >= 50:  # runs are long enough by then
            total += slope[0]
    return total.reshape(len(shares), COPIES).mean(dim=1).numpy()


@pytest.mark.parametrize("compat", ["paper", pytest.param("tencent-code", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("decay", "sampling"),
    [
        (True, 0.1),
        *(
            pytest.param(*settings, marks=pytest.mark.slow)
            for settings in ((False, 0.1), (True, 1.0), (False, 1.0))
        ),
    ],
)
def test_the_best_logit_of_a_share_is_where_its_arithmetic_says(
    decay: bool, sampling: float, compat: str
) -> None:
    shares, batch = np.array(SHARES), 64
    prior = prior_of(shares)
    made = [
        MLImagesLoss(
            len(SHARES) * COPIES, adaptive_decay=decay, negative_sampling=sampling, compat=compat, seed=3
        )
        for _ in range(2)
    ]
    best = made[0].prior_logits(prior, batch)
    low, high = (
        slopes(loss, shares, best + move, batch) for loss, move in zip(made, (-0.15, 0.15), strict=True)
    )
    assert (low < 0).all(), (low, high)
    assert (high > 0).all(), (low, high)
    zero = best - 0.15 + 0.3 * low / (low - high)  # where a line through both is 0
    np.testing.assert_allclose(zero, best, atol=0.1)


@pytest.mark.slow
def test_the_best_logit_where_few_labels_are_known_counts_the_batches_that_know_one() -> None:
    """In a quarter of the batches nothing is known of a category."""
    shares, batch, known = np.array(SHARES[2:]), 64, 0.02
    made = [MLImagesLoss(len(shares) * COPIES, seed=3) for _ in range(2)]
    best = made[0].prior_logits(prior_of(shares, known), batch)
    low, high = (
        slopes(loss, shares, best + move, batch, known)
        for loss, move in zip(made, (-0.15, 0.15), strict=True)
    )
    zero = best - 0.15 + 0.3 * low / (low - high)
    np.testing.assert_allclose(zero, best, atol=0.15)


def test_a_category_that_every_batch_has_moves_by_the_weight_alone() -> None:
    prior = prior_of(np.array([0.3]))
    loss = MLImagesLoss(1)
    assert loss.prior_shift(prior, 4000) == pytest.approx(np.log(12))
    assert loss.prior_shift(prior_of(np.array([1e-4])), 64) > np.log(12)
    plain = MLImagesLoss(1, positive_weight=1, negative_sampling=1, adaptive_decay=False)
    for share in (1e-4, 0.3):
        assert plain.prior_shift(prior_of(np.array([share])), 64) == pytest.approx(0)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), FocalLoss(), FocalLoss(alpha=0.25), AsymmetricLoss()])
def test_every_loss_begins_where_its_expected_loss_is_least(loss: object) -> None:
    share = np.array(SHARES)
    best = loss.prior_logits(prior_of(share), 64)  # type: ignore[attr-defined]
    grid = torch.linspace(-12, 6, 3601, dtype=torch.float64)[:, None].expand(-1, len(share))
    present, absent = (
        loss.entries(grid, torch.full_like(grid, state))  # type: ignore[attr-defined]
        for state in (1, 0)
    )
    expected = torch.from_numpy(share) * present + (1 - torch.from_numpy(share)) * absent
    np.testing.assert_allclose(best, grid[expected.argmin(dim=0), 0].numpy(), atol=0.006)


def test_the_shares_are_those_of_the_training_images(
    built: tuple[LoadedSpec, Path], dataset: Dataset
) -> None:
    split = dataset["train"]
    images = [image for image in split if image.status == "ok"]
    for unknown in ("absent", "masked"):
        found = Calibration(dataset, part(built[0], loss={"unknown": unknown})).prior
        for number, wnid in enumerate(dataset.categories.wnid):
            states = [label.state for image in images for label in image.labels if label.wnid == wnid]
            present = sum(state > 0 for state in states)
            whole = len(images) if unknown == "absent" else len(states)
            assert found.label[number] == pytest.approx((present + 0.5) / (whole + 1))
            assert found.positive[number] == pytest.approx((present + 0.5) / (len(images) + 1))


def test_a_model_has_the_trained_bias_less_what_its_card_says(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    recipe = part(built[0], epochs=1)
    ran = train(setting(dataset, tmp_path), recipe)
    raw = train(setting(dataset, tmp_path / "raw"), recipe.model_copy(update={"logit_adjustment": False}))
    assert raw.card.logit_adjustment is None
    assert ran.card.logit_adjustment is not None
    (one, card), (other, _) = load_model(ran.folder), load_model(raw.folder)
    shift = torch.tensor(card.logit_adjustment, dtype=torch.float64)
    assert (shift >= np.log(12) - 1e-6).all()
    bias, trained = one.head_bias(), other.head_bias()
    assert torch.equal(bias, (trained.double() - shift).float())
    state = torch.load(next(iter((ran.folder / "checkpoints").glob("*.pt"))), weights_only=True)["network"]
    assert any(torch.equal(value, trained) for value in state.values() if value.shape == trained.shape)
    found = measure(ran.folder, built[1], "validation", "cpu", lambda done, total: None)
    assert {key: found[key] for key in ran.evaluation} == {**ran.evaluation, "step": found["step"]}
    assert raw.evaluation["unknown_as_absent"] == ran.evaluation["unknown_as_absent"], (
        "no order within a category changes"
    )


def test_another_adjustment_trains_nothing_and_gives_the_same_bytes(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    on = part(built[0], epochs=1)
    off = on.model_copy(update={"logit_adjustment": False})
    first = train(setting(dataset, tmp_path), on)
    history = (first.folder / "history.jsonl").stat()
    plain = train(setting(dataset, tmp_path), off)
    again = train(setting(dataset, tmp_path), on)
    assert (plain.folder, again.folder) == (first.folder, first.folder)
    assert (first.folder / "history.jsonl").stat() == history
    assert train(setting(dataset, tmp_path), on).again
    assert first.card == again.card
    assert first.evaluation == again.evaluation
    assert plain.card.logit_adjustment is None
    assert train(setting(dataset, tmp_path / "other"), off).card.digests == plain.card.digests


def test_the_mode_of_the_published_script_leaves_biases_alone() -> None:
    plain, compat = (Training(loss={"compat": mode}) for mode in ("paper", "tencent-code"))
    assert (plain.head_bias, plain.logit_adjustment) == ("prior", True)
    assert (compat.head_bias, compat.logit_adjustment) == ("random", False)
    said = Training(loss={"compat": "tencent-code"}, head_bias="prior", logit_adjustment=True)
    assert (said.head_bias, said.logit_adjustment) == ("prior", True)


def test_training_goes_on_from_a_model_with_the_bias_that_was_trained(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    ran = train(setting(dataset, tmp_path), part(built[0], epochs=1))
    fresh = make_backbone(ran.card.architecture, len(dataset.categories), 5)
    begun, loaded = begin_with(fresh, find_weights(ran.folder), dataset.categories.wnid)
    assert loaded["random"] == []
    folded = load_model(ran.folder)[0].head_bias().double()
    expected = folded + torch.tensor(ran.card.logit_adjustment, dtype=torch.float64)
    assert torch.equal(begun.head_bias().double(), expected.float().double())


def test_the_first_loss_is_that_of_the_prior(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    first = {}
    for kind in ("prior", "random"):
        ran = train(setting(dataset, tmp_path / kind), part(built[0], epochs=1, head_bias=kind))
        records = map(json.loads, (ran.folder / "history.jsonl").read_text().splitlines())
        first[kind] = next(record["loss"] for record in records if "loss" in record)
    assert first["prior"] < 0.8 * first["random"]


def test_calibration_error_brier_score_and_the_best_f1_are_their_definitions() -> None:
    chance = np.random.default_rng(2)
    logits = chance.normal(-1, 2, 4000)
    present = chance.random(4000) < expit(logits - 0.7)
    found = Reliability()
    for part_of in np.array_split(np.arange(4000), 7):
        found.add(torch.from_numpy(logits[part_of]), torch.from_numpy(present[part_of]))
    told, scores = found.record(), expit(logits)
    bins = np.minimum((scores * 15).astype(int), 14)
    error = sum(
        abs(present[bins == b].mean() - scores[bins == b].mean()) * (bins == b).sum()
        for b in set(bins.tolist())
    )
    assert told["expected_calibration_error"] == pytest.approx(error / 4000)
    assert told["brier"] == pytest.approx(((scores - present) ** 2).mean())
    assert told["mean_score"] == pytest.approx(scores.mean())
    assert told["share_present"] == present.mean()

    def f1(threshold: float) -> float:
        given = scores >= threshold
        return float(2 * (given & present).sum() / (given.sum() + present.sum()))

    best = found.best_threshold()
    assert best is not None
    assert f1(best.score) == pytest.approx(best.f1)
    assert best.f1 >= max(f1(one) for one in scores) - 0.002
    given = scores >= best.score
    assert best.precision == pytest.approx((given & present).sum() / given.sum())
    assert best.recall == pytest.approx((given & present).sum() / present.sum())
    table = Reliability()
    table.add_table(
        torch.from_numpy(logits.reshape(40, 100)),
        torch.from_numpy(logits[present]),
        torch.from_numpy(logits[:50][~present[:50]]),
    )
    left = np.ones(4000, dtype=bool)
    left[:50] = present[:50]
    same = Reliability()
    same.add(torch.from_numpy(logits[left]), torch.from_numpy(present[left]))
    for key, value in same.record().items():
        if key != "bins":
            assert table.record()[key] == pytest.approx(value), key
    np.testing.assert_allclose(table.sums, same.sums)
    np.testing.assert_array_equal([table.counts, table.present], [same.counts, same.present])
    assert table.best_threshold() == same.best_threshold()
    assert Reliability().record()["expected_calibration_error"] is None
    assert Reliability().best_threshold() is None


def test_only_categories_with_fifty_positives_have_a_threshold_of_their_own() -> None:
    chance = np.random.default_rng(3)
    logits = chance.normal(0, 2, (400, 300)).astype(np.float32)
    target = (chance.random((400, 300)) < expit(logits - np.linspace(0, 6, 300))).astype(np.int8)
    target[chance.random((400, 300)) < 0.1] = -1
    found = own_thresholds(logits, lambda block: target[:, block], 0.4)
    positives = (target == 1).sum(axis=0)
    assert ((positives >= 50) == ~np.isnan(found.threshold)).all()
    scores, known = expit(logits.astype(np.float64)), target >= 0

    def f1(column: int, threshold: float) -> float:
        given = (scores[:, column] >= threshold) & known[:, column]
        return float(2 * (given & (target[:, column] == 1)).sum() / (given.sum() + positives[column]))

    for column in np.flatnonzero(positives >= 50)[::9]:
        best = max(f1(column, one) for one in scores[known[:, column], column])
        assert f1(column, found.threshold[column]) == pytest.approx(best)
    some = np.flatnonzero(positives)
    assert found.common_macro == pytest.approx(np.mean([f1(column, 0.4) for column in some]))
    limit = np.where(np.isnan(found.threshold), 0.4, found.threshold)
    assert found.macro == pytest.approx(np.mean([f1(column, limit[column]) for column in some]))
    assert found.macro >= found.common_macro
    given = (scores >= limit) & known
    assert found.micro == pytest.approx(2 * (given & (target == 1)).sum() / (given.sum() + positives.sum()))
    assert logit(0.4) < 0


def test_an_evaluation_that_was_stopped_is_made_again_with_the_new_bias(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = part(built[0], epochs=1)
    off = on.model_copy(update={"logit_adjustment": False})
    whole = train(setting(dataset, tmp_path / "whole"), on)
    train(setting(dataset, tmp_path), off)

    def stopped(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(runs, "evaluate_multi_label", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(setting(dataset, tmp_path), on)
    assert train(setting(dataset, tmp_path), on).evaluation == whole.evaluation


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"no tensors")])
def test_without_its_file_the_trained_bias_is_computed(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    on = part(built[0], epochs=1)
    ran = train(setting(dataset, tmp_path), on)
    trained = load_file(ran.folder / "head_bias.safetensors")["bias"].clone()
    damage(ran.folder / "head_bias.safetensors")
    train(setting(dataset, tmp_path), on.model_copy(update={"logit_adjustment": False}))
    bias = load_model(ran.folder)[0].head_bias()
    assert bias is not None
    assert torch.allclose(bias, trained, rtol=0, atol=1e-5)


def test_a_model_that_was_killed_between_its_files_is_made_again_from_its_checkpoint(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    on = part(built[0], epochs=1)
    ran = train(setting(dataset, tmp_path), on)
    with (ran.folder / "model.safetensors").open("ab") as stream:
        stream.write(b"x")
    off = on.model_copy(update={"logit_adjustment": False})
    again = train(setting(dataset, tmp_path), off)
    assert again.card.digests["weights"] == ran.card.digests["trained_weights"]


def test_another_adjustment_tunes_nothing_again(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    on, spec = part(built[0], epochs=1), built[0].spec.transfer
    assert spec is not None
    spec = spec.model_copy(update={"compare_scratch": False, "epochs": 1})
    first = transfer(setting(dataset, tmp_path), spec, train(setting(dataset, tmp_path), on))
    off = train(setting(dataset, tmp_path), on.model_copy(update={"logit_adjustment": False}))
    second = transfer(setting(dataset, tmp_path), spec, off)
    assert (second.again, second.folder) == (True, first.folder)


def test_a_network_without_a_bias_says_so_and_is_not_written_at_each_run(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backbone, "head_bias", lambda backbone: None)
    ran = train(setting(dataset, tmp_path), part(built[0], epochs=1))
    assert warned(ran) == ["head-without-bias"]
    assert ran.card.logit_adjustment == ()
    before = (ran.folder / "model.safetensors").stat()
    again = train(setting(dataset, tmp_path), part(built[0], epochs=1))
    assert again.again
    assert (ran.folder / "model.safetensors").stat() == before


def test_a_confidence_at_the_threshold_is_positive_as_in_the_loss(
    built: tuple[LoadedSpec, Path], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = Split.column

    def machines(split: Split, name: str, shard: int) -> NDArray[np.generic]:
        found = column(split, name, shard)
        return np.full_like(found, 0.7) if name == "counted/confidence" else found

    usual = Calibration(dataset, part(built[0])).prior
    monkeypatch.setattr(Split, "column", machines)
    found = Calibration(dataset, part(built[0])).prior
    np.testing.assert_array_equal(found.positive, usual.positive)
    assert (found.label < usual.label).any()


def test_extreme_settings_have_finite_shifts_and_logits_that_can_be_learnt() -> None:
    prior = prior_of(np.array([1e-6, 0.3, 0.999]))
    alone = MLImagesLoss(3, negative_sampling=0)
    assert np.isfinite(alone.prior_shift(prior, 1)).all()
    for loss in (AsymmetricLoss(margin=0.5), FocalLoss(alpha=1.0), FocalLoss(alpha=0.0)):
        best = torch.from_numpy(loss.prior_logits(prior, 64)).float().requires_grad_()
        assert (best.abs() <= 9).all()
        for state in (0, 1):
            (slope,) = torch.autograd.grad(loss.entries(best, torch.full_like(best, state)).sum(), best)
            assert slope.isfinite().all()
