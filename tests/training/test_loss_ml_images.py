"""The loss against its formula, written down once more in float64 and without any of the code under test."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mlimg_build.training import BinaryCrossEntropy, MLImagesLoss, SparseLabels, dense, loss_weights

# by run length: Wu et al. 2019 as computed from the published script's constants
POSITIVE = {1: 0.99568, 2: 0.69680, 3: 0.52143, 4: 0.39686, 5: 0.30016, 10: 0.01, 50: 0.01}
NEGATIVE = {1: 0.04576, 2: 0.01, 3: 0.01, 50: 0.01}


@pytest.mark.parametrize(("run", "weight"), POSITIVE.items())
def test_a_positive_category_has_the_published_weight(run: int, weight: float) -> None:
    for compat in ("paper", "tencent-code"):
        found = loss_weights(torch.tensor([float(run)]), torch.tensor([True]), compat)
        assert found.item() == pytest.approx(weight, abs=5e-6)


@pytest.mark.parametrize(("run", "weight"), NEGATIVE.items())
def test_a_negative_category_has_the_published_weight(run: int, weight: float) -> None:
    paper = loss_weights(torch.tensor([float(run)]), torch.tensor([False]), "paper")
    assert paper.item() == pytest.approx(weight, abs=5e-6)
    code = loss_weights(torch.tensor([float(run)]), torch.tensor([False]), "tencent-code")
    assert code.item() == pytest.approx(weight if run == 1 else 0.001, abs=5e-6)


class Transcription:
    """The formula, category by category, in Python's own floats; `kept` is drawn by the caller."""

    def __init__(self, categories: int, compat: str) -> None:
        self.compat = compat
        self.positive_run = [0] * categories
        self.negative_run = [0] * categories

    def step(
        self, logits: NDArray[np.float64], targets: NDArray[np.float64], drawn: NDArray[np.bool_]
    ) -> tuple[float, NDArray[np.float64]]:
        """The loss and its gradient by the logits."""
        images, categories = logits.shape
        loss, gradient = 0.0, np.zeros_like(logits)
        for j in range(categories):
            positive = any(targets[i, j] >= 0.7 for i in range(images))
            kept = positive or bool(drawn[j])
            if all(targets[i, j] == -1 for i in range(images)) and self.compat == "paper":
                continue  # nothing is known, so nothing is learnt
            if positive:
                self.positive_run[j] += 1
                self.negative_run[j] = 0
                weight = max(0.01, np.log10(10 / (0.01 + self.positive_run[j])))
            else:
                self.positive_run[j] = 0
                if kept or self.compat == "paper":
                    self.negative_run[j] += 1
                weight = np.log10(10 / (8 + self.negative_run[j]))
                if self.compat == "paper":
                    weight = max(0.01, weight)
                elif weight <= 0.01:
                    weight = 0.001
            for i in range(images):
                y, z = targets[i, j], logits[i, j]
                if y == -1 or not kept:
                    continue
                entropy = 12 * y * np.log1p(np.exp(-z)) + (1 - y) * np.log1p(np.exp(z))
                slope = -12 * y / (1 + np.exp(z)) + (1 - y) / (1 + np.exp(-z))
                loss += weight * entropy / images
                gradient[i, j] = weight * slope / images
        return loss, gradient


