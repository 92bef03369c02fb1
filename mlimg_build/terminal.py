"""What people see: problems, progress, plans and results. Understandable without colour; progress goes to stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleDimensions
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from mlimg_build.errors import Problem

if TYPE_CHECKING:
    from mlimg_build.build.compiling import Built
    from mlimg_build.build.modelling import Modelled
    from mlimg_build.dataset import Verification

__all__ = [
    "Watcher",
    "counting",
    "show_built",
    "show_evaluation",
    "show_info",
    "show_modelled",
    "show_plan",
    "show_predicted",
    "show_problems",
    "show_verified",
    "show_why",
    "show_written",
    "size",
]

WIDE = 100_000  # a pipe has no width, and a line that is cut or folded there cannot be searched


def _console(*, stderr: bool) -> Console:
    """A console that prints text as it is: what stands in brackets in a path is no markup."""
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.size = ConsoleDimensions(WIDE, 25)
    return console


out = _console(stderr=False)
err = _console(stderr=True)


def size(count: float) -> str:
    """Bytes for people.

    >>> size(123), size(5_400_000)
    ('123 B', '5.1 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def show_problems(problems: Iterable[Problem]) -> None:
    """Writes every problem to stderr with its place and what to do about it."""
    from mlimg_build.spec import render  # noqa: PLC0415  pydantic is slow to load

    listed = list(problems)
    for problem in listed:
        shown = Text(render(problem, _text_of))
        shown.highlight_regex(r"^error\[[^\]]*\]", "bold red")
        shown.highlight_regex(r"^warning\[[^\]]*\]", "bold yellow")
        shown.highlight_regex(r"(?m)^hint:", "bold cyan")
        shown.highlight_regex(r"(?m)\^+$", "red")
        err.print(shown)
        err.print()
    errors = sum(problem.severity == "error" for problem in listed)
    if errors > 1:
        err.print(f"{errors} problems")


def _text_of(file: str) -> str | None:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


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
        """Says what is being done."""
        if self.status:
            if message == "assembling the dataset":
                self.bars.stop()
            self.status.update(message)
            self.status.start()
        else:
            err.print(message)

    def follow(self, images: int, shards: int) -> Callable[[Any], None]:
        """Gives the function that hears of each `Progress` of the tasks that are left."""
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
        """Gives the function that hears of each record of a run of `steps` that goes on after `done`."""
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
            err.print(f"{images:,} of {self.images:,} images, {shards} of {self.shards} tasks, {more}")


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function (done, total) that draws a bar on a terminal and is silent elsewhere."""
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


def _table(*columns: str, right: Iterable[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def show_plan(summary: dict[str, Any]) -> None:
    """Prints what a build would do, and why."""
    part = "" if summary["fraction"] >= 1 else f", fraction {summary['fraction']:g}"
    out.print(Text.assemble((f"{summary['name']} {summary['version']}", "bold"), f"{part}\n"))
    table = _table("source", "images", "statements", "passed over", right=("images", "statements"))
    for name, source in summary["sources"].items():
        passed = ", ".join(f"{count} {code}" for code, count in source["passed_over"].items())
        table.add_row(name, f"{source['images']:,}", f"{source['statements']:,}", passed)
    out.print(table)
    mapped = ", ".join(f"{count} {method}" for method, count in summary["mapping"].items())
    out.print(f"\ncategories  {summary['categories']:,}, {summary['implied_pairs']:,} implied pairs")
    out.print(f"mapped by   {mapped}")
    unused = {fate: count for fate, count in summary["fates"].items() if fate != "used"}
    if unused:
        out.print(f"not used    {', '.join(f'{count} {fate}' for fate, count in unused.items())}")
    if summary["images_without_label"]:
        out.print(f"left out    {summary['images_without_label']:,} images without a label that counts")
    if summary["labels_below_confidence"]:
        out.print(f"left out    {summary['labels_below_confidence']:,} labels below min_confidence")
    shards, cached = summary["shards"], summary["image_shards_cached"]
    out.print(
        f"dataset     {summary['images']:,} images in {shards} shards, {size(summary['bytes'])} at the source"
    )
    out.print(f"cached      images of {cached} shards, labels of {summary['label_shards_cached']}")
    reading = f"{summary['images_to_read']:,} images and {size(summary['bytes_to_read'])} to read"
    todo = (
        f"{summary['tasks']} tasks, {reading}" if summary["tasks"] else "nothing but to assemble the dataset"
    )
    out.print(f"to do       {todo}")
    if training := summary["training"]:
        tuned = f", then transfer to {training['transfer']}" if training["transfer"] else ""
        out.print(
            f"then        train {training['model']} at {training['image_size']} px: {training['epochs']} epochs, "
            f"{training['steps']:,} steps of {training['batch_size']:,} images{tuned}"
        )
    for what, reasons in summary["why"].items():
        for reason, count in reasons.items():
            out.print(f"because     {what} of {count} shards: {reason}")


def show_built(built: Built) -> None:
    """Prints the path of the dataset on stdout, and what was done on stderr."""
    if built.seconds:
        rate = f", {built.read / built.seconds:,.0f} images/s" if built.read else ""
        err.print(
            f"read {built.read:,} images in {built.seconds:.1f} s with {built.workers} workers{rate}, "
            f"at most {size(built.peak_memory)} a worker"
        )
    else:
        err.print("everything was there already")
    if built.failed:
        listed = ", ".join(f"{count} {status}" for status, count in sorted(built.failed.items()))
        err.print(
            f"{sum(built.failed.values()):,} of {built.images:,} images have no bytes: {listed}; see {built.failures}"
        )
    left = built.summary["images_without_label"], built.summary["labels_below_confidence"]
    if any(left):
        err.print(
            f"left out: {left[0]:,} images without a label that counts, {left[1]:,} labels below min_confidence"
        )
    if built.passed_over:
        err.print(f"not everything in the sources could be used; see {built.passed_over}")
    err.print(f"{built.images:,} images, digest {built.digest}")
    out.print(str(built.dataset))


def _recorded(record: dict[str, Any]) -> str:
    """A record of a run's history in a few words."""
    if record["kind"] == "step":
        speed = f"{record['images_per_second']:,.0f} images/s"
        return f"epoch {record['epoch']:.2f}, loss {record['loss']:.4g}, rate {record['rate']:.3g}, {speed}"
    if "top1" in record:
        return f"top-1 {record['top1']:.1%}, top-5 {record['top5']:.1%}"
    verified = record.get("map_verified")
    told = f"mAP {_percent(record['map'])} (by frequency {_percent(record['baseline'])})"
    return told if verified is None else f"{told}, on verified entries {_percent(verified)}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def show_modelled(made: Modelled) -> None:
    """Prints the path of the model on stdout, and what it is worth on stderr."""
    if made.again:
        err.print("the model was there already")
    if made.evaluation is None:
        err.print("not evaluated: there are no validation images; `split: {validation: 0.1}` sets some aside")
    else:
        assumed, verified = made.evaluation["unknown_as_absent"], made.evaluation["verified"]
        err.print(
            f"mAP {_percent(assumed['map'])} over {assumed['categories']:,} categories with unknown as absent, "
            f"by frequency alone {_percent(assumed['baseline'])}"
        )
        if verified["map"] is not None:
            err.print(
                f"mAP {_percent(verified['map'])} over {verified['categories']:,} categories on verified entries, "
                f"by frequency alone {_percent(verified['baseline'])}"
            )
    if made.transfer:
        scratch = made.transfer.get("scratch")
        beside = (
            f"; from scratch {_percent(scratch['top1'])} and {_percent(scratch['top5'])}" if scratch else ""
        )
        top = f"top-1 {_percent(made.transfer['top1'])}, top-5 {_percent(made.transfer['top5'])}"
        err.print(f"transfer: {top}{beside}")
    err.print(f"weights {made.digest}; runs, checkpoints and TensorBoard logs are in {made.runs}")
    out.print(str(made.model))


def show_evaluation(found: dict[str, Any]) -> None:
    """Prints how good a model is."""
    out.print(f"{found['images']:,} images of {found['split']}, after {found['step']:,} steps\n")
    if found["kind"] == "single_label":
        out.print(f"top-1 {_percent(found['top1'])}\ntop-5 {_percent(found['top5'])}")
        return
    right = ("categories", "verified", "by frequency", "unknown as absent", "by frequency ")
    table = _table("mAP over", *right, right=right)

    def add(name: str, count: int, row: dict[str, Any]) -> None:
        cells = [
            _percent(row[kind][value])
            for kind in ("verified", "unknown_as_absent")
            for value in ("map", "baseline")
        ]
        table.add_row(name, f"{count:,}", *cells)

    add("all categories", len(found["categories"]), found)
    for band in found["bands"]:
        if band["to"] is None:
            span = f"{band['from']:,} and more training images"
        elif band["to"] == 0:
            span = "no training image"
        else:
            span = f"{band['from']:,} to {band['to']:,} training images"
        add(span, band["categories"], band)
    out.print(table)
    counted = [
        f"{found[kind]['categories']:,} {words}"
        for kind, words in (
            ("verified", "with verified entries of both states"),
            ("unknown_as_absent", "with a present and an absent image"),
        )
    ]
    out.print(f"\ncategories that count: {', '.join(counted)}")
    for k, row in found["at_k"].items():
        out.print(f"at {k:>2}: precision {_percent(row['precision'])}, recall {_percent(row['recall'])}")
    order = found["hierarchy"]
    if order["share"] is not None:
        out.print(
            f"hierarchy: an ancestor scores below its descendant in {_percent(order['share'])} of all cases, "
            f"in {_percent(order['share_confident'])} where the descendant scores at least 0.5 "
            f"({order['pairs']:,} pairs)"
        )


def show_predicted(found: Iterable[Any]) -> tuple[int, int]:
    """Prints the labels of each image as it comes; returns the images and how many were not readable."""
    count = failed = 0
    for image in found:
        count += 1
        if image.status != "ok":
            failed += 1
            err.print(f"{image.path}: {image.status}: {image.reason}")
            continue
        out.print(Text(str(image.path), "bold"))
        for label in image.labels:
            out.print(f"  {label.score:6.1%}  {label.name}  {label.wnid}")
    if failed:
        err.print(f"{failed:,} of {count:,} images could not be read")
    return count, failed


def show_written(to: Path, count: int, failed: int) -> None:
    """Prints the path of a written file on stdout, and what it holds on stderr."""
    bad = f", {failed:,} of them could not be read and have a reason instead" if failed else ""
    err.print(f"{count:,} images{bad}")
    out.print(str(to))


def show_why(told: dict[str, Any], whole: bool) -> None:
    """Prints how an image's labels came about: statement by statement for a `whole` image, else each chain in full."""
    about = f"{told['split']} row {told['row']}, {told['status']}, {told['width']} × {told['height']}"
    rights = ", ".join(text for text in (told["licence"], told["author"]) if text)
    tree = Tree(Text.assemble((told["image"], "bold"), f"  {about}{', ' + rights if rights else ''}"))
    stated = [label for label in told["labels"] if label["rule"] == "stated" or not whole]
    for label in sorted(stated, key=lambda label: label["state"] != "present") if whole else stated:
        branch = tree.add(_headed(label))
        _chain(branch, label["chain"])
        implied = [
            other
            for other in told["labels"]
            if whole and other["via"] == label["wnid"] and other is not label
        ]
        if implied:
            names = ", ".join(other["name"] for other in implied)
            place = implied[0]["chain"][-1]["place"]
            branch.add(_line("implication", f"{label['state']} too: {names}", place))
    for clash in told["contradictions"]:
        branch = tree.add(
            Text.assemble(("contradiction", "yellow"), f"  {clash['text']}  ", (clash["place"], "dim"))
        )
        _chain(branch, [*clash["absent"], *clash["present"]])
    for text in told["unknown"]:
        tree.add(Text.assemble(("unknown", "yellow"), f"  {text}"))
    out.print(tree)


def _headed(label: dict[str, Any]) -> Text:
    colour = "bold green" if label["state"] == "present" else "bold red"
    certain = "" if label["confidence"] >= 1 else f" {label['confidence']:g}"
    return Text.assemble((f"{label['state']}{certain}", colour), f"  {label['name']} {label['wnid']}")


def _chain(branch: Tree, chain: Iterable[dict[str, str]]) -> None:
    for step in chain:
        branch.add(_line(step["step"], step["text"], step["place"]))


def _line(step: str, text: str, place: str) -> Text:
    return Text.assemble((f"{step:<11} ", "cyan"), text, "  ", (place, "dim"))


def show_verified(path: Path, found: Verification) -> None:
    """Prints what is wrong with a dataset, or that nothing is."""
    for finding in found.findings:
        where = "/".join(str(part) for part in (finding.split, finding.shard) if part is not None)
        whose = f" {finding.image}" if finding.image else ""
        out.print(
            f"{finding.code}: {where}{whose}: {finding.message}"
            if where
            else f"{finding.code}: {finding.message}"
        )
    verdict = "every digest is right" if found.ok else f"{len(found.findings)} findings"
    out.print(f"{path}: {found.images:,} images, {size(found.bytes)} in {found.shards} shards, {verdict}")
    if not found.ok:
        err.print("to mend it, run the build that made it with --repair")


def show_info(told: dict[str, Any]) -> None:
    """Prints what a dataset holds."""
    attributes, labels, categories = told["attributes"], told["labels"], told["categories"]
    out.print(Text.assemble((told["path"], "bold"), f"  {attributes['name']} {attributes['version']}\n"))
    failed = ", ".join(f"{count} {status}" for status, count in told["failed"].items())
    passed = [
        f"{count:,} {code} in {name}"
        for name, source in attributes["sources"].items()
        for code, count in source["passed_over"].items()
    ]
    rows = {
        "images": f"{told['images']:,} in {told['shards']} shards, {size(told['bytes'])}",
        "no bytes": failed or "none",
        "splits": ", ".join(f"{name} {part['images']:,}" for name, part in told["splits"].items()),
        "sources": ", ".join(f"{name} {count:,}" for name, count in told["sources"].items()),
        "labels": f"{labels['present']:,} present, {labels['absent']:,} absent",
        "by rule": ", ".join(f"{rule} {sum(states.values()):,}" for rule, states in labels["rules"].items()),
        "contradictions": f"{attributes['contradictions']:,}",
        "left out": f"{attributes['images_without_label']:,} images without a label that counts, "
        f"{attributes['labels_below_confidence']:,} labels below min_confidence",
        "passed over": ", ".join(passed) or "nothing",
        "categories": f"{categories['count']:,}, {categories['with_positives']:,} with images",
        "digest": told["digest"],
        "WordNet": f"{attributes['wordnet']['release']}, {attributes['wordnet']['digest']}",
        "spec": f"{attributes['spec_file']}, {attributes['spec_digest']}",
    }
    for name, text in rows.items():
        out.print(f"{name:15} {text}")
    table = _table("\nlargest categories", "\npresent", "\nabsent", right=("\npresent", "\nabsent"))
    for row in categories["top"]:
        table.add_row(f"{row['name']} {row['wnid']}", f"{row['positives']:,}", f"{row['negatives']:,}")
    out.print(table)
