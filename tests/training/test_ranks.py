"""Two processes with half a batch each see what one process sees with the whole."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")


def _targets(generator: torch.Generator) -> torch.Tensor:
    """Targets of a step for 8 images: of some categories nothing is known on one rank, or on both."""
    targets = (torch.rand(8, 6, generator=generator) > 0.85).float()
    return torch.where(torch.rand(8, 6, generator=generator) < 0.75, -1.0, targets)


def _rank(rank: int, rendezvous: str, folder: str) -> None:
    import torch.distributed as dist

    from mlimg_build.training import MLImagesLoss

    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    loss = MLImagesLoss(6, seed=1)
    generator = torch.Generator().manual_seed(0)
    for step in range(12):
        targets = _targets(generator)
        loss.observe(targets[4 * rank : 4 * rank + 4], step)
    torch.save(loss.state_dict() | {"coefficient": loss.coefficient}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_a_category_is_positive_or_known_if_it_is_on_any_rank(tmp_path: Path) -> None:
    from mlimg_build.training import MLImagesLoss

    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=_rank, args=(r, str(tmp_path / "meet"), str(tmp_path))) for r in range(2)]
    for process in ranks:
        process.start()
    loss = MLImagesLoss(6, seed=1)
    generator = torch.Generator().manual_seed(0)
    for step in range(12):
        loss.observe(_targets(generator), step)
    for process in ranks:
        process.join(60)
        assert process.exitcode == 0
    for r in range(2):
        state = torch.load(tmp_path / f"{r}.pt", weights_only=True)
        assert torch.equal(state["positive_run"], loss.positive_run)
        assert torch.equal(state["negative_run"], loss.negative_run)
        assert torch.equal(state["coefficient"], loss.coefficient)