@pytest.mark.parametrize("compat", ["paper", "tencent-code"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_loss_is_the_formula_over_fifty_steps(compat: str, dtype: torch.dtype) -> None:
    chance = np.random.default_rng(7)
    images, categories = 24, 40
    loss = MLImagesLoss(categories, compat=compat, seed=3)
    truth = Transcription(categories, compat)
    frequency = chance.uniform(0, 0.2, categories)
    frequency[:4] = (0.9, 0.0, 0.5, 0.001)
    lengths = set()
    for step in range(50):
        targets = np.where(
            chance.random((images, categories)) < frequency, chance.choice([1, 0.9, 0.8, 0.5]), 0.0
        )
        targets[chance.random(targets.shape) < 0.3] = -1
        targets[:, chance.random(categories) < 0.2] = -1
        logits = chance.normal(0, 4, (images, categories)).astype(np.float32).astype(np.float64)
        given = torch.tensor(targets, dtype=torch.float32)
        wide = given.numpy().astype(np.float64)
        loss.observe(given, step)
        coefficient = loss.coefficient.numpy()
        positive = (given >= 0.7).any(dim=0).numpy()
        drawn = coefficient > 0
        assert drawn[positive].all()
        expected, slope = truth.step(logits, wide, drawn)
        z = torch.tensor(logits, dtype=dtype, requires_grad=True)
        found = loss(z, given)
        found.backward()
        assert z.grad is not None
        assert found.item() == pytest.approx(expected, rel=1e-6)
        np.testing.assert_allclose(z.grad.numpy(), slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())
        lengths.add(int(loss.negative_run.max()))
    assert loss.positive_run.tolist() == truth.positive_run
    assert loss.negative_run.tolist() == truth.negative_run
    assert len(lengths) > 3


def test_a_category_of_which_nothing_is_known_keeps_its_runs() -> None:
    unknown, masked = -torch.ones(2, 3), torch.tensor([[1.0, 0.0, -1.0], [-1.0, -1.0, -1.0]])
    loss = MLImagesLoss(3)
    runs = []
    for step, targets in enumerate((masked, masked, unknown, unknown, masked)):
        loss.observe(targets, step)
        runs.append((loss.positive_run.tolist(), loss.negative_run.tolist()))
    assert runs[1] == runs[2] == runs[3] == ([2, 0, 0], [0, 2, 0])
    assert runs[4] == ([3, 0, 0], [0, 3, 0])
    published = MLImagesLoss(3, negative_sampling=1.0, compat="tencent-code")
    for step, targets in enumerate((masked, unknown)):
        published.observe(targets, step)
    assert (published.positive_run.tolist(), published.negative_run.tolist()) == ([0, 0, 0], [1, 2, 2])


def test_a_masked_entry_has_no_gradient_and_no_part_in_the_value() -> None:
    targets = torch.tensor([[1.0, -1.0], [-1.0, 0.0], [-1.0, -1.0]])
    for loss in (MLImagesLoss(2, negative_sampling=1.0), BinaryCrossEntropy()):
        loss.observe(targets, 0)
        logits = torch.randn(3, 2, requires_grad=True)
        value = loss(logits, targets)
        value.backward()
        assert logits.grad is not None
        masked = targets == -1
        assert (logits.grad[masked] == 0).all()
        assert (logits.grad[~masked] != 0).all()
        moved = torch.where(masked, torch.full_like(logits, 1e30), logits)
        assert loss(moved, targets).item() == value.item()


def test_a_negative_category_counts_as_often_as_it_should_and_the_draw_follows_from_seed_and_step() -> None:
    targets = torch.zeros(2, 2000)
    one, two, other = (MLImagesLoss(2000, seed=seed) for seed in (5, 5, 6))
    shares = []
    for step in range(40):
        one.observe(targets, step)
        shares.append((one.coefficient > 0).float().mean().item())
    assert np.mean(shares) == pytest.approx(0.1, abs=0.005)
    two.observe(targets, 39)  # never saw the steps before
    assert torch.equal(two.coefficient > 0, one.coefficient > 0)
    other.observe(targets, 39)
    assert not torch.equal(other.coefficient > 0, one.coefficient > 0)


def test_run_lengths_are_saved_and_nothing_else_is() -> None:
    one, two = MLImagesLoss(3), MLImagesLoss(3)
    for step in range(4):
        one.observe(torch.tensor([[1.0, 0.0, float(step % 2)]]), step)
    assert set(one.state_dict()) == {"positive_run", "negative_run"}
    two.load_state_dict(one.state_dict())
    for loss in (one, two):
        loss.observe(torch.tensor([[1.0, 0.0, 1.0]]), 4)
    assert torch.equal(one.coefficient, two.coefficient)
    assert one.positive_run.tolist() == [5, 0, 2]


def test_settings_switch_decay_and_sampling_off() -> None:
    loss = MLImagesLoss(2, adaptive_decay=False, negative_sampling=1.0, positive_weight=1.0)
    plain = BinaryCrossEntropy()
    targets, logits = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.randn(2, 2)
    for step in range(5):
        loss.observe(targets, step)
        assert loss(logits, targets).item() == pytest.approx(plain(logits, targets).item(), rel=1e-6)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / 2
    assert plain(logits, targets).item() == pytest.approx(expected.item(), rel=1e-6)


def test_parts_of_a_batch_add_up_to_the_batch() -> None:
    loss = MLImagesLoss(5, negative_sampling=0.5)
    targets, logits = (torch.rand(9, 5) > 0.6).float(), torch.randn(9, 5)
    loss.observe(targets, 0)
    parts = sum(loss(logits[a:b], targets[a:b]) * (b - a) / 9 for a, b in ((0, 4), (4, 8), (8, 9)))
    assert float(parts) == pytest.approx(loss(logits, targets).item(), rel=1e-6)


def test_unknown_is_masked_or_absent_as_the_spec_says() -> None:
    labels = SparseLabels(torch.tensor([0, 1]), torch.tensor([2, 0]), torch.tensor([0.9, 0.0]))
    assert dense(labels, 2, 3, "masked").tolist() == [[-1, -1, pytest.approx(0.9)], [0, -1, -1]]
    assert dense(labels, 2, 3, "absent").tolist() == [[0, 0, pytest.approx(0.9)], [0, 0, 0]]
    assert labels.part(1, 2).image.tolist() == [0]
