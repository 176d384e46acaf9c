"""Set up a run: describe and check its network; load, split and prepare its data."""

import logging
from dataclasses import dataclass

import torch

from caelab.data.device_images import DeviceImages
from caelab.data.image_set import ImageSet, Source
from caelab.data.load import load_images
from caelab.data.size import sides
from caelab.data.split import Split, split_images
from caelab.errors import InputError, alternatives
from caelab.experiments.config import PARAMETERS, DataConfig, RunConfig, preset_name
from caelab.experiments.start import Start
from caelab.models.card import ModelCard
from caelab.models.targets import PredictionTarget
from caelab.networks.adapt import adapt
from caelab.networks.describe import describe, require_enlargeable, require_image_output
from caelab.networks.description import Description
from caelab.training.losses import Loss

_log = logging.getLogger(__name__)

CHANNELS = 3
"""Number of channels of color images; the text of a network is written for them."""


@dataclass(frozen=True, kw_only=True)
class DeviceSplits:
    """The three parts of a data set on the device.

    Attributes:
        train: Training images with their labels.
        validation: Validation images.
        test: Test images.
        source: Where the images come from.
    """

    train: DeviceImages
    validation: DeviceImages
    test: DeviceImages
    source: Source

    @property
    def counts(self) -> dict[str, int]:
        """Number of images by part."""
        return {name: len(getattr(self, name)) for name in ("train", "validation", "test")}


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """Everything that stays the same while a run is trained and finalized.

    Attributes:
        config: Configuration of the run.
        description: Description of the run's network.
        splits: Data of the run on the device.
        card: Card of the run's model.
        precision: Number format of convolutions.
        continued_from: Number of epochs of the run that this run continues; 0 if there is none.
    """

    config: RunConfig
    description: Description
    splits: DeviceSplits
    card: ModelCard
    precision: torch.dtype
    continued_from: int = 0


def describe_run(config: RunConfig) -> Description:
    """Describe the run's network, adapted to its images and target.

    >>> describe_run(RunConfig()).code.shape
    (16, 8, 8)
    >>> describe_run(RunConfig().replace(channels=1, size=28)).text[-5:]
    'conv1'

    Raises:
        InputError: The output of the network does not have the size and the channels of the target,
            or two parameters contradict each other.
    """
    target = PredictionTarget.registry[config.target.kind]
    _require_consistency(config, target)
    channels, *size = config.data.shape
    outputs = target.output_channels(config.target, channels)
    inputs = config.degradation.channels(channels)
    network = config.network
    # If input and output have 3 channels, a user's text is not adapted, so that a wrong last layer
    # is reported and not silently corrected. For other channels a text is adapted, so that the same
    # text can be used for gray images and for chroma.
    if outputs != CHANNELS or inputs != CHANNELS or preset_name(network.text):
        network = adapt(network, outputs=outputs, inputs=inputs)
    description = describe(network, channels=inputs, size=(size[0], size[1]))
    require_image_output(description, channels=outputs)
    if config.test_time.scale:
        require_enlargeable(description, channels=outputs)
    if not description.classifiers:
        _require_default(
            config, "class_loss_weight", "networks with a classify layer, but this one has none"
        )
    return description


