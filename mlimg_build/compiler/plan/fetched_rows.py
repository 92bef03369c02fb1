"""What came of the URLs of a shard: for each row without a file, a state, and the sha256 of its bytes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.arrow_tables import open_batches
from mlimg_build.compiler.engine.cache import Key, Store
from mlimg_build.compiler.plan.row_files import Shard
from mlimg_build.compiler.releases import release_digest
from mlimg_build.fetch.decisions import SIGNALS, Decision, FetchPolicy
from mlimg_build.fetch.outcomes import NEVER, STATES
from mlimg_build.fetch.store.ledger import Refusal
from mlimg_build.spec import LoadedSpec

__all__ = ["FetchKeys", "FetchedRow", "read_fetched", "url_rows", "write_fetched"]

STAGE = "fetched"
FETCHED_FORMAT = 1
FILE = "fetched.arrow"
SCHEMA = pa.schema(
    [("row", pa.int32()), ("state", pa.uint8()), ("digest", pa.string()), ("answer", pa.string())]
)


@dataclass(frozen=True, slots=True)
class FetchedRow:
    """What came of the URL of a row: a state's name, its sha256 in hex if it is ok, and why in one line."""

    state: str
    digest: str
    answer: str


@dataclass(frozen=True, slots=True)
class FetchKeys:
    """Makes the keys of fetched shards: what a row takes follows from its URL, its licence, the policy and the ledger.

    `policy` is that of the spec, `release` the sha256 of the file with the digests of a release, "" without one.
    """

    policy: FetchPolicy
    release: str = ""

    @property
    def stage(self) -> str:
        """The stage of the keys."""
        return STAGE

    @classmethod
    def of(cls, loaded: LoadedSpec) -> FetchKeys:
        """Return what a spec says of fetching.

        Raises:
            SpecError: `file-unreadable` if the file or the dataset of an earlier release cannot be read.
        """
        spec = loaded.spec
        rights = spec.rights
        obeyed = (rights.robots, rights.content_usage, rights.x_robots_tag, rights.tdm)
        policy = FetchPolicy(
            signals=frozenset(signal for signal, how in zip(SIGNALS, obeyed, strict=True) if how == "obey"),
            licences=None if rights.licences is None else rights.licences.allow,
            max_bytes=spec.fetch.max_bytes,
            placeholders=frozenset(spec.fetch.placeholders),
        )
        return cls(policy, release_digest(loaded))

    def key(self, shard: Shard) -> Key:
        """Return the key of what came of a shard's URLs."""
        licences = self.policy.licences
        policy = {
            "signals": sorted(self.policy.signals),
            "licences": None if licences is None else list(licences),
            "max_bytes": self.policy.max_bytes,
            "placeholders": sorted(self.policy.placeholders),
            "release": self.release,
        }
        return Key(STAGE, FETCHED_FORMAT, {"rows": shard.image_rows, "policy": policy})

    def content(self, shard: Shard, store: Store) -> str | None:
        """Return a digest (hex) of what came of a shard's URLs, None if nobody asked for them."""
        entry = store.entry(self.key(shard))
        return None if entry is None else str(entry["notes"]["content"])


def url_rows(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Return the rows of a shard whose images lie at URLs."""
    found: npt.NDArray[np.int64] = np.flatnonzero(
        pc.equal(batch.column("status"), "not_fetched").to_numpy(zero_copy_only=False)
    )
    return found


def write_fetched(
    folder: Path, rows: Sequence[int], decisions: Sequence[Decision], seen: Refusal
) -> Mapping[str, Any]:
    """Write what came of the URLs of a shard; return the notes: its content's digest, its states, when to ask again.

    `seen` is the latest refusal of the ledger, which is noted, too. Rows whose URL was never asked for are left
    out: they stay `not_fetched`.
    """
    told = [(row, one) for row, one in zip(rows, decisions, strict=True) if one.state is not None]
    states = [one.state for _, one in told if one.state is not None]
    columns = [
        [row for row, _ in told],
        [int(state) for state in states],
        [one.digest for _, one in told],
        [one.answer for _, one in told],
    ]
    batch = pa.record_batch(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )
    with pa.OSFile(str(folder / FILE), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_batch(batch)
    content = hashlib.sha256()
    for row, state, digest in zip(*columns[:3], strict=True):
        content.update(f"{row} {state} {digest}\n".encode())
    counts: dict[str, int] = {}
    for state in states:
        counts[state.name] = counts.get(state.name, 0) + 1
    again = min((one.again_at for one in decisions), default=NEVER)
    return {
        "content": content.hexdigest(),
        "states": dict(sorted(counts.items())),
        "unasked": len(rows) - len(told),
        "refusals": list(seen),
        "again_at": again if math.isfinite(again) else None,
    }


def read_fetched(folder: Path) -> dict[int, FetchedRow]:
    """Return what came of the URLs of a shard, by row."""
    table = open_batches(folder / FILE).read_all()
    return {
        row: FetchedRow(STATES[state].name, digest, answer)
        for row, state, digest, answer in zip(
            *(table.column(name).to_pylist() for name in SCHEMA.names), strict=True
        )
    }
