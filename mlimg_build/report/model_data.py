"""The contents of a model folder: its training, its evaluation, its transfer."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AtK",
    "Band",
    "Evaluation",
    "Example",
    "JudgedLabel",
    "Measured",
    "Model",
    "PerCategory",
    "Precision",
    "Reliability",
    "Run",
    "Scored",
    "Step",
    "Threshold",
    "Transfer",
]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a training: the loss and learning rate at a step."""

    step: int
    loss: float
    rate: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One evaluation during a training; each measure is None if it does not apply."""

    step: int
    map: float | None
    map_verified: float | None
    baseline: float | None
    top1: float | None
    top5: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """The history of one training; `skipped` counts lines that cannot be parsed."""

    steps: tuple[Step, ...]
    evaluations: tuple[Measured, ...]
    speed: float | None
    skipped: int


@dataclass(frozen=True, slots=True)
class Precision:
    """A mean average precision, its number of categories, and the baseline of scoring by frequency."""

    map: float | None
    categories: int
    baseline: float | None


@dataclass(frozen=True, slots=True)
class Band:
    """The precision over categories with `first` to `last` training images (None: no upper limit)."""

    first: int
    last: int | None
    categories: int
    verified: Precision
    unknown_as_absent: Precision


@dataclass(frozen=True, slots=True)
class AtK:
    """Precision and recall of the k best scores of an image."""

    k: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class PerCategory:
    """The average precision of one category, and its numbers of images in training and in the evaluated split."""

    wnid: str
    name: str
    train_positives: int
    positives: int
    negatives: int
    verified: float | None
    unknown_as_absent: float | None


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether scores are probabilities, over entries of one `kind`; `bins` are (entries, score, share present)."""

    kind: str
    entries: int
    error: float | None
    brier: float | None
    mean_score: float | None
    share_present: float | None
    bins: tuple[tuple[int, float | None, float | None], ...]


@dataclass(frozen=True, slots=True)
class JudgedLabel:
    """A label of an image; `state` is "present", "absent", "unknown", or "missed": present, but not given."""

    wnid: str
    name: str
    score: float | None
    state: str


@dataclass(frozen=True, slots=True)
class Example:
    """An image of the evaluated split with the labels that the network gave and missed; `f1` is None if unknown."""

    id: str
    row: int
    f1: float | None
    labels: tuple[JudgedLabel, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The score from which on labels have the best F1."""

    threshold: float | None
    precision: float | None
    recall: float | None
    micro: float | None
    macro: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`evaluation.json` of a multi-label network."""

    split: str
    images: int
    step: int
    verified: Precision
    unknown_as_absent: Precision
    bands: tuple[Band, ...]
    at_k: tuple[AtK, ...]
    pairs: int
    share: float | None
    share_confident: float | None
    categories: tuple[PerCategory, ...]
    always: tuple[str, float | None] | None
    reliability: tuple[Reliability, ...]
    f1: Threshold | None
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """The top-1 and top-5 accuracy of the network that `name` describes."""

    name: str
    top1: float | None
    top5: float | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """The network fine-tuned on one source, and for comparison one trained from scratch."""

    split: str
    images: int
    step: int
    tuned: Scored
    scratch: Scored | None
    categories: tuple[tuple[str, str, int, float | None], ...]  # wnid, name, images, top-1
    run: Run | None
    scratch_run: Run | None


@dataclass(frozen=True, slots=True)
class Model:
    """The contents of a model folder; `problems` are sentences about what could not be read."""

    name: str
    version: str
    architecture: str
    image_size: int | None
    activation: str
    categories: int
    step: int | None
    epochs: float | None
    dataset_digest: str
    digests: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    run: Run | None
    evaluation: Evaluation | None
    transfer: Transfer | None
    problems: tuple[str, ...]
