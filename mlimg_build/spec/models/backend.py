"""Backends: where a build runs. Nothing here changes a result."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from mlimg_build.errors import Problem, SpecError
from mlimg_build.spec.field_types import (
    ByteSize,
    Flag,
    Number,
    OptionalFile,
    Part,
    Whole,
    known_type,
    refusal,
    tag_of,
)
from mlimg_build.spec.reading import read_model, read_text
from mlimg_build.spec.suggestions import listed, nearest
from mlimg_build.spec.yaml.scalars import shown

__all__ = [
    "Backend",
    "FetchBackend",
    "InlineCluster",
    "LocalCluster",
    "SchedulerCluster",
    "TrainingBackend",
    "load_backend",
    "shipped_backends",
]

ADDRESS = re.compile(r"(tcp|tls|ws|wss)://(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}")
TYPES = ("local", "scheduler", "inline")


def _address(value: str) -> str:
    if ADDRESS.fullmatch(value):
        return value
    raise refusal(
        "wrong-value", f"expected the address of a Dask scheduler, found {shown(value)}", "tcp://host:8786"
    )


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        hint = "10.1.0.0/16, or fd00::/8"
        raise refusal("wrong-value", f"expected a network, found {shown(value)}", hint) from None


def _name_server(value: str) -> str:
    host, colon, port = (
        value.rpartition(":") if value.count(":") == 1 or value.startswith("[") else (value, "", "")
    )
    try:
        ipaddress.ip_address(host.strip("[]") or port)
        if not colon or 0 < int(port) < 65_536:
            return value
    except ValueError:
        pass
    hint = "10.0.0.53, 10.0.0.53:5353, or [fd00::53]:5353"
    raise refusal("wrong-value", f"expected the address of a name server, found {shown(value)}", hint)


Network = Annotated[str, AfterValidator(_network)]
NameServer = Annotated[str, AfterValidator(_name_server)]


class LocalCluster(Part):
    """Worker processes on this machine, listening on 127.0.0.1 only."""

    type: Literal["local"] = Field(default="local", description="worker processes on this machine")
    workers: Whole | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="worker processes at most, as there may be fewer tasks; null for one a core",
    )
    memory: ByteSize | None = Field(
        default=None, description='memory of a worker, such as "4 GiB"; null for an equal share'
    )
    timeout_seconds: Number = Field(
        default=120.0,
        gt=0,
        description="seconds to wait for the workers to start, or for one that can take a task",
    )


class SchedulerCluster(Part):
    """A Dask cluster that runs already."""

    type: Literal["scheduler"] = Field(description="a Dask cluster that runs already")
    address: Annotated[str, AfterValidator(_address)] = Field(
        description="address of its scheduler: tcp://host:8786"
    )
    timeout_seconds: Number = Field(
        default=30.0,
        gt=0,
        description="seconds to wait for the scheduler, or for a worker that can take a task",
    )


class InlineCluster(Part):
    """No cluster: tasks run in the process of the build."""

    type: Literal["inline"] = Field(
        description="no workers: tasks run one after the other in the process of the build, which starts at once"
    )


def _known_type(value: Any) -> Any:
    return known_type(value, TYPES, "cluster")


def _type_tag(value: Any) -> str:
    given = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return tag_of(given if given in ("scheduler", "inline") else "local")


class TrainingBackend(Part):
    """How a network is trained on this machine."""

    loader_workers: Whole | None = Field(
        default=None,
        le=1024,
        description="threads that decode images with the decoder partial, processes with whole; "
        "null for one a core with a GPU and for one without, 0 for none",
    )
    loader_prefetch: Whole = Field(
        default=2,
        ge=1,
        le=64,
        description="batches, or parts of 256 images of a larger one, that each of them makes ahead",
    )
    loader_timeout_seconds: Number = Field(
        default=300.0,
        gt=0,
        description="seconds of waiting for images after which a run ends with an error",
    )
    checkpoint_minutes: Number = Field(
        default=15.0,
        ge=0,
        description="minutes between checkpoints; one more comes at the end of every epoch",
    )
    keep_checkpoints: Whole = Field(default=2, ge=1, description="newest checkpoints of a run that are kept")
    keep_finished: Whole = Field(
        default=1,
        ge=1,
        description="newest checkpoints of a finished run that are kept, set-aside ones included",
    )
    evaluate_epochs: Whole = Field(
        default=1, ge=1, description="epochs between evaluations on the validation images"
    )
    evaluate_images: Whole = Field(
        default=10_000,
        ge=1,
        description="validation images that are measured between epochs, the same each time; all are at the end",
    )
    compile: Flag = Field(default=True, description="use torch.compile on a GPU")
    deterministic: Flag = Field(
        default=False, description="on a GPU, only operations that give the same bits every time; slower"
    )


class FetchBackend(Part):
    """How images that lie at URLs are asked for from here, and where they are kept."""

    store: str | None = Field(
        default=None,
        description="folder or URL (s3://BUCKET/PREFIX) that keeps what came, for all builds; null for one in --out",
    )
    concurrency: Whole = Field(
        default=256, ge=1, le=10_000, description="requests under way at a time, over all workers"
    )
    per_host: Whole = Field(
        default=16, ge=1, le=1000, description="requests under way at a time to one host, over all workers"
    )
    connect_seconds: Number = Field(default=10.0, gt=0, description="seconds for a connection, TLS included")
    deadline_seconds: Number = Field(
        default=60.0, gt=0, description="seconds for one image, redirects included"
    )
    min_rate: ByteSize = Field(
        default=1000, description="bytes a second; an answer that is slower over 10 s is given up"
    )
    attempts: Whole = Field(
        default=3, ge=1, le=20, description="requests for one image in one run, if the failure may pass"
    )
    allow_networks: tuple[Network, ...] = Field(
        default=(),
        description="networks that may be asked though they are private, such as 10.1.0.0/16; none without it",
    )
    name_servers: tuple[NameServer, ...] = Field(
        default=(),
        description="name servers that are asked, ADDRESS or ADDRESS:PORT; the system's without it",
    )
    authorities: OptionalFile = Field(
        default=None, description="PEM file of certificate authorities that are trusted besides the system's"
    )


class Backend(Part):
    """Where a build runs."""

    backend: Literal[1] = Field(default=1, description="version of this language: 1")
    cluster: Annotated[
        Annotated[LocalCluster, Tag("<local>")]
        | Annotated[SchedulerCluster, Tag("<scheduler>")]
        | Annotated[InlineCluster, Tag("<inline>")],
        Discriminator(_type_tag),
        BeforeValidator(_known_type),
    ] = Field(default_factory=LocalCluster, description="what runs the tasks")
    verify_linked: Literal["sample", "all", "none"] = Field(
        default="sample",
        description="which images of an earlier build are compared with their digests before they are used again: "
        "some of each shard, all or none; labels and columns always are, unless none",
    )
    fetch: FetchBackend = Field(
        default_factory=FetchBackend, description="how images that lie at URLs are asked for from here"
    )
    training: TrainingBackend = Field(
        default_factory=TrainingBackend, description="how a network is trained on this machine"
    )


def load_backend(path: Path | None, variables: Mapping[str, str] | None = None) -> Backend:
    """Return the backend in the file at `path`, or the shipped profile of that bare name; local workers for None.

    `variables` are the environment unless given.

    Raises:
        SpecError: with all problems, sorted by place.
    """
    if path is None:
        return Backend()
    variables = os.environ if variables is None else variables
    if not path.exists() and path.name == str(path):
        profiles = shipped_backends()
        if path.name in profiles:
            return _parse(profiles[path.name], f"{path.name}.yaml", Path(), variables)
        near = nearest(path.name, profiles)
        hint = (
            f'did you mean "{near}"?'
            if near
            else f"name a file, or a shipped backend: {listed(profiles, 'or')}"
        )
        raise SpecError(Problem("backend-missing", f"there is no backend {path}", hint=hint))
    try:
        text = read_text(path, "backend")
    except SpecError as error:
        if error.code != "spec-missing":
            raise
        hint = f"check the path, or name a shipped backend: {listed(shipped_backends(), 'or')}"
        raise SpecError(Problem("backend-missing", f"there is no backend {path}", hint=hint)) from None
    return _parse(text, str(path), path.parent, variables)


def shipped_backends() -> dict[str, str]:
    """Return the text of every shipped profile, by name, sorted."""
    folder = files("mlimg_build.backends")
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return {
        entry.name.removesuffix(".yaml"): entry.read_text("utf-8")
        for entry in sorted(found, key=lambda e: e.name)
    }


def _parse(text: str, file: str, directory: Path, variables: Mapping[str, str]) -> Backend:
    return read_model(Backend, text, file, directory, variables)[0]
