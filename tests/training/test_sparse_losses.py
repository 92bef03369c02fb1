"""Losses of the stated labels alone are those of targets written out, in value and gradient."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from torch import Tensor  # noqa: E402

from mlimg_build.training import (  # noqa: E402
    AsymmetricLoss,
    BinaryCrossEntropy,
    FocalLoss,
    MLImagesLoss,
    SparseLabels,
    SparseTargets,
    dense,
)
from mlimg_build.training.data.transforms import seeded  # noqa: E402
from mlimg_build.training.loss import sparse_loss  # noqa: E402
from mlimg_build.training.loss.entry_loss import EntryLoss  # noqa: E402

IMAGES, CATEGORIES = 24, 60
LOSSES: dict[str, Callable[[], EntryLoss]] = {
    "ml_images": lambda: MLImagesLoss(CATEGORIES, negative_sampling=0.5, seed=3),
    "ml_images of all": lambda: MLImagesLoss(CATEGORIES, adaptive_decay=False, negative_sampling=1.0),
    "bce": BinaryCrossEntropy,
    "focal": FocalLoss,
    "focal with alpha": lambda: FocalLoss(gamma=0.5, alpha=0.25),
    "focal, 4": lambda: FocalLoss(gamma=4.0),
    "asymmetric": AsymmetricLoss,
    "asymmetric, 0.5": lambda: AsymmetricLoss(gamma_positive=1.0, gamma_negative=0.5, margin=0.2),
    "asymmetric, 0": lambda: AsymmetricLoss(gamma_negative=0.0, margin=0.1),
    "asymmetric without margin": lambda: AsymmetricLoss(gamma_positive=1.0, margin=0.0),
}
ways = pytest.mark.parametrize(
    ("make", "unknown"),
    [
        pytest.param(make, unknown, id=f"{name}-{unknown}")
        for (name, make), unknown in itertools.product(LOSSES.items(), ("absent", "masked"))
    ],
)


def stated(seed: int = 0, *, images: int = IMAGES, share: float = 0.1) -> SparseLabels:
    """Labels of a batch in no order: present, absent, and of confidences between."""
    chance = torch.Generator().manual_seed(seed)
    places = (torch.rand(images, CATEGORIES, generator=chance) < share).nonzero()
    places = places[torch.randperm(len(places), generator=chance)]
    choices = torch.tensor([1.0, 1.0, 0.0, 0.3, 0.85])
    target = choices[torch.randint(len(choices), (len(places),), generator=chance)]
    return SparseLabels(places[:, 0].contiguous(), places[:, 1].contiguous(), target)


def scores(dtype: torch.dtype, seed: int = 1, spread: float = 4.0) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(IMAGES, CATEGORIES, generator=chance, dtype=torch.float64)).to(dtype)


def both(make: Callable[[], EntryLoss], labels: SparseLabels, unknown: str, logits: Tensor) -> list[Tensor]:
    """Value and gradient with sparse targets, then with those written out."""
    found = []
    for targets in (SparseTargets(labels, unknown), dense(labels, len(logits), CATEGORIES, unknown)):
        loss, z = make(), logits.clone().requires_grad_()
        loss.observe(targets, 5)
        value = loss(z, targets)
        assert value.dtype == logits.dtype
        (3 * value).backward()  # a gradient that is not 1 comes in
        assert z.grad is not None
        found += [value.detach(), z.grad / 3]
    return found


@ways
@pytest.mark.parametrize("block", [1, 5 * CATEGORIES, sparse_loss.BLOCK])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_stated_labels_have_the_loss_and_gradient_of_targets_written_out(
    make: Callable[[], EntryLoss],
    unknown: str,
    block: int,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sparse_loss, "BLOCK", block)
    value, gradient, expected, slope = both(make, stated(), unknown, scores(dtype))
    single = dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), rel=1e-6 if single else 1e-13)
    torch.testing.assert_close(gradient, slope, rtol=0, atol=1e-7 if single else 1e-15)
    assert (gradient != 0).any()


@ways
def test_the_gradient_is_that_of_the_value(make: Callable[[], EntryLoss], unknown: str) -> None:
    loss, labels = make(), stated()
    targets = SparseTargets(labels, unknown)
    loss.observe(targets, 0)
    logits = scores(torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, targets), logits, fast_mode=True)


@ways
def test_logits_of_any_size_are_as_with_targets_written_out(
    make: Callable[[], EntryLoss], unknown: str
) -> None:
    for size in (0.0, 20.0, 90.0, 200.0, 1e4, 1e30):
        logits = size * scores(torch.float32).sign()
        value, gradient, expected, slope = both(make, stated(), unknown, logits)
        assert value.isfinite()
        assert value.item() == pytest.approx(expected.item(), rel=1e-6)
        torch.testing.assert_close(gradient, slope, rtol=0, atol=1e-7)


@ways
def test_what_is_no_number_is_not_hidden(make: Callable[[], EntryLoss], unknown: str) -> None:
    labels, loss = stated(), make()
    logits = scores(torch.float32)
    logits[labels.image[0], labels.category[0]] = torch.nan
    targets = SparseTargets(labels, unknown)
    loss.observe(targets, 0)
    assert loss(logits, targets).isnan()
    if unknown == "absent":
        logits = scores(torch.float32)
        free = (dense(labels, IMAGES, CATEGORIES, "masked") == -1).nonzero()[0]
        logits[free[0], free[1]] = torch.nan
        logits.requires_grad_()
        value = loss(logits, targets)
        value.backward()
        assert value.isnan()
        assert logits.grad is not None
        assert logits.grad[free[0], free[1]].isnan()


@ways
def test_the_parts_of_a_batch_have_the_loss_of_the_batch_and_an_image_may_have_no_label(
    make: Callable[[], EntryLoss], unknown: str
) -> None:
    loss, logits = make(), scores(torch.float64)
    every = stated()
    some = every.image != 10
    labels = SparseLabels(every.image[some], every.category[some], every.target[some])
    whole = SparseTargets(labels, unknown)
    loss.observe(whole, 0)
    parts = [
        loss(logits[a:b], SparseTargets(labels.part(a, b), unknown)) * (b - a) / IMAGES
        for a, b in itertools.pairwise((0, 10, 11, 24))
    ]
    assert sum(parts).item() == pytest.approx(loss(logits, whole).item(), rel=1e-14)


@ways
def test_a_batch_without_any_label(make: Callable[[], EntryLoss], unknown: str) -> None:
    value, gradient, expected, slope = both(make, stated(share=0.0), unknown, scores(torch.float64))
    assert value.item() == pytest.approx(expected.item(), rel=1e-13)
    torch.testing.assert_close(gradient, slope, rtol=0, atol=1e-15)


@ways
def test_the_loss_is_equal_to_the_bit_with_any_number_of_threads(
    make: Callable[[], EntryLoss], unknown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse_loss, "BLOCK", 2 * CATEGORIES)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 1, 2, 5):
            torch.set_num_threads(threads)
            found.append(both(make, stated(), unknown, scores(torch.float32))[:2])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_logits_are_widened(dtype: torch.dtype) -> None:
    targets, logits = SparseTargets(stated(), "absent"), scores(dtype).requires_grad_()
    value = BinaryCrossEntropy()(logits, targets)
    value.backward()
    assert value.dtype == torch.float32
    assert logits.grad is not None
    assert logits.grad.dtype == dtype


@pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
def test_an_absent_entry_is_an_entry_with_the_target_0(make: Callable[[], EntryLoss]) -> None:
    loss, logits = make(), scores(torch.float64)
    for found, expected in zip(loss.absent(logits), EntryLoss.absent(loss, logits), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)


@ways
def test_a_retained_graph_gives_the_same_gradient_again(make: Callable[[], EntryLoss], unknown: str) -> None:
    loss, logits, targets = make(), scores(torch.float32).requires_grad_(), SparseTargets(stated(), unknown)
    loss.observe(targets, 0)
    value = loss(logits, targets)
    value.backward(retain_graph=True)
    assert logits.grad is not None
    once = logits.grad.clone()
    logits.grad.mul_(5)
    value.backward(retain_graph=True)
    torch.testing.assert_close(logits.grad, 6 * once)
    logits.grad = None
    value.backward()
    assert torch.equal(logits.grad, once)


def test_a_loss_that_has_entries_alone_takes_both_forms_of_targets() -> None:
    class Squared(EntryLoss):
        def entries(self, logits: Tensor, targets: Tensor) -> Tensor:
            return (logits.sigmoid() - targets) ** 2

    for unknown in ("absent", "masked"):
        value, gradient, expected, slope = both(Squared, stated(), unknown, scores(torch.float64))
        assert value.item() == pytest.approx(expected.item(), rel=1e-13)
        torch.testing.assert_close(gradient, slope, rtol=0, atol=1e-15)


@pytest.mark.parametrize("unknown", ["absent", "masked"])
@pytest.mark.parametrize("compat", ["paper", "tencent-code"])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.85, 1.0])
def test_stated_labels_give_the_runs_and_weights_of_targets_written_out(
    unknown: str, compat: str, threshold: float
) -> None:
    one, two = (MLImagesLoss(CATEGORIES, compat=compat, positive_threshold=threshold) for _ in range(2))
    for step in range(12):
        labels = stated(step, images=4)
        one.observe(SparseTargets(labels, unknown), step)
        two.observe(dense(labels, 4, CATEGORIES, unknown), step)
        assert torch.equal(one.positive_run, two.positive_run)
        assert torch.equal(one.negative_run, two.negative_run)
        assert torch.equal(one.coefficient, two.coefficient)
    assert one.positive_run.max() > 0


def test_which_negatives_count_is_drawn_from_another_stream_than_the_image_at_that_position() -> None:
    loss = MLImagesLoss(500, seed=7)
    for step in range(3):
        loss.observe(torch.zeros(1, 500), step)
        with seeded(7, step):
            assert not torch.equal(loss.coefficient > 0, torch.rand(500) <= 0.1)
