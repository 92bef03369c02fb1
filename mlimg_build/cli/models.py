"""Verbs for trained models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mlimg_build.atomic import ensure_writable
from mlimg_build.errors import Problem, TrainingError

from .options import (
    AsJson,
    Dataset,
    Device,
    Model,
    Quiet,
    end_failed,
    print_json,
)

__all__ = ["evaluate", "predict"]


def evaluate(
    model: Model,
    dataset: Dataset,
    split: Annotated[str, typer.Option("--split", help="The images to evaluate on.")] = "validation",
    device: Device = "auto",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Also write the evaluation as JSON.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model: average precision, precision at k, frequency bands, hierarchy; top-1 and top-5 of a softmax."""
    from mlimg_build import terminal
    from mlimg_build.compiler.model_stage import require_torch

    require_torch()
    _check_output(to)
    from mlimg_build.training.evaluate.evaluate_model import measure

    with terminal.counting("evaluating", quiet=quiet) as advance:
        found = measure(model, dataset, split, device, advance)
    if to is not None:  # before anything is printed, as it may fail
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        print_json(found)
    else:
        terminal.show_evaluation(found)


def _check_output(to: Path | None) -> None:
    """Raises `MlimgError` if the file that is asked for cannot be written."""
    if to is not None:
        ensure_writable(to)


def predict(
    model: Model,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGES...", help="Image files, or folders of them.", show_default=False),
    ],
    head: Annotated[
        Literal["training", "transfer"],
        typer.Option("--head", help="The network: that of the training, or the one tuned to one source."),
    ] = "training",
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="Labels an image.")] = 5,
    least: Annotated[
        float | None,
        typer.Option(
            "--min-score",
            metavar="S",
            min=0,
            max=1,
            help="Also give labels below the threshold down to this score, or leave out those below a higher one; "
            "default: the threshold of the best F1 in the model's evaluation.json, else 0.5.",
        ),
    ] = None,
    features: Annotated[
        bool, typer.Option("--features", help="Write what the last layer sees instead of labels; wants --to.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FILE",
            help="Write a .csv, .json or .parquet instead of printing, or features as .npy or .parquet.",
        ),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Say what is in images: the most specific labels, each with what is above it; or write feature vectors."""
    from mlimg_build import terminal
    from mlimg_build.compiler.model_stage import require_torch

    allowed = (".parquet", ".npy") if features else (".csv", ".json", ".parquet")
    if (features and to is None) or (to is not None and to.suffix.lower() not in allowed):
        named = " or ".join((", ".join(allowed[:-1]), allowed[-1]))
        raise typer.BadParameter(f"give a file whose name ends in {named}", param_hint="--to")
    require_torch()
    _check_output(to)
    from mlimg_build.training.predict.label_rule import label_rule
    from mlimg_build.training.predict.outputs import record
    from mlimg_build.training.predict.predict_images import head_folder, labels_of, write

    folder = head_folder(model, head)
    rule = label_rule(folder, least)
    result: dict[str, Any] = {"model": str(model), "head": head, **({} if features else rule.record())}
    printing = to is None and not as_json
    with terminal.counting("predicting", quiet=quiet, printing=printing) as advance:
        if to is not None:
            given = None if features else rule
            count, failed = write(folder, images, to, result, top, given, device, advance)
        else:
            found = labels_of(folder, images, top, rule, device, advance)
            if as_json:
                predicted = list(found)
                count, failed = len(predicted), sum(one.status != "ok" for one in predicted)
                records = [record(one) for one in predicted]
            else:
                count, failed = terminal.show_predicted(found, rule.threshold)
    nothing = TrainingError(
        Problem(
            "nothing-read",
            "the image could not be read" if count == 1 else f"none of the {count:,} images could be read",
            hint=f"the reason is {'in the file' if to is not None else 'in `status`' if as_json else 'above'}: "
            f"{'is it an image' if count == 1 else 'are they images'}?",
        )
    )
    if not features and failed < count:
        terminal.show_label_rule(rule)
    if as_json:
        if to is not None:
            result |= {"file": str(to), "images": count, "failed": failed}
        else:
            result |= {"images": records}
        if failed == count:
            end_failed(nothing, result)
        print_json(result)
    elif to is not None:
        terminal.show_written(to, count, failed)
    if failed == count:
        raise nothing
