"""The training and transfer parts of a spec; their defaults are the published recipe of Tencent ML-Images.

Wu et al., IEEE Access 2019 (arXiv 1901.01703), sections on training and transfer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from mlimg_build.spec.field_types import (
    FileOrFolder,
    Flag,
    Number,
    Part,
    Share,
    Whole,
    increasing,
    refusal,
)
from mlimg_build.spec.models.losses import Loss, MLImagesLossPart
from mlimg_build.spec.models.networks import NetworkName
from mlimg_build.spec.yaml.scalars import shown

__all__ = [
    "Augmentation",
    "LearningRate",
    "Optimizer",
    "SizeFrom",
    "Training",
    "Transfer",
    "TransferOptimizer",
    "TransferRate",
]


def _two(value: Any) -> Any:
    if isinstance(value, tuple) and len(value) != 2:
        raise refusal("wrong-value", f"expected two numbers, found {len(value)}", "write [least, most]")
    return value


Range = Annotated[tuple[Number, Number], BeforeValidator(_two)]
ImageSize = Annotated[Whole, Field(ge=16, le=4096)]


class Optimizer(Part):
    """Stochastic gradient descent."""

    momentum: Number = Field(default=0.9, ge=0, lt=1, description="momentum")
    weight_decay: Number = Field(default=1e-4, ge=0, description="weight decay")
    norm_share: Share = Field(
        default=0.0,
        description="share of the weight decay that norms get; in networks of timm biases, too",
    )


class LearningRate(Part):
    """The learning rate: a warm-up, then steps or a cosine."""

    kind: Literal["steps", "cosine"] = Field(
        default="steps", description="how the rate falls: in steps, or as a cosine to 0"
    )
    base: Number = Field(default=0.08, gt=0, description="rate after the warm-up")
    warm_up_epochs: Whole = Field(
        default=8, ge=0, description="epochs of warm-up; half of the epochs where these are fewer than 16"
    )
    warm_up_factor: Number = Field(
        default=1.297,
        ge=1,
        description="growth an epoch in the warm-up, which starts at base / factor^epochs",
    )
    decay_every: Whole = Field(
        default=25, ge=1, description="epochs from step to step, counted after the warm-up"
    )
    decay_factor: Number = Field(default=0.1, gt=0, le=1, description="factor of one step")


class Augmentation(Part):
    """Random changes to a training image."""

    crop_area: Range = Field(
        default=(0.7, 1.0), description="least and most share of the area that a crop keeps"
    )
    aspect: Range = Field(default=(0.75, 4 / 3), description="least and most width / height of a crop")
    flip_share: Share = Field(default=0.5, description="share of images mirrored left to right")
    rotation_degrees: Number = Field(
        default=45.0, ge=0, le=180, description="most degrees of rotation, to either side"
    )
    rotation_share: Share = Field(default=1 / 3, description="share of images rotated")
    colour_jitter_share: Share = Field(default=2 / 3, description="share of images with colours changed")

    @field_validator("crop_area", "aspect")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if 0 < value[0] <= value[1]:
            return value
        sentence = (
            f"expected two numbers above 0, the smaller first, found {shown(value[0])} and {shown(value[1])}"
        )
        raise refusal("wrong-value", sentence)

    @field_validator("crop_area")
    @classmethod
    def _at_most_whole(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[1] > 1:
            raise refusal(
                "wrong-value", f"a crop keeps at most 1 of the area, found {shown(value[1])}", at=(1,)
            )
        return value


class Run(Part):
    """What training and transfer have in common."""

    steps_per_epoch: Whole | None = Field(
        default=None, ge=1, description="batches of an epoch; without it an epoch reads every image once"
    )
    shards_mixed: Whole = Field(
        default=16, ge=1, description="shards of the dataset whose images are shuffled together"
    )
    micro_batch: Whole | None = Field(
        default=None,
        ge=1,
        description="images of one forward pass, over which batch norm is taken; all of a step without it",
    )
    seed: Whole = Field(default=0, ge=0, lt=2**32, description="seed of everything random")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where to compute; auto takes a GPU if there is one"
    )
    decoder: Literal["auto", "partial", "whole"] = Field(
        default="auto",
        description="how JPEGs are decoded: partial, no more than a crop needs, by the compiled extension, or whole; "
        "auto takes partial where the extension was built",
    )
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="number format of activations")
    augmentation: Augmentation = Field(
        default_factory=Augmentation, description="random changes to training images"
    )
    gradient_clip: Number | None = Field(
        default=None, gt=0, description="largest norm of a gradient; none as published"
    )
    ema: Number | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="decay of an exponential moving average of the weights; none as published",
    )


class Training(Run):
    """How the network is trained on the dataset."""

    model: NetworkName = Field(
        default="resnet101",
        description="network: a ResNet of torchvision, or timm/NAME for any network of timm",
    )
    weights: FileOrFolder = Field(
        default=None,
        description="weights to begin with: a .safetensors file that is named as torchvision or timm name them, "
        "or a NAME.model; random ones without it",
    )
    image_size: ImageSize = Field(default=224, description="pixels of a side of the network's input")
    batch_size: Whole = Field(default=4000, ge=1, description="images of one step, over all devices")
    epochs: Whole = Field(
        default=60, ge=1, description="epochs; 60 in the paper, 100 in the published script"
    )
    optimizer: Optimizer = Field(default_factory=Optimizer, description="stochastic gradient descent")
    learning_rate: LearningRate = Field(
        default_factory=LearningRate, description="the learning rate over the epochs"
    )
    loss: Loss = Field(
        default_factory=MLImagesLossPart,
        description="the loss; its kind decides which keys it has, ml_images without one",
    )
    evaluation_threshold: Share = Field(
        default=0.7,
        description="confidence from which a machine's label counts as present in the evaluation",
    )
    head_bias: Literal["prior", "random"] = Field(
        default="prior",
        description="how the bias of the last layer begins: where the loss is least if only the share of each category "
        "is known, or at random, as published and as `loss: {compat: tencent-code}` has it",
    )
    logit_adjustment: Flag = Field(
        default=True,
        description="subtract from the finished bias what the loss adds to the log-odds of a label, so that scores are "
        "probabilities; false with `loss: {compat: tencent-code}` where it is not written",
    )

    @model_validator(mode="after")
    def _as_published(self) -> Training:
        """Leave the bias of the last layer alone in the mode of the published script, where the spec does not say."""
        if isinstance(self.loss, MLImagesLossPart) and self.loss.compat == "tencent-code":
            for name, published in (("head_bias", "random"), ("logit_adjustment", False)):
                if name not in self.model_fields_set:
                    self.__dict__[name] = published
        return self

    @model_validator(mode="after")
    def _short_warm_up(self) -> Training:
        """Shorten the default warm-up of 8 epochs, which would not end in a short run; a written value is kept."""
        rate = self.learning_rate
        if "warm_up_epochs" not in rate.model_fields_set and self.epochs < 2 * rate.warm_up_epochs:
            shorter = rate.model_copy(update={"warm_up_epochs": self.epochs // 2})
            shorter.model_fields_set.discard("warm_up_epochs")  # the spec did not set it
            self.__dict__["learning_rate"] = shorter
        return self


class SizeFrom(Part):
    """An input size, from an epoch on."""

    epoch: Whole = Field(ge=0, description="first epoch, counted from 0")
    size: ImageSize = Field(description="pixels of a side of the network's input")


class TransferOptimizer(Optimizer):
    """Stochastic gradient descent of the transfer."""

    norm_share: Share = Field(
        default=0.1,
        description="share of the weight decay that norms get; in networks of timm biases, too",
    )


class TransferRate(LearningRate):
    """The learning rate of the transfer."""

    base: Number = Field(default=0.1, gt=0, description="rate after the warm-up")
    warm_up_epochs: Whole = Field(default=0, ge=0, description="epochs of warm-up")
    decay_every: Whole = Field(
        default=30, ge=1, description="epochs from step to step, counted after the warm-up"
    )


class Transfer(Run):
    """How the trained network is tuned to a source with one label an image."""

    source: str = Field(description="name of the source to tune to")
    freeze_stages: Whole = Field(
        default=2, ge=0, description="first stages of the network that stay as they are"
    )
    sizes: tuple[SizeFrom, ...] = Field(
        default=(SizeFrom(epoch=0, size=224), SizeFrom(epoch=60, size=299)),
        min_length=1,
        description="input sizes by epoch; 224 then 299 as published, which does not say at which epoch",
    )
    batch_size: Whole = Field(default=256, ge=1, description="images of one step, over all devices")
    epochs: Whole = Field(default=120, ge=1, description="epochs")
    label_smoothing: Number = Field(
        default=0.0, ge=0, lt=1, description="share of a label spread over all categories"
    )
    compare_scratch: Flag = Field(
        default=False,
        description="also train the same steps from random weights with nothing frozen, to compare",
    )
    optimizer: TransferOptimizer = Field(
        default_factory=TransferOptimizer, description="stochastic gradient descent"
    )
    learning_rate: TransferRate = Field(
        default_factory=TransferRate, description="the learning rate over the epochs"
    )

    @field_validator("sizes")
    @classmethod
    def _from_the_start(cls, sizes: tuple[SizeFrom, ...]) -> tuple[SizeFrom, ...]:
        if sizes[0].epoch == 0 and increasing(size.epoch for size in sizes):
            return sizes
        raise refusal(
            "wrong-value",
            "sizes do not start at epoch 0 and go up",
            "sort them by epoch; the first has epoch 0",
        )
