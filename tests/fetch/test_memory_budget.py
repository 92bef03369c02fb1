"""Bodies in memory are bounded, and no two wait for each other."""

from __future__ import annotations

import asyncio
import random

import pytest

from mlimg_build.fetch.client.memory_budget import Lease, MemoryBudget


def test_bytes_that_are_there_are_taken_without_waiting() -> None:
    budget = MemoryBudget(100)
    first, second = Lease(budget), Lease(budget)
    assert first.try_grow(60)
    assert not second.try_grow(60)
    first.free()
    first.free()
    assert second.try_grow(60)
    assert budget.taken == 60


def test_a_body_larger_than_the_budget_comes_alone() -> None:
    budget = MemoryBudget(100)
    large, small = Lease(budget), Lease(budget)
    assert large.try_grow(500)
    assert not small.try_grow(1)
    large.free()
    assert small.try_grow(1)
    assert not large.try_grow(500)


@pytest.mark.parametrize("seed", range(20))
def test_bodies_that_grow_together_all_come_to_an_end(seed: int) -> None:
    """However they grow, no more is taken than the budget and one body."""
    draw = random.Random(seed)
    budget = MemoryBudget(1000)

    async def body() -> None:
        lease = Lease(budget)
        try:
            for _ in range(draw.randint(1, 6)):
                await lease.grow(min(lease.size + draw.randint(1, 300), 900))
                assert budget.taken <= 1000 + 900
                await asyncio.sleep(0)
                if draw.random() < 0.1:
                    return  # the connection was lost
        finally:
            lease.free()

    async def all_bodies() -> None:
        tasks = [asyncio.create_task(body()) for _ in range(50)]
        for _ in range(20):
            await asyncio.sleep(0)
            draw.choice(tasks).cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            assert task.cancelled() or task.exception() is None

    asyncio.run(all_bodies())
    assert budget.taken == 0
    assert budget.most <= 1900
