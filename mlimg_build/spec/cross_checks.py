"""Checks across the parts of a spec; they read the data, so that findings are shown beside other problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlimg_build.category_ids import folded_id
from mlimg_build.spec.models.networks import RESNET_STAGES, RESNETS
from mlimg_build.spec.models.requirements import OF_MODEL, OF_TRANSFER
from mlimg_build.spec.models.sources import TYPES
from mlimg_build.spec.suggestions import listed, nearest
from mlimg_build.spec.validation_messages import Finding
from mlimg_build.spec.yaml.scalars import shown

__all__ = ["check_spec"]

COLUMNED = ("parquet", "table")  # types of sources whose rows may have a column of groups
NEEDS_NOUNS = {
    "own": "every name is a category of its own here; remove `kind: flat` to add categories to WordNet's nouns",
    "merge": "categories of equal names are one here; `join` makes others one",
    "mapping": "names are taken as they are; `join` makes several one, `exclude` of a source leaves one out",
    "collapse": "a flat vocabulary has nothing below a category; `join` makes several one",
    "ancestors": "a flat vocabulary has no ancestors",
    "exclude_below": "a flat vocabulary has nothing below a category; write `exclude`",
}
"""The keys of a vocabulary that need WordNet, each with what a flat one has in their place."""


def check_spec(data: dict[str, Any]) -> Iterator[Finding]:
    """Yield what does not fit together; parts of a wrong type are left to the models."""
    yield from _transfer(data)
    yield from _frozen(data)
    yield from _learnt(data)
    yield from _grouped(data)
    yield from _required(data)
    vocabulary = data.get("vocabulary")
    if isinstance(vocabulary, dict):
        yield from _joins(vocabulary)
        yield from _collapsed(vocabulary)
        yield from _included(vocabulary)
        if vocabulary.get("kind") == "flat":
            yield from _flat(data, vocabulary)


def _transfer(data: dict[str, Any]) -> Iterator[Finding]:
    transfer, sources = data.get("transfer"), data.get("sources")
    if not isinstance(transfer, dict):
        return
    if data.get("training") is None:
        message = "transfer needs a trained network, and there is no training"
        yield Finding(
            "missing-key", message, ("transfer",), "add training: {} for the published recipe", True
        )
    name = transfer.get("source")
    if isinstance(name, str) and isinstance(sources, dict) and name not in sources:
        near = nearest(name, sources)
        names = f"the sources are {listed(sources)}" if sources else "there are no sources"
        hint = f'did you mean "{near}"?' if near else names
        yield Finding("unknown-source", f"there is no source {shown(name)}", ("transfer", "source"), hint)


def _required(data: dict[str, Any]) -> Iterator[Finding]:
    """Check that nothing is required of a model or a transfer that the spec does not have."""
    require = data.get("require")
    for key in require if isinstance(require, dict) else ():
        lacks = "training" if key in OF_MODEL else "transfer" if key in OF_TRANSFER else None
        if lacks is not None and data.get(lacks) is None:
            message = f"{key} is required, and there is no {lacks}"
            yield Finding("wrong-value", message, ("require", key), f"add {lacks}, or remove the line", True)


def _frozen(data: dict[str, Any]) -> Iterator[Finding]:
    """Check that no more stages are frozen than a ResNet has; those of timm are checked where timm is loaded."""
    training, transfer = data.get("training"), data.get("transfer")
    model = training.get("model", RESNETS[0]) if isinstance(training, dict) else None
    stages = transfer.get("freeze_stages") if isinstance(transfer, dict) else None
    if not isinstance(model, str) or not isinstance(stages, int) or model.startswith("timm/"):
        return
    if stages > RESNET_STAGES:
        message = f"expected at most {RESNET_STAGES}, found {stages}"
        hint = "a ResNet has five stages: the stem and four layers"
        yield Finding("wrong-value", message, ("transfer", "freeze_stages"), hint)


def _learnt(data: dict[str, Any]) -> Iterator[Finding]:
    annotation, sources = data.get("annotation"), data.get("sources")
    part = annotation.get("cooccurrence") if isinstance(annotation, dict) else None
    if not isinstance(part, dict) or not isinstance(sources, dict):
        return
    for field in ("learn_from", "add_to"):
        given = part.get(field)
        for i, name in enumerate(given if isinstance(given, tuple) else ()):
            if isinstance(name, str) and name not in sources:
                near = nearest(name, sources)
                names = f"the sources are {listed(sources)}" if sources else "there are no sources"
                hint = f'did you mean "{near}"?' if near else names
                path = ("annotation", "cooccurrence", field, i)
                yield Finding("unknown-source", f"there is no source {shown(name)}", path, hint)


def _grouped(data: dict[str, Any]) -> Iterator[Finding]:
    """Check that a group is given by a column only for sources whose rows have columns."""
    split, sources = data.get("split"), data.get("sources")
    by = split.get("by") if isinstance(split, dict) else None
    for name, source in sources.items() if isinstance(sources, dict) else ():
        if not isinstance(source, dict) or source.get("type") not in TYPES or source["type"] in COLUMNED:
            continue
        message = f"source {name} is of type {source['type']} and has no columns"
        own = source.get("group")
        if isinstance(own, dict) and "column" in own:
            hint = "give a file or a pattern"
            yield Finding("wrong-value", message, ("sources", name, "group", "column"), hint)
        elif (
            own is None and isinstance(by, dict) and "column" in by and source.get("split", "auto") == "auto"
        ):
            hint = f"write `group: {{column: …}}` at tables and Parquet alone, or `group: {{pattern: …}}` at {name}"
            yield Finding("wrong-value", message, ("split", "by", "column"), hint)


def _flat(data: dict[str, Any], vocabulary: dict[str, Any]) -> Iterator[Finding]:
    """Check that a flat vocabulary has no key that needs WordNet or an order of categories."""
    for key, hint in NEEDS_NOUNS.items():
        if key in vocabulary:
            message = f"{key} needs WordNet, and the vocabulary is flat"
            yield Finding("flat-vocabulary", message, ("vocabulary", key), hint, True)
    for key, hint in (
        ("hierarchy", "remove it, or remove `kind: flat`"),
        ("wordnet", "remove it, or remove `kind: flat`"),
    ):
        if key in data:
            message = f"{key} needs WordNet, and the vocabulary is flat"
            yield Finding("flat-vocabulary", message, (key,), hint, True)


def _joins(vocabulary: dict[str, Any]) -> Iterator[Finding]:
    join = vocabulary.get("join")
    if not isinstance(join, dict):
        return
    heads = {*map(folded_id, join)}
    into: dict[str, str] = {}
    written: dict[str, str] = {}
    for spelled, joined in join.items():
        key = folded_id(spelled)
        if written.setdefault(key, spelled) != spelled:
            message = f"{shown(spelled)} is {shown(written[key])}, which stands above"
            hint = "own categories are the same in upper and lower case; make one list of the two"
            yield Finding("bad-join", message, ("vocabulary", "join", spelled), hint, True)
        for i, given in enumerate(joined if isinstance(joined, tuple) else ()):
            path = ("vocabulary", "join", spelled, i)
            if not isinstance(given, str):
                continue
            wnid = folded_id(given)
            if wnid == key:
                yield Finding(
                    "bad-join", f"{shown(wnid)} is joined into itself", path, "remove it from the list"
                )
            elif wnid in into:
                message = f"{shown(wnid)} is joined twice: into {into[wnid]} and {key}"
                yield Finding("bad-join", message, path, "keep one of the two")
            elif wnid in heads:
                message = f"{shown(wnid)} is joined into {key}, and others are joined into it"
                yield Finding(
                    "bad-join", message, path, f"join the others into {key} as well: joins make no chains"
                )
            into.setdefault(wnid, key)


def _collapsed(vocabulary: dict[str, Any]) -> Iterator[Finding]:
    join, collapse = vocabulary.get("join"), vocabulary.get("collapse")
    if not isinstance(join, dict) or not isinstance(collapse, tuple):
        return
    joined = [(old, new) for new, olds in join.items() if isinstance(olds, tuple) for old in olds]
    into = {folded_id(old): new for old, new in joined if isinstance(old, str)}
    for i, wnid in enumerate(collapse):
        if isinstance(wnid, str) and (new := into.get(folded_id(wnid))) is not None:
            message = f"{shown(wnid)} is joined into {new}, so nothing can become it"
            hint = f"collapse {new} instead"
            yield Finding("bad-join", message, ("vocabulary", "collapse", i), hint)


def _included(vocabulary: dict[str, Any]) -> Iterator[Finding]:
    include, exclude = vocabulary.get("include"), vocabulary.get("exclude")
    if not isinstance(include, tuple) or not isinstance(exclude, tuple):
        return
    excluded = {folded_id(wnid) for wnid in exclude if isinstance(wnid, str)}
    for i, wnid in enumerate(include):
        if isinstance(wnid, str) and folded_id(wnid) in excluded:
            path = ("vocabulary", "include", i)
            yield Finding(
                "bad-include", f"{shown(wnid)} is both included and excluded", path, "keep one of the two"
            )
