"""Create the report page about a dataset and its model, written atomically."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlimg_build.atomic import explaining_full_disk, process_umask, sync_file
from mlimg_build.compiler.plan.left_out import REASONS
from mlimg_build.compiler.plan_stage import interruptible
from mlimg_build.dataset import Dataset, Image, open_dataset
from mlimg_build.errors import BuildError, DatasetError, Problem, SpecError
from mlimg_build.explain.image_labels import explain_in
from mlimg_build.images import STATUSES, BadImage, decode_fully, encode
from mlimg_build.report import (
    ClashRow,
    ContradictionCard,
    Failure,
    Head,
    LeftOutRow,
    Model,
    Page,
    Picture,
    Statistics,
    TogetherRow,
    Trained,
    Tree,
    branches,
    charts,
    choose,
    coverage_of,
    curves,
    data_uri,
    decisions,
    draw,
    image_flow,
    label_flow,
    measure,
    picture,
    quarrel,
    read_model,
    records,
    render,
)
from mlimg_build.spec.yaml.reader import read_document

__all__ = ["write_report"]

PICTURES = 24
SIDE, QUALITY = 176, 72  # of the small pictures: the short side in pixels, and libjpeg's quality
PAIRS = 40  # most pairs of contradicting or co-occurring categories
BANDS = 8  # frequency bands in the chart
QUARRELS = 8  # contradictions shown in full
WIDE, NARROW = 1080, 380  # widths of the flow charts, in their own units
BUILT = (
    "name", "version", "fraction", "spec", "spec_file", "spec_digest", "sources", "mlimg_version", "counts",
)  # fmt: skip
STANDS = {1: "the presence", -1: "the absence", 0: "neither"}


def write_report(dataset: Path, to: Path, model: Path | None = None) -> Path:
    """Write the page about `dataset` to `to`, atomically; return `to`.

    Without `model`, NAME.model beside the dataset is used if it exists. Equal datasets and models give equal bytes.
    Unreadable parts of a model are left out, which the page reports.

    Raises:
        DatasetError: if the dataset cannot be read, or `not-replaceable` if `to` is a folder.
        BuildError: `model-missing` if `model` is not a folder.
        Interrupted: if it was stopped.
    """
    dataset = dataset.resolve()  # "." has no name
    if model is not None and not model.is_dir():
        hint = "give the folder NAME.model that training wrote, or leave it out"
        raise BuildError(Problem("model-missing", f"there is no folder {model}", hint=hint))
    beside = dataset.with_name(f"{dataset.name.removesuffix('.zarr')}.model")
    with interruptible(), open_dataset(dataset) as opened:
        opened.attributes_of_build(*BUILT, "own" if "own" in opened.attributes else "wordnet")
        text = render(_page(opened, model or (beside if beside.is_dir() else None)))
    _write(to, text)
    return to


def _page(dataset: Dataset, model: Path | None) -> Page:
    numbers = measure(dataset)
    meanings = {status.name: status.meaning for status in STATUSES}
    flows = [
        image_flow(numbers, dataset.sources, dataset.tables["statuses"], meanings),
        label_flow(numbers, dataset.sources),
    ]
    top, hidden = branches(dataset.categories)
    return Page(
        head=_head(dataset),
        numbers=numbers,
        flows=[
            (flow.title, draw(flow, width=WIDE), draw(flow, width=NARROW, narrow=True))
            for flow in flows
            if any(link.count for link in flow.links)
        ],
        plots={
            "rank": charts.rank(numbers.positives, numbers.negatives),
            "present": charts.histogram("present", numbers.scan.present, "present", "present"),
            "absent": charts.histogram("absent", charts.some(numbers.scan.absent), "absent", "absent"),
        },
        tree=Tree(top, hidden, records(dataset.categories, top)),
        decisions=decisions(dataset),
        clashes=list(_clashes(dataset, numbers)),
        clash_pairs=len(numbers.scan.clashes),
        quarrels=_quarrels(dataset, numbers),
        together=_together(dataset, numbers),
        together_pairs=len(dataset.pairs),
        left_out_pairs=dataset.attributes.get("pairs_left_out", {}),
        failures=[
            Failure(status, meanings.get(status, ""), count, numbers.scan.failures.get(status, ()))
            for status, count in numbers.failed.items()
        ],
        left_out=[
            LeftOutRow(one.source, one.reason, REASONS.get(one.reason, ""), one.count)
            for one in numbers.left_out_by
        ],
        pictures=[_picture(dataset, place) for place in choose(dataset, numbers.scan, PICTURES)],
        trained=_trained(model, dataset) if model else None,
        coverage=coverage_of(dataset.attributes, meanings),
    )


def _head(dataset: Dataset) -> Head:
    given = dataset.attributes
    return Head(
        name=given["name"],
        version=given["version"],
        description=_description(given["spec"], given["spec_file"]),
        fraction=given["fraction"],
        digest=dataset.digest,
        file=given["spec_file"],
        spec=given["spec"],
        spec_digest=given["spec_digest"],
        nouns=_nouns(given),
        mlimg_version=given["mlimg_version"],
        format=given["format"],
        sources=tuple((name, source["type"], source["digest"]) for name, source in given["sources"].items()),
    )


def _nouns(given: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Return what the vocabulary is made of: its name, digest, and kind."""
    found = []
    if wordnet := given.get("wordnet"):
        found.append((f"WordNet {wordnet['release']}", wordnet["digest"], "nouns"))
    if own := given.get("own"):
        found.append(("own categories", own["digest"], f"{own['categories']:,} of the spec's vocabulary"))
    return tuple(found)


