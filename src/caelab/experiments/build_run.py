"""Build what training needs: the model's card, the model and the optimizer."""

from collections.abc import Mapping

import torch
from torch.optim.swa_utils import AveragedModel

from caelab.data.device_images import DeviceImages
from caelab.data.summary import channel_statistics
from caelab.degrade.apply import degrade
from caelab.degrade.kinds import gray
from caelab.experiments.config import RunConfig
from caelab.models.card import ModelCard
from caelab.models.image_model import ImageModel
from caelab.models.targets import PredictionTarget
from caelab.networks.build import build
from caelab.networks.description import Description
from caelab.networks.initialize import initialize_lsuv
from caelab.randomness import generator_for, image_keys
from caelab.training.fit import TrainingState, running_mean
from caelab.training.losses import Loss
from caelab.training.optimizers import make_optimizer

LSUV_IMAGES = 512
"""Number of training images on which LSUV rescales the initial weights."""


def make_card(
    config: RunConfig, description: Description, train: DeviceImages, data: str
) -> ModelCard:
    """Return the card of the run's model, which is saved with its weights.

    Args:
        config: Configuration of the run.
        description: Description of the run's network.
        train: Training images ``(N, C, H, W)``; the means and standard deviations of the
            normalization, and the chroma bins, are measured on them.
        data: Name of the data set.
    """
    target = PredictionTarget.registry[config.target.kind]
    channels, height, width = train.shape
    inputs = config.degradation.channels(channels)
    mean, std = (0.0,) * channels, (1.0,) * channels
    input_mean, input_std = mean[:inputs], std[:inputs]
    if config.data.normalize == "standardize":
        mean, std = _clean_statistics(train)
        input_mean, input_std = (mean, std) if inputs == channels else _gray_statistics(train)
    return ModelCard(
        network=description.text,
        degradation=str(config.degradation),
        target=target.name_with(Loss.registry[config.loss.kind].output),
        color_space=config.target.color_space,
        tta=config.test_time,
        channels=channels,
        size=height if height == width else (height, width),
        mean=input_mean,
        std=input_std,
        output_mean=mean,
        output_std=std,
        data=data,
        bins=target.measure(config.target, train),
    )


def _clean_statistics(pixels: DeviceImages) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of each channel; a deviation of 0 becomes 1."""
    channels, height, width = pixels.shape
    statistics = channel_statistics(
        pixels.pixels(chosen).view(-1, height, width, channels).permute(0, 3, 1, 2).cpu().numpy()
        for chosen in pixels.batches(1024)
    )
    return statistics.mean, statistics.divisors


def _gray_statistics(pixels: DeviceImages) -> tuple[tuple[float], tuple[float]]:
    """Return the mean and standard deviation of the luma; a deviation of 0 becomes 1."""
    # In float64, because float32 sums of millions of squares lose the digits of a small variance.
    # On the CPU, because Apple's GPUs have no float64.
    sums = [
        torch.stack([luma.mean(), luma.square().mean()]) * len(luma)
        for luma in (gray(pixels.batch(chosen)).cpu().double() for chosen in pixels.batches(1024))
    ]
    mean, square = (torch.stack(sums).sum(0) / len(pixels)).tolist()
    return (mean,), (max(0.0, square - mean**2) ** 0.5 or 1.0,)


def make_state(
    config: RunConfig,
    description: Description,
    card: ModelCard,
    train: DeviceImages,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> TrainingState:
    """Return model and optimizer before the first step, on the device of the training images.

    Args:
        config: Configuration of the run.
        description: Description of the run's network.
        card: Card of the run's model.
        train: Training images ``(N, C, H, W)``; the initialization ``lsuv`` uses some of them.
        weights: Weights of the network by name; ``None`` initializes them as ``config.init`` says.
    """
    generator = generator_for(config.seed, "initialization")
    network = build(
        description.network,
        channels=description.input[0],
        size=train.shape[1:],
        generator=generator,
        batchnorm=config.batchnorm,
        initialization="default" if config.init == "default" else "kaiming",
    )
    model = ImageModel.from_card(network, card)
    # The model moves before the optimizer is made, because the optimizer refers to its tensors.
    model.to(device=train.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if weights is not None:
        network.load_state_dict(weights)
    elif config.init == "lsuv":
        # The images are drawn by the generator of the weights, so that only the seed decides which
        # images are used.
        chosen = torch.randperm(len(train), generator=generator)[:LSUV_IMAGES]
        keys = image_keys(train.rows[chosen.numpy()], config.seed).to(train.device)
        # LSUV needs inputs as in training: degraded and normalized images.
        inputs = degrade(train.batch(chosen.to(train.device)), config.degradation, keys)
        initialize_lsuv(model.network, model.normalize(inputs))
    averaged = None
    if config.ema_decay is not None:
        averaged = AveragedModel(model, multi_avg_fn=running_mean(config.ema_decay))
    optimizer = make_optimizer(config.optimizer, network)
    return TrainingState(model=model, optimizer=optimizer, averaged=averaged)
