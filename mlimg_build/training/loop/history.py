"""The history of a run: one line of JSON per record, and the same values for TensorBoard."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from mlimg_build.regular_files import open_regular

__all__ = ["History", "read_history"]


class History:
    """Appends to `folder/history.jsonl` and to `folder/tensorboard`; records after step `start` are removed first.

    So a run that was killed and resumes from a checkpoint has one record per step, as if it had never stopped.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self.path = folder / "history.jsonl"
        kept = [record for record in read_history(self.path) if record["step"] <= start]
        folder.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        temporary.write_text("".join(f"{json.dumps(record)}\n" for record in kept))
        temporary.replace(self.path)
        self._stream = self.path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1)

    def step(self, step: int, **values: float) -> None:
        """Record the values of a training step.

        They are `epoch`, `loss`, `rate`, `gradient_norm` (before clipping), `images_per_second`, and `waiting`: the
        share of the time since the record before in which the run waited for its batches.
        """
        self._write("step", step, values)

    def evaluation(self, step: int, **values: float | None) -> None:
        """Record an evaluation after a step."""
        self._write("evaluation", step, values)

    def _write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        self._stream.write(f"{json.dumps({'kind': kind, 'step': step, **values})}\n")
        self._stream.flush()
        for name, value in values.items():
            if value is not None:
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Close both files; everything is written then."""
        self._stream.close()
        self._board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_history(path: Path) -> list[dict[str, Any]]:
    """Return the records of a `history.jsonl`, oldest first, without lines that are none (a cut-off last line)."""
    records: list[dict[str, Any]] = []
    try:
        stream = os.fdopen(open_regular(path), encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return records
    with stream:
        lines = stream.readlines()
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if (
            isinstance(record, dict)
            and isinstance(record.get("kind"), str)
            and type(record.get("step")) is int
        ):
            records.append(record)
    return records
