"""The configuration of a run: complete, so that the run can be repeated from it."""

import difflib
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caelab.errors import InputError
from caelab.networks.presets import PRESETS

DEFAULTS = 1
"""Counts the changes of defaults, so that a run of other defaults is another run."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


class RunConfig(BaseModel):
    """What a run is, option by option; the defaults train the reference network well.

    The descriptions of the fields are also the help of the command line's options.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    network: str = Field("reference", description="A network text, or the name of a preset.")
    data: str = Field(
        "auto",
        description=(
            "'auto' (CAELAB_DATA, usual places, download, else photos), 'cifar10', 'photos', or a"
            " path."
        ),
    )
    size: int = Field(
        32,
        ge=1,
        le=1024,
        description="Pixels to which a folder's pictures are cropped and resized.",
    )
    split: Literal["pooled", "official"] = Field(
        "pooled", description="80/10/10 of all images, or CIFAR-10's own test images kept apart."
    )
    split_seed: int = Field(0, ge=0, description="Seed of the shuffle before the split.")
    validation: int | None = Field(
        None,
        ge=1,
        description=(
            "Validation images at most, chosen by the split's seed, the others are trained on;"
            " none: all of them."
        ),
    )
    limit: int | None = Field(
        None,
        ge=1,
        description="Training images at most, chosen by the split's seed; none: all of them.",
    )
    normalise: Literal["range", "standard"] = Field(
        "standard",
        description=(
            "Pixels as they are in [0, 1], or less the training images' mean, divided by their"
            " deviation."
        ),
    )
    impair: str = Field(
        "none",
        description=(
            "What is done to the images that the network is given, such as gray or noise0.1+blur1."
        ),
    )
    predict: Literal["rgb", "chroma", "bins"] = Field(
        "rgb",
        description=(
            "The image itself; two chroma planes that are merged with the given luminance; or a"
            " distribution over bins of them."
        ),
    )
    space: Literal["ycbcr", "lab", "oklab"] = Field(
        "ycbcr", description="The color space of those planes."
    )
    bins: int = Field(
        104, ge=8, le=512, description="Bins of chroma, those that the training images fill most."
    )
    rebalance: Finite = Field(
        0.5,
        ge=0,
        lt=1,
        description="How far rare bins count more in the loss, in [0, 1): 0 not at all.",
    )
    temperature: Finite = Field(
        0.38,
        gt=0,
        description="Of the annealed mean of bins: 1 is the mean, towards 0 the most probable bin.",
    )
    flip: bool = Field(False, description="Mirror training images left and right half of the time.")
    shift: int = Field(
        0, ge=0, description="Pixels by which training images are moved at most, every time anew."
    )
    zoom: Finite = Field(
        0.0,
        ge=0,
        le=1,
        description=(
            "How far training images are enlarged or reduced at most, every time anew: 0.25 for a"
            " factor between 1/1.25 and 1.25."
        ),
    )
    rotate: Finite = Field(
        0.0,
        ge=0,
        le=180,
        description="Degrees by which training images are turned at most, every time anew.",
    )
    tone: Finite = Field(
        0.0,
        ge=0,
        le=1,
        description=(
            "How far training images are brightened or darkened at most, every time anew: 0.25 for"
            " values raised to a power between 1/1.25 and 1.25."
        ),
    )
    loss: Literal["mse", "l1", "huber", "charbonnier", "bce", "cross_entropy"] = Field(
        "mse",
        description=(
            "Squared, absolute, Huber's or Charbonnier's error, binary cross-entropy of logits, or"
            " the cross-entropy of bins."
        ),
    )
    huber_delta: Finite = Field(
        1.0,
        gt=0,
        description=(
            "Differences up to this count squared in Huber's error, larger ones absolutely."
        ),
    )
    label_weight: Finite = Field(
        0.1,
        gt=0,
        le=100,
        description=(
            "What the labels' cross-entropy counts beside the loss, where the network has a"
            " classify."
        ),
    )
    color_weight: Finite = Field(
        0.0,
        ge=0,
        le=100,
        description=(
            "What the color difference CIEDE2000 to the clean image counts beside the loss."
        ),
    )
    optimizer: Literal["soap", "adamw", "adam"] = Field("soap", description="The optimizer.")
    learning_rate: Finite | None = Field(
        None,
        gt=0,
        description=(
            "Peak of the learning rate; none: 0.008, and less in proportion for wide layers."
        ),
    )
    weight_decay: Finite = Field(0.0, ge=0, description="Decoupled weight decay, as in AdamW.")
    warmup: Finite = Field(
        0.05, ge=0, lt=1, description="Share of all steps in which the rate rises to its peak."
    )
    decay: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="How the rate then falls to zero."
    )
    batch: int = Field(128, ge=1, description="Images a step.")
    epochs: int = Field(10, ge=1, description="Passes through the training images.")
    patience: int | None = Field(
        None,
        ge=1,
        description="Epochs without a better validation error after which to stop; none: never.",
    )
    clip: Finite | None = Field(
        None, gt=0, description="Largest norm of the gradient; none: unlimited."
    )
    initialisation: Literal["data", "kaiming", "default"] = Field(
        "data",
        description=(
            "Kaiming's; the same, then rescaled so that images meet every activation with mean 0"
            " and variance 1; or PyTorch's own."
        ),
    )
    batchnorm: bool = Field(
        False,
        description=(
            "Train with batch normalisation before each activation; it is folded into the"
            " convolutions afterwards, so that the trained network is exactly the text's."
        ),
    )
    ema: Finite | None = Field(
        None,
        gt=0,
        lt=1,
        description=(
            "Decay by step of a running mean of the weights, which is measured and kept; smaller at"
            " first, so that it reaches back over a ninth of the training at most."
        ),
    )
    average_flips: bool = Field(
        False,
        description=(
            "Average the answers for an image and its mirror image wherever the network is"
            " measured."
        ),
    )
    average_shift: int = Field(
        0,
        ge=0,
        le=16,
        description=(
            "Likewise for an image and the same moved by so many pixels, down and right, and up and"
            " left; none for 0."
        ),
    )
    average_enlarged: bool = Field(
        False, description="Likewise for an image and the same enlarged by a quarter."
    )
    seed: int = Field(
        0, ge=0, description="Seed of the initial weights, the batch order and all other chance."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where to compute.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description=(
            "What convolutions compute in; bfloat16 is float32 on a CPU without instructions"
            " for it."
        ),
    )

    def key(self, fingerprint: str) -> str:
        """Return eight hex digits that name this run on the data with that ``fingerprint``.

        Where the data lies does not matter, what it is does. Only what differs from the defaults is
        told, so that an option that is added later leaves the names of finished runs; a default
        that changes needs a new ``DEFAULTS``. A preset counts by its text, so that it may change,
        but for the default's.
        """
        config = self
        if self.network != RunConfig.model_fields["network"].default:
            config = self.model_copy(update={"network": PRESETS.get(self.network, self.network)})
        told = (
            f"{DEFAULTS} {config.model_dump_json(exclude={'data'}, exclude_defaults=True)}"
            f" {fingerprint}"
        )
        return hashlib.sha256(told.encode()).hexdigest()[:8]


def make_config(options: Mapping[str, Any]) -> RunConfig:
    """Return the configuration, or say which option is wrong and why.

    Raises:
        InputError: An option is unknown, of the wrong type or out of range; all of them are named.
    """
    try:
        return RunConfig(**options)
    except ValidationError as error:
        said = "; ".join(_say(problem) for problem in error.errors())
        raise InputError(said if said.endswith("?") else f"{said}.") from error


def _say(problem: Any) -> str:
    name, given = str(problem["loc"][0]), problem["input"]
    shown = f"{given:g}" if isinstance(given, float) else str(given)
    reason = str(problem["msg"]).removeprefix("Input ")
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, RunConfig.model_fields, n=1)
        reason = "is no option of a run" + (f"; did you mean {_flag(near[0])}?" if near else "")
    return f"{_flag(name)} {shown}: {reason}"


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
