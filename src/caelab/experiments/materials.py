"""What a run is made of before its first step: the parts of the data on the device, the network, the plan."""

from dataclasses import dataclass

import torch
from torch import nn

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.images import ImageSet, Source, Split, channel_statistics, load_images, split_images
from caelab.networks import Description, describe, require_image_output, resolve
from caelab.networks.build import build
from caelab.networks.initialise import standardise, weighted_layers
from caelab.training.compose import ImageModel
from caelab.training.fit import Plan, TrainingState
from caelab.training.losses import LOGIT_LOSSES, LOSSES
from caelab.training.optimizers import make_optimizer
from caelab.training.pixels import Pixels
from caelab.training.randomness import generator_for

REFERENCE_RATE = 8e-3
"""Peak of the learning rate that suits the reference network, chosen on validation images."""

REFERENCE_FAN_IN = 144
"""Numbers that the widest layer of the reference network adds up into one: 16 channels of 3×3."""

STANDARDISING_IMAGES = 512
"""Training images by which the initial weights are rescaled."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The three parts of the data, as bytes on the device, and the normalisation that the training part gave.

    Attributes:
        mean: By channel, on [0, 1]; zeros where the configuration leaves the range.
        std: By channel; ones where the configuration leaves the range.
    """

    train: Pixels
    validation: Pixels
    test: Pixels
    source: Source
    mean: tuple[float, ...]
    std: tuple[float, ...]


def describe_run(config: RunConfig) -> Description:
    """Return the description of the run's network, for colour images of the run's size.

    Raises:
        InputError: The text is wrong, or its output is not an image of that size.
    """
    description = describe(resolve(config.network), channels=3, size=config.size)
    require_image_output(description)
    return description


def load_data(config: RunConfig) -> tuple[ImageSet, Split]:
    """Load and split the run's images.

    Raises:
        InputError: They cannot be had, or a batch is larger than the training part.
    """
    images = load_images(None if config.data == "auto" else config.data, size=config.size)
    split = split_images(images, mode=config.split, seed=config.split_seed)
    if config.batch > len(split.train):
        raise InputError(
            f"--batch {config.batch} is larger than the training part of the data, {len(split.train)} images. "
            "Choose a smaller batch."
        )
    return images, split


def place(images: ImageSet, split: Split, config: RunConfig, device: torch.device) -> Parts:
    """Copy the parts to the device and measure the training part's normalisation."""
    channels = images.images.shape[1]
    mean, std = (0.0,) * channels, (1.0,) * channels
    if config.normalise == "standard":
        statistics = channel_statistics(images.images, split.train)
        mean = statistics.mean
        std = tuple(value or 1.0 for value in statistics.std)  # a constant channel is only centred
    return Parts(
        train=Pixels.of(images.images, split.train, device=device),
        validation=Pixels.of(images.images, split.validation, device=device),
        test=Pixels.of(images.images, split.test, device=device),
        source=images.source,
        mean=mean,
        std=std,
    )


def make_state(config: RunConfig, parts: Parts, device: torch.device) -> TrainingState:
    """Return the state before the first step."""
    generator = generator_for(config.seed, "initialisation")
    network = build(
        resolve(config.network),
        channels=parts.train.shape[0],
        size=parts.train.shape[1:],
        generator=generator,
        batchnorm=config.batchnorm,
        initialisation="default" if config.initialisation == "default" else "kaiming",
    )
    model = ImageModel(network, mean=parts.mean, std=parts.std, logits=config.loss in LOGIT_LOSSES)
    model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.initialisation == "data":
        chosen = torch.randperm(len(parts.train), generator=generator)[:STANDARDISING_IMAGES]
        standardise(model.network, model.inputs(parts.train.batch(chosen.to(device))))
    optimizer = make_optimizer(
        config.optimizer,
        model.parameters(),
        learning_rate=peak_learning_rate(config, network),
        weight_decay=config.weight_decay,
    )
    return TrainingState(model=model, optimizer=optimizer)


def peak_learning_rate(config: RunConfig, network: nn.Module) -> float:
    """Return the configuration's learning rate, or one that suits the network's widest layer.

    An entry of an update is about as large as the learning rate, so a layer's answer moves by about the rate times the
    numbers it adds up: beyond the reference network's widest, the rate falls as the fan-in grows (Yang et al. 2022,
    arXiv 2203.03466, table 8).
    """
    if config.learning_rate is not None:
        return config.learning_rate
    widest = max((layer.fan_in for layer in weighted_layers(network)), default=REFERENCE_FAN_IN)
    return REFERENCE_RATE * min(1.0, REFERENCE_FAN_IN / widest)


def make_plan(config: RunConfig, network: nn.Module, precision: torch.dtype) -> Plan:
    """Return what the loop needs to know."""
    return Plan(
        epochs=config.epochs,
        batch=config.batch,
        loss=LOSSES[config.loss],
        learning_rate=peak_learning_rate(config, network),
        warmup=config.warmup,
        decay=config.decay,
        clip=config.clip,
        precision=precision,
        seed=config.seed,
    )
