"""Read a folder NAME.model: whatever is missing, damaged or in another format is left out and reported."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from mlimg_build.regular_files import open_regular, read_regular
from mlimg_build.report.model_data import (
    AtK,
    Band,
    Evaluation,
    Example,
    JudgedLabel,
    Measured,
    Model,
    PerCategory,
    Precision,
    Reliability,
    Run,
    Scored,
    Step,
    Threshold,
    Transfer,
)

__all__ = ["read_model"]

LARGEST = 256 << 20  # bytes of a file that is read whole
MOST = 1e15  # largest magnitude of a number
KEPT = 4_000  # steps of a run that are kept; of longer runs every second, fourth, … one
T = TypeVar("T")


def read_model(folder: Path) -> Model:
    """Return whatever of the folder can be parsed; no content of it raises an error."""
    problems: list[str] = []
    about = _read(folder / "model.json", "model.json", _header, problems) or {}
    return Model(
        **{**_header({"format": "mlimg-model/1"}), **about},
        run=_history(folder / "history.jsonl", "history.jsonl", problems),
        evaluation=_read(folder / "evaluation.json", "evaluation.json", _evaluation, problems),
        transfer=_transfer(folder / "transfer", problems) if (folder / "transfer").is_dir() else None,
        problems=tuple(problems),
    )


def _read(path: Path, name: str, understood: Callable[[Any], T], problems: list[str]) -> T | None:
    """Return the JSON of a file parsed by `understood`; None if it is missing, or if it cannot be parsed.

    A file that exists and cannot be parsed adds a sentence to `problems`.
    """
    try:
        if not path.exists():
            return None
        return understood(json.loads(read_regular(path, LARGEST)))
    except OSError:
        problems.append(f"{name} cannot be read, so it is left out")
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        problems.append(f"{name} is left out: {_reason(error)}")
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON from line {error.lineno} on"
    if isinstance(error, UnicodeDecodeError):
        return "no text"
    return str(error) if type(error) is ValueError else "a value is of another kind than expected"


def _format(value: Any, wanted: str) -> None:
    if value["format"] != wanted:
        raise ValueError(f"its format is {str(value['format'])[:40]}, not {wanted}")


def _header(value: Any) -> dict[str, Any]:
    _format(value, "mlimg-model/1")
    digests = {str(name): str(digest) for name, digest in (value.get("digests") or {}).items()}
    return {
        "name": str(value.get("name", "")),
        "version": str(value.get("version", "")),
        "architecture": str(value.get("architecture", "")),
        "image_size": _whole(value.get("image_size")),
        "activation": str(value.get("activation", "")),
        "categories": len(value.get("categories") or ()),
        "step": _whole(value.get("step")),
        "epochs": _number(value.get("epochs")),
        "dataset_digest": digests.get("dataset", ""),
        "digests": tuple(sorted(digests.items())),
        "versions": tuple(sorted((str(k), str(v)) for k, v in (value.get("versions") or {}).items())),
    }


def _evaluation(value: Any) -> Evaluation:
    _format(value, "mlimg-evaluation/1")
    if value["kind"] != "multi_label":
        raise ValueError("it is not of a network that gives many labels")
    hierarchy = value.get("hierarchy") or {}
    return Evaluation(
        split=str(value["split"]),
        images=_count(value["images"]),
        step=_count(value["step"]),
        verified=_precision(value["verified"]),
        unknown_as_absent=_precision(value["unknown_as_absent"]),
        bands=tuple(
            Band(
                _count(band["from"]),
                _whole(band["to"]),
                _count(band["categories"]),
                _precision(band["verified"]),
                _precision(band["unknown_as_absent"]),
            )
            for band in value.get("bands") or ()
        ),
        at_k=tuple(
            AtK(_count(k), _number(found["precision"]), _number(found["recall"]))
            for k, found in sorted((value.get("at_k") or {}).items(), key=lambda item: int(item[0]))
        ),
        pairs=_count(hierarchy.get("pairs") or 0),
        share=_number(hierarchy.get("share")),
        share_confident=_number(hierarchy.get("share_confident")),
        categories=tuple(
            PerCategory(
                str(row["wnid"]),
                str(row["name"]),
                _count(row["train_positives"]),
                _count(row["positives"]),
                _count(row["negatives"]),
                _number(row["verified"]),
                _number(row["unknown_as_absent"]),
            )
            for row in value["categories"]
        ),
        always=_always(value.get("always")),
        reliability=tuple(
            _reliability(str(kind), found) for kind, found in (value.get("calibration") or {}).items()
        ),
        f1=_threshold(value.get("f1")),
        examples=tuple(_example(one, value["categories"]) for one in value.get("examples") or ()),
    )


def _example(value: Any, categories: Any) -> Example:
    labels = [(label, str(label["state"])) for label in value["given"]]
    labels += [(label, "missed") for label in value["missed"]]
    return Example(
        str(value["id"]),
        _count(value["row"]),
        _number(value["f1"]),
        tuple(
            JudgedLabel(
                str(categories[_count(label["category"])]["wnid"]),
                str(categories[_count(label["category"])]["name"]),
                _number(label["score"]),
                state,
            )
            for label, state in labels
        ),
    )


def _always(value: Any) -> tuple[str, float | None] | None:
    return None if value is None else (str(value["name"]), _number(value["precision"]))


def _threshold(value: Any) -> Threshold | None:
    if value is None:
        return None
    return Threshold(
        *(_number(value[name]) for name in ("threshold", "precision", "recall", "micro", "macro"))
    )


def _reliability(kind: str, value: Any) -> Reliability:
    return Reliability(
        kind,
        _count(value["entries"]),
        _number(value["expected_calibration_error"]),
        _number(value["brier"]),
        _number(value["mean_score"]),
        _number(value["share_present"]),
        tuple(
            (_count(one["entries"]), _number(one["score"]), _number(one["present"])) for one in value["bins"]
        ),
    )


def _precision(value: Any) -> Precision:
    return Precision(_number(value["map"]), _count(value["categories"]), _number(value.get("baseline")))


def _transfer(folder: Path, problems: list[str]) -> Transfer | None:
    def understood(value: Any) -> Transfer:
        _format(value, "mlimg-evaluation/1")
        if value["kind"] != "single_label":
            raise ValueError("it is not of a network that gives one label")
        scratch = value.get("scratch")
        return Transfer(
            split=str(value["split"]),
            images=_count(value["images"]),
            step=_count(value["step"]),
            tuned=Scored("pretrained here", _number(value["top1"]), _number(value["top5"])),
            scratch=Scored("from scratch", _number(scratch["top1"]), _number(scratch["top5"]))
            if scratch
            else None,
            categories=tuple(
                (str(row["wnid"]), str(row["name"]), _count(row["images"]), _number(row["top1"]))
                for row in value.get("categories") or ()
            ),
            run=_history(folder / "history.jsonl", "transfer/history.jsonl", problems),
            scratch_run=_history(
                folder / "scratch" / "history.jsonl", "transfer/scratch/history.jsonl", problems
            ),
        )

    return _read(folder / "evaluation.json", "transfer/evaluation.json", understood, problems)


def _history(path: Path, name: str, problems: list[str]) -> Run | None:
    steps: list[Step] = []
    evaluations: list[Measured] = []
    speeds: list[float] = []
    skipped, every, seen = 0, 1, 0
    try:
        for value in _lines(path):
            found = _event(value)
            if isinstance(found, Measured):
                evaluations.append(found)
            elif isinstance(found, Step):
                if seen % every == 0:
                    steps.append(found)
                    if speed := _speed(value):
                        speeds.append(speed)
                seen += 1
                if len(steps) > KEPT:
                    steps, speeds, every = steps[::2], speeds[::2], 2 * every
            else:
                skipped += 1
    except OSError:
        problems.append(f"{name} cannot be read, so it is left out")
        return None
    if skipped:
        problems.append(f"{name}: lines left out that make no sense: {skipped}")
    speed = sorted(speeds)[len(speeds) // 2] if speeds else None
    return Run(tuple(steps), tuple(evaluations), speed, skipped) if steps or evaluations else None


def _lines(path: Path) -> Iterator[Any]:
    """Yield the JSON value of each line, None if it is not JSON; nothing if there is no file."""
    if not path.exists():
        return
    with os.fdopen(open_regular(path), "rb") as stream:
        for line in stream:
            if line.strip():
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError):
                    yield None


def _event(value: Any) -> Step | Measured | None:
    try:
        if value["kind"] == "step":
            loss = _number(value["loss"])
            return None if loss is None else Step(_count(value["step"]), loss, _number(value.get("rate")))
        if value["kind"] == "evaluation":
            names = ("map", "map_verified", "baseline", "top1", "top5")
            return Measured(_count(value["step"]), *(_number(value.get(name)) for name in names))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        pass
    return None


def _speed(value: dict[str, Any]) -> float | None:
    try:
        return _number(value.get("images_per_second"))
    except (TypeError, ValueError, OverflowError):
        return None


def _number(value: Any) -> float | None:
    """Return a finite number, or None if there is none. Raises `ValueError` if it is above 1e15 in magnitude."""
    if value is None or isinstance(value, bool):
        return None
    number = float(value)
    if abs(number) > MOST and math.isfinite(number):
        raise ValueError("a number is out of range")
    return number if math.isfinite(number) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _count(value: Any) -> int:
    """Return a count. Raises `ValueError` if the value is not one."""
    number = _whole(value)
    if number is None or number < 0:
        raise ValueError("a count is no number")
    return number
