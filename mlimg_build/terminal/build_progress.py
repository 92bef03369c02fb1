"""Progress: live bars on a terminal, a plain line every few seconds elsewhere; all of it goes to the log, too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from .build_log import LOG
from .console import duration, err, out, percent, size

__all__ = ["Watcher", "counting"]

NARROW = 100  # columns below which a bar's line does without the bytes
WAITING = 0.2  # share of the time that a training waits for images from which on it is told
LOGGED = 30.0  # seconds between lines of progress in the log


class Watcher:
    """Follows a build: a live bar on a terminal, a plain line every few seconds elsewhere. A context manager.

    With `quiet` it shows nothing but what went wrong; the log has all of it.
    """

    every = 5.0  # seconds between plain lines

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.live = err.is_terminal and not quiet
        self.bars = Progress(
            TextColumn("{task.description:>6}"),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TextColumn("{task.fields[more]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=err,
            transient=False,
            expand=True,
        )
        self.status = err.status("") if self.live else None
        self.counted = [0, 0, 0, 0]
        self.started = self.told = self.logged = time.monotonic()
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
        LOG.info(message)
        if self.status:
            if message == "assembling the dataset":
                self.bars.stop()
            self.status.update(message)
            self.status.start()
        elif not self.quiet:
            err.print(message)

    def follow(self, images: int, shards: int) -> Callable[[Any], None]:
        """Return a callback for each `Progress` of the remaining tasks."""
        self.images, self.shards = images, shards
        self.counted = [0, 0, 0, 0]
        self.started = self.told = self.logged = time.monotonic()
        if self.live:
            self._image_bar = self._bar("images", images, 0) if images else None
            self._shard_bar = self._bar("tasks", shards, 0)
        return self._hear

    def train(self, name: str, done: int, steps: int) -> Callable[[dict[str, Any]], None]:
        """Return a callback for each record of a run of `steps` that resumes after step `done`."""
        again = f", going on after step {done:,}" if done else ""
        LOG.info("%s: %s steps%s", name, f"{steps:,}", again)
        bar = self._bar(name, steps, done) if self.live else None
        if not self.live and not self.quiet:
            err.print(f"{name}: {steps:,} steps{again}")
        self.told = self.logged = begun = time.monotonic()

        def hear(record: dict[str, Any]) -> None:
            step, more = record["step"], _recorded(record)
            now = time.monotonic()
            spent = (now - begun) / max(step - done, 1)
            left = f", {duration(spent * (steps - step))} left" if step < steps else ""
            line = f"{name}, step {step:,} of {steps:,}: {more}{left}"
            if record["kind"] == "evaluation" or step == steps or now - self.logged >= LOGGED:
                self.logged = now
                LOG.info(line)
            if bar is not None:
                if record["kind"] == "step":
                    self.bars.update(bar, completed=step, more=_short(record) + left)
                else:
                    self.bars.console.print(f"{name}, step {step:,}: {more}")
            elif record["kind"] == "evaluation" or now - self.told >= self.every or step == steps:
                self.told = now
                if not self.quiet:
                    err.print(line)

        return hear

    def _bar(self, name: str, total: int, done: int) -> TaskID:
        if self.status:
            self.status.stop()
        bar = self.bars.add_task(name, total=total, completed=done, more=f"{done:,} of {total:,}")
        self.bars.start()
        return bar

    def _hear(self, done: Any) -> None:
        if done.said:
            LOG.warning(done.said)
            err.print(done.said)
            return
        for i, count in enumerate((done.images, done.bytes, done.failed, done.shards)):
            self.counted[i] += count
        images, stored, failed, shards = self.counted
        images = min(images, self.images)  # a task that is done again counts again
        now = time.monotonic()
        elapsed = max(now - self.started, 1e-9)
        finished, total = (images, self.images) if self.images else (shards, self.shards)
        left = f"{duration(elapsed * (total - finished) / finished)} left" if 0 < finished < total else ""
        without = f"{failed:,} without bytes" if failed else ""
        speed = f"{images / elapsed:,.0f} images/s"
        tasks = f"{shards:,} of {self.shards:,} tasks"
        counts = (
            [f"{images:,} of {self.images:,} images", tasks, speed, size(stored)] if self.images else [tasks]
        )
        line = ", ".join(filter(None, [*counts, without, left]))
        last = bool(done.shards) and shards == self.shards
        if last or now - self.logged >= LOGGED:
            self.logged = now
            LOG.info(line)
        if self.live:
            narrow = err.width < NARROW
            more = [f"{images:,} of {self.images:,}", f"{images / elapsed:,.0f}/s" if narrow else speed]
            more += ["" if narrow else size(stored), without, left]
            if self._image_bar is not None:
                self.bars.update(self._image_bar, completed=images, more=", ".join(filter(None, more)))
            text = ", ".join(filter(None, [f"{shards:,} of {self.shards:,}", "" if self.images else left]))
            self.bars.update(self._shard_bar, completed=shards, more=text)
        elif now - self.told >= self.every or last:
            self.told = now
            if not self.quiet:
                err.print(line)


@contextmanager
def counting(
    what: str, *, quiet: bool = False, printing: bool = False
) -> Iterator[Callable[[int, int], None]]:
    """Yield a function (done, total) that draws a bar on a terminal and is silent elsewhere, and with `quiet`.

    `printing` tells that results are printed meanwhile: where they go to a terminal there is no bar among them.
    """
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        console=err,
        transient=True,
        expand=True,
        disable=quiet or not err.is_terminal or (printing and out.is_terminal),
    ) as bars:
        bar = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def _short(record: dict[str, Any]) -> str:
    """Return a step of a run's history in the words that a line of 80 columns has room for."""
    return f"epoch {record['epoch']:.2f}, loss {record['loss']:.4g}, {record['images_per_second']:,.0f}/s"


def _recorded(record: dict[str, Any]) -> str:
    """Return a record of a run's history in a few words."""
    if record["kind"] == "step":
        speed = f"{record['images_per_second']:,.0f} images/s"
        if (waiting := record.get("waiting", 0)) >= WAITING:
            speed += f" ({percent(waiting)} of the time waiting for images)"
        return f"epoch {record['epoch']:.2f}, loss {record['loss']:.4g}, rate {record['rate']:.3g}, {speed}"
    if "top1" in record:
        return f"top-1 {percent(record['top1'])}, top-5 {percent(record['top5'])}"
    verified = record.get("map_verified")
    told = f"mAP {percent(record['map'])} (by frequency {percent(record['baseline'])})"
    return told if verified is None else f"{told}, on verified entries {percent(verified)}"
