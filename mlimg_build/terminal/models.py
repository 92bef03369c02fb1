"""Show models, evaluations and predictions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from .build_log import say
from .console import err, out, percent, table
from .label_lines import label_lines, share_of_100

if TYPE_CHECKING:
    from mlimg_build.compiler.model_stage import Modelled

__all__ = ["show_evaluation", "show_label_rule", "show_modelled", "show_predicted", "show_written"]

ORIGINS = {
    "min-score": "--min-score",
    "f1": "the threshold of the best F1 on validation",
    "default": "the default, as the model has no evaluation.json with a threshold",
}


def show_modelled(made: Modelled) -> None:
    """Print the path of the model on stdout, and its evaluation on stderr."""
    if made.again:
        say("the model was there already")
    if made.evaluation is None:
        say("not evaluated: there are no validation images; `split: {validation: 0.1}` sets some aside")
    else:
        assumed, verified = made.evaluation["unknown_as_absent"], made.evaluation["verified"]
        say(
            f"mAP {percent(assumed['map'])} over {assumed['categories']:,} categories with unknown as absent, "
            f"by frequency alone {percent(assumed['baseline'])}"
        )
        if verified["map"] is not None:
            say(
                f"mAP {percent(verified['map'])} over {verified['categories']:,} categories on verified entries, "
                f"by frequency alone {percent(verified['baseline'])}"
            )
    if made.transfer:
        scratch = made.transfer.get("scratch")
        beside = (
            f"; from scratch {percent(scratch['top1'])} and {percent(scratch['top5'])}" if scratch else ""
        )
        top = f"top-1 {percent(made.transfer['top1'])}, top-5 {percent(made.transfer['top5'])}"
        say(f"transfer: {top}{beside}")
    say(f"weights {made.digest}; runs, checkpoints and TensorBoard logs are in {made.runs}")
    out.print(str(made.model))


def show_evaluation(found: dict[str, Any]) -> None:
    """Print the evaluation of a model."""
    out.print(f"{found['images']:,} images of {found['split']}, after {found['step']:,} steps\n")
    if found["kind"] == "single_label":
        out.print(f"top-1 {percent(found['top1'])}\ntop-5 {percent(found['top5'])}")
        return
    _show_scores(found)
    right = ("categories", "verified", "by frequency", "unknown as absent", "by frequency ")
    listed = table("mAP over", *right, right=right)

    def add(name: str, count: int, row: dict[str, Any]) -> None:
        cells = [
            percent(row[kind][value])
            for kind in ("verified", "unknown_as_absent")
            for value in ("map", "baseline")
        ]
        listed.add_row(name, f"{count:,}", *cells)

    add("all categories", len(found["categories"]), found)
    for band in found["bands"]:
        if band["to"] is None:
            span = f"{band['from']:,} and more training images"
        elif band["to"] == 0:
            span = "no training image"
        else:
            span = f"{band['from']:,} to {band['to']:,} training images"
        add(span, band["categories"], band)
    out.print(listed)
    counted = [
        f"{found[kind]['categories']:,} {words}"
        for kind, words in (
            ("verified", "with verified entries of both states"),
            ("unknown_as_absent", "with a present and an absent image"),
        )
    ]
    out.print(f"\ncategories that count: {', '.join(counted)}")
    _show_depths(found.get("depths", ()))
    for k, row in found["at_k"].items():
        out.print(f"at {k:>2}: precision {percent(row['precision'])}, recall {percent(row['recall'])}")
    if always := found.get("always"):
        out.print(f"       always naming {always['name']}: precision {percent(always['precision'])} at 1")
    order = found["hierarchy"]
    if order["share"] is not None:
        out.print(
            f"hierarchy: an ancestor scores below its descendant in {percent(order['share'])} of all cases, "
            f"in {percent(order['share_confident'])} where the descendant scores at least 0.5 "
            f"({order['pairs']:,} pairs)"
        )


def _show_depths(depths: Iterable[dict[str, Any]]) -> None:
    """Print the mAP of the categories at each number of steps from a root, if there is more than one."""
    cells = [
        f"{one['depth']} {percent(one['unknown_as_absent']['map'])} of {one['unknown_as_absent']['categories']:,}"
        for one in depths
        if one["unknown_as_absent"]["categories"]
    ]
    if len(cells) > 1:
        out.print(f"mAP by steps from a root: {', '.join(cells)}")


def _show_scores(found: dict[str, Any]) -> None:
    """Print what is right of the labels given, and whether scores are probabilities where both states are known."""
    if (f1 := found.get("f1")) is not None:
        out.print(
            f"labels from {percent(f1['threshold'])}: {percent(f1['precision'])} of those given are right, "
            f"{percent(f1['recall'])} of those present are given\n"
            f"F1 {percent(f1['micro'])}, by category {percent(f1['macro'])}"
        )
        if f1["own_thresholds"]:
            out.print(
                f"   {percent(f1['micro_with_own'])}, by category {percent(f1['macro_with_own'])} with thresholds "
                f"of their own for {f1['own_thresholds']:,} categories of 50 images or more"
            )
    for kind, what in (("unknown_as_absent", "with unknown as absent"), ("verified", "on verified entries")):
        told = found.get("calibration", {}).get(kind, {})
        if told.get("entries") and 0 < told["share_present"] < 1:
            out.print(
                f"scores {what}: calibration error {percent(told['expected_calibration_error'])}, "
                f"Brier {told['brier']:.4f}; mean score {percent(told['mean_score'])}, "
                f"present {percent(told['share_present'])}"
            )
    if f1 is not None or found.get("calibration"):
        out.print()


def show_predicted(found: Iterable[Any], threshold: float | None) -> tuple[int, int]:
    """Print the labels of each image as it comes; return the numbers of images and of unreadable ones.

    `threshold` is that of labels, None if there is none. Through a pipe no line is shortened.
    """
    count = failed = 0
    for image in found:
        count += 1
        if image.status != "ok":
            failed += 1
            err.print(f"{image.name}: {image.status}: {image.reason}")
            continue
        out.print(Text(image.name, "bold"), soft_wrap=True)
        for line in label_lines(image, threshold, out.width):
            out.print(line, soft_wrap=True)
    if failed:
        err.print(f"{failed:,} of {count:,} images could not be read")
    return count, failed


def show_label_rule(rule: Any) -> None:
    """Say on stderr from which score on there are labels, and whether the model is hardly better than frequency."""
    if rule.threshold is not None:
        err.print(f"labels from {share_of_100(rule.threshold)}: {ORIGINS[rule.origin]}")
    if rule.by_frequency is not None:
        found, baseline = rule.by_frequency
        err.print(
            "the model is hardly better than guessing by frequency: "
            f"mAP {percent(found)} on validation, by frequency alone {percent(baseline)}"
        )


def show_written(to: Path, count: int, failed: int) -> None:
    """Print the path of a written file on stdout, and what it holds on stderr."""
    bad = f", {failed:,} of them could not be read and have a reason instead" if failed else ""
    err.print(f"{count:,} {'image' if count == 1 else 'images'}{bad}")
    out.print(str(to))