def _require_consistency(config: RunConfig, target: type[PredictionTarget]) -> None:
    """Raise if two parameters contradict each other, or a chosen parameter has no effect."""
    loss, channels = config.loss.kind, config.data.channels
    for step in config.degradation.steps:
        if step.kind.takes and channels not in step.kind.takes:
            counts = " or ".join(map(str, step.kind.takes))
            raise InputError(
                f"`degradation` {step.name} takes images of {counts} channels, but its input has"
                f" {channels} (see `data.channels`). Choose another degradation, or other images."
            )
        channels = step.kind.channels(channels)
    for name, used in (
        ("target.kind", target.needs_luminance),
        ("loss.color_loss_weight", config.loss.color_loss_weight),
    ):
        if used and config.data.channels != CHANNELS:
            raise InputError(
                f"`{name}` needs color images, but `data.channels` is {config.data.channels}."
            )
    if target.needs_luminance and not config.degradation.keeps_luminance:
        raise InputError(
            f"`target.kind` {target.name} needs the luminance of the clean image, but `degradation`"
            f" {config.degradation} changes the luminance. Choose the target rgb, or the"
            " degradation gray."
        )
    if (output := Loss.registry[loss].output) not in target.losses:
        losses = [name for name, kind in Loss.registry.items() if kind.output in target.losses]
        # Users cannot choose the target logits, which follows from the loss.
        targets = [
            name
            for name, kind in PredictionTarget.registry.items()
            if output in kind.losses and name != "logits"
        ]
        raise InputError(
            f"`loss.kind` {loss} does not fit `target.kind` {target.name}. Choose the loss"
            f" {alternatives(losses)}, or the target {alternatives(targets)}."
        )
    # A parameter without effect is refused, because the user expects an effect, and because a
    # search or a study would compare equal runs.
    if target.name != "bins":
        for name in ("bins", "rebalance", "temperature"):
            _require_default(config, name, f"the target bins, but this run has {target.name}")
    if loss != "huber":
        _require_default(config, "huber_delta", f"the loss huber, but this run has {loss}")
    if config.augmentation.translate >= min(sides(config.data.size)):
        raise InputError(
            f"`augmentation.translate` {config.augmentation.translate} is not smaller than the"
            f" images, {config.data.size} pixels."
        )


def _require_default(config: RunConfig, name: str, owner: str) -> None:
    """Raise if a parameter is set that has an effect only with ``owner``, which this run lacks."""
    parameter = PARAMETERS[name]
    if (value := parameter.value(config)) != parameter.default:
        raise InputError(f"`{parameter.dotted}` {value:g} has an effect only with {owner}.")


def load_data(data: DataConfig, images: ImageSet | None = None) -> tuple[ImageSet, Split]:
    """Load the images and split them into training, validation and test images.

    Args:
        data: Table ``data`` of the configuration, which names the images and their split.
        images: Images that are loaded already, and need only be split.

    Raises:
        InputError: The images cannot be loaded, or are too few.
    """
    if images is None:
        images = load_images(data.source, size=sides(data.size), channels=data.channels)
    split = split_images(
        images,
        mode=data.split,
        seed=data.split_seed,
        val_size=data.val_size,
        train_size=data.train_size,
        test_size=data.test_size,
    )
    return images, split


def require_trainable(
    config: RunConfig,
    description: Description,
    start: Start | None,
    images: ImageSet,
    split: Split,
) -> None:
    """Raise unless the run can be trained on these images; warn if it makes little sense.

    Args:
        config: Configuration of the run.
        description: Description of the run's network.
        start: Model or run that training starts with; ``None`` for initial weights.
        images: All images of the data set.
        split: Indices of the training, validation and test images.

    Raises:
        InputError: The images do not have the classes that the network predicts, or the run cannot
            begin with ``start``.
    """
    if start is not None:
        start.require_fits(config, description, images.source.fingerprint)
    if config.target.kind in ("chroma", "bins") and not config.degradation.steps:
        _log.warning(
            "`degradation` is none, so the input of the network is the clean image, with the colors"
            " that `target` %s should predict. Choose `degradation` gray to colorize gray images.",
            config.target.kind,
        )
    if config.batch_size > len(split.train):
        _log.warning(
            "`batch_size` %d is larger than the training part of the data: a step takes all %d"
            " images, and an epoch has one step. A smaller `batch_size` makes more steps.",
            config.batch_size,
            len(split.train),
        )
    for classes in description.classifiers:
        count = len(images.classes)
        if classes != count:
            advice = "Remove the layer, or choose another `data.source`."
            raise InputError(
                f"the network has a classify{classes}, but the images of {images.source.where} have"
                f" {count or 'no'} classes. {f'Write classify{count}.' if count else advice}"
            )


def prepare_data(images: ImageSet, split: Split, device: torch.device) -> DeviceSplits:
    """Copy the parts of the data to the device, as bytes.

    Args:
        images: All images, ``uint8 (N, C, H, W)``, with their labels if there are any.
        split: Indices of the images in each of the three parts.
        device: Device that trains.
    """
    return DeviceSplits(
        # Only training needs the classes, for the loss of a network that predicts them.
        train=DeviceImages.of(images.images, split.train, device=device, labels=images.labels),
        validation=DeviceImages.of(images.images, split.validation, device=device),
        test=DeviceImages.of(images.images, split.test, device=device),
        source=images.source,
    )
