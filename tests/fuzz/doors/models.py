"""A model, a run and their files: model.json, histories, evaluations, checkpoints, weights, WordNet's graph."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mlimg_build.dataset.format.column_types import StoredImage
from mlimg_build.dataset.format.layout import Layout
from mlimg_build.dataset.write.shard_writer import RESULT, ImagesWriter, read_result
from mlimg_build.report import read_model
from mlimg_build.wordnet import Glosses, NounGraph, load
from mlimg_build.wordnet.content import RELATIONS, Content
from mlimg_build.wordnet.glosses import pack_glosses
from mlimg_build.wordnet.storage import save
from tests.fuzz.door import Door
from tests.fuzz.doors.datasets import STORED
from tests.support.model_folder import write_model

__all__ = ["DOORS"]

STEP = "step-00000007"
NETWORK = "resnet18"


@lru_cache(maxsize=1)
def model_files() -> dict[str, bytes]:
    """A model folder, its histories shortened."""
    import mlimg_build.training.loop.history
    import mlimg_build.training.model.model_files  # noqa: F401  torch takes more memory than an input may

    with tempfile.TemporaryDirectory() as name:
        with zipfile.ZipFile(STORED) as archive:
            archive.extractall(name)
        folder = write_model(Path(name) / "hand.model", Path(name) / "world.zarr")
        found = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                lines = path.read_bytes().splitlines(keepends=True)
                below = path.relative_to(folder).as_posix()
                found[below] = b"".join(lines[:8]) if path.suffix == ".jsonl" else path.read_bytes()
        return found


def furnish_model(room: Path) -> None:
    for name, data in model_files().items():
        (room / name).parent.mkdir(parents=True, exist_ok=True)
        (room / name).write_bytes(data)


def model(path: Path) -> None:
    from mlimg_build.training.loop.history import read_history
    from mlimg_build.training.model.model_files import read_card

    room = next(folder for folder in path.parents if folder.name not in ("transfer", "scratch"))
    found = read_model(room)
    assert all(problem for problem in found.problems)
    _ = [record["step"] <= 3 for record in read_history(room / "history.jsonl")]  # as a run that goes on does
    read_card(room)


@lru_cache(maxsize=1)
def checkpoint() -> bytes:
    import torch

    import mlimg_build.training.loop.checkpoints  # noqa: F401

    stream = io.BytesIO()
    state: dict[str, Any] = {
        "format": "mlimg-checkpoint/1",
        "step": 7,
        "outputs": 2,
        "architecture": NETWORK,
        "digests": {"dataset": "2" * 64},
        "key": "3" * 64,
        "network": {"head": torch.arange(6.0).reshape(2, 3)},
        "loss": {},
        "average": None,
        "position": {"batch_size": 8, "seed": 0, "shards_mixed": 1, "steps_per_epoch": 3, "epochs": 2},
        "optimizer": {"state": {}, "lr": 0.1},
        "random": torch.zeros(8, dtype=torch.uint8),
    }
    torch.save(state, stream)
    return stream.getvalue()


def furnish_checkpoint(room: Path) -> None:
    place_checkpoint(room / f"{STEP}.pt", checkpoint())


def place_checkpoint(path: Path, data: bytes) -> None:
    """A checkpoint's record has the digest of whatever it is."""
    path.write_bytes(data)
    if path.suffix == ".pt":
        record = {"format": "mlimg-checkpoint/1", "step": 7, "sha256": hashlib.sha256(data).hexdigest()}
        path.with_suffix(".json").write_text(json.dumps(record))


def read_checkpoint(path: Path) -> None:
    from mlimg_build.training.loop.checkpoints import latest, load, refuse_another, refuse_slim, spare_bytes

    found = latest(path.parent)
    assert found is not None
    state = load(found)
    spare_bytes(found)
    refuse_another(state, found, dataset="2" * 64, outputs=2, architecture=NETWORK)
    refuse_slim(state, found)


