"""Progress: live bars on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .console import err, percent, size

__all__ = ["Watcher", "counting"]


class Watcher:
    """Follows a build: a live bar on a terminal, a plain line every few seconds elsewhere. A context manager."""

    every = 5.0  # seconds between plain lines

    def __init__(self) -> None:
        self.live = err.is_terminal
        self.bars = Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[more]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=False,
        )
        self.status = err.status("") if self.live else None
        self.counted = [0, 0, 0, 0]
        self.started = self.told = time.monotonic()
        self.images = self.shards = 0

    def __enter__(self) -> Watcher:
        if self.status:
            self.status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.status:
            self.status.stop()
            self.bars.stop()

    def step(self, message: str) -> None:
        """Show what is being done."""
        if self.status:
            if message == "assembling the dataset":
                self.bars.stop()
            self.status.update(message)
            self.status.start()
        else:
            err.print(message)

    def follow(self, images: int, shards: int) -> Callable[[Any], None]:
        """Return a callback for each `Progress` of the remaining tasks."""
        self.images, self.shards = images, shards
        self.started = self.told = time.monotonic()
        if self.live:
            if self.status:
                self.status.stop()
            self._image_bar = self.bars.add_task("images", total=images, more="")
            self._shard_bar = self.bars.add_task("tasks", total=shards, more="")
            self.bars.start()
        return self._hear

    def train(self, name: str, done: int, steps: int) -> Callable[[dict[str, Any]], None]:
        """Return a callback for each record of a run of `steps` that resumes after step `done`."""
        again = f", going on after step {done:,}" if done else ""
        bar = None
        if self.live:
            if self.status:
                self.status.stop()
            bar = self.bars.add_task(name, total=steps, completed=done, more="")
            self.bars.start()
        else:
            err.print(f"{name}: {steps:,} steps{again}")
            self.told = time.monotonic()

        def hear(record: dict[str, Any]) -> None:
            step, more = record["step"], _recorded(record)
            if bar is not None:
                if record["kind"] == "step":
                    self.bars.update(bar, completed=step, more=more)
                else:
                    self.bars.console.print(f"{name}, step {step:,}: {more}")
            elif (
                record["kind"] == "evaluation" or time.monotonic() - self.told >= self.every or step == steps
            ):
                self.told = time.monotonic()
                err.print(f"{name}, step {step:,} of {steps:,}: {more}")

        return hear

    def _hear(self, done: Any) -> None:
        if done.said:
            err.print(done.said)
            return
        for i, count in enumerate((done.images, done.bytes, done.failed, done.shards)):
            self.counted[i] += count
        images, stored, failed, shards = self.counted
        now = time.monotonic()
        rate = images / max(now - self.started, 1e-9)
        more = f"{rate:,.0f} images/s, {size(stored)}" + (f", {failed} without bytes" if failed else "")
        if self.live:
            self.bars.update(self._image_bar, completed=images, more=more)
            self.bars.update(self._shard_bar, completed=shards)
        elif now - self.told >= self.every or (done.shards and shards == self.shards):
            self.told = now
            done = f"{shards} of {self.shards} tasks"
            err.print(f"{images:,} of {self.images:,} images, {done}, {more}" if self.images else done)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function (done, total) that draws a bar on a terminal and is silent elsewhere."""
    with Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as bars:
        bar = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def _recorded(record: dict[str, Any]) -> str:
    """Return a record of a run's history in a few words."""
    if record["kind"] == "step":
        speed = f"{record['images_per_second']:,.0f} images/s"
        return f"epoch {record['epoch']:.2f}, loss {record['loss']:.4g}, rate {record['rate']:.3g}, {speed}"
    if "top1" in record:
        return f"top-1 {record['top1']:.1%}, top-5 {record['top5']:.1%}"
    verified = record.get("map_verified")
    told = f"mAP {percent(record['map'])} (by frequency {percent(record['baseline'])})"
    return told if verified is None else f"{told}, on verified entries {percent(verified)}"
