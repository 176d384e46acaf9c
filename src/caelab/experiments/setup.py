"""What a run is made of before its first step: the parts of the data on the device, the network,
the plan.
"""

from dataclasses import dataclass

import torch
from torch.optim.swa_utils import AveragedModel

from caelab.color import SPACES
from caelab.data import (
    ImageSet,
    Source,
    Split,
    channel_statistics,
    limit_training,
    limit_validation,
    load_images,
    split_images,
)
from caelab.data.device_images import DeviceImages
from caelab.degrade.apply import degrade
from caelab.degrade.kinds import gray
from caelab.errors import InputError
from caelab.experiments.config import PARAMETERS, RunConfig, preset_name
from caelab.models.card import ModelCard
from caelab.models.color_bins import ColorBins, choose_bins
from caelab.models.image_model import ImageModel
from caelab.models.tta import TTA
from caelab.networks.adapt import adapt
from caelab.networks.build import build
from caelab.networks.describe import describe, require_enlargeable, require_image_output
from caelab.networks.description import Description
from caelab.networks.initialize import standardise
from caelab.randomness import generator_for, image_keys
from caelab.training.fit import TrainingState, running_mean
from caelab.training.losses import Loss
from caelab.training.optimizers import make_optimizer

STANDARDISING_IMAGES = 512
"""Training images by which the initial weights are rescaled."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The three parts of the data, as bytes on the device, and the normalisation that the training
    part gave.

    Attributes:
        mean: Of the clean images by channel, on [0, 1]; zeros where the configuration leaves the
            range.
        std: The same; ones where the configuration leaves the range.
        given_mean: Of what the network is given, by channel.
        given_std: The same.
        bins: Of the training part's chroma, where the network is to tell them apart.
    """

    train: DeviceImages
    validation: DeviceImages
    test: DeviceImages
    source: Source
    mean: tuple[float, ...]
    std: tuple[float, ...]
    given_mean: tuple[float, ...]
    given_std: tuple[float, ...]
    bins: ColorBins | None = None


CHANNELS = 3
"""Of the clean images."""


def describe_run(config: RunConfig) -> Description:
    """Return the description of the run's network, adapted to its task, for color images of the
    run's size.

    Raises:
        InputError: The text is wrong, its output is not an image of that size, the degradation
            cannot be read, or there is no luminance to merge chroma with.
    """
    target, loss, size = config.target, config.loss, config.data.size
    outputs = {"rgb": CHANNELS, "chroma": 2, "bins": target.bins}[target.kind]
    if target.kind != "rgb" and not config.degradation.keeps_luminance:
        raise InputError(
            f"`target.kind` {target.kind} needs the luminance of the clean image, and `degradation`"
            f" {config.degradation} changes it. Choose the target rgb, or the degradation gray."
        )
    if target.kind == "chroma" and _loss_output(config) == "logits":
        raise InputError(
            f"`loss.kind` {loss.kind} is a loss of images, not of chroma planes. Choose another"
            " loss."
        )
    _require_consistent_bins(config)
    if config.augmentation.translate >= size:
        raise InputError(
            f"`augmentation.translate` {config.augmentation.translate} is not smaller than the"
            f" images, {size} pixels."
        )
    inputs = config.degradation.channels(CHANNELS)
    network = config.network
    if outputs != CHANNELS or inputs != CHANNELS or preset_name(network.text):
        network = adapt(network, outputs=outputs)
    description = describe(network, channels=inputs, size=size)
    require_image_output(description, channels=outputs)
    if config.test_time.scale:
        require_enlargeable(description, channels=outputs)
    if not description.classifiers:
        _require_default(
            config, "class_loss_weight", "networks with a classify layer, and this one has none"
        )
    if loss.kind != "huber":
        _require_default(config, "huber_delta", f"the loss huber, and this run has {loss.kind}")
    return description


def _require_consistent_bins(config: RunConfig) -> None:
    """Raise unless bins and their options come with the loss of classes, and it with them."""
    loss, of_classes = config.loss.kind, _loss_output(config) == "classes"
    if config.target.kind == "bins":
        if not of_classes:
            losses = (name for name, kind in Loss.registry.items() if kind.output == "classes")
            raise InputError(
                f"`target.kind` bins predicts probabilities, and `loss.kind` {loss} compares values."
                f" Choose the loss {' or '.join(losses)}."
            )
        return
    if of_classes:
        raise InputError(
            f"`loss.kind` {loss} is a loss of classes, not of pixel values. Choose the target bins."
        )
    for name in ("bins", "rebalance", "temperature"):
        _require_default(config, name, "the target bins, and this run has another")


def _loss_output(config: RunConfig) -> str:
    """Return what the run's loss takes from the network, :attr:`Loss.output`."""
    return Loss.registry[config.loss.kind].output


def _require_default(config: RunConfig, name: str, owner: str) -> None:
    """Raise if an option was chosen that does nothing in this run; ``owner`` says what it belongs
    to.
    """
    parameter = PARAMETERS[name]
    if (value := parameter.value(config)) != parameter.default:
        raise InputError(f"`{parameter.dotted}` {value:g} is a parameter of {owner}.")