def checkpoint_seeds() -> list[bytes]:
    record = {"format": "mlimg-checkpoint/1", "step": 7, "sha256": hashlib.sha256(checkpoint()).hexdigest()}
    return [f"{STEP}.json\n{json.dumps(record)}".encode(), f"{STEP}.pt\n".encode() + checkpoint()]


def weights(path: Path) -> None:
    from mlimg_build.training.model.initial_weights import _read

    found = _read(path)
    _ = [tuple(tensor.shape) for tensor in found.values()]


def weight_seeds() -> list[bytes]:
    import safetensors.torch
    import torch

    import mlimg_build.training.model.initial_weights  # noqa: F401

    tensors = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2, dtype=torch.bfloat16)}
    return [safetensors.torch.save(tensors, metadata={"format": "pt"})]


def wordnet(path: Path) -> None:
    graph = load(path)
    assert graph.digest


@lru_cache(maxsize=1)
def graphs() -> list[bytes]:
    """Two nouns; the whole graph would be mostly its middle."""
    edge, none = np.array([[1, 0]], np.int32), np.empty((0, 2), np.int32)
    content = Content(
        release="3.0",
        offsets=np.array([2083346, 2084071], np.int32),
        lexfiles=np.array([0, 0], np.uint8),
        lexnames=("noun.animal",),
        word_start=np.array([0, 1, 3], np.int32),
        words=("canine", "dog", "domestic_dog"),
        sense_order=np.array([0, 1, 2], np.int32),
        pairs={relation: edge if relation == "hypernym" else none for relation in RELATIONS},
        exceptions={"dogges": ("dog",)},
    )
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "nouns.npz"
        save(NounGraph(content), path)
        return [path.read_bytes()]


def glosses(path: Path) -> None:
    known = Glosses(path, "d")
    _ = [known.of(wnid) for wnid in ("n02083346", "n02084071")]


def gloss_files() -> list[bytes]:
    return [pack_glosses({"n02083346": "a mammal", "n02084071": 'it barks; "the dog barked"'}, "3.0", "d")]


def result(path: Path) -> None:
    read_result(path.parent, "images")


def result_seeds() -> list[bytes]:
    """The record of an artefact of one image, as a worker leaves it."""
    data = b"an image"
    image = StoredImage("crowd/a", 0, 0, data, 4, 4, hashlib.sha256(data).digest(), 0, "me")
    with tempfile.TemporaryDirectory() as name:
        with ImagesWriter(Path(name), Layout(4)) as writer:
            writer.add(image)
        return [(Path(name) / RESULT).read_bytes()]


JSON = (
    b'"step":',
    b'"categories":',
    b'"parents": [0]',
    b'"kind": "step"',
    b"NaN",
    b"Infinity",
    b"1e400",
    b"{",
    b"}",
)
PICKLE = (
    b"cos\nsystem\n(S'true'\ntR.",
    b"\x80\x02",
    b"ctorch\n_C\n",
    b"PK\x03\x04",
    b"data.pkl",
    b"BINUNICODE",
    b".",
)

DOORS = (
    Door(
        "model",
        model,
        lambda: [name.encode() + b"\n" + data for name, data in model_files().items()],
        lambda: tuple(model_files()),
        furnish_model,
        tokens=JSON,
        tree=True,
        needs=("torch",),
    ),
    Door(
        "checkpoint",
        read_checkpoint,
        checkpoint_seeds,
        (f"{STEP}.json", f"{STEP}.pt"),
        furnish_checkpoint,
        place_checkpoint,
        tokens=(*JSON, *PICKLE),
        tree=True,
        needs=("torch",),
    ),
    Door("weights", weights, weight_seeds, ("x.safetensors",), tokens=JSON, needs=("torch", "safetensors")),
    Door(
        "wordnet",
        wordnet,
        graphs,
        ("nouns.npz",),
        tokens=(b"PK\x03\x04", b"PK\x01\x02", b"\x93NUMPY", b"'descr': '|O'"),
    ),
    Door("glosses", glosses, gloss_files, ("g.zip",), tokens=(b"PK\x03\x04", b"PK\x01\x02", *JSON)),
    Door("result", result, result_seeds, ("result.json",), tokens=JSON, tree=True),
)
