"""A budget of bytes for the bodies that are in memory at a time."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Lease", "MemoryBudget"]


class MemoryBudget:
    """Bytes that are taken before they are read, first come first served.

    A body whose length is known takes it at once, before it holds anything, so that whoever holds can finish. One that
    grows may find all bytes taken by others that grow, too: then one of them at a time may go beyond the budget, by one
    body at most, and the wait ends with the deadlines of those that hold.
    """

    def __init__(self, size: int) -> None:
        self._size, self._taken = size, 0
        self._waiting: deque[tuple[int, object, asyncio.Future[None]]] = deque()
        self._beyond: object = None  # who goes beyond the budget
        self.most = 0

    @property
    def taken(self) -> int:
        """How many bytes are taken."""
        return self._taken

    def try_take(self, count: int) -> bool:
        """Take bytes if they are there and nobody waits for some; return whether they were."""
        if self._waiting or (self._taken and self._taken + count > self._size):
            return False
        self._add(count)
        return True

    async def take(self, count: int, owner: object, *, holds: bool) -> None:
        """Take bytes when they are there; `holds` says that the owner has some already."""
        if self._beyond is owner:
            self._add(count)
            return
        if self.try_take(count):
            return
        if holds and self._beyond is None:
            self._beyond = owner
            self._add(count)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (count, owner if holds else None, future)
        self._waiting.append(entry)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give(count, None)
            elif entry in self._waiting:
                self._waiting.remove(entry)
                self._grant()
            raise

    def give(self, count: int, owner: object) -> None:
        """Give bytes back; an owner has none left afterwards."""
        self._taken -= count
        if owner is not None and self._beyond is owner:
            self._beyond = None
        if self._waiting:
            self._grant()

    def _add(self, count: int) -> None:
        self._taken += count
        self.most = max(self.most, self._taken)

    def _grant(self) -> None:
        while self._waiting:
            count, _, future = self._waiting[0]
            if future.cancelled():
                self._waiting.popleft()
            elif not self._taken or self._taken + count <= self._size:
                self._waiting.popleft()
                self._add(count)
                future.set_result(None)
            else:
                break
        if self._beyond is None:
            for entry in self._waiting:
                if entry[1] is not None and not entry[2].done():
                    self._waiting.remove(entry)
                    self._beyond = entry[1]
                    self._add(entry[0])
                    entry[2].set_result(None)
                    return


class Lease:
    """The bytes that one body takes of a budget, from before it is read until whoever gets it has stored it."""

    __slots__ = ("_budget", "size")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget, self.size = budget, 0

    def try_grow(self, size: int) -> bool:
        """Take bytes up to `size` in all without waiting; return whether they were there."""
        if size <= self.size:
            return True
        if not self._budget.try_take(size - self.size):
            return False
        self.size = size
        return True

    async def grow(self, size: int) -> None:
        """Take bytes up to `size` in all."""
        if size > self.size:
            await self._budget.take(size - self.size, self, holds=self.size > 0)
            self.size = size

    def free(self) -> None:
        """Give all bytes back; doing it twice does no harm."""
        if self.size:
            size, self.size = self.size, 0
            self._budget.give(size, self)