def load_data(config: RunConfig, images: ImageSet | None = None) -> tuple[ImageSet, Split]:
    """Load and split the run's images; those given are not loaded again.

    Raises:
        InputError: They cannot be had, or a batch is larger than the training part.
    """
    data = config.data
    if images is None:
        images = load_images(None if data.source == "auto" else data.source, size=data.size)
    split = split_images(images, mode=data.split, seed=data.split_seed)
    if data.val_size is not None:
        split = limit_validation(split, data.val_size, seed=data.split_seed)
    if data.train_size is not None:
        split = limit_training(split, data.train_size, seed=data.split_seed)
    if config.batch_size > len(split.train):
        raise InputError(
            f"`batch_size` {config.batch_size} is larger than the training part of the data,"
            f" {len(split.train)} images. Choose a smaller batch."
        )
    return images, split


def require_labels(description: Description, images: ImageSet) -> None:
    """Raise unless the training images have the classes that the network is to tell.

    Raises:
        InputError: They have none, or another number.
    """
    for told in description.classifiers:
        if images.labels is None:
            raise InputError(
                f"the network has a classify{told}, and the images of {images.source.where} have no"
                " classes. Take it out, or choose another `data.source`."
            )
        if told != len(images.classes):
            raise InputError(
                f"the network has a classify{told}, and the images of {images.source.where} are of "
                f"{len(images.classes)} classes. Write classify{len(images.classes)}."
            )


def place(images: ImageSet, split: Split, config: RunConfig, device: torch.device) -> Parts:
    """Copy the parts to the device and measure the training part's normalisation."""
    channels = images.images.shape[1]
    mean, std = (0.0,) * channels, (1.0,) * channels
    if config.data.normalize == "standardize":
        statistics = channel_statistics(images.images, split.train)
        mean = statistics.mean
        std = tuple(value or 1.0 for value in statistics.std)  # a constant channel is only centred
    train = DeviceImages.of(images.images, split.train, device=device, labels=images.labels)
    given_mean, given_std = mean, std
    if (given := config.degradation.channels(channels)) != channels:
        standard = config.data.normalize == "standardize"
        given_mean, given_std = _gray_statistics(train) if standard else (mean[:given], std[:given])
    bins = None
    if (target := config.target).kind == "bins":
        bins = choose_bins(
            train,
            space=SPACES[target.color_space],
            count=target.bins,
            rebalance=target.rebalance,
            temperature=target.temperature,
        )
    return Parts(
        train=train,
        validation=DeviceImages.of(images.images, split.validation, device=device),
        test=DeviceImages.of(images.images, split.test, device=device),
        source=images.source,
        mean=mean,
        std=std,
        given_mean=given_mean,
        given_std=given_std,
        bins=bins,
    )


def _gray_statistics(pixels: DeviceImages) -> tuple[tuple[float], tuple[float]]:
    """Return the mean and the deviation of the luma over all pixels."""
    sums = [
        torch.stack([luma.mean(), luma.square().mean()]) * len(luma)
        for luma in (gray(pixels.batch(chosen)).double() for chosen in pixels.batches(1024))
    ]
    mean, square = (torch.stack(sums).sum(0) / len(pixels)).tolist()
    return (mean,), (max(0.0, square - mean**2) ** 0.5 or 1.0,)


def make_card(config: RunConfig, description: Description, parts: Parts) -> ModelCard:
    """Return what must be known to use the run's weights."""
    return ModelCard(
        network=description.text,
        degradation=str(config.degradation),
        target="logits" if _loss_output(config) == "logits" else config.target.kind,
        color_space=config.target.color_space,
        tta=TTA(**config.test_time.model_dump()),
        channels=parts.train.shape[0],
        size=parts.train.shape[1],
        mean=parts.given_mean,
        std=parts.given_std,
        output_mean=parts.mean,
        output_std=parts.std,
        data=parts.source.name,
        bins=parts.bins,
    )


def make_state(
    config: RunConfig, description: Description, parts: Parts, device: torch.device
) -> TrainingState:
    """Return the state before the first step."""
    generator = generator_for(config.seed, "initialization")
    network = build(
        description.network,
        channels=description.input[0],
        size=parts.train.shape[1:],
        generator=generator,
        batchnorm=config.batchnorm,
        initialisation="default" if config.init == "default" else "kaiming",
    )
    model = ImageModel.from_card(network, make_card(config, description, parts))
    model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.init == "lsuv":
        chosen = torch.randperm(len(parts.train), generator=generator)[:STANDARDISING_IMAGES]
        keys = image_keys(parts.train.rows[chosen.numpy()], config.seed)
        given = degrade(parts.train.batch(chosen.to(device)), config.degradation, keys.to(device))
        standardise(model.network, model.normalize(given))
    optimizer = make_optimizer(config.optimizer, network)
    averaged = None
    if config.ema_decay is not None:
        averaged = AveragedModel(model, multi_avg_fn=running_mean(config.ema_decay))
    return TrainingState(model=model, optimizer=optimizer, averaged=averaged)