def _description(text: str, file: str) -> str:
    try:
        return str(read_document(text, file).data.get("description", ""))
    except SpecError:
        return ""


def _clashes(dataset: Dataset, numbers: Statistics) -> Iterator[ClashRow]:
    names, wnids = dataset.categories.names, dataset.categories.wnid
    for clash in numbers.scan.clashes[:PAIRS]:
        yield ClashRow(
            absent=wnids[clash.absent],
            absent_name=names[clash.absent],
            present=wnids[clash.present],
            present_name=names[clash.present],
            stands=STANDS[clash.kept],
            count=clash.count,
            examples=tuple(dataset[split][row].id for split, row in clash.examples),
        )


def _together(dataset: Dataset, numbers: Statistics) -> list[TogetherRow]:
    names, wnids, added = dataset.categories.names, dataset.categories.wnid, numbers.scan.added
    rows = [
        TogetherRow(
            antecedent=wnids[pair.antecedent],
            antecedent_name=names[pair.antecedent],
            consequent=wnids[pair.consequent],
            consequent_name=names[pair.consequent],
            together=pair.together,
            images=pair.images,
            bound=pair.bound,
            added=added.get((pair.antecedent, pair.consequent), 0),
        )
        for pair in dataset.pairs
    ]
    return sorted(rows, key=lambda row: (-row.added, row.antecedent, row.consequent))[:PAIRS]


def _quarrels(dataset: Dataset, numbers: Statistics) -> list[ContradictionCard]:
    """Return one contradiction in full for each of the most frequent pairs of categories."""
    told: list[ContradictionCard] = []
    for clash in numbers.scan.clashes[:QUARRELS]:
        for split, row in clash.examples:
            image = dataset[split][row]
            wanted = [
                i
                for i, found in enumerate(image.contradictions)
                if (found.absent, found.present, found.kept) == (clash.absent, clash.present, clash.kept)
            ]
            if wanted:  # merged with its copies, an image may have other contradictions than its shard lists
                told.append(quarrel(image.id, explain_in(dataset, image.id)["contradictions"][wanted[0]]))
                break
    return told


def _picture(dataset: Dataset, place: tuple[str, int]) -> Picture:
    image = dataset[place[0]][place[1]]
    return picture(explain_in(dataset, image.id), _thumbnail(image))


def _thumbnail(image: Image) -> bytes:
    """Return a small JPEG of an image; b"" if it has no bytes or cannot be decoded."""
    data = image.data
    if not data:
        return b""
    try:
        proof = decode_fully(data, max(image.width * image.height, 1))
        return encode(data, proof, SIDE, QUALITY)[0]
    except BadImage:
        return b""


def _trained(folder: Path, dataset: Dataset) -> Trained:
    model = read_model(folder)
    strange = model.dataset_digest not in ("", dataset.digest)
    plots: dict[str, str] = {}
    if model.run:
        lines = [
            ("verified labels only", model.run, "map_verified"),
            ("unknown taken as absent", model.run, "map"),
            ("scored by frequency", model.run, "baseline"),
        ]
        plots["loss"] = curves.loss([("training", model.run)], "main")
        plots["rate"] = curves.rate(model.run, "main")
        plots["map"] = curves.measures(lines, "main", "validation mAP")
    if model.evaluation:
        plots["bands"] = curves.bands(model.evaluation.bands[:BANDS])
        plots["reliability"] = curves.reliability(model.evaluation.reliability)
    if model.transfer:
        runs = [("pretrained here", model.transfer.run), ("from scratch", model.transfer.scratch_run)]
        there = [(label, run) for label, run in runs if run]
        plots["transfer_loss"] = curves.loss(there, "transfer")
        tops = [(label, run, "top1") for label, run in there]
        plots["transfer_top1"] = curves.measures(tops, "transfer", "top-1 accuracy")
    return Trained(model, plots, strange, () if strange else tuple(_judged(dataset, model)))


def _judged(dataset: Dataset, model: Model) -> Iterator[str]:
    """Yield a thumbnail for each image that the evaluation gives as an example, "" if it is another one."""
    found = model.evaluation
    split = dataset.splits.get(found.split) if found else None
    for example in found.examples if found else ():
        same = split is not None and example.row < len(split) and split[example.row].id == example.id
        yield data_uri(_thumbnail(split[example.row])) if same and split is not None else ""


def _write(to: Path, text: str) -> None:
    """Write the text to `to` atomically and sync it to the disk."""
    if to.is_dir():
        raise DatasetError(
            Problem("not-replaceable", f"{to} is a folder", hint="name a file, such as report.html")
        )
    to.parent.mkdir(parents=True, exist_ok=True)
    with explaining_full_disk(to):
        number, name = tempfile.mkstemp(prefix=f".{to.name}.", suffix=".tmp", dir=to.parent)
        temporary = Path(name)
        try:
            with os.fdopen(number, "w", encoding="utf-8", errors="replace", newline="\n") as stream:
                stream.write(text)
            temporary.chmod(0o666 & ~process_umask())  # mkstemp's 0600 would exclude all other readers
            sync_file(temporary)
            temporary.replace(to)
            sync_file(to.parent)
        finally:
            temporary.unlink(missing_ok=True)
